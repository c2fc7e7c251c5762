//! What is due, and when.

use connector_core::{Column, ColumnType, Connector, Registry, Rows, Schema, Tick, TickError};
use serde_json::{Value, json};

use super::slots::{IN_VAIN, SLOW};
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
fn slow_connectors_leave_half_of_the_slots_to_others() {
    let at = |offset, count| at_offset(offset, INTERVAL).take(count).collect::<Vec<_>>();
    let (slow, quick) = (at(500, 3), at(600, 3));
    let ids = |some: &[Assignment]| some.iter().map(|one| one.id).collect::<Vec<_>>();
    let (slow_ids, quick_ids) = (ids(&slow), ids(&quick));
    let mut agenda = agenda_of(slow.into_iter().chain(quick), 0);
    let run = |agenda: &mut Agenda, now, limit| {
        let claims = agenda.take_due(now, limit);
        claims.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
        claims
    };
    let connectors = |claims: &[Claim]| claims.iter().map(|claim| claim.connector).collect::<Vec<_>>();

    // Nothing is known of them yet.
    let first = run(&mut agenda, 500, 3);
    assert_eq!(connectors(&first), slow_ids);
    first.iter().for_each(|claim| agenda.ended(*claim, true, 500 + SLOW));
    let others = run(&mut agenda, 600 + SLOW, SLOTS);
    assert_eq!(connectors(&others), quick_ids);
    others.iter().for_each(|claim| agenda.ended(*claim, true, 600 + 2 * SLOW - 1));

    let claims = run(&mut agenda, INTERVAL + 700, SLOTS);
    assert_eq!(connectors(&claims), [&slow_ids[..2], &quick_ids[..2]].concat());
    // With a slot free, what is due next is none of the slow ones, though one has been due for longest.
    agenda.ended(claims[3], true, INTERVAL + 710);
    assert_eq!(agenda.next_at(), Some(INTERVAL + 600));
    assert_eq!(connectors(&run(&mut agenda, INTERVAL + 710, 1)), quick_ids[2..]);
    assert_eq!(agenda.next_at(), Some(2 * INTERVAL + 600));
    assert!(run(&mut agenda, INTERVAL + 800, 1).is_empty());
    // One that was quick this time counts as quick, and a place for a slow one is free.
    agenda.ended(claims[0], true, INTERVAL + 900);
    assert_eq!(agenda.next_at(), Some(INTERVAL + 500));
    assert_eq!(connectors(&run(&mut agenda, INTERVAL + 900, SLOTS)), slow_ids[2..]);
    assert_eq!(connectors(&run(&mut agenda, 2 * INTERVAL + 500, 1)), slow_ids[..1]);
}

#[test]
fn slow_connectors_have_the_slots_that_no_others_are_there_for() {
    let mut agenda =
        agenda_of(at_offset(500, INTERVAL).take(SLOTS).chain(at_offset(700, INTERVAL).take(1)), 0);
    let run = |agenda: &mut Agenda, now| {
        let claims = agenda.take_due(now, SLOTS);
        claims.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
        claims
    };
    run(&mut agenda, 500).iter().for_each(|claim| agenda.ended(*claim, true, 500 + SLOW));
    run(&mut agenda, 700 + SLOW).iter().for_each(|claim| agenda.ended(*claim, true, 700 + SLOW));
    assert_eq!(run(&mut agenda, INTERVAL + 500).len(), SLOTS - 1);
}

