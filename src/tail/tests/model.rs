//! Random lives of a log directory against a pure model.
//!
//! nginx is played by a writer that holds an inode and appends, lines and half lines; logrotate by renames,
//! copies, compression and deletion; misfortune by lost events, kills, power cuts, failing saves and old,
//! torn or lost checkpoints; Elasticsearch by a map from id to line, filled by what is settled and by any part
//! of what was in flight at a kill. At the end all is read, and then:
//!
//! - each complete line in a file that exists or is held open is in the map;
//! - each id stands for one line and each line for one id;
//! - nothing is in the map that was never a complete line;
//! - a further restart reads nothing again.

mod acts;

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::prelude::*;
use rustix::io::Errno;

use self::acts::{Act, Crash, act, open_files};
use super::{DATA, DAY, Host, LIVE, Tailer, settings};
use crate::tail::file_reader::LineSource;
use crate::tail::fs::FileSystem;
use crate::tail::identity::{beginning, marker, marker_length};
use crate::tail::sim::Op;
use crate::tail::{FileKey, StreamId};

/// How a line is found in the index. With equal first lines two generations share a stream: there, as in
/// the product, the line's own time (here its number) tells them apart.
type Id = (StreamId, u64, String);

struct InFlight {
    file: FileKey,
    end: u64,
    lines: Vec<(Id, u64, Vec<u8>)>,
}

struct World {
    host: Host,
    same_first_line: bool,
    /// The inode that nginx writes to.
    writer: u64,
    /// The rest of a half line.
    rest: Vec<u8>,
    written: u64,
    /// Each complete line that was ever in a file.
    ever: HashSet<Vec<u8>>,
    in_flight: VecDeque<InFlight>,
    index: HashMap<Id, Vec<u8>>,
    places: HashMap<Vec<u8>, Id>,
    older: Vec<Vec<u8>>,
    /// The error of the clock, milliseconds.
    off: i64,
    /// Positions were lost, and none saved since.
    unsaved: bool,
    /// Lines of deleted files that were open at a reload; the agent was not killed since.
    held: HashSet<Vec<u8>>,
    /// Lines arrived without an event for the agent.
    arrived: bool,
    /// How many names were invented.
    names: usize,
}

const CHECKPOINT: &str = "/state/logweir/run/checkpoint";
const ASSIGNMENTS: &str = "/state/logweir/assignments.json";
const CUT: usize = 4096;
/// The greatest step of a clock, milliseconds: longer than anything is kept.
const MONTHS: i64 = 50 * DAY_MILLIS;
const DAY_MILLIS: i64 = 86_400_000;
const HOUR_MILLIS: i64 = 3_600_000;

impl World {
    fn new(same_first_line: bool, read_bytes: usize, open_files: usize) -> Self {
        let mut settings = settings(&["/logs/*access.log"]);
        settings.open_files = open_files;
        settings.read_bytes = read_bytes;
        // No life here is half as long: a file expires only by an error of the clock.
        settings.retention = Some(30 * DAY);
        settings.rotated_dirs = vec!["/logs/20*/".to_owned()];
        let mut host = Host::new(settings);
        host.fs.mkdir("/logs/2026-11");
        let writer = host.fs.touch(LIVE);
        host.fs.hold(writer, true);
        host.start();
        Self {
            host,
            same_first_line,
            writer,
            rest: vec![],
            written: 0,
            ever: HashSet::new(),
            in_flight: VecDeque::new(),
            index: HashMap::new(),
            places: HashMap::new(),
            older: vec![],
            off: 0,
            unsaved: false,
            held: HashSet::new(),
            arrived: false,
            names: 0,
        }
    }

    fn line(&mut self, long: bool) -> Vec<u8> {
        self.written += 1;
        let number = self.written;
        let repeat = usize::try_from(number % 40).unwrap();
        let filler = if long {
            "l".repeat(CUT + 100)
        } else {
            "x".repeat(repeat)
        };
        // Its number is at the end, whatever part of it is cut off.
        format!("{number:06} {filler} {number:06}\n").into_bytes()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.host.fs.append_inode(self.writer, bytes);
        let data = self.host.fs.data(self.writer);
        self.note_lines(&data);
    }

    fn note_lines(&mut self, data: &[u8]) {
        for line in complete_lines(data) {
            self.ever.insert(line);
        }
    }

