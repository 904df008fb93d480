//! How a line is shown: its fields as a table, its record as JSON.
//!
//! Owns looks only; values are decoded and records made by the rooms that do so for the agent. Invariant: a
//! value takes one row, however long it is.

use std::collections::BTreeMap;
use std::path::Path;

use logweir_parsers::{Captures, Format};
use serde_json::Value;

use super::super::terminal;
use super::formats::Chosen;
use super::lines::Line;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Target};
use crate::output::Batch;
use crate::record::{self, Recorder, Source};
use crate::tail::StreamId;

/// Columns of a value in the table.
const VALUE_COLUMNS: usize = 80;

/// A row for each field of a parsed line.
pub(super) fn table(format: &Format, captures: &Captures, line: &[u8]) -> String {
    let fields = format.fields();
    let width = fields
        .iter()
        .map(|field| field.name().len())
        .max()
        .unwrap_or(0)
        + 1;
    let mut out = String::new();
    let mut value = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let shown = match captures.get(line, index) {
            // as nginx writes what is not there
            None => "-".to_owned(),
            Some(raw) => {
                value.clear();
                format.escape().decode(raw, &mut value);
                terminal::cut(&terminal::safe_bytes(&value), VALUE_COLUMNS)
            }
        };
        let name = format!("${}", field.name());
        out.push_str(format!("    {name:width$}  {shown}").trim_end());
        out.push('\n');
    }
    out
}

/// The document of a line, and the index that it goes to.
pub(super) fn record(
    config: &Config,
    chosen: &Chosen,
    path: &Path,
    line: &Line<'_>,
) -> Option<String> {
    let target = match &config.elasticsearch {
        Some(cluster) => cluster.target.clone(),
        None => Target::default_place()?,
    };
    let log = record::LogSettings {
        formats: chosen.formats.clone(),
        fields: chosen.fields.clone(),
    };
    let mut recorder = Recorder::new(record::Settings {
        target,
        host: config.host.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        keep_original: config.keep_original,
        retention: None,
        logs: vec![log],
    });
    let mut batch = Batch::default();
    let source = Source {
        log: 0,
        stream: StreamId([0; 10]),
        path,
    };
    recorder.begin(source, SystemClock::new().unix_millis(), None);
    recorder.record(line.offset, line.bytes, false, &mut batch);
    let mut parts = batch.body.split(|byte| *byte == b'\n');
    let action: Value = serde_json::from_slice(parts.next()?).ok()?;
    let document: Value = serde_json::from_slice(parts.next()?).ok()?;
    let index = action.pointer("/create/_index")?.as_str()?;
    Some(format!(
        "record of line {} (index {index})\n{}",
        line.number,
        pretty(&document)
    ))
}

/// A row for each value under its whole name, which means the same to Elasticsearch.
fn pretty(document: &Value) -> String {
    let mut rows = BTreeMap::new();
    flatten(String::new(), document, &mut rows);
    let rows: Vec<String> = rows
        .into_iter()
        .map(|(name, value)| format!("    {}: {}", Value::from(name), terminal::safe_json(&value)))
        .collect();
    format!("  {{\n{}\n  }}\n", rows.join(",\n"))
}

fn flatten(name: String, value: &Value, rows: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let joint = if name.is_empty() { "" } else { "." };
                flatten(format!("{name}{joint}{key}"), member, rows);
            }
        }
        value => {
            rows.insert(name, value.to_string());
        }
    }
}
