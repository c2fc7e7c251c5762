//! Connections: how many there are, and how long their clients may take.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use crate::app::{App, router};

/// How many connections there are at once. Whoever opens more of them waits: the other descriptors are for scraping.
const CONNECTIONS: usize = 256;

/// How long a client may take to send the head of a request, the first or the next.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long a client may take nothing of an answer.
const STALLED: Duration = Duration::from_secs(60);

/// How long requests in flight may take to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(8);

/// Answers HTTP requests until `shutdown` resolves, then ends: idle connections at once, requests in flight when they
/// are answered, and after 8 s whatever they do.
///
/// Up to 256 connections are open at once. One is closed when its client takes more than 30 s to send the head of a
/// request, or nothing of an answer for 60 s.
pub async fn serve(mut listener: TcpListener, app: App, shutdown: impl Future<Output = ()> + Send + 'static) {
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let service = TowerToHyperService::new(router(app));
    let (places, connections) = (Arc::new(Semaphore::new(CONNECTIONS)), GracefulShutdown::new());
    let accepting = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let (stream, _) = Listener::accept(&mut listener).await;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(STALLED));
            let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service.clone());
            let connection = connections.watch(connection.into_owned());
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended early");
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    drop(listener);
    if timeout(DRAIN, connections.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests still in flight");
    }
}
