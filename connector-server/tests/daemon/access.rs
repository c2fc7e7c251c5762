//! Whom the daemon answers.

use std::path::Path;
use std::process::Command;
use std::thread;

use crate::daemon::{Daemon, command};

/// The status of an answer to whoever shows this token.
fn status(daemon: &Daemon, token: &str) -> String {
    let header = format!("authorization: Bearer {token}");
    let (head, _) = daemon.client().exchange("GET /v1/connectors", &header, "");
    head.split(' ').nth(1).unwrap().to_owned()
}

fn guarded(store: &Path, token_file: &Path) -> Daemon {
    let mut command = command(store);
    command.arg("--api-token-file").arg(token_file);
    Daemon::spawn(command).unwrap()
}

#[test]
fn the_api_token_can_be_replaced_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let daemon = guarded(&folder.path().join("data"), &file);
    assert_eq!([status(&daemon, "one"), status(&daemon, "two")], ["200", "401"]);
    let new = folder.path().join("new");
    std::fs::write(&new, "two\n").unwrap();
    std::fs::rename(&new, &file).unwrap();
    assert_eq!([status(&daemon, "one"), status(&daemon, "two")], ["401", "200"]);
}

#[test]
fn the_api_token_can_come_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("token");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writing = thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "one").unwrap()
    });
    let daemon = guarded(&folder.path().join("data"), &pipe);
    writing.join().unwrap();
    for _ in 0..2 {
        assert_eq!([status(&daemon, "one"), status(&daemon, "two")], ["200", "401"]);
    }
}

#[test]
fn a_daemon_without_a_token_answers_to_names_of_its_own_unless_anyone_may_ask() {
    let get = |options: &[&str], header: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command.args(options);
        let daemon = Daemon::spawn(command).unwrap();
        let (head, body) = daemon.client().exchange("GET /v1/connectors", header, "");
        (head.split(' ').nth(1).unwrap().to_owned(), body)
    };
    let other = "host: connectors.example.org";
    assert_eq!(get(&[], "host: 127.0.0.1:8080").0, "200");
    let (status, body) = get(&[], other);
    assert_eq!(status, "403");
    assert!(body.contains(r#""code":"unknown_host""#) && body.contains("connectors.example.org"), "{body}");
    assert_eq!(get(&["--allow-anonymous"], other).0, "200");
}
