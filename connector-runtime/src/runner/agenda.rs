//! What a runner has to do next: every connector that it knows, in the order in which they are due.
//!
//! No clock inside: each call is told the time, in milliseconds since the Unix epoch.

mod slots;

use std::collections::HashMap;
use std::time::Duration;

use connector_core::Configured;
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

use crate::model::{Millis, Outcome, State};
use crate::schedule::{self, Due};
use crate::store::{Assignment, Claim, is_done};
use slots::{Pace, Slots};

/// How soon to try a trigger again whose connector another runner has.
const TRIGGER_RETRY: Millis = 250;

/// How long before it is due a scheduled tick may begin, together with one that is due: they share what waking up and
/// committing cost. In a short interval it is a tenth of that.
const EARLY: Millis = 100;

/// How long after it was due a tick may begin that the one before was in the way of. In a short interval it is a tenth of that.
const LATE: Millis = 100;

/// So many ticks at once share enough: none of them begins early for more.
const ENOUGH: usize = 32;

pub(super) struct Agenda {
    entries: HashMap<Uuid, Entry>,
    slots: Slots,
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
    past: Past,
}

/// How a connector's ticks went.
#[derive(Default)]
struct Past {
    pace: Pace,
    /// How long the last one took, if this runner had one.
    took: Option<Millis>,
    /// One that an operator asked for gave way to others, and is due again.
    trigger_gave_way: bool,
}

