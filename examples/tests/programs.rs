//! Every example is run as a program.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program of an example, which cargo builds beside the tests.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build -p examples --examples", program.display());
    Command::new(program)
}

fn succeeds(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// A program that runs until this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The exporter on a free port, and its URL.
fn exporter() -> (Running, String) {
    let mut command = example("exporter");
    let mut child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (Running(child), url.trim().to_owned())
}

/// What the exporter answers, and its `Content-Type`.
fn fetch(url: &str, accept: &str) -> (String, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "GET /{path} HTTP/1.0\r\naccept: {accept}\r\n\r\n").unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    (content_type.to_owned(), body.as_bytes().to_owned())
}

fn parse(format: &str, body: &[u8]) -> Output {
    let mut command = example("parse");
    command.args(["--format", format, "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn quickstart_shows_rows_as_they_land() {
    let shown = succeeds(example("quickstart").args(["--ticks", "2"]));
    let committed: Vec<_> = shown.lines().filter(|line| line.contains("committed")).collect();
    assert_eq!(committed.len(), 2, "{shown}");
    assert!(shown.contains("machine_load") && shown.contains(r#"{"minutes":"5"}"#), "{shown}");
    assert!(shown.contains("page      http://127.0.0.1:"), "{shown}");
}

#[test]
fn quickstart_scrapes_a_url_of_ones_own() {
    let (_running, url) = exporter();
    let shown = succeeds(example("quickstart").args([&url, "--ticks", "1"]));
    assert!(shown.contains(&format!("scraping  {url} every second")), "{shown}");
    assert!(shown.contains("machine_time_seconds"), "{shown}");
}

#[test]
fn the_exporter_speaks_both_formats_and_parse_reads_them() {
    let (_running, url) = exporter();
    for (accept, format) in [("*/*", "prometheus"), ("application/openmetrics-text", "openmetrics")] {
        let (content_type, body) = fetch(&url, accept);
        let is_openmetrics = content_type.starts_with("application/openmetrics-text; version=1.0.0");
        assert_eq!(is_openmetrics, format == "openmetrics", "{content_type}");
        let Output { status, stdout, stderr } = parse(format, &body);
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let samples: Vec<Value> =
            stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        let load = samples.iter().filter(|sample| sample["name"] == "machine_load");
        assert_eq!(load.count(), 3);
        assert!(samples.iter().all(|sample| sample["labels"].is_object() && sample["value"].is_number()));
    }
}

#[test]
fn parse_prints_the_error_and_no_sample() {
    let output = parse("prometheus", b"good 1\nbad{a=\"b} 2\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("line 2, column 12, offset 18: expected a closing double quote"), "{error}");
}

#[test]
fn the_template_connector_ticks() {
    let shown = succeeds(&mut example("template_connector"));
    assert_eq!(shown.matches(r#""outcome":"committed""#).count(), 3, "{shown}");
    assert!(shown.contains("Cargo.toml"), "{shown}");
}
