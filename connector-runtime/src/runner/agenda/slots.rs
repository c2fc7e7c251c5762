//! Who gets a slot.
//!
//! A target that does not answer keeps its slot until time has run out for each of its tries, and many of them would leave none. So
//! half of the slots are for connectors that are quick, and half of the others for those that are slow and do not fail, each
//! as far as there are as many. Whoever is found to be none of these only when it runs gives its slot back when one of them
//! waits.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::model::Millis;

/// A tick that takes so long is not quick.
pub(super) const SLOW: Millis = 1_000;

/// Nor is one that takes so long and fails. A refused connection takes more, most of it between its tries.
pub(super) const IN_VAIN: Millis = 250;

/// How a connector's last tick went.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pace {
    /// It took less than [`SLOW`], or [`IN_VAIN`] where it failed, or is not known.
    #[default]
    Quick,
    /// It took longer, and committed.
    Slow,
    /// It took longer, and failed.
    Failing,
}

impl Pace {
    pub(super) fn of(took: Millis, committed: bool) -> Self {
        match (took, committed) {
            (..SLOW, true) | (..IN_VAIN, false) => Self::Quick,
            (_, true) => Self::Slow,
            (_, false) => Self::Failing,
        }
    }
}

/// Times, and the connectors that they are of.
type Queue = BTreeSet<(Millis, Uuid)>;

/// Which connectors wait for a slot, and which have one.
pub(super) struct Slots {
    count: usize,
    /// What is due of each pace.
    quick: Queue,
    slow: Queue,
    failing: Queue,
    running: HashMap<Uuid, Running>,
    /// Those of them that are quick so far, by when they are no more.
    quick_running: Queue,
    /// Those of them that are slow. The rest counts as failing.
    slow_running: HashSet<Uuid>,
    /// Those of them that were not known to be slow until they were, by when they began.
    found_slow: Queue,
    /// Those of them that were asked to give way.
    asked: HashSet<Uuid>,
}

#[derive(Clone, Copy)]
struct Running {
    began: Millis,
    slow_from: Millis,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            quick: Queue::new(),
            slow: Queue::new(),
            failing: Queue::new(),
            running: HashMap::new(),
            quick_running: Queue::new(),
            slow_running: HashSet::new(),
            found_slow: Queue::new(),
            asked: HashSet::new(),
        }
    }

    /// What is due of a pace, and when.
    pub(super) fn queue(&mut self, pace: Pace) -> &mut Queue {
        match pace {
            Pace::Quick => &mut self.quick,
            Pace::Slow => &mut self.slow,
            Pace::Failing => &mut self.failing,
        }
    }

    /// A tick begins; the one before took so long, if there was one.
    pub(super) fn begin(&mut self, connector: Uuid, pace: Pace, last_took: Option<Millis>, now: Millis) {
        let slow_from = now + slow_after(last_took);
        self.running.insert(connector, Running { began: now, slow_from });
        match pace {
            Pace::Quick => drop(self.quick_running.insert((slow_from, connector))),
            Pace::Slow => drop(self.slow_running.insert(connector)),
            Pace::Failing => {}
        }
    }

    pub(super) fn is_running(&self, connector: Uuid) -> bool {
        self.running.contains_key(&connector)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = Uuid> {
        self.running.keys().copied()
    }

    /// When a tick began that is not running any more.
    pub(super) fn end(&mut self, connector: Uuid) -> Option<Millis> {
        let Running { began, slow_from } = self.running.remove(&connector)?;
        self.quick_running.remove(&(slow_from, connector));
        self.slow_running.remove(&connector);
        self.found_slow.remove(&(began, connector));
        self.asked.remove(&connector);
        Some(began)
    }

    /// The earliest time at which something is due that may run.
    pub(super) fn next_at(&self) -> Option<Millis> {
        let first = |queue: &Queue, left| queue.first().filter(|_| left > 0).map(|(at, _)| *at);
        let next = [
            first(&self.quick, 1),
            first(&self.slow, self.slow_left()),
            first(&self.failing, self.failing_left()),
        ];
        next.into_iter().flatten().min()
    }

    /// The first of what is due until then and may run, in order.
    pub(super) fn first_until(
        &self,
        then: Millis,
        is_wanted: impl Fn(&(Millis, Uuid)) -> bool,
        limit: usize,
    ) -> Vec<(Millis, Uuid)> {
        let [quick, slow, failing] = [&self.quick, &self.slow, &self.failing]
            .map(|queue| queue.range(..=(then, Uuid::max())).copied().filter(&is_wanted));
        let others = slow.chain(failing.take(self.failing_left())).take(limit.min(self.slow_left()));
        let mut first: Vec<_> = quick.take(limit).chain(others).collect();
        first.sort_unstable();
        first.truncate(limit);
        first
    }

    /// How many more connectors may run that are not quick.
    fn slow_left(&self) -> usize {
        self.slow_slots().saturating_sub(self.running.len() - self.quick_running.len())
    }

    /// How many of those may be failing.
    fn failing_left(&self) -> usize {
        self.failing_slots().saturating_sub(self.failing_running()).min(self.slow_left())
    }

    /// How many connectors may run that are not quick.
    fn slow_slots(&self) -> usize {
        left_by(self.quick.len() + self.quick_running.len(), self.count)
    }

    /// How many of those may be failing.
    fn failing_slots(&self) -> usize {
        left_by(self.slow.len() + self.slow_running.len(), self.slow_slots())
    }

    fn failing_running(&self) -> usize {
        self.running.len() - self.quick_running.len() - self.slow_running.len()
    }

    /// Where others are due and all slots are taken: which ticks are to give way to them, as they have run for long, and there are
    /// more such ticks than may run. Each of them is asked once, and answers with [`gave_way`](Self::gave_way), or ends.
    pub(super) fn ask_to_give_way(&mut self, now: Millis) -> Vec<Uuid> {
        while let Some(&(slow_from, id)) = self.quick_running.first()
            && slow_from <= now
        {
            self.quick_running.pop_first();
            self.found_slow.extend(self.running.get(&id).map(|running| (running.began, id)));
        }
        let count = self.too_many().map(|(too_many, queue)| {
            let waiting = queue.range(..=(now, Uuid::max())).take(self.count).count();
            too_many.min(waiting.saturating_sub(self.asked.len()))
        });
        let [for_quick, for_slow] = count;
        // The latest have the longest to go.
        let latest = std::iter::from_fn(|| self.found_slow.pop_last()).take(for_quick.max(for_slow));
        let latest: Vec<Uuid> = latest.map(|(_, id)| id).collect();
        self.asked.extend(&latest);
        latest
    }

    /// When the next tick may have to give way, if all slots are taken for so long.
    pub(super) fn next_to_give_way_at(&self) -> Option<Millis> {
        let found = self.too_many().map(|(too_many, queue)| {
            let (waits_from, _) = queue.iter().nth(self.asked.len())?;
            let found = (too_many > 0 && !self.found_slow.is_empty()).then_some(*waits_from);
            found.or_else(|| self.quick_running.first().map(|(slow_from, _)| *slow_from.max(waits_from)))
        });
        found.into_iter().flatten().min()
    }

    /// How many more ticks than may are not quick, or are failing, without those that were asked to give way; and who waits for
    /// their slots.
    fn too_many(&self) -> [(usize, &Queue); 2] {
        let asked = self.asked.len();
        let (failing, slow) =
            (self.failing_running() - asked, self.running.len() - self.quick_running.len() - asked);
        [
            (slow.saturating_sub(self.slow_slots()), &self.quick),
            (failing.saturating_sub(self.failing_slots()), &self.slow),
        ]
    }
}

