//! A scripted HTTP server on loopback that can misbehave in every way a real one does.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use prom_scrape::{Client, Credentials, Error, Scrape, ScrapeOptions, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does once a request has come; in order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// The same bytes for as long as the client listens.
    SendForever(Vec<u8>),
    /// Nothing more, with the connection open, until the client closes it.
    Hang,
    Close,
    /// Close with RST in place of FIN.
    Reset,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    /// Which of the server's connections it came over, from 0.
    pub(crate) connection: usize,
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
}

type Script = dyn Fn(usize, &Request) -> Vec<Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    arrived: Notify,
    hung_up: Notify,
}

impl Server {
    /// A server that answers the n-th request, from 0, as `script` says.
    pub(crate) async fn start(script: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            arrived: Notify::new(),
            hung_up: Notify::new(),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(accepting.clone().serve(stream, connection));
            }
        });
        Self { addr, shared }
    }

    /// A server that gives `replies` in turn, and the last one for ever after.
    pub(crate) async fn replying(replies: Vec<Vec<Step>>) -> Self {
        Self::start(move |n, _| replies[n.min(replies.len() - 1)].clone()).await
    }

    pub(crate) fn target(&self, path: &str) -> Target {
        Target::parse(&format!("http://{}{path}", self.addr)).unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// A request has come since the last call.
    pub(crate) async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    /// A client that was left hanging has closed its connection since the last call.
    pub(crate) async fn hung_up(&self) {
        self.shared.hung_up.notified().await;
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut stream: TcpStream, connection: usize) {
        while let Some(request) = read_request(&mut stream, connection).await {
            let n = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                requests.len() - 1
            };
            self.arrived.notify_one();
            for step in (self.script)(n, &request) {
                match step {
                    Step::Send(bytes) => {
                        if stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    Step::SendForever(bytes) => while stream.write_all(&bytes).await.is_ok() {},
                    Step::Hang => {
                        let mut rest = Vec::new();
                        let _ = stream.read_to_end(&mut rest).await;
                        self.hung_up.notify_one();
                        return;
                    }
                    Step::Close => return,
                    Step::Reset => {
                        stream.set_zero_linger().unwrap();
                        return;
                    }
                }
            }
        }
    }
}

/// Reads the head of one request; none if the client is gone.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    connection: usize,
) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Request { path, headers, connection })
}

/// A whole response with its length, after which the connection stays open.
pub(crate) fn response(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status} Some Reason\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for header in headers.lines().filter(|line| !line.is_empty()) {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<Step> {
    response(200, "Content-Type: text/plain; version=0.0.4", body)
}

/// These bytes and then the end of the connection.
pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec()), Step::Close]
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn no_credentials() -> Result<Credentials, std::convert::Infallible> {
    Ok(Credentials::None)
}

pub(crate) async fn scrape(client: &Client, target: &Target) -> Result<Scrape, Error> {
    client.scrape(target, no_credentials, &ScrapeOptions::new()).await
}

/// A client that gives up after the first failure.
pub(crate) fn once() -> Client {
    Client::builder().max_retries(0).build().unwrap()
}

/// The error with its causes, as an operator reads it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
