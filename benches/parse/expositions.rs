//! Expositions as exporters write them, the same at every run.

use std::fmt::Write as _;

/// A source of numbers that look random and never change.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A value as exporters print them: mostly counts, some with a fraction, some large with an exponent.
    fn value(&mut self) -> String {
        match self.below(10) {
            0..=1 => "0".to_owned(),
            2..=5 => self.below(1_000_000).to_string(),
            6..=7 => format!("{}.{:02}", self.below(100_000), self.below(100)),
            8 => format!("{}.{:06}e+{:02}", 1 + self.below(9), self.below(1_000_000), 6 + self.below(6)),
            _ => format!("{}", self.below(1 << 40) as f64 / 7e8),
        }
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.below(16) as u32, 16).unwrap_or('0')).collect()
    }
}

const SUBSYSTEMS: [&str; 8] =
    ["cpu", "disk", "filesystem", "memory", "netstat", "network", "systemd", "vmstat"];
const NOUNS: [&str; 8] = [
    "receive_packets",
    "io_time_weighted",
    "available_inodes",
    "transmit_errs",
    "guest",
    "unit_state",
    "pgfault",
    "reclaimable",
];
const UNITS: [&str; 5] = ["seconds_total", "bytes", "total", "ratio", "info"];
const MODES: [&str; 8] = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
const DEVICES: [&str; 6] = ["eth0", "lo", "nvme0n1", "sda", "docker0", "veth1a2b3c4"];

/// A node exporter's scrape, with more of everything: 81 bytes a sample line, a third of all bytes HELP and TYPE.
pub(crate) fn node(bytes: usize, openmetrics: bool) -> String {
    let (mut n, mut out, mut family) = (Numbers(1), String::new(), 0);
    while out.len() < bytes {
        family += 1;
        let counter = n.below(2) == 0;
        let name = format!("node_{}_{}_{}", n.of(&SUBSYSTEMS), n.of(&NOUNS), family);
        let name = if counter { name } else { format!("{name}_{}", n.of(&UNITS)) };
        let suffix = if counter { "_total" } else { "" };
        let family = if openmetrics { name.clone() } else { format!("{name}{suffix}") };
        let kind = if counter { "counter" } else { "gauge" };
        let _ = writeln!(
            out,
            "# HELP {family} {} of {} as the kernel counts it.",
            n.of(&NOUNS),
            n.of(&SUBSYSTEMS)
        );
        let _ = writeln!(out, "# TYPE {family} {kind}");
        for _ in 0..3 + n.below(3) {
            let _ = write!(out, "{name}{suffix}");
            let _ = match n.below(10) {
                0..=1 => Ok(()),
                2..=4 => write!(out, "{{device=\"{}\",address=\"{}\"}}", n.of(&DEVICES), n.hex(8)),
                5..=7 => write!(out, "{{cpu=\"{}\",mode=\"{}\"}}", n.below(64), n.of(&MODES)),
                _ => write!(
                    out,
                    "{{device=\"/dev/{}\",fstype=\"ext4\",mountpoint=\"/var/lib/{}\"}}",
                    n.of(&DEVICES),
                    n.hex(12)
                ),
            };
            let _ = write!(out, " {}", n.value());
            end_line(&mut out, &mut n, openmetrics, counter);
        }
    }
    finish(out, openmetrics)
}

/// A state exporter of a cluster: eight to ten labels, 300 bytes a line, a ninth of the lines with escapes.
pub(crate) fn ksm(bytes: usize) -> String {
    let (mut n, mut out) = (Numbers(2), String::new());
    let _ = writeln!(out, "# HELP kube_pod_container_status_waiting_reason Why the container waits.");
    let _ = writeln!(out, "# TYPE kube_pod_container_status_waiting_reason gauge");
    while out.len() < bytes {
        let app = n.of(&["checkout", "payments", "search-frontend", "inventory"]);
        let _ = write!(
            out,
            "kube_pod_container_status_waiting_reason{{namespace=\"{}\",pod=\"{app}-{}-{}\",uid=\"{}-{}-{}\",\
             container=\"{app}\",node=\"ip-10-{}-{}-{}.internal\",reason=\"{}\",\
             image=\"registry.example/team/{app}:v{}.{}.{}\"",
            n.of(&["default", "kube-system", "shop-production", "monitoring"]),
            n.hex(10),
            n.hex(5),
            n.hex(8),
            n.hex(4),
            n.hex(12),
            n.below(256),
            n.below(256),
            n.below(256),
            n.of(&["ContainerCreating", "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"]),
            n.below(9),
            n.below(20),
            n.below(30),
        );
        let message = match n.below(9) {
            0 => r#"failed to pull \"latest\": not found"#,
            _ => "waiting for the scheduler",
        };
        let _ = write!(out, ",message=\"{message}\"");
        if n.below(2) == 0 {
            let _ = write!(out, ",job=\"ksm\"");
        }
        if n.below(2) == 0 {
            let _ = write!(out, ",zone=\"eu-{}\"", n.below(3));
        }
        let _ = writeln!(out, "}} {}", n.below(2));
    }
    out
}

