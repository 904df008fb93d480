//! The part of `check --connect` about Kibana: whether it responds, and whether the dashboards are unchanged.
//!
//! Owns the texts only; it queries Kibana as `setup` does. Invariant: it imports nothing.

use super::super::setup::{dashboards::Dashboards, target};
use super::report::{Report, count};
use crate::config::{Config, Kibana};
use crate::http::shown;
use crate::setup::kibana::SavedObjectState;

pub(super) async fn describe(config: &Config, kibana: &Kibana, report: &mut Report) {
    report.section(&format!("kibana {}", shown(&kibana.url)));
    let Some(target) = target(config) else { return };
    let diff = match Dashboards::inspect(kibana, &target).await {
        Ok(dashboards) => dashboards.into_diff(),
        Err((text, exit)) => return report.fail(exit, &text),
    };
    let version = diff.version.as_deref().unwrap_or("of a hidden version");
    report.item("is", &format!("{} {version}", diff.product));
    let of = |is: fn(&SavedObjectState) -> bool| {
        diff.objects.iter().filter(|(_, held)| is(held)).count()
    };
    let all = diff.objects.len();
    let equal = of(|held| *held == SavedObjectState::Equal);
    report.item(
        "dashboards",
        &format!("{equal} of {} as they were put", count(all, "object")),
    );
    let missing = of(|held| *held == SavedObjectState::Missing);
    if missing > 0 {
        report.warn(&format!("{} not there: run logweir setup", are(missing)));
    }
    let older = of(|held| *held == SavedObjectState::Older);
    if older > 0 {
        report.warn(&format!(
            "{} of another version: run logweir setup",
            are(older)
        ));
    }
    let changed = of(|held| matches!(held, SavedObjectState::Changed(_)));
    if changed > 0 {
        report.warn(&format!(
            "{} changed in Kibana: logweir setup --dry-run shows what, --force restores it",
            are(changed)
        ));
    }
    let foreign = of(|held| *held == SavedObjectState::Foreign);
    if foreign > 0 {
        report.warn(&format!(
            "{} not logweir's, although its name suggests it: setup replaces it with --force only",
            are(foreign)
        ));
    }
}

fn are(number: usize) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", count(number, "object"))
}
