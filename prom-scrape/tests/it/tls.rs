//! Who is trusted over TLS, and what an operator reads about whoever is not.

use std::process::Command;

use crate::fixture::{chain, scrape};
use crate::secure::{Answer, Authority, EVERYTHING, Identity, Server, Speaks};
use prom_scrape::{Client, ErrorKind, Phase, Target};

fn a_metric(_: usize, _: &crate::secure::Seen) -> Answer {
    Answer::new(200, "a 1\n")
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken() {
    let authority = Authority::new();
    for (version, name) in [(&rustls::version::TLS12, "TLSv1_2"), (&rustls::version::TLS13, "TLSv1_3")] {
        let versions: &'static [_] = Box::leak(Box::new([version]));
        let speaks = Speaks { versions, alpn: &["http/1.1"] };
        let server = Server::start(&authority.issue("localhost"), speaks, a_metric).await;
        let client = authority.trusted().build().unwrap();
        let scrape = scrape(&client, &server.target("/")).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
        let tls = scrape.tls().unwrap();
        assert_eq!(tls.version(), name);
        assert!(tls.cipher_suite().starts_with("TLS"), "{}", tls.cipher_suite());
        assert!(scrape.timings().get(Phase::Tls).is_some());
    }
}

#[tokio::test]
async fn a_kept_connection_still_knows_its_session() {
    let authority = Authority::new();
    let server = Server::start(&authority.issue("localhost"), EVERYTHING, a_metric).await;
    let client = authority.trusted().build().unwrap();
    let first = scrape(&client, &server.target("/")).await.unwrap();
    let again = scrape(&client, &server.target("/")).await.unwrap();
    assert_eq!(first.tls(), again.tls());
    assert_eq!(first.peer(), again.peer());
    assert_eq!((first.peer(), again.timings().get(Phase::Tls)), (Some(server.addr), None));
}

#[tokio::test]
async fn the_server_is_told_its_name_unless_that_is_an_address() {
    let authority = Authority::new();
    for (host, sni) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let server = Server::start(&authority.issue(host), EVERYTHING, a_metric).await;
        scrape(&authority.trusted().build().unwrap(), &server.target_by(host, "/")).await.unwrap();
        assert_eq!(server.seen()[0].sni.as_deref(), sni);
    }
}

#[tokio::test]
async fn http_2_is_used_where_the_server_offers_it() {
    let authority = Authority::new();
    let cases: [(&'static [&'static str], &str); 4] = [
        (&["h2", "http/1.1"], "HTTP/2"),
        (&["http/1.1", "h2"], "HTTP/1.1"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ];
    for (alpn, expected) in cases {
        let speaks = Speaks { alpn, ..EVERYTHING };
        let server = Server::start(&authority.issue("localhost"), speaks, a_metric).await;
        let scrape = scrape(&authority.trusted().build().unwrap(), &server.target("/")).await.unwrap();
        assert_eq!(scrape.version(), expected, "{alpn:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_acceptable_is_explained() {
    let (authority, impostor) = (Authority::new(), Authority::new());
    let stranger = Authority::named("a stranger");
    let unknown = "self-signed or from an authority that is not trusted here (SSL_CERT_FILE names others)";
    let cases = [
        ("expired", authority.issue_for_years("localhost", 2020..2021), "has expired".to_owned()),
        ("early", authority.issue_for_years("localhost", 3000..3001), "is not valid yet".to_owned()),
        ("wrong host", authority.issue("elsewhere.example"), "is for another host name".to_owned()),
        ("self-signed", Identity::self_signed("localhost"), format!("is {unknown}")),
        ("unknown authority", stranger.issue("localhost"), format!("is {unknown}")),
        (
            "false authority",
            impostor.issue("localhost"),
            "is not signed by the authority it names".to_owned(),
        ),
    ];
    for (what, identity, reason) in cases {
        let server = Server::start(&identity, EVERYTHING, a_metric).await;
        let error = scrape(&authority.trusted().build().unwrap(), &server.target("/")).await.expect_err(what);
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Tls)), "{what}");
        let origin = server.target("/").origin();
        assert_eq!(
            error.to_string(),
            format!("the TLS handshake with {origin} failed: its certificate {reason}"),
            "{what}"
        );
        assert!(chain(&error).contains("invalid peer certificate"), "{what}: {}", chain(&error));
        assert!(error.tls().is_none() && server.seen().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_named_so() {
    let plain = crate::fixture::Server::replying(vec![crate::fixture::raw("HTTP/1.0 400 No\r\n\r\n")]).await;
    let client = Client::builder().max_retries(0).build().unwrap();
    let target = Target::parse(&format!("https://{}/", plain.addr)).unwrap();
    // The plain server waits for a line end, which a TLS greeting may hold or not; hanging up is as good an answer.
    let options = prom_scrape::ScrapeOptions::new().timeout(std::time::Duration::from_millis(300));
    let error =
        client.scrape(&target, crate::fixture::no_credentials, &options).await.expect_err("it is not TLS");
    assert_eq!(error.phase(), Some(Phase::Tls), "{}", chain(&error));
}

const CHILD: &str = "PROM_SCRAPE_TEST_URL";

/// The environment belongs to the whole process, so each case is a process of its own: this test, run again.
#[test]
fn the_environment_may_name_other_authorities() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(url) = std::env::var(CHILD) {
        let outcome = match Client::builder().max_retries(0).build() {
            Err(error) => format!("setup: {error}"),
            Ok(client) => match runtime.block_on(scrape(&client, &Target::parse(&url).unwrap())) {
                Ok(scrape) => format!("scraped {} bytes", scrape.body().len()),
                Err(error) => error.to_string(),
            },
        };
        println!("outcome: {outcome}");
        return;
    }
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    // OpenSSL looks certificates up in a folder under names of this form.
    let hashed = tempfile::tempdir().unwrap();
    std::fs::write(hashed.path().join("01234567.0"), &authority.pem).unwrap();
    let missing = folder.path().join("missing.pem");

    let server = runtime.block_on(Server::start(&authority.issue("localhost"), EVERYTHING, a_metric));
    let nothing = "setup: SSL_CERT_FILE or SSL_CERT_DIR is set, but no certificate could be read from it";
    for (name, value, expected) in [
        ("SSL_CERT_FILE", file.as_path(), "scraped 4 bytes"),
        ("SSL_CERT_DIR", hashed.path(), "scraped 4 bytes"),
        ("SSL_CERT_FILE", &missing, nothing),
        ("SSL_CERT_FILE", &empty, nothing),
        ("UNRELATED", &file, "its certificate is self-signed or from an authority"),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::the_environment_may_name_other_authorities", "--nocapture"])
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env(CHILD, server.target("/").to_string())
            .env(name, value)
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("outcome: ") && shown.contains(expected), "{name}={value:?}: {shown}");
    }
}
