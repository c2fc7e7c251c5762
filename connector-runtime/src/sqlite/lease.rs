//! Leases and the ends of ticks: `control.db` and the ledgers together.
//!
//! The ledger of the file with the rows says what happened; `control.db` is brought into line from it when a runner died
//! between the two commits.

use uuid::Uuid;

use super::{
    clock,
    control::NO_CONNECTOR,
    data::{Batch, Digest, Ending},
    tasks::{Held, Task},
    writer::Round,
};
use crate::model::{Millis, Outcome, State, TickRecord};
use crate::schedule;
use crate::store::{Claim, Claimed, FinishedTick, Lease, StoreError, is_done};

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
        self.change(id).add_trigger(known.seq, bucket)?;
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
        let newest = match task.newest {
            Some(newest) if held.is_none() => newest,
            _ => self.newest(task.seq, claim.connector)?,
        };
        if claim.scheduled_for <= newest
            && let Some((record, _)) = self.ending(task.seq, claim.connector, claim.scheduled_for)?
        {
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
        let held = Held {
            owner,
            runner: runner.to_owned(),
            scheduled_for: claim.scheduled_for,
            claimed_at: clock::wall(),
            expires: clock::uptime() + clock::lease_millis(),
        };
        task.fence += 1;
        let (bucket, at) = (held.scheduled_for, held.claimed_at);
        let values = (task.seq, task.fence, owner.as_bytes().as_slice(), runner, bucket, at, held.expires);
        if self.control.run(TAKE, values)? == 0 {
            return Err(NO_CONNECTOR);
        }
        let fence = task.fence.cast_unsigned();
        (task.held, task.newest) = (Some(held), Some(newest));
        self.tasks.put(claim.connector, task);
        Ok(Claimed::Granted(Lease { connector: claim.connector, scheduled_for: bucket, fence, owner }))
    }

    pub(super) fn renew(&mut self, lease: &Lease) -> Result<bool, StoreError> {
        let Some(mut task) = self.task(lease.connector)?.filter(|task| task.holds(lease)) else {
            return Ok(false);
        };
        let expires = clock::uptime() + clock::lease_millis();
        self.control.run("UPDATE tasks SET expires = ?2 WHERE connector = ?1", (task.seq, expires))?;
        task.held.iter_mut().for_each(|held| held.expires = expires);
        self.tasks.put(lease.connector, task);
        Ok(true)
    }

    /// Ends a tick whose rows are recognised by these.
    pub(super) fn finish(&mut self, tick: &FinishedTick, digest: &Digest) -> Result<(), StoreError> {
        let lease = &tick.lease;
        let mut task =
            self.task(lease.connector)?.filter(|task| task.holds(lease)).ok_or(StoreError::LeaseLost)?;
        let committed = tick.record.outcome == Outcome::Committed;
        let rows = tick.rows.as_ref().filter(|_| committed);
        let is_new = self.write_to(&task.database)?.write(&Ending {
            connector: lease.connector,
            fence: task.fence,
            scheduled_for: lease.scheduled_for,
            table: &task.table,
            record: &tick.record,
            rows: rows.map(|(schema, rows)| Batch { schema, rows, digest }),
        })?;
        if is_new {
            self.end(&task, lease.scheduled_for, &tick.record)?;
        } else {
            // What the ledger holds counts: this is a second try of a commit whose answer was lost.
            let ended = self.read_from(&task.database)?.ending(lease.connector, lease.scheduled_for)?;
            self.end(&task, lease.scheduled_for, ended.as_ref().map_or(&tick.record, |(record, _)| record))?;
        }
        if !task.has_triggers && tick.record.outcome != Outcome::Config {
            task.held = None;
            task.newest = task.newest.map(|newest| newest.max(lease.scheduled_for));
            self.tasks.put(lease.connector, task);
        }
        Ok(())
    }

    /// Brings a connector whose lease has run out into line with the ledger, or records that its tick was abandoned.
    fn settle(&mut self, claim: &Claim, task: &Task, left: &Held) -> Result<(), StoreError> {
        let ended = self.ending(task.seq, claim.connector, left.scheduled_for)?;
        if let Some((record, fence)) = ended
            && (record.outcome == Outcome::Committed || fence == task.fence)
        {
            return self.end(task, left.scheduled_for, &record);
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
        self.end(task, left.scheduled_for, &record)
    }

    /// Takes an ended tick over into `control.db`.
    fn end(&mut self, task: &Task, bucket: Millis, record: &TickRecord) -> Result<(), StoreError> {
        let (seq, last) = (task.seq, serde_json::to_string(record).unwrap_or_default());
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
        if task.has_triggers {
            let delete = "DELETE FROM triggers WHERE connector = ?1 AND scheduled_for = ?2";
            self.control.run(delete, [seq, bucket])?;
        }
        Ok(())
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

    /// The newest bucket in any of a connector's ledgers.
    fn newest(&mut self, seq: i64, id: Uuid) -> Result<Millis, StoreError> {
        let mut newest = Millis::MIN;
        for database in self.control.targets(seq)? {
            newest = newest.max(self.read_from(&database)?.newest(id)?);
        }
        Ok(newest)
    }

    fn task(&mut self, id: Uuid) -> Result<Option<Task>, StoreError> {
        self.tasks.take(self.control, id)
    }
}
