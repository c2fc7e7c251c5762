//! Servers that nobody here wrote, each on a port and in a folder of its own until it is dropped.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};

use prom_scrape::Target;
use tempfile::TempDir;

use crate::secure::Identity;

pub(crate) struct Program {
    process: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

/// A port on loopback that listens already. The program inherits the socket, so that nobody can take the port away
/// from it, and a client that comes before the program is ready waits rather than being refused.
struct Place {
    listener: TcpListener,
    port: u16,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    /// Runs `command` in the place's folder with the listening socket as its file 3.
    fn run(self, command: &str) -> Program {
        let path = std::env::var("PATH").unwrap_or_default();
        let process = Command::new("sh")
            .args(["-c", &format!("exec 3<&0 </dev/null; {command}")])
            .current_dir(self.path())
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdin(OwnedFd::from(self.listener))
            .spawn()
            .unwrap();
        Program { process, port: self.port, _folder: self.folder }
    }
}

impl Program {
    /// nginx with one server of these directives, and these files under its root.
    pub(crate) fn nginx(directives: &str, files: &[(&str, &[u8])]) -> Self {
        Self::nginx_as("", "", directives, files)
    }

    /// The same over TLS, with `options` after the address that it listens on.
    pub(crate) fn nginx_tls(identity: &Identity, options: &str, directives: &str) -> Self {
        let (certificate, key) = identity.pem();
        let files = [("certificate.pem", certificate.as_bytes()), ("key.pem", key.as_bytes())];
        let names = "ssl_certificate certificate.pem; ssl_certificate_key key.pem;";
        Self::nginx_as(&format!("ssl {options}"), names, directives, &files)
    }

    fn nginx_as(options: &str, setup: &str, directives: &str, files: &[(&str, &[u8])]) -> Self {
        let place = Place::new();
        // Where it keeps what it would keep under /var.
        let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {name};"))
            .collect();
        let folder = place.path().display();
        let config = format!(
            "daemon off; user root; worker_processes 1; pid pid; error_log stderr error; events {{}}
             http {{ access_log off; {kept} default_type 'text/plain; version=0.0.4'; server {{
             listen 127.0.0.1:{port} {options}; root {folder}; {setup} {directives} }} }}",
            port = place.port,
        );
        place.write("nginx.conf", config);
        for (name, content) in files {
            place.write(name, content);
        }
        place.run("NGINX='3;' exec nginx -p . -c nginx.conf -e stderr")
    }

    /// HAProxy with one front end of these directives.
    pub(crate) fn haproxy(directives: &str) -> Self {
        let place = Place::new();
        let config = format!(
            "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
             frontend metrics\n bind fd@3\n{directives}\n"
        );
        place.write("haproxy.cfg", config);
        place.run("exec haproxy -q -db -f haproxy.cfg")
    }

    pub(crate) fn node_exporter() -> Self {
        Place::new().run(
            "LISTEN_PID=$$ LISTEN_FDS=1 exec prometheus-node-exporter --web.systemd-socket --log.level=error",
        )
    }

    pub(crate) fn target(&self, path: &str) -> Target {
        Target::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    pub(crate) fn tls_target(&self, path: &str) -> Target {
        Target::parse(&format!("https://localhost:{}{path}", self.port)).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A request rather than SIGKILL, which would leave nginx's worker behind.
        let asked = Command::new("kill").arg(self.process.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
