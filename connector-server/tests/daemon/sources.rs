//! Sources that misbehave: what the operator is told, that nothing lands, and that the connector goes on.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::commands::millis;
use crate::daemon::{DAY, Daemon, command};
use crate::source::{Source, ok};

const MIB: usize = 1 << 20;

/// Ticks once against the source, expects a failure of that class, after so many requests, in these words, and nothing
/// in the table; then mends the source and expects its row.
fn fails(source: &Source, timeout_ms: u64, outcome: &str, requests: usize, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let id = daemon.create("bad", DAY, &source.config(timeout_ms));
    daemon.trigger(&id);
    let connector = daemon.after_tick(&id, outcome);
    let error = connector["last_error"].as_str().unwrap();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    assert_eq!(connector["last_tick"]["error"], error);
    assert_eq!(connector["last_tick"]["attempts"], requests, "{connector}");
    assert_eq!(source.requests(), requests);
    assert_eq!(connector["state"], "active");
    assert_eq!(daemon.rows("bad"), [] as [Value; 0]);
    assert!(daemon.log().contains(words[0]), "{}", daemon.log());

    source.becomes("good 1\n");
    daemon.trigger(&id);
    let connector = daemon.after_tick(&id, "committed");
    assert_eq!(connector["last_error"], Value::Null);
    assert_eq!(daemon.rows("bad").len(), 1);
}

#[test]
fn a_body_of_300_mib_is_refused_at_the_limit() {
    let line = "some_metric{label=\"value\"} 1234\n".repeat(MIB / 32);
    assert_eq!(line.len(), MIB);
    let source = Source::new(move |connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for _ in 0..300 {
            write!(connection, "{MIB:x}\r\n{line}\r\n")?;
        }
        connection.write_all(b"0\r\n\r\n")
    });
    fails(&source, 60_000, "permanent", 1, &["is larger than 268435456 bytes"]);
}

#[test]
fn a_body_that_announces_300_mib_is_refused_before_it_is_read() {
    let source = Source::new(|connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 314572800\r\n\r\n")?;
        until_closed(connection)
    });
    fails(&source, 60_000, "permanent", 1, &["is larger than 268435456 bytes"]);
}

#[test]
fn a_gzip_bomb_is_refused_at_the_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b'\n'; MIB]).unwrap();
    let bomb = encoder.finish().unwrap().repeat(300);
    assert!(bomb.len() < MIB);
    let source = Source::new(move |connection| {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n";
        write!(connection, "{head}content-length: {}\r\n\r\n", bomb.len())?;
        connection.write_all(&bomb)
    });
    fails(&source, 60_000, "permanent", 1, &["is larger than 268435456 bytes"]);
}

#[test]
fn an_endpoint_that_accepts_and_never_answers_times_out() {
    let source = Source::new(until_closed);
    fails(&source, 100, "transient", 4, &["no complete answer within 100ms", "waiting for the response"]);
}

#[test]
fn a_port_that_closes_at_once_is_tried_four_times() {
    let source = Source::new(|connection| connection.shutdown(std::net::Shutdown::Both));
    fails(&source, 5_000, "transient", 4, &["gave no complete HTTP response"]);
}

#[test]
fn a_page_instead_of_metrics_is_told_with_line_and_offset() {
    let source = Source::new(|connection| ok(connection, "<!DOCTYPE html>\n<html></html>\n"));
    fails(&source, 5_000, "permanent", 1, &["line 1, column 1, offset 0", "<!DOCTYPE html>"]);
}

#[test]
fn many_that_never_answer_leave_slots_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.args(["--slots", "4"]);
    let daemon = Daemon::spawn(command).unwrap();
    let (silent, good) = (Source::new(until_closed), Source::text("good 1\n"));
    // By themselves each keeps a slot for four minutes.
    for n in 0..12 {
        daemon.create(&format!("silent_{n}"), 1_000, &silent.config(60_000));
    }
    daemon.create("good", 1_000, &good.config(5_000));
    let gave_way = daemon.logged(|line| line["message"] == "tick" && line["outcome"] == "abandoned");
    let words = "it took long, and others waited for its slot";
    assert!(gave_way["error"].as_str().unwrap().starts_with(words), "{gave_way}");
    (0..5).for_each(|_| daemon.ticked("good", "committed"));
}

#[test]
fn of_many_that_never_answer_each_has_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.args(["--slots", "2"]);
    let daemon = Daemon::spawn(command).unwrap();
    let silent = Source::new(until_closed);
    let names: BTreeSet<_> = (0..10).map(|n| format!("silent_{n}")).collect();
    for name in &names {
        daemon.create(name, 1_000, &silent.config(900));
    }
    let failed = |_| {
        let tick = daemon.logged(|line| line["message"] == "tick" && line["outcome"] == "transient");
        tick["connector"].as_str().unwrap().to_owned()
    };
    // Those that nobody knows yet take turns with those that are known to fail.
    assert_eq!((0..30).map(failed).collect::<BTreeSet<_>>(), names);
}

#[test]
fn a_target_that_hangs_costs_the_ticks_of_its_own_buckets_alone() {
    const EVERY: i64 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    // Four tries would take until the bucket after the next.
    let id = daemon.create("silent", EVERY.unsigned_abs(), &Source::new(until_closed).config(1_600));
    let mut ticks = (0..5).map(|_| {
        let tick = daemon.after_tick(&id, "transient")["last_tick"].take();
        (millis(&tick["scheduled_for"]), tick["attempts"].as_u64(), tick["error"].to_string())
    });
    let (mut last, ..) = ticks.next().unwrap();
    // On a machine that has no time for them, ticks may still begin late, and pass buckets over.
    let next = ticks.find(|(bucket, ..)| bucket - std::mem::replace(&mut last, *bucket) == EVERY);
    let (_, attempts, error) = next.expect("two buckets that follow each other");
    assert_eq!(attempts, Some(2));
    assert!(error.contains("; not tried again, as the next scrape is due"), "{error}");
}

/// Says nothing until the other side has gone.
fn until_closed(connection: &mut TcpStream) -> std::io::Result<()> {
    connection.read(&mut [0; 64]).map(drop)
}
