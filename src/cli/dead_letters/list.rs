//! `logweir dead-letters list`: a row for each entry, and the number of entries for each reason.
//!
//! It reads the file as of its start, entry by entry, and does not show entries that are appended meanwhile.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::super::terminal::{cut, safe, safe_json};
use super::super::{Exit, ListArgs};
use super::{choice, entries, file, refused};
use crate::config::Config;
use crate::output::dead_letters::{DeadLetters, Entry, EntryKind, is_no_entry};

/// Columns of a reason.
const REASON_COLUMNS: usize = 60;
/// Columns of an index and of a file; longer ones are cut.
const NAME_COLUMNS: usize = 80;
/// Columns that most names of an index need.
const INDEX_COLUMNS: usize = 25;

/// Reasons that are counted one by one; a server has few, an edited file may have any number.
const REASONS: usize = 1000;

/// Why a list ends early.
enum Stop {
    /// The file cannot be read.
    Read(io::Error),
    /// The reader of the output has gone.
    Write,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Write
    }
}

/// The counts of entries.
#[derive(Default)]
struct Counts {
    all: u64,
    dead: u64,
    parked: u64,
    shown: usize,
    unreadable: u64,
    reasons: BTreeMap<String, u64>,
}

pub(super) fn run(config: &Config, args: &ListArgs) -> Exit {
    let file = file(config);
    let mut out = BufWriter::new(io::stdout().lock());
    match print(&file, args, &mut out).and_then(|()| Ok(out.flush()?)) {
        // a closed pipe is not a failure
        Ok(()) | Err(Stop::Write) => Exit::Ok,
        Err(Stop::Read(error)) => {
            let _ = out.flush();
            refused(&file.path(), &error)
        }
    }
}

fn print(file: &DeadLetters, args: &ListArgs, out: &mut impl Write) -> Result<(), Stop> {
    let choice = choice(&args.which);
    let mut counts = Counts::default();
    for entry in file.entries().map_err(Stop::Read)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_no_entry(&error) => {
                counts.unreadable += 1;
                continue;
            }
            Err(error) => return Err(Stop::Read(error)),
        };
        counts.all += 1;
        if !choice.takes(&entry) {
            continue;
        }
        counts.count(&entry);
        if args.limit.is_some_and(|limit| counts.shown >= limit) {
            continue;
        }
        if args.json {
            let json = serde_json::to_string(&entry).map_err(io::Error::from)?;
            writeln!(out, "{}", safe_json(&json))?;
        } else {
            if counts.shown == 0 {
                writeln!(out, "{}", header())?;
            }
            writeln!(out, "{}", row(&entry))?;
        }
        counts.shown += 1;
    }
    if !args.json {
        counts.sum_up(file, out)?;
    }
    Ok(())
}

fn header() -> String {
    format!(
        "{:24}  {:6}  {:INDEX_COLUMNS$}  {:20}  {:REASON_COLUMNS$}  LINE",
        "TIME", "KIND", "INDEX", "ID", "REASON"
    )
}

fn row(entry: &Entry) -> String {
    let kind = match entry.kind {
        EntryKind::Dead => "dead",
        EntryKind::Parked => "parked",
    };
    let name = |text: &str| cut(&safe(text), NAME_COLUMNS);
    let reason = cut(&safe(&entry.reason.to_string()), REASON_COLUMNS);
    let path = entry.file.as_deref().map_or("-".to_owned(), name);
    let line = match entry.offset {
        Some(offset) => format!("{path}:{offset}"),
        None => path,
    };
    format!(
        "{:24}  {kind:6}  {:INDEX_COLUMNS$}  {:20}  {reason:REASON_COLUMNS$}  {line}",
        name(&entry.at),
        name(&entry.index),
        name(&entry.id),
    )
}

impl Counts {
    fn count(&mut self, entry: &Entry) {
        match entry.kind {
            EntryKind::Dead => self.dead += 1,
            EntryKind::Parked => self.parked += 1,
        }
        let mut label = safe(&entry.reason.label());
        if self.reasons.len() >= REASONS && !self.reasons.contains_key(&label) {
            label = "others".to_owned();
        }
        *self.reasons.entry(label).or_default() += 1;
    }

    fn sum_up(&self, file: &DeadLetters, out: &mut impl Write) -> io::Result<()> {
        let path = safe(&file.path().display().to_string());
        let chosen = self.dead + self.parked;
        match (chosen, self.all) {
            (0, 0) => writeln!(out, "no dead letters: {path} has no entry")?,
            (0, all) => writeln!(out, "none of the {} in {path} matches", entries(all))?,
            _ => {
                let not_shown = chosen - self.shown as u64;
                if not_shown > 0 {
                    writeln!(out, "… and {not_shown} more (--limit)")?;
                }
                let (dead, parked) = (self.dead, self.parked);
                writeln!(
                    out,
                    "\n{}, {dead} dead and {parked} parked, in {path}",
                    entries(chosen)
                )?;
                let mut reasons: Vec<_> = self.reasons.iter().collect();
                reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
                for (reason, count) in reasons {
                    writeln!(out, "{count:8}  {reason}")?;
                }
            }
        }
        if self.unreadable > 0 {
            writeln!(
                out,
                "{} of its lines cannot be read; they stay as they are",
                self.unreadable
            )?;
        }
        Ok(())
    }
}
