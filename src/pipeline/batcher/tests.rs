//! Random traffic against a model: which lines were taken, are in delivery, and are settled.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::super::harness;
use super::super::scripted_output::{self, Ending, IdFraming, ScriptedOutput};
use super::*;
use crate::framing::LineFraming;
use crate::record::StaleFormats;
use crate::tail::watch::Watcher;

const BYTES: usize = 4 * 1024;
const COUNT: usize = 7;
const AGE: Duration = Duration::from_secs(1);
/// 2026-11-23, 04:00 UTC, in milliseconds.
const NOW: i64 = 1_795_406_400_000;
/// A line much longer than the configured size of a batch.
const HUGE: usize = 24 * 1024;
/// More than a document of these tests has.
const DOCUMENT: usize = HUGE + 1024;

fn settings(max_in_flight: usize) -> Settings {
    Settings {
        batch_bytes: BYTES,
        batch_count: COUNT,
        flush_interval: AGE,
        max_in_flight,
        reconcile_interval: Duration::from_secs(10),
        shutdown_timeout: Duration::from_secs(5),
        once: false,
    }
}

/// A kind of line.
#[derive(Debug, Clone, Copy)]
enum Line {
    Good,
    Rubbish,
    Expired,
    Blank,
    Wide,
    Huge,
}

/// The expected outcome of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Expired,
    Blank,
}

impl Line {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Good => out.extend_from_slice(b"1795406399.123 a\n"),
            Self::Rubbish => out.extend_from_slice(b"rubbish\n"),
            Self::Expired => out.extend_from_slice(b"1695406399.123 a\n"),
            Self::Blank => out.extend_from_slice(b" \r\n"),
            Self::Wide => Self::write_wide(900, out),
            Self::Huge => Self::write_wide(HUGE, out),
        }
    }
}

impl Line {
    fn write_wide(width: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"1795406399.123 ");
        out.resize(out.len() + width, b'w');
        out.push(b'\n');
    }
}

#[derive(Debug, Clone)]
enum Op {
    Take(u64, Vec<Line>),
    /// The beginning of a line that is longer than the limit.
    TakeCut(u64),
    Settle(prop::sample::Index),
    Flush,
}

fn any_op() -> impl Strategy<Value = Op> {
    let line = prop_oneof![
        6 => Just(Line::Good), 1 => Just(Line::Rubbish), 2 => Just(Line::Expired), 2 => Just(Line::Wide),
        1 => Just(Line::Huge), 2 => Just(Line::Blank),
    ];
    prop_oneof![
        4 => (0..3_u64, prop::collection::vec(line, 1..30)).prop_map(|(file, lines)| Op::Take(file, lines)),
        1 => (0..3_u64).prop_map(Op::TakeCut),
        6 => any::<prop::sample::Index>().prop_map(Op::Settle),
        1 => Just(Op::Flush),
    ]
}

fn stream(file: u64) -> [u8; 10] {
    [u8::try_from(file).unwrap(); 10]
}

/// The batcher, its surroundings, and the expected results.
struct Lab {
    batcher: Batcher<ScriptedOutput>,
    output: Arc<ScriptedOutput>,
    runtime: Runtime,
    telemetry: Telemetry,
    buffers: usize,
    now: Duration,
    /// Per file, where the next line begins.
    ends: [u64; 3],
    /// The lines given, in order: file, offset, and expected outcome.
    given: Vec<(u64, u64, Way)>,
    /// Items in the order of sending.
    sent: Vec<([u8; 6], u64)>,
    /// Orders seen so far, and their spans in the order of sending.
    spans: Vec<Span>,
    /// Spans in delivery.
    out: Vec<Vec<Span>>,
    settled: [u64; 3],
}

impl Lab {
    fn new(max_in_flight: usize) -> Self {
        let (output, runtime, telemetry) = (
            scripted_output::scripted_output(),
            scripted_output::runtime(),
            Telemetry::default(),
        );
        let retention = Some(Duration::from_secs(86_400));
        let batcher = Batcher::new(
            &settings(max_in_flight),
            harness::recorder(retention, IdFraming),
            Arc::clone(&output),
            runtime.handle().clone(),
            Watcher::new(true).waker(),
            telemetry.clone(),
        );
        Self {
            batcher,
            output,
            runtime,
            telemetry,
            buffers: max_in_flight + 1,
            now: Duration::from_secs(100),
            ends: [0; 3],
            given: vec![],
            sent: vec![],
            spans: vec![],
            out: vec![],
            settled: [0; 3],
        }
    }

