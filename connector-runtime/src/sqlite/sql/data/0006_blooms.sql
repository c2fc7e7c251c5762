-- Which values a tick has: see bloom.rs. Small ticks have no filter, and neither have those of before.
CREATE TABLE "$blooms" (
    tick INTEGER PRIMARY KEY,
    bits BLOB NOT NULL
);
