//! Tools for the tests of the match: candidates, streams, and a probe that answers from texts.
#![allow(clippy::unwrap_used)]

mod cases;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::assignments::Assignment;
use super::super::discover::{Candidate, Discover, FoundBy};
use super::super::fs::{FileKind, Metadata};
use super::super::gzip::Trailer;
use super::super::history::HistoryRule;
use super::super::identity::{Position, beginning};
use super::super::stem::Compression;
use super::super::stream_table::StreamTable;
use super::super::{FileKey, FramingSetting, Links, LogSettings};
use super::{Content, Decision, Match, OpenFile, Probe};

/// The log that the settings name.
const A: &str = "/logs/a.log";
/// A log that a glob finds.
const B: &str = "/logs/b.log";
const FIRST: FileKey = FileKey(0);
const SECOND: FileKey = FileKey(1);

const OLD: HistoryRule = HistoryRule {
    read_all: false,
    clock_was_set: false,
    since: None,
    now: 1_000,
    history: Duration::ZERO,
};

fn position(content: &str, offset: usize) -> Position {
    Position::after(&content.as_bytes()[..offset], offset as u64)
}

fn trailer(content: &str) -> Trailer {
    Trailer {
        crc32: crc32c::crc32c(content.as_bytes()),
        size: u32::try_from(content.len()).unwrap(),
    }
}

fn first_line(content: &str) -> Option<&str> {
    content.split_once('\n').map(|(line, _)| line)
}

/// A stream of which `content` was read up to `read`.
#[derive(Clone)]
struct Stream {
    log: &'static str,
    content: &'static str,
    read: usize,
    finished: bool,
    skipped: bool,
    gzip: bool,
    path: &'static str,
    /// The open file, and its present content.
    open: Option<(OpenFile, &'static str)>,
    /// The content of the closed file that was read to its end.
    closed: Option<&'static str>,
}

fn stream(log: &'static str, content: &'static str, read: usize) -> Stream {
    Stream {
        log,
        content,
        read,
        finished: false,
        skipped: false,
        gzip: false,
        path: log,
        open: None,
        closed: None,
    }
}

impl Stream {
    fn open(self, content: &'static str, live: bool, is_closed_soon: bool) -> Self {
        let open = OpenFile {
            live,
            compressed: false,
            is_closed_soon,
        };
        Self {
            open: Some((open, content)),
            ..self
        }
    }

    fn live(self, content: &'static str) -> Self {
        self.open(content, true, false)
    }

    fn closed(self, content: &'static str) -> Self {
        Self {
            closed: Some(content),
            finished: true,
            ..self
        }
    }

    fn finished(self) -> Self {
        Self {
            finished: true,
            ..self
        }
    }

    fn skipped(self) -> Self {
        Self {
            skipped: true,
            ..self
        }
    }

    fn decoded(self) -> Self {
        Self {
            finished: true,
            gzip: true,
            ..self
        }
    }
}

/// Answers from texts instead of files.
struct Texts {
    candidate: &'static str,
    compressed: bool,
    open: HashMap<FileKey, (OpenFile, &'static str)>,
    closed: HashMap<FileKey, &'static str>,
}

impl Texts {
    fn open_text(&self, key: FileKey) -> io::Result<&'static str> {
        let open = self.open.get(&key);
        open.map(|(_, text)| *text)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn holds(text: &str, read: Position) -> Option<bool> {
    let offset = usize::try_from(read.offset).unwrap();
    (offset <= text.len()).then(|| position(text, offset) == read)
}

/// The position that a read at `offset` of a shorter file would give.
fn position_in(text: &str, offset: u64) -> Position {
    match usize::try_from(offset).unwrap() {
        at if at <= text.len() => position(text, at),
        _ => Position { offset, marker: 0 },
    }
}

impl Probe for Texts {
    fn holds(&self, position: Position) -> io::Result<Option<bool>> {
        let holds = holds(self.candidate, position);
        Ok(match self.compressed {
            true => holds,
            false => Some(holds.unwrap_or(false)),
        })
    }

    fn position_at(&self, offset: u64) -> io::Result<Position> {
        Ok(position_in(self.candidate, offset))
    }

    fn trailer(&self) -> io::Result<Trailer> {
        Ok(trailer(self.candidate))
    }

    fn open_file(&self, key: FileKey) -> Option<OpenFile> {
        self.open.get(&key).map(|(open, _)| *open)
    }

    fn open_size(&self, key: FileKey) -> io::Result<u64> {
        Ok(self.open_text(key)?.len() as u64)
    }

    fn open_holds(&self, key: FileKey, position: Position) -> io::Result<bool> {
        Ok(holds(self.open_text(key)?, position).unwrap_or(false))
    }

    fn open_position_at(&self, key: FileKey, offset: u64) -> io::Result<Position> {
        Ok(position_in(self.open_text(key)?, offset))
    }

    fn open_beginning(&self, key: FileKey) -> io::Result<Option<u64>> {
        let line = first_line(self.open_text(key)?);
        Ok(line.map(|line| beginning(line.as_bytes())))
    }

