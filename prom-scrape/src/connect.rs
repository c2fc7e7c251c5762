//! One connection: the name, TCP, TLS and HTTP's own handshake, each step told to the attempt it works for.

use std::io;
use std::net::SocketAddr;
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
use tokio::task::{JoinHandle, JoinSet};
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

/// How long one address may keep silent before the next one is tried beside it, as RFC 8305 suggests.
const HEAD_START: Duration = Duration::from_millis(250);

impl Connector {
    pub(crate) fn new(tls: ClientConfig, max_head_bytes: usize) -> Self {
        Self { tls: TlsConnector::from(Arc::new(tls)), max_head_bytes }
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
                let found = tokio::net::lookup_host((name, port)).await;
                let unresolved = || format!("the host name of {} does not resolve", chain.place());
                found.map_err(|e| failed(unresolved(), e.into()))?.collect()
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
