//! What a runner does when somebody sets the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use connector_core::{
    Column, ColumnType, Connector, Registry, ResolveSecret, Rows, Schema, Secret, SecretError, SecretRef,
    Tick, TickError,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::clock::TimeOfDay;
use super::{Runner, RunnerOptions};
use crate::memory::MemoryStore;
use crate::model::{ConnectorSpec, Millis, Outcome};
use crate::store::Store;

const HOUR: Millis = 3_600_000;
const INTERVAL: Millis = 1_000;
const START: Millis = 1_777_716_000_000;

/// Counts how often it ticks.
struct Counter(Arc<AtomicUsize>);

impl Connector for Counter {
    const TYPE_ID: &'static str = "counter";
    type Config = Value;

    fn config_schema(&self) -> Value {
        json!({})
    }

    fn schema(&self) -> Schema {
        Schema::new([Column::time("t"), Column::value("v", ColumnType::Real)]).unwrap()
    }

    async fn tick(&self, _: &Tick<'_, Value>, rows: &mut Rows) -> Result<(), TickError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        rows.end_row();
        Ok(())
    }
}

struct NoSecrets;

impl ResolveSecret for NoSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        Err(SecretError::new(reference, "there are no secrets here"))
    }
}

struct Stage {
    store: Arc<dyn Store>,
    connector: Uuid,
    ticked: Arc<AtomicUsize>,
    ahead: Arc<AtomicI64>,
}

impl Stage {
    /// Lets so many buckets pass, and returns those that committed meanwhile as seconds from the start.
    async fn pass(&self, buckets: u32) -> Vec<Millis> {
        let before = self.committed().await;
        sleep(Duration::from_millis(INTERVAL.unsigned_abs()) * buckets).await;
        let mut new = self.committed().await;
        new.retain(|bucket| !before.contains(bucket));
        new.iter().map(|bucket| (bucket - START) / INTERVAL).collect()
    }

    async fn committed(&self) -> Vec<Millis> {
        let mut ticks = self.store.ticks(self.connector, usize::MAX).await.unwrap();
        ticks.reverse();
        assert!(ticks.iter().all(|tick| tick.outcome == Outcome::Committed), "{ticks:?}");
        ticks.iter().map(|tick| tick.scheduled_for).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_may_jump_by_an_hour_without_a_double_tick_or_a_stall() {
    let (ticked, ahead) = (Arc::<AtomicUsize>::default(), Arc::<AtomicI64>::default());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let registry = Registry::new().with(Counter(Arc::clone(&ticked)));
    let spec = ConnectorSpec {
        name: "c".into(),
        type_id: "counter".into(),
        target_database: "d".into(),
        target_table: "t".into(),
        schedule_ms: INTERVAL,
        config: json!({}),
    };
    let schema = registry.configure("counter", &json!({})).unwrap().schema().clone();
    let connector = store.create(spec, &schema).await.unwrap().id;
    let mut runner = Runner::new(Arc::clone(&store), registry, Arc::new(NoSecrets), RunnerOptions::default());
    let (began, jump) = (Instant::now(), Arc::clone(&ahead));
    runner.time = TimeOfDay::new(move || {
        let passed = i64::try_from(began.elapsed().as_millis()).unwrap();
        START + passed + jump.load(Ordering::Relaxed)
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
    let stage = Stage { store, connector, ticked, ahead };

    let hour = HOUR / INTERVAL;
    // A jump is seen within a second: up to two buckets may pass meanwhile.
    let is_run = |ticks: &[Millis], from: Millis| {
        assert!(ticks.len() >= 8 && ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ticks:?}");
        assert!((from..=from + 2).contains(&ticks[0]), "{ticks:?} from {from}");
    };
    is_run(&stage.pass(10).await, 0);
    stage.ahead.store(HOUR, Ordering::Relaxed);
    is_run(&stage.pass(10).await, hour + 10);
    // Back to the right time: those buckets have not been run.
    stage.ahead.store(0, Ordering::Relaxed);
    is_run(&stage.pass(10).await, 20);
    stage.ahead.store(-HOUR, Ordering::Relaxed);
    is_run(&stage.pass(10).await, 30 - hour);
    // Back by as much as has passed: a bucket that has committed is not run again, and the next ones are.
    stage.ahead.store(-40 * INTERVAL, Ordering::Relaxed);
    let again = stage.pass(30).await;
    assert!(again.windows(2).all(|pair| pair[0] < pair[1]), "{again:?}");
    assert!(again.iter().filter(|bucket| (10..=19).contains(*bucket)).count() >= 8, "{again:?}");
    assert_eq!(stage.ticked.load(Ordering::Relaxed), stage.committed().await.len());
    stop.send(()).unwrap();
    running.await.unwrap();
}
