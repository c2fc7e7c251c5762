//! Kills, pauses and starves the real daemon, and counts the rows afterwards.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

mod daemon;
mod exporter;
mod fleet;
mod folder;
mod kill;
mod pause;
