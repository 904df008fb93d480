//! A corpus of lines, good and odd, with what is read from each as a snapshot.
//!
//! `tests/corpus/NAME.log` begins with the format as it stands in nginx.conf; a blank line ends it. Each
//! line after it is a case: either the table of its fields, or the error with a caret under its byte.
#![allow(clippy::unwrap_used)]

use logweir_parsers::{Captures, Escape, Format};
use std::fmt::Write;

/// A long field is shown by its two ends.
const SHOWN: usize = 100;

fn show(raw: &[u8]) -> String {
    let text = raw
        .escape_ascii()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\\\", "\\");
    if text.len() <= SHOWN {
        return text;
    }
    format!(
        "{}…{} ({} bytes)",
        &text[..SHOWN / 2],
        &text[text.len() - SHOWN / 4..],
        raw.len()
    )
}

fn table(format: &Format, line: &[u8]) -> String {
    let mut captures = Captures::new();
    let mut out = String::new();
    match format.parse(line, &mut captures) {
        Ok(()) => {
            for (index, field) in format.fields().iter().enumerate() {
                let Some(raw) = captures.get(line, index) else {
                    continue;
                };
                write!(out, "  {:<24} {}", field.name(), show(raw)).unwrap();
                let mut decoded = Vec::new();
                format.escape().decode(raw, &mut decoded);
                if decoded != raw {
                    write!(
                        out,
                        "\n  {:<24}   = {:?}",
                        "",
                        String::from_utf8(decoded).unwrap()
                    )
                    .unwrap();
                }
                out.push('\n');
            }
        }
        Err(error) => {
            // The corpus holds odd lines of printable ASCII, so that bytes are columns.
            writeln!(out, "  {}", String::from_utf8_lossy(line)).unwrap();
            writeln!(out, "  {}^", " ".repeat(error.offset as usize)).unwrap();
            writeln!(out, "  [{}] {}", error.reason(), format.explain(&error)).unwrap();
        }
    }
    out
}

fn snapshot(name: &str, corpus: &[u8]) {
    let end = corpus.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let directive = std::str::from_utf8(&corpus[..end]).unwrap();
    let format = Format::from_directive(directive, Escape::Default).unwrap();
    let mut out = String::new();
    for warning in format.warnings() {
        writeln!(out, "warning: {warning}").unwrap();
    }
    for line in corpus[end + 2..]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        writeln!(out, "> {}\n{}", show(line), table(&format, line)).unwrap();
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, out);
    });
}

#[test]
fn combined() {
    snapshot("combined", include_bytes!("corpus/combined.log"));
}

#[test]
fn combined_odd() {
    snapshot("combined_odd", include_bytes!("corpus/combined_odd.log"));
}

#[test]
fn ingress() {
    snapshot("ingress", include_bytes!("corpus/ingress.log"));
}

#[test]
fn json() {
    snapshot("json", include_bytes!("corpus/json.log"));
}

#[test]
fn none() {
    snapshot("none", include_bytes!("corpus/none.log"));
}

#[test]
fn unquoted() {
    snapshot("unquoted", include_bytes!("corpus/unquoted.log"));
}

/// The longest request line that nginx takes by default (large_client_header_buffers 4 8k).
#[test]
fn a_url_of_eight_kilobytes() {
    let target = format!("/search?q={}", "%C3%A4".repeat(1360));
    let line = format!(
        "203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET {target} HTTP/1.1\" 414 0 \"-\" \"-\""
    );
    let format = Format::combined();
    let mut captures = Captures::new();
    format.parse(line.as_bytes(), &mut captures).unwrap();
    let request = captures.get(line.as_bytes(), 3).unwrap();
    assert_eq!(request, format!("GET {target} HTTP/1.1").as_bytes());
}