    fn append(&mut self, lines: usize, half: bool, long: bool) {
        let empty = self.host.fs.data(self.writer).is_empty();
        let mut bytes = self.lines(lines, long, empty);
        if half {
            let line = self.line(false);
            let (begun, rest) = line.split_at(8);
            bytes.extend(begun);
            self.rest = rest.to_vec();
        }
        self.write(&bytes);
    }

    fn lines(&mut self, lines: usize, long: bool, first: bool) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.rest);
        if self.same_first_line && first {
            bytes = b"the same first line 000000\n".to_vec();
        }
        for _ in 0..lines {
            let line = self.line(long);
            bytes.extend(line);
        }
        bytes
    }

    fn copytruncate_in_read(&mut self, after: usize, lines: usize) {
        self.shift();
        if self.host.fs.exists(LIVE) && self.host.fs.touch(LIVE) == self.writer {
            self.host.fs.cp(LIVE, &format!("{LIVE}.1"));
            let bytes = self.lines(lines, false, true);
            self.note_lines(&bytes);
            self.host.fs.truncate_in_read(LIVE, after, &bytes);
            self.read_chunk();
            self.host.fs.truncate_at_last();
        }
    }

    fn reopen(&mut self) {
        self.host.fs.hold(self.writer, false);
        self.writer = self.host.fs.touch(LIVE);
        self.host.fs.hold(self.writer, true);
        self.rest.clear();
    }

    fn shift(&mut self) {
        let names = self.host.fs.names("/logs");
        for number in (1..30).rev() {
            for suffix in ["", ".gz"] {
                let from = format!("{LIVE}.{number}{suffix}");
                if names.contains(&from) {
                    self.host
                        .fs
                        .mv(&from, &format!("{LIVE}.{}{suffix}", number + 1));
                }
            }
        }
    }

    fn rotated(&self) -> Vec<String> {
        self.host
            .fs
            .names("/logs")
            .into_iter()
            .filter(|name| name != LIVE && name != "/logs/2026-11")
            .collect()
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Append { lines, half, long } => self.append(lines, half, long),
            Act::Rotate { reopen } => {
                self.shift();
                self.host.fs.mv(LIVE, &format!("{LIVE}.1"));
                if reopen {
                    self.reopen();
                }
            }
            Act::RotateDated { reopen } => {
                let epoch = 1_795_406_400 + self.written;
                self.host.fs.mv(LIVE, &format!("{LIVE}-20261123-{epoch}"));
                if reopen {
                    self.reopen();
                }
            }
            Act::RotateToAnyName { name, reopen } => {
                if self.is_known(LIVE) {
                    let name = self.any_name(name);
                    self.host.fs.mv(LIVE, &name);
                    if reopen {
                        self.reopen();
                    }
                }
            }
            // A compressed file does not count: it may be that of a copy with more than the agent ever saw.
            Act::RenameToAnyName { which, name } => {
                let rotated = self.rotated();
                if let Some(from) = rotated.get(which % rotated.len().max(1))
                    && !from.ends_with(".gz")
                    && self.is_known(from)
                {
                    let name = self.any_name(name);
                    self.host.fs.mv(from, &name);
                }
            }
            Act::CopyToAnyName { name, truncate } => {
                if self.is_known(LIVE) {
                    let name = self.any_name(name);
                    self.host.fs.cp(LIVE, &name);
                    if truncate {
                        self.host.fs.truncate(LIVE, 0);
                    }
                }
            }
            Act::Reopen => self.reopen(),
            Act::Copytruncate { between } => {
                self.shift();
                if self.host.fs.exists(LIVE) {
                    self.host.fs.cp(LIVE, &format!("{LIVE}.1"));
                    self.append(between, false, false);
                    self.host.fs.truncate(LIVE, 0);
                }
            }
            Act::CopytruncateInRead { after, lines } => self.copytruncate_in_read(after, lines),
            Act::Truncate => self.host.fs.truncate(LIVE, 0),
            Act::Delete { reopen } => {
                self.host.fs.rm(LIVE);
                if reopen {
                    self.reopen();
                }
            }
            Act::DropOld { keep } => {
                let names = self.rotated();
                for name in names.iter().skip(keep) {
                    self.host.fs.rm(name);
                }
            }
            Act::Compress { which } => self.compress(which, true),
            Act::CompressHalf { which } => self.compress(which, false),
            Act::Restore => {
                if self.host.fs.exists(LIVE) {
                    self.shift();
                    let copy = self.host.fs.content(LIVE);
                    self.host.fs.mv(LIVE, &format!("{LIVE}.1"));
                    self.host.fs.append(LIVE, &copy);
                    self.reopen();
                }
            }
            Act::Reconcile => self.host.tailer().reconcile(),
            Act::Read { chunks } => {
                for _ in 0..chunks {
                    self.read_chunk();
                }
            }
            Act::SettleSome { chunks, part } => {
                for _ in 0..chunks {
                    self.settle_first();
                }
                if part {
                    self.settle_part();
                }
            }
            Act::SettleAll => while self.settle_first() {},
            Act::Save => {
                self.host.tailer().save().unwrap();
                self.unsaved = false;
                self.older.push(self.host.fs.disk.content(CHECKPOINT));
            }
            Act::SaveFails { steps } => {
                self.host.fs.disk.die_after(steps);
                let _ = self.host.tailer().save();
                self.host.fs.heal();
            }
            Act::CannotOpen { error } => {
                let error = if error { Errno::ACCESS } else { Errno::MFILE };
                self.host.fs.fail(Op::Open, "/logs", error, 2);
                self.host.tailer().reconcile();
                self.host.fs.heal();
            }
            Act::Descriptors { limit } => self.host.fs.limit_descriptors(limit),
            Act::Wait { seconds } => self.host.wait(seconds),
            Act::ClockJump { millis } => self.set_clock(millis),
            Act::Kill { applied, state } => self.kill(applied, state),
            Act::Reload { applied } => self.reload(applied),
        }
    }

    /// Whether the log of a file with this content is saved on disk.
    fn is_known(&self, path: &str) -> bool {
        let assignments = self.host.fs.disk.durable(ASSIGNMENTS);
        let Some(assignments) = assignments.filter(|_| self.host.fs.exists(path)) else {
            return false;
        };
        let data = self.host.fs.content(path);
        let Some(end) = data.iter().position(|&byte| byte == b'\n') else {
            return false;
        };
        let beginning = format!("{:016x}", beginning(&data[..end]));
        let assignments: serde_json::Value = serde_json::from_slice(&assignments).unwrap();
        // A copy that the agent never saw may hold more than the agent saw.
        let inode = self.host.fs.metadata(path.as_ref()).unwrap().inode.1;
        let is_this = |assignment: &serde_json::Value| {
            assignment["beginning"] == beginning && assignment["inode"] == inode
        };
        assignments["files"].as_array().unwrap().iter().any(is_this)
            && (!self.same_first_line || self.has_position_in(path, &data, end))
    }

    /// Where files begin alike, only a position behind the first line distinguishes them.
    fn has_position_in(&self, path: &str, data: &[u8], first_line: usize) -> bool {
        let inode = self.host.fs.metadata(path.as_ref()).unwrap().inode.1;
        let is_in = |text: &[u8]| {
            String::from_utf8_lossy(text).lines().any(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                let offset = entry["offset"].as_u64().unwrap_or(0);
                let at = usize::try_from(offset).unwrap();
                let window = data.get(at.saturating_sub(marker_length(offset))..at);
                entry["inode"] == inode
                    && at > first_line + 1
                    && window
                        .is_some_and(|window| entry["marker"] == format!("{:016x}", marker(window)))
            })
        };
        // The next agent starts from the one that is there, or from the one that a power cut leaves.
        let durable = self.host.fs.disk.durable(CHECKPOINT).unwrap_or_default();
        is_in(&self.host.fs.disk.content(CHECKPOINT)) && is_in(&durable)
    }

    /// A name that no table has; some are matched by the log's glob, one of these carries a date.
    fn any_name(&mut self, which: usize) -> String {
        self.names += 1;
        let number = self.names;
        match which {
            0 => format!("{LIVE}.old{number}"),
            1 => format!("/logs/old{number}_access.log"),
            2 => format!("/logs/20261127_{number}_access.log"),
            3 => format!("/logs/access_{number}.log"),
            4 => format!("{LIVE}.2026112715302{number}x"),
            _ => format!("/logs/2026-11/access{number}"),
        }
    }

    fn compress(&mut self, which: usize, whole: bool) {
        let names: Vec<String> = self
            .rotated()
            .into_iter()
            .filter(|name| !name.ends_with(".gz"))
            .collect();
        let Some(name) = names.get(which % names.len().max(1)) else {
            return;
        };
        let (content, target) = (self.host.fs.content(name), format!("{name}.gz"));
        let gz = self.host.fs.gzip(name, &target);
        if !whole {
            self.host.fs.append(name, &content);
            self.host.fs.truncate(&target, gz.len() / 2);
        }
    }

    fn read_chunk(&mut self) -> bool {
        let Some(chunk) = self.host.tailer().read() else {
            return false;
        };
        let mut lines = vec![];
        let mut offset = chunk.offset;
        let mut push = |line: &[u8], end: u64, offset: u64| {
            // A cut line keeps its number in front, the rest of a truncated one has it at the end.
            let (front, back) = (
                &line[..line.len().min(6)],
                &line[line.len().saturating_sub(6)..],
            );
            let number = format!("{}…{}", front.escape_ascii(), back.escape_ascii());
            lines.push(((chunk.stream, offset, number), end, line.to_vec()));
        };
        if chunk.cut {
            push(chunk.bytes, chunk.end, offset);
        } else {
            for line in chunk.bytes.split_inclusive(|&byte| byte == b'\n') {
                assert_eq!(line.last(), Some(&b'\n'), "half a line was handed out");
                let end = offset + line.len() as u64;
                push(&line[..line.len() - 1], end, offset);
                offset = end;
            }
            assert_eq!(offset, chunk.end);
        }
        self.in_flight.push_back(InFlight {
            file: chunk.file,
            end: chunk.end,
            lines,
        });
        true
    }

    fn index(&mut self, (stream, offset, number): Id, line: Vec<u8>) {
        let number = if self.same_first_line {
            number
        } else {
            String::new()
        };
        let id = (stream, offset, number);
        assert!(
            self.ever.contains(&line),
            "never written: {:?} at {}",
            String::from_utf8_lossy(&line),
            id.1
        );
        if let Some(other) = self.index.insert(id.clone(), line.clone()) {
            assert_eq!(
                String::from_utf8_lossy(&other),
                String::from_utf8_lossy(&line),
                "one id, two lines: {id:?}"
            );
        }
        if let Some(other) = self.places.insert(line.clone(), id.clone()) {
            assert_eq!(
                other,
                id,
                "one line, two ids: {:?}",
                String::from_utf8_lossy(&line)
            );
        }
    }

    fn settle_first(&mut self) -> bool {
        let Some(chunk) = self.in_flight.pop_front() else {
            return false;
        };
        for (id, _, line) in chunk.lines {
            self.index(id, line);
        }
        self.host.tailer().settle(chunk.file, chunk.end);
        true
    }

    /// A batch ended in the middle of a chunk.
    fn settle_part(&mut self) {
        let Some(chunk) = self.in_flight.front_mut() else {
            return;
        };
        let half = chunk.lines.len() / 2;
        let lines: Vec<_> = chunk.lines.drain(..half).collect();
        let file = chunk.file;
        for (id, end, line) in lines {
            self.index(id, line);
            self.host.tailer().settle(file, end);
        }
    }

    fn set_clock(&mut self, by: i64) {
        // The clock is never far behind, because lines with an old time of their own expire rightly.
        let by = by.max(-DAY_MILLIS - self.off);
        // While logs are known only by their files, the times of these are off by no more than the slack.
        let known = |tailer: &Tailer<_, _>| !tailer.streams.known_logs().is_empty();
        let by = if self.unsaved || !self.host.tailer.as_ref().is_some_and(known) {
            by.max(-HOUR_MILLIS - self.off)
        } else {
            by
        };
        // A running agent looks at the clocks all the time.
        self.look_at_clocks();
        self.host.clock.jump(by);
        self.off += by;
        self.look_at_clocks();
    }

    fn look_at_clocks(&mut self) {
        if let Some(tailer) = &mut self.host.tailer {
            tailer.trusted_now();
        }
    }

    fn reload(&mut self, applied: usize) {
        // Content that only the agent holds outlives it.
        for reader in &self.host.tailer.as_ref().unwrap().open.files {
            if self.host.fs.metadata_of(reader.file()).unwrap().links > 0 {
                continue;
            }
            let data = self.host.fs.data(reader.inode.1);
            let data = match reader.source {
                LineSource::Plain(_) => data,
                LineSource::Gzip(_) => gunzip(&data),
            };
            self.held.extend(complete_lines(&data));
        }
        self.arrive(applied);
        self.host.reload();
        self.unsaved = false;
    }

    /// Any of the requests on their way may arrive, and no ack comes back.
    fn arrive(&mut self, applied: usize) {
        for (at, chunk) in std::mem::take(&mut self.in_flight).into_iter().enumerate() {
            if (at + applied).is_multiple_of(3) {
                for (id, _, line) in chunk.lines {
                    self.index(id, line);
                    self.arrived = true;
                }
            }
        }
    }

    fn kill(&mut self, applied: usize, state: Crash) {
        if let Crash::InSave { steps } = state {
            self.host.fs.disk.die_after(steps);
            let _ = self.host.tailer().save();
            self.host.fs.heal();
        }
        self.host.kill();
        self.held.clear();
        self.arrive(applied);
        self.unsaved |= matches!(state, Crash::TornCheckpoint | Crash::LostCheckpoint);
        if self.unsaved {
            // The trusted time is lost with the positions: only the clock is believed.
            self.set_clock(-self.off);
        }
        match state {
            Crash::Process | Crash::InSave { .. } => {}
            Crash::Power { kept, torn } => self.host.fs.disk.power_cut(kept, torn),
            // Only the newest positions know all files that begin alike and whose names say nothing.
            Crash::OlderCheckpoint | Crash::TornCheckpoint | Crash::LostCheckpoint
                if self.same_first_line && self.names > 0 => {}
            Crash::OlderCheckpoint => {
                if let Some(older) = self.older.get(applied) {
                    self.host.fs.disk.put(CHECKPOINT, older);
                    self.host.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
                }
            }
            Crash::TornCheckpoint => {
                let bytes = self.host.fs.disk.content(CHECKPOINT);
                self.host.fs.disk.put(CHECKPOINT, &bytes[..bytes.len() / 2]);
            }
            Crash::LostCheckpoint => {
                self.host.fs.disk.rm(CHECKPOINT);
                self.host.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
            }
        }
        self.host.start();
    }

    /// Without further faults everything that can be read is read, and delivered.
    fn drain(&mut self) {
        self.host.fs.limit_descriptors(None);
        let held = HashMap::from([(self.writer, 1)]);
        let expected = self.host.fs.reachable("/logs", &held);
        // A file is closed after a reconcile, and a file that waited for that is found by the next one; each of the
        // compressed files that begin alike waits for the one before.
        let waits = 2 * self.host.fs.names("/logs").len();
        let rounds = [20, 20, 20, 4_000, 20, 20, 20, 20];
        for seconds in rounds.into_iter().chain(std::iter::repeat_n(20, waits)) {
            self.read_until_quiet(seconds);
        }
        for line in &self.held {
            assert!(
                self.places.contains_key(line),
                "lost by a reload: {:?}",
                String::from_utf8_lossy(&line[..line.len().min(60)])
            );
        }
        for data in expected {
            let data = if data.starts_with(&[0x1f, 0x8b]) {
                gunzip(&data)
            } else {
                data
            };
            for line in complete_lines(&data) {
                assert!(
                    self.places.contains_key(&line),
                    "lost: {:?}; files: {:?}",
                    String::from_utf8_lossy(&line[..line.len().min(60)]),
                    self.host.fs.names("/logs")
                );
            }
        }
    }
}

