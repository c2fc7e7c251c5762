//! One connection: the name, TCP, TLS and HTTP's own handshake, each step told to the attempt it works for.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio_rustls::TlsConnector;
use url::Host;

use crate::error::{BoxError, Error, ErrorKind, find_cause};
use crate::phase::{Phase, Progress, Route, TlsSession};
use crate::redirect::Chain;
use crate::tls;

/// Opens connections for `http` and `https` URLs.
pub(crate) struct Connector {
    tls: TlsConnector,
    max_head_bytes: usize,
    lookups: Arc<Semaphore>,
}

/// A connection to one server, for one request at a time. Dropping it closes it.
pub(crate) struct Connection {
    sender: Sender,
    route: Route,
    driver: JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// How many names are looked up at once. Each lookup blocks one of the runtime's 512 threads for that, for half a minute where no
/// name server answers, whether or not anybody waits for it any more; others need some of them too.
const LOOKUPS: usize = 256;

/// How long one address may keep silent before the next one is tried beside it, as RFC 8305 suggests.
const HEAD_START: Duration = Duration::from_millis(250);

impl Connector {
    pub(crate) fn new(tls: ClientConfig, max_head_bytes: usize) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self { tls: TlsConnector::from(Arc::new(tls)), max_head_bytes, lookups }
    }

    /// Opens a connection to the host of the chain's current hop.
    pub(crate) async fn connect(&self, chain: &Chain<'_>, progress: &Progress) -> Result<Connection, Error> {
        let failed =
            |message: String, cause: BoxError| Error::new(ErrorKind::Connect, message).caused_by(cause);
        let url = chain.current();
        let host = url.host().expect("a target has a host");
        let port = url.port_or_known_default().expect("http and https have a default port");
        let addresses = match host {
            Host::Ipv4(ip) => vec![SocketAddr::from((ip, port))],
            Host::Ipv6(ip) => vec![SocketAddr::from((ip, port))],
            Host::Domain(name) => {
                progress.enter(Phase::Resolve);
                let unresolved = || format!("the host name of {} does not resolve", chain.place());
                self.look_up(name, port).await.map_err(|e| failed(unresolved(), e.into()))?
            }
        };
        progress.enter(Phase::Connect);
        let no_connection = |e: io::Error| failed(format!("no connection to {}", chain.place()), e.into());
        let tcp = dial(addresses).await.map_err(no_connection)?;
        tcp.set_nodelay(true).map_err(no_connection)?;
        let mut route = Route { peer: tcp.peer_addr().ok(), tls: None };
        if url.scheme() == "http" {
            return self.http1(tcp, route).await.map_err(|e| no_connection(io::Error::other(e)));
        }

        progress.enter(Phase::Tls);
        let no_tls = |e: io::Error| {
            let reason = find_cause::<rustls::Error>(&e).map_or("", tls::reason);
            failed(format!("the TLS handshake with {} failed{reason}", chain.place()), e.into())
        };
        let name = match host {
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::from(ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::from(ip)),
            Host::Domain(name) => {
                ServerName::try_from(name.to_owned()).map_err(|e| no_tls(io::Error::other(e)))?
            }
        };
        let stream = self.tls.connect(name, tcp).await.map_err(no_tls)?;
        let session = stream.get_ref().1;
        let over_http2 = session.alpn_protocol() == Some(tls::HTTP_2);
        route.tls = TlsSession::of(session);
        let connected =
            if over_http2 { self.http2(stream, route).await } else { self.http1(stream, route).await };
        connected.map_err(|e| no_connection(io::Error::other(e)))
    }

    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let addresses = spawn_blocking(move || {
            let _permit = permit;
            (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)
        });
        addresses.await.map_err(io::Error::other)?
    }

    async fn http1(&self, stream: impl Stream, route: Route) -> Result<Connection, hyper::Error> {
        let (sender, driver) =
            http1::Builder::new().max_buf_size(self.max_head_bytes).handshake(TokioIo::new(stream)).await?;
        Ok(Connection { sender: Sender::Http1(sender), route, driver: spawn(driver) })
    }

    async fn http2(&self, stream: impl Stream, route: Route) -> Result<Connection, hyper::Error> {
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(self.max_head_bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Connection { sender: Sender::Http2(sender), route, driver: spawn(driver) })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// How a connection ended is told to whoever waits for a response on it.
fn spawn<E: Send + 'static>(driver: impl Future<Output = Result<(), E>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async {
        let _ = driver.await;
    })
}

/// The first of `addresses` that answers. Each is given a head start over the next.
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        return TcpStream::connect(address).await;
    }
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    loop {
        match waiting.next() {
            Some(address) => drop(running.spawn(TcpStream::connect(address))),
            None if running.is_empty() => return Err(failure),
            None => {}
        }
        let ended = if waiting.len() > 0 {
            tokio::time::timeout(HEAD_START, running.join_next()).await.unwrap_or(None)
        } else {
            running.join_next().await
        };
        match ended.map(|ended| ended.map_err(io::Error::other).flatten()) {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = error,
            None => {}
        }
    }
}

impl Connection {
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether the connection can take a request, once it knows.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let ready = match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        ready.is_ok()
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whatever it still waits for, nobody wants any more.
        self.driver.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn no_more_names_are_looked_up_at_once_than_that() {
        let connector = Connector::new(tls::config(&[]).unwrap(), 1 << 14);
        let mut others = Arc::clone(&connector.lookups).acquire_many_owned(LOOKUPS as u32).await.unwrap();
        let mut lookup = pin!(connector.look_up("localhost", 80));
        assert!(lookup.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(Arc::strong_count(&connector.lookups), 3, "no thread has been started for it");
        drop(others.split(1));
        assert!(lookup.await.unwrap().iter().all(|address| address.ip().is_loopback()));
        assert_eq!(connector.lookups.available_permits(), 1);
    }
}