    fn finished_position_at(&self, key: FileKey, offset: u64) -> io::Result<Option<Position>> {
        let closed = self.closed.get(&key);
        let longer = closed.filter(|closed| offset < closed.len() as u64);
        Ok(longer.map(|closed| position_in(closed, offset)))
    }
}

/// A candidate with its content, and all known facts.
#[derive(Clone)]
struct Case {
    path: &'static str,
    names: Vec<&'static str>,
    live: bool,
    by: FoundBy,
    content: &'static str,
    compressed: bool,
    streams: Vec<Stream>,
    known_logs: Vec<&'static str>,
    /// The logs that had this content before the positions were lost.
    assigned: Vec<&'static str>,
    history: HistoryRule,
}

fn case(path: &'static str, names: &[&'static str], by: FoundBy, content: &'static str) -> Case {
    Case {
        path,
        names: names.to_vec(),
        live: matches!(by, FoundBy::Path | FoundBy::Glob),
        by,
        content,
        compressed: false,
        streams: Vec::new(),
        known_logs: Vec::new(),
        assigned: Vec::new(),
        history: OLD,
    }
}

/// The live file of the log that the settings name.
fn live(content: &'static str) -> Case {
    case(A, &[A], FoundBy::Path, content)
}

/// A file with the name of a rotated file of that log.
fn rotated(content: &'static str) -> Case {
    case("/logs/a.log.1", &[A], FoundBy::Table, content)
}

/// A file that a glob takes for a live log.
fn globbed(content: &'static str) -> Case {
    case(B, &[B], FoundBy::Glob, content)
}

/// A file whose name does not identify a log.
fn nameless(content: &'static str) -> Case {
    case("/logs/saved", &[], FoundBy::Content, content)
}

impl Case {
    fn with(mut self, stream: Stream) -> Self {
        self.streams.push(stream);
        self
    }

    fn gzip(self) -> Self {
        Self {
            compressed: true,
            ..self
        }
    }

    fn knows(mut self, log: &'static str) -> Self {
        self.known_logs.push(log);
        self
    }

    fn assigned_to(mut self, log: &'static str) -> Self {
        self.assigned.push(log);
        self
    }

    fn rule(self, history: HistoryRule) -> Self {
        Self { history, ..self }
    }

    fn matched<R>(&self, ask: impl FnOnce(&Match<'_, Texts>) -> R) -> R {
        let settings = [
            (A, "*.left"),
            ("/logs/*.log", "*.none"),
            ("/other/*.log", "*.none"),
        ]
        .map(|(path, exclude)| LogSettings {
            paths: vec![path.to_owned()],
            exclude: vec![exclude.to_owned()],
            rotated: vec![],
            name: None,
            framing: FramingSetting::Raw,
        });
        let discover = Discover::new(&settings, &[], &Links::default()).unwrap();
        let line = first_line(self.content);
        let assigned = self.assigned.iter().map(|log| Assignment {
            log: (*log).to_owned(),
            beginning: format!("{:016x}", beginning(line.unwrap_or_default().as_bytes())),
            path: "/elsewhere".to_owned(),
            device: 0,
            inode: 0,
            by_content: true,
            seen: 0,
        });
        let mut streams = StreamTable::new("host".to_owned(), assigned.collect());
        for log in &self.known_logs {
            streams.add_log(&Arc::from(*log));
        }
        let mut probe = Texts {
            candidate: self.content,
            compressed: self.compressed,
            open: HashMap::new(),
            closed: HashMap::new(),
        };
        for stream in &self.streams {
            let name: Arc<str> = stream.log.into();
            let line = first_line(stream.content).unwrap();
            let identity = streams.identity(&name, line.as_bytes());
            let read = position(stream.content, stream.read);
            let key = streams.add(&name, Some(identity), read);
            let track = streams.get_mut(key).unwrap();
            track.size = stream.content.len() as u64;
            (track.finished, track.skipped) = (stream.finished, stream.skipped);
            track.gzip = stream.gzip.then(|| trailer(stream.content));
            track.path = stream.path.into();
            probe.open.extend(stream.open.map(|open| (key, open)));
            probe
                .closed
                .extend(stream.closed.map(|closed| (key, closed)));
        }
        let metadata = Metadata {
            inode: (1, 1),
            size: self.content.len() as u64,
            modified: 0,
            links: 1,
            kind: FileKind::File,
            owner: 0,
            group: 0,
            mode: 0o640,
        };
        let candidate = Candidate {
            path: self.path.into(),
            metadata,
            log: 0,
            names: self.names.iter().map(|name| Arc::from(*name)).collect(),
            live: self.live,
            by: self.by,
            compression: self.compressed.then_some(Compression::Gzip),
            owners: None,
        };
        let identity = |line: &str| {
            let names = candidate.names.iter();
            let of_name = |name: &Arc<str>| {
                let (stream, _) = streams.identity(name, line.as_bytes());
                (Arc::clone(name), stream)
            };
            names.map(of_name).collect()
        };
        let line_bytes = line.unwrap_or_default().as_bytes();
        let content = Content {
            metadata,
            compressed: self.compressed,
            line: line_bytes.to_vec(),
            beginning: beginning(line_bytes),
            streams: line.map(identity).unwrap_or_default(),
        };
        ask(&Match {
            candidate: &candidate,
            content: &content,
            streams: &streams,
            discover: &discover,
            history: self.history,
            probe: &probe,
        })
    }

    fn decide(&self, last_chance: bool) -> Decision {
        self.matched(|one| one.decide(last_chance)).unwrap()
    }
}
