//! When a connector ticks: pure arithmetic over (time, interval, id), with no clock inside.
//!
//! Time is cut into **buckets** of `schedule_ms`, counted from the Unix epoch; a tick belongs to a bucket and is stamped
//! with its beginning. Each connector fires at a fixed **offset** inside its buckets, derived from its id, so that
//! a thousand connectors with one interval do not fire at once, and a restart keeps each one's place. Offsets are whole
//! steps, so that those who fire close to each other fire together: they share what waking up and committing cost. A
//! runner may begin a tick a little earlier for the same reason, and later, within its bucket, when the tick before was in the way or no
//! runner was there.
//!
//! All times are milliseconds since the Unix epoch, all intervals milliseconds.

use uuid::Uuid;

/// Into so many steps an interval is divided.
const STEPS: i64 = 20;

/// Ticks fire in the first of them, so that they can end within their bucket.
const STEPS_USED: i64 = 18;

/// The longest step: a longer interval has more of them.
const LONGEST_STEP: i64 = 50;

/// The beginning of the bucket that `now` lies in.
pub fn bucket(now: i64, interval: i64) -> i64 {
    now.div_euclid(interval) * interval
}

/// How far into its buckets a connector fires: at least 0 and less than 90 % of the interval, in steps of a twentieth of
/// the interval and at most 50 ms.
pub fn offset(id: Uuid, interval: i64) -> i64 {
    let step = (interval / STEPS).clamp(1, LONGEST_STEP);
    let steps = (interval * STEPS_USED / STEPS / step).max(1);
    // A random id is its own hash; multiplying spreads the ids that are not random.
    let hash = id.as_u128().wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 65;
    step * i64::try_from(hash % u128::from(steps.unsigned_abs())).unwrap_or(0)
}

/// The first bucket that fires after `now`, and when it fires. It is at most one interval away.
pub fn next_due(now: i64, interval: i64, id: Uuid) -> Due {
    let this = bucket(now, interval);
    let due_at = this + offset(id, interval);
    if due_at > now {
        Due { scheduled_for: this, due_at }
    } else {
        Due { scheduled_for: this + interval, due_at: due_at + interval }
    }
}

/// A bucket, and when its tick fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The bucket's beginning: the tick's timestamp.
    pub scheduled_for: i64,
    /// When it fires.
    pub due_at: i64,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;

    proptest! {
        #[test]
        fn the_next_tick_is_within_one_interval_and_inside_its_bucket(
            now in -DAY * 400..DAY * 40_000, interval in 100..=DAY, id in any::<u128>()
        ) {
            let id = Uuid::from_u128(id);
            let due = next_due(now, interval, id);
            prop_assert!(due.due_at > now && due.due_at <= now + interval);
            prop_assert_eq!(due.scheduled_for.rem_euclid(interval), 0);
            prop_assert_eq!(bucket(due.due_at, interval), due.scheduled_for);
            prop_assert!(due.due_at - due.scheduled_for < interval * 9 / 10);
            let next = next_due(due.due_at, interval, id);
            prop_assert_eq!(next.scheduled_for, due.scheduled_for + interval);
            prop_assert_eq!(next.due_at, due.due_at + interval);
        }

        #[test]
        fn a_bucket_begins_at_or_before_now(now in -DAY * 400..DAY * 40_000, interval in 100..=DAY) {
            let begin = bucket(now, interval);
            prop_assert!(begin <= now && now < begin + interval);
        }
    }

    #[test]
    fn offsets_spread_over_the_bucket() {
        let mut tenths = [0; 10];
        for n in 0..1000_u128 {
            let at = offset(Uuid::from_u128(n), 15_000);
            tenths[usize::try_from(at / 1_350).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| *n > 50), "{tenths:?}");
    }

    #[test]
    fn offsets_close_to_each_other_are_the_same() {
        let offsets = |interval| -> HashSet<i64> {
            (0..1000_u128).map(|n| offset(Uuid::from_u128(n), interval)).collect()
        };
        assert_eq!(offsets(1_000), (0..18).map(|step| step * 50).collect());
        assert_eq!(offsets(100), (0..18).map(|step| step * 5).collect());
        assert!(offsets(60_000).iter().all(|offset| offset % 50 == 0));
    }
}
