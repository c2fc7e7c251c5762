//! What a runner has to do next: every connector that it knows, in the order in which they are due.
//!
//! No clock inside: each call is told the time, in milliseconds since the Unix epoch.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use connector_core::Configured;
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

use crate::model::{Millis, State};
use crate::schedule::{self, Due};
use crate::store::{Assignment, Claim};

/// How soon to try a trigger again whose connector another runner has.
const TRIGGER_RETRY: Millis = 250;

/// How long before it is due a scheduled tick may begin, together with one that is due: they share what waking up and
/// committing cost. In a short interval it is a tenth of that.
const EARLY: Millis = 100;

/// So many ticks at once share enough: none of them begins early for more.
const ENOUGH: usize = 32;

/// A connector whose last tick took so long, or whose tick runs for so long, is slow. Half of the slots are for others, as far as
/// there are as many: a target that does not answer keeps its slot until time has run out for each of its tries, and many of them
/// would leave none.
const SLOW: Millis = 1_000;

pub(super) struct Agenda {
    entries: HashMap<Uuid, Entry>,
    /// What is due of connectors that are not slow, and of those that are.
    quick: BTreeSet<(Millis, Uuid)>,
    slow: BTreeSet<(Millis, Uuid)>,
    /// What is running, and when it began.
    running: HashMap<Uuid, Millis>,
    /// Those of them that are not slow, by when they began.
    quick_running: BTreeSet<(Millis, Uuid)>,
    /// Those of them that were not known to be slow until they were, by when they began.
    found_slow: BTreeSet<(Millis, Uuid)>,
    /// Those of them that were asked to give way.
    asked: HashSet<Uuid>,
    slots: usize,
    skipped: Counter,
}

struct Entry {
    assignment: Assignment,
    source: Configured,
    /// When it is in the queue, with what.
    wish: Option<Wish>,
    /// The latest bucket that was claimed on schedule, whatever came of it.
    claimed: Option<Millis>,
    /// A bucket that another runner has, or left behind, to look at again at that time.
    recheck: Option<Due>,
    /// No trigger before that time.
    triggers_from: Millis,
    is_slow: bool,
}

#[derive(Clone, Copy)]
struct Wish {
    due: Due,
    /// When it may begin if something else does.
    from: Millis,
    triggered: bool,
}

impl Entry {
    /// The next bucket of the schedule.
    fn next_due(&self, now: Millis, id: Uuid) -> Due {
        let interval = self.assignment.spec.schedule_ms;
        let Due { scheduled_for, due_at } = schedule::next_due(now, interval, id);
        if self.claimed == Some(scheduled_for) {
            Due { scheduled_for: scheduled_for + interval, due_at: due_at + interval }
        } else {
            Due { scheduled_for, due_at }
        }
    }
}

impl Agenda {
    /// Knows no connector yet. `skipped` counts the buckets that pass before they can be run.
    pub(super) fn new(slots: usize, skipped: Counter) -> Self {
        Self {
            entries: HashMap::new(),
            quick: BTreeSet::new(),
            slow: BTreeSet::new(),
            running: HashMap::new(),
            quick_running: BTreeSet::new(),
            found_slow: BTreeSet::new(),
            asked: HashSet::new(),
            slots,
            skipped,
        }
    }

    /// Takes in a connector that is new or has changed.
    pub(super) fn put(&mut self, assignment: Assignment, source: Configured, now: Millis) {
        let id = assignment.id;
        let is_slow = self.entries.get(&id).is_some_and(|entry| entry.is_slow);
        let running = self.running.contains_key(&id);
        let recheck = assignment.leased.filter(|_| !running).map(|(bucket, left)| later(bucket, now, left));
        self.remove_from_queue(id);
        let (wish, claimed) = (None, None);
        self.entries
            .insert(id, Entry { assignment, source, wish, claimed, recheck, triggers_from: now, is_slow });
        self.plan(id, now);
    }

    /// Forgets a connector. A tick of it that is running goes on.
    pub(super) fn remove(&mut self, id: Uuid) {
        self.remove_from_queue(id);
        self.entries.remove(&id);
    }

    /// The earliest time at which something is due that may run.
    pub(super) fn next_at(&self) -> Option<Millis> {
        let slow = self.slow.first().filter(|_| self.slow_left() > 0);
        self.quick.first().into_iter().chain(slow).map(|(at, _)| *at).min()
    }

    /// How many more slow connectors may run.
    fn slow_left(&self) -> usize {
        self.slow_slots().saturating_sub(self.running.len() - self.quick_running.len())
    }

    /// How many slow connectors may run.
    fn slow_slots(&self) -> usize {
        self.slots - (self.quick.len() + self.quick_running.len()).min(self.slots / 2)
    }

