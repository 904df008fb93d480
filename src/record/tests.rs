//! The module as a whole: lines in, bulk items out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corpus;
mod enriched;
mod framed;
mod lines;
mod mapped;
mod privacy;
mod properties;
mod roles;
mod routes;
mod strict;
mod times;
mod watched;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use logweir_parsers::{Escape, Format};
use serde_json::Value;

use super::*;
use crate::config::{IndexPattern, IndexTarget, Privacy, Routes};
use crate::enrich::{Asn, Content, Definitions, Enrich, EnrichFile, FileError, GeoIp};
use crate::output::elasticsearch::{ActionLines, action};

/// 2026-11-23, 06:00 UTC, in milliseconds.
const NOW: i64 = 1_795_413_600_123;

const STREAM: StreamId = StreamId([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9]);

/// Settings of one log with these formats, for any test that records.
pub(crate) fn settings(formats: Vec<Format>) -> Settings {
    Settings {
        data_stream: None,
        host: "web-07".to_owned(),
        trusted_proxies: vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8:a::/48".parse().unwrap(),
        ],
        keep_original: false,
        retention: None,
        routes: Routes::default(),
        privacy: Privacy::default(),
        enrich: Enrich::default(),
        logs: vec![LogSettings {
            formats: named(formats).into(),
            fields: vec![],
            pods: false,
        }],
    }
}

/// Writes items as a cluster takes them.
fn recorder(settings: Settings) -> Recorder<ActionLines> {
    let target = match &settings.data_stream {
        Some(stream) => IndexTarget::Stream(stream.clone()),
        None => IndexPattern::parse("nginx-access-%Y.%m.%d").unwrap().into(),
    };
    Recorder::new(settings, ActionLines::new(target))
}

fn named(formats: Vec<Format>) -> Vec<NamedFormat> {
    let name = |(at, format)| NamedFormat {
        name: format!("format {at}"),
        format,
    };
    formats.into_iter().enumerate().map(name).collect()
}

fn source(log: usize, path: &Path) -> LineSource<'_> {
    LineSource {
        log,
        stream: STREAM,
        path,
        is_framed: false,
    }
}

fn path() -> &'static Path {
    Path::new("/var/log/nginx/access.log")
}

/// The item of one line, read at once after the start; `None` when it is expired or blank.
fn item(recorder: &mut Recorder<ActionLines>, offset: u64, line: &[u8]) -> Option<Vec<u8>> {
    recorder.begin(source(0, path()), NOW, None);
    let mut batch = Batch::default();
    let recorded = recorder.record(offset, line, false, &mut batch);
    let is_written = !matches!(recorded, Recorded::Expired | Recorded::Blank);
    is_written.then(|| batch.item(0).unwrap().to_vec())
}

/// There may be thousands of formats that a log is tried with.
#[test]
fn a_plan_is_made_for_a_format_when_it_takes_its_first_line() {
    let formats = (0..100).map(|at| format!("{at} $status"));
    let formats = formats.map(|source| Format::compile(&source, Escape::Default).unwrap());
    let mut recorder = recorder(settings(formats.collect()));
    for line in [&b"nothing"[..], b"70 200", b"3 404", b"70 500"] {
        item(&mut recorder, 0, line).unwrap();
    }
    let made: Vec<usize> = recorder.logs[0].plans.iter().map(|(at, _)| *at).collect();
    assert_eq!(made, [70, 3]);
}

/// The item's index, id and document.
fn take_apart(item: &[u8]) -> Result<(String, String, Value), String> {
    let text = std::str::from_utf8(item).map_err(|error| error.to_string())?;
    let mut lines = text.split_inclusive('\n');
    let (Some(action), Some(document), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err(format!("not two lines: {text:?}"));
    };
    let document = document
        .strip_suffix('\n')
        .ok_or_else(|| format!("the document has no line end: {text:?}"))?;
    strict::parse(action)?;
    let (index, id) =
        action::parse(action.as_bytes()).ok_or_else(|| format!("no action line: {action:?}"))?;
    Ok((index.to_owned(), id.to_owned(), strict::parse(document)?))
}

