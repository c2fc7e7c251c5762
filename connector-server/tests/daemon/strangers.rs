//! Programs that nobody here wrote: an exporter to scrape, an SQL client to read with, a browser to look at the page.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::{DAY, Daemon, body};

/// The exporter on a free port, until it is dropped.
struct NodeExporter {
    process: Child,
    url: String,
}

impl NodeExporter {
    fn start() -> Self {
        let mut process = Command::new("prometheus-node-exporter")
            .args(["--web.listen-address=127.0.0.1:0", "--log.format=json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log
            .find_map(|line| {
                let line: Value = serde_json::from_str(&line).ok()?;
                line["address"].as_str().map(str::to_owned)
            })
            .expect("it says where it listens");
        // Whatever else it logs has to go somewhere.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, url: format!("http://{address}/metrics") }
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs prometheus-node-exporter and sqlite3"]
fn node_exporters_metrics_land_as_they_are_and_plain_sqlite_reads_them() {
    let exporter = NodeExporter::start();
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let id = daemon.create("node_metrics", DAY, &json!({ "endpoint": exporter.url }));
    daemon.trigger(&id);
    let connector = daemon.after_tick(&id, "committed");
    let rows = daemon.rows("node_metrics");
    assert_eq!(rows.len(), connector["last_tick"]["rows"]);
    assert!(rows.len() > 200, "{}", rows.len());

    let query = "SELECT name, json_extract(labels, '$.cpu'), json_extract(labels, '$.mode') FROM node_metrics \
                 WHERE name = 'node_cpu_seconds_total'";
    let output = Command::new("sqlite3")
        .arg("-readonly")
        .arg(folder.path().join("default.db"))
        .arg(query)
        .output()
        .unwrap();
    let read: BTreeSet<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    let landed: BTreeSet<String> = rows
        .iter()
        .filter(|row| row["name"] == "node_cpu_seconds_total")
        .map(|row| {
            let label = |name: &str| row["labels"][name].as_str().unwrap();
            format!("node_cpu_seconds_total|{}|{}", label("cpu"), label("mode"))
        })
        .collect();
    assert_eq!(read, landed);
    assert!(read.contains("node_cpu_seconds_total|0|idle"), "{read:?}");
}

#[test]
#[ignore = "needs chromium"]
fn the_page_shows_connectors_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&folder.path().join("data"));
    let id = daemon.create("fails", DAY, &json!({ "endpoint": "http://127.0.0.1:1/<i>metrics</i>" }));
    daemon.trigger(&id);
    daemon.after_tick(&id, "transient");
    let mut named = body("unused", DAY, &json!({ "endpoint": "http://127.0.0.1:1/" }));
    named["name"] = json!("<b>bold</b>");
    assert_eq!(daemon.call("POST", "/v1/connectors", Some(&named)).0, 201);

    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    browser.arg(format!("--user-data-dir={}", folder.path().join("browser").display()));
    // So much of the page's own time passes before it is printed: more than one refresh.
    browser.args(["--virtual-time-budget=5000", "--dump-dom", &daemon.page()]);
    let output = browser.output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("2 active · 0 paused · 0 disabled"), "{page}");
    assert!(page.contains("&lt;b&gt;bold&lt;/b&gt;"), "{page}");
    assert!(page.contains("no connection to http://127.0.0.1:1") && page.contains(">transient<"), "{page}");
    assert!(!page.contains("<b>bold") && !page.contains("<i>metrics"), "{page}");
}
