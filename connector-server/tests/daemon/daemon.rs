//! A `connectord` on a free port, its log, and a client for it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A day: nothing but a trigger makes such a connector tick during a test.
pub(crate) const DAY: u64 = 86_400_000;

/// A running daemon, killed when dropped.
pub(crate) struct Daemon {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    lines: Receiver<Value>,
}

/// A daemon that ended instead of listening.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// The command that starts the daemon on a folder.
pub(crate) fn command(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectord"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONNECTORD_")) {
        command.env_remove(name);
    }
    command
        .env("RUST_LOG", "info,connector_runtime=debug")
        .args(["--listen", "127.0.0.1:0", "--log-format", "json", "--store"])
        .arg(format!("sqlite:{}", store.display()));
    command
}

impl Daemon {
    pub(crate) fn start(store: &Path) -> Self {
        Self::spawn(command(store)).unwrap()
    }

    pub(crate) fn spawn(mut command: Command) -> Result<Self, Ended> {
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (send, lines) = channel();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line.clone() + "\n"));
                // A panic's message, or a word on wrong usage, is no JSON.
                let _ = send.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            if let Some(address) = line["address"].as_str() {
                return Ok(Self { address: address.parse().unwrap(), process, log, lines });
            }
        }
        let status = process.wait().unwrap();
        reader.join().unwrap();
        let log = log.lock().unwrap().clone();
        Err(Ended { status, log })
    }

    /// Where the operator's page is.
    pub(crate) fn page(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// All that it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The next line of the log of which `wanted` is true.
    pub(crate) fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if wanted(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("it was not logged: {error}\n{}", self.log()),
            }
        }
    }

    /// Waits until a tick of the connector has ended so.
    pub(crate) fn ticked(&self, connector: &str, outcome: &str) {
        self.logged(|line| {
            line["message"] == "tick" && line["connector"] == connector && line["outcome"] == outcome
        });
    }

    /// Waits until a tick has ended so, and reads the connector then.
    pub(crate) fn after_tick(&self, id: &str, outcome: &str) -> Value {
        let name = self.get(&format!("/v1/connectors/{id}"))["name"].as_str().unwrap().to_owned();
        self.ticked(&name, outcome);
        let connector = self.get(&format!("/v1/connectors/{id}"));
        assert_eq!(connector["last_tick"]["outcome"], outcome, "{connector}");
        connector
    }

    /// Creates a connector whose config is given, and returns its id.
    pub(crate) fn create(&self, name: &str, schedule_ms: u64, config: &Value) -> String {
        let (status, reply) = self.call("POST", "/v1/connectors", Some(&body(name, schedule_ms, config)));
        assert_eq!(status, 201, "{reply}");
        reply["id"].as_str().unwrap().to_owned()
    }

    /// Asks for a tick now.
    pub(crate) fn trigger(&self, id: &str) {
        let (status, reply) = self.call("POST", &format!("/v1/connectors/{id}/trigger"), None);
        assert_eq!(status, 202, "{reply}");
    }

    /// What a path answers, which is 200.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, reply) = self.call("GET", path, None);
        assert_eq!(status, 200, "{reply}");
        reply
    }

    /// The rows of a table in the database `default`.
    pub(crate) fn rows(&self, table: &str) -> Vec<Value> {
        let reply = self.get(&format!("/v1/tables/default/{table}/rows?limit=1000000"));
        reply["rows"].as_array().unwrap().clone()
    }

    /// One request; the status and the body, as JSON.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.client().call(method, path, body)
    }

    /// A client for it, which can be sent to another thread.
    pub(crate) fn client(&self) -> Client {
        Client(self.address)
    }

    /// The value of one of its own metrics, as its series is written.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let (_, body) = self.client().exchange("GET /metrics", "accept: text/plain", "");
        let line = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {body}")).parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

/// A client of the control API.
#[derive(Clone, Copy)]
pub(crate) struct Client(SocketAddr);

impl Client {
    /// One request; the status and the body, as JSON.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (head, body) = self.exchange(&format!("{method} {path}"), "accept: */*", &body);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// The head and the body of the answer to one request.
    pub(crate) fn exchange(&self, request: &str, header: &str, body: &str) -> (String, String) {
        let mut connection = TcpStream::connect(self.0).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        // In HTTP/1.0 the body ends with the connection.
        let len = body.len();
        let head =
            format!("{request} HTTP/1.0\r\nhost: localhost\r\n{header}\r\ncontent-length: {len}\r\n\r\n");
        connection.write_all((head + body).as_bytes()).unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The body of a create; the table has the connector's name.
pub(crate) fn body(name: &str, schedule_ms: u64, config: &Value) -> Value {
    json!({
        "name": name,
        "type": "prometheus",
        "target_database": "default",
        "target_table": name,
        "schedule_ms": schedule_ms,
        "config": config
    })
}
