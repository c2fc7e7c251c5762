//! How far a long work is, on a terminal.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::text;

/// How often it is drawn anew.
const EVERY: Duration = Duration::from_millis(100);

/// How many rows are read between two looks at the clock.
const STEP: u64 = 1_000;

/// The bar's width.
const WIDTH: u64 = 30;

/// A bar on standard error; nothing, where that is no terminal.
pub(super) struct Progress {
    shown: bool,
    total: u64,
    done: u64,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { shown, total, done: 0, begun: Instant::now(), drawn: None }
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        self.done += 1;
        if self.shown
            && self.done.is_multiple_of(STEP)
            && self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY)
        {
            self.drawn = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r{}\x1b[K", self.line());
        }
    }

    fn line(&self) -> String {
        let of = |whole: u64| u128::from(whole) * u128::from(self.done) / u128::from(self.total.max(1));
        let full = usize::try_from(of(WIDTH)).unwrap_or(0);
        let bar = "#".repeat(full) + &"-".repeat(WIDTH as usize - full.min(WIDTH as usize));
        let rate = self.done as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let (done, total) = (text::count(self.done), text::count(self.total));
        format!("[{bar}] {} % · {done} of {total} rows · {} a second", of(100), text::count(rate as u64))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_work_is_done() {
        let mut progress =
            Progress { shown: false, total: 3_000, done: 0, begun: Instant::now(), drawn: None };
        assert!(progress.line().starts_with(&format!("[{}] 0 % · 0 of 3,000 rows", "-".repeat(30))));
        (0..1_000).for_each(|_| progress.step());
        let bar = format!("[{}{}] 33 % · 1,000 of", "#".repeat(10), "-".repeat(20));
        assert!(progress.line().starts_with(&bar), "{}", progress.line());
        (0..2_000).for_each(|_| progress.step());
        assert!(progress.line().starts_with(&format!("[{}] 100 %", "#".repeat(30))));
    }
}
