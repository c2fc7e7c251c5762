//! The command line and the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, ValueEnum};

use crate::commands::Command;

/// Runs connectors: serves their control API over HTTP and lands their ticks' rows in SQL tables.
#[derive(Debug, Parser)]
#[command(name = "connectord", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Usage {
    /// How to run
    #[command(flatten)]
    pub(crate) options: Options,

    /// What to do instead
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How the daemon runs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the control API and the operator's page are served
    #[arg(long, env = "CONNECTORD_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Where connectors and rows are kept: sqlite:DIR
    #[arg(
        long,
        env = "CONNECTORD_STORE",
        value_name = "URL",
        default_value = "sqlite:./connectord-data",
        hide_env_values = true
    )]
    pub(crate) store: StoreUrl,

    /// `NAME=value` lines, where $env:NAME is looked up before the environment; read again at every use
    #[arg(long, env = "CONNECTORD_ENV_FILE", value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,

    /// The token that every request but /healthz and /readyz needs then, as `Authorization: Bearer`; read again at each
    #[arg(long, env = "CONNECTORD_API_TOKEN_FILE", value_name = "FILE")]
    pub(crate) api_token_file: Option<PathBuf>,

    /// Without a token, let everyone in who can reach the address, by whatever name
    #[arg(long, env = "CONNECTORD_ALLOW_ANONYMOUS", value_parser = BoolishValueParser::new())]
    pub(crate) allow_anonymous: bool,

    /// Ticks in flight at once in this daemon
    #[arg(long, env = "CONNECTORD_SLOTS", value_name = "N", default_value_t = 64, value_parser = slots)]
    pub(crate) slots: usize,

    /// Delete rows and tick records that are older, as 30d or 12h; at least 1m [default: keep all]
    #[arg(long, env = "CONNECTORD_RETENTION", value_name = "DURATION", value_parser = retention)]
    pub(crate) retention: Option<Duration>,

    /// Serve the API only, or run ticks only
    #[arg(long, env = "CONNECTORD_ROLE", value_enum, default_value_t = Role::All)]
    pub(crate) role: Role,

    /// Which $env: names connectors may refer to, `*` for any characters; repeatable [default: all but the daemon's own]
    #[arg(long, env = "CONNECTORD_SECRET_ENV", value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) secret_env: Vec<String>,

    /// Below which folders connectors may refer to $file: paths; repeatable [default: anywhere but the daemon's own]
    #[arg(long, env = "CONNECTORD_SECRET_DIR", value_name = "DIR", value_delimiter = ',')]
    pub(crate) secret_dir: Vec<PathBuf>,

    /// How logs are written to standard error
    #[arg(long, env = "CONNECTORD_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

impl Usage {
    /// Reads it; `Err` is what to tell whoever used it wrongly, in one line. Prints help and version itself.
    pub(crate) fn read() -> Result<Self, String> {
        let usage = Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion => error.exit(),
            _ => one_line(&error),
        })?;
        if usage.command.is_none() {
            usage.options.check()?;
        }
        Ok(usage)
    }
}

impl Options {
    fn check(&self) -> Result<(), String> {
        let protected = self.api_token_file.is_some() || self.allow_anonymous;
        if self.role.serves() && !self.listen.ip().is_loopback() && !protected {
            return Err(format!(
                "--listen {} lets other machines in: set --api-token-file FILE, or --allow-anonymous if all of them may",
                self.listen
            ));
        }
        Ok(())
    }
}

/// Which part of the daemon's work to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Both
    All,
    /// Serve the API
    Api,
    /// Run ticks, and serve nothing
    Runner,
}

impl Role {
    pub(crate) fn serves(self) -> bool {
        self != Self::Runner
    }

    pub(crate) fn runs(self) -> bool {
        self != Self::Api
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Where connectors and rows are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// The embedded store in this folder.
    Sqlite(PathBuf),
}

impl FromStr for StoreUrl {
    type Err = String;

