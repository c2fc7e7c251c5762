//! The main job in one command: an exporter, the server on the embedded store, a connector created through the HTTP
//! API, and its rows as they land.
//!
//! ```text
//! cargo run --release --example quickstart
//! cargo run --release --example quickstart -- http://127.0.0.1:9100/metrics --ticks 3
//! ```

#[path = "exporter/machine.rs"]
mod machine;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use connector_core::{Cancellation, Registry};
use connector_runtime::runner::{Runner, RunnerOptions};
use connector_runtime::secrets::SecretSources;
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::Store;
use connector_server::{Access, App, serve};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prom_connector::Prometheus;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How many rows of each tick are shown.
const SHOWN: usize = 5;

#[derive(Parser)]
#[command(about = "Scrapes an exporter into an SQL table every second and prints the rows as they land")]
struct Args {
    /// The URL to scrape; unless given, a small exporter of this machine's own metrics is started
    url: Option<String>,
    /// Stop after so many committed ticks, rather than at Ctrl-C
    #[arg(long)]
    ticks: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let endpoint = match args.url {
        Some(url) => url,
        None => start_exporter().await?,
    };

    let folder = tempfile::tempdir()?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path())?);
    let registry = Registry::new().with(Prometheus::new()?);
    let secrets = Arc::new(SecretSources::new());
    let stop = Cancellation::new();

    let runner = Runner::new(Arc::clone(&store), registry.clone(), secrets.clone(), RunnerOptions::default());
    let stopped = stop.clone();
    let running = tokio::spawn(async move { runner.run(stopped.cancelled()).await });

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let app = App { store, registry, secrets, access: Access::Local, metrics: Arc::default() };
    let stopped = stop.clone();
    let serving = tokio::spawn(serve(listener, app, async move { stopped.cancelled().await }));

    let api = Api { base: base.clone() };
    let connector = json!({
        "name": "quickstart",
        "type": "prometheus",
        "target_database": "default",
        "target_table": "metrics",
        "schedule_ms": 1000,
        "config": { "endpoint": endpoint }
    });
    let created = api.call(Method::POST, "/v1/connectors", Some(&connector)).await?;
    let id = created["id"].as_str().ok_or_else(|| format!("the connector was not created: {created}"))?;

    println!("scraping  {endpoint} every second");
    println!("page      {base}/");
    println!(
        "table     sqlite3 -readonly {}/default.db 'SELECT * FROM metrics LIMIT 5'",
        folder.path().display()
    );
    println!("stop      Ctrl-C\n");
    tokio::select! {
        shown = show_ticks(&api, id, args.ticks.unwrap_or(usize::MAX)) => shown?,
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
    running.await?;
    serving.await?;
    Ok(())
}

async fn start_exporter() -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}/metrics", listener.local_addr()?);
    tokio::spawn(machine::serve(listener));
    Ok(endpoint)
}

/// Prints each tick once, and a few rows of those that committed, until so many have.
async fn show_ticks(api: &Api, id: &str, mut wanted: usize) -> Result<(), Error> {
    let mut shown = BTreeMap::new();
    while wanted > 0 {
        let answer = api.call(Method::GET, &format!("/v1/connectors/{id}/ticks?limit=10"), None).await?;
        for tick in answer["ticks"].as_array().into_iter().flatten().rev() {
            let at = tick["scheduled_for"].as_str().unwrap_or_default();
            if shown.insert(at.to_owned(), ()).is_some() || wanted == 0 {
                continue;
            }
            println!("{at}  {}  {} rows  {}", text(&tick["outcome"]), tick["rows"], text(&tick["error"]));
            if tick["outcome"] == "committed" {
                wanted -= 1;
                show_rows(api, at).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn show_rows(api: &Api, at: &str) -> Result<(), Error> {
    let path = format!("/v1/tables/default/metrics/rows?limit={SHOWN}&since={at}");
    let answer = api.call(Method::GET, &path, None).await?;
    for row in answer["rows"].as_array().into_iter().flatten() {
        println!("    {:<28} {:>20}  {}", text(&row["name"]), row["value"].to_string(), row["labels"]);
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A client of the control API.
struct Api {
    base: String,
}

impl Api {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let answer = client.request(request).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&answer)?)
    }
}
