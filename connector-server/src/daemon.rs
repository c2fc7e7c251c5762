//! Wires the parts together and stops them together.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use connector_core::{Cancellation, Cause, Registry, ResolveSecret};
use connector_runtime::runner::{Runner, RunnerOptions};
use connector_runtime::secrets::SecretSources;
use connector_runtime::sqlite::SqliteStore;
use connector_runtime::store::{Store, StoreError};
use connector_server::{Access, App, read_token, serve};
use prom_connector::Prometheus;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::net::TcpListener;

use crate::options::{Options, StoreUrl};
#[cfg(target_os = "linux")]
use crate::process;

/// Runs the daemon until it is told to stop.
pub(crate) fn run(options: &Options) -> Result<(), DaemonError> {
    let access = access(options)?;
    allow_many_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| DaemonError::Start("cannot start the async runtime".to_owned(), cause.into()))?;
    let ended = runtime.block_on(run_parts(options, access));
    // What still runs, such as a file system that does not answer, must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// Takes what the system allows: each database takes some files, each target and each client a connection. The usual limit, which
/// is low for the sake of programs that call `select`, would be reached at some 300 databases.
fn allow_many_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

async fn run_parts(options: &Options, access: Access) -> Result<(), DaemonError> {
    let stop = stop_signal()?;
    let listener = match options.role.serves() {
        true => Some(TcpListener::bind(options.listen).await.map_err(|cause| cannot_listen(options, cause))?),
        false => None,
    };
    let sqlite = match &options.store {
        StoreUrl::Sqlite(folder) => Arc::new(SqliteStore::open(folder)?),
    };
    let store: Arc<dyn Store> = sqlite.clone();
    let prometheus = Prometheus::new()
        .map_err(|cause| DaemonError::Start("cannot set up the HTTP client".to_owned(), cause.into()))?;
    let registry = Registry::new().with(prometheus);
    let secrets = secrets(options);

    let runner = options.role.runs().then(|| {
        let options = RunnerOptions { slots: options.slots, ..RunnerOptions::default() };
        tracing::info!(runner = options.name, slots = options.slots, "running ticks");
        Runner::new(Arc::clone(&store), registry.clone(), Arc::clone(&secrets), options)
    });
    let metrics = Arc::new(metrics(&sqlite, runner.as_ref()));

    let running = async {
        if let Some(runner) = runner {
            let stop = stop.clone();
            // On one of the runtime's threads, where its ticks run too: to hand a tick over wakes no other thread.
            let running = tokio::spawn(async move { runner.run(stop.cancelled()).await });
            if let Some(panic) = running.await.err().and_then(|error| error.try_into_panic().ok()) {
                std::panic::resume_unwind(panic);
            }
        }
    };
    let serving = async {
        if let Some(listener) = listener {
            announce(&listener);
            let (store, registry, secrets) = (Arc::clone(&store), registry.clone(), Arc::clone(&secrets));
            let app = App { store, registry, secrets, access, metrics };
            let stop = stop.clone();
            serve(listener, app, async move { stop.cancelled().await }).await;
        }
    };
    let retaining = async {
        if let Some(retention) = options.retention {
            tokio::select! {
                () = sqlite.retain(retention) => {}
                () = stop.cancelled() => {}
            }
        }
    };
    tokio::join!(running, serving, retaining);
    tracing::info!("stopped");
    Ok(())
}

/// What `/metrics` tells: of this daemon's process, its ticks, and its store.
fn metrics(store: &SqliteStore, runner: Option<&Runner>) -> MetricsRegistry {
    let mut metrics = MetricsRegistry::default();
    #[cfg(target_os = "linux")]
    process::register(&mut metrics);
    let daemon = metrics.sub_registry_with_prefix("connectord");
    daemon.register(
        "build",
        "The version of this program",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    store.register(daemon);
    if let Some(runner) = runner {
        runner.register(daemon);
    }
    metrics
}

fn cannot_listen(options: &Options, cause: io::Error) -> DaemonError {
    DaemonError::Start(format!("cannot listen on {}", options.listen), cause.into())
}

/// Says where the daemon listens, once it is able to answer.
fn announce(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "listening: the operator's page is at http://{address}/");
    }
}

/// Where connectors find secrets: anywhere but in what is the daemon's own.
fn secrets(options: &Options) -> Arc<dyn ResolveSecret> {
    // There the environment would show the variables that are hidden by name.
    let mut sources = SecretSources::new().hide_env_prefix("CONNECTORD_").hide_dir("/proc");
    if let Some(file) = &options.api_token_file {
        sources = sources.hide_file(file);
    }
    if let Some(file) = &options.env_file {
        sources = sources.env_file(file);
    }
    for pattern in &options.secret_env {
        sources = sources.allow_env(pattern);
    }
    for dir in &options.secret_dir {
        sources = sources.allow_dir(dir);
    }
    Arc::new(sources)
}

/// Who is let in. A token that cannot be read keeps the daemon from starting.
fn access(options: &Options) -> Result<Access, DaemonError> {
    let Some(path) = &options.api_token_file else {
        return Ok(if options.allow_anonymous { Access::Anyone } else { Access::Local });
    };
    let token = read_token(path).map_err(|reason| DaemonError::TokenFile { path: path.clone(), reason })?;
    // A pipe can be read only once.
    Ok(if path.is_file() { Access::TokenFile(path.clone()) } else { Access::Token(token) })
}

/// A signal that the first SIGTERM or SIGINT raises. The second one ends the process at once.
fn stop_signal() -> Result<Cancellation, DaemonError> {
    use tokio::signal::unix::{SignalKind, signal};

    let failed = |cause: io::Error| DaemonError::Start("cannot handle signals".to_owned(), cause.into());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = Cancellation::new();
    let raised = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            }
        };
        next().await;
        tracing::info!("stopping; a second signal ends at once");
        raised.cancel();
        let second = next().await;
        // As a shell counts a process that a signal ended.
        std::process::exit(128 + second.as_raw_value());
    });
    Ok(stop)
}

/// Why the daemon did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    #[error("--api-token-file {}: {reason}", .path.display())]
    TokenFile { path: PathBuf, reason: io::Error },
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Start(String, #[source] Cause),
}

impl DaemonError {
    /// 2 for what is wrong with the options, otherwise 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::TokenFile { .. } => ExitCode::from(2),
            Self::Store(_) | Self::Start(..) => ExitCode::FAILURE,
        }
    }
}
