//! How the daemon stops.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::commands::millis;
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
fn a_stop_gives_back_at_once_what_failed_the_last_time() {
    let (begun, requested) = channel();
    let (begun, left) = (Mutex::new(begun), AtomicUsize::new(4));
    let source = Source::new(move |connection| {
        if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            return connection
                .write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
        begun.lock().unwrap().send(()).unwrap();
        connection.read(&mut [0]).map(drop)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let id = daemon.create("failing", DAY, &source.config(60_000));
    daemon.trigger(&id);
    daemon.after_tick(&id, "transient");
    daemon.trigger(&id);
    requested.recv().unwrap();
    daemon.signal(Signal::TERM);
    daemon.ticked("failing", "abandoned");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!daemon.log().contains("did not end in time"), "{}", daemon.log());
}

#[test]
fn a_restart_within_a_bucket_misses_no_tick() {
    const EVERY: i64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path());
    let source = Source::text("a 1\n");
    let ids: Vec<_> = (0..12)
        .map(|n| daemon.create(&format!("c_{n}"), EVERY.unsigned_abs(), &source.config(5_000)))
        .collect();
    let next_tick = |id: &String| millis(&daemon.get(&format!("/v1/connectors/{id}"))["next_tick_at"]);
    // Each has ticked, and the first of them in this bucket.
    let ticks = |daemon: &Daemon| (0..12).for_each(|_| drop(daemon.logged(|line| line["message"] == "tick")));
    ticks(&daemon);
    let first = ids.iter().enumerate().min_by_key(|(_, id)| next_tick(id) % EVERY).unwrap().0;
    daemon.ticked(&format!("c_{first}"), "committed");
    let mut due: Vec<_> = ids.iter().map(next_tick).collect();
    due.sort_unstable();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));

    // Three are due while nothing runs.
    let until = UNIX_EPOCH + Duration::from_millis(due[2].unsigned_abs());
    std::thread::sleep(until.duration_since(SystemTime::now()).unwrap_or_default());
    let daemon = Daemon::start(folder.path());
    ticks(&daemon);
    for id in &ids {
        let ticks = daemon.get(&format!("/v1/connectors/{id}/ticks"));
        let buckets: Vec<_> =
            ticks["ticks"].as_array().unwrap().iter().map(|tick| millis(&tick["scheduled_for"])).collect();
        assert!(buckets.windows(2).all(|pair| pair[0] - pair[1] == EVERY), "{buckets:?}");
    }
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
