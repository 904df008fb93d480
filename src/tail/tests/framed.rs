//! Logs of pods: the tailer and the records in its chunks, with kubelet's rotation, and a model of all of it.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::{Host, settings};
use crate::framing::{FramingSetting, LineFraming, Records, Shape};
use crate::tail::{FileKey, StreamId};

const POD: &str = "/var/log/pods/shop_web-1_8e1f7a3c/nginx";
const LIVE: &str = "/var/log/pods/shop_web-1_8e1f7a3c/nginx/0.log";
const LIMIT: usize = 4096;

fn host(framing: FramingSetting) -> Host {
    let mut settings = settings(&["/var/log/pods/*_*_*/*/*.log"]);
    settings.logs[0].framing = framing;
    settings.read_bytes = 300;
    let host = Host::new(settings);
    for folder in [
        "/var",
        "/var/log",
        "/var/log/pods",
        "/var/log/pods/shop_web-1_8e1f7a3c",
        POD,
    ] {
        host.fs.mkdir(folder);
    }
    host
}

/// One line of a runtime.
fn line(second: usize, stream: &str, tag: &str, payload: &str) -> String {
    format!("2026-11-27T12:00:{second:02}.5Z {stream} {tag} {payload}\n")
}

fn full(second: usize, payload: &str) -> String {
    line(second, "stdout", "F", payload)
}

fn part(second: usize, payload: &str) -> String {
    line(second, "stdout", "P", payload)
}

/// A record that was handed out: where it begins, its payload, its shape, and whether it is the first of its file.
type Got = (StreamId, u64, String, Shape, bool);

/// The records of one chunk, with the offset at which each one ends.
fn records_of(chunk: &crate::tail::Chunk<'_>) -> Vec<(Got, u64)> {
    let mut all = vec![];
    if !chunk.framing.is_cri() {
        let mut offset = chunk.offset;
        for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            let end = offset + line.len() as u64;
            all.push(((chunk.stream, offset, text, Shape::Unframed, false), end));
            offset = end;
        }
        return all;
    }
    let (mut records, mut taken, mut is_first) = (Records::default(), 0, chunk.is_first);
    while taken < chunk.bytes.len() {
        let next = records.next(&chunk.bytes[taken..], chunk.limit, chunk.cut);
        let offset = chunk.offset + taken as u64;
        taken += next.width;
        let Some(record) = next.record else { continue };
        let end = match taken == chunk.bytes.len() {
            true => chunk.end,
            false => chunk.offset + taken as u64,
        };
        let text = String::from_utf8_lossy(record.payload).into_owned();
        all.push(((chunk.stream, offset, text, record.shape, is_first), end));
        is_first = false;
    }
    all
}

impl Host {
    /// Scans the directories and reads all records; everything counts as handed out, and nothing as settled.
    fn records(&mut self) -> Vec<Got> {
        self.tailer().reconcile();
        let mut all = vec![];
        while let Some(chunk) = self.tailer.as_mut().unwrap().read() {
            self.ends.insert(chunk.file, chunk.end);
            all.extend(records_of(&chunk).into_iter().map(|(got, _)| got));
        }
        all
    }

    fn payloads(&mut self) -> Vec<String> {
        self.records().into_iter().map(|got| got.2).collect()
    }
}

#[test]
fn a_record_begins_at_its_first_part_and_waits_for_its_last() {
    let mut host = host(FramingSetting::Cri);
    let before = full(1, "one");
    host.fs
        .append(LIVE, (before.clone() + &part(2, "tw")).as_bytes());
    host.start();
    assert_eq!(host.payloads(), ["one"]);
    host.fs
        .append(LIVE, line(3, "stderr", "P", "no").as_bytes());
    host.fs.append(LIVE, part(3, "o, ").as_bytes());
    host.fs.append(LIVE, &full(4, "three").as_bytes()[..20]);
    assert_eq!(host.payloads(), [""; 0]);
    // The position stops before the open record.
    host.restart();
    assert_eq!(host.payloads(), [""; 0]);
    host.fs.append(LIVE, &full(4, "three").as_bytes()[20..]);
    let records = host.records();
    let [(_, offset, text, shape, is_first)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (text.as_str(), *shape, *is_first),
        ("two, three", Shape::Whole, false)
    );
    assert_eq!(*offset, before.len() as u64);
    host.restart();
    assert_eq!(host.payloads(), [""; 0]);
}

