//! The time of day, and whether it has jumped.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::model::Millis;

/// The longest time to sleep without a look at the clock, which may have jumped meanwhile.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// A difference between the time of day and the time that has passed that is more than drift and scheduling.
const JUMP: Millis = 2_000;

/// Tells the time of day, in milliseconds since the Unix epoch.
#[derive(Clone)]
pub(super) struct TimeOfDay(Arc<dyn Fn() -> Millis + Send + Sync>);

impl TimeOfDay {
    /// The system's clock.
    pub(super) fn system() -> Self {
        Self(Arc::new(|| Utc::now().timestamp_millis()))
    }

    #[cfg(test)]
    pub(super) fn new(time: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    pub(super) fn now(&self) -> Millis {
        (self.0)()
    }
}

/// The time of day, and a steady clock beside it.
pub(super) struct WallClock {
    time: TimeOfDay,
    wall: Millis,
    monotonic: Instant,
}

impl WallClock {
    pub(super) fn start(time: TimeOfDay) -> Self {
        Self { wall: time.now(), time, monotonic: Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> Millis {
        self.time.now()
    }

    /// How long to sleep until then; at most [`LONGEST_SLEEP`].
    pub(super) fn until(&self, at: Millis) -> Duration {
        let left = u64::try_from(at - self.now()).unwrap_or_default();
        Duration::from_millis(left).min(LONGEST_SLEEP)
    }

    /// Whether the time of day has jumped since this was last asked.
    pub(super) fn has_jumped(&mut self) -> bool {
        let (wall, monotonic) = (self.time.now(), Instant::now());
        let passed =
            Millis::try_from(monotonic.duration_since(self.monotonic).as_millis()).unwrap_or(Millis::MAX);
        let jumped = (wall - self.wall - passed).abs() > JUMP;
        (self.wall, self.monotonic) = (wall, monotonic);
        jumped
    }
}
