//! Who scrapes.

use std::convert::Infallible;
use std::io::BufRead as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prom_scrape::{Client, Credentials, ScrapeOptions, Target};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    OursReusing,
    Reqwest,
    Hyper,
}

/// For each line of input, one round, and a line with what it took: nanoseconds, nanoseconds of CPU time, and bytes of
/// resident memory after it.
pub(crate) fn run(kind: Kind, urls: &[String], each: usize, bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fetchers = runtime.block_on(kind.connect(urls));
    for line in std::io::stdin().lock().lines() {
        line.expect("input is text");
        let (wall, cpu) = (Instant::now(), cpu_time());
        runtime.block_on(round(&fetchers, each, bytes));
        let (wall, cpu) = (wall.elapsed(), cpu_time() - cpu);
        println!("{} {} {}", wall.as_nanos(), cpu.as_nanos(), resident());
    }
}

/// Each fetcher scrapes its target so many times, all of them at once.
async fn round(fetchers: &[Fetch], each: usize, bytes: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for fetch in fetchers {
        let fetch = fetch.clone();
        tasks.spawn(async move {
            for _ in 0..each {
                assert_eq!(fetch.once().await, bytes, "a body that is not whole");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no fetcher fails");
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Resident memory in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = status.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// One target, ready to be scraped again and again.
#[derive(Clone)]
pub(crate) struct Fetch(Arc<dyn Fn() -> Fetching + Send + Sync>);

type Fetching = Pin<Box<dyn Future<Output = usize> + Send>>;

impl Fetch {
    fn new<F: Future<Output = usize> + Send + 'static>(
        fetch: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || Box::pin(fetch())))
    }

    /// Scrapes once and returns how long the body was.
    pub(crate) async fn once(&self) -> usize {
        self.0().await
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::OursReusing, Self::Reqwest, Self::Hyper];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "prom-scrape",
            Self::OursReusing => "prom-scrape, its buffer kept",
            Self::Reqwest => "reqwest",
            Self::Hyper => "hyper, bare",
        }
    }

    /// One fetcher for each URL; those of a kind share one client.
    pub(crate) async fn connect(self, urls: &[String]) -> Vec<Fetch> {
        match self {
            Self::Ours | Self::OursReusing => {
                let client = Client::builder().max_idle(urls.len()).build().expect("a client");
                urls.iter().map(|url| ours(client.clone(), url, self == Self::OursReusing)).collect()
            }
            Self::Reqwest => {
                let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true);
                let client = client.build().expect("a client");
                urls.iter().map(|url| rival(client.clone(), url)).collect()
            }
            Self::Hyper => {
                let mut fetchers = Vec::new();
                for url in urls {
                    fetchers.push(bare(url).await);
                }
                fetchers
            }
        }
    }
}

fn ours(client: Client, url: &str, reusing: bool) -> Fetch {
    let target = Arc::new(Target::parse(url).expect("a URL"));
    let kept = Arc::new(Mutex::new(Vec::new()));
    Fetch::new(move || {
        let (client, target, kept) = (client.clone(), target.clone(), kept.clone());
        async move {
            let anonymous = || Ok::<_, Infallible>(Credentials::None);
            let options = ScrapeOptions::new().timeout(Duration::from_secs(600));
            if reusing {
                let mut kept = kept.lock().await;
                let buffer = std::mem::take(&mut *kept);
                let scrape =
                    client.scrape_into(&target, anonymous, &options, buffer).await.expect("a scrape");
                let len = scrape.body().len();
                *kept = scrape.into_buffer();
                len
            } else {
                client.scrape(&target, anonymous, &options).await.expect("a scrape").body().len()
            }
        }
    })
}

fn rival(client: reqwest::Client, url: &str) -> Fetch {
    let url: reqwest::Url = url.parse().expect("a URL");
    Fetch::new(move || {
        let request = client
            .get(url.clone())
            .header(
                "accept",
                "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5",
            )
            .header("user-agent", "bench")
            .header("x-prometheus-scrape-timeout-seconds", "600")
            .timeout(Duration::from_secs(600));
        async move { request.send().await.expect("a response").bytes().await.expect("a body").len() }
    })
}

/// No pool, no deadline, no redirects: one connection, and a body put together in one piece.
async fn bare(url: &str) -> Fetch {
    let (host, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let (host, path) = (host.to_owned(), format!("/{path}"));
    let stream = TcpStream::connect(&host).await.expect("a connection");
    stream.set_nodelay(true).expect("a connection");
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(driver);
    let sender = Arc::new(Mutex::new(sender));
    Fetch::new(move || {
        let (sender, host, path) = (sender.clone(), host.clone(), path.clone());
        async move {
            let mut sender = sender.lock().await;
            sender.ready().await.expect("the connection is open");
            let request = hyper::Request::get(path)
                .header("host", host)
                .header("accept", "text/plain;version=0.0.4")
                .header("user-agent", "bench")
                .body(Empty::<Bytes>::new())
                .expect("a request");
            let mut incoming = sender.send_request(request).await.expect("a response").into_body();
            let mut body = Vec::with_capacity(incoming.size_hint().lower() as usize);
            while let Some(frame) = incoming.frame().await {
                if let Ok(piece) = frame.expect("a piece").into_data() {
                    body.extend_from_slice(&piece);
                }
            }
            body.len()
        }
    })
}