    /// Where others are due and all slots are taken: which ticks are to give way to them, as they have run for long, and there are
    /// more such ticks than may run. Each of them is asked once, and answers with [`gave_way`](Self::gave_way), or ends.
    pub(super) fn ask_to_give_way(&mut self, now: Millis) -> Vec<Uuid> {
        while let Some(&(began, id)) = self.quick_running.first()
            && now - began >= SLOW
        {
            self.quick_running.pop_first();
            self.found_slow.insert((began, id));
        }
        let waiting = self.quick.range(..=(now, Uuid::max())).take(self.slots).count();
        let count = self.too_many_slow().min(waiting.saturating_sub(self.asked.len()));
        // The latest have the longest to go.
        let latest: Vec<Uuid> =
            std::iter::from_fn(|| self.found_slow.pop_last()).take(count).map(|(_, id)| id).collect();
        self.asked.extend(&latest);
        latest
    }

    /// When the next tick may have to give way, if all slots are taken for so long.
    pub(super) fn next_to_give_way_at(&self) -> Option<Millis> {
        let (waits_from, _) = self.quick.iter().nth(self.asked.len())?;
        if self.too_many_slow() > 0 && !self.found_slow.is_empty() {
            return Some(*waits_from);
        }
        self.quick_running.first().map(|(began, _)| (began + SLOW).max(*waits_from))
    }

    /// How many more slow connectors run than may, but for those that were asked to give way.
    fn too_many_slow(&self) -> usize {
        (self.running.len() - self.quick_running.len() - self.asked.len()).saturating_sub(self.slow_slots())
    }

