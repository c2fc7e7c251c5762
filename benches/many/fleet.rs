//! Many connectors in a new store, and a runner for them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connector_core::{Registry, ResolveSecret};
use connector_runtime::model::ConnectorSpec;
use connector_runtime::runner::{Runner, RunnerOptions};
use connector_runtime::secrets::SecretSources;
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::Store;
use prom_connector::Prometheus;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How many connectors are created at once.
const AT_ONCE: usize = 8;

pub(crate) struct Fleet {
    store: Arc<dyn Store>,
    registry: Registry,
    connectors: Vec<Uuid>,
    /// When the last connector had been created, in milliseconds since the Unix epoch.
    pub(crate) began: i64,
    /// How long creating them took.
    pub(crate) creation: Duration,
    folder: TempDir,
}

/// A runner at work.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    runner: JoinHandle<()>,
}

impl Fleet {
    pub(crate) async fn create(connectors: usize, interval: i64, url: impl Fn(usize) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(folder.path()).expect("a store in a new folder"));
        let registry = Registry::new().with(Prometheus::new().expect("an HTTP client"));
        let specs: Vec<ConnectorSpec> = (0..connectors)
            .map(|n| ConnectorSpec {
                name: format!("target-{n}"),
                type_id: "prometheus".to_owned(),
                target_database: "default".to_owned(),
                target_table: "metrics".to_owned(),
                schedule_ms: interval,
                config: json!({"endpoint": url(n)}),
            })
            .collect();
        let start = Instant::now();
        let creating: Vec<_> = specs
            .chunks(connectors.div_ceil(AT_ONCE))
            .map(|specs| {
                let (store, registry, specs) = (Arc::clone(&store), registry.clone(), specs.to_vec());
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    for spec in specs {
                        let source = registry.configure(&spec.type_id, &spec.config).expect("a good config");
                        ids.push(store.create(spec, source.schema()).await.expect("a new connector").id);
                    }
                    ids
                })
            })
            .collect();
        let mut ids = Vec::new();
        for created in creating {
            ids.extend(created.await.expect("connectors that can all be created"));
        }
        Self { store, registry, connectors: ids, began: now(), creation: start.elapsed(), folder }
    }

    /// Pauses all connectors: nothing is due any more.
    pub(crate) async fn pause(&self) {
        for id in &self.connectors {
            self.store.set_active(*id, false).await.expect("a connector that can be paused");
        }
    }

    pub(crate) fn start(&self) -> Running {
        let secrets: Arc<dyn ResolveSecret> = Arc::new(SecretSources::new());
        let runner =
            Runner::new(Arc::clone(&self.store), self.registry.clone(), secrets, RunnerOptions::default());
        let (stop, stopped) = oneshot::channel();
        let runner = tokio::spawn(runner.run(async move { drop(stopped.await) }));
        Running { stop, runner }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.runner.await.expect("a runner that stops");
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970");
    i64::try_from(since.as_millis()).expect("a clock that is right")
}
