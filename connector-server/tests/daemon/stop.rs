//! How the daemon stops.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::{DAY, Daemon, PATIENCE, command};
use crate::source::{Source, ok};

#[test]
fn a_stop_finishes_what_is_in_flight_and_claims_nothing_more() {
    static GO_ON: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    let (begun, requested) = channel();
    let begun = Mutex::new(begun);
    let source = Source::new(move |connection| {
        begun.lock().unwrap().send(()).unwrap();
        drop(GO_ON.1.wait_while(GO_ON.0.lock().unwrap(), |go_on| !*go_on).unwrap());
        ok(connection, "a 1\n")
    });
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let id = daemon.create("slow", DAY, &source.config(60_000));
    daemon.trigger(&id);
    requested.recv().unwrap();
    daemon.signal(Signal::TERM);
    daemon.logged(|line| line["message"].as_str().is_some_and(|m| m.starts_with("stopping: no more ticks")));
    *GO_ON.0.lock().unwrap() = true;
    GO_ON.1.notify_all();
    daemon.ticked("slow", "committed");
    assert_eq!(daemon.wait().code(), Some(0));

    let daemon = Daemon::start(folder.path());
    assert_eq!(daemon.rows("slow").len(), 1);
    assert_eq!(daemon.get(&format!("/v1/connectors/{id}"))["last_tick"]["outcome"], "committed");
}

#[test]
fn a_second_signal_ends_at_once() {
    let (begun, requested) = channel();
    let begun = Mutex::new(begun);
    let source = Source::new(move |connection| {
        begun.lock().unwrap().send(()).unwrap();
        connection.read(&mut [0]).map(drop)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let id = daemon.create("silent", DAY, &source.config(60_000));
    daemon.trigger(&id);
    requested.recv().unwrap();
    daemon.signal(Signal::INT);
    daemon.logged(|line| line["message"].as_str().is_some_and(|m| m.starts_with("stopping;")));
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait().code(), Some(130));
}

#[test]
fn a_log_that_nobody_reads_any_more_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = command(folder.path()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&process);
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("\"address\":")));
    drop(log);
    kill_process(pid, Signal::TERM).unwrap();
    let (send, ended) = channel();
    std::thread::spawn(move || send.send(process.wait()));
    let status = ended.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("it did not stop: {error}");
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no-such-file");
    for (args, word) in [
        (vec!["--nope".to_owned()], "--nope"),
        (vec!["--listen".to_owned(), "0.0.0.0:0".to_owned()], "--api-token-file"),
        (vec!["--api-token-file".to_owned(), missing.display().to_string()], "no-such-file"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectord"));
        let output = command.current_dir(folder.path()).args(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it left something behind");
    }
}
