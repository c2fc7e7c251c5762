//! Whom the daemon answers.

use crate::daemon::{Daemon, command};

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