#[test]
fn a_part_at_the_end_of_a_rotated_file_is_handed_out_when_the_file_is_closed() {
    for compress in [false, true] {
        let mut host = host(FramingSetting::Auto);
        let text = full(1, "one") + &part(2, "tw") + &line(2, "stderr", "F", "no");
        host.fs.append(LIVE, text.as_bytes());
        host.start();
        assert_eq!(host.payloads(), ["one"]);
        let rotated = format!("{LIVE}.20261127-120000");
        host.fs.mv(LIVE, &rotated);
        host.fs.append(LIVE, full(3, "o, and three").as_bytes());
        assert_eq!(host.payloads(), ["o, and three"]);
        host.restart();
        assert_eq!(host.payloads(), [""; 0], "it may still be finished");
        if compress {
            host.kill();
            host.fs.gzip(&rotated, &format!("{rotated}.gz"));
            host.wait(10);
            host.start();
        }
        let mut records = vec![];
        for _ in 0..5 {
            host.wait(6);
            records.extend(host.records());
        }
        let [(_, offset, text, Shape::BrokenOff, _)] = &records[..] else {
            panic!("{records:?}")
        };
        assert_eq!(
            (*offset, text.as_str()),
            (full(1, "one").len() as u64, "tw")
        );
        host.restart();
        host.wait(100);
        assert_eq!(host.payloads(), [""; 0]);
        assert_eq!(host.tailer().stats().files_open, 1);
    }
}

#[test]
fn the_first_record_of_a_file_is_known_after_a_restart() {
    let mut host = host(FramingSetting::Cri);
    host.fs
        .append(LIVE, line(1, "stderr", "F", "no").as_bytes());
    host.start();
    assert_eq!(host.payloads(), [""; 0]);
    host.restart();
    host.fs
        .append(LIVE, (full(2, "rest") + &full(3, "next")).as_bytes());
    let is_first = |records: Vec<Got>| -> Vec<bool> {
        records.iter().map(|(.., is_first)| *is_first).collect()
    };
    assert_eq!(is_first(host.records()), [true, false]);
    // They are not settled.
    host.start();
    assert_eq!(is_first(host.records()), [true, false]);
    host.restart();
    host.fs.append(LIVE, full(4, "more").as_bytes());
    assert_eq!(is_first(host.records()), [false]);
}

#[test]
fn a_file_that_kubelet_compresses_is_read_once() {
    let mut host = host(FramingSetting::Cri);
    host.fs
        .append(LIVE, (full(1, "one") + &full(2, "two")).as_bytes());
    host.start();
    assert_eq!(host.payloads(), ["one", "two"]);
    let rotated = format!("{LIVE}.20261127-120000");
    host.fs.mv(LIVE, &rotated);
    host.fs.append(LIVE, full(3, "three").as_bytes());
    assert_eq!(host.payloads(), ["three"]);
    // It writes `.tmp`, renames that to `.gz`, and removes the file.
    let gz = host.fs.gzip(&rotated, "/var/log/pods/gz");
    host.fs.rm("/var/log/pods/gz");
    host.fs
        .append(&rotated, (full(1, "one") + &full(2, "two")).as_bytes());
    for (rounds, bytes) in [(1, &gz[..gz.len() / 2]), (2, &gz[..])] {
        host.fs.put(&format!("{rotated}.tmp"), bytes);
        for _ in 0..rounds {
            host.restart();
            host.wait(10);
            let again = host.payloads();
            // `gzip` of the simulated host removed the file, which was then written again.
            assert!(
                again.iter().all(|text| text == "one" || text == "two"),
                "{again:?}"
            );
            host.settle();
        }
    }
    host.fs
        .mv(&format!("{rotated}.tmp"), &format!("{rotated}.gz"));
    host.fs.rm(&rotated);
    host.restart();
    host.wait(10);
    assert_eq!(host.payloads(), [""; 0]);
    // The container starts again.
    host.fs
        .append(&format!("{POD}/1.log"), full(4, "four").as_bytes());
    assert_eq!(host.payloads(), ["four"]);
    assert!(host.problems().is_empty(), "{:?}", host.problems());
}

#[test]
fn auto_remembers_what_the_first_line_decided() {
    let mut host = host(FramingSetting::Auto);
    host.fs.append(LIVE, b"raw\n");
    host.start();
    assert_eq!(host.payloads(), ["raw"]);
    host.restart();
    host.fs.append(LIVE, full(1, "one").as_bytes());
    let text = full(1, "one");
    assert_eq!(host.payloads(), [text.trim_end()]);
    host.restart();
    let other = format!("{POD}/1.log");
    host.fs.append(&other, full(1, "two").as_bytes());
    assert_eq!(host.payloads(), ["two"]);
    host.restart();
    host.fs.append(&other, b"odd\n");
    let framing = host.tailer().read().map(|chunk| chunk.framing);
    assert_eq!(framing, Some(LineFraming::LikelyCri));
}

