//! The `connectord` daemon: the control API and a runner, on the embedded store; and what else there is to do with a store.

#![forbid(unsafe_code)]

mod commands;
mod daemon;
mod log;
mod options;
#[cfg(target_os = "linux")]
mod process;

use std::process::ExitCode;

use connector_core::chain;

use options::Usage;

/// Exits with 0 after a stop that was asked for, with 2 for wrong usage, with 1 for any other failure.
fn main() -> ExitCode {
    let Usage { options, command } = match Usage::read() {
        Ok(usage) => usage,
        Err(usage) => {
            eprintln!("connectord: {usage}");
            return ExitCode::from(2);
        }
    };
    if let Some(command) = command {
        return commands::run(&command);
    }
    log::start(options.log_format);
    match daemon::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            error.exit_code()
        }
    }
}
