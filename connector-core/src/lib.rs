//! The contract that a connector implements: configuration in, one tick at a time, rows out
