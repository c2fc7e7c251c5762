//! The exporter that everybody scrapes: as little work as an answer takes.

use std::io::Read as _;

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
    runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("it is bound").port());
        loop {
            let (stream, peer) = listener.accept().await.expect("a connection");
            if peer.ip().is_loopback() {
                tokio::spawn(answer(stream));
            }
        }
    });
}

/// Answers every request on a connection with as many bytes as its path says.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut request, mut response) = (Vec::new(), Vec::new());
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let path = request.split(|b| *b == b' ').nth(1).unwrap_or_default();
        let bytes: usize = std::str::from_utf8(&path[1..]).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
        if !response.ends_with(b"\n") {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n");
            response = head.into_bytes();
            let line = b"node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1234.5\n";
            response.extend(line.iter().cycle().take(bytes - 1));
            response.push(b'\n');
        }
        stream.write_all(&response).await?;
    }
}
