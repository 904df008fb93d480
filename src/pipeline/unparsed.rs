//! Detects logs of which no line parses.
//!
//! Owns the count of consecutive lines that no format matches, per log, and the decision when that is a problem.
//! Refuses to know why a line does not parse. Invariant: the first line that parses ends the problem, and single
//! unparsed lines are not a problem. So an agent never indexes a whole log unparsed without a warning.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::record::DOCKER_JSON;
use crate::tail::{Leaves, Problem};

/// This many consecutive unparsed lines are a problem.
const LINES: u64 = 20;
/// A slower log, of which no line has parsed, is a problem after this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// The logs by their paths.
#[derive(Debug, Default)]
pub(super) struct UnparsedLogs {
    logs: HashMap<PathBuf, Run>,
}

/// The most recent lines of one log.
#[derive(Debug, Default)]
struct Run {
    /// Number of lines since the last one that parsed.
    lines: u64,
    /// The reason why the first of them does not parse.
    reason: &'static str,
    since: Duration,
    /// A line has parsed before.
    has_parsed: bool,
}

impl UnparsedLogs {
    /// Counts some lines of a log: whether one of them parsed, and why each of the others did not.
    pub(super) fn note(
        &mut self,
        path: &Path,
        parsed: bool,
        reasons: &[&'static str],
        now: Duration,
    ) {
        if !parsed && reasons.is_empty() {
            return;
        }
        let run = match self.logs.get_mut(path) {
            Some(run) => run,
            None => self.logs.entry(path.to_owned()).or_default(),
        };
        if parsed {
            // their order is unknown; the next lines decide
            (run.lines, run.has_parsed) = (0, true);
            return;
        }
        if run.lines == 0 {
            (run.reason, run.since) = (reasons[0], now);
        }
        run.lines += reasons.len() as u64;
    }

    /// The logs that are a problem now. Logs that are no longer open are forgotten. `at_the_end` of a run there is no
    /// more time to wait, so every log without a line that parses is a problem.
    pub(super) fn problems(
        &mut self,
        now: Duration,
        at_the_end: bool,
        is_open: impl Fn(&Path) -> bool,
    ) -> Vec<Problem> {
        self.logs.retain(|path, _| at_the_end || is_open(path));
        let mut problems: Vec<Problem> = self
            .logs
            .iter()
            .filter(|(_, run)| run.is_problem(now, at_the_end))
            .map(|(path, run)| Problem {
                path: path.clone(),
                text: if run.reason == DOCKER_JSON {
                    "is written by Docker's json-file driver, which is not CRI: its lines are indexed unparsed; the \
                     container runtime must be containerd or CRI-O, or let nginx write to a file on a shared volume"
                        .to_owned()
                } else {
                    format!(
                    "holds lines and none of them fits a format (reason of the first: {}); name the format of this log, as in \
                     format = \"main\" in its [[logs]], or the text of its log_format; logweir check --parse {} \
                     shows what does not fit",
                    run.reason,
                    path.display()
                )
                },
                leaves: Leaves::Nothing,
            })
            .collect();
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        problems
    }
}

impl Run {
    fn is_problem(&self, now: Duration, at_the_end: bool) -> bool {
        let is_late = at_the_end || now.saturating_sub(self.since) >= PATIENCE;
        self.lines >= LINES || (self.lines > 0 && !self.has_parsed && is_late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: [&str; 5] = ["literal", "status", "status", "status", "status"];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn problems(logs: &mut UnparsedLogs, seconds: u64) -> Vec<String> {
        let problems = logs.problems(at(seconds), false, |_| true);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn twenty_odd_lines_in_a_row_are_a_problem_until_a_line_parses() {
        let (mut logs, path) = (UnparsedLogs::default(), Path::new("/a.log"));
        logs.note(path, true, &[], at(0));
        for _ in 0..3 {
            logs.note(path, false, &ODD, at(1));
        }
        assert_eq!(
            problems(&mut logs, 100),
            [""; 0],
            "single unparsed lines of a log that parses"
        );
        logs.note(path, false, &ODD, at(2));
        let [text] = &*problems(&mut logs, 2) else {
            unreachable!()
        };
        assert!(
            text.starts_with(
                "/a.log holds lines and none of them fits a format (reason of the first: literal); name"
            ),
            "{text}"
        );
        logs.note(path, true, &ODD, at(3));
        assert_eq!(problems(&mut logs, 3), [""; 0]);
    }

    #[test]
    fn a_slow_log_without_a_line_that_parses_is_a_problem_after_a_while() {
        let (mut logs, path) = (UnparsedLogs::default(), Path::new("/slow.log"));
        logs.note(path, false, &ODD[..1], at(5));
        logs.note(path, false, &[], at(6));
        assert_eq!(problems(&mut logs, 34), [""; 0]);
        assert_eq!(problems(&mut logs, 35).len(), 1);
        assert_eq!(logs.problems(at(40), false, |_| false), []);
        assert_eq!(
            problems(&mut logs, 50),
            [""; 0],
            "what is closed is forgotten"
        );
    }

    #[test]
    fn at_the_end_of_a_run_no_time_is_needed() {
        let mut logs = UnparsedLogs::default();
        logs.note(Path::new("/b.log"), false, &ODD[..1], at(0));
        logs.note(Path::new("/a.log"), false, &ODD[..2], at(0));
        logs.note(Path::new("/good.log"), true, &[], at(0));
        logs.note(Path::new("/good.log"), false, &ODD[..1], at(0));
        let problems = logs.problems(at(0), true, |_| false);
        let paths: Vec<&Path> = problems.iter().map(|problem| &*problem.path).collect();
        assert_eq!(paths, [Path::new("/a.log"), Path::new("/b.log")]);
    }
}
