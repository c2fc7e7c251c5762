//! A daemon that is paused and wakes up later, when others have gone on.

use std::collections::HashSet;

use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};

use crate::daemon::{Daemon, now, until};
use crate::exporter::Exporter;
use crate::folder::check;

#[test]
fn a_daemon_that_was_paused_past_its_lease_commits_nothing_stale() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start();
    let paused = Daemon::start(folder.path());
    exporter.close_gate();
    paused.create(&exporter, "c0", 1000);
    exporter.wait_for_a_half_answer();
    // Its tick is in flight: the first request that the exporter got. Now the lease runs out.
    paused.signal(Signal::STOP);
    let stopped_at = now();
    let other = Daemon::start(folder.path());
    exporter.open_gate();
    other.wait_for_commits(1, stopped_at);
    paused.signal(Signal::CONT);
    let notices = || format!("the daemon that woke up notices: {}", paused.log());
    until(notices, || paused.log().contains("the lease was lost").then_some(()));
    let woken_at = now();
    other.wait_for_commits(1, woken_at);
    paused.stop();
    let reported: HashSet<_> = other.committed().unwrap().into_iter().collect();
    other.stop();
    let holdings = check(folder.path(), &reported);
    assert!(!holdings.answers.contains(&0), "the paused daemon's rows landed: {:?}", holdings.answers);
}

#[test]
fn a_daemon_that_stops_within_a_commit_holds_up_others_until_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = Exporter::start();
    let other = Daemon::start(folder.path());
    other.create(&exporter, "c0", 250);
    other.wait_for_commits(1, 0);
    let stopped = Daemon::armed(folder.path(), Some("control-commit:20:stop"));
    waitid(WaitId::Pid(stopped.pid()), WaitIdOptions::STOPPED).unwrap();

    let (status, problem) = other.get("/readyz").unwrap();
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("is locked by another program"), "{problem}");

    // One that starts now starts nevertheless: it shows what there is, and says what it waits for.
    let new = Daemon::start(folder.path());
    assert_eq!(new.committed().unwrap().len(), 1);
    let (status, problem) = new.get("/readyz").unwrap();
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("is locked by another program"), "{problem}");

    stopped.signal(Signal::CONT);
    let ready = || format!("the other daemon is ready: {}", other.log());
    until(ready, || (other.get("/readyz").ok()?.0 == 200).then_some(()));
    let ready = || format!("the new daemon is ready: {}", new.log());
    until(ready, || (new.get("/readyz").ok()?.0 == 200).then_some(()));
    let since = now();
    other.wait_for_commits(1, since);
    let reported: HashSet<_> = other.committed().unwrap().into_iter().collect();
    other.stop();
    new.stop();
    stopped.stop();
    check(folder.path(), &reported);
}
