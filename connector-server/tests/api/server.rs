//! A real server on a free port, a client for it, and a connector type that does as its config says.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use connector_core::{
    Cancellation, Column, ColumnType, ConfigError, Connector, Registry, ResolveSecret, Rows, Schema, Secret,
    SecretError, SecretRef, Tick, TickError,
};
use connector_runtime::memory::MemoryStore;
use connector_runtime::model::{Millis, Outcome, TickRecord};
use connector_runtime::store::{Claim, Claimed, FinishedTick, Store};
use connector_server::{Access, App, serve};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Writes as many rows as its config says, or fails as it says.
pub(crate) struct Counter;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CounterConfig {
    rows: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_ref: Option<SecretRef>,
}

impl Connector for Counter {
    const TYPE_ID: &'static str = "counter";
    type Config = CounterConfig;

    fn config_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn schema(&self) -> Schema {
        Schema::new([
            Column::time("timestamp"),
            Column::key("name", ColumnType::String),
            Column::value("value", ColumnType::Real),
            Column::key("labels", ColumnType::Dynamic),
        ])
        .unwrap()
    }

    fn validate(&self, config: &CounterConfig) -> Result<(), ConfigError> {
        if config.rows <= 5_000 { Ok(()) } else { Err(ConfigError::invalid("rows: must be at most 5000")) }
    }

    async fn tick(&self, tick: &Tick<'_, CounterConfig>, rows: &mut Rows) -> Result<(), TickError> {
        let config = tick.config();
        tick.count_attempt();
        if let Some(reference) = &config.token_ref {
            tick.resolve(reference).map_err(TickError::config)?;
        }
        match config.fail.as_deref() {
            None => {}
            Some("transient") => return Err(TickError::transient("the source is down")),
            Some("panic") => panic!("of the source"),
            Some("never") => std::future::pending().await,
            Some(_) => return Err(TickError::permanent("the source makes no sense")),
        }
        for i in 0..config.rows {
            rows.string(1, "n").entry(3, "i", &i.to_string());
            rows.real(2, if i == 0 { f64::NAN } else { f64::from(i) }).end_row();
        }
        Ok(())
    }
}

/// Has no secret at all.
struct NoSecrets;

impl ResolveSecret for NoSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        Err(SecretError::new(reference, "there are no secrets here"))
    }
}

/// A server of the API on loopback, until it is dropped.
pub(crate) struct Server {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) address: std::net::SocketAddr,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    stop: Cancellation,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Arc::new(MemoryStore::new()), Access::Local).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, access: Access) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = App {
            store: Arc::clone(&store),
            registry: Registry::new().with(Counter),
            secrets: Arc::new(NoSecrets),
            access,
            metrics: Arc::default(),
        };
        let stop = Cancellation::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(serve(listener, app, async move { stopped.cancelled().await }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, address, client, stop, serving }
    }

    /// Tells the server to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    /// One request with these headers, as `name: value`.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// The same, where the answer may be cut off.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Result<Reply, Box<dyn std::error::Error>> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("http://{}{path}", self.address));
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let request = request.body(Full::from(body.to_vec())).unwrap();
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, path, &["content-type: application/json"], body.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str) -> Reply {
        self.call("POST", path, None).await
    }

    /// Creates a connector that is due once a day, and returns its id.
    pub(crate) async fn create(&self, name: &str) -> Uuid {
        let reply = self.call("POST", "/v1/connectors", Some(spec(name))).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
        reply.json()["id"].as_str().unwrap().parse().unwrap()
    }

    /// Runs one tick of a connector, as a runner would.
    pub(crate) async fn land(&self, connector: Uuid, scheduled_for: Millis, outcome: Outcome, count: u32) {
        let changes = self.store.changes(Default::default()).await.unwrap();
        let generation = changes
            .connectors
            .iter()
            .find_map(|change| match change {
                connector_runtime::store::Change::Present(a) if a.id == connector => Some(a.generation),
                _ => None,
            })
            .unwrap();
        let claim = Claim { connector, generation, scheduled_for, triggered: false };
        let claimed = self.store.claim(Uuid::new_v4(), "tests", &[claim]).await.unwrap();
        let [Claimed::Granted(lease)] = claimed[..] else { panic!("{claimed:?}") };
        let schema = Arc::new(Counter.schema());
        let mut rows = Rows::new(&schema);
        for i in 0..count {
            rows.string(1, "n").entry(3, "i", &i.to_string()).real(2, f64::from(i)).end_row();
        }
        let committed = outcome == Outcome::Committed;
        let record = TickRecord {
            scheduled_for,
            started_at: scheduled_for + 10,
            finished_at: scheduled_for + 30,
            outcome,
            rows: u64::from(count),
            attempts: 1,
            error: (!committed).then(|| "it failed <b>badly</b>".to_owned()),
            runner: "tests".to_owned(),
        };
        let rows = committed.then(|| (schema, Arc::new(rows)));
        self.store.finish(FinishedTick { lease, record, rows }).await.unwrap();
    }
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a whole problem+json of that status and code, and returns its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let text = self.text();
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.header(&header::CONTENT_TYPE), "application/problem+json", "{text}");
        let problem = self.json();
        let keys: Vec<&String> = problem.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "detail", "status", "title", "type"], "{text}");
        assert_eq!(problem["status"], status, "{text}");
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["title"], self.status.canonical_reason().unwrap(), "{text}");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// The body of a create.
pub(crate) fn spec(name: &str) -> Value {
    json!({
        "name": name,
        "type": "counter",
        "target_database": "default",
        "target_table": "numbers",
        "schedule_ms": 86_400_000,
        "config": { "rows": 3 }
    })
}
