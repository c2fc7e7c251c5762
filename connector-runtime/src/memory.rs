//! A store in memory: for tests, for trying things out, and as the plainest account of what a store does.

mod connectors;
mod filter;
mod tables;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use connector_core::Schema;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use self::connectors::Connectors;
use self::tables::Tables;
use crate::model::{ConnectorRecord, ConnectorSpec, Millis, Outcome, TickRecord};
use crate::store::{
    Changes, Claim, Claimed, FinishedTick, Lease, Revision, RowQuery, RowStream, Store, StoreError,
};

/// Keeps everything in this process's memory, and forgets it when dropped. Nothing is ever thrown away while it
/// lives: rows and tick records grow without bound.
///
/// Leases run on [`tokio::time`], so a test that pauses the clock decides when they expire.
///
/// ```
/// # use connector_core::{Column, ColumnType, Schema};
/// # use connector_runtime::{memory::MemoryStore, model::ConnectorSpec, store::Store};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let schema = Schema::new([Column::time("timestamp"), Column::value("celsius", ColumnType::Real)])?;
/// let spec = ConnectorSpec {
///     name: "balcony".into(),
///     type_id: "thermometer".into(),
///     target_database: "home".into(),
///     target_table: "temperature".into(),
///     schedule_ms: 15_000,
///     config: serde_json::Value::Null,
/// };
/// let created = store.create(spec, &schema).await?;
/// assert_eq!(store.get(created.id).await?, Some(created));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
    revision: watch::Sender<Revision>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `act` on the contents, then wakes those who wait for a revision that `act` has brought about.
    fn with<T>(&self, act: impl FnOnce(&mut Contents) -> T) -> T {
        // Everything that can fail comes before the first change, so what a panic leaves behind is whole.
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut contents);
        let now = contents.connectors.revision();
        self.revision.send_if_modified(|revision| std::mem::replace(revision, now) != now);
        result
    }
}

/// All of it behind one lock, so that every verb happens at one instant.
#[derive(Debug, Default)]
struct Contents {
    connectors: Connectors,
    tables: Tables,
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(&self, spec: ConnectorSpec, schema: &Schema) -> Result<ConnectorRecord, StoreError> {
        self.with(|Contents { connectors, tables }| {
            connectors.check_name(&spec.name, None)?;
            tables.declare(&spec.target_database, &spec.target_table, schema)?;
            Ok(connectors.create(spec))
        })
    }

    async fn get(&self, id: Uuid) -> Result<Option<ConnectorRecord>, StoreError> {
        self.with(|contents| Ok(contents.connectors.get(id)))
    }

    async fn list(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ConnectorRecord>, StoreError> {
        self.with(|contents| Ok(contents.connectors.list(after, limit)))
    }

    async fn replace(
        &self,
        id: Uuid,
        spec: ConnectorSpec,
        schema: &Schema,
    ) -> Result<ConnectorRecord, StoreError> {
        self.with(|Contents { connectors, tables }| {
            connectors.check_exists(id)?;
            connectors.check_name(&spec.name, Some(id))?;
            tables.declare(&spec.target_database, &spec.target_table, schema)?;
            connectors.replace(id, spec)
        })
    }

    async fn delete(&self, id: Uuid) -> Result<(), StoreError> {
        self.with(|contents| contents.connectors.delete(id))
    }

    async fn set_active(&self, id: Uuid, active: bool) -> Result<ConnectorRecord, StoreError> {
        self.with(|contents| contents.connectors.set_active(id, active))
    }

    async fn trigger(&self, id: Uuid, now: Millis) -> Result<Millis, StoreError> {
        self.with(|contents| contents.connectors.trigger(id, now))
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.with(|contents| Ok(contents.connectors.changes(since, Instant::now())))
    }

    async fn changed(&self, since: Revision) {
        let mut revision = self.revision.subscribe();
        // An error would say that the sender is gone, and it lives as long as `self`.
        let _ = revision.wait_for(|revision| *revision > since).await;
    }

    async fn claim(&self, owner: Uuid, runner: &str, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        self.with(|Contents { connectors, .. }| {
            let now = Instant::now();
            Ok(claims.iter().map(|claim| connectors.claim(owner, runner, claim, now)).collect())
        })
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, StoreError> {
        self.with(|Contents { connectors, .. }| {
            let now = Instant::now();
            Ok(leases.iter().map(|lease| connectors.renew(lease, now)).collect())
        })
    }

    async fn finish(&self, tick: FinishedTick) -> Result<(), StoreError> {
        self.with(|Contents { connectors, tables }| {
            let spec = connectors.check_lease(&tick.lease, Instant::now())?;
            if let (Outcome::Committed, Some((schema, rows))) = (tick.record.outcome, tick.rows) {
                let scheduled_for = tick.lease.scheduled_for;
                tables.append(&spec.target_database, &spec.target_table, &schema, scheduled_for, rows)?;
            }
            connectors.finish(&tick.lease, tick.record)
        })
    }

    async fn ticks(&self, id: Uuid, limit: usize) -> Result<Vec<TickRecord>, StoreError> {
        self.with(|contents| contents.connectors.ticks(id, limit))
    }

    async fn rows(&self, query: RowQuery) -> Result<RowStream, StoreError> {
        let snapshot = self.with(|contents| contents.tables.snapshot(&query))?;
        Ok(snapshot.stream())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use connector_core::{Column, ColumnType};

    use super::*;
    use crate::store::LEASE;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_live_to_its_last_millisecond() {
        let store = MemoryStore::new();
        let schema = Schema::new([Column::time("t"), Column::value("v", ColumnType::Real)]).unwrap();
        let spec = ConnectorSpec {
            name: "a".into(),
            type_id: "t".into(),
            target_database: "d".into(),
            target_table: "t".into(),
            schedule_ms: 1000,
            config: serde_json::Value::Null,
        };
        let connector = store.create(spec, &schema).await.unwrap().id;
        let claim = Claim { connector, generation: 0, scheduled_for: 0, triggered: false };
        let (owner, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let Claimed::Granted(lease) = store.claim(owner, "one", &[claim]).await.unwrap()[0] else { panic!() };
        assert_eq!(store.claim(other, "two", &[claim]).await.unwrap(), [Claimed::Held(LEASE)]);

        let millisecond = Duration::from_millis(1);
        for _ in 0..2 {
            tokio::time::advance(LEASE - millisecond).await;
            assert_eq!(store.claim(other, "two", &[claim]).await.unwrap(), [Claimed::Held(millisecond)]);
            assert_eq!(store.renew(&[lease]).await.unwrap(), [true]);
        }
        tokio::time::advance(LEASE).await;
        assert_eq!(store.renew(&[lease]).await.unwrap(), [false]);
        let taken = store.claim(other, "two", &[claim]).await.unwrap();
        assert!(matches!(taken[..], [Claimed::Granted(lease)] if lease.owner == other), "{taken:?}");
    }
}