#[test]
fn the_parts_of_a_deleted_pod_that_were_not_read_count_as_lost() {
    let mut host = host(FramingSetting::Cri);
    host.fs
        .append(LIVE, (full(1, "one") + &part(2, "tw")).as_bytes());
    host.start();
    assert_eq!(host.payloads(), ["one"]);
    host.settle();
    host.kill();
    host.fs.rm(LIVE);
    host.start();
    for _ in 0..5 {
        host.wait(61);
        assert_eq!(host.payloads(), [""; 0]);
    }
    let lost: u64 = host.tailer().stats().lost_bytes.values().sum();
    assert_eq!(lost, part(2, "tw").len() as u64);
}

#[test]
fn standard_error_between_two_parts_is_read_once() {
    let mut host = host(FramingSetting::Cri);
    host.fs.append(LIVE, part(1, "begun ").as_bytes());
    host.start();
    assert_eq!(host.payloads(), [""; 0]);
    let before = host.fs.bytes_read();
    let noise = line(1, "stderr", "F", &"e".repeat(100));
    for _ in 0..500 {
        host.fs.append(LIVE, noise.as_bytes());
        assert!(host.read_nothing());
    }
    let (written, read) = (500 * noise.len(), host.fs.bytes_read() - before);
    assert!(read < 5 * written, "{read} bytes read of {written}");
    host.fs.append(LIVE, full(2, "ended").as_bytes());
    let chunk = host.tailer().read().unwrap();
    assert_eq!(chunk.passed_over, 500);
    assert!(chunk.bytes.len() < 200);
    assert_eq!(records_of(&chunk)[0].0.2, "begun ended");
}

impl Host {
    fn read_nothing(&mut self) -> bool {
        self.tailer().read().is_none()
    }
}

#[test]
fn a_record_longer_than_the_limit_is_cut_wherever_it_is_split() {
    for split in [100, 1000, 5000] {
        for length in [LIMIT, LIMIT + 1, 20_000] {
            let mut host = host(FramingSetting::Cri);
            let payload = format!("{}x", "y".repeat(length - 1));
            let parts: Vec<&[u8]> = payload.as_bytes().chunks(split).collect();
            let mut text = full(1, "one");
            for (at, bytes) in parts.iter().enumerate() {
                let tag = if at + 1 < parts.len() { "P" } else { "F" };
                text += &line(2, "stdout", tag, std::str::from_utf8(bytes).unwrap());
            }
            text += &full(3, "three");
            host.fs.append(LIVE, text.as_bytes());
            host.start();
            let expected = payload[..length.min(LIMIT)].to_owned();
            assert_eq!(
                host.payloads(),
                ["one", &expected, "three"],
                "{split} {length}"
            );
            // The same from the compressed file.
            host.kill();
            host.fs.gzip(LIVE, &format!("{LIVE}.20261127-120000.gz"));
            host.wait(10);
            host.start();
            assert_eq!(
                host.payloads(),
                ["one", &expected, "three"],
                "{split} {length}"
            );
        }
    }
}

#[test]
fn a_pod_that_was_deleted_is_forgotten_after_a_day() {
    let mut host = host(FramingSetting::Auto);
    host.fs.append(LIVE, full(1, "one").as_bytes());
    host.fs.append("/var/log/pods/access.log", b"raw\n");
    host.settings.logs[0]
        .paths
        .push("/var/log/pods/access.log".to_owned());
    host.start();
    assert_eq!(host.payloads().len(), 2);
    host.settle();
    host.fs.rm(LIVE);
    host.fs.rm("/var/log/pods/access.log");
    let known = |host: &mut Host| host.tailer().streams.log_names();
    for hours in 0..23 {
        host.wait(3_600);
        host.records();
        assert_eq!(known(&mut host).len(), 2, "after {hours} h");
    }
    host.restart();
    host.wait(4 * 3_600);
    host.records();
    assert_eq!(known(&mut host), ["/var/log/pods/access.log"]);
    let names: Vec<String> = host
        .tailer()
        .streams
        .tracks()
        .map(|track| track.name.to_string())
        .collect();
    assert_eq!(names, ["/var/log/pods/access.log"]);
}