    fn take(&mut self, file: u64, bytes: &[u8], width: u64, cut: bool) {
        let end = &mut self.ends[usize::try_from(file).unwrap()];
        let offset = *end;
        *end += width;
        let chunk = Chunk {
            file: FileKey(file),
            log: 0,
            stream: StreamId(stream(file)),
            path: scripted_output::path(),
            offset,
            end: *end,
            marker: 0,
            bytes,
            cut,
            limit: 4096,
            framing: LineFraming::Raw,
            is_first: true,
            passed_over: 0,
        };
        let mut at = offset;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let way = match line.first() {
                Some(b' ') => Way::Blank,
                _ if line.starts_with(b"16") => Way::Expired,
                _ => Way::Sent,
            };
            self.given.push((file, at, way));
            at += line.len() as u64;
        }
        self.batcher.take(chunk, self.now, NOW);
    }

    fn run(&mut self, op: &Op) {
        match op {
            // the reader asks before it reads
            Op::Take(..) | Op::TakeCut(_) if self.batcher.is_full() => {}
            Op::Take(file, lines) => {
                let mut bytes = vec![];
                lines.iter().for_each(|line| line.write(&mut bytes));
                self.take(*file, &bytes, bytes.len() as u64, false);
            }
            Op::TakeCut(file) => self.take(*file, b"1795406399.123 aaaa", 5000, true),
            Op::Settle(index) => {
                if self.output.waiting() > 0 {
                    let index = index.index(self.output.waiting());
                    self.output.end(index, Ending::Settled);
                    self.out.remove(index);
                }
            }
            Op::Flush => self.batcher.send(),
        }
        self.advance();
    }

    /// Runs deliveries and acks, and checks everything.
    fn advance(&mut self) {
        self.batcher.resume(self.now, NOW);
        scripted_output::turn(&self.runtime);
        for order in &self.output.pending.lock().unwrap()[self.out.len()..] {
            assert!(order.lines.len() <= COUNT);
            assert!(order.bytes < BYTES + DOCUMENT, "{}", order.bytes);
            self.sent.extend(&order.lines);
            self.spans.extend(order.spans.iter().cloned());
            self.out.push(order.spans.clone());
        }
        let settled = &mut self.settled;
        self.batcher
            .take_returns(|file, offset| {
                let before = &mut settled[usize::try_from(file.0).unwrap()];
                assert!(*before < offset, "{before} {offset}");
                *before = offset;
            })
            .unwrap();
        self.check();
    }

    fn check(&self) {
        let batcher = &self.batcher;
        let open = usize::from(batcher.open.is_some());
        assert_eq!(
            batcher.free.len() + open + batcher.unacknowledged(),
            self.buffers
        );
        assert!(self.output.waiting() <= self.buffers);
        for batch in &batcher.free {
            assert!(batch.body.is_empty() && batch.items.is_empty() && batch.spans.is_empty());
            assert!(batch.body.capacity() <= BYTES + SLACK);
        }
        let accounts = self.telemetry.snapshot().accounts;
        assert!(accounts.balance(), "{accounts:?}");
        // a line is taken in order: what is in no batch yet is the end of the last chunk
        let taken = &self.given[..usize::try_from(accounts.read).unwrap()];
        assert!(batcher.pending.is_some() || taken.len() == self.given.len());
        let count = |way| taken.iter().filter(|(.., found)| *found == way).count() as u64;
        assert_eq!(accounts.expired, count(Way::Expired));
        assert_eq!(accounts.settled.filtered, count(Way::Blank));
        let parsing = self.telemetry.snapshot().parsing;
        let errors: u64 = parsing.errors.values().sum();
        assert_eq!(
            parsing.parsed.values().sum::<u64>() + errors,
            count(Way::Sent)
        );
        for (file, settled) in (0..).zip(&self.settled) {
            let open = batcher.open.iter().flat_map(|open| &open.batch.spans);
            let held = self.out.iter().flatten().chain(open);
            let held = held
                .filter(|span| span.file.0 == file)
                .map(|span| span.from);
            let pending = batcher
                .pending
                .iter()
                .filter(|pending| pending.file.0 == file);
            let first = held.chain(pending.map(|pending| pending.offset)).min();
            // everything before the first held span is settled, and nothing after it
            let end = self.ends[usize::try_from(file).unwrap()];
            assert_eq!(*settled, first.unwrap_or(end));
        }
    }

    /// Everything is taken and settled; each line was in one span, and was sent once, in order.
    fn finish(mut self) {
        for _ in 0..10_000 {
            if self.batcher.is_empty() {
                break;
            }
            self.batcher.send();
            self.advance();
            while self.output.waiting() > 0 {
                self.output.end(0, Ending::Settled);
                self.out.remove(0);
            }
            self.advance();
        }
        assert!(self.batcher.is_empty());
        self.advance();
        assert_eq!(self.settled, self.ends);
        let expected: Vec<_> = self
            .given
            .iter()
            .filter(|(.., way)| *way == Way::Sent)
            .map(|(file, offset, _)| (stream(*file)[..6].try_into().unwrap(), *offset))
            .collect();
        assert_eq!(self.sent, expected);
        // each file's spans are adjacent: every line is in exactly one
        for (file, end) in (0..).zip(self.ends) {
            let mut at = 0;
            for span in self.spans.iter().filter(|span| span.file.0 == file) {
                assert!(span.from >= at);
                let lines = self.given.iter().filter(|(other, offset, _)| {
                    *other == file && (span.from..span.to).contains(offset)
                });
                assert_eq!(lines.count(), span.lines as usize);
                // between spans there may be lines that are not sent
                let between = self.given.iter().filter(|(other, offset, way)| {
                    *other == file && *way == Way::Sent && (at..span.from).contains(offset)
                });
                assert_eq!(between.count(), 0);
                at = span.to;
            }
            assert!(at <= end);
        }
        let accounts = self.telemetry.snapshot().accounts;
        assert_eq!((accounts.in_flight, accounts.released), (0, 0));
        let settled = accounts.settled;
        assert_eq!(settled.total() - settled.filtered, expected.len() as u64);
    }
}