#[test]
fn ticks_that_turn_out_to_be_slow_give_way_to_others_as_far_as_they_are_too_many() {
    let silent: Vec<_> = at_offset(500, INTERVAL).take(SLOTS).collect();
    let mut agenda = agenda_of(silent.into_iter().chain(at_offset(900, INTERVAL).take(3)), 0);
    let claims = agenda.take_due(500, SLOTS);
    claims.iter().for_each(|claim| assert!(agenda.granted(*claim, 500).is_some()));
    // Others are due at 900, and begin early by as much as that.
    assert_eq!(agenda.next_to_give_way_at(), Some(500 + SLOW));
    assert!(agenda.ask_to_give_way(499 + SLOW).is_empty(), "they have not run for long");
    let asked = agenda.ask_to_give_way(500 + SLOW);
    assert_eq!(asked.len(), SLOTS / 2, "half of the slots are theirs");
    assert!(agenda.ask_to_give_way(501 + SLOW).is_empty(), "each is asked once");
    assert_eq!(agenda.next_to_give_way_at(), None);

    // One ends by itself, and one gives way: it is due again, after what else is.
    let of = |id: Uuid| *claims.iter().find(|claim| claim.connector == id).unwrap();
    agenda.ended(of(asked[0]), false, 510 + SLOW);
    agenda.gave_way(of(asked[1]), 510 + SLOW);
    let quick = agenda.take_due(510 + SLOW, 2);
    assert!(quick.iter().all(|claim| !claims.contains(claim)) && quick.len() == 2, "{quick:?}");
    quick.iter().for_each(|claim| assert!(agenda.granted(*claim, 510 + SLOW).is_some()));
    assert_eq!(agenda.next_at(), Some(900), "no slot is left for another slow one");
    // When one of the two others ends, the bucket of the one that gave way is run.
    let left = claims.iter().find(|claim| !asked.contains(&claim.connector)).unwrap();
    agenda.ended(*left, false, 520 + SLOW);
    let third = agenda.take_due(520 + SLOW, 9);
    assert_eq!(third.len(), 2);
    assert!(third.contains(&of(asked[1])), "{third:?}");
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
fn no_tick_gives_way_where_nobody_waits() {
    let mut agenda =
        agenda_of(at_offset(500, INTERVAL).take(SLOTS).chain(at_offset(9_000, INTERVAL).take(1)), 0);
    let claims = agenda.take_due(500, SLOTS);
    claims.iter().for_each(|claim| assert!(agenda.granted(*claim, 500).is_some()));
    assert!(agenda.ask_to_give_way(8_999).is_empty());
    assert_eq!(agenda.next_to_give_way_at(), Some(9_000));
    assert_eq!(agenda.ask_to_give_way(9_000).len(), 1);
}

#[test]
fn a_tick_that_fails_is_slow_sooner() {
    let [failing, quick] = [500, 600].map(|offset| at_offset(offset, INTERVAL).take(3).collect::<Vec<_>>());
    let ids: Vec<_> = failing.iter().map(|one| one.id).collect();
    for (took, begin) in [(IN_VAIN - 1, 3), (IN_VAIN, 2)] {
        let mut agenda = agenda_of(failing.iter().chain(&quick).cloned(), 0);
        let claims = agenda.take_due(700, 6);
        claims.iter().for_each(|claim| assert!(agenda.granted(*claim, 700).is_some()));
        claims.iter().for_each(|claim| agenda.ended(*claim, !ids.contains(&claim.connector), 700 + took));
        let claims = agenda.take_due(INTERVAL + 700, SLOTS);
        assert_eq!(claims.iter().filter(|claim| ids.contains(&claim.connector)).count(), begin, "{took} ms");
    }
}

#[test]
fn of_what_is_left_half_is_for_those_that_answer() {
    let silent = at_offset(500, INTERVAL).take(3).collect::<Vec<_>>();
    let slow = at_offset(900, INTERVAL).take(3).collect::<Vec<_>>();
    let slow_ids: Vec<_> = slow.iter().map(|slow| slow.id).collect();
    let is_slow = |claim: &Claim| slow_ids.contains(&claim.connector);
    let mut agenda = agenda_of(silent.into_iter().chain(slow), 0);
    let run = |agenda: &mut Agenda, now, limit| {
        let claims = agenda.take_due(now, limit);
        claims.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
        claims
    };
    let first = run(&mut agenda, 900, 6);
    first.iter().for_each(|claim| agenda.ended(*claim, is_slow(claim), 900 + SLOW));

    // None of them is quick, so all slots are theirs.
    let silent = run(&mut agenda, INTERVAL + 500, SLOTS);
    assert_eq!(silent.len(), SLOTS / 2);
    assert!(!silent.iter().any(is_slow));
    assert_eq!(agenda.next_at(), Some(INTERVAL + 900), "and none of the third silent one");
    let claims = run(&mut agenda, INTERVAL + 900, SLOTS);
    assert!(claims.iter().all(is_slow) && claims.len() == SLOTS / 2, "{claims:?}");
    // Each leaves its slot to one that is as it was.
    agenda.ended(claims[0], true, INTERVAL + 900 + SLOW);
    assert!(is_slow(&run(&mut agenda, INTERVAL + 900 + SLOW, 1)[0]));
    agenda.ended(silent[0], false, INTERVAL + 910 + SLOW);
    assert!(!is_slow(&run(&mut agenda, INTERVAL + 910 + SLOW, 1)[0]));
}

#[test]
fn slow_ones_that_wait_are_given_way_too() {
    let slow = at_offset(900, INTERVAL).take(2).collect::<Vec<_>>();
    let mut agenda = agenda_of(slow, 0);
    let run = |agenda: &mut Agenda, now| {
        let claims = agenda.take_due(now, SLOTS);
        claims.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
        claims
    };
    run(&mut agenda, 900).iter().for_each(|claim| agenda.ended(*claim, true, 900 + SLOW));
    let source = Registry::new().with(Nothing).configure("nothing", &json!({})).unwrap();
    for silent in at_offset(500, INTERVAL).take(SLOTS) {
        agenda.put(silent, source.clone(), 900 + SLOW);
    }
    assert_eq!(run(&mut agenda, INTERVAL + 500).len(), SLOTS);
    assert_eq!(agenda.next_to_give_way_at(), Some(INTERVAL + 500 + SLOW));
    let asked = agenda.ask_to_give_way(INTERVAL + 500 + SLOW);
    assert_eq!(asked.len(), 2);
    assert_eq!(agenda.next_to_give_way_at(), None);
}

#[test]
fn a_tick_is_slow_when_it_takes_twice_as_long_as_the_one_before() {
    let mut agenda =
        agenda_of(at_offset(500, INTERVAL).take(SLOTS).chain(at_offset(900, INTERVAL).take(SLOTS)), 0);
    let run = |agenda: &mut Agenda, now, limit| {
        let claims = agenda.take_due(now, limit);
        claims.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
        claims
    };
    let took = SLOW - 10;
    run(&mut agenda, 500, SLOTS).iter().for_each(|claim| agenda.ended(*claim, true, 500 + took));
    run(&mut agenda, 500 + took, SLOTS).iter().for_each(|claim| agenda.ended(*claim, true, 510 + took));
    assert_eq!(run(&mut agenda, INTERVAL + 500, SLOTS).len(), SLOTS);
    assert_eq!(agenda.next_to_give_way_at(), Some(INTERVAL + 500 + 2 * took));
    assert!(agenda.ask_to_give_way(INTERVAL + 499 + 2 * took).is_empty());
    assert_eq!(agenda.ask_to_give_way(INTERVAL + 500 + 2 * took).len(), SLOTS / 2);
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
fn how_a_tick_went_before_the_runner_began_counts() {
    let quick: Vec<_> = at_offset(600, INTERVAL).take(SLOTS).collect();
    for (outcome, took, attempts, begin) in [
        (Outcome::Committed, SLOW - 1, 1, SLOTS),
        (Outcome::Committed, SLOW, 1, SLOTS / 2),
        (Outcome::Transient, IN_VAIN - 1, 1, SLOTS),
        (Outcome::Transient, IN_VAIN, 1, SLOTS / 2),
        (Outcome::Permanent, IN_VAIN, 0, SLOTS / 2),
        (Outcome::Abandoned, IN_VAIN, 1, SLOTS / 2),
        (Outcome::Abandoned, SLOW, 0, SLOTS),
    ] {
        let last_tick = TickRecord { attempts, ..tick(0, outcome, took) };
        let known = at_offset(500, INTERVAL).take(SLOTS);
        let known: Vec<_> =
            known.map(|one| Assignment { last_tick: Some(last_tick.clone()), ..one }).collect();
        let mut agenda = agenda_of(known.iter().chain(&quick).cloned(), INTERVAL);
        let claims = agenda.take_due(INTERVAL + 600, SLOTS);
        assert_eq!(claims.len(), SLOTS);
        let of_known = claims.iter().filter(|claim| known.iter().any(|one| one.id == claim.connector));
        assert_eq!(of_known.count(), begin, "{outcome:?} after {took} ms");
    }
}

#[test]
fn of_many_that_never_answer_each_has_its_turn() {
    let silent: Vec<_> = at_offset(500, INTERVAL)
        .take(SLOTS)
        .chain((1..10).flat_map(|n| at_offset(5_000 * n, INTERVAL).take(SLOTS)))
        .collect();
    let mut agenda = agenda_of(silent.iter().cloned(), 0);
    let mut running: Vec<(Millis, Claim)> = Vec::new();
    let mut turns: HashMap<Uuid, u32> = HashMap::new();
    let (mut now, end) = (0, 22 * INTERVAL);
    while now < end {
        for (_, claim) in running.extract_if(.., |(at, _)| *at <= now) {
            agenda.ended(claim, false, now);
        }
        for claim in agenda.take_due(now, SLOTS - running.len()) {
            let (_, _, left) = agenda.granted(claim, now).unwrap();
            assert_eq!(claim.scheduled_for, schedule::bucket(now, INTERVAL));
            *turns.entry(claim.connector).or_default() += 1;
            running.push((now + Millis::try_from(left.as_millis()).unwrap(), claim));
        }
        let next = if running.len() < SLOTS { agenda.next_at() } else { None };
        now = running.iter().map(|(at, _)| *at).chain(next).min().unwrap();
    }
    assert!(silent.iter().all(|one| turns.get(&one.id).is_some_and(|turns| *turns >= 2)), "{turns:?}");
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

#[test]
fn of_what_runs_those_that_failed_the_last_time_are_told() {
    let [failed, quick] = [500, 600].map(|offset| at_offset(offset, INTERVAL).next().unwrap());
    let last_tick = Some(tick(0, Outcome::Transient, IN_VAIN));
    let id = failed.id;
    let mut agenda = agenda_of([Assignment { last_tick, ..failed }, quick], INTERVAL);
    let claims = agenda.take_due(INTERVAL + 600, SLOTS);
    assert!(agenda.failing_again().is_empty());
    claims.iter().for_each(|claim| assert!(agenda.granted(*claim, INTERVAL + 600).is_some()));
    assert_eq!((claims.len(), agenda.failing_again()), (2, vec![id]));
    claims.iter().for_each(|claim| agenda.ended(*claim, true, INTERVAL + 700));
    assert!(agenda.failing_again().is_empty());
}

#[test]
fn a_tick_that_is_asked_for_does_not_wait_for_those_that_fail_until_it_gives_way() {
    let failed = Some(tick(0, Outcome::Transient, IN_VAIN));
    let connectors = at_offset(500, INTERVAL).take(2 * SLOTS);
    let mut failing: Vec<_> = connectors.map(|one| Assignment { last_tick: failed.clone(), ..one }).collect();
    failing.sort_by_key(|one| one.id);
    let quick: Vec<_> = at_offset(500, INTERVAL).skip(2 * SLOTS).take(SLOTS).collect();
    let mut agenda = agenda_of(failing.iter().cloned(), INTERVAL);
    let mut now = INTERVAL + 500;
    let first = agenda.take_due(now, SLOTS);
    first.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
    let last = failing.last().unwrap();
    assert!(first.iter().all(|claim| claim.connector != last.id));

    let source = Registry::new().with(Nothing).configure("nothing", &json!({})).unwrap();
    now += 1_000;
    agenda.put(Assignment { triggers: vec![INTERVAL], ..last.clone() }, source.clone(), now);
    first.iter().for_each(|claim| agenda.ended(*claim, false, now));
    let claims = agenda.take_due(now, SLOTS);
    claims.iter().for_each(|claim| assert!(agenda.granted(*claim, now).is_some()));
    let asked_for = *claims.iter().find(|claim| claim.triggered).expect("the rest waits for its turn");
    assert_eq!((claims.len(), asked_for.connector), (SLOTS, last.id));

    // It fails again, and others wait for its slot: then it has its turn like the rest.
    quick.into_iter().for_each(|one| agenda.put(one, source.clone(), now));
    now = 2 * INTERVAL + 500;
    assert_eq!(agenda.ask_to_give_way(now), [last.id]);
    agenda.gave_way(asked_for, now);
    claims.iter().for_each(|claim| agenda.ended(*claim, false, now));
    assert!(agenda.take_due(now, SLOTS).iter().all(|claim| claim.connector != last.id));
}
