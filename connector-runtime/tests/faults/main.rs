//! The SQLite store on disks that fail, fill up, vanish and lose their power.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

mod disk;
mod errors;
mod places;
mod power;
mod stage;
mod vfs;