proptest! {
    #![proptest_config(crate::replay::lives(200))]

    #[test]
    fn every_line_is_sent_once_whatever_the_output_does(
        ops in prop::collection::vec(any_op(), 1..60), max_in_flight in 1..4_usize,
    ) {
        let mut lab = Lab::new(max_in_flight);
        for op in &ops {
            lab.run(op);
        }
        lab.finish();
    }
}

fn good(count: usize) -> Vec<u8> {
    let mut bytes = vec![];
    (0..count).for_each(|_| Line::Good.write(&mut bytes));
    bytes
}

#[test]
fn a_batcher_without_a_free_buffer_keeps_one_pending_chunk() {
    let mut lab = Lab::new(2);
    let bytes = good(10 * COUNT);
    lab.take(0, &bytes, bytes.len() as u64, false);
    lab.advance();
    assert!(lab.batcher.is_full());
    assert_eq!(lab.output.waiting(), 3);
    assert_eq!(lab.telemetry.snapshot().accounts.read, 3 * COUNT as u64);
    let pending = lab.batcher.pending.as_ref().unwrap();
    assert_eq!(pending.bytes.len(), bytes.len() * 7 / 10);
    lab.finish();
}

#[test]
fn a_batch_leaves_when_it_has_its_bytes_or_its_count() {
    let mut lab = Lab::new(2);
    let bytes = good(COUNT - 1);
    lab.take(0, &bytes, bytes.len() as u64, false);
    lab.advance();
    assert_eq!(lab.output.waiting(), 0);
    assert_eq!(lab.batcher.flush_at(), Some(lab.now + AGE));
    let bytes = good(1);
    lab.now += AGE / 2;
    lab.take(1, &bytes, bytes.len() as u64, false);
    lab.advance();
    assert_eq!(lab.output.waiting(), 1);
    assert_eq!(lab.batcher.flush_at(), None);
    assert_eq!(lab.output.pending.lock().unwrap()[0].spans.len(), 2);
    let mut bytes = vec![];
    (0..4).for_each(|_| Line::Wide.write(&mut bytes));
    lab.take(0, &bytes, bytes.len() as u64, false);
    lab.advance();
    assert_eq!(lab.output.waiting(), 2);
    assert!(lab.output.pending.lock().unwrap()[1].lines.len() < COUNT);
    lab.finish();
}

#[test]
fn expired_and_blank_lines_are_settled_without_a_delivery() {
    for line in [Line::Expired, Line::Blank] {
        let mut lab = Lab::new(1);
        let mut bytes = vec![];
        (0..20).for_each(|_| line.write(&mut bytes));
        lab.take(0, &bytes, bytes.len() as u64, false);
        lab.batcher.send();
        lab.advance();
        assert_eq!(lab.settled[0], bytes.len() as u64);
        assert!(lab.batcher.is_empty());
    }
}

#[test]
fn blank_lines_are_counted_as_filtered() {
    let mut lab = Lab::new(1);
    let mut bytes = b"\n\r\n \t\r\n".to_vec();
    bytes.extend(good(1));
    lab.batcher.take(
        Chunk {
            file: FileKey(0),
            log: 0,
            stream: StreamId(stream(0)),
            path: scripted_output::path(),
            offset: 0,
            end: bytes.len() as u64,
            marker: 0,
            bytes: &bytes,
            cut: false,
            limit: 4096,
            framing: LineFraming::Raw,
            is_first: true,
            passed_over: 0,
        },
        lab.now,
        NOW,
    );
    let accounts = lab.telemetry.snapshot().accounts;
    let counts = (accounts.read, accounts.settled.filtered, accounts.in_flight);
    assert_eq!(counts, (4, 3, 1));
    let batch = &lab.batcher.open.as_ref().unwrap().batch;
    assert_eq!((batch.items.len(), batch.spans[0].lines), (1, 4));
}

