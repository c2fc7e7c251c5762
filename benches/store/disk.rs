//! What the disk can do, whoever asks.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// `fdatasync` of 8 KiB appended, as a small commit needs it: how many a second.
pub(crate) fn syncs_per_second(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("syncs")).expect("a file in a new folder");
    let (page, mut times) = ([7; 8192], 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        file.write_all(&page).and_then(|()| file.sync_data()).expect("room on the disk");
        times += 1;
    }
    f64::from(times) / start.elapsed().as_secs_f64()
}

/// Bytes a second that reach the disk one after the other.
pub(crate) fn bytes_per_second(folder: &Path) -> f64 {
    const CHUNK: usize = 16 << 20;
    const CHUNKS: usize = 16;
    let mut file = File::create(folder.join("bytes")).expect("a file in a new folder");
    let chunk = vec![7; CHUNK];
    let start = Instant::now();
    for _ in 0..CHUNKS {
        file.write_all(&chunk).and_then(|()| file.sync_data()).expect("room on the disk");
    }
    (CHUNK * CHUNKS) as f64 / start.elapsed().as_secs_f64()
}
