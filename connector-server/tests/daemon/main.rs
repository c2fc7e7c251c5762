//! The `connectord` program as an operator meets it: started, driven over HTTP, given bad input, stopped.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

mod access;
mod backup;
mod commands;
mod daemon;
mod metrics;
mod names;
mod open_files;
mod retention;
mod secrets;
mod source;
mod sources;
mod stop;
mod stores;
mod strangers;
