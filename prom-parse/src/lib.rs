//! A zero-copy parser for the Prometheus text format 0.0.4 and OpenMetrics 1.0.
//!
//! ```
//! use prom_parse::{Entry, Format, entries};
//!
//! fn main() -> Result<(), prom_parse::ParseError> {
//!     let body = b"# TYPE up gauge\nup{job=\"node\"} 1\n";
//!     for entry in entries(body, Format::Prometheus) {
//!         if let Entry::Sample(sample) = entry? {
//!             println!("{} {:?} {}", sample.name(), sample.labels(), sample.value());
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - [`entries`] walks a body entry by entry: HELP, TYPE, UNIT, comments and samples, borrowed from the body.
//! - [`samples`] pushes samples into a [`SampleSink`], which writes names, labels and values wherever they belong:
//!   the shortest way into columns.
//! - [`strict()`] holds a body to the rules of its format, for who writes an exporter.
//! - [`families`] puts samples together: metrics by type, rather than lines.
//! - [`Format::from_content_type`] says which format a response is in.
//!
//! The parser does no I/O and allocates nothing for an entry without escapes and with at most 32 labels. What it accepts is what the Prometheus
//! server accepts, unless [`strict()`] is asked.
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
