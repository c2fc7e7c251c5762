//! Connectors with their leases, triggers and tick records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::{ConnectorRecord, ConnectorSpec, Millis, Outcome, State, TickRecord};
use crate::schedule;
use crate::store::{
    Assignment, Change, Changes, Claim, Claimed, LEASE, Lease, Revision, StoreError, is_done,
};

/// All connectors, and the history of their changes.
#[derive(Debug, Default)]
pub(super) struct Connectors {
    by_id: BTreeMap<Uuid, Entry>,
    by_name: HashMap<String, Uuid>,
    /// The deleted ones, and the revision that deleted them.
    gone: BTreeMap<Uuid, Revision>,
    revision: Revision,
}

impl Connectors {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn check_exists(&self, id: Uuid) -> Result<(), StoreError> {
        self.entry(id).map(drop)
    }

    /// Whether a connector (of that id, if it is there already) may have that name.
    pub(super) fn check_name(&self, name: &str, id: Option<Uuid>) -> Result<(), StoreError> {
        match self.by_name.get(name) {
            Some(holder) if Some(*holder) != id => Err(StoreError::NameTaken(name.to_owned())),
            _ => Ok(()),
        }
    }

    pub(super) fn create(&mut self, spec: ConnectorSpec) -> ConnectorRecord {
        let now = wall_clock();
        let record = ConnectorRecord {
            id: Uuid::new_v4(),
            spec,
            state: State::Active,
            disabled_reason: None,
            last_error: None,
            last_tick: None,
            created_at: now,
            updated_at: now,
        };
        self.by_name.insert(record.spec.name.clone(), record.id);
        let entry = Entry::new(record.clone(), next(&mut self.revision));
        self.by_id.insert(record.id, entry);
        record
    }

    pub(super) fn get(&self, id: Uuid) -> Option<ConnectorRecord> {
        self.by_id.get(&id).map(|entry| entry.record.clone())
    }

    pub(super) fn list(&self, after: Option<Uuid>, limit: usize) -> Vec<ConnectorRecord> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.by_id.range((begin, Bound::Unbounded)).take(limit);
        entries.map(|(_, entry)| entry.record.clone()).collect()
    }

    /// The name has been checked.
    pub(super) fn replace(&mut self, id: Uuid, spec: ConnectorSpec) -> Result<ConnectorRecord, StoreError> {
        let entry = self.by_id.get_mut(&id).ok_or(NO_CONNECTOR)?;
        self.by_name.remove(&entry.record.spec.name);
        self.by_name.insert(spec.name.clone(), id);
        entry.record.spec = spec;
        entry.record.updated_at = wall_clock();
        entry.generation += 1;
        entry.lease = None;
        entry.triggers.clear();
        entry.revision = next(&mut self.revision);
        Ok(entry.record.clone())
    }

    pub(super) fn delete(&mut self, id: Uuid) -> Result<(), StoreError> {
        let entry = self.by_id.remove(&id).ok_or(NO_CONNECTOR)?;
        self.by_name.remove(&entry.record.spec.name);
        self.gone.insert(id, next(&mut self.revision));
        Ok(())
    }

    pub(super) fn set_active(&mut self, id: Uuid, active: bool) -> Result<ConnectorRecord, StoreError> {
        let entry = self.by_id.get_mut(&id).ok_or(NO_CONNECTOR)?;
        let state = if active { State::Active } else { State::Paused };
        if entry.record.state != state {
            entry.record.state = state;
            entry.record.disabled_reason = None;
            entry.record.updated_at = wall_clock();
            if !active {
                entry.triggers.clear();
            }
            entry.revision = next(&mut self.revision);
        }
        Ok(entry.record.clone())
    }

    pub(super) fn trigger(&mut self, id: Uuid, now: Millis) -> Result<Millis, StoreError> {
        let entry = self.by_id.get_mut(&id).ok_or(NO_CONNECTOR)?;
        if entry.record.state != State::Active {
            return Err(StoreError::NotActive(entry.record.state));
        }
        let mut bucket = schedule::bucket(now, entry.record.spec.schedule_ms);
        if entry.has_committed(bucket) {
            bucket = schedule::bucket(now, 1000);
        }
        if !entry.has_committed(bucket) && entry.triggers.insert(bucket) {
            entry.revision = next(&mut self.revision);
        }
        Ok(bucket)
    }

    pub(super) fn changes(&self, since: Revision, now: Instant) -> Changes {
        let present = self.by_id.values().filter(|entry| entry.revision > since);
        let gone = self.gone.iter().filter(|(_, revision)| since > Revision::default() && **revision > since);
        let connectors = present
            .map(|entry| Change::Present(Box::new(entry.assignment(now))))
            .chain(gone.map(|(id, _)| Change::Gone(*id)))
            .collect();
        Changes { revision: self.revision, connectors }
    }

    pub(super) fn claim(&mut self, owner: Uuid, runner: &str, claim: &Claim, now: Instant) -> Claimed {
        match self.by_id.get_mut(&claim.connector) {
            Some(entry) if entry.generation == claim.generation && entry.record.state == State::Active => {
                entry.claim(owner, runner, claim, now)
            }
            _ => Claimed::Stale,
        }
    }

    pub(super) fn renew(&mut self, lease: &Lease, now: Instant) -> bool {
        let Some(entry) = self.by_id.get_mut(&lease.connector) else { return false };
        let Some(held) = entry.lease.as_mut().filter(|held| held.is(lease, now)) else { return false };
        held.expiry = now + LEASE;
        true
    }

    /// What the connector of a lease that is still held was asked for.
    pub(super) fn check_lease(&self, lease: &Lease, now: Instant) -> Result<&ConnectorSpec, StoreError> {
        let entry = self.by_id.get(&lease.connector);
        let entry = entry.filter(|entry| entry.lease.as_ref().is_some_and(|held| held.is(lease, now)));
        entry.map(|entry| &entry.record.spec).ok_or(StoreError::LeaseLost)
    }

    /// Records a tick and frees its lease, which has been checked.
    pub(super) fn finish(&mut self, lease: &Lease, record: TickRecord) -> Result<(), StoreError> {
        let entry = self.by_id.get_mut(&lease.connector).ok_or(StoreError::LeaseLost)?;
        entry.lease = None;
        if record.outcome != Outcome::Abandoned {
            entry.triggers.remove(&lease.scheduled_for);
        }
        match record.outcome {
            Outcome::Committed => entry.record.last_error = None,
            Outcome::Transient | Outcome::Permanent => entry.record.last_error.clone_from(&record.error),
            Outcome::Config => {
                entry.record.last_error.clone_from(&record.error);
                entry.record.disabled_reason.clone_from(&record.error);
                entry.record.state = State::Disabled;
                entry.triggers.clear();
                entry.revision = next(&mut self.revision);
            }
            Outcome::Abandoned => {}
        }
        entry.keep(lease.scheduled_for, record);
        Ok(())
    }

    pub(super) fn ticks(&self, id: Uuid, limit: usize) -> Result<Vec<TickRecord>, StoreError> {
        Ok(self.entry(id)?.ticks.values().rev().take(limit).cloned().collect())
    }

    fn entry(&self, id: Uuid) -> Result<&Entry, StoreError> {
        self.by_id.get(&id).ok_or(NO_CONNECTOR)
    }
}

