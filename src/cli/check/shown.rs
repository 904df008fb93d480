//! Shows a line: its fields as a table, its record as JSON.
//!
//! Owns the layout only; the agent's own modules decode the values and make the records. Invariant: a value takes one row,
//! whatever its length.

use std::collections::BTreeMap;
use std::path::Path;

use logweir_parsers::{Captures, Format};
use serde_json::Value;

use super::super::terminal;
use super::formats::Chosen;
use super::lines::Line;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, IndexTarget};
use crate::event::{Batch, StreamId};
use crate::framing::LineFraming;
use crate::output::elasticsearch::ActionLines;
use crate::record::{self, FramedLine, LineSource, Recorder};

/// Columns of a value in the table.
const VALUE_COLUMNS: usize = 80;

/// Makes the records of lines as the agent does.
pub(super) struct Records {
    recorder: Recorder<ActionLines>,
    batch: Batch,
}

/// A record.
pub(super) struct Record {
    index: String,
    document: Value,
}

impl Records {
    /// `None` if the record has no index.
    pub(super) fn new(config: &Config, chosen: &Chosen) -> Option<Self> {
        let target = match &config.elasticsearch {
            Some(cluster) => cluster.target.clone(),
            None => IndexTarget::default_target()?,
        };
        let log = record::LogSettings {
            formats: chosen.formats.clone().into(),
            fields: chosen.fields.clone(),
            pods: true,
        };
        let settings = record::Settings {
            data_stream: target.stream().cloned(),
            host: config.host.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            keep_original: config.keep_original,
            retention: None,
            routes: config.routes.clone(),
            privacy: config.privacy.clone(),
            enrich: config.enrich.clone(),
            logs: vec![log],
        };
        let recorder = Recorder::new(settings, ActionLines::new(target));
        let batch = Batch::default();
        Some(Self { recorder, batch })
    }

    /// A row for each field of a line that the format at `index` matches, as far as the record may show it.
    pub(super) fn table(
        &mut self,
        index: usize,
        format: &Format,
        captures: &Captures,
        line: &[u8],
    ) -> String {
        let fields = format.fields();
        let width = fields
            .iter()
            .map(|field| field.name().len())
            .max()
            .unwrap_or(0)
            + 1;
        let mut out = String::new();
        for (capture, field) in fields.iter().enumerate() {
            // adjacent variables have either a value each or one for all of them
            if captures.span(capture).is_none() {
                continue;
            }
            let shown = match self.recorder.shown(index, captures, line, capture) {
                // nginx's notation for an absent value
                None => "-".to_owned(),
                Some(value) => terminal::cut(&terminal::safe_bytes(&value), VALUE_COLUMNS),
            };
            let name = format!("${}", field.name());
            out.push_str(format!("    {name:width$}  {shown}").trim_end());
            out.push('\n');
        }
        out
    }

    /// The route of a line that the format at `index` matches, and whether a configured route names it; `None` if the
    /// line has no path.
    pub(super) fn route(
        &mut self,
        index: usize,
        captures: &Captures,
        line: &[u8],
    ) -> Option<(String, bool)> {
        self.recorder.route(index, captures, line)
    }

    /// The document of a line, and the index that it goes to.
    pub(super) fn of(&mut self, path: &Path, line: &Line<'_>) -> Option<Record> {
        let source = LineSource {
            log: 0,
            stream: StreamId([0; 10]),
            path,
            is_framed: line.record.is_some(),
        };
        self.batch.clear();
        self.recorder
            .begin(source, SystemClock::new().unix_millis(), None);
        match line.record {
            None => {
                self.recorder
                    .record(line.offset, line.bytes, false, &mut self.batch);
            }
            Some(record) => {
                let framed = FramedLine {
                    record,
                    framing: LineFraming::Cri,
                    is_first: false,
                };
                self.recorder
                    .record_framed(line.offset, &framed, &mut self.batch);
            }
        }
        let mut parts = self.batch.body.split(|byte| *byte == b'\n');
        let action: Value = serde_json::from_slice(parts.next()?).ok()?;
        let document: Value = serde_json::from_slice(parts.next()?).ok()?;
        let index = action.pointer("/create/_index")?.as_str()?.to_owned();
        Some(Record { index, document })
    }
}

impl Record {
    /// The record as text.
    pub(super) fn text(&self, number: u64) -> String {
        let (index, document) = (&self.index, pretty(&self.document));
        format!("record of line {number} (index {index})\n{document}")
    }

    /// The fields that follow from the route, a row for each.
    pub(super) fn meaning(&self) -> String {
        let rows = ["/http/route", "/event/category", "/event/outcome", "/tags"];
        let mut out = String::new();
        for pointer in rows {
            let text = match self.document.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                // every request has this category
                Some(Value::Array(values)) if pointer == "/tags" || values.len() > 1 => {
                    let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
                    texts.join(", ")
                }
                _ => continue,
            };
            let name = pointer[1..].replace('/', ".");
            let text = terminal::cut(&terminal::safe(&text), VALUE_COLUMNS);
            out.push_str(&format!("    > {name:14}  {text}\n"));
        }
        out
    }
}

/// A row for each value under its dotted name, which is equivalent for Elasticsearch.
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
