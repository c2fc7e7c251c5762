//! Names that clash, with each other and with SQL.

use std::sync::Barrier;

use rusqlite::Connection;
use serde_json::json;

use crate::daemon::{Client, DAY, Daemon, body};
use crate::source::Source;

#[test]
fn of_two_connectors_created_with_one_name_at_one_instant_one_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    // Two daemons, so that even two processes cannot both have the name.
    let daemons = [Daemon::start(folder.path()), Daemon::start(folder.path())];
    for round in 0..20 {
        let spec = body(&format!("twin_{round}"), DAY, &json!({ "endpoint": "http://127.0.0.1:1/" }));
        let (spec, together) = (&spec, &Barrier::new(4));
        let mut replies: Vec<_> = std::thread::scope(|scope| {
            let create = |client: Client| {
                together.wait();
                client.call("POST", "/v1/connectors", Some(spec))
            };
            let threads = [0, 1, 0, 1].map(|i| {
                let client = daemons[i].client();
                scope.spawn(move || create(client))
            });
            threads.map(|thread| thread.join().unwrap()).into()
        });
        replies.sort_by_key(|(status, _)| *status);
        let statuses: Vec<_> = replies.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, [201, 409, 409, 409], "{replies:?}");
        assert!(replies[1..].iter().all(|(_, problem)| problem["code"] == "name_taken"), "{replies:?}");
    }
    let listed = daemons[0].get("/v1/connectors?limit=1000");
    assert_eq!(listed["connectors"].as_array().unwrap().len(), 20);
}

#[test]
fn a_table_may_be_named_like_an_sql_keyword() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let source = Source::text("a{group=\"by\"} 1\n");
    let mut spec = body("keyword", DAY, &source.config(5_000));
    spec["target_database"] = json!("table");
    spec["target_table"] = json!("select");
    let (status, reply) = daemon.call("POST", "/v1/connectors", Some(&spec));
    assert_eq!(status, 201, "{reply}");
    let id = reply["id"].as_str().unwrap();
    daemon.trigger(id);
    daemon.after_tick(id, "committed");
    let rows = daemon.get("/v1/tables/table/select/rows");
    assert_eq!(rows["rows"][0]["labels"], json!({ "group": "by" }));
    let file = Connection::open(folder.path().join("table.db")).unwrap();
    let name: String = file.query_row(r#"SELECT name FROM "select""#, [], |row| row.get(0)).unwrap();
    assert_eq!(name, "a");
}

#[test]
fn names_that_the_store_keeps_for_itself_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    for (field, name) in [("target_database", "Control"), ("target_table", "SQLite_master")] {
        let mut spec = body("reserved", DAY, &json!({ "endpoint": "http://127.0.0.1:1/" }));
        spec[field] = json!(name);
        let (status, problem) = daemon.call("POST", "/v1/connectors", Some(&spec));
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{field}: {name:?}")) && detail.contains("choose another name"));
    }
    assert_eq!(daemon.get("/v1/connectors")["connectors"], json!([]));
}