impl World {
    /// An agent that was never killed, saw each line whole and knows what arrived counts no delivered line as lost.
    fn check_lost_bytes(&mut self, acts: &[Act]) {
        let uncertain =
            |act: &Act| matches!(act, Act::Kill { .. } | Act::Append { half: true, .. });
        let missed = self
            .ever
            .iter()
            .any(|line| !self.places.contains_key(&line[..line.len().min(CUT)]));
        let lost = &self.host.tailer().stats().lost_bytes;
        assert!(
            lost.is_empty() || missed || self.arrived || acts.iter().any(uncertain),
            "called lost: {lost:?}"
        );
    }

    fn read_until_quiet(&mut self, seconds: u64) {
        for _ in 0..100 {
            self.host.wait(seconds);
            self.host.tailer().reconcile();
            let mut any = false;
            while self.read_chunk() {
                any = true;
            }
            while self.settle_first() {}
            self.host.tailer().save().unwrap();
            if !any {
                return;
            }
        }
        panic!("reads for ever");
    }
}

/// An unfinished one does not count: its plain file is there, or its content is lost.
fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut plain = vec![];
    match std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(data), &mut plain) {
        Ok(_) => plain,
        Err(_) => vec![],
    }
}

/// Complete lines as they are to be delivered: without `\n`, over-long ones cut.
fn complete_lines(data: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = data
        .split(|&byte| byte == b'\n')
        .map(|line| line[..line.len().min(CUT)].to_vec())
        .collect();
    lines.pop();
    lines
}

