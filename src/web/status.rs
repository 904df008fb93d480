//! `/status`, the state of the agent in JSON for people and scripts, and the checks behind `/readyz` and `/livez`.

use serde_json::{Value, json};

use super::View;
use crate::build_info;
use crate::output::Health;

/// The page.
pub(super) fn page(view: &View) -> Value {
    let accounts = &view.snapshot.accounts;
    let settled = &accounts.settled;
    json!({
        "version": build_info::VERSION,
        "commit": build_info::COMMIT,
        "profile": build_info::PROFILE,
        "host": view.host,
        "uptime_seconds": (view.unix_millis - view.started_millis) / 1000,
        "delivery": delivery(&view.delivery, view.unix_millis),
        "lines": {
            "read": accounts.read,
            "indexed": settled.indexed,
            "duplicate": settled.duplicate,
            "diverted": settled.diverted,
            "dead_lettered": settled.dead_lettered,
            "parked": settled.parked,
            "filtered": settled.filtered,
            "expired": accounts.expired + settled.expired,
            "released": accounts.released,
            "in_flight": accounts.in_flight,
        },
        "parsing": {
            "parsed": view.snapshot.parsing.parsed,
            "errors": view.snapshot.parsing.errors,
        },
        "checkpoint_age_seconds":
            view.snapshot.checkpoint_millis.map(|at| (view.unix_millis - at) / 1000),
        "files": files(view),
        "problems": problems(view),
    })
}

fn delivery(health: &Health, now: i64) -> Value {
    match health {
        Health::Waiting { reason } => json!({ "state": "waiting", "reason": reason }),
        Health::Delivering => json!({ "state": "delivering" }),
        Health::Retrying {
            since_unix_millis,
            reason,
        } => json!({
            "state": "retrying",
            "for_seconds": (now - since_unix_millis) / 1000,
            "reason": reason,
        }),
        // `way_out` is the old name of `hint`, kept as an alias.
        Health::Holding {
            since_unix_millis,
            reason,
            hint,
        } => json!({
            "state": "holding",
            "for_seconds": (now - since_unix_millis) / 1000,
            "reason": reason,
            "hint": hint,
            "way_out": hint,
        }),
    }
}

fn files(view: &View) -> Value {
    let tail = &view.snapshot.tail;
    let logs: Vec<Value> = view
        .snapshot
        .lag
        .iter()
        .map(|lag| {
            json!({
                "path": lag.path,
                "framing": lag.framing.word(),
                "unread_bytes": lag.unread,
            })
        })
        .collect();
    json!({
        "open": tail.files_open,
        "waiting": tail.files_waiting,
        "deleted_open_bytes": tail.deleted_open_bytes,
        "truncations": tail.truncations,
        "lost_bytes": tail.lost_bytes,
        "damaged": tail.damaged_files,
        "passed_over_bytes": tail.passed_over_bytes,
        "error_logs_skipped": tail.error_logs,
        "not_found": tail.files_not_found,
        "unassigned": tail.unassigned_files,
        "long_lines": tail.long_lines,
        "logs": logs,
    })
}

/// How long delivery may be retried before that is a problem: most overloaded clusters accept again within a minute.
const RETRYING_LIMIT_MILLIS: i64 = 60_000;

/// All problems that an operator should look at.
pub(super) fn problems(view: &View) -> Vec<String> {
    let mut problems = file_problems(view);
    problems.extend(view.snapshot.unparsed.iter().map(ToString::to_string));
    problems.extend(view.problems.iter().cloned());
    problems.extend(match &view.delivery {
        Health::Holding { reason, hint, .. } => Some(format!("delivery holds: {reason}; {hint}")),
        Health::Retrying {
            since_unix_millis,
            reason,
        } if view.unix_millis - since_unix_millis >= RETRYING_LIMIT_MILLIS => {
            let seconds = (view.unix_millis - since_unix_millis) / 1000;
            Some(format!(
                "delivery has been retried for {seconds} s: {reason}"
            ))
        }
        _ => None,
    });
    problems
}

fn file_problems(view: &View) -> Vec<String> {
    let problems = view.snapshot.tail.problems.iter();
    problems.map(ToString::to_string).collect()
}

/// Why the agent cannot work on this host, if so: no log is readable.
pub(super) fn unready(view: &View) -> Option<String> {
    let tail = &view.snapshot.tail;
    let blind = tail.files_open == 0 && !tail.problems.is_empty();
    blind.then(|| file_problems(view).join("\n"))
}

/// The reader polls at least once per reconcile interval, which is at most an hour.
const SILENCE_LIMIT_MILLIS: i64 = 2 * 3600 * 1000;

/// Why the agent no longer works, if so: its reader hangs.
pub(super) fn silent(view: &View) -> Option<String> {
    let silent = view.unix_millis - view.snapshot.polled_millis?;
    (silent > SILENCE_LIMIT_MILLIS)
        .then(|| format!("the reader has not moved for {} s", silent / 1000))
}
