//! The subcommands, on the store of a daemon that runs.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::daemon::{Daemon, command};
use crate::source::Source;

const BODY: &str = "plain 1\nlabelled{path=\"a,b\",quote=\"say \\\"hi\\\"\"} 2.5\nnan NaN\n";

/// What can be exported.
const FORMATS: &[&str] =
    if cfg!(feature = "parquet") { &["csv", "jsonl", "parquet"] } else { &["csv", "jsonl"] };

/// Runs a subcommand on a store.
pub(crate) fn run(store: &Path, args: &[&str]) -> Output {
    let mut run = Command::new(command(store).get_program());
    run.args(args).args(["--store", &format!("sqlite:{}", store.display())]);
    run.env_remove("CONNECTORD_STORE").output().unwrap()
}

/// What a subcommand that did well has written.
pub(crate) fn output(store: &Path, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(store, args);
    let out = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{args:?}: {out}{}", String::from_utf8_lossy(&stderr));
    out
}

/// As a number: a time with a fraction of a second is less than one without, as text.
pub(crate) fn millis(time: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().timestamp_millis()
}

/// A daemon with a connector whose ticks go on.
fn ticking(store: &Path) -> Daemon {
    let daemon = Daemon::start(store);
    daemon.create("lively", 100, &Source::text(BODY).config(5_000));
    (0..3).for_each(|_| daemon.ticked("lively", "committed"));
    daemon
}

#[test]
fn check_says_what_is_there_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = ticking(folder.path());
    let good = output(folder.path(), &["store", "check"]);
    assert!(good.contains("default.db: 1 tables, ") && good.contains(" 3 series, "), "{good}");
    assert!(good.ends_with("all is as it should be\n"), "{good}");
    drop(daemon);

    let data = Connection::open(folder.path().join("default.db")).unwrap();
    data.execute("DELETE FROM \"lively$samples\" WHERE \"$id\" >> 24 = 2", []).unwrap();
    let bad = run(folder.path(), &["store", "check"]);
    let told = String::from_utf8(bad.stdout).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{told}");
    assert!(told.contains("FAULT: ") && told.contains("tick 2 has none, and the ledger says 3"), "{told}");

    let empty = tempfile::tempdir().unwrap();
    let none = run(empty.path(), &["store", "check"]);
    let told = String::from_utf8(none.stderr).unwrap();
    assert!(none.status.code() == Some(1) && told.starts_with("connectord: cannot open "), "{told}");
}

#[test]
fn stats_are_for_people_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = ticking(folder.path());
    let text = output(folder.path(), &["store", "stats"]);
    assert!(
        text.starts_with("default: ") && text.contains("table / connector") && text.contains("  lively"),
        "{text}"
    );
    let json: Value =
        serde_json::from_str(&output(folder.path(), &["store", "stats", "--format", "json"])).unwrap();
    let table = &json["databases"][0]["tables"][0];
    assert_eq!((&table["table"], &table["series"]), (&"lively".into(), &3.into()), "{json}");
    assert_eq!(table["connectors"][0]["rows"], table["ticks"].as_u64().unwrap() * 3, "{json}");
    assert!(millis(&table["oldest"]) <= millis(&table["newest"]), "{json}");
}