fn live(same_first_line: bool, read_bytes: usize, acts: &[Act]) {
    live_with(same_first_line, read_bytes, 1024, acts);
}

fn live_with(same_first_line: bool, read_bytes: usize, open_files: usize, acts: &[Act]) {
    let mut world = World::new(same_first_line, read_bytes, open_files);
    lived(&mut world, acts);
    world.check_lost_bytes(acts);
    start_again(world);
}

fn lived(world: &mut World, acts: &[Act]) {
    for act in acts {
        world.act(act);
    }
    world.drain();
}

fn start_again(mut world: World) {
    let same_first_line = world.same_first_line;
    // Lines that are read again after an orderly stop (from a file that holds only the beginning of what was read
    // elsewhere) were delivered before; after a further stop nothing is read again.
    world.host.start();
    while world.read_chunk() {}
    for (_, _, line) in world.in_flight.iter().flat_map(|chunk| &chunk.lines) {
        assert!(
            world.places.contains_key(line),
            "first read after the drain"
        );
    }
    world.drain();
    world.host.start();
    let again = world.host.read();
    // Exceptions are a compressed beginning of something longer, which only decoding shows, and files that begin alike and
    // cannot all be distinguished by their length: their lines were delivered before.
    let compressed = world
        .host
        .fs
        .names("/logs")
        .iter()
        .any(|name| name.ends_with(".gz"));
    assert!(
        again.is_empty() || compressed || same_first_line,
        "read again and again: {again:.60?}"
    );
    for (_, _, text) in again {
        assert!(
            world.places.contains_key(text.as_bytes()),
            "first read at the last start: {text:.60}"
        );
    }
    assert!(world.host.fs.disk.exists(DATA));
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000,
        ..crate::replay::lives(3_000)
    })]

    #[test]
    fn every_line_once(
        read_bytes in 8_usize..400,
        open_files in open_files(),
        acts in prop::collection::vec(act(), 1..45),
    ) {
        live_with(false, read_bytes, open_files, &acts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000,
        ..crate::replay::lives(1_200)
    })]

    #[test]
    fn every_line_once_even_if_all_files_have_the_same_beginning(
        read_bytes in 8_usize..400,
        open_files in open_files(),
        acts in prop::collection::vec(act(), 1..45),
    ) {
        let mut world = World::new(true, read_bytes, open_files);
        lived(&mut world, &acts);
        // Of several copies that begin alike it is not known which holds the rest of which.
        if acts.iter().filter(|act| act.copies()).count() < 2 {
            world.check_lost_bytes(&acts);
        }
        start_again(world);
    }
}

/// A file has the inode of one that was read, at a path where that one once was.
#[test]
fn a_reused_inode_does_not_make_a_file_its_own_copy() {
    let append = |lines| Act::Append {
        lines,
        half: false,
        long: false,
    };
    let kill = || Act::Kill {
        applied: 0,
        state: Crash::Process,
    };
    let acts = [
        append(1),
        Act::Rotate { reopen: true },
        kill(),
        Act::Read { chunks: 1 },
        Act::Copytruncate { between: 0 },
        Act::Rotate { reopen: false },
        append(4),
        Act::SettleAll,
        Act::Save,
        kill(),
        Act::Read { chunks: 4 },
        Act::Reopen,
        append(1),
        Act::DropOld { keep: 0 },
        Act::Copytruncate { between: 0 },
    ];
    live(true, 51, &acts);
}

/// The twin was open before it had a first line, so that it could not be recognised as one.
#[test]
fn bytes_in_a_copy_of_a_truncated_file_do_not_count_as_lost() {
    let acts = [
        Act::Append {
            lines: 0,
            half: false,
            long: false,
        },
        Act::Restore,
        Act::Reconcile,
        Act::Truncate,
    ];
    live(true, 8, &acts);
}
