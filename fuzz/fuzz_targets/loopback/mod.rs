//! A client and a server that answers it with any bytes, over loopback.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use prom_scrape::{Client, Credentials, Error, ErrorKind, Scrape, ScrapeOptions, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What a body may be at most, in bytes, decoded and on the wire.
pub const LIMIT: usize = 1 << 20;

struct Loopback {
    runtime: Runtime,
    client: Client,
    listener: TcpListener,
    scrapes: u32,
}

/// Scrapes a server that answers with `response` and closes the connection.
pub fn scrape(response: &[u8]) -> Result<Scrape, Error> {
    thread_local!(static LOOPBACK: RefCell<Loopback> = RefCell::new(Loopback::new()));
    LOOPBACK.with_borrow_mut(|loopback| loopback.scrape(response))
}

impl Loopback {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        let client = Client::builder()
            .max_retries(0)
            // A Location could lead anywhere.
            .max_redirects(0)
            .max_idle_per_host(0)
            .max_body_bytes(LIMIT)
            .max_compressed_bytes(LIMIT)
            .build()
            .unwrap();
        Self { runtime, client, listener, scrapes: 0 }
    }

    fn scrape(&mut self, response: &[u8]) -> Result<Scrape, Error> {
        self.scrapes += 1;
        // The system remembers closed connections for a while: one address does not have enough ports for all.
        let host = Ipv4Addr::from(0x7f01_0000 | self.scrapes & 0xffff);
        let port = self.listener.local_addr().unwrap().port();
        let target = Target::parse(&format!("http://{host}:{port}/")).unwrap();
        let anonymous = || Ok::<_, Infallible>(Credentials::None);
        let options = ScrapeOptions::new().timeout(Duration::from_secs(20));
        let (result, ()) = self.runtime.block_on(async {
            let serve = async {
                let (stream, _) = self.listener.accept().await.unwrap();
                // The client may hang up as soon as it has seen enough.
                let _ = answer(stream, response).await;
            };
            tokio::join!(self.client.scrape(&target, anonymous, &options), serve)
        });
        match &result {
            Ok(scrape) => {
                assert!(scrape.body().len() <= LIMIT && scrape.wire_len() <= response.len() as u64);
                assert_eq!(scrape.attempts(), 1);
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::Timeout, "a connection that was closed kept it waiting");
                assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
                assert_eq!(error.attempts(), 1);
            }
        }
        result
    }
}

async fn answer(mut stream: TcpStream, response: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(response).await?;
    stream.shutdown().await?;
    // Closing with something unread would take the response back.
    while stream.read_buf(&mut request).await? > 0 {}
    Ok(())
}
