//! This machine's own metrics, and a server for them.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers `GET /metrics`, in OpenMetrics for whoever asks for it and otherwise in 0.0.4.
pub(crate) async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that goes away is no concern of the server's.
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(connection), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let openmetrics = accept.contains("application/openmetrics-text");
    let (status, body) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, exposition(openmetrics)),
        _ => (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = if openmetrics { OPENMETRICS } else { PROMETHEUS };
    response.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("a fixed header value"));
    Ok(response)
}

/// What the kernel tells of the machine, as an exposition.
fn exposition(openmetrics: bool) -> String {
    let mut text = Exposition { text: String::new(), openmetrics };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    text.family("machine_time_seconds", "gauge", "Time of day.");
    text.sample("machine_time_seconds", &[], now.as_secs_f64());

    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        text.family("machine_load", "gauge", "Processes that run or wait, on average.");
        for (minutes, value) in ["1", "5", "15"].into_iter().zip(load.split_whitespace()) {
            text.sample("machine_load", &[("minutes", minutes)], value.parse().unwrap_or(f64::NAN));
        }
    }
    if let Ok(memory) = std::fs::read_to_string("/proc/meminfo") {
        text.family("machine_memory_bytes", "gauge", "Memory by kind.");
        for line in memory.lines() {
            let mut words = line.split([':', ' ']).filter(|word| !word.is_empty());
            if let (Some(kind), Some(value), Some("kB")) = (words.next(), words.next(), words.next()) {
                let bytes = value.parse::<f64>().map_or(f64::NAN, |kib| kib * 1024.0);
                text.sample("machine_memory_bytes", &[("kind", kind)], bytes);
            }
        }
    }
    if let Ok(cpu) = std::fs::read_to_string("/proc/stat") {
        text.family("machine_cpu_ticks", "counter", "Time spent by each CPU, by mode, in clock ticks.");
        for line in cpu.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")) {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            for (mode, value) in ["user", "nice", "system", "idle", "iowait"].into_iter().zip(words) {
                let labels = [("cpu", &name[3..]), ("mode", mode)];
                text.sample("machine_cpu_ticks_total", &labels, value.parse().unwrap_or(f64::NAN));
            }
        }
    }
    if openmetrics {
        text.text.push_str("# EOF\n");
    }
    text.text
}

struct Exposition {
    text: String,
    openmetrics: bool,
}

impl Exposition {
    /// Writes a family's metadata; in 0.0.4 a counter's family is named as its samples are.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let suffix = if kind == "counter" && !self.openmetrics { "_total" } else { "" };
        // Writing into a string cannot fail.
        let _ = write!(self.text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (i, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{value}\"", if i == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}
