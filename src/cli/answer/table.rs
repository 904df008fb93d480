//! An answer as a table for people.
//!
//! Owns the layout. Invariant: a line is not wider than the terminal as long as that has 60 columns.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use super::super::check::report::size;
use super::super::terminal::{columns, cut, safe};
use super::Asked;
use crate::search::answer::{Answer, Cell, Content, Precision};
use crate::search::fields::Called;
use crate::search::zone;
use crate::search::{Question, intervals, times};

/// Columns where the output is no terminal: bars need an end, and values of logs may be long.
const WIDE: usize = 200;
/// Less than any terminal has.
const NARROW: usize = 60;
/// Columns of the longest bar.
const BAR: usize = 60;
/// A bar of less says little.
const SHORT_BAR: usize = 8;

/// Columns of the terminal.
pub(in crate::cli) fn width() -> usize {
    let stdout = io::stdout();
    let size = stdout
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(&stdout));
    match size {
        Some(Ok(size)) if size.ws_col > 0 => usize::from(size.ws_col).max(NARROW),
        Some(_) => 80,
        None => WIDE,
    }
}

pub(in crate::cli) fn text(asked: &Asked<'_>, width: usize) -> String {
    let mut out = head(asked);
    if asked.answer.requests == 0 {
        out.push_str(&nothing(asked));
        return out;
    }
    let table = match asked.question {
        Question::Top(top) => {
            let title = safe(&Called(&top.by).to_string()).to_uppercase();
            Table::top(asked.answer, title)
        }
        Question::Timeline(_) => {
            out.push_str(&legend(asked.answer, width));
            Table::timeline(asked)
        }
    };
    out.push('\n');
    table.write(&mut out, width);
    out.push_str(&foot(asked));
    out
}

/// What was asked.
fn head(asked: &Asked<'_>) -> String {
    let range = asked.question.subject().range;
    let by = asked.question.by().map_or_else(String::new, |by| {
        format!(" by {}", safe(&Called(by).to_string()))
    });
    let mut out = format!(
        "requests{by}, {} to {} ({})\n",
        times::show(asked.zone, range.from),
        times::show(asked.zone, range.to),
        asked.zone.name()
    );
    for (number, condition) in asked.conditions.iter().enumerate() {
        let word = if number == 0 { "where" } else { "  and" };
        let _ = writeln!(out, "{word} {}", safe(condition));
    }
    out
}

/// Why the answer may be empty.
fn nothing(asked: &Asked<'_>) -> String {
    let reason = if asked.conditions.is_empty() {
        "nothing was indexed of that time"
    } else {
        "nothing was indexed of that time, or no request fulfils all conditions"
    };
    format!(
        "\nno requests: {reason}. --from -30d looks further back, `logweir check` shows which logs are followed\n"
    )
}

fn foot(asked: &Asked<'_>) -> String {
    let answer = asked.answer;
    let mut out = format!("\n{} requests", answer.requests);
    if let (Some(by), Some(values)) = (asked.question.by(), answer.values) {
        let _ = write!(
            out,
            ", {values} different values of {}",
            safe(&Called(by).to_string())
        );
        let shown = match asked.question {
            Question::Top(_) => answer.rows.len(),
            Question::Timeline(_) => values_of(answer).count(),
        };
        let shown = shown as u64;
        if shown < values {
            let _ = write!(out, ", {} of them not shown (--limit)", values - shown);
        }
    }
    let worst = answer.columns.iter().map(|column| match column.precision {
        Precision::Exact => 0.0,
        Precision::Within(part) => part,
    });
    let worst = worst.fold(0.0, f64::max);
    if worst > 0.0 {
        let _ = write!(out, "; durations within {:.1} %", worst * 100.0);
    }
    out.push('\n');
    out
}

/// The values that have columns, with the letters that stand over these.
fn values_of(answer: &Answer) -> impl Iterator<Item = (String, &Cell)> {
    let columns = answer.columns.iter();
    let values = columns.filter_map(|column| match &column.content {
        Content::Value(value) => Some(value),
        _ => None,
    });
    values
        .enumerate()
        .map(|(number, value)| (letter(number), value))
}

/// `A` to `Z`, then `A1`.
fn letter(number: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(number % 26).unwrap_or(0));
    match number / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