/// When a tick is not quick any more, whatever it turns out to be: after ten times what the one before took, within [`IN_VAIN`] and
/// [`SLOW`], so that those who do not answer are found soon; but not before twice of it, as where everything takes longer,
/// not all of it is to begin again.
fn slow_after(last_took: Option<Millis>) -> Millis {
    last_took.map_or(SLOW, |took| (10 * took).clamp(IN_VAIN, SLOW).max(2 * took))
}

/// How many of some slots are left, when half of them are for `others`, as far as there are as many.
fn left_by(others: usize, slots: usize) -> usize {
    slots - others.min(slots / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNT: usize = 5;

    /// What is due, and of which pace.
    type Wishes = Vec<(Millis, Uuid, Pace)>;

    #[test]
    fn a_tick_is_slow_after_ten_times_the_one_before_or_twice_a_long_one() {
        let expected =
            [(0, 250), (2, 250), (30, 300), (100, 1_000), (400, 1_000), (990, 1_980), (9_000, 18_000)];
        for (took, slow) in expected {
            assert_eq!(slow_after(Some(took)), slow, "{took}");
        }
        assert_eq!(slow_after(None), SLOW);
    }

    proptest! {
        /// Whoever sleeps until the times that are told finds something to do then, and nobody has more than their part.
        #[test]
        fn each_time_that_is_told_is_one_to_do_something(
            ticks in proptest::collection::vec((0..3_usize, 0..4_000_i64, 0..4_000_i64), 1..60),
        ) {
            let mut slots = Slots::new(COUNT);
            let mut waiting = Wishes::new();
            let mut ends: Vec<(Millis, Uuid)> = Vec::new();
            let mut takes = HashMap::new();
            for (n, (pace, due, took)) in ticks.into_iter().enumerate() {
                let (id, pace) = (Uuid::from_u128(n as u128), [Pace::Quick, Pace::Slow, Pace::Failing][pace]);
                slots.queue(pace).insert((due, id));
                waiting.push((due, id, pace));
                takes.insert(id, took);
            }
            let mut now = 0;
            for turn in 0.. {
                prop_assert!(turn < 1_000, "it goes round in circles at {now}");
                let free = COUNT - slots.running.len();
                let found = if free > 0 { slots.first_until(now, |_| true, free) } else { Vec::new() };
                prop_assert_eq!(found.is_empty(), free == 0 || slots.next_at().is_none_or(|at| at > now));
                for (due, id) in found {
                    let at = waiting.iter().position(|(_, one, _)| *one == id).unwrap();
                    let (_, _, pace) = waiting.swap_remove(at);
                    slots.queue(pace).remove(&(due, id));
                    slots.begin(id, pace, Some(takes[&id] / 4).filter(|took| took % 2 == 0), now);
                    ends.push((now + takes[&id], id));
                }
                if free == 0 {
                    let asked = slots.ask_to_give_way(now);
                    prop_assert!(asked.len() <= slots.quick.len() + slots.slow.len());
                    prop_assert!(!asked.is_empty() || slots.next_to_give_way_at().is_none_or(|at| at > now));
                    for (end, id) in &mut ends {
                        *end = if asked.contains(id) { now + 1 } else { *end };
                    }
                }
                let next = if slots.running.len() < COUNT { slots.next_at() } else { slots.next_to_give_way_at() };
                let Some(then) = ends.iter().map(|(at, _)| *at).chain(next).min() else { break };
                now = now.max(then);
                for (_, id) in ends.extract_if(.., |(at, _)| *at <= now) {
                    prop_assert!(slots.end(id).is_some());
                }
            }
            prop_assert!(waiting.is_empty(), "{} wait for ever", waiting.len());
            prop_assert!(slots.found_slow.is_empty() && slots.asked.is_empty());
        }
    }
}
