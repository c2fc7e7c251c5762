//! What a scrape costs in resident memory, whatever a server sends.
//!
//! The bodies come from a thread that holds next to nothing itself, so that what this process gains is the client's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prom_scrape::{Client, Credentials, Error, ErrorKind, Scrape, ScrapeOptions, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What the measurement itself and the system's allocator may blur.
const BLUR: usize = 4 << 20;

/// Memory is the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A figure of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() * 1024
}

/// Does `work` and returns how far resident memory rose above what it was.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    // This makes what there is now the highest mark.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let result = work();
    (result, status("VmHWM:").saturating_sub(before))
}

/// A body that is sent piece by piece.
struct Body {
    headers: String,
    piece: Vec<u8>,
    times: usize,
    end: &'static [u8],
}

impl Body {
    fn by_length(headers: &str, piece: Vec<u8>, times: usize) -> Self {
        let headers = format!("{headers}Content-Length: {}\r\n", piece.len() * times);
        Self { headers, piece, times, end: b"" }
    }

    fn chunked(piece: &[u8], times: usize) -> Self {
        let piece = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        Self { headers: "Transfer-Encoding: chunked\r\n".into(), piece, times, end: b"0\r\n\r\n" }
    }

    /// Answers every request with this body.
    fn serve(self) -> Target {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = target(listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that has had enough hangs up.
                let _ = self.answer(&stream.unwrap());
            }
        });
        target
    }

    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        while stream.read(&mut [0; 4096])? > 0 {
            write!(stream, "HTTP/1.1 200 OK\r\n{}\r\n", self.headers)?;
            for _ in 0..self.times {
                stream.write_all(&self.piece)?;
            }
            stream.write_all(self.end)?;
        }
        Ok(())
    }
}

fn target(addr: SocketAddr) -> Target {
    Target::parse(&format!("http://{addr}/metrics")).unwrap()
}

async fn scrape(client: &Client, target: &Target, buffer: Vec<u8>) -> Result<Scrape, Error> {
    let anonymous = || Ok::<_, Infallible>(Credentials::None);
    let options = ScrapeOptions::new().timeout(Duration::from_secs(300));
    client.scrape_into(target, anonymous, &options, buffer).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lines of which no two are the same.
fn lines(bytes: usize) -> Vec<u8> {
    let (mut lines, mut value) = (Vec::new(), 1u64);
    while lines.len() < bytes {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(lines, "requests_total{{code=\"200\",path=\"/{}\"}} {}", lines.len(), value >> 40).unwrap();
    }
    lines
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_body_of_100_mb_costs_little_more_than_itself() {
    let _alone = alone();
    let text = lines(1_000_000);
    let len = text.len() * 100;
    for (what, body) in [
        ("by length", Body::by_length("", text.clone(), 100)),
        ("chunked", Body::chunked(&text, 100)),
        ("gzip", Body::by_length("Content-Encoding: gzip\r\n", gzip(&text), 100)),
    ] {
        let (runtime, target) = (runtime(), body.serve());
        let client = Client::builder().max_retries(0).build().unwrap();
        let (first, most) = peak(|| runtime.block_on(scrape(&client, &target, Vec::new())).unwrap());
        println!("{what}: {:.2} times the body at the peak", most as f64 / len as f64);
        assert!(first.body().len() == len && most >= len, "{what}: {} and {most} bytes", first.body().len());
        assert!(most <= len / 10 * 13, "{what}: {most} bytes for {len}");
        let buffer = first.into_buffer();
        let (again, more) = peak(|| runtime.block_on(scrape(&client, &target, buffer)).unwrap());
        assert!(
            again.body().len() == len && more < BLUR,
            "{what}: {more} bytes beside a buffer that sufficed"
        );
    }
}

#[test]
fn a_bomb_of_10_gib_costs_no_more_than_the_limit() {
    let _alone = alone();
    let zeros = vec![0; 64 << 20];
    let bombs = [
        ("gzip", gzip(&zeros)),
        #[cfg(feature = "zstd")]
        ("zstd", zstd::encode_all(&zeros[..], 1).unwrap()),
    ];
    drop(zeros);
    for (encoding, member) in bombs {
        let bomb =
            Body::by_length(&format!("Content-Encoding: {encoding}\r\n"), member, (10 << 30) / (64 << 20));
        let (runtime, target) = (runtime(), bomb.serve());
        for limit in [1 << 20, 100 << 20] {
            let client = Client::builder().max_retries(0).max_body_bytes(limit).build().unwrap();
            let (result, most) = peak(|| runtime.block_on(scrape(&client, &target, Vec::new())));
            let error = result.unwrap_err();
            println!("{encoding}: {most} bytes at the peak for a limit of {limit}");
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
            // A decoder's window and tables come on top.
            assert!(most <= limit + (8 << 20) + BLUR, "{encoding}: {most} bytes for a limit of {limit}");
        }
    }
}

/// A server on all of 127.0.0.0/8 that keeps connections: its port, and the most that were open at a time.
fn many_hosts() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let most = Arc::<AtomicUsize>::default();
    let most_open = most.clone();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let open = Arc::<AtomicUsize>::default();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let open = open.clone();
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::spawn(async move {
                    while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n";
                        if stream.write_all(answer).await.is_err() {
                            break;
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    });
    (port, most_open)
}

#[test]
fn memory_and_connections_do_not_grow_with_10_000_targets() {
    let _alone = alone();
    let (port, most_open) = many_hosts();
    let targets: Vec<Target> = (0..10_000u16)
        .map(|n| target((Ipv4Addr::new(127, 1, (n / 250) as u8, (n % 250 + 1) as u8), port).into()))
        .collect();
    let client = Client::builder().max_retries(0).max_idle(64).build().unwrap();
    let runtime = runtime();
    let round = |targets: &[Target]| {
        runtime.block_on(async {
            for target in targets {
                assert_eq!(scrape(&client, target, Vec::new()).await.unwrap().body(), b"a 1\n");
            }
        });
    };
    round(&targets[..1_000]);
    let ((), more) = peak(|| round(&targets));
    let most_open = most_open.load(Ordering::SeqCst);
    println!("{more} bytes more for ten times as many targets; {most_open} connections open at most");
    assert!(more < BLUR, "{more} bytes more");
    // The server takes its time to see that one was closed.
    assert!(most_open < 1_000, "{most_open} connections open");
}
