//! An exporter whose every answer can be told from every other: all samples of an answer have its number as their value.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// The samples of one answer: several inserts of many rows, and single rows after them.
pub(crate) const SAMPLES: u64 = 120;

/// Answers `GET /NAME`, with the label `c="NAME"` on each sample, as long as the process lives.
#[derive(Clone)]
pub(crate) struct Exporter {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
}

#[derive(Default)]
struct Shared {
    delay: Duration,
    answers: AtomicU64,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    waiting: usize,
}

impl Exporter {
    pub(crate) fn start() -> Self {
        Self::slow(Duration::ZERO)
    }

    /// One that takes so long for each answer.
    pub(crate) fn slow(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared { delay, ..Shared::default() });
        let exporter = Self { shared, address: listener.local_addr().unwrap() };
        let shared = Arc::clone(&exporter.shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // It ends when the other side does.
                thread::spawn(move || drop(shared.serve(&connection)));
            }
        });
        exporter
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// How many requests there were.
    pub(crate) fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::SeqCst)
    }

    /// From now on answers stop in their middle.
    pub(crate) fn close_gate(&self) {
        self.shared.gate.lock().unwrap().closed = true;
    }

    /// Waits until an answer has stopped in its middle.
    pub(crate) fn wait_for_a_half_answer(&self) {
        let gate = self.shared.gate.lock().unwrap();
        drop(self.shared.changed.wait_while(gate, |gate| gate.waiting == 0).unwrap());
    }

    /// Lets all answers go on.
    pub(crate) fn open_gate(&self) {
        self.shared.gate.lock().unwrap().closed = false;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn serve(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut lines = BufReader::new(connection).lines();
        loop {
            let Some(request) = lines.next().transpose()? else { return Ok(()) };
            while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
            let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let number = self.answers.fetch_add(1, Ordering::SeqCst);
            let mut body = String::new();
            for i in 0..SAMPLES {
                body.push_str(&format!("reading{{c=\"{name}\",i=\"{i}\"}} {number}\n"));
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let (first, second) = body.as_bytes().split_at(body.len() / 2);
            let mut to = connection;
            to.write_all(&[head.as_bytes(), first].concat())?;
            thread::sleep(self.delay);
            self.wait_at_the_gate();
            to.write_all(second)?;
        }
    }

    fn wait_at_the_gate(&self) {
        let mut gate = self.gate.lock().unwrap();
        if gate.closed {
            gate.waiting += 1;
            self.changed.notify_all();
            gate = self.changed.wait_while(gate, |gate| gate.closed).unwrap();
            gate.waiting -= 1;
        }
    }
}
