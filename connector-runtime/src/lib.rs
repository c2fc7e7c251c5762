#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod memory;
pub mod model;
pub mod runner;
pub mod schedule;
pub mod secrets;
pub mod sqlite;
pub mod store;
