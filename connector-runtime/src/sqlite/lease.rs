//! Leases and the ends of ticks: `control.db` and the ledgers together.
//!
//! The ledger of the file with the rows says what happened; `control.db` is brought into line from it when a runner died
//! between the two commits.

use uuid::Uuid;

use super::{
    clock,
    control::NO_CONNECTOR,
    data::{Ending, text},
    writer::Round,
};
use crate::model::{Millis, Outcome, State, TickRecord};
use crate::schedule;
use crate::store::{Claim, Claimed, FinishedTick, Lease, StoreError, is_done};

/// A connector's row of `tasks`, with what leases need of its spec.
struct Task {
    seq: i64,
    generation: i64,
    state: State,
    database: String,
    table: String,
    fence: i64,
    held: Option<Held>,
}

/// A lease that was not freed. It may have expired.
struct Held {
    owner: Uuid,
    runner: String,
    scheduled_for: Millis,
    claimed_at: Millis,
    expires: i64,
}

impl Task {
    fn holds(&self, lease: &Lease) -> bool {
        self.fence.cast_unsigned() == lease.fence
            && self.held.as_ref().is_some_and(|held| {
                held.owner == lease.owner
                    && held.scheduled_for == lease.scheduled_for
                    && clock::remaining(held.expires).is_some()
            })
    }
}

