//! The time of day, and whether it has jumped.

use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::model::Millis;

/// The longest time to sleep without a look at the clock, which may have jumped meanwhile.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// A difference between the time of day and the time that has passed that is more than drift and scheduling.
const JUMP: Millis = 2_000;

/// The time of day.
pub(super) struct WallClock {
    wall: Millis,
    monotonic: Instant,
}

impl WallClock {
    pub(super) fn start() -> Self {
        Self { wall: Utc::now().timestamp_millis(), monotonic: Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> Millis {
        Utc::now().timestamp_millis()
    }

    /// How long to sleep until then; at most [`LONGEST_SLEEP`].
    pub(super) fn until(&self, at: Millis) -> Duration {
        let left = u64::try_from(at - self.now()).unwrap_or_default();
        Duration::from_millis(left).min(LONGEST_SLEEP)
    }

    /// Whether the time of day has jumped since this was last asked.
    pub(super) fn has_jumped(&mut self) -> bool {
        let now = Self::start();
        let passed =
            Millis::try_from(now.monotonic.duration_since(self.monotonic).as_millis()).unwrap_or(Millis::MAX);
        let jumped = (now.wall - self.wall - passed).abs() > JUMP;
        *self = now;
        jumped
    }
}
