//! The `connectord` daemon: the control API and a runner, on the embedded store.

#![forbid(unsafe_code)]

mod daemon;
mod log;
mod options;

use std::process::ExitCode;

use connector_core::chain;

use options::Options;

/// Exits with 0 after a stop that was asked for, with 2 for wrong usage, with 1 for any other failure.
fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("connectord: {usage}");
            return ExitCode::from(2);
        }
    };
    log::start(options.log_format);
    match daemon::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            error.exit_code()
        }
    }
}