/// One connector.
#[derive(Debug)]
struct Entry {
    record: ConnectorRecord,
    generation: u64,
    /// When it last changed in a way that runners need to know of.
    revision: Revision,
    triggers: BTreeSet<Millis>,
    /// The fence of the latest claim.
    fence: u64,
    /// The lease of a tick that has not ended; it may have expired.
    lease: Option<Held>,
    ticks: BTreeMap<Millis, TickRecord>,
}

impl Entry {
    fn new(record: ConnectorRecord, revision: Revision) -> Self {
        Self {
            record,
            generation: 0,
            revision,
            triggers: BTreeSet::new(),
            fence: 0,
            lease: None,
            ticks: BTreeMap::new(),
        }
    }

    fn has_committed(&self, bucket: Millis) -> bool {
        self.ticks.get(&bucket).is_some_and(|tick| tick.outcome == Outcome::Committed)
    }

    fn assignment(&self, now: Instant) -> Assignment {
        let leased = self.lease.as_ref();
        Assignment {
            id: self.record.id,
            generation: self.generation,
            spec: self.record.spec.clone(),
            state: self.record.state,
            triggers: self.triggers.iter().copied().collect(),
            leased: leased.map(|held| (held.lease.scheduled_for, held.remaining(now).unwrap_or_default())),
            last_tick: self.record.last_tick.clone(),
        }
    }

    /// The connector is active and of the claim's generation.
    fn claim(&mut self, owner: Uuid, runner: &str, claim: &Claim, now: Instant) -> Claimed {
        let bucket = claim.scheduled_for;
        // A trigger counts until the tick that it asked for has ended, however late a runner hears of that end.
        let triggered = claim.triggered && self.triggers.contains(&bucket);
        if self.ticks.get(&bucket).is_some_and(|tick| is_done(tick.outcome, triggered)) {
            return Claimed::Done;
        }
        if let Some(remaining) = self.lease.as_ref().and_then(|held| held.remaining(now)) {
            return Claimed::Held(remaining);
        }
        let left = self.lease.take().filter(|held| held.lease.scheduled_for != bucket);
        if let Some(left) = left {
            self.keep(left.lease.scheduled_for, left.abandoned());
        }
        self.fence += 1;
        let lease = Lease { connector: claim.connector, scheduled_for: bucket, fence: self.fence, owner };
        let runner = runner.to_owned();
        self.lease = Some(Held { lease, runner, claimed_at: wall_clock(), expiry: now + LEASE });
        Claimed::Granted(lease)
    }

    fn keep(&mut self, bucket: Millis, tick: TickRecord) {
        self.record.last_tick = Some(tick.clone());
        self.ticks.insert(bucket, tick);
    }
}

/// A lease, as long as nobody has finished its tick or taken it over.
#[derive(Debug)]
struct Held {
    lease: Lease,
    runner: String,
    claimed_at: Millis,
    expiry: Instant,
}

impl Held {
    /// How long it lasts yet, if it is live.
    fn remaining(&self, now: Instant) -> Option<Duration> {
        let remaining = self.expiry.checked_duration_since(now)?;
        (!remaining.is_zero() && remaining <= LEASE).then_some(remaining)
    }

    /// Whether it is that very lease, and live.
    fn is(&self, lease: &Lease, now: Instant) -> bool {
        self.lease == *lease && self.remaining(now).is_some()
    }

    fn abandoned(self) -> TickRecord {
        TickRecord {
            scheduled_for: self.lease.scheduled_for,
            started_at: self.claimed_at,
            finished_at: wall_clock(),
            outcome: Outcome::Abandoned,
            rows: 0,
            attempts: 0,
            error: Some("the runner died, or could not reach the store, before the tick ended".to_owned()),
            runner: self.runner,
        }
    }
}

const NO_CONNECTOR: StoreError = StoreError::NotFound("connector");

fn next(revision: &mut Revision) -> Revision {
    revision.0 += 1;
    *revision
}

fn wall_clock() -> Millis {
    Utc::now().timestamp_millis()
}
