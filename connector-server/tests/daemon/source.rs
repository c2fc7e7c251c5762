//! An HTTP server on a free port that answers as a test says, however badly.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

type Answer = dyn Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// A source of metrics. It serves until the test's process ends.
pub(crate) struct Source {
    address: SocketAddr,
    answer: Arc<Mutex<Arc<Answer>>>,
    requests: Arc<AtomicUsize>,
}

impl Source {
    /// Answers every request so: whole bytes of HTTP are up to the function.
    pub(crate) fn new(
        answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(Arc::new(answer))),
            requests: Arc::default(),
        };
        let (answer, requests) = (Arc::clone(&source.answer), Arc::clone(&source.requests));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                // A client that goes away is no concern of the server's.
                thread::spawn(move || connection.map(|mut c| serve(&mut c, &answer, &requests)));
            }
        });
        source
    }

    /// Answers 200 with this text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(move |connection| ok(connection, &text))
    }

    /// Answers otherwise from now on.
    pub(crate) fn becomes(&self, text: &'static str) {
        *self.answer.lock().unwrap() = Arc::new(move |connection| ok(connection, text));
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The config of a connector that scrapes it, with this `timeout_ms`.
    pub(crate) fn config(&self, timeout_ms: u64) -> Value {
        json!({ "endpoint": format!("http://{}/metrics", self.address), "timeout_ms": timeout_ms })
    }
}

/// Answers 200 with this text.
pub(crate) fn ok(connection: &mut TcpStream, text: &str) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n";
    write!(connection, "{head}content-length: {}\r\n\r\n{text}", text.len())
}

fn serve(
    connection: &mut TcpStream,
    answer: &Mutex<Arc<Answer>>,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if connection.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let answer = Arc::clone(&answer.lock().unwrap());
    answer(connection)
}
