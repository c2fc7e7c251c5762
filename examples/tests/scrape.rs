//! The scrape example as a program: what it prints for a good target and for bad ones.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Answers one request with `response` and gives the URL.
fn serve(response: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        connection.write_all(response.as_bytes()).unwrap();
    });
    url
}

fn ok(content_type: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n\r\n{body}")
}

fn scrape(args: &[&str]) -> Output {
    // Examples are built beside the tests' own folder.
    let tests: PathBuf = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples/scrape");
    Command::new(example).args(args).env("SCRAPE_TEST_TOKEN", "hunter2").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const BODY: &str =
    "# HELP up Alive.\nup 1\nhttp_requests_total{method=\"GET\",code=\"200\"} 1234.5\nodd NaN\n";

#[test]
fn rows_are_aligned_and_a_summary_follows() {
    let output = scrape(&[&serve(ok("text/plain", BODY))]);
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        "up                        1\n\
         http_requests_total  1234.5  method=\"GET\" code=\"200\"\n\
         odd                     NaN\n"
    );
    let summary = text(&output.stderr);
    let expected = format!("3 samples, {0} bytes ({0} on the wire, identity), HTTP/1.1", BODY.len());
    assert!(summary.starts_with(&expected), "{summary}");
    for phase in ["connect", "wait", "body", "parse"] {
        assert!(summary.contains(&format!("{phase} ")), "{phase}: {summary}");
    }
}

#[test]
fn json_is_one_row_a_line() {
    let output = scrape(&[&serve(ok("text/plain", BODY)), "--format", "json"]);
    assert!(output.status.success());
    let rows: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = serde_json::json!([
        {"name": "up", "value": 1.0, "labels": {}},
        {"name": "http_requests_total", "value": 1234.5, "labels": {"method": "GET", "code": "200"}},
        {"name": "odd", "value": "NaN", "labels": {}},
    ]);
    assert_eq!(serde_json::Value::Array(rows), expected);
}

#[test]
fn a_body_that_does_not_parse_is_shown_with_all_that_is_known() {
    let url = serve(ok("text/html", "<html>\n<b>\x1b[31m</b>\n"));
    let output = scrape(&[&url]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let report = text(&output.stderr);
    for expected in [
        "line 1, column 1, offset 0: expected",
        "found `<html>`",
        &format!("answered by   {url}\n"),
        "content type  text/html\n",
        "size          20 bytes, 20 on the wire (identity)\n",
        "timings       connect ",
        "  | <html>\n  | <b>\\x1b[31m</b>\n",
    ] {
        assert!(report.contains(expected), "{expected:?} in {report}");
    }
}

#[test]
fn a_refused_scrape_is_explained_without_the_secret() {
    let url = serve("HTTP/1.1 401 Unauthorized\r\nContent-Length: 8\r\n\r\nhunter2\n".to_owned());
    let output = scrape(&[&url, "--token-env", "SCRAPE_TEST_TOKEN"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let report = text(&output.stderr);
    for expected in [
        "answered HTTP 401 Unauthorized",
        "kind          Status\nstatus        401\nattempts      1\n",
        "failed while  waiting for the response\n",
        "outlook       needs a change\n",
    ] {
        assert!(report.contains(expected), "{expected:?} in {report}");
    }
    assert!(!report.contains("hunter2"), "{report}");
}
