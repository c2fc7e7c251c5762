//! Points at which a test can end or pause the process, to see what it leaves behind.
//!
//! `FAILPOINT=data-commit:3` ends the process as `kill -9` does when it passes the point `data-commit` for the third
//! time; `FAILPOINT=data-commit:3:stop` pauses it there instead, until it gets SIGCONT.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

struct Armed {
    point: String,
    signal: Signal,
    left: AtomicU64,
}

static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
    let text = std::env::var("FAILPOINT").ok()?;
    let mut parts = text.split(':');
    let point = parts.next()?.to_owned();
    let left = AtomicU64::new(parts.next().and_then(|count| count.parse().ok()).unwrap_or(1));
    let signal = if parts.next() == Some("stop") { Signal::STOP } else { Signal::KILL };
    Some(Armed { point, signal, left })
});

/// Goes on, unless this is the pass that the environment names.
pub(crate) fn pass(point: &str) {
    let Some(armed) = &*ARMED else { return };
    if armed.point == point && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        if let Err(error) = kill_process(getpid(), armed.signal) {
            panic!("cannot send a signal to this process: {error}");
        }
        // A stop reaches this thread a little later than the call returns.
        std::thread::sleep(Duration::from_millis(200));
    }
}
