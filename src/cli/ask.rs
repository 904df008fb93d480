//! What `top` and `timeline` have in common: the requests that are meant, where the answer comes from, and its form.
//!
//! Owns these arguments and the exit codes of questions. Invariant: standard output has the answer in the form that was asked
//! for, and nothing else.

use std::io::{self, Write as _};

use clap::Args;
use logweir_store::query::Filter;

use super::answer::{self, Asked};
use super::terminal::{complain, print_error};
use super::{Common, Exit, load};
use crate::agent::descriptors;
use crate::clock::{Clock as _, SystemClock};
use crate::search::store::Store;
use crate::search::zone::{LocalZone, Utc, Zone};
use crate::search::{Engine as _, EngineError, Question, Range, Subject, fields, times};

/// Arguments of every question.
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// Beginning of the time, such as -15m, -30d, 2026-11-23, "2026-11-23 05:00" or 2026-11-23T05:00:00+01:00; without
    /// it an hour before the end.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the time, which is not in it; a day alone is. Without it now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Times without an offset are UTC, and so are those in the answer, instead of local time.
    #[arg(long)]
    utc: bool,
    /// Only requests with this value: FIELD=VALUE, or FIELD!=VALUE for all others. `*` stands for any characters, a network such
    /// as 10.0.0.0/8 for its addresses. May be given several times; all must hold.
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = condition)]
    conditions: Vec<Condition>,
    /// As one JSON object.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// As CSV with a header (RFC 4180).
    #[arg(long)]
    csv: bool,
}

/// A condition, and as it was written.
#[derive(Debug, Clone)]
struct Condition {
    text: String,
    filter: Filter,
}

fn condition(text: &str) -> Result<Condition, fields::FieldError> {
    Ok(Condition {
        text: text.to_owned(),
        filter: fields::condition(text)?,
    })
}

/// The fields that have a short name, and where the meaning of the rest is written.
pub(super) const FIELDS_HELP: &str = "\
FIELD is route, client, status, method, user-agent, user, site, path, or any field of a
document by its ECS name, such as source.geo.country_iso_code.

Examples:
  logweir top --by client --from -15m --where route=/login --where 'status!=200'
  logweir timeline --by status --from 2026-11-23 --to 2026-11-23 --interval 1h
  logweir top --by path --where client=10.0.0.0/8 --where 'path=/export/*' --csv";

/// Asks the question that `build` makes, and prints the answer.
pub(super) fn ask(
    common: &Common,
    args: &AskArgs,
    build: impl FnOnce(Subject, &dyn Zone) -> Result<(Question, i64), String>,
) -> Exit {
    let loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let zone: &dyn Zone = if args.utc { &Utc } else { &LocalZone };
    let question = range(args, zone).and_then(|range| {
        let filters = args.conditions.iter();
        let filters = filters.map(|condition| condition.filter.clone()).collect();
        build(Subject { range, filters }, zone)
    });
    let (question, interval) = match question {
        Ok(question) => question,
        Err(text) => {
            complain!("{text}");
            return Exit::Usage;
        }
    };
    // The segments of all days in question are open at the same time.
    descriptors::raise();
    let store = Store {
        path: &loaded.config.store.path,
    };
    let answer = match store.answer(&question) {
        Ok(answer) => answer,
        Err(error) => {
            complain!("{error}");
            return exit(&error);
        }
    };
    let asked = Asked {
        question: &question,
        answer: &answer,
        zone,
        interval,
        conditions: args
            .conditions
            .iter()
            .map(|condition| &*condition.text)
            .collect(),
    };
    let text = match (args.json, args.csv) {
        (true, _) => answer::json::text(&asked),
        (_, true) => answer::csv::text(&asked),
        _ => answer::table::text(&asked, answer::table::width()),
    };
    let written = io::stdout().write_all(text.as_bytes());
    match written {
        // that nobody listens any more is no failure of ours
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            print_error(&format!("cannot write the answer: {error}\n"));
            Exit::Io
        }
        _ => Exit::Ok,
    }
}

fn range(args: &AskArgs, zone: &dyn Zone) -> Result<Range, String> {
    let now = SystemClock::new().unix_millis();
    let range = times::range(args.from.as_deref(), args.to.as_deref(), now, zone);
    range.map_err(|error| error.to_string())
}

fn exit(error: &EngineError) -> Exit {
    match error {
        EngineError::Unavailable(_) => Exit::Unavailable,
        EngineError::Damaged(_) => Exit::Data,
        EngineError::TooMuch(_) | EngineError::UnknownField(_) => Exit::Usage,
    }
}
