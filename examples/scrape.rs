//! One scrape, as an operator wants to see it: the rows, and where the time went; or why there are none.
//!
//! ```text
//! cargo run --release --example scrape -- http://127.0.0.1:9100/metrics
//! cargo run --release --example scrape -- https://node.example/metrics --format json --token-env NODE_TOKEN
//! ```
//!
//! Rows go to standard output, everything else to standard error.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use prom_parse::{Entry, Format, ParseError, Sample, entries};
use prom_scrape::{Client, Credentials, Phase, Scrape, ScrapeOptions, Target, Timings, TlsSession};
use serde_json::{Map, Value, json};

/// How many lines of a body that does not parse are shown, and how much of each, in bytes.
const SHOWN_LINES: usize = 5;
const SHOWN_BYTES: usize = 100;

#[derive(Parser)]
#[command(about = "Scrapes a target once and prints its samples, or what is wrong with it")]
struct Args {
    /// The URL to scrape
    url: String,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    format: Output,
    /// How long one attempt may take, in milliseconds
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
    /// The environment variable that holds a bearer token
    #[arg(long, value_name = "NAME", conflicts_with = "user")]
    token_env: Option<String>,
    /// The user name for HTTP Basic
    #[arg(long, requires = "password_env")]
    user: Option<String>,
    /// The environment variable that holds the password
    #[arg(long, value_name = "NAME", requires = "user")]
    password_env: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Whether the target could be scraped and its body be parsed.
async fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let target = Target::parse(&args.url)?;
    let client = Client::new()?;
    let options = ScrapeOptions::new().timeout(Duration::from_millis(args.timeout_ms));
    let scrape = match client.scrape(&target, || credentials(args), &options).await {
        Ok(scrape) => scrape,
        Err(error) => {
            eprint!("{}", transport_report(&error));
            return Ok(false);
        }
    };
    let started = Instant::now();
    let format = scrape.content_type().and_then(Format::from_content_type).unwrap_or(Format::Prometheus);
    let samples: Result<Vec<_>, _> = entries(scrape.body(), format)
        .filter_map(|entry| match entry {
            Ok(Entry::Sample(sample)) => Some(Ok(sample)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect();
    let parsing = started.elapsed();
    let samples = match samples {
        Ok(samples) => samples,
        Err(error) => {
            eprint!("{}", parse_report(&scrape, format, &error));
            return Ok(false);
        }
    };
    match args.format {
        Output::Table => write_table(&samples)?,
        Output::Json => write_json(&samples)?,
    }
    eprintln!(
        "{} samples, {} bytes ({} on the wire, {}), {} of {}, attempt {}",
        samples.len(),
        scrape.body().len(),
        scrape.wire_len(),
        scrape.encoding(),
        scrape.version(),
        content_type(&scrape),
        scrape.attempts(),
    );
    eprintln!("{}, parse {}", timings(&scrape.timings()), millis(parsing));
    Ok(true)
}

fn credentials(args: &Args) -> Result<Credentials, String> {
    let secret = |name: &String| std::env::var(name).map_err(|e| format!("{name}: {e}"));
    Ok(match (&args.token_env, &args.user, &args.password_env) {
        (Some(name), ..) => Credentials::Bearer(secret(name)?.into()),
        (_, Some(user), Some(name)) => {
            Credentials::Basic { username: user.clone(), password: secret(name)?.into() }
        }
        _ => Credentials::None,
    })
}

/// Name, value and labels, with the first two columns as wide as their widest cell.
fn write_table(samples: &[Sample<'_>]) -> io::Result<()> {
    let rows: Vec<_> = samples.iter().map(|s| (s.name(), value(s.value()), labels(s))).collect();
    let width = |len: fn(&(_, String, String)) -> usize| rows.iter().map(len).max().unwrap_or(0);
    let (names, values) = (width(|r: &(std::borrow::Cow<'_, str>, _, _)| r.0.len()), width(|r| r.1.len()));
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (name, value, labels) in &rows {
        writeln!(out, "{}", format!("{name:<names$}  {value:>values$}  {labels}").trim_end())?;
    }
    out.flush()
}

fn write_json(samples: &[Sample<'_>]) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for sample in samples {
        let labels: Map<_, _> = sample.labels().map(|(name, value)| (name.into(), value.into())).collect();
        let value = match sample.value() {
            number if number.is_finite() => json!(number),
            other => Value::String(value(other)),
        };
        writeln!(out, "{}", json!({"name": sample.name(), "value": value, "labels": labels}))?;
    }
    out.flush()
}

/// As the exposition formats write it.
fn value(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        other => other.to_string(),
    }
}

fn labels(sample: &Sample<'_>) -> String {
    let pairs: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value:?}")).collect();
    pairs.join(" ")
}

/// Everything that is known about a scrape that failed on its way.
fn transport_report(error: &prom_scrape::Error) -> String {
    let mut text = format!("{}\n\n", chain(error));
    line(&mut text, "kind", format_args!("{:?}", error.kind()));
    if let Some(status) = error.status() {
        line(&mut text, "status", status);
    }
    line(&mut text, "attempts", error.attempts());
    if let Some(phase) = error.phase() {
        line(&mut text, "failed while", phase);
    }
    if let Some(tls) = error.tls() {
        line(&mut text, "TLS", session(tls));
    }
    line(&mut text, "last attempt", timings(&error.timings()));
    let advice = if error.is_transient() { "may pass by itself" } else { "needs a change" };
    line(&mut text, "outlook", advice);
    text
}

/// Everything that is known about a body that does not parse.
fn parse_report(scrape: &Scrape, format: Format, error: &ParseError) -> String {
    let mut text = format!("the body is no {} exposition: {error}\n\n", format.media_type());
    line(&mut text, "answered by", scrape.url());
    if let Some(peer) = scrape.peer() {
        line(&mut text, "address", peer);
    }
    line(&mut text, "protocol", scrape.version());
    if let Some(tls) = scrape.tls() {
        line(&mut text, "TLS", session(tls));
    }
    line(&mut text, "content type", content_type(scrape));
    let size =
        format!("{} bytes, {} on the wire ({})", scrape.body().len(), scrape.wire_len(), scrape.encoding());
    line(&mut text, "size", size);
    line(&mut text, "timings", timings(&scrape.timings()));
    text.push_str("\nit begins:\n");
    for shown in scrape.body().split(|b| *b == b'\n').take(SHOWN_LINES) {
        let clipped = &shown[..shown.len().min(SHOWN_BYTES)];
        let more = if clipped.len() < shown.len() { "…" } else { "" };
        // The target's own bytes must not be able to command the terminal.
        let _ = writeln!(text, "  | {}{more}", clipped.escape_ascii());
    }
    text
}

fn line(text: &mut String, what: &str, value: impl std::fmt::Display) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{what:<14}{value}");
}

fn content_type(scrape: &Scrape) -> String {
    scrape.content_type().map_or("no content type".to_owned(), |text| text.escape_debug().to_string())
}

fn session(tls: &TlsSession) -> String {
    format!("{} with {}", tls.version(), tls.cipher_suite())
}

fn timings(timings: &Timings) -> String {
    let name = |phase| match phase {
        Phase::Resolve => "resolve",
        Phase::Connect => "connect",
        Phase::Tls => "TLS",
        Phase::Wait => "wait",
        _ => "body",
    };
    let spent = |phase| timings.get(phase).map(|time| format!("{} {}", name(phase), millis(time)));
    let phases: Vec<String> = Phase::ALL.into_iter().filter_map(spent).collect();
    if phases.is_empty() { "no request was made".to_owned() } else { phases.join(", ") }
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
