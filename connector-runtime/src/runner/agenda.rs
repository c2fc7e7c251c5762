//! What a runner has to do next: every connector that it knows, in the order in which they are due.
//!
//! No clock inside: each call is told the time, in milliseconds since the Unix epoch.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use connector_core::Configured;
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

use crate::model::{Millis, State};
use crate::schedule::{self, Due};
use crate::store::{Assignment, Claim};

/// How soon to try a trigger again whose connector another runner has.
const TRIGGER_RETRY: Millis = 250;

#[derive(Default)]
pub(super) struct Agenda {
    entries: HashMap<Uuid, Entry>,
    queue: BTreeSet<(Millis, Uuid)>,
    skipped: Counter,
}

struct Entry {
    assignment: Assignment,
    source: Configured,
    /// When it is in the queue, with what.
    wish: Option<Wish>,
    /// A bucket that another runner has, or left behind, to look at again at that time.
    recheck: Option<Due>,
    /// No trigger before that time.
    triggers_from: Millis,
    running: bool,
}

#[derive(Clone, Copy)]
struct Wish {
    due: Due,
    triggered: bool,
}

impl Agenda {
    /// Knows no connector yet. `skipped` counts the buckets that pass before they can be run.
    pub(super) fn new(skipped: Counter) -> Self {
        Self { skipped, ..Self::default() }
    }

    /// Takes in a connector that is new or has changed.
    pub(super) fn put(&mut self, assignment: Assignment, source: Configured, now: Millis) {
        let id = assignment.id;
        let running = self.entries.get(&id).is_some_and(|entry| entry.running);
        let recheck = assignment.leased.filter(|_| !running).map(|(bucket, left)| later(bucket, now, left));
        self.remove_from_queue(id);
        self.entries
            .insert(id, Entry { assignment, source, wish: None, recheck, triggers_from: now, running });
        self.plan(id, now);
    }

    /// Forgets a connector. A tick of it that is running goes on.
    pub(super) fn remove(&mut self, id: Uuid) {
        self.remove_from_queue(id);
        self.entries.remove(&id);
    }

    /// The earliest time at which something is due.
    pub(super) fn next_at(&self) -> Option<Millis> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out up to `limit` ticks that are due. Each is answered with one of the methods below.
    pub(super) fn take_due(&mut self, now: Millis, limit: usize) -> Vec<Claim> {
        let mut claims = Vec::new();
        while claims.len() < limit {
            let Some(&(at, id)) = self.queue.first().filter(|(at, _)| *at <= now) else { break };
            self.queue.remove(&(at, id));
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let Some(wish) = entry.wish.take() else { continue };
            let interval = entry.assignment.spec.schedule_ms;
            let scheduled_for = wish.due.scheduled_for;
            if !wish.triggered && now >= scheduled_for + interval {
                let missed = (now - scheduled_for) / interval;
                tell_skipped(&entry.assignment, missed, &self.skipped);
                self.plan(id, now);
                continue;
            }
            let generation = entry.assignment.generation;
            claims.push(Claim { connector: id, generation, scheduled_for, triggered: wish.triggered });
        }
        claims
    }

    /// The claim was granted: what to run, and how long until the connector's next tick is due.
    pub(super) fn granted(
        &mut self,
        claim: Claim,
        now: Millis,
    ) -> Option<(Assignment, Configured, Duration)> {
        let entry = self.entries.get_mut(&claim.connector)?;
        entry.running = true;
        if entry.recheck.is_some_and(|due| due.scheduled_for <= claim.scheduled_for) {
            entry.recheck = None;
        }
        let next = schedule::next_due(now, entry.assignment.spec.schedule_ms, claim.connector);
        let left = Duration::from_millis(u64::try_from(next.due_at - now).unwrap_or_default());
        Some((entry.assignment.clone(), entry.source.clone(), left))
    }