impl Past {
    /// That of a connector that is new to this runner.
    fn of_last(assignment: &Assignment) -> Self {
        match &assignment.last_tick {
            // The runner of an abandoned one died where it does not say how often it tried.
            Some(tick) if tick.outcome != Outcome::Abandoned || tick.attempts > 0 => {
                let took = tick.finished_at - tick.started_at;
                Self { pace: Pace::of(took, tick.outcome == Outcome::Committed), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// What the next tick is taken for. Who asks for one may have mended its target, and is not to wait for those that still fail.
    fn pace(&self, triggered: bool) -> Pace {
        if triggered && !self.trigger_gave_way { Pace::Quick } else { self.pace }
    }
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
        Self { entries: HashMap::new(), slots: Slots::new(slots), skipped }
    }

    /// Takes in a connector that is new or has changed.
    pub(super) fn put(&mut self, mut assignment: Assignment, source: Configured, now: Millis) {
        let id = assignment.id;
        let running = self.slots.is_running(id);
        let left_behind =
            assignment.leased.filter(|_| !running).map(|(bucket, left)| later(bucket, now, left));
        self.remove_from_queue(id);
        let (past, recheck) = match self.entries.remove(&id) {
            Some(known) if known.assignment.generation == assignment.generation => (known.past, left_behind),
            // How it went with another config says nothing.
            Some(_) => (Past::default(), left_behind),
            None => (Past::of_last(&assignment), left_over(&assignment, left_behind, now)),
        };
        // It would be copied for each tick.
        assignment.last_tick = None;
        let (wish, claimed) = (None, None);
        self.entries
            .insert(id, Entry { assignment, source, wish, claimed, recheck, triggers_from: now, past });
        self.plan(id, now);
    }

    /// Forgets a connector. A tick of it that is running goes on.
    pub(super) fn remove(&mut self, id: Uuid) {
        self.remove_from_queue(id);
        self.entries.remove(&id);
    }

    /// The earliest time at which something is due that may run.
    pub(super) fn next_at(&self) -> Option<Millis> {
        self.slots.next_at()
    }

    /// Where others are due and all slots are taken: the connectors whose ticks are to give way to them. Each of them is asked
    /// once, and answers with [`gave_way`](Self::gave_way), or ends.
    pub(super) fn ask_to_give_way(&mut self, now: Millis) -> Vec<Uuid> {
        self.slots.ask_to_give_way(now)
    }

    /// When the next tick may have to give way, if all slots are taken for so long.
    pub(super) fn next_to_give_way_at(&self) -> Option<Millis> {
        self.slots.next_to_give_way_at()
    }

    /// The connectors whose ticks are running and failed the last time.
    pub(super) fn failing_again(&self) -> Vec<Uuid> {
        let failed = |id: &Uuid| self.entries.get(id).is_some_and(|entry| entry.past.pace == Pace::Failing);
        self.slots.running().filter(failed).collect()
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
            let Some(wish) = entry.wish.take() else { continue };
            self.slots.queue(entry.past.pace(wish.triggered)).remove(&(at, id));
            let mut scheduled_for = wish.due.scheduled_for;
            if !wish.triggered {
                // It keeps its turn, but no bucket that has passed is made up for.
                let interval = entry.assignment.spec.schedule_ms;
                let missed = ((now - scheduled_for) / interval).max(0);
                tell_skipped(&entry.assignment, missed, &self.skipped);
                scheduled_for += missed * interval;
                entry.claimed = Some(scheduled_for);
            }
            let generation = entry.assignment.generation;
            claims.push(Claim { connector: id, generation, scheduled_for, triggered: wish.triggered });
        }
        claims
    }

    fn due_or_early(&self, now: Millis, limit: usize) -> Vec<(Millis, Uuid)> {
        let is_soon = |(at, id): &(Millis, Uuid)| {
            let wish = self.entries.get(id).and_then(|entry| entry.wish);
            *at <= now || wish.is_some_and(|wish| wish.from <= now)
        };
        let mut places = self.slots.first_until(now + EARLY, is_soon, limit);
        let enough = places.iter().enumerate().take_while(|(before, (at, _))| *at <= now || *before < ENOUGH);
        places.truncate(enough.count());
        places
    }

    /// The claim was granted: what to run, and how long until the connector's next tick is due.
    pub(super) fn granted(
        &mut self,
        claim: Claim,
        now: Millis,
    ) -> Option<(Assignment, Configured, Duration)> {
        let entry = self.entries.get_mut(&claim.connector)?;
        let (past, pace) = (&entry.past, entry.past.pace(claim.triggered));
        self.slots.begin(claim.connector, pace, past.took.filter(|_| pace == past.pace), now);
        if entry.recheck.is_some_and(|due| due.scheduled_for <= claim.scheduled_for) {
            entry.recheck = None;
        }
        let next = entry.next_due(now, claim.connector);
        let left = Duration::from_millis(u64::try_from(next.due_at - now).unwrap_or_default());
        Some((entry.assignment.clone(), entry.source.clone(), left))
    }

    /// A tick that was granted has ended, and committed or not.
    pub(super) fn ended(&mut self, claim: Claim, committed: bool, now: Millis) {
        let Some(began) = self.slots.end(claim.connector) else { return };
        if let Some(entry) = self.entries.get_mut(&claim.connector) {
            entry.assignment.triggers.retain(|bucket| *bucket != claim.scheduled_for);
            let Assignment { generation, spec, state, .. } = &entry.assignment;
            let (took, was_replaced) = (now - began, claim.generation != *generation);
            if !was_replaced {
                entry.past =
                    Past { pace: Pace::of(took, committed), took: Some(took), trigger_gave_way: false };
            }
            let since = now - LATE.min(spec.schedule_ms / 10);
            if !claim.triggered && !was_replaced && *state == State::Active {
                let next = entry.next_due(since, claim.connector).scheduled_for;
                let missed = (next - claim.scheduled_for) / spec.schedule_ms - 1;
                tell_skipped(&entry.assignment, missed, &self.skipped);
            }
            self.plan(claim.connector, since);
        }
    }

    /// A tick that was granted has given way to others. It is due again, as one that fails.
    pub(super) fn gave_way(&mut self, claim: Claim, now: Millis) {
        if self.slots.end(claim.connector).is_some()
            && let Some(entry) = self.entries.get_mut(&claim.connector)
        {
            if claim.generation == entry.assignment.generation {
                entry.past.pace = Pace::Failing;
                entry.past.trigger_gave_way |= claim.triggered;
            }
            self.again(claim, now, now);
        }
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
        if self.slots.is_running(id) || entry.assignment.state != State::Active {
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
        self.slots.queue(entry.past.pace(wish.triggered)).insert((wish.due.due_at, id));
    }

    fn remove_from_queue(&mut self, id: Uuid) {
        if let Some(entry) = self.entries.get_mut(&id)
            && let Some(wish) = entry.wish.take()
        {
            self.slots.queue(entry.past.pace(wish.triggered)).remove(&(wish.due.due_at, id));
        }
    }
}

fn tell_skipped(assignment: &Assignment, missed: i64, skipped: &Counter) {
    if let Ok(buckets @ 1..) = u64::try_from(missed) {
        tracing::warn!(connector = %assignment.spec.name, missed, "skipped buckets that had passed");
        skipped.inc_by(buckets);
    }
}

/// What a runner that begins in the middle of a bucket has yet to run of it: the tick whose lease was left behind, or one that was due
/// when nobody was there to run it. Those are spread over the rest of the bucket.
fn left_over(assignment: &Assignment, left_behind: Option<Due>, now: Millis) -> Option<Due> {
    let interval = assignment.spec.schedule_ms;
    let (scheduled_for, offset) =
        (schedule::bucket(now, interval), schedule::offset(assignment.id, interval));
    let is_this = |bucket: Millis| bucket >= scheduled_for;
    if left_behind.is_some_and(|due| is_this(due.scheduled_for)) {
        return left_behind;
    }
    let last = assignment.last_tick.as_ref()?;
    if is_this(last.scheduled_for) && is_done(last.outcome, false) || scheduled_for + offset > now {
        return None;
    }
    let due_at = now + (scheduled_for + interval - now) * offset / interval;
    Some(Due { scheduled_for, due_at: left_behind.map_or(due_at, |due| due.due_at.max(due_at)) })
}

/// To look at a bucket again when a lease that lasts so long yet is over.
fn later(bucket: Millis, now: Millis, left: Duration) -> Due {
    let left = Millis::try_from(left.as_millis()).unwrap_or(Millis::MAX / 4);
    Due { scheduled_for: bucket, due_at: now + left + 1 }
}

#[cfg(test)]
mod tests;
