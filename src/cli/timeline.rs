//! `logweir timeline`: requests in each interval of time.

use clap::Args;

use super::ask::{AskArgs, FIELDS_HELP, ask};
use super::{Common, Exit};
use crate::search::intervals::{self, Interval};
use crate::search::{Question, Timeline, fields};

/// Arguments of `timeline`.
#[derive(Debug, Args)]
#[command(after_long_help = FIELDS_HELP)]
pub(super) struct TimelineArgs {
    /// Count the most frequent values of this field apart.
    #[arg(long, value_name = "FIELD", value_parser = fields::field)]
    by: Option<String>,
    /// With --by: so many values.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "by", value_parser = clap::value_parser!(u16).range(1..=100))]
    limit: u16,
    /// Length of an interval, such as 5s, 1m, 1h or 1d; `auto` gives about 60 of them. Days begin at midnight.
    #[arg(long, value_name = "TIME", default_value = "auto", value_parser = Interval::parse)]
    interval: Interval,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn run(common: &Common, args: &TimelineArgs) -> Exit {
    ask(common, &args.ask, |subject, zone| {
        let seconds = args.interval.seconds(subject.range);
        let starts = intervals::starts(subject.range, seconds, zone);
        let question = Question::Timeline(Timeline {
            starts: starts.map_err(|error| error.to_string())?,
            by: args.by.clone().map(|by| (by, args.limit.into())),
            subject,
        });
        Ok((question, seconds))
    })
}
