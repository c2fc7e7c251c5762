//! The client against real servers on loopback.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

mod bodies;
mod cancelling;
mod connections;
mod deadline;
mod fixture;
mod http2;
mod programs;
mod redirects;
mod requests;
mod retries;
mod secure;
mod strangers;
mod tls;
