//! The exporter that everybody scrapes: as little work as an answer takes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The n-th target, each with an address of its own, and a body of so many bytes.
pub(crate) fn url(n: usize, port: &str, bytes: usize) -> String {
    format!("http://127.1.{}.{}:{port}/{bytes}", n / 250, n % 250 + 1)
}

/// Serves on all loopback addresses until standard input ends.
pub(crate) fn serve() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let responses = Responses::default();
    let serving = async {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("it is bound").port());
        loop {
            let (stream, peer) = listener.accept().await.expect("a connection");
            if peer.ip().is_loopback() {
                tokio::task::spawn_local(answer(stream, Rc::clone(&responses)));
            }
        }
    };
    runtime.block_on(tokio::task::LocalSet::new().run_until(serving));
}

/// Answers every request on a connection with as many bytes as its path says.
async fn answer(mut stream: TcpStream, responses: Responses) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let path = request.split(|b| *b == b' ').nth(1).unwrap_or_default();
        let bytes = std::str::from_utf8(&path[1..]).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
        let response = Rc::clone(responses.borrow_mut().entry(bytes).or_insert_with(|| response(bytes)));
        stream.write_all(&response).await?;
    }
}

/// The responses by the size of their bodies, shared by all connections.
type Responses = Rc<RefCell<HashMap<usize, Rc<[u8]>>>>;

fn response(bytes: usize) -> Rc<[u8]> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
    let mut response = head.into_bytes();
    let line = b"node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1234.5\n";
    response.extend(line.iter().cycle().take(bytes.saturating_sub(1)));
    response.push(b'\n');
    response.into()
}
