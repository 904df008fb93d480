//! `logweir top`: the values of a field with the most requests.

use clap::Args;

use super::ask::{AskArgs, FIELDS_HELP, ask};
use super::{Common, Exit};
use crate::search::{Question, Top, fields};

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_long_help = FIELDS_HELP)]
pub(super) struct TopArgs {
    /// The field whose values are counted.
    #[arg(long, value_name = "FIELD", default_value = "route", value_parser = fields::field)]
    by: String,
    /// Show at most so many values, those with the most requests; all are counted.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[command(flatten)]
    ask: AskArgs,
}

pub(super) fn run(common: &Common, args: &TopArgs) -> Exit {
    ask(common, &args.ask, |subject, _| {
        let question = Question::Top(Top {
            subject,
            by: args.by.clone(),
            limit: args.limit.into(),
        });
        Ok((question, 0))
    })
}
