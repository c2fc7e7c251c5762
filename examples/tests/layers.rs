//! Dependencies point down only: who may know whom, among the crates here and beyond.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each library, and the crates of the workspace that it may depend on.
const LAYERS: [(&str, &[&str]); 6] = [
    ("connector-core", &[]),
    ("prom-parse", &[]),
    ("prom-scrape", &[]),
    ("prom-connector", &["connector-core", "prom-parse", "prom-scrape"]),
    ("connector-runtime", &["connector-core"]),
    ("connector-server", &["connector-core", "connector-runtime", "prom-connector"]),
];

/// Crates from elsewhere that one layer alone may name.
const OWNED: [(&str, &str); 9] = [
    ("nom", "prom-parse"),
    ("simdutf8", "prom-parse"),
    ("hyper", "prom-scrape"),
    ("hyper-rustls", "prom-scrape"),
    ("rustls", "prom-scrape"),
    ("backoff", "prom-scrape"),
    ("rusqlite", "connector-runtime"),
    ("axum", "connector-server"),
    ("clap", "connector-server"),
];

/// All that a connector's author has to compile, directly.
const CONTRACT: [&str; 5] = ["chrono", "secrecy", "serde", "serde_json", "tokio"];

/// The direct dependencies of each package of the workspace, those of tests aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), names(package))).collect()
}

#[test]
fn dependencies_point_down_only() {
    let dependencies = dependencies();
    for (package, below) in LAYERS {
        let found = &dependencies[package];
        for (other, _) in LAYERS.iter().filter(|(other, _)| found.contains(*other)) {
            assert!(below.contains(other), "{package} must not depend on {other}");
        }
    }
    let libraries: Vec<_> = LAYERS.iter().map(|(name, _)| *name).chain(["benches", "examples"]).collect();
    assert!(dependencies.keys().all(|name| libraries.contains(&name.as_str())), "{dependencies:?}");
}

#[test]
fn what_belongs_to_a_layer_is_named_there_alone() {
    let dependencies = dependencies();
    for (package, _) in LAYERS {
        for (foreign, owner) in OWNED.iter().filter(|(foreign, _)| dependencies[package].contains(*foreign)) {
            assert_eq!(package, *owner, "{foreign} belongs into {owner}");
        }
    }
    let contract: Vec<_> = dependencies["connector-core"].iter().map(String::as_str).collect();
    assert_eq!(contract, CONTRACT);
}

#[test]
fn of_the_server_only_the_daemon_knows_prometheus() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connector-server/src");
    for entry in std::fs::read_dir(sources).unwrap() {
        let file = entry.unwrap().path();
        let knows = file.is_file() && std::fs::read_to_string(&file).unwrap().contains("prom_connector");
        assert!(!knows || file.ends_with("daemon.rs"), "{} names prom_connector", file.display());
    }
}
