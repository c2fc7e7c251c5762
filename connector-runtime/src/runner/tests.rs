//! What a runner does when somebody sets the clock, when a tick of it is lost, when a connector panics, and when sources do not
//! answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use connector_core::{
    Column, ColumnType, ConfigError, Connector, Registry, ResolveSecret, Rows, Schema, Secret, SecretError,
    SecretRef, Tick, TickError,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::clock::TimeOfDay;
use super::metrics::Metrics;
use super::{Runner, RunnerOptions};
use crate::memory::MemoryStore;
use crate::model::{ConnectorSpec, Millis, Outcome};
use crate::store::{LEASE, Store};

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

/// A runner with one connector.
struct Stage {
    store: Arc<dyn Store>,
    connector: Uuid,
    ticked: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Stage {
    /// Begins to run. `time` tells the time of day from the milliseconds that have passed and the ticks there were.
    async fn begin(time: impl Fn(Millis, usize) -> Millis + Send + Sync + 'static) -> Self {
        let (ticked, told) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let registry =
            Registry::new().with(Counter(Arc::clone(&ticked))).with(Silent(Arc::clone(&told))).with(Touchy);
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
        let mut runner =
            Runner::new(Arc::clone(&store), registry, Arc::new(NoSecrets), RunnerOptions::default());
        let (began, ticks) = (Instant::now(), Arc::clone(&ticked));
        runner.time = TimeOfDay::new(move || {
            time(i64::try_from(began.elapsed().as_millis()).unwrap(), ticks.load(Ordering::Relaxed))
        });
        let metrics = Arc::clone(&runner.metrics);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
        Self { store, connector, ticked, told, metrics, stop, running }
    }

    /// Lets so many buckets pass, and returns those that committed meanwhile as seconds from the start.
    async fn pass(&self, buckets: u32) -> Vec<Millis> {
        let before = self.ended(Outcome::Committed).await;
        sleep(Duration::from_millis(INTERVAL.unsigned_abs()) * buckets).await;
        let mut new = self.ended(Outcome::Committed).await;
        new.retain(|bucket| !before.contains(bucket));
        new.iter().map(|bucket| (bucket - START) / INTERVAL).collect()
    }

    /// The buckets that ended so, the oldest first.
    async fn ended(&self, outcome: Outcome) -> Vec<Millis> {
        let ticks = self.store.ticks(self.connector, usize::MAX).await.unwrap();
        let ended = ticks.iter().rev().filter(|tick| tick.outcome == outcome);
        ended.map(|tick| tick.scheduled_for).collect()
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_may_jump_by_an_hour_without_a_double_tick_or_a_stall() {
    let ahead = Arc::<AtomicI64>::default();
    let jump = Arc::clone(&ahead);
    let stage = Stage::begin(move |passed, _| START + passed + jump.load(Ordering::Relaxed)).await;

    let hour = HOUR / INTERVAL;
    // A jump is seen within a second: up to two buckets may pass meanwhile.
    let is_run = |ticks: &[Millis], from: Millis| {
        assert!(ticks.len() >= 8 && ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ticks:?}");
        assert!((from..=from + 2).contains(&ticks[0]), "{ticks:?} from {from}");
    };
    is_run(&stage.pass(10).await, 0);
    ahead.store(HOUR, Ordering::Relaxed);
    is_run(&stage.pass(10).await, hour + 10);
    // Back to the right time: those buckets have not been run.
    ahead.store(0, Ordering::Relaxed);
    is_run(&stage.pass(10).await, 20);
    ahead.store(-HOUR, Ordering::Relaxed);
    is_run(&stage.pass(10).await, 30 - hour);
    // Back by as much as has passed: a bucket that has committed is not run again, and the next ones are.
    ahead.store(-40 * INTERVAL, Ordering::Relaxed);
    let again = stage.pass(30).await;
    assert!(again.windows(2).all(|pair| pair[0] < pair[1]), "{again:?}");
    assert!(again.iter().filter(|bucket| (10..=19).contains(*bucket)).count() >= 8, "{again:?}");
    let ticks = stage.store.ticks(stage.connector, usize::MAX).await.unwrap();
    assert!(ticks.iter().all(|tick| tick.outcome == Outcome::Committed), "{ticks:?}");
    assert_eq!(stage.ticked.load(Ordering::Relaxed), ticks.len());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_panics_outside_its_connector_costs_no_more_than_its_lease() {
    let panicked = AtomicBool::new(false);
    let stage = Stage::begin(move |passed, ticks| {
        // After the connector's part of the third tick, when its end is about to be written.
        assert!(ticks != 3 || panicked.swap(true, Ordering::Relaxed), "the clock is broken");
        START + passed
    })
    .await;
    // Who fires at the very beginning of a bucket has missed the first one.
    let before = stage.pass(3).await;
    assert!(before == [0, 1] || before == [1, 2], "{before:?}");
    let (lost, lease) = (before[1] + 1, i64::try_from(LEASE.as_secs()).unwrap());
    let after = stage.pass(20).await;
    assert!((lost..=lost + 1 + lease).contains(&after[0]), "{after:?}");
    assert!(after.windows(2).all(|pair| pair[1] == pair[0] + 1) && after.len() >= 8, "{after:?}");
    // It is told as any other whose runner did not come to its end.
    assert_eq!(stage.ended(Outcome::Abandoned).await, [START + lost * INTERVAL]);
    stage.end().await;
}

/// Takes so many milliseconds, and gives up then, unless its source answers after all.
///
/// Counts how often it is told to end early.
struct Silent(Arc<AtomicUsize>);

impl Connector for Silent {
    const TYPE_ID: &'static str = "silent";
    type Config = Value;

    fn config_schema(&self) -> Value {
        json!({})
    }

    fn schema(&self) -> Schema {
        Schema::new([Column::time("t"), Column::value("v", ColumnType::Real)]).unwrap()
    }

    async fn tick(&self, tick: &Tick<'_, Value>, _: &mut Rows) -> Result<(), TickError> {
        tokio::select! {
            () = sleep(Duration::from_millis(tick.config()["takes"].as_u64().unwrap())) => {}
            () = tick.cancelled() => {
                self.0.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            }
        }
        if tick.config()["answers"] == true {
            Ok(())
        } else {
            Err(TickError::transient("it does not answer"))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sources_that_do_not_answer_do_not_hold_up_the_others_for_long() {
    const SILENT: usize = 400;

    let stage = Stage::begin(|passed, _| START + passed).await;
    let create = async |name: String, config| {
        let mut spec = stage.store.get(stage.connector).await.unwrap().unwrap().spec;
        (spec.name, spec.type_id) = (name, "silent".to_owned());
        (spec.schedule_ms, spec.config) = (15 * INTERVAL, config);
        stage.store.create(spec, &Silent(Arc::default()).schema()).await.unwrap().id
    };
    let slow = create("slow".to_owned(), json!({ "takes": 3_000, "answers": true })).await;
    stage.pass(20).await;
    for n in 0..SILENT {
        create(format!("silent {n}"), json!({ "takes": 20_000 })).await;
    }
    // Nothing is known of them yet, so each keeps a slot for a second.
    let at_first = stage.pass(20).await.len();
    assert!(at_first >= 15, "{at_first}");
    assert_eq!(stage.pass(60).await.len(), 60);
    // They are tried again for as long as they take, and one that is slow and answers has a slot beside them.
    stage.pass(60).await;
    let (mut given_up, mut gave_way) = (0, 0);
    for silent in stage.store.list(None, usize::MAX).await.unwrap() {
        given_up += usize::from(silent.last_error.as_deref() == Some("it does not answer"));
        let ticks = stage.store.ticks(silent.id, usize::MAX).await.unwrap();
        gave_way += ticks.iter().filter(|tick| tick.outcome == Outcome::Abandoned).count();
    }
    assert!(given_up >= 100, "{given_up}");
    let told = stage.told.load(Ordering::Relaxed);
    assert!((gave_way.max(100)..=SILENT).contains(&told), "{told}, {gave_way}");
    let slow = stage.store.ticks(slow, usize::MAX).await.unwrap();
    let committed = slow.iter().filter(|tick| tick.outcome == Outcome::Committed).count();
    // But for the bucket in which nothing was known of them.
    assert!(committed >= 160 / 15 - 1, "{slow:?}");
    stage.end().await;
}

/// Panics at what it does not like, as its config says: at the config itself or within its tick.
struct Touchy;

impl Connector for Touchy {
    const TYPE_ID: &'static str = "touchy";
    type Config = Value;

    fn config_schema(&self) -> Value {
        json!({})
    }

    fn schema(&self) -> Schema {
        Schema::new([Column::time("t"), Column::value("v", ColumnType::Real)]).unwrap()
    }

    fn validate(&self, config: &Value) -> Result<(), ConfigError> {
        assert_ne!(config["dislikes"], "config");
        Ok(())
    }

    async fn tick(&self, tick: &Tick<'_, Value>, _: &mut Rows) -> Result<(), TickError> {
        panic!("{} disliked", tick.config()["dislikes"])
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_stops_no_other() {
    let stage = Stage::begin(|passed, _| START + passed).await;
    let mut ids = Vec::new();
    for dislikes in ["config", "tick"] {
        let mut spec = stage.store.get(stage.connector).await.unwrap().unwrap().spec;
        (spec.name, spec.type_id) = (dislikes.to_owned(), "touchy".to_owned());
        spec.config = json!({ "dislikes": dislikes });
        ids.push(stage.store.create(spec, &Touchy.schema()).await.unwrap().id);
    }
    assert!(stage.pass(10).await.len() >= 9);
    let [config, tick] = ids[..] else { unreachable!() };
    assert!(stage.store.ticks(config, 1).await.unwrap().is_empty());
    assert_eq!(stage.metrics.refused_connectors.get(), 1);
    let last = &stage.store.ticks(tick, 1).await.unwrap()[0];
    assert_eq!(last.outcome, Outcome::Permanent);
    assert_eq!(last.error.as_deref(), Some("the connector panicked: \"tick\" disliked"));
    stage.store.delete(config).await.unwrap();
    stage.pass(1).await;
    assert_eq!(stage.metrics.refused_connectors.get(), 0);
    stage.end().await;
}