    /// Takes out up to `limit` ticks that are due, and where one is, those that may begin with it. Each is answered with
    /// one of the methods below.
    pub(super) fn take_due(&mut self, now: Millis, limit: usize) -> Vec<Claim> {
        let mut claims = Vec::new();
        if self.next_at().is_none_or(|at| at > now) {
            return claims;
        }
        for (at, id) in self.due_or_early(now, limit) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if entry.is_slow { &mut self.slow } else { &mut self.quick }.remove(&(at, id));
            let Some(wish) = entry.wish.take() else { continue };
            let interval = entry.assignment.spec.schedule_ms;
            let scheduled_for = wish.due.scheduled_for;
            if !wish.triggered && now >= scheduled_for + interval {
                let missed = (now - scheduled_for) / interval;
                tell_skipped(&entry.assignment, missed, &self.skipped);
                self.plan(id, now);
                continue;
            }
            if !wish.triggered {
                entry.claimed = Some(scheduled_for);
            }
            let generation = entry.assignment.generation;
            claims.push(Claim { connector: id, generation, scheduled_for, triggered: wish.triggered });
        }
        claims
    }

    fn due_or_early(&self, now: Millis, limit: usize) -> Vec<(Millis, Uuid)> {
        let mut places: Vec<_> = self.soon(&self.quick, now).take(limit).collect();
        places.extend(self.soon(&self.slow, now).take(limit.min(self.slow_left())));
        places.sort_unstable();
        places.truncate(limit);
        let enough = places.iter().enumerate().take_while(|(before, (at, _))| *at <= now || *before < ENOUGH);
        places.truncate(enough.count());
        places
    }

    /// What is due in a queue, or may begin early.
    fn soon(&self, queue: &BTreeSet<(Millis, Uuid)>, now: Millis) -> impl Iterator<Item = (Millis, Uuid)> {
        let may_begin = move |id: &Uuid| {
            self.entries.get(id).and_then(|entry| entry.wish).is_some_and(|wish| wish.from <= now)
        };
        let soon = queue.range(..=(now + EARLY, Uuid::max())).copied();
        soon.filter(move |(at, id)| *at <= now || may_begin(id))
    }

    /// The claim was granted: what to run, and how long until the connector's next tick is due.
    pub(super) fn granted(
        &mut self,
        claim: Claim,
        now: Millis,
    ) -> Option<(Assignment, Configured, Duration)> {
        let entry = self.entries.get_mut(&claim.connector)?;
        self.running.insert(claim.connector, now);
        if !entry.is_slow {
            self.quick_running.insert((now, claim.connector));
        }
        if entry.recheck.is_some_and(|due| due.scheduled_for <= claim.scheduled_for) {
            entry.recheck = None;
        }
        let next = entry.next_due(now, claim.connector);
        let left = Duration::from_millis(u64::try_from(next.due_at - now).unwrap_or_default());
        Some((entry.assignment.clone(), entry.source.clone(), left))
    }

    /// A tick that was granted has ended.
    pub(super) fn ended(&mut self, claim: Claim, now: Millis) {
        let Some(began) = self.end(claim.connector) else { return };
        if let Some(entry) = self.entries.get_mut(&claim.connector) {
            entry.is_slow = now - began >= SLOW;
            entry.assignment.triggers.retain(|bucket| *bucket != claim.scheduled_for);
            let Assignment { generation, spec, state, .. } = &entry.assignment;
            if !claim.triggered && claim.generation == *generation && *state == State::Active {
                let next = entry.next_due(now, claim.connector).scheduled_for;
                let missed = (next - claim.scheduled_for) / spec.schedule_ms - 1;
                tell_skipped(&entry.assignment, missed, &self.skipped);
            }
            self.plan(claim.connector, now);
        }
    }

    /// A tick that was granted has given way to others. It is due again, as slow as it is.
    pub(super) fn gave_way(&mut self, claim: Claim, now: Millis) {
        if self.end(claim.connector).is_some()
            && let Some(entry) = self.entries.get_mut(&claim.connector)
        {
            entry.is_slow = true;
            self.again(claim, now, now);
        }
    }

    /// When a tick began that is not running any more.
    fn end(&mut self, connector: Uuid) -> Option<Millis> {
        let began = self.running.remove(&connector)?;
        self.quick_running.remove(&(began, connector));
        self.found_slow.remove(&(began, connector));
        self.asked.remove(&connector);
        Some(began)
    }

    /// The claim was not granted, because that bucket has been run.
    pub(super) fn done(&mut self, claim: Claim, now: Millis) {
        if let Some(entry) = self.entries.get_mut(&claim.connector) {
            entry.recheck = None;
            entry.assignment.triggers.retain(|bucket| *bucket != claim.scheduled_for);
            self.plan(claim.connector, now);
        }
    }

    /// The claim was not granted, because another runner has the connector for so long yet.
    pub(super) fn held(&mut self, claim: Claim, left: Duration, now: Millis) {
        if let Some(entry) = self.entries.get_mut(&claim.connector) {
            if claim.triggered {
                entry.triggers_from = now + TRIGGER_RETRY;
            } else {
                entry.recheck = Some(later(claim.scheduled_for, now, left));
            }
            self.plan(claim.connector, now);
        }
    }

    /// The claim could not be made: it comes again a little later.
    pub(super) fn again(&mut self, claim: Claim, at: Millis, now: Millis) {
        if let Some(entry) = self.entries.get_mut(&claim.connector) {
            if claim.triggered {
                entry.triggers_from = at;
            } else {
                entry.recheck = Some(Due { scheduled_for: claim.scheduled_for, due_at: at });
            }
            self.plan(claim.connector, now);
        }
    }

    /// Plans everything anew, after the clock has jumped.
    pub(super) fn replan(&mut self, now: Millis) {
        let ids: Vec<Uuid> = self.entries.keys().copied().collect();
        for id in ids {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.recheck = None;
                entry.triggers_from = now;
            }
            self.plan(id, now);
        }
    }

    fn plan(&mut self, id: Uuid, now: Millis) {
        self.remove_from_queue(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if self.running.contains_key(&id) || entry.assignment.state != State::Active {
            return;
        }
        let interval = entry.assignment.spec.schedule_ms;
        // A bucket that has passed is not made up for.
        entry.recheck = entry.recheck.filter(|due| due.due_at.max(now) < due.scheduled_for + interval);
        let next = entry.next_due(now, id);
        let from = (next.due_at - EARLY.min(interval / 10)).max(next.scheduled_for);
        let mut wish = Wish { due: next, from, triggered: false };
        if let Some(due) = entry.recheck.filter(|recheck| recheck.due_at < next.due_at) {
            wish = Wish { due, from: due.due_at, triggered: false };
        }
        if let Some(&bucket) = entry.assignment.triggers.first()
            && entry.triggers_from < wish.due.due_at
        {
            let due = Due { scheduled_for: bucket, due_at: entry.triggers_from.max(now) };
            wish = Wish { due, from: due.due_at, triggered: true };
        }
        entry.wish = Some(wish);
        if entry.is_slow { &mut self.slow } else { &mut self.quick }.insert((wish.due.due_at, id));
    }

    fn remove_from_queue(&mut self, id: Uuid) {
        if let Some(entry) = self.entries.get_mut(&id)
            && let Some(wish) = entry.wish.take()
        {
            if entry.is_slow { &mut self.slow } else { &mut self.quick }.remove(&(wish.due.due_at, id));
        }
    }
}

fn tell_skipped(assignment: &Assignment, missed: i64, skipped: &Counter) {
    if let Ok(buckets @ 1..) = u64::try_from(missed) {
        tracing::warn!(connector = %assignment.spec.name, missed, "skipped buckets that had passed");
        skipped.inc_by(buckets);
    }
}

/// To look at a bucket again when a lease that lasts so long yet is over.
fn later(bucket: Millis, now: Millis, left: Duration) -> Due {
    let left = Millis::try_from(left.as_millis()).unwrap_or(Millis::MAX / 4);
    Due { scheduled_for: bucket, due_at: now + left + 1 }
}

#[cfg(test)]
mod tests;