/// The buckets of many histograms: 156 bytes a line.
pub(crate) fn hist(bytes: usize, openmetrics: bool) -> String {
    const BOUNDS: [&str; 12] =
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];
    let (mut n, mut out) = (Numbers(3), String::new());
    let _ = writeln!(out, "# HELP http_server_request_duration_seconds How long requests took.");
    let _ = writeln!(out, "# TYPE http_server_request_duration_seconds histogram");
    while out.len() < bytes {
        let labels = format!(
            "cluster=\"prod-{}\",handler=\"/api/v1/{}\",method=\"{}\",status=\"{}\",zone=\"eu-west-{}\"",
            n.below(4),
            n.of(&["orders", "users/:id", "search", "cart/items"]),
            n.of(&["GET", "POST", "PUT"]),
            n.of(&["200", "404", "500"]),
            n.below(3),
        );
        let mut count = 0;
        for bound in BOUNDS {
            count += n.below(5_000);
            let _ =
                write!(out, "http_server_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}");
            end_line(&mut out, &mut n, openmetrics, true);
        }
        let _ = writeln!(out, "http_server_request_duration_seconds_count{{{labels}}} {count}");
        let _ = writeln!(
            out,
            "http_server_request_duration_seconds_sum{{{labels}}} {}.{}",
            count / 3,
            n.below(1_000_000)
        );
    }
    finish(out, openmetrics)
}

/// Every value with an escape or a character beyond ASCII.
pub(crate) fn escapes(bytes: usize) -> String {
    let (mut n, mut out) = (Numbers(4), String::new());
    while out.len() < bytes {
        let _ = writeln!(
            out,
            "windows_service_state{{city=\"{}\",path=\"C:\\\\Program Files\\\\{}\",display=\"said \\\"{}\\\"\"}} {}",
            n.of(&["Zürich", "東京", "São Paulo", "Kraków"]),
            n.of(&["Übung", "Größe", "Agent"]),
            n.of(&["läuft", "停止", "ok"]),
            n.value(),
        );
    }
    out
}

/// Lines that are right, and not as most write them: a blank after commas, as VictoriaMetrics' library for Go has it, a comma
/// after the last label, as Java's old one has it, and colons in the names of recorded rules.
pub(crate) fn loose(bytes: usize) -> String {
    let (mut n, mut out) = (Numbers(5), String::new());
    while out.len() < bytes {
        let (mode, path, value) = (n.of(&MODES), n.of(&NOUNS), n.value());
        let _ = match n.below(3) {
            0 => writeln!(
                out,
                "vm_http_requests_total{{path=\"/api/v1/{path}\", protocol=\"{mode}\"}} {value}"
            ),
            1 => writeln!(out, "jvm_memory_used_bytes{{area=\"heap\",id=\"{path} {mode}\",}} {value}"),
            _ => writeln!(
                out,
                "instance:node_cpu:rate5m{{instance=\"10.0.0.{}\",mode=\"{mode}\"}} {value}",
                n.below(256)
            ),
        };
    }
    out
}

/// What stands after a value: in OpenMetrics a timestamp, and on every eighth counter line an exemplar.
fn end_line(out: &mut String, n: &mut Numbers, openmetrics: bool, exemplar: bool) {
    if openmetrics {
        let _ = write!(out, " 17{}.{:03}", 10_000_000 + n.below(90_000_000), n.below(1_000));
        if exemplar && n.below(8) == 0 {
            let _ = write!(out, " # {{trace_id=\"{}\"}} {}", n.hex(32), n.value());
        }
    }
    out.push('\n');
}

fn finish(mut out: String, openmetrics: bool) -> String {
    if openmetrics {
        out.push_str("# EOF\n");
    }
    out
}
