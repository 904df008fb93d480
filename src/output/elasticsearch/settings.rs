//! The settings of this output, and their validation.
//!
//! Owns the settings of delivery and their rules; refuses to know where they were read from (TOML, environment).
//! Invariant: [`Settings::problems`] is empty for every value that
//! [`Elasticsearch::connect`](super::Elasticsearch::connect) accepts. It guards against a wrong setting that causes an
//! error only at the first bulk request, hours after the start.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::http::{Backoff, ConnectionSettings, SettingsProblem};

/// Target size of one bulk body before compression.
const DEFAULT_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Bulk requests in flight while nothing is refused.
const DEFAULT_MAX_IN_FLIGHT: usize = 2;
/// Size at which the dead-letter file is full and delivery holds.
const DEFAULT_DEAD_LETTER_BYTES: u64 = 100 * 1024 * 1024;
/// How long one index may refuse, while others accept, before its lines are parked.
const DEFAULT_PARK_AFTER: Duration = Duration::from_secs(600);

/// The settings of this output.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the cluster is reached.
    pub connection: ConnectionSettings,
    /// Target size of one bulk body before compression.
    pub batch_bytes: usize,
    /// Requests in flight while nothing is refused; one otherwise.
    pub max_in_flight: usize,
    /// The waits between retries.
    pub backoff: Backoff,
    /// How long one index may refuse, while others accept, before its lines are parked.
    pub park_after: Duration,
    /// Where `dead-letters/` lives.
    pub data_dir: PathBuf,
    /// Size at which the dead-letter file is full.
    pub dead_letter_bytes: u64,
}

impl Settings {
    /// The defaults for these nodes and this state directory.
    pub fn new(nodes: Vec<Url>, data_dir: PathBuf) -> Self {
        Self {
            connection: ConnectionSettings::new(nodes),
            batch_bytes: DEFAULT_BATCH_BYTES,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            backoff: Backoff::default(),
            park_after: DEFAULT_PARK_AFTER,
            data_dir,
            dead_letter_bytes: DEFAULT_DEAD_LETTER_BYTES,
        }
    }

    /// All problems of the settings; no file is opened.
    pub(crate) fn problems(&self) -> Vec<SettingsProblem> {
        let mut problems = self.connection.problems();
        if self.batch_bytes < 1024 {
            problems.push(SettingsProblem::TooSmall("batch_bytes", "1KiB"));
        }
        if self.max_in_flight == 0 {
            problems.push(SettingsProblem::TooSmall("max_in_flight", "1"));
        }
        if self.dead_letter_bytes < 4096 {
            problems.push(SettingsProblem::TooSmall("dead_letter_bytes", "4KiB"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::SecretString;

    use super::*;
    use crate::config::Auth;

    fn settings(node: &str) -> Settings {
        Settings::new(vec![Url::parse(node).unwrap()], PathBuf::from("/tmp"))
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(settings("https://localhost:9200").problems(), []);
    }

    #[test]
    fn every_problem_is_named_at_once_and_no_secret_is_shown() {
        let mut wrong = settings("http://elastic:hunter2@es:9200");
        wrong.connection.nodes.push(Url::parse("ftp://es").unwrap());
        wrong
            .connection
            .nodes
            .push(Url::parse("http://es?pretty").unwrap());
        wrong.connection.auth = Auth::ApiKey(SecretString::from("abc\n"));
        wrong.connection.ca_file = Some(PathBuf::from("ca.pem"));
        wrong.max_in_flight = 0;
        wrong.batch_bytes = 0;
        wrong.connection.request_timeout = Duration::ZERO;
        let message: Vec<String> = wrong.problems().iter().map(ToString::to_string).collect();
        assert_eq!(message.len(), 8, "{message:#?}");
        assert!(!message.join("\n").contains("hunter2"), "{message:#?}");
        assert!(!format!("{wrong:?}").contains("abc\\n"));
    }
}
