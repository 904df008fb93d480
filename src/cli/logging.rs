//! The agent's own log on standard error: ERROR means that data was lost, WARN that it was not.
//!
//! Owns the format of a line. Invariant: a quoted value (a file name, a response of the cluster) cannot control a terminal or
//! start a new line: the text style indents a line break inside a message, the JSON style escapes it.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::prelude::*;

use crate::config::{Config, LogLevel, LogStyle};
use crate::text::{safe, safe_json, safe_lines};

/// Before the second and every further line of a message.
const CONTINUED: &str = "\n    ";

/// Sets the log up, with this level instead of the configured one if there is one; the first call in a process counts.
pub(super) fn init(config: &Config, level: Option<LogLevel>) {
    let level = match level.unwrap_or(config.log_level) {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // messages of libraries matter only for errors
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("logweir", level);
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let lines = match config.log_format {
        LogStyle::Json => lines.with_writer(|| Json(io::stderr())).json().boxed(),
        LogStyle::Text => lines
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(debug_fn(field).delimited(" "))
            .boxed(),
    };
    // a second call in one process finds the log set up already
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}

/// Writes a field of a line of text.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => writer.write_str(&safe_lines(&value).replace('\n', CONTINUED)),
        name => write!(writer, "{name}={}", safe(&value)),
    }
}

/// Takes whole lines of JSON, whose strings may still hold what a terminal obeys: C1 controls, changes of direction.
struct Json<W>(W);

impl<W: Write> Write for Json<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = safe_json(&String::from_utf8_lossy(line));
        self.0.write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}\u{202e}\n2026-01-01T00:00:00Z ERROR forged";

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn say_it() {
        let error = io::Error::other(HOSTILE);
        tracing::warn!(%error, reason = HOSTILE, "about {HOSTILE}");
    }

    #[test]
    fn control_characters_and_line_ends_in_a_text_log_line_are_escaped() {
        let sink = Sink::default();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer({
                let sink = sink.clone();
                move || sink.clone()
            })
            .with_ansi(false)
            .fmt_fields(debug_fn(field).delimited(" "));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say_it);
        let text = sink.text();
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        assert!(
            text.contains("about a\\x1B[2J\\u{9b}\\u{202e}\n    2026-01"),
            "{text}"
        );
        assert!(text.contains("error=a\\x1B[2J"), "{text}");
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("2026-01-01"))
                .count(),
            0,
            "{text}"
        );
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn control_characters_in_a_json_log_line_are_escaped_and_its_meaning_stays() {
        let sink = Sink::default();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer({
                let sink = sink.clone();
                move || Json(sink.clone())
            })
            .json();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say_it);
        let text = sink.text();
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["fields"]["error"], HOSTILE);
        assert_eq!(line["fields"]["message"], format!("about {HOSTILE}"));
    }
}
