//! The real `connectord` as a child process, and a small client of its API.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use connector_runtime::model::Millis;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};

use crate::exporter::Exporter;

/// What must happen does, unless the machine stands still for so long.
const PATIENCE: Duration = Duration::from_secs(90);

/// A daemon on a folder. It is killed when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    /// None of one that ended before it listened.
    address: Option<SocketAddr>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::armed(folder, None)
    }

    /// Starts one that ends or stops at a point. It may do so before it listens: then there is nobody to talk to.
    pub(crate) fn armed(folder: &Path, failpoint: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectord"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONNECTORD_")) {
            command.env_remove(name);
        }
        command
            .env_remove("RUST_LOG")
            .args(["--listen", "127.0.0.1:0", "--log-format", "json", "--store"])
            .arg(format!("sqlite:{}", folder.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(failpoint) = failpoint {
            command.env("FAILPOINT", failpoint);
        }
        let mut child = command.spawn().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let addresses = read_log(&mut child, &log);
        let address = match addresses.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Disconnected) if failpoint.is_some() => None,
            address => Some(
                address.unwrap_or_else(|_| panic!("no daemon listens: {}", log.lock().unwrap().join("\n"))),
            ),
        };
        Self { child, address, log }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait_for_end(PATIENCE).expect("it ends when it is told to");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// How it ended, if it did in that time.
    pub(crate) fn wait_for_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.child.try_wait().unwrap() {
            return Some(status);
        }
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        let patience = Timespec::try_from(patience).unwrap();
        retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))).unwrap();
        self.child.try_wait().unwrap()
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The name under which it runs ticks.
    pub(crate) fn runner(&self) -> String {
        let name = |line: &String| {
            serde_json::from_str::<Value>(line).ok()?["runner"].as_str().map(ToOwned::to_owned)
        };
        until(|| self.log(), || self.log.lock().unwrap().iter().find_map(name))
    }

    /// The status and the body of an answer, or nothing if the daemon ended before it gave one.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> io::Result<(u16, Value)> {
        let address = self.address.ok_or(io::ErrorKind::NotConnected)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
        });
        parsed.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    pub(crate) fn get(&self, path: &str) -> io::Result<(u16, Value)> {
        self.call("GET", path, &Value::Null)
    }

    /// Creates a connector that scrapes the exporter into the table `plant.metrics`.
    pub(crate) fn create(&self, exporter: &Exporter, name: &str, schedule_ms: u64) -> String {
        let spec = json!({
            "name": name, "type": "prometheus", "target_database": "plant", "target_table": "metrics",
            "schedule_ms": schedule_ms, "config": { "endpoint": exporter.url(name), "timeout_ms": 60_000 },
        });
        let (status, answer) = self.call("POST", "/v1/connectors", &spec).unwrap();
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// The latest tick of each connector that the daemon says has committed, as (id, bucket).
    pub(crate) fn committed(&self) -> io::Result<Vec<(String, Millis)>> {
        let (_, answer) = self.get("/v1/connectors?limit=1000")?;
        let connectors = answer["connectors"].as_array().into_iter().flatten();
        Ok(connectors
            .filter(|connector| connector["last_tick"]["outcome"] == "committed")
            .map(|connector| {
                let bucket = connector["last_tick"]["scheduled_for"].as_str().unwrap();
                let bucket: DateTime<Utc> = bucket.parse().unwrap();
                (connector["id"].as_str().unwrap().to_owned(), bucket.timestamp_millis())
            })
            .collect())
    }

    /// Waits until each of so many connectors has committed a bucket after `since`.
    pub(crate) fn wait_for_commits(&self, connectors: usize, since: Millis) {
        let tell = || {
            let now = self.get("/v1/connectors?limit=1000");
            format!("{connectors} connectors commit after {since}; they are {now:?}; {}", self.log())
        };
        until(tell, || {
            let committed = self.committed().ok()?;
            (committed.iter().filter(|(_, bucket)| *bucket > since).count() >= connectors).then_some(())
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the log, and sends on the address that the daemon listens on.
fn read_log(child: &mut Child, log: &Arc<Mutex<Vec<String>>>) -> Receiver<SocketAddr> {
    let (send, addresses) = channel();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(Ok(address)) = parsed["address"].as_str().map(str::parse) {
                let _ = send.send(address);
            }
            log.lock().unwrap().push(line);
        }
    });
    addresses
}

/// Waits until `look` finds something. One that never does fails here rather than hanging.
pub(crate) fn until<T>(what: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up_at, "this should have happened: {}", what());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The time of day.
pub(crate) fn now() -> Millis {
    Utc::now().timestamp_millis()
}
