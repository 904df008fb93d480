//! The part of `check` about routes: their number, their sources, and the meaning of the marked ones.
//!
//! Owns the texts only. Invariant: it names every login and every sensitive route, since an operator must notice a missing
//! mark here.

use std::ops::RangeInclusive;

use super::report::{Report, count};
use crate::config::{Route, RouteKind, Routes};
use crate::record;

pub(super) fn describe(routes: &Routes, report: &mut Report) {
    if routes.templates.is_empty() && routes.regexes.is_empty() && routes.documents.is_empty() {
        return;
    }
    report.section("routes");
    let of = |document| {
        let templates = routes.templates.iter();
        let of_it = templates.filter(|(_, route)| route.document == document);
        count(of_it.count(), "template")
    };
    let regexes = match routes.regexes.len() {
        0 => String::new(),
        regexes => format!(", {regexes} by regex"),
    };
    report.item("[[routes]]", &format!("{}{regexes}", of(None)));
    for (number, document) in routes.documents.iter().enumerate() {
        let text = format!("{} of {}", of(Some(number)), document.display());
        report.item("openapi", &text);
    }
    if let Some(visits) = record::crossing_visits(routes) {
        report.warn(&format!(
            "templates cross so much (as /a/{{x}}/c and /{{x}}/b/{{y}} do) that one path could follow {visits} ways \
             through them; each line takes longer. Write fewer with a parameter beside a text"
        ));
    }
    let templates = routes.templates.iter().map(|(_, route)| route);
    let regexes = routes.regexes.iter().map(|(_, route)| route);
    for Route {
        name,
        methods,
        kind,
        ignore_case,
        ..
    } in templates.chain(regexes)
    {
        let case = if *ignore_case { "" } else { ", case counts" };
        let what = format!("{name} ({}{case})", methods.shown());
        match kind {
            RouteKind::Plain => {}
            RouteKind::Login { success } => {
                let success = shown(success);
                report.item("login", &format!("{what}, success: {success}"));
            }
            RouteKind::Sensitive => report.item("sensitive", &what),
        }
    }
}

fn shown(ranges: &[RangeInclusive<u64>]) -> String {
    let ranges = ranges
        .iter()
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        });
    ranges.collect::<Vec<_>>().join(", ")
}