    /// A tick that was granted has ended.
    pub(super) fn ended(&mut self, claim: Claim, now: Millis) {
        if let Some(entry) = self.entries.get_mut(&claim.connector) {
            entry.running = false;
            entry.assignment.triggers.retain(|bucket| *bucket != claim.scheduled_for);
            let Assignment { generation, spec, state, .. } = &entry.assignment;
            if !claim.triggered && claim.generation == *generation && *state == State::Active {
                let next = schedule::next_due(now, spec.schedule_ms, claim.connector).scheduled_for;
                let missed = (next - claim.scheduled_for) / spec.schedule_ms - 1;
                tell_skipped(&entry.assignment, missed, &self.skipped);
            }
            self.plan(claim.connector, now);
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
        if entry.running || entry.assignment.state != State::Active {
            return;
        }
        let interval = entry.assignment.spec.schedule_ms;
        // A bucket that has passed is not made up for.
        entry.recheck = entry.recheck.filter(|due| due.due_at.max(now) < due.scheduled_for + interval);
        let next = schedule::next_due(now, interval, id);
        let due = entry.recheck.filter(|recheck| recheck.due_at < next.due_at).unwrap_or(next);
        let mut wish = Wish { due, triggered: false };
        if let Some(&bucket) = entry.assignment.triggers.first()
            && entry.triggers_from < due.due_at
        {
            let due = Due { scheduled_for: bucket, due_at: entry.triggers_from.max(now) };
            wish = Wish { due, triggered: true };
        }
        entry.wish = Some(wish);
        self.queue.insert((wish.due.due_at, id));
    }

    fn remove_from_queue(&mut self, id: Uuid) {
        if let Some(wish) = self.entries.get_mut(&id).and_then(|entry| entry.wish.take()) {
            self.queue.remove(&(wish.due.due_at, id));
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
mod tests {
    use connector_core::{Column, ColumnType, Connector, Registry, Rows, Schema, Tick, TickError};
    use serde_json::{Value, json};

    use super::*;
    use crate::model::ConnectorSpec;

    struct Nothing;

    impl Connector for Nothing {
        const TYPE_ID: &'static str = "nothing";
        type Config = Value;

        fn config_schema(&self) -> Value {
            json!({})
        }

        fn schema(&self) -> Schema {
            Schema::new([Column::time("t"), Column::value("v", ColumnType::Real)]).unwrap()
        }

        async fn tick(&self, _: &Tick<'_, Value>, _: &mut Rows) -> Result<(), TickError> {
            Ok(())
        }
    }

    const ID: Uuid = Uuid::from_u128(7);
    const INTERVAL: Millis = 60_000;

    fn assignment() -> Assignment {
        let spec = ConnectorSpec {
            name: "n".into(),
            type_id: "nothing".into(),
            target_database: "d".into(),
            target_table: "t".into(),
            schedule_ms: INTERVAL,
            config: json!({}),
        };
        Assignment { id: ID, generation: 1, spec, state: State::Active, triggers: vec![], leased: None }
    }

    fn agenda(assignment: Assignment, now: Millis) -> Agenda {
        let mut agenda = Agenda::default();
        let source = Registry::new().with(Nothing).configure("nothing", &json!({})).unwrap();
        agenda.put(assignment, source, now);
        agenda
    }

    #[test]
    fn a_connector_ticks_once_a_bucket_and_never_overlaps() {
        let mut agenda = agenda(assignment(), 0);
        let at = agenda.next_at().unwrap();
        assert_eq!(at, schedule::next_due(0, INTERVAL, ID).due_at);
        assert!(agenda.take_due(at - 1, 9).is_empty());
        let claim = agenda.take_due(at, 9)[0];
        assert_eq!((claim.scheduled_for, claim.triggered), (0, false));
        let (_, _, left) = agenda.granted(claim, at).unwrap();
        assert_eq!(left, Duration::from_millis(INTERVAL as u64));
        assert_eq!(agenda.next_at(), None);
        // It overran into the next bucket but one: the buckets between are not made up for.
        agenda.ended(claim, at + 2 * INTERVAL + 1);
        assert_eq!(agenda.next_at(), Some(at + 3 * INTERVAL));
        assert_eq!(agenda.skipped.get(), 2);
    }

    #[test]
    fn a_held_bucket_is_looked_at_again_when_the_lease_is_over_unless_it_has_passed() {
        let mut agenda = agenda(assignment(), 0);
        let at = agenda.next_at().unwrap();
        let claim = agenda.take_due(at, 9)[0];
        agenda.held(claim, Duration::from_secs(10), at);
        if at + 10_001 < INTERVAL {
            assert_eq!(agenda.next_at(), Some(at + 10_001));
            let claim = agenda.take_due(at + 10_001, 9)[0];
            assert_eq!(claim.scheduled_for, 0);
            agenda.done(claim, at + 10_001);
        }
        assert_eq!(agenda.next_at(), Some(at + INTERVAL));
        let claim = agenda.take_due(at + INTERVAL, 9)[0];
        agenda.held(claim, Duration::from_millis(INTERVAL as u64 * 3), at + INTERVAL);
        assert_eq!(agenda.next_at(), Some(at + 2 * INTERVAL));
    }

    #[test]
    fn a_held_bucket_that_passes_before_a_late_runner_looks_again_is_skipped() {
        let mut agenda = agenda(assignment(), 0);
        let at = agenda.next_at().unwrap();
        let claim = agenda.take_due(at, 9)[0];
        agenda.held(claim, Duration::ZERO, at);
        assert_eq!(agenda.next_at(), Some(at + 1));
        assert!(agenda.take_due(INTERVAL + at - 1, 9).is_empty());
        assert_eq!(agenda.next_at(), Some(at + INTERVAL));
    }

    #[test]
    fn a_trigger_comes_first_and_is_tried_again_soon_when_held() {
        let mut asked = assignment();
        asked.triggers = vec![0];
        let mut agenda = agenda(asked, 5);
        assert_eq!(agenda.next_at(), Some(5));
        let claim = agenda.take_due(5, 9)[0];
        assert!(claim.triggered);
        agenda.held(claim, Duration::from_secs(10), 5);
        assert_eq!(agenda.next_at(), Some(5 + TRIGGER_RETRY));
        let claim = agenda.take_due(5 + TRIGGER_RETRY, 9)[0];
        agenda.granted(claim, 300).unwrap();
        agenda.ended(claim, 400);
        assert!(!agenda.take_due(i64::MAX / 2, 0).iter().any(|c| c.triggered));
        assert!(agenda.next_at().unwrap() > 400);
    }

    #[test]
    fn a_bucket_left_behind_by_a_dead_runner_is_picked_up_while_it_lasts() {
        let mut left_behind = assignment();
        let first = schedule::next_due(0, INTERVAL, ID).due_at;
        let now = first + 1;
        left_behind.leased = Some((0, Duration::from_millis(5)));
        let agenda = agenda(left_behind, now);
        assert_eq!(agenda.next_at(), Some(now + 6));
    }

    #[test]
    fn what_is_not_active_is_not_due() {
        let mut paused = assignment();
        paused.state = State::Paused;
        assert_eq!(agenda(paused, 0).next_at(), None);
    }

    #[test]
    fn a_late_runner_skips_buckets_that_have_passed() {
        let mut agenda = agenda(assignment(), 0);
        assert!(agenda.take_due(INTERVAL * 10, 9).is_empty());
        assert!(agenda.next_at().unwrap() > INTERVAL * 10);
        assert_eq!(agenda.skipped.get(), 10);
    }
}
