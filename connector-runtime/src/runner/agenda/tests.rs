//! What is due, and when.

mod pace;

use connector_core::{Column, ColumnType, Connector, Registry, Rows, Schema, Tick, TickError};
use serde_json::{Value, json};

use super::*;
use crate::model::{ConnectorSpec, TickRecord};

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
const SLOTS: usize = 4;

fn assignment() -> Assignment {
    let spec = ConnectorSpec {
        name: "n".into(),
        type_id: "nothing".into(),
        target_database: "d".into(),
        target_table: "t".into(),
        schedule_ms: INTERVAL,
        config: json!({}),
    };
    Assignment {
        id: ID,
        generation: 1,
        spec,
        state: State::Active,
        triggers: vec![],
        leased: None,
        last_tick: None,
    }
}

fn agenda(assignment: Assignment, now: Millis) -> Agenda {
    agenda_of([assignment], now)
}

fn agenda_of(assignments: impl IntoIterator<Item = Assignment>, now: Millis) -> Agenda {
    let mut agenda = Agenda::new(SLOTS, Counter::default());
    let source = Registry::new().with(Nothing).configure("nothing", &json!({})).unwrap();
    assignments.into_iter().for_each(|assignment| agenda.put(assignment, source.clone(), now));
    agenda
}

/// Connectors with that interval that fire at that offset.
fn at_offset(offset: Millis, schedule_ms: Millis) -> impl Iterator<Item = Assignment> {
    let ids = (0..).map(Uuid::from_u128).filter(move |id| schedule::offset(*id, schedule_ms) == offset);
    ids.map(move |id| {
        let mut assignment = assignment();
        (assignment.id, assignment.spec.schedule_ms) = (id, schedule_ms);
        assignment
    })
}

fn taken(agenda: &mut Agenda, now: Millis) -> Vec<Uuid> {
    agenda.take_due(now, usize::MAX).iter().map(|claim| claim.connector).collect()
}

/// The record of a tick by another runner.
fn tick(bucket: Millis, outcome: Outcome, took: Millis) -> TickRecord {
    TickRecord {
        scheduled_for: bucket,
        started_at: bucket + 500,
        finished_at: bucket + 500 + took,
        outcome,
        rows: 0,
        attempts: 1,
        error: None,
        runner: "another".into(),
    }
}

#[test]
fn what_is_due_soon_begins_with_what_is_due_and_no_bucket_twice() {
    let [first, second, third] = [500, 600, 650].map(|offset| at_offset(offset, INTERVAL).next().unwrap());
    let ids = [first.id, second.id];
    let mut agenda = agenda_of([first, second, third], 0);
    assert!(agenda.take_due(499, 9).is_empty(), "nothing is due");
    let claims = agenda.take_due(500, 9);
    assert_eq!(claims.iter().map(|claim| claim.connector).collect::<Vec<_>>(), ids);
    // One ends before it was due, one was not granted: their buckets are done with.
    let (_, _, left) = agenda.granted(claims[1], 500).unwrap();
    assert_eq!(left, Duration::from_millis(INTERVAL as u64 + 100));
    agenda.ended(claims[1], true, 520);
    agenda.done(claims[0], 520);
    assert_eq!(agenda.next_at(), Some(650));
    assert_eq!(taken(&mut agenda, 650).len(), 1);
    assert_eq!(agenda.next_at(), Some(INTERVAL + 500));
    assert_eq!(taken(&mut agenda, INTERVAL + 500), ids);
    assert_eq!(agenda.skipped.get(), 0);
}

