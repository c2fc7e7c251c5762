//! Prints the samples of an exposition, one JSON object a line.
//!
//! ```text
//! curl -s localhost:9100/metrics | cargo run --release --example parse -- --format prometheus -
//! ```

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use prom_parse::{Entry, Format, Sample, entries, strict};
use serde_json::{Map, Value, json};

#[derive(Parser)]
#[command(about = "Prints the samples of an exposition as JSON, one a line")]
struct Args {
    /// The format that the exposition is written in
    #[arg(long)]
    format: TextFormat,
    /// Hold it to the rules for exporters, rather than to what the server takes
    #[arg(long)]
    strict: bool,
    /// The exposition, or `-` for standard input
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum TextFormat {
    Prometheus,
    Openmetrics,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let body = read(args)?;
    let format = match args.format {
        TextFormat::Prometheus => Format::Prometheus,
        TextFormat::Openmetrics => Format::OpenMetrics,
    };
    // All or nothing: nothing is printed of a body that turns out to be malformed.
    let entries = match args.strict {
        true => strict(&body, format).collect::<Result<Vec<_>, _>>()?,
        false => entries(&body, format).collect::<Result<Vec<_>, _>>()?,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for entry in &entries {
        if let Entry::Sample(sample) = entry {
            writeln!(out, "{}", row(sample))?;
        }
    }
    Ok(out.flush()?)
}

fn read(args: &Args) -> io::Result<Vec<u8>> {
    if args.file.as_os_str() != "-" {
        return std::fs::read(&args.file);
    }
    let mut body = Vec::new();
    io::stdin().lock().read_to_end(&mut body)?;
    Ok(body)
}

fn row(sample: &Sample<'_>) -> Value {
    let labels: Map<_, _> = sample.labels().map(|(name, value)| (name.into(), value.into())).collect();
    let value = match sample.value() {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("+Inf"),
        f64::NEG_INFINITY => json!("-Inf"),
        value => json!(value),
    };
    json!({"name": sample.name(), "labels": labels, "value": value})
}
