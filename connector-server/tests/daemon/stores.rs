//! Store folders that cannot be used, or that fail in the middle of the work.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use crate::daemon::{DAY, Daemon, Ended, body, command};
use crate::source::Source;

/// Starts the daemon, which is expected to end with a failure in these words.
fn refuses(command: Command, words: &[&str]) {
    let Err(Ended { status, log }) = Daemon::spawn(command) else { panic!("it started all the same") };
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(words.iter().all(|word| log.contains(word)), "{log}");
}

/// The daemon as a user whom permissions bind. Root is bound by none, so another user takes its place.
fn as_anybody(folder: &Path, store: &Path) -> Command {
    const NOBODY: u32 = 65_534;
    let mut command = command(store);
    if rustix::process::geteuid().is_root() {
        // The program may lie where only root can read.
        let program = folder.join("connectord");
        std::fs::copy(command.get_program(), &program).unwrap();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut unprivileged = Command::new(&program);
        unprivileged.args(args).uid(NOBODY).gid(NOBODY);
        command = unprivileged;
    }
    command
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_store_folder_that_cannot_be_created_is_told() {
    let folder = tempfile::tempdir().unwrap();
    mode(folder.path(), 0o755);
    let locked = folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    mode(&locked, 0o555);
    let store = locked.join("data");
    let words = ["cannot open the store", store.to_str().unwrap(), "Permission denied"];
    refuses(as_anybody(folder.path(), &store), &words);
}

#[test]
fn a_read_only_store_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    mode(folder.path(), 0o755);
    let store = folder.path().join("data");
    drop(Daemon::start(&store));
    for entry in std::fs::read_dir(&store).unwrap() {
        mode(&entry.unwrap().path(), 0o444);
    }
    mode(&store, 0o555);
    refuses(as_anybody(folder.path(), &store), &["control.db", "read-only"]);
    mode(&store, 0o755);
}

#[test]
fn a_file_in_the_place_of_the_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("data");
    std::fs::write(&store, "").unwrap();
    refuses(command(&store), &["cannot open the store", "not a file"]);
}

#[test]
fn a_store_folder_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Daemon::start(folder.path()));
    let control = folder.path().join("control.db");
    Connection::open(&control).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let words = ["has layout 99, and this version knows layouts up to 1: use a newer version"];
    refuses(command(folder.path()), &words);
}

#[test]
fn a_database_of_a_newer_version_is_left_alone_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::text("a 1\n");
    let daemon = Daemon::start(folder.path());
    let id = daemon.create("here", DAY, &source.config(5_000));
    daemon.trigger(&id);
    daemon.after_tick(&id, "committed");
    drop(daemon);
    let file = folder.path().join("default.db");
    let version = |number: i64| {
        let file = Connection::open(&file).unwrap();
        let before: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        file.pragma_update(None, "user_version", number).unwrap();
        before
    };
    let known = version(99);

    let daemon = Daemon::start(folder.path());
    let (status, problem) = daemon.call("GET", "/v1/tables/default/here/rows", None);
    assert_eq!((status, &problem["code"]), (503, &Value::from("store_unavailable")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("has layout 99"), "{problem}");
    let (status, problem) = daemon.call("GET", "/readyz", None);
    assert_eq!((status, &problem["code"]), (503, &Value::from("store_unavailable")), "{problem}");
    let (status, problem) = daemon.call("POST", &format!("/v1/connectors/{id}/trigger"), None);
    assert_eq!((status, &problem["code"]), (503, &Value::from("store_unavailable")), "{problem}");
    let mut spec = body("elsewhere", DAY, &source.config(5_000));
    spec["target_database"] = "other".into();
    let (status, reply) = daemon.call("POST", "/v1/connectors", Some(&spec));
    assert_eq!(status, 201, "{reply}");
    daemon.trigger(reply["id"].as_str().unwrap());
    daemon.ticked("elsewhere", "committed");

    version(known);
    let (status, problem) = daemon.call("GET", "/readyz", None);
    assert_eq!(status, 200, "{problem}");
    assert_eq!(daemon.rows("here").len(), 1);
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir(at).unwrap();
        run(as_root("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(at));
        Self(at.to_owned())
    }

    fn grow(&self) {
        run(as_root("mount").args(["-o", "remount,size=256m"]).arg(&self.0));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg(&self.0).status();
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[test]
#[ignore = "needs root, to mount a small file system"]
fn a_full_disk_is_told_and_once_there_is_room_the_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&folder.path().join("disk"));
    let store = disk.0.join("data");
    // More than the disk has room for in the first tick, so that no claim is the first to find it full.
    const SERIES: i64 = 20_000;
    let body: String = (0..SERIES).map(|i| format!("metric{{series=\"number {i}\"}} {i}\n")).collect();
    let source = Source::text(body);
    let daemon = Daemon::start(&store);
    let id = daemon.create("fills", 200, &source.config(5_000));

    let full = daemon.logged(|line| line["message"] == "could not write the tick");
    assert!(full["error"].as_str().unwrap().contains("the disk is full; free some space"), "{full}");
    let (status, problem) = daemon.call("GET", "/readyz", None);
    assert_eq!((status, &problem["code"]), (503, &Value::from("store_unavailable")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the disk is full"), "{problem}");

    disk.grow();
    daemon.after_tick(&id, "committed");
    assert_eq!(daemon.call("GET", "/readyz", None).0, 200);
    let (status, _) = daemon.call("POST", &format!("/v1/connectors/{id}/pause"), None);
    assert_eq!(status, 200);
    drop(daemon);

    let file = Connection::open(store.join("default.db")).unwrap();
    let mut counts = file.prepare("SELECT count(*) FROM fills GROUP BY timestamp").unwrap();
    let counts: Vec<i64> = counts.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(counts.len() > 1 && counts.iter().all(|rows| *rows == SERIES), "{counts:?}");
    let check: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