#[test]
fn a_delivery_that_panics_is_reported_and_settles_nothing() {
    let mut lab = Lab::new(2);
    let bytes = good(2 * COUNT);
    lab.take(0, &bytes, bytes.len() as u64, false);
    scripted_output::turn(&lab.runtime);
    lab.output.end(0, Ending::Panic);
    lab.output.end(0, Ending::Settled);
    scripted_output::turn(&lab.runtime);
    let returned = lab
        .batcher
        .take_returns(|file, offset| panic!("{file:?} {offset}"));
    assert!(matches!(returned, Err(Broken)));
    assert!(lab.telemetry.snapshot().accounts.balance());
}

#[test]
fn recalled_and_unsent_lines_are_released() {
    let mut lab = Lab::new(1);
    let bytes = good(COUNT + 3);
    lab.take(0, &bytes, bytes.len() as u64, false);
    lab.batcher.recall();
    lab.out.clear();
    scripted_output::turn(&lab.runtime);
    lab.batcher
        .take_returns(|file, offset| panic!("{file:?} {offset}"))
        .unwrap();
    let accounts = lab.telemetry.snapshot().accounts;
    assert_eq!((accounts.released, accounts.in_flight), (COUNT as u64, 3));
    lab.batcher.release();
    let accounts = lab.telemetry.snapshot().accounts;
    assert_eq!(
        (accounts.released, accounts.in_flight),
        (COUNT as u64 + 3, 0)
    );
    assert!(lab.batcher.is_empty());
}

#[test]
fn each_file_has_its_own_last_time() {
    let mut lab = Lab::new(1);
    lab.take(0, b"1795406111.000 a\n", 17, false);
    lab.take(1, b"rubbish\n", 8, false);
    lab.take(0, b"rubbish\n", 8, false);
    let batch = &lab.batcher.open.as_ref().unwrap().batch;
    let shown = |index| {
        let text = String::from_utf8(batch.item(index).unwrap().to_vec()).unwrap();
        let from = text.find("@timestamp\":\"").unwrap() + 13;
        text[from..from + 24].to_owned()
    };
    assert_eq!(shown(0), "2026-11-23T03:55:11.000Z");
    assert_eq!(shown(1), "2026-11-23T04:00:00.000Z");
    assert_eq!(shown(2), "2026-11-23T03:55:11.000Z");
}

#[test]
fn the_times_of_many_files_are_bounded() {
    let mut lab = Lab::new(1);
    let time = Stamp {
        seconds: 0,
        nanos: 0,
        offset_minutes: None,
    };
    let files = (1000..).map(FileKey).take(REMEMBERED_FILES);
    lab.batcher
        .last_times
        .extend(files.map(|file| (file, time)));
    lab.take(0, b"1795406111.000 a\n", 17, false);
    assert_eq!(lab.batcher.last_times.len(), 1);
}

#[test]
fn a_line_of_no_known_format_waits_while_the_formats_are_out_of_date() {
    let mut lab = Lab::new(2);
    let outdated = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&outdated);
    lab.batcher.recorder = harness::recorder(None, IdFraming)
        .with_stale_formats(StaleFormats::new(move || asked.load(Ordering::Relaxed)));
    let mut bytes = good(2);
    Line::Rubbish.write(&mut bytes);
    bytes.extend(good(1));
    lab.take(0, &bytes, bytes.len() as u64, false);
    lab.advance();
    assert!(lab.batcher.is_full(), "nothing is read meanwhile");
    assert_eq!(lab.telemetry.snapshot().accounts.read, 2);
    // Lines that were taken are delivered, and resuming again changes nothing.
    lab.batcher.send();
    lab.advance();
    lab.output.end(0, Ending::Settled);
    lab.out.remove(0);
    lab.advance();
    let before = bytes.len() - good(1).len() - b"rubbish\n".len();
    assert_eq!(lab.settled[0], before as u64);

    // The formats have not changed, so the line is recorded as unparsed.
    outdated.store(false, Ordering::Relaxed);
    lab.advance();
    assert!(!lab.batcher.is_full());
    let snapshot = lab.telemetry.snapshot();
    assert_eq!(snapshot.accounts.read, 4);
    assert_eq!(snapshot.parsing.errors.values().sum::<u64>(), 1);
    lab.finish();
}
