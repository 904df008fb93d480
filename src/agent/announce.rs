//! What `run` logs at its start, at its end, and about a reload that is refused.
//!
//! Owns the messages and their fields. Refuses to decide anything. Invariant: every message is one line, even when its
//! cause has several.

use std::time::Duration;

use super::End;
use super::ports::{OutputHealth, OutputState};
use crate::build_info;
use crate::config::{Config, ConfigErrors};
use crate::pipeline::Ended;
use crate::tail::{Leaves, Problem};
use crate::telemetry::Snapshot;

/// How long the first message waits for the cluster's first response.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Waits a short time for the cluster's first response.
pub(super) async fn first_answer(output: &(impl OutputHealth + ?Sized)) {
    // without a response in time the message states that
    let _ = tokio::time::timeout(FIRST_ANSWER, output.first_answer()).await;
}

/// An agent has started.
pub(super) fn started(config: &Config, host: &str, status: &OutputState) {
    let reached = match (status.has_answered, &status.waits_for) {
        (true, _) => "yes".to_owned(),
        (false, None) => "not asked yet".to_owned(),
        (false, Some(reason)) => format!("not yet: {}", one_line(reason)),
    };
    tracing::info!(
        version = build_info::VERSION,
        commit = build_info::COMMIT,
        host,
        logs = config.logs.len(),
        output = status.target,
        reached,
        "started"
    );
}

/// The last agent has ended.
pub(super) fn stopped(end: End, snapshot: &Snapshot) {
    let End { ended, timed_out } = end;
    if matches!(ended, Ended::Left(_)) && !timed_out {
        tracing::warn!(
            "not all that is there was read: the warnings above name each file; what is read of it later is \
             indexed once all the same"
        );
    }
    let unread_bytes: u64 = snapshot.lag.iter().map(|lag| lag.unread).sum();
    let (accounts, settled) = (&snapshot.accounts, &snapshot.accounts.settled);
    tracing::info!(
        read = accounts.read,
        indexed = settled.indexed,
        already_indexed = settled.duplicate,
        dead_letters = settled.dead_lettered + settled.parked,
        unparsed = snapshot.parsing.errors.values().sum::<u64>(),
        older_than_retention = accounts.expired + settled.expired,
        "lines since the start"
    );
    let leaving = |problem: &&Problem| problem.leaves > Leaves::Nothing;
    let unread_files =
        snapshot.tail.problems.iter().filter(leaving).count() + snapshot.tail.files_waiting;
    match ended {
        Ended::Settled | Ended::Left(_) | Ended::Waited => {
            let is_all = ended == Ended::Settled && !timed_out;
            if is_all && unread_bytes == 0 && unread_files == 0 {
                tracing::info!("stopped: everything delivered");
            } else {
                tracing::info!(
                    unread_bytes,
                    unread_files,
                    "stopped: everything that was read is delivered; what is unread in the logs waits for the next start"
                );
            }
        }
        Ended::Released(lines) => tracing::warn!(
            lines,
            unread_bytes,
            "stopped: not everything is delivered; these lines wait in the logs and are read again at the next start"
        ),
        // the reader has logged it as an error
        Ended::Broken => {}
    }
}

/// How the agent stands, in one line for people; `stalled` is why nothing moves, if so.
pub(super) fn status_line(
    snapshot: &Snapshot,
    output: &OutputState,
    stalled: Option<&str>,
) -> String {
    let state = match (&output.waits_for, output.takes_nothing) {
        (Some(reason), _) => format!("waiting: {}", one_line(reason)),
        (None, true) => "in trouble, see the log".to_owned(),
        (None, false) => "delivering".to_owned(),
    };
    let unread: u64 = snapshot.lag.iter().map(|lag| lag.unread).sum();
    let accounts = &snapshot.accounts;
    let stalled = stalled.map_or_else(String::new, |reason| format!("stalled: {reason}; "));
    format!(
        "{stalled}{} lines read, {} in flight, {unread} bytes unread; {}: {state}",
        accounts.read, accounts.in_flight, output.target
    )
}

/// Logs that a configuration cannot be used and the old one stays; `why` is the reason it was read.
pub(super) fn refused(why: &str, errors: &ConfigErrors) {
    let problems = errors.0.len();
    let first = errors.0.first();
    let (file, line) = first.map_or((None, None), |problem| problem.origin.place());
    let key = first
        .map(|problem| problem.key.as_str())
        .filter(|key| !key.is_empty());
    let problem = first.map(|problem| one_line(&problem.fault.to_string()));
    let more = match problems {
        0 | 1 => "",
        _ => "; logweir check lists all problems",
    };
    tracing::warn!(
        problems,
        file,
        line,
        key,
        problem,
        "{why}, but the configuration is wrong; the old one stays{more}"
    );
}

/// A text of several lines as one.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_becomes_one() {
        assert_eq!(
            one_line("the configuration has 1 problem\n  a.toml:3: x\n"),
            "the configuration has 1 problem; a.toml:3: x"
        );
        assert_eq!(one_line("plain"), "plain");
    }
}
