//! The rows of `tasks`, and what is remembered of them from round to round.

use std::collections::HashMap;

use rusqlite::Row;
use uuid::Uuid;

use super::{
    clock,
    control::{Control, parse_state},
    data::text,
};
use crate::model::{Millis, State};
use crate::store::{Lease, StoreError};

/// A connector's row of `tasks`, with what leases need of its spec.
pub(super) struct Task {
    pub(super) seq: i64,
    pub(super) generation: i64,
    pub(super) state: State,
    pub(super) database: String,
    pub(super) table: String,
    pub(super) fence: i64,
    pub(super) held: Option<Held>,
    pub(super) has_triggers: bool,
    /// The newest bucket in any ledger, where that is known. Only who holds the lease adds to a ledger, and takes it in
    /// `control.db` before, so this is known for as long as that file is.
    pub(super) newest: Option<Millis>,
}

/// A lease that was not freed. It may have expired.
pub(super) struct Held {
    pub(super) owner: Uuid,
    pub(super) runner: String,
    pub(super) scheduled_for: Millis,
    pub(super) claimed_at: Millis,
    pub(super) expires: i64,
}

impl Task {
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.fence.cast_unsigned() == lease.fence
            && self.held.as_ref().is_some_and(|held| {
                held.owner == lease.owner
                    && held.scheduled_for == lease.scheduled_for
                    && clock::remaining(held.expires).is_some()
            })
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
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
        Ok(Self {
            seq: row.get(0)?,
            generation: row.get(1)?,
            state: parse_state(&row.get::<_, String>(2)?),
            database: row.get(3)?,
            table: row.get(4)?,
            fence: row.get(5)?,
            held,
            has_triggers: row.get(11)?,
            newest: None,
        })
    }
}

/// Tasks as they stand in the file: good until somebody else changes it, or a transaction is taken back.
#[derive(Default)]
pub(super) struct Tasks {
    version: i64,
    known: HashMap<Uuid, Task>,
}

impl Tasks {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Forgets one connector's.
    pub(super) fn forget(&mut self, id: Uuid) {
        self.known.remove(&id);
    }

    /// Forgets everything if another process has changed the file. Within a transaction that writes, nobody can from
    /// then on.
    pub(super) fn meet(&mut self, control: &Control) -> Result<(), StoreError> {
        let version = control.data_version()?;
        if std::mem::replace(&mut self.version, version) != version {
            self.clear();
        }
        Ok(())
    }

    /// Takes a task out, from memory or from the file. Whoever has changed the file accordingly, or not at all,
    /// [puts](Self::put) it back; otherwise it is read anew when it is next wanted.
    pub(super) fn take(&mut self, control: &Control, id: Uuid) -> Result<Option<Task>, StoreError> {
        if let Some(task) = self.known.remove(&id) {
            return Ok(Some(task));
        }
        const FIND: &str = include_str!("sql/control/find_task.sql");
        control.read(FIND, [text(id)], Task::read).map(|mut found| found.pop())
    }

    pub(super) fn put(&mut self, id: Uuid, task: Task) {
        self.known.insert(id, task);
    }
}
