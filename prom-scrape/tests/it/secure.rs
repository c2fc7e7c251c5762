//! A TLS server on loopback with certificates of the test's own authority, for HTTP/1.1 and HTTP/2.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prom_scrape::{Client, ClientBuilder, Target};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("an authority for tests")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.issue_for_years(name, 2020..4000)
    }

    pub(crate) fn issue_for_years(&self, name: &str, years: std::ops::Range<i32>) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }

    /// A builder of clients that trust this authority and give up after the first failure.
    pub(crate) fn trusted(&self) -> ClientBuilder {
        Client::builder().max_retries(0).add_root_certificates(self.pem.as_bytes())
    }
}

impl Identity {
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { certificate, key }
    }

    /// Certificate and key, as servers that are programs of their own read them.
    pub(crate) fn pem(&self) -> (String, String) {
        (self.certificate.pem(), self.key.serialize_pem())
    }
}

/// What the server speaks.
#[derive(Clone, Copy)]
pub(crate) struct Speaks {
    pub(crate) versions: &'static [&'static rustls::SupportedProtocolVersion],
    pub(crate) alpn: &'static [&'static str],
}

pub(crate) const EVERYTHING: Speaks = Speaks { versions: rustls::ALL_VERSIONS, alpn: &["h2", "http/1.1"] };

/// How an answer goes on after its head, piece by piece.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) pieces: VecDeque<Bytes>,
    pub(crate) end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// The stream is reset.
    Reset,
    /// Nothing more, with the stream open.
    Hang,
    /// Not even a head.
    Silence,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), pieces: VecDeque::from([body.into()]), end: End::Whole }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match (self.pieces.pop_front(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, End::Reset) => Poll::Ready(Some(Err("as the test wants it"))),
            (None, End::Whole) => Poll::Ready(None),
            (None, End::Hang | End::Silence) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.end == End::Whole && self.pieces.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Whole => SizeHint::with_exact(self.pieces.iter().map(|p| p.len() as u64).sum()),
            _ => SizeHint::default(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) sni: Option<String>,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: Arc<Notify>,
    left: Arc<Notify>,
}

impl Server {
    /// A server that answers the n-th request, from 0, as `script` says.
    pub(crate) async fn start(
        identity: &Identity,
        speaks: Speaks,
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let key = PrivateKeyDer::Pkcs8(identity.key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(speaks.versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = speaks.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            seen: Arc::default(),
            arrived: Arc::default(),
            left: Arc::default(),
        };
        let (seen, arrived, left) = (server.seen.clone(), server.arrived.clone(), server.left.clone());
        let script = Arc::new(script);
        tokio::spawn(async move {
            for connection in 0.. {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, seen, script) = (acceptor.clone(), seen.clone(), script.clone());
                let (arrived, left) = (arrived.clone(), left.clone());
                tokio::spawn(async move {
                    // A client that does not like the certificate is what some tests are about.
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let session = stream.get_ref().1;
                    let http2 = session.alpn_protocol() == Some(b"h2");
                    let sni = session.server_name().map(str::to_owned);
                    let service = service_fn(move |request: Request<Incoming>| {
                        let request = Seen {
                            connection,
                            sni: sni.clone(),
                            uri: request.uri().to_string(),
                            headers: request.headers().clone(),
                        };
                        let answer = {
                            let mut seen = seen.lock().unwrap();
                            seen.push(request.clone());
                            script(seen.len() - 1, &request)
                        };
                        arrived.notify_one();
                        answer_with(answer)
                    });
                    let io = TokioIo::new(stream);
                    // How a connection ends is for the client's side of the test to say.
                    let _ = if http2 {
                        http2::Builder::new(TokioExecutor::new())
                            .max_header_list_size(1 << 20)
                            .serve_connection(io, service)
                            .await
                    } else {
                        http1::Builder::new().serve_connection(io, service).await
                    };
                    left.notify_one();
                });
            }
        });
        server
    }

    pub(crate) fn target(&self, path: &str) -> Target {
        self.target_by("localhost", path)
    }

    /// The same server under another of its names.
    pub(crate) fn target_by(&self, host: &str, path: &str) -> Target {
        Target::parse(&format!("https://{host}:{}{path}", self.addr.port())).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A request has come since the last call.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// A connection has ended since the last call.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }
}

async fn answer_with(answer: Answer) -> Result<Response<Answer>, Infallible> {
    if answer.end == End::Silence {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    Ok(response.body(answer).unwrap())
}
