//! What owners of an SQLite store's data do with it: let go of what is old, check it, take it elsewhere.

// The functions that the tests share are tests too, though clippy does not see it.
#![allow(clippy::unwrap_used)]

mod check;
mod closing;
mod folder;
mod layouts;
mod numbers;
mod retention;
mod shared;
mod statistics;
mod stats;
mod streams;
mod table_reader;
mod values;
