//! `logweir check --parse FILE`: how a log's lines are parsed, and why some are not.
//!
//! Owns the pass over one file. Invariant: it counts each line, accepts files of any size, and for each reason for an unparsed
//! line it shows at least one with its position.

use std::io::{self, ErrorKind};
use std::path::Path;

use logweir_parsers::event_time::TimeFields;
use logweir_parsers::{Captures, ParseError, cri};

use super::super::Exit;
use super::super::terminal;
use super::super::terminal::print;
use super::formats::{self, Chosen};
use super::framed::FramedLines;
use super::lines::{self, Line};
use super::route_counts::RouteCounts;
use super::shown::{Record, Records};
use super::tally::Tally;
use super::{hints, names};
use crate::config::{Loaded, variable_of};
use crate::framing::{Shape, is_docker_json};
use crate::record::is_blank;
use crate::record::privacy::{Cleaned, Redactor};

/// Odd lines shown for each reason.
const SHOWN_PER_REASON: u64 = 10;
/// The reason of a line over the limit, as the agent's metrics name it.
const TOO_LONG: &str = "too_long";
/// The reason of a line with an impossible time.
const NO_TIME: &str = "time_unreadable";

/// The options of the command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a Path,
    pub(super) format: Option<&'a str>,
    /// Lines whose fields are shown.
    pub(super) lines: usize,
}

pub(super) fn run(loaded: &Loaded, asked: Asked<'_>) -> Exit {
    let chosen = match asked.format {
        None => formats::configured(asked.path, loaded),
        Some(text) => match formats::asked_for(text, loaded) {
            Ok(chosen) => chosen,
            Err(bad) => {
                terminal::print_error(&bad.explain());
                return Exit::Usage;
            }
        },
    };
    let limit = loaded.config.max_line_bytes.as_usize();
    let lines = match lines::open(asked.path, limit + cri::MAX_HEAD) {
        Ok(lines) => lines,
        Err(error) => return unreadable(asked.path, &error),
    };
    let mut lines = FramedLines::new(lines, chosen.framing, limit);
    let mut walk = Walk::new(loaded, &chosen, asked);
    let result = walk.all(&mut lines);
    print(&walk.text(&lines));
    match result {
        Err(error) => unreadable(asked.path, &error),
        Ok(()) if walk.tally.odd_lines() > 0 => Exit::Data,
        Ok(()) => Exit::Ok,
    }
}

/// Reports why a file cannot be read to its end.
fn unreadable(path: &Path, error: &io::Error) -> Exit {
    let (exit, advice) = match error.kind() {
        ErrorKind::PermissionDenied => (Exit::Permission, names::who_may_read(path)),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => (
            Exit::Io,
            "; the compressed file is damaged or still being written".to_owned(),
        ),
        _ => (Exit::Io, String::new()),
    };
    let text = format!("cannot read {}: {error}{advice}", path.display());
    terminal::complain!("{}", terminal::safe(&text));
    exit
}

