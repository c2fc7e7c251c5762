//! Which ticks are about to end, so that those that end together can share a commit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// For so long after its claim a tick is expected to end at any moment.
const SOON: Duration = Duration::from_millis(50);

/// The ticks that this process has claimed lately and that have not ended yet.
#[derive(Debug)]
pub(super) struct Siblings {
    soon: Duration,
    begun: Mutex<VecDeque<(Instant, Uuid)>>,
}

impl Default for Siblings {
    fn default() -> Self {
        Self::within(SOON)
    }
}

impl Siblings {
    /// For so long after its claim a tick is expected.
    pub(super) fn within(soon: Duration) -> Self {
        Self { soon, begun: Mutex::default() }
    }

    /// A connector's tick begins.
    pub(super) fn begins(&self, connector: Uuid) {
        let now = Instant::now();
        let mut begun = self.begun(now);
        begun.push_back((now, connector));
    }

    /// A connector's tick has ended.
    pub(super) fn ended(&self, connector: Uuid) {
        self.begun(Instant::now()).retain(|(_, begun)| *begun != connector);
    }

    /// Whether some are expected to end soon.
    pub(super) fn are_expected(&self) -> bool {
        !self.begun(Instant::now()).is_empty()
    }

    fn begun(&self, now: Instant) -> MutexGuard<'_, VecDeque<(Instant, Uuid)>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        while begun.front().is_some_and(|(since, _)| now.duration_since(*since) > self.soon) {
            begun.pop_front();
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_expected_until_it_ends_or_takes_long() {
        let siblings = Siblings::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(!siblings.are_expected());
        siblings.begins(one);
        siblings.begins(two);
        siblings.ended(one);
        let now = Instant::now();
        assert_eq!(siblings.begun(now).len(), 1);
        assert!(siblings.begun(now + 2 * SOON).is_empty());
    }
}
