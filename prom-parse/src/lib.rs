#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![cfg_attr(not(feature = "simd"), forbid(unsafe_code))]
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

mod block;
mod entries;
mod entry;
mod error;
mod family;
mod fast;
mod format;
mod grammar;
mod index;
mod labels;
mod number;
#[cfg(feature = "serde")]
mod serialize;
mod sink;
mod strict;
mod window;

pub use entries::{Entries, entries};
pub use entry::{Entry, Exemplar, MetricType, Sample, Timestamp};
pub use error::ParseError;
pub use family::{
    Bucket, Counter, Families, Family, Histogram, Metric, MetricValue, Number, Quantile, State, Summary,
    families,
};
pub use format::Format;
pub use labels::Labels;
pub use sink::{SampleSink, samples};
pub use strict::{Rule, Strict, StrictError, strict};