impl Round<'_> {
    pub(super) fn trigger(&mut self, id: Uuid, now: Millis) -> Result<Millis, StoreError> {
        let known = self.control.find(id)?.ok_or(NO_CONNECTOR)?;
        if known.record.state != State::Active {
            return Err(StoreError::NotActive(known.record.state));
        }
        let mut bucket = schedule::bucket(now, known.record.spec.schedule_ms);
        if self.has_committed(known.seq, id, bucket)? {
            bucket = schedule::bucket(now, 1000);
            if self.has_committed(known.seq, id, bucket)? {
                return Ok(bucket);
            }
        }
        self.control.add_trigger(known.seq, bucket)?;
        Ok(bucket)
    }

    pub(super) fn claim(&mut self, owner: Uuid, runner: &str, claim: &Claim) -> Result<Claimed, StoreError> {
        let Some(mut task) = self.task(claim.connector)? else { return Ok(Claimed::Stale) };
        if task.generation.cast_unsigned() != claim.generation || task.state != State::Active {
            return Ok(Claimed::Stale);
        }
        let held = task.held.take();
        let live = held.as_ref().and_then(|held| clock::remaining(held.expires));
        if let (None, Some(left)) = (live, &held) {
            self.settle(claim, &task, left)?;
            if self.task(claim.connector)?.is_none_or(|now| now.state != State::Active) {
                return Ok(Claimed::Stale);
            }
        }
        if let Some((record, _)) = self.ending(task.seq, claim.connector, claim.scheduled_for)? {
            // A trigger counts until its tick has ended, however late a runner hears of that end.
            let triggered = claim.triggered && self.has_trigger(task.seq, claim.scheduled_for)?;
            if is_done(record.outcome, triggered) {
                return Ok(Claimed::Done);
            }
        }
        if let Some(remaining) = live {
            return Ok(Claimed::Held(remaining));
        }
        const TAKE: &str = include_str!("sql/control/take_lease.sql");
        let expires = clock::uptime() + clock::lease_millis();
        let values =
            (task.seq, owner.as_bytes().as_slice(), runner, claim.scheduled_for, clock::wall(), expires);
        let fence: Option<i64> = self.control.read(TAKE, values, |row| row.get(0))?.pop();
        let fence = fence.ok_or(NO_CONNECTOR)?.cast_unsigned();
        Ok(Claimed::Granted(Lease {
            connector: claim.connector,
            scheduled_for: claim.scheduled_for,
            fence,
            owner,
        }))
    }

    pub(super) fn renew(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        let Some(task) = self.task(lease.connector)?.filter(|task| task.holds(lease)) else {
            return Ok(false);
        };
        let expires = clock::uptime() + clock::lease_millis();
        self.control.run("UPDATE tasks SET expires = ?2 WHERE connector = ?1", (task.seq, expires))?;
        Ok(true)
    }

    pub(super) fn finish(&mut self, tick: &FinishedTick) -> Result<(), StoreError> {
        let lease = &tick.lease;
        let task =
            self.task(lease.connector)?.filter(|task| task.holds(lease)).ok_or(StoreError::LeaseLost)?;
        let committed = tick.record.outcome == Outcome::Committed;
        let rows = tick.rows.as_ref().filter(|_| committed);
        if let Some((_, rows)) = rows {
            rows.check().map_err(|error| StoreError::failed("the tick's rows cannot be kept", error))?;
        }
        let file = self.write_to(&task.database)?;
        file.write(&Ending {
            connector: lease.connector,
            fence: task.fence,
            scheduled_for: lease.scheduled_for,
            table: &task.table,
            record: &tick.record,
            rows: rows.map(|(schema, rows)| (&**schema, &**rows)),
        })?;
        // What the ledger holds counts: this may be a second try of a commit whose answer was lost.
        let (record, _) = file
            .ending(lease.connector, lease.scheduled_for)?
            .unwrap_or_else(|| (tick.record.clone(), task.fence));
        self.end(task.seq, lease.scheduled_for, &record)
    }

    /// Brings a connector whose lease has run out into line with the ledger, or records that its tick was abandoned.
    fn settle(&mut self, claim: &Claim, task: &Task, left: &Held) -> Result<(), StoreError> {
        let ended = self.ending(task.seq, claim.connector, left.scheduled_for)?;
        if let Some((record, fence)) = ended
            && (record.outcome == Outcome::Committed || fence == task.fence)
        {
            return self.end(task.seq, left.scheduled_for, &record);
        }
        if left.scheduled_for == claim.scheduled_for {
            return Ok(());
        }
        let record = TickRecord {
            scheduled_for: left.scheduled_for,
            started_at: left.claimed_at,
            finished_at: clock::wall(),
            outcome: Outcome::Abandoned,
            rows: 0,
            attempts: 0,
            error: Some("the runner died, or could not reach the store, before the tick ended".to_owned()),
            runner: left.runner.clone(),
        };
        self.write_to(&task.database)?.write(&Ending {
            connector: claim.connector,
            fence: task.fence,
            scheduled_for: left.scheduled_for,
            table: &task.table,
            record: &record,
            rows: None,
        })?;
        self.end(task.seq, left.scheduled_for, &record)
    }

    /// Takes an ended tick over into `control.db`.
    fn end(&mut self, seq: i64, bucket: Millis, record: &TickRecord) -> Result<(), StoreError> {
        let last = serde_json::to_string(record).unwrap_or_default();
        let error = record.error.as_deref();
        const END: &str =
            "UPDATE tasks SET owner = NULL, last_tick = ?2, last_error = ?3 WHERE connector = ?1";
        match record.outcome {
            Outcome::Committed => self.control.run(END, (seq, last, None::<&str>))?,
            Outcome::Abandoned => {
                return self
                    .control
                    .run("UPDATE tasks SET owner = NULL, last_tick = ?2 WHERE connector = ?1", (seq, last))
                    .map(drop);
            }
            Outcome::Transient | Outcome::Permanent => self.control.run(END, (seq, last, error))?,
            Outcome::Config => {
                self.control.disable(seq, error)?;
                self.control.run(END, (seq, last, error))?
            }
        };
        self.control
            .run("DELETE FROM triggers WHERE connector = ?1 AND scheduled_for = ?2", [seq, bucket])
            .map(drop)
    }

    fn has_trigger(&self, seq: i64, bucket: Millis) -> Result<bool, StoreError> {
        let find = "SELECT 1 FROM triggers WHERE connector = ?1 AND scheduled_for = ?2";
        self.control.read(find, [seq, bucket], |_| Ok(())).map(|found| !found.is_empty())
    }

    fn has_committed(&mut self, seq: i64, id: Uuid, bucket: Millis) -> Result<bool, StoreError> {
        let ended = self.ending(seq, id, bucket)?;
        Ok(ended.is_some_and(|(record, _)| record.outcome == Outcome::Committed))
    }

    /// How a bucket ended, in whichever database the connector had as its target then. A commit comes before the rest.
    fn ending(
        &mut self,
        seq: i64,
        id: Uuid,
        bucket: Millis,
    ) -> Result<Option<(TickRecord, i64)>, StoreError> {
        let mut best: Option<(TickRecord, i64)> = None;
        for database in self.control.targets(seq)? {
            let found = self.read_from(&database)?.ending(id, bucket)?;
            best = match (best, found) {
                (Some(best), Some(found)) if found.0.outcome != Outcome::Committed && best.1 > found.1 => {
                    Some(best)
                }
                (Some(best), _) if best.0.outcome == Outcome::Committed => Some(best),
                (best, found) => found.or(best),
            };
        }
        Ok(best)
    }

    fn task(&self, id: Uuid) -> Result<Option<Task>, StoreError> {
        const FIND: &str = include_str!("sql/control/find_task.sql");
        let found = self.control.read(FIND, [text(id)], |row| {
            let owner: Option<Vec<u8>> = row.get(6)?;
            let held = match owner.and_then(|owner| Uuid::from_slice(&owner).ok()) {
                Some(owner) => Some(Held {
                    owner,
                    runner: row.get(7)?,
                    scheduled_for: row.get(8)?,
                    claimed_at: row.get(9)?,
                    expires: row.get(10)?,
                }),
                None => None,
            };
            Ok(Task {
                seq: row.get(0)?,
                generation: row.get(1)?,
                state: super::control::parse_state(&row.get::<_, String>(2)?),
                database: row.get(3)?,
                table: row.get(4)?,
                fence: row.get(5)?,
                held,
            })
        });
        found.map(|mut found| found.pop())
    }
}