#[test]
fn exports_hold_what_the_table_holds() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = ticking(folder.path());
    let export = ["export", "--table", "default.lively", "--format"];
    let whole = output(folder.path(), &[&export[..], &["jsonl", "--output", "-"]].concat());
    let rows: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut api = daemon.rows("lively");
    api.reverse();
    let has = |row: &Value| rows.contains(row);
    assert!(rows.len() >= 9 && api.iter().filter(|row| has(row)).count() == rows.len(), "{rows:?}");
    assert!(rows.is_sorted_by_key(|row| millis(&row["timestamp"])));

    let until = rows[3]["timestamp"].as_str().unwrap();
    let file = folder.path().join("rows.csv");
    let options = ["csv", "--until", until, "--output", file.to_str().unwrap()];
    assert_eq!(output(folder.path(), &[&export[..], &options].concat()), "");
    let csv = std::fs::read_to_string(&file).unwrap();
    let time = rows[0]["timestamp"].as_str().unwrap();
    let wanted = format!(
        "timestamp,name,value,labels\r\n{time},plain,1.0,{{}}\r\n\
         {time},labelled,2.5,\"{{\"\"path\"\":\"\"a,b\"\",\"\"quote\"\":\"\"say \\\"\"hi\\\"\"\"\"}}\"\r\n{time},nan,,{{}}\r\n"
    );
    assert_eq!(csv, wanted);
    assert!(!folder.path().join("rows.csv.partial").exists());
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_is_read_back() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::RowAccessor as _;

    let folder = tempfile::tempdir().unwrap();
    let _daemon = ticking(folder.path());
    let file = folder.path().join("rows.parquet");
    let options = ["--table", "default.lively", "--format", "parquet", "--output", file.to_str().unwrap()];
    output(folder.path(), &[&["export"][..], &options].concat());
    let reader = SerializedFileReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert!(rows.len() >= 9 && rows.len() % 3 == 0, "{rows:?}");
    let names: Vec<&str> = rows[..3].iter().map(|row| row.get_string(1).unwrap().as_str()).collect();
    assert_eq!(names, ["plain", "labelled", "nan"]);
    assert_eq!(rows[1].get_double(2).unwrap(), 2.5);
    assert!(rows[2].get_double(2).is_err(), "NaN is null");
    assert_eq!(rows[1].get_string(3).unwrap(), r#"{"path":"a,b","quote":"say \"hi\""}"#);
}

#[test]
fn an_export_that_fails_leaves_nothing_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = ticking(folder.path());
    let fails = |table: &str, output: &Path, words: &str| {
        for format in FORMATS {
            let options = ["--format", format, "--table", table, "--output", output.to_str().unwrap()];
            let failed = run(folder.path(), &[&["export"], &options[..]].concat());
            let told = String::from_utf8(failed.stderr).unwrap();
            assert!(failed.status.code() == Some(1) && told.contains(words), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    };
    fails("default.nothing", &folder.path().join("a"), "there is no such table");
    fails("nowhere.lively", &folder.path().join("a"), "there is no such table");
    fails("default.lively", &folder.path().join("no/such/folder"), "cannot write the output");
    assert!(!folder.path().join("a").exists() && !folder.path().join("a.partial").exists());
    let before = folder.path().join("before");
    std::fs::write(&before, "what was there before").unwrap();
    if Path::new("/dev/full").exists() {
        let partial = folder.path().join("before.partial");
        for format in FORMATS {
            std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
            let options = ["--table", "default.lively", "--output", before.to_str().unwrap()];
            let failed = run(folder.path(), &[&["export", "--format", format], &options[..]].concat());
            let told = String::from_utf8(failed.stderr).unwrap();
            assert!(told.starts_with("connectord: cannot write the output: No space left"), "{told}");
            assert!(partial.symlink_metadata().is_err());
        }
    }
    assert_eq!(std::fs::read_to_string(&before).unwrap(), "what was there before");
}

#[test]
fn an_export_replaces_a_file_and_leaves_links_and_pipes_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = ticking(folder.path());
    drop(daemon);
    let export = |output: &Path| {
        let options = ["--table", "default.lively", "--format", "csv", "--output", output.to_str().unwrap()];
        run(folder.path(), &[&["export"], &options[..]].concat())
    };
    let (file, link, pipe) =
        (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
    std::fs::write(&file, "what was there before").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(export(&link).status.success());
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("timestamp,name,value,labels\r\n"), "{written}");
    assert!(link.symlink_metadata().unwrap().is_symlink());

    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    assert!(export(&pipe).status.success());
    assert_eq!(reader.join().unwrap(), written);
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&pipe.symlink_metadata().unwrap().file_type()));
}

#[test]
fn whoever_reads_an_export_may_stop() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    // More than fits into a pipe.
    let body: String = (0..20_000).map(|i| format!("metric{{series=\"number {i}\"}} {i}\n")).collect();
    daemon.create("wide", 100, &Source::text(body).config(5_000));
    daemon.ticked("wide", "committed");
    drop(daemon);
    for format in FORMATS {
        let mut export = Command::new(command(folder.path()).get_program());
        export.args(["export", "--table", "default.wide", "--format", format, "--output", "-"]);
        export.args(["--store", &format!("sqlite:{}", folder.path().display())]);
        let mut export =
            export.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut head = [0; 4];
        export.stdout.take().unwrap().read_exact(&mut head).unwrap();
        let Output { status, stderr, .. } = export.wait_with_output().unwrap();
        assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    }
}