#[test]
fn a_tick_begins_neither_before_its_bucket_nor_long_before_it_is_due() {
    let due = |offset, interval| at_offset(offset, interval).next().unwrap();
    let first = due(0, 30_000);
    for (soon, begins) in [
        (due(50, INTERVAL), true),
        (due(100, INTERVAL), true),
        (due(150, INTERVAL), false),
        (due(50, 500), true),
        (due(75, 500), false),
    ] {
        let mut agenda = agenda_of([first.clone(), soon.clone()], INTERVAL - 60);
        assert_eq!(agenda.take_due(INTERVAL - 1, 9).len(), 0);
        let claims = agenda.take_due(INTERVAL, 9);
        assert_eq!(claims.len(), 1 + usize::from(begins), "{:?}", soon.spec.schedule_ms);
        assert!(claims.iter().all(|claim| claim.scheduled_for == INTERVAL));
    }
    let (last, next) = (due(850, 1_000), due(0, INTERVAL));
    let mut agenda = agenda_of([last.clone(), next], INTERVAL - 200);
    assert_eq!(taken(&mut agenda, INTERVAL - 99), [last.id], "the other's bucket has not begun");
}

#[test]
fn many_that_are_due_begin_and_none_early_for_them() {
    let due = at_offset(500, INTERVAL).take(ENOUGH + 5);
    let mut agenda = agenda_of(due.chain(at_offset(550, INTERVAL).take(5)), 0);
    assert_eq!(taken(&mut agenda, 500).len(), ENOUGH + 5);
    let few = at_offset(500, INTERVAL).take(ENOUGH - 2);
    let mut agenda = agenda_of(few.chain(at_offset(550, INTERVAL).take(5)), 0);
    assert_eq!(taken(&mut agenda, 500).len(), ENOUGH);
    assert_eq!(taken(&mut agenda, 549).len(), 0);
    assert_eq!(taken(&mut agenda, 550).len(), 3);
    let mut agenda = agenda_of(at_offset(500, INTERVAL).take(9), 0);
    assert_eq!(agenda.take_due(500, 4).len(), 4);
    assert_eq!(taken(&mut agenda, 500).len(), 5);
}

