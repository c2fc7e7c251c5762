//! Against servers as operators run them: nginx, HAProxy and the node exporter.

use prom_scrape::{Client, Credentials, ErrorKind, Scrape, ScrapeOptions, Target};

use crate::fixture::{self, Server, Step, chain, no_credentials, once, scrape};
use crate::programs::Program;
use crate::secure::Authority;

/// So many lines of an exposition.
fn exposition(lines: usize) -> String {
    (0..lines).map(|n| format!("requests_total{{path=\"/{n}\"}} {n}\n")).collect()
}

async fn scrape_as(client: &Client, target: &Target, credentials: Credentials) -> Result<Scrape, String> {
    let supply = || Ok::<_, std::convert::Infallible>(credentials.clone());
    client.scrape(target, supply, &ScrapeOptions::new()).await.map_err(|e| chain(&e))
}

fn basic(username: &str, password: &str) -> Credentials {
    Credentials::Basic { username: username.into(), password: password.into() }
}

fn bearer() -> Credentials {
    Credentials::Bearer("s3cret".into())
}

/// Answers with the `Authorization` that came.
const ECHO: &str = r#"location /echo { return 200 "echo{authorization=\"$http_authorization\"} 1\n"; }"#;

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_serves_files_plain_and_compressed() {
    let client = once();
    for lines in [0, 1, 2_000, 200_000] {
        let text = exposition(lines);
        let files = [("metrics", text.as_bytes())];
        for (gzip, encoding) in [("off", "identity"), ("on", "gzip")] {
            let directives = format!("gzip {gzip}; gzip_types *; gzip_min_length 1; gzip_comp_level 1;");
            let nginx = Program::nginx(&directives, &files);
            for attempt in 0..2 {
                let scrape = scrape(&client, &nginx.target("/metrics"))
                    .await
                    .unwrap_or_else(|e| panic!("{}", chain(&e)));
                assert!(scrape.body() == text.as_bytes(), "{lines} lines, {encoding}, {attempt}");
                let encoding = if lines == 0 { "identity" } else { encoding };
                assert_eq!((scrape.encoding(), scrape.length_framed()), (encoding, true), "{lines} lines");
                assert!(lines < 2_000 || (scrape.wire_len() < text.len() as u64) == (encoding == "gzip"));
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_asks_for_a_password() {
    let directives = "location / { auth_basic metrics; auth_basic_user_file users; }";
    let users = "ops:{PLAIN}päss word\n";
    let nginx = Program::nginx(directives, &[("users", users.as_bytes()), ("metrics", b"a 1\n")]);
    let (client, target) = (Client::new().unwrap(), nginx.target("/metrics"));
    let welcome = scrape_as(&client, &target, basic("ops", "päss word")).await.unwrap();
    assert_eq!(welcome.body(), b"a 1\n");
    for unwelcome in [Credentials::None, basic("ops", "guess"), bearer()] {
        let supply = || Ok::<_, std::convert::Infallible>(unwelcome.clone());
        let error = client.scrape(&target, supply, &ScrapeOptions::new()).await.unwrap_err();
        let got = (error.kind(), error.status(), error.attempts(), error.is_transient());
        assert_eq!(got, (ErrorKind::Status, Some(401), 1, false));
        assert_eq!(error.to_string(), format!("{} answered HTTP 401 Unauthorized", target.origin()));
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_redirects() {
    let elsewhere = Program::nginx(ECHO, &[]);
    let away = format!("http://127.0.0.1:{}", elsewhere.port);
    let nginx = Program::nginx(
        &format!(
            "{ECHO}
             location = /moved {{ return 301 /echo; }}
             location = /found {{ return 302 $scheme://$host:$server_port/echo; }}
             location = /see_other {{ return 303 /echo; }}
             location = /temporary {{ return 307 /echo; }}
             location = /permanent {{ return 308 echo; }}
             location = /away {{ return 302 {away}/echo; }}
             location = /loop {{ return 302 /back; }}
             location = /back {{ return 302 /loop; }}"
        ),
        &[],
    );
    let client = once();
    for path in ["/moved", "/found", "/see_other", "/temporary", "/permanent"] {
        let scrape = scrape_as(&client, &nginx.target(path), bearer()).await.unwrap();
        assert_eq!(scrape.body(), b"echo{authorization=\"Bearer s3cret\"} 1\n", "{path}");
        assert_eq!(scrape.url(), nginx.target("/echo").to_string(), "{path}");
    }
    let scrape = scrape_as(&client, &nginx.target("/away"), bearer()).await.unwrap();
    assert_eq!(scrape.body(), b"echo{authorization=\"\"} 1\n");
    assert_eq!(scrape.url(), elsewhere.target("/echo").to_string());
    let origin = nginx.target("/").origin();
    assert_eq!(
        scrape_as(&client, &nginx.target("/loop"), bearer()).await.unwrap_err(),
        format!("{origin} redirects in a loop that comes back to {origin}/loop"),
    );
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_speaks_tls() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let client = authority.trusted().build().unwrap();
    for (options, protocol, version, tls) in [
        ("", "TLSv1.2", "HTTP/1.1", "TLSv1_2"),
        ("", "TLSv1.3", "HTTP/1.1", "TLSv1_3"),
        ("http2", "TLSv1.2", "HTTP/2", "TLSv1_2"),
        ("http2", "TLSv1.3", "HTTP/2", "TLSv1_3"),
    ] {
        let nginx = Program::nginx_tls(&identity, options, &format!("ssl_protocols {protocol}; {ECHO}"));
        for _ in 0..2 {
            let scrape = scrape_as(&client, &nginx.tls_target("/echo"), bearer()).await.unwrap();
            assert_eq!(scrape.body(), b"echo{authorization=\"Bearer s3cret\"} 1\n");
            assert_eq!((scrape.version(), scrape.tls().unwrap().version()), (version, tls));
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_between_http_and_https() {
    let authority = Authority::new();
    let plain = Program::nginx(ECHO, &[]);
    let down = format!("{ECHO} location = /down {{ return 301 http://localhost:{}/echo; }}", plain.port);
    let secure = Program::nginx_tls(&authority.issue("localhost"), "", &down);
    let up = format!("location = /up {{ return 301 https://localhost:{}/echo; }}", secure.port);
    let gate = Program::nginx(&up, &[]);
    let client = authority.trusted().build().unwrap();

    let anonymous = scrape_as(&client, &secure.tls_target("/down"), Credentials::None).await.unwrap();
    assert_eq!((anonymous.body(), anonymous.tls().is_some()), (&b"echo{authorization=\"\"} 1\n"[..], false));
    let refused = scrape_as(&client, &secure.tls_target("/down"), bearer()).await.unwrap_err();
    assert!(refused.ends_with("although the scrape has credentials"), "{refused}");
    let upwards = scrape_as(&client, &gate.target("/up"), bearer()).await.unwrap();
    assert_eq!((upwards.body(), upwards.tls().is_some()), (&b"echo{authorization=\"\"} 1\n"[..], true));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_closes_connections_when_it_likes() {
    let nginx = Program::nginx("keepalive_requests 3;", &[("metrics", b"a 1\n")]);
    let client = once();
    for _ in 0..20 {
        let scrape = scrape(&client, &nginx.target("/metrics")).await.unwrap();
        assert_eq!((scrape.body(), scrape.attempts()), (&b"a 1\n"[..], 1));
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_body_cut_behind_nginx_is_noticed_before_it() {
    for head in ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let chunk = if head.starts_with('T') { "5\r\na 1\nb\r\n" } else { "a 1\nb" };
        let cut = fixture::raw(format!("HTTP/1.1 200 OK\r\n{head}\r\n{chunk}"));
        let exporter = Server::start(move |_, _| cut.clone()).await;
        let nginx = Program::nginx(
            &format!("location / {{ proxy_pass http://{}; proxy_http_version 1.1; }}", exporter.addr),
            &[],
        );
        let error = scrape(&once(), &nginx.target("/")).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Truncated, true), "{}", chain(&error));
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_exporter_that_nginx_cannot_reach_is_tried_again() {
    // It hangs up on nginx, which says 502 on its behalf.
    let exporter = Server::replying(vec![vec![Step::Close], fixture::ok("a 1\n")]).await;
    let nginx = Program::nginx(&format!("location / {{ proxy_pass http://{}; }}", exporter.addr), &[]);
    let scrape = scrape(&Client::new().unwrap(), &nginx.target("/")).await.unwrap();
    assert_eq!((scrape.body(), scrape.attempts()), (&b"a 1\n"[..], 2));
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy_tells_its_metrics() {
    let compression = " filter compression\n compression algo gzip\n compression type text/plain\n";
    for (extra, encoding) in [("", "identity"), (compression, "gzip")] {
        let haproxy = Program::haproxy(&format!("{extra} http-request use-service prometheus-exporter"));
        let client = once();
        for _ in 0..3 {
            let scrape = scrape(&client, &haproxy.target("/metrics"))
                .await
                .unwrap_or_else(|e| panic!("{}", chain(&e)));
            assert_eq!((scrape.encoding(), scrape.length_framed()), (encoding, true));
            assert_eq!(scrape.content_type(), Some("text/plain; version=0.0.4"));
            let text = std::str::from_utf8(scrape.body()).unwrap();
            assert!(text.starts_with("# HELP haproxy_process_nbthread "), "{text}");
            assert!(text.contains("\nhaproxy_frontend_status{proxy=\"metrics\",state=\"UP\"} 1\n"), "{text}");
            assert!(text.ends_with('\n'), "{text}");
        }
    }
}

#[tokio::test]
#[ignore = "needs prometheus-node-exporter"]
async fn node_exporter_tells_its_metrics() {
    let exporter = Program::node_exporter();
    let (client, target) = (once(), exporter.target("/metrics"));
    for _ in 0..3 {
        let scrape = scrape(&client, &target).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert_eq!((scrape.encoding(), scrape.length_framed()), ("gzip", true));
        assert!(scrape.wire_len() < scrape.body().len() as u64 / 2);
        assert!(scrape.content_type().unwrap().starts_with("text/plain; version=0.0.4"), "{scrape:?}");
        let text = std::str::from_utf8(scrape.body()).unwrap();
        assert!(text.contains("\nnode_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} "), "{text}");
        assert!(text.ends_with('\n'));
    }
    let narrowed = exporter.target("/metrics?collect[]=loadavg");
    let scrape = client.scrape(&narrowed, no_credentials, &ScrapeOptions::new()).await.unwrap();
    let text = std::str::from_utf8(scrape.body()).unwrap();
    assert!(text.contains("\nnode_load1 ") && !text.contains("\nnode_cpu_seconds_total{"), "{text}");
}
