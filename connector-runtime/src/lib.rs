#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// A named point at which a test can end or pause the process; nothing without the feature `failpoints`.
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        crate::failpoint::pass($name);
    };
}

#[cfg(feature = "failpoints")]
mod failpoint;
pub mod memory;
pub mod model;
pub mod runner;
pub mod schedule;
pub mod secrets;
pub mod sqlite;
pub mod store;
