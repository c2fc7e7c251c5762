//! A fast exporter in a process of its own: the same body for whoever asks, over connections that stay open.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The argument that makes this program the exporter.
pub(crate) const ARGUMENT: &str = "exporter";

/// The exporter's process. It ends when its standard input is closed.
pub(crate) struct Child {
    process: std::process::Child,
    port: u16,
}

impl Child {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("this program's own path");
        let mut process = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a second process of this program");
        let mut port = String::new();
        let output = process.stdout.take().expect("it was asked for");
        BufReader::new(output).read_line(&mut port).expect("the exporter's port");
        Self { process, port: port.trim().parse().expect("a port number") }
    }

    /// The URL of the n-th target.
    pub(crate) fn url(&self, n: usize, hosts: bool) -> String {
        let (high, low) = if hosts { (n / 250, n % 250 + 1) } else { (0, 1) };
        format!("http://127.0.{high}.{low}:{}/metrics", self.port)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(samples: usize) {
    super::process::allow_many_files();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an async runtime");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("an address").port());
        std::io::stdout().flush().expect("somebody who reads");
        let response: Arc<[u8]> = response(samples).into();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&response)));
        }
    });
}

/// Answers each request head with the same response.
async fn answer(mut stream: TcpStream, response: Arc<[u8]>) {
    let mut head = Vec::with_capacity(1024);
    while stream.read_buf(&mut head).await.is_ok_and(|n| n > 0) {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(&response).await.is_err() {
                return;
            }
        }
    }
}

fn response(samples: usize) -> Vec<u8> {
    let mut body = String::new();
    for family in 0..samples / 5 {
        let _ = writeln!(body, "# TYPE node_network_receive_packets_{family}_total counter");
        for device in 0..5 {
            let _ = writeln!(
                body,
                "node_network_receive_packets_{family}_total{{device=\"eth{device}\",mode=\"transmit\",zone=\"eu-west-1b\"}} {}",
                family * 7919 + device
            );
        }
    }
    let mut response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    response.push_str(&body);
    response.into_bytes()
}
