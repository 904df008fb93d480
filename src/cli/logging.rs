//! What the agent says about itself, on standard error: ERROR means data was lost, WARN that it was not.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Sets the log up; the first call in a process counts.
pub(super) fn init(config: &Config) {
    let filter = EnvFilter::new(format!("warn,logweir={}", config.log.level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // a second call finds the log set up already
    let _ = match config.log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    };
}
