//! The two clocks of a store.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::{model::Millis, store::LEASE};

/// Milliseconds of uptime, sleep included. All processes that share a store's folder share this clock, and nobody can
/// set it, so leases are measured by it.
pub(super) fn uptime() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let now = clock_gettime(clock);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// The wall clock, for what people read.
pub(super) fn wall() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A lease's full term.
pub(super) fn lease_millis() -> i64 {
    i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX)
}

/// How long a lease that expires then lasts yet, if it is live: one that seems to last longer than a full term was
/// written before the clock restarted.
pub(super) fn remaining(expires: i64) -> Option<Duration> {
    let left = expires - uptime();
    if left > 0 && left <= lease_millis() {
        u64::try_from(left).ok().map(Duration::from_millis)
    } else {
        None
    }
}
