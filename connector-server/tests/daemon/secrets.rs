//! No secret is ever seen: not in the log, not in an answer of the API, not in a file of the store.

use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{DAY, Daemon, command};
use crate::source::{Source, ok};

const TOKEN: &str = "t0ken-of-the-exporter";
const PASSWORD: &str = "pa:ss wörd-of-the-exporter";
const API_TOKEN: &str = "the-daemons-own-t0ken";

/// How basic credentials look on the wire.
const BASIC: &str = "b3BzOnBhOnNzIHfDtnJkLW9mLXRoZS1leHBvcnRlcg==";

#[test]
fn no_secret_is_ever_shown() {
    let folder = tempfile::tempdir().unwrap();
    let env_file = folder.path().join("secrets.env");
    std::fs::write(&env_file, format!("TOKEN={TOKEN}\nPASSWORD={PASSWORD}\nBROKEN={TOKEN}\u{1}\n")).unwrap();
    let api_token_file = folder.path().join("api-token");
    std::fs::write(&api_token_file, API_TOKEN).unwrap();
    let store = folder.path().join("data");
    let mut command: Command = command(&store);
    // Everything that is logged at all.
    command.env("RUST_LOG", "trace").arg("--env-file").arg(&env_file);
    let daemon = Daemon::spawn(command).unwrap();

    let refused = Source::new(|connection| {
        use std::io::Write as _;
        connection.write_all(b"HTTP/1.1 401 who?\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    });
    let good = Source::text("a 1\n");
    let garbage = Source::new(|connection| ok(connection, "{{{\n"));
    let bearer = |reference: &str| json!({ "type": "bearer", "token_ref": reference });
    let basic = json!({ "type": "basic", "username": "ops", "password_ref": "$env:PASSWORD" });
    let own = format!("$file:{}", api_token_file.display());
    let mut ids = Vec::new();
    for (name, source, auth, outcome) in [
        ("good_bearer", &good, bearer("$env:TOKEN"), "committed"),
        ("good_basic", &good, basic.clone(), "committed"),
        ("refused_bearer", &refused, bearer("$env:TOKEN"), "permanent"),
        ("refused_basic", &refused, basic.clone(), "permanent"),
        ("garbage_basic", &garbage, basic, "permanent"),
        ("broken", &good, bearer("$env:BROKEN"), "config"),
        ("missing", &good, bearer("$env:NO_SUCH_TOKEN"), "config"),
        ("from_a_file", &good, bearer(&own), "committed"),
    ] {
        let mut config = source.config(5_000);
        config["auth"] = auth;
        let id = daemon.create(name, DAY, &config);
        daemon.trigger(&id);
        daemon.after_tick(&id, outcome);
        ids.push(id);
    }

    let mut seen = daemon.log();
    assert!(seen.contains("DEBUG"), "the log is not as full as it can be");
    seen += &daemon.get("/v1/connectors?limit=1000").to_string();
    for id in &ids {
        seen += &daemon.get(&format!("/v1/connectors/{id}/ticks")).to_string();
    }
    let config = json!({ "endpoint": "http://ops:hunter2-in-a-url@127.0.0.1:1/" });
    let (status, problem) = daemon.call("POST", "/v1/connector-types/prometheus/validate", Some(&config));
    assert_eq!(status, 400, "{problem}");
    seen += &problem.to_string();
    let mut preview = good.config(5_000);
    preview["auth"] = bearer("$env:BROKEN");
    let (status, problem) = daemon.call("POST", "/v1/connector-types/prometheus/preview", Some(&preview));
    assert_eq!((status, &problem["code"]), (422, &Value::from("config")), "{problem}");
    seen += &problem.to_string();
    for entry in std::fs::read_dir(&store).unwrap() {
        seen += &String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap());
    }
    seen += &daemon.log();
    for secret in [TOKEN, PASSWORD, API_TOKEN, BASIC, "hunter2-in-a-url"] {
        let at = seen.find(secret);
        assert!(at.is_none(), "{secret} is shown: {}", &seen[at.unwrap().saturating_sub(200)..][..300]);
    }
}

#[test]
fn the_daemons_own_token_cannot_be_referred_to() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("api-token");
    std::fs::write(&token_file, API_TOKEN).unwrap();
    let mut command = command(&folder.path().join("data"));
    command.args(["--api-token-file".as_ref(), token_file.as_os_str()]);
    let daemon = Daemon::spawn(command).unwrap();
    let (status, problem) = daemon.call("GET", "/v1/connectors", None);
    assert_eq!((status, &problem["code"]), (401, &Value::from("unauthorized")));
    assert_eq!(daemon.call("GET", "/healthz", None).0, 200);
    assert!(!daemon.log().contains(API_TOKEN));
}