/// What an id is made of: second, stream, offset.
fn id_parts(id: &str) -> (u32, [u8; 6], u64) {
    let key = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(id)
        .unwrap();
    let key: [u8; 15] = key.try_into().unwrap();
    let mut offset = [0; 8];
    offset[3..].copy_from_slice(&key[10..]);
    (
        u32::from_be_bytes(key[..4].try_into().unwrap()),
        key[4..10].try_into().unwrap(),
        u64::from_be_bytes(offset),
    )
}

/// Every scalar value, under its dotted name.
fn leaves<'v>(name: &str, value: &'v Value, found: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let name = if name.is_empty() {
                    key.clone()
                } else {
                    format!("{name}.{key}")
                };
                leaves(&name, member, found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                leaves(name, element, found);
            }
        }
        _ => found.push((name.to_owned(), value)),
    }
}

/// The line that nginx writes under a format, with each variable's value.
fn fill(source: &str, escape: Escape, mut value: impl FnMut(&str) -> Vec<u8>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('$') {
        line.extend_from_slice(&rest.as_bytes()[..at]);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = &rest[at + 1..];
        let (name, after) = match name.strip_prefix('{') {
            Some(name) => name.split_once('}').unwrap(),
            None => name.split_at(name.find(|c| !is_name(c)).unwrap_or(name.len())),
        };
        write_escaped(escape, &value(name), &mut line);
        rest = after;
    }
    line.extend_from_slice(rest.as_bytes());
    line
}

/// Writes a value as nginx does: `ngx_http_log_escape` (src/http/modules/ngx_http_log_module.c) and
/// `ngx_escape_json` (src/core/ngx_string.c).
fn write_escaped(escape: Escape, value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        let text = match (escape, *byte) {
            (Escape::Default, 0..=0x1f | b'"' | b'\\' | 0x7f..) => format!("\\x{byte:02X}"),
            (Escape::Json, b'"' | b'\\') => format!("\\{}", char::from(*byte)),
            (Escape::Json, b'\n') => "\\n".to_owned(),
            (Escape::Json, b'\r') => "\\r".to_owned(),
            (Escape::Json, b'\t') => "\\t".to_owned(),
            (Escape::Json, 0x08) => "\\b".to_owned(),
            (Escape::Json, 0x0c) => "\\f".to_owned(),
            (Escape::Json, 0..=0x1f) => format!("\\u{byte:04X}"),
            _ => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// The text of `bytes` in a record: bytes that are not UTF-8 become `\xHH`.
fn as_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[test]
fn in_a_data_stream_all_lines_share_an_index_and_name_it() {
    let daily = settings(vec![Format::combined()]);
    let stream = crate::config::DataStream::parse("logs-nginx.access-eu").unwrap();
    let mut recorders = [
        recorder(Settings {
            data_stream: Some(stream),
            ..daily.clone()
        }),
        recorder(daily),
    ];
    for line in [
        &b"1.2.3.4 - - [23/Nov/2026:05:26:59 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\""[..],
        b"1.2.3.4 - - [22/Nov/2026:05:26:59 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"",
        b"no format takes this",
    ] {
        let [streamed, daily] = recorders
            .each_mut()
            .map(|recorder| take_apart(&item(recorder, 7, line).unwrap()).unwrap());
        assert_eq!(streamed.0, "logs-nginx.access-eu");
        assert_eq!(streamed.1, daily.1, "the id is of the line alone");
        let mut document = streamed.2;
        assert_eq!(
            document.as_object_mut().unwrap().remove("data_stream"),
            Some(serde_json::json!({"type": "logs", "dataset": "nginx.access", "namespace": "eu"}))
        );
        assert_eq!(document, daily.2);
    }
}
