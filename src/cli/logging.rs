//! What the agent says about itself, on standard error: ERROR means data was lost, WARN that it was not.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::config::{Config, LogLevel, LogStyle};

/// Sets the log up, with this level instead of the configured one if there is one; the first call in a process counts.
pub(super) fn init(config: &Config, level: Option<LogLevel>) {
    let level = match level.unwrap_or(config.log_level) {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // what libraries say matters only when something is wrong
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("logweir", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false);
    let lines = match config.log_format {
        LogStyle::Json => lines.json().boxed(),
        LogStyle::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    // a second call in one process finds the log set up already
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}
