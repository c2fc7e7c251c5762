//! `control.db`: what operators asked for. All functions run inside a transaction.

use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode, Row, ToSql, params};
use uuid::Uuid;

use super::{clock, data::text, fault::At};
use crate::model::{ConnectorRecord, ConnectorSpec, Millis, State};
use crate::store::{Assignment, Change, Changes, Revision, StoreError};

pub(super) const NO_CONNECTOR: StoreError = StoreError::NotFound("connector");

/// The columns that [`record`] reads.
const RECORD: &str = "SELECT c.id, c.name, c.type, c.target_database, c.target_table, c.schedule_ms, c.config, \
    c.state, c.disabled_reason, c.created_at, c.updated_at, t.last_error, t.last_tick, c.seq, c.generation \
    FROM connectors c JOIN tasks t ON t.connector = c.seq";

/// A connection to `control.db`.
pub(super) struct Control {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
}

/// What a connector is in the file.
pub(super) struct Known {
    pub(super) seq: i64,
    pub(super) generation: i64,
    pub(super) record: ConnectorRecord,
}

impl Control {
    pub(super) fn find(&self, id: Uuid) -> Result<Option<Known>, StoreError> {
        let sql = format!("{RECORD} WHERE c.id = ?1 AND NOT c.deleted");
        self.read(&sql, (text(id),), known).map(|mut found| found.pop())
    }

