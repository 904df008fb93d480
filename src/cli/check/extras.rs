//! The part of `check` about privacy and enrichment: hidden and added data.
//!
//! Owns the texts only. Invariant: it names each active rule, and never a key.

use super::report::Report;
use crate::config::{AddressRule, Config};
use crate::enrich::About;

pub(super) fn describe(config: &Config, report: &mut Report) {
    let privacy = &config.privacy;
    report.section("privacy");
    let addresses = match privacy.ip {
        AddressRule::Keep => "written as they are",
        AddressRule::Truncate => "truncated to /24 and /48, in source.address and source.ip too",
        AddressRule::Hash => "hashed; source.address holds the hash, and there is no source.ip",
    };
    report.item("addresses", addresses);
    if !privacy.hash_fields.is_empty() {
        let text = format!(
            "{}; lines that no format takes do not keep their text",
            privacy.hash_fields.join(", ")
        );
        report.item("hashed", &text);
    }
    let redacted = match privacy.redact_query.as_slice() {
        [] => "no key: secrets in queries are indexed".to_owned(),
        names => names.join(", "),
    };
    report.item("redacted", &redacted);
    if !privacy.redact_query.is_empty() && !privacy.redact_query_except.is_empty() {
        report.item("but not", &privacy.redact_query_except.join(", "));
    }
    let beginnings = privacy.redact_values_add.iter();
    let beginnings = beginnings.map(|text| format!("{text}…"));
    let shapes: Vec<String> = privacy
        .redact_values
        .iter()
        .cloned()
        .chain(beginnings)
        .collect();
    let values = match shapes.is_empty() {
        true => "none whatever its key".to_owned(),
        false => shapes.join(", "),
    };
    report.item("values", &values);
    let mut files = config.enrich.files().peekable();
    if files.peek().is_some() {
        report.section("enrichment");
    }
    for (setting, About { path, says }) in files {
        report.item(setting, &format!("{}: {says}", path.display()));
    }
}