#[test]
fn an_early_claim_that_is_held_is_made_again_when_the_lease_is_over() {
    let [first, second] = [500, 550].map(|offset| at_offset(offset, INTERVAL).next().unwrap());
    let mut agenda = agenda_of([first, second], 0);
    let claims = agenda.take_due(500, 9);
    agenda.held(claims[1], Duration::from_millis(30), 500);
    assert_eq!(agenda.next_at(), Some(531));
    let claim = agenda.take_due(531, 9)[0];
    agenda.again(claim, 1_000, 531);
    assert_eq!(agenda.next_at(), Some(1_000));
    assert_eq!(agenda.take_due(1_000, 9)[0].scheduled_for, 0);
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
    agenda.ended(claim, true, at + 2 * INTERVAL + LATE);
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
    let claim = agenda.take_due(INTERVAL + at - 1, 9)[0];
    assert_eq!((claim.scheduled_for, agenda.skipped.get()), (INTERVAL, 1));
    agenda.done(claim, INTERVAL + at - 1);
    assert_eq!(agenda.next_at(), Some(at + 2 * INTERVAL));
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
    agenda.ended(claim, true, 400);
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
fn a_late_runner_skips_buckets_that_have_passed_and_runs_the_one_that_has_not() {
    let mut agenda = agenda(assignment(), 0);
    let (at, now) = (agenda.next_at().unwrap(), INTERVAL * 10);
    let claim = agenda.take_due(now, 9)[0];
    assert_eq!((claim.scheduled_for, agenda.skipped.get()), (now, 10));
    let (_, _, left) = agenda.granted(claim, now).unwrap();
    assert_eq!(left, Duration::from_millis((INTERVAL + at).unsigned_abs()));
    agenda.ended(claim, true, now + 1);
    assert_eq!((agenda.next_at(), agenda.skipped.get()), (Some(now + INTERVAL + at), 10));
}

#[test]
fn a_tick_that_ends_just_after_the_next_is_due_does_not_cost_that_one() {
    for (late, missed) in [(LATE - 1, 0), (LATE, 1)] {
        let mut agenda = agenda(assignment(), 0);
        let at = agenda.next_at().unwrap();
        let claim = agenda.take_due(at, 1)[0];
        agenda.granted(claim, at).unwrap();
        let end = at + INTERVAL + late;
        agenda.ended(claim, false, end);
        let next = agenda.take_due(end, 1);
        assert_eq!(next.len(), 1 - missed, "{late}");
        assert!(next.iter().all(|next| next.scheduled_for == claim.scheduled_for + INTERVAL));
        assert_eq!(agenda.skipped.get(), missed as u64);
    }
}

#[test]
fn what_was_due_when_no_runner_was_there_is_run_in_what_is_left_of_its_bucket() {
    const OFFSET: Millis = 30_000;
    const NOW: Millis = INTERVAL + 40_000;
    let next_bucket = Due { scheduled_for: 2 * INTERVAL, due_at: 2 * INTERVAL + OFFSET };
    // Half of the rest of the bucket, as it is half an interval into its bucket.
    let this_bucket = |due_at| Due { scheduled_for: INTERVAL, due_at };
    let committed = |bucket| Some(tick(bucket, Outcome::Committed, 2));
    let lease = |bucket, left| Some((bucket, Duration::from_millis(left)));
    for (last_tick, leased, now, expected) in [
        (None, None, NOW, next_bucket),
        (committed(0), None, NOW, this_bucket(NOW + 10_000)),
        (committed(0), None, INTERVAL + OFFSET, this_bucket(INTERVAL + OFFSET + 15_000)),
        (committed(0), None, INTERVAL + OFFSET - 1, this_bucket(INTERVAL + OFFSET)),
        (committed(INTERVAL), None, NOW, next_bucket),
        (committed(INTERVAL + 7_000), None, NOW, next_bucket),
        (Some(tick(INTERVAL, Outcome::Transient, 2)), None, NOW, next_bucket),
        (Some(tick(INTERVAL, Outcome::Abandoned, 2)), None, NOW, this_bucket(NOW + 10_000)),
        (committed(0), lease(INTERVAL, 9_000), NOW, this_bucket(NOW + 9_001)),
        (None, lease(INTERVAL, 0), NOW, this_bucket(NOW + 1)),
        (committed(0), lease(0, 0), NOW, this_bucket(NOW + 10_000)),
        (committed(0), lease(0, 10_000), NOW, this_bucket(NOW + 10_001)),
        (committed(0), lease(0, 10_000), 2 * INTERVAL - 5_000, next_bucket),
    ] {
        let one = at_offset(OFFSET, INTERVAL).next().unwrap();
        let told = format!("{last_tick:?} {leased:?} {now}");
        let mut agenda = agenda(Assignment { last_tick, leased, ..one }, now);
        assert_eq!(agenda.next_at(), Some(expected.due_at), "{told}");
        let claims = agenda.take_due(expected.due_at, 1);
        assert_eq!(claims[0].scheduled_for, expected.scheduled_for, "{told}");
        agenda.granted(claims[0], expected.due_at).unwrap();
        agenda.ended(claims[0], true, expected.due_at + 1);
        assert_eq!(agenda.next_at(), Some(expected.scheduled_for + INTERVAL + OFFSET), "{told}");
        assert_eq!(agenda.skipped.get(), 0, "{told}");
    }
}

#[test]
fn what_was_left_is_not_looked_for_again_when_a_connector_changes() {
    let one = at_offset(30_000, INTERVAL).next().unwrap();
    let mut agenda = agenda(one.clone(), INTERVAL + 40_000);
    let source = Registry::new().with(Nothing).configure("nothing", &json!({})).unwrap();
    let last_tick = Some(tick(0, Outcome::Committed, 2));
    agenda.put(Assignment { last_tick, ..one }, source, INTERVAL + 40_000);
    assert_eq!(agenda.next_at(), Some(2 * INTERVAL + 30_000));
}
