//! The control API, driven over HTTP on a free port.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

mod access;
mod broken;
mod calls;
mod problems;
mod server;
mod slow;