/// What happens to a pod's log.
#[derive(Debug, Clone)]
enum Act {
    /// A line of the container in parts of a length, with lines of standard error between them.
    Stdout {
        parts: usize,
        between: usize,
        wide: bool,
    },
    Stderr,
    /// A line without a head.
    Torn,
    /// Some bytes of the next line of the file.
    Half,
    /// A part, whose last one comes later, perhaps in another file.
    Part,
    /// kubelet's rotation.
    Rotate,
    /// kubelet's compression of the oldest plain file.
    Compress,
    Read {
        chunks: usize,
    },
    Settle {
        chunks: usize,
    },
    Save,
    Kill,
    Reload,
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1_usize..6, 0_usize..3, any::<bool>())
            .prop_map(|(parts, between, wide)| Act::Stdout { parts, between, wide }),
        2 => Just(Act::Stderr),
        1 => Just(Act::Torn),
        2 => Just(Act::Half),
        3 => Just(Act::Part),
        3 => Just(Act::Rotate),
        2 => Just(Act::Compress),
        6 => (1_usize..5).prop_map(|chunks| Act::Read { chunks }),
        4 => (1_usize..4).prop_map(|chunks| Act::Settle { chunks }),
        2 => Just(Act::Save),
        2 => Just(Act::Kill),
        1 => Just(Act::Reload),
        1 => Just(Act::Wait),
    ]
}

/// What the index has of a record, by the file's identity and the record's offset.
type Index = BTreeMap<(StreamId, u64), (String, Shape, bool)>;

/// The file of a chunk in delivery, its records with their ends, and its end.
type InFlight = (FileKey, Vec<(Got, u64)>, u64);

struct Pods {
    host: Host,
    /// The content of each file that was rotated, oldest first, and its name while it is not compressed.
    rotated: Vec<(Vec<u8>, Option<String>)>,
    number: usize,
    /// The rest of a line whose first bytes are written.
    rest: Vec<u8>,
    in_flight: Vec<InFlight>,
    index: Index,
}

impl Pods {
    fn new(read_bytes: usize) -> Self {
        let mut host = host(FramingSetting::Auto);
        host.settings.read_bytes = read_bytes;
        host.start();
        Self {
            host,
            rotated: vec![],
            number: 0,
            rest: vec![],
            in_flight: vec![],
            index: Index::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        self.host.fs.append(LIVE, &[&rest, bytes].concat());
    }

    /// A line of the runtime; each has another time.
    fn line(&mut self, stream: &str, tag: &str, filler: usize) -> Vec<u8> {
        self.number += 1;
        let number = self.number;
        let head = format!("2026-11-27T12:00:00.{number:09}Z {stream} {tag} ");
        let mut line = head.into_bytes();
        line.extend(format!("{number:05}{}\n", "x".repeat(filler)).bytes());
        line
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Stdout {
                parts,
                between,
                wide,
            } => {
                for at in 1..=parts {
                    let filler = if wide { 1500 } else { self.number % 30 };
                    let tag = if at < parts { "P" } else { "F" };
                    let line = self.line("stdout", tag, filler);
                    self.write(&line);
                    for _ in 0..between {
                        let line = self.line("stderr", "P", 3);
                        self.write(&line);
                    }
                }
            }
            Act::Stderr => {
                let line = self.line("stderr", "F", 20);
                self.write(&line);
            }
            Act::Torn => {
                self.number += 1;
                let text = format!("torn {}\n", self.number);
                self.write(text.as_bytes());
            }
            Act::Half => {
                let line = self.line("stdout", "F", 9);
                let (begun, rest) = line.split_at(line.len() / 2);
                self.write(begun);
                self.rest = rest.to_vec();
            }
            Act::Part => {
                let line = self.line("stdout", "P", 9);
                self.write(&line);
            }
            // A runtime writes whole lines, and kubelet rotates no empty file.
            Act::Rotate if self.host.fs.exists(LIVE) => {
                self.write(b"");
                let name = format!("{LIVE}.20261127-1200{:02}", self.rotated.len() % 60);
                if self.rotated.len() < 60 {
                    let content = self.host.fs.content(LIVE);
                    self.host.fs.mv(LIVE, &name);
                    self.rotated.push((content, Some(name)));
                }
            }
            Act::Rotate => {}
            Act::Compress => {
                let plain = self.rotated.iter_mut().find_map(|(_, name)| name.take());
                if let Some(name) = plain {
                    self.host.fs.gzip(&name, &format!("{name}.gz"));
                }
            }
            Act::Read { chunks } => {
                self.host.tailer().reconcile();
                for _ in 0..chunks {
                    self.read_chunk();
                }
            }
            Act::Settle { chunks } => {
                for _ in 0..chunks.min(self.in_flight.len()) {
                    self.settle_first();
                }
            }
            Act::Save => self.host.tailer().save().unwrap(),
            Act::Kill => {
                // What was in delivery may have arrived.
                for (_, records, _) in std::mem::take(&mut self.in_flight) {
                    self.arrive(records.into_iter().map(|(got, _)| got));
                }
                self.host.start();
            }
            Act::Reload => {
                self.in_flight.clear();
                self.host.reload();
            }
            Act::Wait => self.host.wait(6),
        }
    }

