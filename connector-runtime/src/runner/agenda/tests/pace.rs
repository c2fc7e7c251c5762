//! Who has a slot, where there are more that want one.

use super::super::slots::{IN_VAIN, SLOW};
use super::*;

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

#[test]
fn a_connector_that_was_replaced_does_not_wait_for_those_that_fail() {
    let failed = Some(tick(0, Outcome::Transient, IN_VAIN));
    let connectors = at_offset(500, INTERVAL).take(2 * SLOTS);
    let failing: Vec<_> = connectors.map(|one| Assignment { last_tick: failed.clone(), ..one }).collect();
    let last = failing.iter().max_by_key(|one| one.id).unwrap().clone();
    let source = Registry::new().with(Nothing).configure("nothing", &json!({})).unwrap();
    for (generation, first) in [(last.generation, false), (last.generation + 1, true)] {
        let mut agenda = agenda_of(failing.iter().cloned(), INTERVAL);
        agenda.put(Assignment { generation, ..last.clone() }, source.clone(), INTERVAL);
        let claims = agenda.take_due(INTERVAL + 500, SLOTS);
        assert_eq!(claims.iter().any(|claim| claim.connector == last.id), first, "{generation}");
    }
    // Nor does the end of a tick with the config of before.
    let now = INTERVAL + 500;
    for gives_way in [false, true] {
        let mut agenda = agenda_of([last.clone()], INTERVAL);
        let claim = agenda.take_due(now, 1)[0];
        agenda.granted(claim, now).unwrap();
        agenda.put(Assignment { generation: claim.generation + 1, ..last.clone() }, source.clone(), now);
        if gives_way {
            agenda.gave_way(claim, now + SLOW);
        } else {
            agenda.ended(claim, false, now + SLOW);
        }
        let claim = agenda.take_due(now + INTERVAL, 1)[0];
        agenda.granted(claim, now + INTERVAL).unwrap();
        assert!(agenda.failing_again().is_empty(), "gives way: {gives_way}");
    }
}