    /// The text is not repeated in errors, as it may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Err("this build knows only the embedded store: use sqlite:DIR".to_owned());
        }
        match text.strip_prefix("sqlite:") {
            Some(folder) if !folder.is_empty() => Ok(Self::Sqlite(folder.into())),
            _ => Err("a store is given as sqlite:DIR".to_owned()),
        }
    }
}

fn slots(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(slots @ 1..=100_000) => Ok(slots),
        _ => Err("must be a number between 1 and 100000".to_owned()),
    }
}

/// A duration of at least a minute: so much longer than a lease that no tick in flight can be meant.
fn retention(text: &str) -> Result<Duration, String> {
    let seconds = text.char_indices().next_back().and_then(|(end, unit)| {
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        text[..end].parse::<u32>().ok().map(|count| u64::from(count) * unit)
    });
    match seconds {
        Some(seconds @ 60..) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be a whole number with a unit (s, m, h, d, w), as in 30d, and at least 1m".to_owned()),
    }
}

/// What went wrong. clap writes several lines, and repeats values: that of a store may hold a password.
fn one_line(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};

    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let reason = std::error::Error::source(error).map(ToString::to_string);
    let line = match (context(ContextKind::InvalidArg), reason) {
        (Some(option), Some(reason)) => format!("{option}: {reason}"),
        _ => {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    };
    format!("{line}; --help shows all options")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        let usage = Usage::try_parse_from([&["connectord"], args].concat()).map_err(|e| one_line(&e))?;
        usage.options.check()?;
        Ok(usage.options)
    }

    #[test]
    fn beyond_loopback_needs_a_token_or_a_clear_wish() {
        for good in [
            &["--listen", "127.0.0.1:0"][..],
            &["--listen", "[::1]:8080"],
            &["--listen", "0.0.0.0:8080", "--allow-anonymous"],
            &["--listen", "0.0.0.0:8080", "--api-token-file", "/token"],
            &["--listen", "0.0.0.0:8080", "--role", "runner"],
        ] {
            assert!(read(good).is_ok(), "{good:?}");
        }
        for bad in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
            let error = read(&["--listen", bad]).unwrap_err();
            assert!(error.contains(bad) && error.contains("--api-token-file"), "{error}");
        }
    }

    #[test]
    fn a_store_is_a_folder_and_its_url_is_not_repeated() {
        assert_eq!(read(&["--store", "sqlite:/a/b"]).unwrap().store, StoreUrl::Sqlite("/a/b".into()));
        for (bad, word) in [
            ("postgres://u:hunter2@host/db", "this build knows only the embedded store"),
            ("sqlite:", "sqlite:DIR"),
            ("mysql://u:hunter2@host", "sqlite:DIR"),
        ] {
            let error = read(&["--store", bad]).unwrap_err();
            assert!(error.contains(word) && error.contains("--store"), "{error}");
            assert!(!error.contains("hunter2") && error.lines().count() == 1, "{error}");
        }
    }

    #[test]
    fn a_retention_has_a_unit_and_is_no_shorter_than_a_minute() {
        for (text, seconds) in
            [("60s", 60), ("1m", 60), ("12h", 43_200), ("30d", 2_592_000), ("52w", 31_449_600)]
        {
            let retention = read(&["--retention", text]).unwrap().retention;
            assert_eq!(retention, Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(read(&[]).unwrap().retention, None);
        for bad in ["", "30", "d", "59s", "0d", "1.5h", "-1d", "1y", "1é", "99999999999d"] {
            let error = read(&[&format!("--retention={bad}")]).unwrap_err();
            assert!(error.contains("--retention") && error.contains("as in 30d"), "{bad}: {error}");
        }
    }

    #[test]
    fn wrong_usage_is_told_in_one_line() {
        for (bad, word) in [
            (&["--nope"][..], "--nope"),
            (&["--slots", "0"], "between 1 and 100000"),
            (&["--slots"], "--slots"),
            (&["--role", "king"], "king"),
            (&["--listen", "here"], "--listen"),
            (&["stray"], "stray"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(word) && error.lines().count() == 1, "{error}");
        }
    }
}
