//! The system's limit of open files.

use std::path::Path;
use std::process::Command;

use crate::daemon::{DAY, Daemon, body, command};
use crate::source::Source;

/// A daemon, or another of its commands with those arguments, under limits that a shell sets first.
fn under(limits: &str, store: &Path, args: Option<&[&str]>) -> Command {
    let daemon = command(store);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("{limits}; exec \"$0\" \"$@\"")).arg(daemon.get_program());
    match args {
        Some(args) => limited.args(args).arg(format!("--store=sqlite:{}", store.display())),
        None => limited.args(daemon.get_args()),
    };
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[test]
fn databases_may_be_more_than_the_usual_limit_allows() {
    const LIMIT: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::spawn(under(&format!("ulimit -S -n {LIMIT}"), folder.path(), None)).unwrap();
    let source = Source::text("a 1\n");
    // Each takes two files at least.
    for n in 0..LIMIT / 2 {
        let name = format!("c{n}");
        let mut body = body(&name, DAY, &source.config(5_000));
        body["target_database"] = format!("db{n}").into();
        let (status, reply) = daemon.call("POST", "/v1/connectors", Some(&body));
        assert_eq!(status, 201, "{reply}");
        daemon.trigger(reply["id"].as_str().unwrap());
        daemon.ticked(&name, "committed");
    }
    daemon.get("/readyz");
    if cfg!(target_os = "linux") {
        let open = daemon.metric("process_open_fds");
        assert!(open > LIMIT as f64 && open < daemon.metric("process_max_fds"), "{open}");
    }
}

#[test]
fn a_file_that_is_one_too_many_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    drop(Daemon::start(folder.path()));
    // What the shell has from whoever started it counts too.
    let limits = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- && ulimit -n 5";
    let refused = under(limits, folder.path(), Some(&["store", "stats"])).output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success(), "{told}");
    assert!(told.contains("control.db: too many files are open; raise their limit"), "{told}");
}
