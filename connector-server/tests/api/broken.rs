//! A store whose disk is full.

use async_trait::async_trait;
use connector_core::{ColumnType, Schema};
use connector_runtime::model::{ConnectorRecord, ConnectorSpec, Millis, TickRecord};
use connector_runtime::store::{
    Cell, Changes, Claim, Claimed, FinishedTick, Lease, Revision, RowQuery, RowStream, Store, StoreError,
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Fails at everything; at reading rows of the table `cut` only after the first batch, of the table `endless` never; of `panic` it panics.
pub(crate) struct BrokenStore;

fn full<T>() -> Result<T, StoreError> {
    Err(StoreError::failed("cannot use the store", std::io::Error::other("the disk is full")))
}

#[async_trait]
impl Store for BrokenStore {
    async fn create(&self, _: ConnectorSpec, _: &Schema) -> Result<ConnectorRecord, StoreError> {
        full()
    }
    async fn get(&self, _: Uuid) -> Result<Option<ConnectorRecord>, StoreError> {
        full()
    }
    async fn list(&self, _: Option<Uuid>, _: usize) -> Result<Vec<ConnectorRecord>, StoreError> {
        full()
    }
    async fn replace(&self, _: Uuid, _: ConnectorSpec, _: &Schema) -> Result<ConnectorRecord, StoreError> {
        full()
    }
    async fn delete(&self, _: Uuid) -> Result<(), StoreError> {
        full()
    }
    async fn set_active(&self, _: Uuid, _: bool) -> Result<ConnectorRecord, StoreError> {
        full()
    }
    async fn trigger(&self, _: Uuid, _: Millis) -> Result<Millis, StoreError> {
        full()
    }
    async fn changes(&self, _: Revision) -> Result<Changes, StoreError> {
        full()
    }
    async fn changed(&self, _: Revision) {}
    async fn claim(&self, _: Uuid, _: &str, _: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        full()
    }
    async fn renew(&self, _: &[Lease]) -> Result<Vec<bool>, StoreError> {
        full()
    }
    async fn finish(&self, _: FinishedTick) -> Result<(), StoreError> {
        full()
    }
    async fn ticks(&self, _: Uuid, _: usize) -> Result<Vec<TickRecord>, StoreError> {
        full()
    }
    async fn rows(&self, query: RowQuery) -> Result<RowStream, StoreError> {
        let (sender, batches) = mpsc::channel(2);
        let columns = vec![("value".to_owned(), ColumnType::Real)];
        if query.table == "endless" {
            tokio::spawn(
                async move { while sender.send(Ok(vec![vec![Cell::Real(1.0)]; 1000])).await.is_ok() {} },
            );
            return Ok(RowStream { columns, batches });
        }
        assert_ne!(query.table, "panic");
        if query.table == "cut" {
            sender.try_send(Ok(vec![vec![Cell::Real(1.0)]])).unwrap();
        }
        sender.try_send(full()).unwrap();
        Ok(RowStream { columns, batches })
    }
    async fn ready(&self) -> Result<(), StoreError> {
        full()
    }
}
