//! What every store does, said once and asked of each of them.

// The functions that the tests share are tests too, though clippy does not see it.
#![allow(clippy::unwrap_used)]

mod conformance;