fn legend(answer: &Answer, width: usize) -> String {
    let mut out = String::new();
    for (letter, value) in values_of(answer) {
        let _ = write!(
            out,
            "\n  {letter:3}{}",
            cut(&shown(value), width.saturating_sub(5))
        );
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// A value as it is in a log.
pub(in crate::cli) fn shown(value: &Cell) -> String {
    match value {
        Cell::Missing => "-".to_owned(),
        Cell::Text(text) => safe(text),
        Cell::Flag(value) => value.to_string(),
        Cell::Whole(number) => number.to_string(),
        Cell::Fraction(number) => number.to_string(),
    }
}

/// A figure for people.
pub(in crate::cli) fn figure(content: &Content, value: &Cell) -> String {
    match (content, value) {
        (Content::Share, Cell::Fraction(part)) => format!("{:.1} %", part * 100.0),
        (Content::Percentile(_), Cell::Whole(nanos)) => duration(*nanos),
        (Content::Bytes, Cell::Whole(bytes)) => match u64::try_from(*bytes) {
            Ok(bytes) => size(bytes),
            Err(_) => bytes.to_string(),
        },
        (_, value) => shown(value),
    }
}

/// Nanoseconds in milliseconds or seconds, with three digits.
fn duration(nanos: i128) -> String {
    let millis = nanos as f64 / 1e6;
    let (number, unit) = if millis < 999.5 {
        (millis, "ms")
    } else {
        (millis / 1e3, "s")
    };
    let digits = match number {
        number if number == 0.0 || number >= 99.95 => 0,
        number if number >= 9.995 => 1,
        _ => 2,
    };
    format!("{number:.digits$} {unit}")
}

/// Texts in columns.
struct Table {
    /// The first column stands left, all others right.
    rows: Vec<Vec<String>>,
    /// The number after whose size a row's bar is, behind the columns.
    bars: Option<Vec<u64>>,
}

impl Table {
    fn top(answer: &Answer, title: String) -> Self {
        let header = answer.columns.iter().map(|column| match column.content {
            Content::Key => title.clone(),
            ref content => name(content),
        });
        let mut rows = vec![header.collect()];
        rows.extend(answer.rows.iter().map(|row| {
            let cells = answer.columns.iter().zip(row);
            let cells = cells.map(|(column, value)| figure(&column.content, value));
            cells.collect::<Vec<_>>()
        }));
        Self { rows, bars: None }
    }

    fn timeline(asked: &Asked<'_>) -> Self {
        let answer = asked.answer;
        let by = values_of(answer).next().is_some();
        // With values there is room for nothing else; JSON and CSV have all columns.
        let is_shown = |content: &Content| match content {
            Content::Time | Content::Count | Content::Value(_) | Content::Other => true,
            Content::Errors | Content::Percentile(95) | Content::Bytes => !by,
            _ => false,
        };
        let places: Vec<usize> = (0..answer.columns.len())
            .filter(|place| is_shown(&answer.columns[*place].content))
            .collect();
        let mut letters = values_of(answer).map(|(letter, _)| letter);
        let header = places
            .iter()
            .map(|place| match &answer.columns[*place].content {
                Content::Value(_) => letters.next().unwrap_or_default(),
                content => name(content),
            });
        let mut rows = vec![header.collect()];
        let offset = |row: &Vec<Cell>| match row.first() {
            Some(Cell::Whole(start)) => i64::try_from(*start)
                .ok()
                .and_then(|start| zone::local(asked.zone, start))
                .map(|time| time.offset().to_string()),
            _ => None,
        };
        let changes = answer
            .rows
            .windows(2)
            .any(|pair| offset(&pair[0]) != offset(&pair[1]));
        for row in &answer.rows {
            let cells = places.iter().map(|place| {
                let content = &answer.columns[*place].content;
                match (content, &row[*place]) {
                    (Content::Time, Cell::Whole(start)) => {
                        let start = i64::try_from(*start).unwrap_or(0);
                        let time = intervals::show(asked.zone, start, asked.interval);
                        match offset(row).filter(|_| changes) {
                            Some(offset) => format!("{time} {offset}"),
                            None => time,
                        }
                    }
                    (content, value) => figure(content, value),
                }
            });
            rows.push(cells.collect());
        }
        let counts = answer
            .columns
            .iter()
            .position(|column| column.content == Content::Count);
        let bars = answer
            .rows
            .iter()
            .map(|row| match counts.and_then(|place| row.get(place)) {
                Some(Cell::Whole(count)) => u64::try_from(*count).unwrap_or(0),
                _ => 0,
            });
        Self {
            rows,
            bars: Some(bars.collect()),
        }
    }

    fn write(&self, out: &mut String, width: usize) {
        let count = self.rows.first().map_or(0, Vec::len);
        let widths = (0..count).map(|place| {
            let cells = self.rows.iter().filter_map(|row| row.get(place));
            cells.map(|cell| columns(cell)).max().unwrap_or(0)
        });
        let mut widths: Vec<usize> = widths.collect();
        let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
        if let Some(first) = widths.first_mut() {
            *first = (*first).min(width.saturating_sub(others).max(10));
        }
        let taken = widths.first().map_or(0, |first| first + others);
        let room = width.saturating_sub(taken + 2).min(BAR);
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let cell = cut(cell, *width);
                let blanks = width.saturating_sub(columns(&cell));
                if place == 0 {
                    let _ = write!(line, "{cell}{:blanks$}", "");
                } else {
                    let _ = write!(line, "  {:blanks$}{cell}", "");
                }
            }
            if let (Some(bars), true, Some(number)) =
                (&self.bars, room >= SHORT_BAR, number.checked_sub(1))
            {
                let most = bars.iter().copied().max().unwrap_or(0);
                let _ = write!(line, "  {}", bar(bars[number], most, room));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

fn name(content: &Content) -> String {
    match content {
        Content::ServerErrors => "5XX".to_owned(),
        Content::Percentile(percent) => format!("P{percent}"),
        content => content.name().to_uppercase(),
    }
}

/// A bar of at most `room` columns, in eighths of a column; something is never nothing.
fn bar(value: u64, most: u64, room: usize) -> String {
    let eighths = u128::from(value) * (room as u128 * 8) / u128::from(most.max(1));
    let eighths = eighths.max(u128::from(value > 0));
    let eighths = usize::try_from(eighths).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(
        " ▏▎▍▌▋▊▉"
            .chars()
            .nth(eighths % 8)
            .filter(|char| *char != ' '),
    );
    bar
}