    fn read_chunk(&mut self) -> bool {
        let Some(chunk) = self.host.tailer.as_mut().unwrap().read() else {
            return false;
        };
        let records = records_of(&chunk);
        let (file, end) = (chunk.file, chunk.end);
        self.in_flight.push((file, records, end));
        true
    }

    /// Everything of the oldest chunk is durable, one record after the other.
    fn settle_first(&mut self) -> bool {
        if self.in_flight.is_empty() {
            return false;
        }
        let (file, records, end) = self.in_flight.remove(0);
        for (got, record_end) in records {
            self.arrive([got]);
            self.host.tailer().settle(file, record_end);
        }
        self.host.tailer().settle(file, end);
        true
    }

    fn arrive(&mut self, records: impl IntoIterator<Item = Got>) {
        for (stream, offset, text, shape, is_first) in records {
            let document = (text, shape, is_first);
            // A record that is read again makes the same document.
            let known = self
                .index
                .entry((stream, offset))
                .or_insert(document.clone());
            assert_eq!(*known, document, "at {offset}");
        }
    }

    fn drain(&mut self) {
        for _ in 0..60 {
            self.host.wait(20);
            self.host.tailer().reconcile();
            while self.read_chunk() {}
            while self.settle_first() {}
            self.host.tailer().save().unwrap();
        }
    }
}

/// The records of a file by its bytes alone. The last one of a live file may be open.
fn expected(content: &[u8], is_live: bool) -> Vec<(u64, String, Shape)> {
    let mut records: Vec<(u64, String, Shape)> = vec![];
    let mut open: Option<(u64, String)> = None;
    let mut offset = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let at = offset;
        offset += line.len() as u64;
        let text = std::str::from_utf8(line).unwrap();
        let Some(text) = text.strip_suffix('\n') else {
            break;
        };
        let mut fields = text.splitn(4, ' ');
        let (_, stream, tag) = (fields.next(), fields.next(), fields.next());
        let payload = fields.next().unwrap_or_default();
        match (stream, tag) {
            (Some("stderr"), _) => {}
            (Some("stdout"), tag) => {
                let (at, mut joined) = open.take().unwrap_or((at, String::new()));
                joined += payload;
                match tag {
                    Some("P") => open = Some((at, joined)),
                    _ => records.push((at, joined, Shape::Whole)),
                }
            }
            _ => {
                records.extend(open.take().map(|(at, text)| (at, text, Shape::BrokenOff)));
                records.push((at, text.to_owned(), Shape::Unframed));
            }
        }
    }
    records.extend(
        open.filter(|_| !is_live)
            .map(|(at, text)| (at, text, Shape::BrokenOff)),
    );
    for (_, text, _) in &mut records {
        text.truncate(LIMIT);
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000,
        ..crate::replay::lives(600)
    })]

    /// Each record of each file of a pod is indexed once, at the offset of its first part, however the file is rotated,
    /// compressed, and read again.
    #[test]
    fn every_record_of_a_pod_once(
        read_bytes in 100_usize..2_000,
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut pods = Pods::new(read_bytes);
        // Another first line would make the first file raw.
        let first = pods.line("stderr", "F", 3);
        pods.write(&first);
        for act in &acts {
            pods.act(act);
            if !pods.host.fs.exists(LIVE) {
                let first = pods.line("stderr", "F", 3);
                pods.write(&first);
            }
        }
        pods.drain();
        let files = pods.rotated.iter().map(|(content, _)| (content.clone(), false));
        let live = pods.host.fs.content(LIVE);
        let mut left: HashMap<String, (u64, Shape, bool)> = HashMap::new();
        for (content, is_live) in files.chain([(live, true)]) {
            for (at, (offset, text, shape)) in expected(&content, is_live).into_iter().enumerate() {
                left.insert(text, (offset, shape, at == 0));
            }
        }
        for ((_, offset), (text, shape, is_first)) in &pods.index {
            prop_assert_eq!(left.remove(text), Some((*offset, *shape, *is_first)), "{}", &text[..text.len().min(40)]);
        }
        prop_assert!(left.is_empty(), "not indexed: {:.200?}", left);
        // Nothing is read again.
        pods.host.start();
        let again = pods.host.payloads();
        let compressed = pods.rotated.iter().any(|(_, name)| name.is_none());
        prop_assert!(again.is_empty() || compressed, "{:.200?}", again);
    }
}