/// The pass over one log.
struct Walk<'a> {
    loaded: &'a Loaded,
    chosen: &'a Chosen,
    asked: Asked<'a>,
    times: Vec<TimeFields>,
    captures: Captures,
    records: Option<Records>,
    /// The parts of a line that may be shown.
    redactor: Redactor,
    cleaned: Cleaned,
    tally: Tally,
    routes: RouteCounts,
    /// The tables of the first lines.
    tables: Vec<String>,
    record: Option<String>,
    /// Odd lines with their explanations.
    odd: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(loaded: &'a Loaded, chosen: &'a Chosen, asked: Asked<'a>) -> Self {
        Self {
            loaded,
            chosen,
            asked,
            times: chosen
                .formats
                .iter()
                .map(|named| {
                    TimeFields::of(&named.format, variable_of(&chosen.fields, "@timestamp"))
                })
                .collect(),
            captures: Captures::new(),
            records: Records::new(&loaded.config, chosen),
            redactor: Redactor::new(&loaded.config.privacy),
            cleaned: Cleaned::default(),
            tally: Tally::new(chosen.formats.len()),
            routes: RouteCounts::default(),
            tables: Vec::new(),
            record: None,
            odd: Vec::new(),
        }
    }

    fn all(&mut self, lines: &mut FramedLines) -> io::Result<()> {
        while let Some(line) = lines.next()? {
            self.tally.unfinished = !line.ended;
            self.line(&line);
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) {
        if line.length > line.bytes.len() as u64 {
            return self.too_long(line);
        }
        if is_blank(line.bytes) {
            return self.tally.blank();
        }
        match line.record.map(|record| record.shape) {
            Some(Shape::BrokenOff) => return self.broken_off(line),
            Some(Shape::Unframed) => return self.not_framed(line),
            Some(Shape::Whole) | None => {}
        }
        let mut furthest: Option<(usize, ParseError)> = None;
        for (index, named) in self.chosen.formats.iter().enumerate() {
            match named.format.parse(line.bytes, &mut self.captures) {
                Ok(()) => return self.parsed(index, line),
                Err(error) if furthest.is_none_or(|(_, best)| error.offset > best.offset) => {
                    furthest = Some((index, error));
                }
                Err(_) => {}
            }
        }
        if let Some((index, error)) = furthest {
            self.not_parsed(index, &error, line);
        }
    }

    fn parsed(&mut self, index: usize, line: &Line<'_>) {
        let times = &self.times[index];
        let stamp = times.read(&self.captures, line.bytes);
        // The runtime's time counts where the format has none.
        let runtime = || line.record.and_then(|record| cri::time(record.time));
        let stamp = stamp.or_else(runtime);
        if stamp.is_none()
            && let Some(capture) = times.capture()
        {
            return self.no_time(index, capture, line);
        }
        self.tally.parsed(index, stamp);
        if let Some(records) = &mut self.records
            && let Some((route, configured)) = records.route(index, &self.captures, line.bytes)
        {
            self.routes.add(&route, configured);
        }
        let named = &self.chosen.formats[index];
        let is_shown = self.tables.len() < self.asked.lines;
        if !is_shown && self.record.is_some() {
            return;
        }
        let mut records = self.records.as_mut();
        let record = records
            .as_mut()
            .and_then(|records| records.of(self.asked.path, line));
        if is_shown {
            let table = records.map_or_else(String::new, |records| {
                records.table(index, &named.format, &self.captures, line.bytes)
            });
            let by = terminal::safe(&named.name);
            let meaning = record.as_ref().map(Record::meaning).unwrap_or_default();
            self.tables
                .push(format!("line {}, by {by}\n{table}{meaning}", line.number));
        }
        if self.record.is_none() {
            self.record = record.map(|record| record.text(line.number));
        }
    }

    fn not_parsed(&mut self, index: usize, error: &ParseError, line: &Line<'_>) {
        if self.tally.odd(error.reason(), line.number) > SHOWN_PER_REASON {
            return;
        }
        let named = &self.chosen.formats[index];
        let mut text = format!("line {}: {}", line.number, named.format.explain(error));
        if self.chosen.formats.len() > 1 {
            text.push_str(&format!(" ({})", named.name));
        }
        let offset = usize::try_from(error.offset).unwrap_or(usize::MAX);
        let place = self.place(line.bytes, offset);
        let mut text = format!("{}\n{place}", terminal::safe(&text));
        if let Some(hint) = hints::hint(line.bytes, error, line.ended) {
            text.push_str(&format!("    {hint}\n"));
        }
        self.odd.push(text);
    }

    /// The line parses, but its time is not a date, or not a date that a server can have logged.
    fn no_time(&mut self, index: usize, capture: usize, line: &Line<'_>) {
        if self.tally.odd(NO_TIME, line.number) > SHOWN_PER_REASON {
            return;
        }
        let field = &self.chosen.formats[index].format.fields()[capture];
        let offset = self
            .captures
            .span(capture)
            .map_or(0, |(start, _)| start as usize);
        let place = self.place(line.bytes, offset);
        self.odd.push(format!(
            "line {}: ${} at byte {offset} is no date of a year from 2000 to 2099; the line goes to the index of \
             unparsed lines\n{place}",
            line.number,
            field.name()
        ));
    }

    fn not_framed(&mut self, line: &Line<'_>) {
        let (reason, why) = match is_docker_json(line.bytes) {
            true => (
                "docker_json",
                "is written by Docker's json-file driver, which is not CRI and is not read; its pods' runtime must be \
                 containerd or CRI-O, or nginx must write to a file on a shared volume",
            ),
            false => (
                "not_cri",
                "has no CRI head (time, stdout or stderr, P or F), although the file is framed so",
            ),
        };
        if self.tally.odd(reason, line.number) <= SHOWN_PER_REASON {
            let place = self.place(line.bytes, 0);
            self.odd
                .push(format!("line {}: {why}\n{place}", line.number));
        }
    }

    fn broken_off(&mut self, line: &Line<'_>) {
        if self.tally.odd("partial_line", line.number) <= SHOWN_PER_REASON {
            let place = self.place(line.bytes, line.bytes.len());
            self.odd.push(format!(
                "line {}: its last part is missing; `run` waits for it while the file is live\n{place}",
                line.number
            ));
        }
    }

    fn too_long(&mut self, line: &Line<'_>) {
        if self.tally.odd(TOO_LONG, line.number) > SHOWN_PER_REASON {
            return;
        }
        let (length, limit) = (line.length, self.loaded.config.max_line_bytes);
        let place = self.place(line.bytes, line.bytes.len());
        self.odd.push(format!(
            "line {}: has {length} bytes and is cut at max_line_bytes ({limit})\n{place}",
            line.number
        ));
    }

    /// An excerpt of the line as it may be shown, with a caret under the byte at `offset`.
    fn place(&mut self, line: &[u8], offset: usize) -> String {
        if self.redactor.hashes_fields() {
            return "    (its text is not shown, because it may contain fields of privacy.hash_fields)\n"
                .to_owned();
        }
        self.redactor.line(line, &mut self.cleaned);
        let offset = self.cleaned.new_offset(offset);
        terminal::with_caret(&self.cleaned.text, offset, "    ")
    }

    /// Reports everything. The summary comes last, so that it is visible in a terminal.
    fn text(&self, lines: &FramedLines) -> String {
        let names: Vec<&str> = self
            .chosen
            .formats
            .iter()
            .map(|named| named.name.as_str())
            .collect();
        let mut parts = vec![terminal::safe(&format!(
            "{}: formats {} ({})",
            self.asked.path.display(),
            names.join(", "),
            self.chosen.source
        ))];
        parts[0].push('\n');
        if let Some(text) = lines.framing_text() {
            parts[0].push_str(&text);
        }
        if self.asked.format.is_none() {
            for note in &self.loaded.notes {
                parts[0].push_str(&terminal::safe(&format!("note: {note}")));
                parts[0].push('\n');
            }
        }
        for (at, named) in self.chosen.formats.iter().enumerate() {
            for warning in named
                .format
                .warnings()
                .iter()
                .filter(|_| self.tally.used(at))
            {
                let text = format!("warning: {}: {warning}", named.name);
                parts[0].push_str(&terminal::safe(&text));
                parts[0].push('\n');
            }
        }
        parts.extend(self.tables.iter().cloned());
        parts.extend(self.record.clone());
        parts.extend(self.odd.iter().cloned());
        let hidden = self.tally.odd_lines() - self.odd.len() as u64;
        if hidden > 0 {
            parts.push(format!(
                "{hidden} more odd lines for the same reasons are not shown\n"
            ));
        }
        parts.extend(self.routes.text());
        parts.push(self.tally.summary(&names, lines.bytes()));
        parts.join("\n")
    }
}