    pub(super) fn list(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ConnectorRecord>, StoreError> {
        let sql = format!("{RECORD} WHERE c.id > ?1 AND NOT c.deleted ORDER BY c.id LIMIT ?2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(&sql, (after.map(text).unwrap_or_default(), limit), |row| Ok(known(row)?.record))
    }

    pub(super) fn create(&self, spec: &ConnectorSpec) -> Result<ConnectorRecord, StoreError> {
        let (id, now) = (Uuid::new_v4(), clock::wall());
        let revision = self.next_revision()?;
        let values = params![
            text(id),
            spec.name,
            spec.type_id,
            spec.target_database,
            spec.target_table,
            spec.schedule_ms,
            spec.config.to_string(),
            now,
            revision
        ];
        self.named(&spec.name, include_str!("sql/control/insert_connector.sql"), values)?;
        let seq = self.connection.last_insert_rowid();
        self.run("INSERT INTO tasks (connector) VALUES (?1)", [seq])?;
        self.add_target(seq, &spec.target_database)?;
        Ok(ConnectorRecord {
            id,
            spec: spec.clone(),
            state: State::Active,
            disabled_reason: None,
            last_error: None,
            last_tick: None,
            created_at: now,
            updated_at: now,
        })
    }

    pub(super) fn replace(&self, id: Uuid, spec: &ConnectorSpec) -> Result<ConnectorRecord, StoreError> {
        let Known { seq, mut record, .. } = self.find(id)?.ok_or(NO_CONNECTOR)?;
        let now = clock::wall();
        let values = params![
            seq,
            spec.name,
            spec.type_id,
            spec.target_database,
            spec.target_table,
            spec.schedule_ms,
            spec.config.to_string(),
            now,
            self.next_revision()?
        ];
        self.named(&spec.name, include_str!("sql/control/replace_connector.sql"), values)?;
        self.free_lease(seq)?;
        self.drop_triggers(seq)?;
        self.add_target(seq, &spec.target_database)?;
        record.spec = spec.clone();
        record.updated_at = now;
        Ok(record)
    }

    pub(super) fn delete(&self, id: Uuid) -> Result<(), StoreError> {
        let seq = self.find(id)?.ok_or(NO_CONNECTOR)?.seq;
        let revision = self.next_revision()?;
        self.run(
            "UPDATE connectors SET deleted = 1, config = 'null', revision = ?2 WHERE seq = ?1",
            [seq, revision],
        )?;
        self.free_lease(seq)?;
        self.drop_triggers(seq)
    }

    pub(super) fn set_active(&self, id: Uuid, active: bool) -> Result<ConnectorRecord, StoreError> {
        let Known { seq, mut record, .. } = self.find(id)?.ok_or(NO_CONNECTOR)?;
        let state = if active { State::Active } else { State::Paused };
        if record.state == state {
            return Ok(record);
        }
        (record.state, record.disabled_reason, record.updated_at) = (state, None, clock::wall());
        self.run(
            "UPDATE connectors SET state = ?2, disabled_reason = NULL, updated_at = ?3, revision = ?4 WHERE seq = ?1",
            params![seq, state_name(state), record.updated_at, self.next_revision()?],
        )?;
        if !active {
            self.drop_triggers(seq)?;
        }
        Ok(record)
    }

    /// Disables a connector because of a tick's config error.
    pub(super) fn disable(&self, seq: i64, reason: Option<&str>) -> Result<(), StoreError> {
        let revision = self.next_revision()?;
        self.run(
            "UPDATE connectors SET state = 'disabled', disabled_reason = ?2, revision = ?3 WHERE seq = ?1",
            params![seq, reason, revision],
        )?;
        self.drop_triggers(seq)
    }

    /// Notes that a bucket was asked for.
    pub(super) fn add_trigger(&self, seq: i64, bucket: Millis) -> Result<(), StoreError> {
        if self.run("INSERT OR IGNORE INTO triggers VALUES (?1, ?2)", [seq, bucket])? > 0 {
            let revision = self.next_revision()?;
            self.run("UPDATE connectors SET revision = ?2 WHERE seq = ?1", [seq, revision])?;
        }
        Ok(())
    }

    /// Every database that the connector ever had as its target.
    pub(super) fn targets(&self, seq: i64) -> Result<Vec<String>, StoreError> {
        self.read("SELECT database FROM targets WHERE connector = ?1", [seq], |row| row.get(0))
    }

    /// Every database that some connector has as its target.
    pub(super) fn databases(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT target_database FROM connectors WHERE NOT deleted";
        self.read(sql, [], |row| row.get(0))
    }

    /// Every database that ever was a target.
    pub(super) fn all_databases(&self) -> Result<Vec<String>, StoreError> {
        self.read("SELECT DISTINCT database COLLATE NOCASE FROM targets", [], |row| row.get(0))
    }

    pub(super) fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        let revision = self.revision()?;
        let sql = "SELECT id, seq, deleted FROM connectors WHERE revision > ?1 AND (?1 > 0 OR NOT deleted) ORDER BY revision";
        let since = i64::try_from(since.0).unwrap_or(i64::MAX);
        let changed = self.read(sql, [since], |row| {
            Ok((parse_id(&row.get::<_, String>(0)?), row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
        })?;
        let mut connectors = Vec::with_capacity(changed.len());
        for (id, seq, deleted) in changed {
            connectors.push(if deleted { Change::Gone(id) } else { self.assignment(seq)? });
        }
        Ok(Changes { revision, connectors })
    }

    fn assignment(&self, seq: i64) -> Result<Change, StoreError> {
        let sql = format!("{RECORD} WHERE c.seq = ?1");
        let found = self.read(&sql, [seq], known)?.pop().ok_or(NO_CONNECTOR)?;
        let leased = "SELECT scheduled_for, expires FROM tasks WHERE connector = ?1 AND owner IS NOT NULL";
        let leased = self.read(leased, [seq], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?.pop();
        let triggers = "SELECT scheduled_for FROM triggers WHERE connector = ?1 ORDER BY scheduled_for";
        Ok(Change::Present(Box::new(Assignment {
            id: found.record.id,
            generation: found.generation.cast_unsigned(),
            spec: found.record.spec,
            state: found.record.state,
            triggers: self.read(triggers, [seq], |row| row.get(0))?,
            leased: leased.map(|(bucket, expires)| (bucket, clock::remaining(expires).unwrap_or_default())),
            last_tick: found.record.last_tick,
        })))
    }

    /// SQLite's number of the file's state: another one once any other connection has committed. It is in memory.
    pub(super) fn data_version(&self) -> Result<i64, StoreError> {
        let mut statement = self.connection.prepare_cached("PRAGMA data_version").at(&self.path)?;
        statement.query_row([], |row| row.get(0)).at(&self.path)
    }

    /// The revision of the latest change.
    pub(super) fn revision(&self) -> Result<Revision, StoreError> {
        self.connection
            .prepare_cached("SELECT revision FROM meta")
            .and_then(|mut sql| sql.query_row([], |row| row.get::<_, i64>(0)))
            .map(|revision| Revision(revision.cast_unsigned()))
            .at(&self.path)
    }

    fn next_revision(&self) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached("UPDATE meta SET revision = revision + 1 RETURNING revision")
            .and_then(|mut sql| sql.query_row([], |row| row.get(0)))
            .at(&self.path)
    }

    fn free_lease(&self, seq: i64) -> Result<(), StoreError> {
        self.run("UPDATE tasks SET owner = NULL WHERE connector = ?1", [seq]).map(drop)
    }

    fn drop_triggers(&self, seq: i64) -> Result<(), StoreError> {
        self.run("DELETE FROM triggers WHERE connector = ?1", [seq]).map(drop)
    }

    fn add_target(&self, seq: i64, database: &str) -> Result<(), StoreError> {
        self.run("INSERT OR IGNORE INTO targets VALUES (?1, ?2)", params![seq, database]).map(drop)
    }

    /// Writes a name, which may be taken.
    fn named(&self, name: &str, sql: &str, values: &[&dyn ToSql]) -> Result<(), StoreError> {
        match self.connection.execute(sql, values) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Err(StoreError::NameTaken(name.to_owned()))
            }
            result => result.map(drop).at(&self.path),
        }
    }

    pub(super) fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut sql| sql.execute(values)).at(&self.path)
    }

    pub(super) fn read<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        from: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut sql| sql.query_map(values, from)?.collect())
            .at(&self.path)
    }
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
    Ok(Known {
        seq: row.get(13)?,
        generation: row.get(14)?,
        record: ConnectorRecord {
            id: parse_id(&row.get::<_, String>(0)?),
            spec: ConnectorSpec {
                name: row.get(1)?,
                type_id: row.get(2)?,
                target_database: row.get(3)?,
                target_table: row.get(4)?,
                schedule_ms: row.get(5)?,
                config: json(row.get(6)?),
            },
            state: parse_state(&row.get::<_, String>(7)?),
            disabled_reason: row.get(8)?,
            created_at: row.get(9)?,
            updated_at: row.get(10)?,
            last_error: row.get(11)?,
            last_tick: row.get::<_, Option<String>>(12)?.and_then(|text| serde_json::from_str(&text).ok()),
        },
    })
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Paused => "paused",
        State::Disabled => "disabled",
    }
}

pub(super) fn parse_state(name: &str) -> State {
    match name {
        "active" => State::Active,
        "disabled" => State::Disabled,
        _ => State::Paused,
    }
}

fn parse_id(text: &str) -> Uuid {
    text.parse().unwrap_or_default()
}
