//! The framing against a writer like containerd's, and a reader of any step.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Bytes of a payload in one line of containerd; `max_container_log_line_size` of its CRI plugin is 16 KiB.
const SPLIT: usize = 16;
const LIMIT: usize = 60;

/// A line of a container, or what else may be in its file.
#[derive(Debug, Clone)]
enum Written {
    /// Bytes of standard output, and lines of standard error between its parts.
    Stdout {
        length: usize,
        between: usize,
    },
    Stderr {
        parts: bool,
    },
    /// A line without a head.
    Unframed {
        length: usize,
    },
    /// A part whose rest never comes.
    BrokenOff {
        parts: usize,
    },
}

/// A record as it must be read: offset, payload, shape, and whether it is cut.
type Expected = (usize, Vec<u8>, Shape, bool);

/// What the writer has written.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    records: Vec<Expected>,
    stderr: u64,
    number: usize,
}

impl File {
    fn line(&mut self, stream: &str, tag: &str, payload: &[u8]) {
        self.number += 1;
        let fraction = self.number;
        let head = format!("2026-11-27T12:00:00.{fraction:09}+01:00 {stream} {tag} ");
        self.bytes.extend(head.as_bytes());
        self.bytes.extend(payload);
        self.bytes.push(b'\n');
        self.stderr += u64::from(stream == "stderr");
    }

    fn text(&mut self, length: usize) -> Vec<u8> {
        self.number += 1;
        let mut text = format!("{:04}", self.number).into_bytes();
        text.resize(length.max(4), b'x');
        text
    }

    fn write(&mut self, written: &Written) {
        let offset = self.bytes.len();
        match *written {
            Written::Stdout { length, between } => {
                let text = self.text(length);
                let last = (text.len() - 1) / SPLIT;
                for (at, part) in text.chunks(SPLIT).enumerate() {
                    self.line("stdout", if at < last { "P" } else { "F:x" }, part);
                    for _ in 0..if at < last { between } else { 0 } {
                        self.line("stderr", "F", b"stdout F no");
                    }
                }
                self.expect(offset, &text, Shape::Whole);
            }
            Written::Stderr { parts } => self.line("stderr", if parts { "P" } else { "F" }, b"e"),
            Written::Unframed { length } => {
                let text = self.text(length);
                self.bytes.extend(&text);
                self.bytes.push(b'\n');
                self.expect(offset, &text, Shape::Unframed);
            }
            Written::BrokenOff { parts } => {
                let text = self.text(parts * SPLIT);
                for part in text.chunks(SPLIT) {
                    self.line("stdout", "P", part);
                }
                // Only a line without a head shows that no more comes.
                self.expect(offset, &text, Shape::BrokenOff);
                self.write(&Written::Unframed { length: 4 });
            }
        }
    }

    fn expect(&mut self, offset: usize, text: &[u8], shape: Shape) {
        let cut = &text[..text.len().min(LIMIT)];
        self.records
            .push((offset, cut.to_vec(), shape, text.len() > LIMIT));
    }
}

fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        6 => (1_usize..40, 0_usize..2).prop_map(|(length, between)| Written::Stdout { length, between }),
        2 => (30_usize..150, 0_usize..9).prop_map(|(length, between)| Written::Stdout { length, between }),
        2 => any::<bool>().prop_map(|parts| Written::Stderr { parts }),
        1 => prop_oneof![Just(4_usize), Just(LIMIT), Just(LIMIT + 1)].prop_map(|length| Written::Unframed { length }),
        1 => (1_usize..7).prop_map(|parts| Written::BrokenOff { parts }),
    ]
}

/// The records of a chunk.
fn records(bytes: &[u8], offset: usize, found: &mut Vec<Expected>) -> u64 {
    let (mut records, mut taken, mut passed_over) = (Records::default(), 0, 0);
    while taken < bytes.len() {
        let next = records.next(&bytes[taken..], LIMIT, false);
        if let Some(record) = next.record {
            let (payload, cut) = (record.payload.to_vec(), record.is_cut);
            found.push((offset + taken, payload, record.shape, cut));
        }
        passed_over += next.passed_over;
        taken += next.width;
    }
    passed_over
}

proptest! {
    /// Whatever is read at once, the records are those that were written; and reading may begin again wherever a chunk
    /// ended.
    #[test]
    fn framed_lines_come_back_as_they_were_written(
        lines in prop::collection::vec(written(), 1..12),
        steps in prop::collection::vec(1_usize..200, 1..8),
    ) {
        let mut file = File::default();
        lines.iter().for_each(|line| file.write(line));
        let (mut found, mut passed_over) = (vec![], 0);
        let (mut read, mut step) = (0, 0);
        while read < file.bytes.len() {
            let rest = &file.bytes[read..];
            let block = &rest[..rest.len().min(steps[step % steps.len()] + MAX_LINE)];
            step += 1;
            let lines = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let closed = closed(&block[..lines], LineFraming::Cri, false);
            if closed.bytes > 0 {
                let before = found.len();
                passed_over += records(&block[..closed.bytes], read, &mut found);
                prop_assert_eq!(closed.has_record, found.len() > before);
                read += closed.bytes;
                continue;
            }
            // The record does not end in the block.
            let length = record_length(rest, &steps);
            let condensed = condense(&rest[..length], &steps);
            prop_assert!(condensed.kept().len() <= 3 * cri::MAX_HEAD + LIMIT + 1);
            let before = found.len();
            prop_assert_eq!(records(condensed.kept(), read, &mut found), 0);
            prop_assert_eq!(found.len(), before + 1);
            passed_over += condensed.passed_over();
            read += length;
        }
        prop_assert_eq!(&found, &file.records);
        prop_assert_eq!(passed_over, file.stderr);
    }

    #[test]
    fn any_bytes_make_records_without_end_or_panic(bytes in "[PF:0-9TZ. \nstdouer+-]{0,200}") {
        let mut text = bytes.replace("s", "2026-11-27T12:00:00Z stdout ").into_bytes();
        text.push(b'\n');
        let closed = closed(&text, LineFraming::Cri, false);
        prop_assert!(closed.bytes <= text.len());
        let mut found = vec![];
        records(&text, 0, &mut found);
        condense(&text, &[7, 100]);
        RecordEnd::default().search(&text);
    }
}

/// Longer than any line of these tests.
const MAX_LINE: usize = 120;

fn record_length(bytes: &[u8], steps: &[usize]) -> usize {
    let (mut end, mut at, mut step) = (RecordEnd::default(), 0, 0);
    loop {
        let part = &bytes[at..bytes
            .len()
            .min(at + cri::MAX_HEAD + steps[step % steps.len()])];
        step += 1;
        match end.search(part) {
            Searched::Ends(length) => return at + length,
            Searched::GoesOn(0) => return at,
            Searched::GoesOn(length) => at += length,
        }
    }
}

fn condense(bytes: &[u8], steps: &[usize]) -> Condenser {
    let (mut condenser, mut at, mut step) = (Condenser::new(LIMIT), 0, 0);
    while at < bytes.len() {
        let part = &bytes[at..bytes
            .len()
            .min(at + cri::MAX_HEAD + steps[step % steps.len()])];
        step += 1;
        match condenser.take(part) {
            0 => break,
            taken => at += taken,
        }
    }
    condenser
}

#[test]
fn the_first_line_decides_what_auto_is() {
    let auto = |line: &str| LineFraming::of(FramingSetting::Auto, line.as_bytes());
    for line in [
        "2026-11-27T12:00:00.123456789Z stdout F x",
        "2026-11-27T12:00:00.1+01:00 stderr P x",
        "2026-11-27T12:00:00Z stdout F x",
    ] {
        assert_eq!(auto(line), LineFraming::LikelyCri, "{line}");
    }
    for line in [
        // `$time_iso8601` of nginx, with fields that look like a stream and a tag
        "2026-11-27T12:00:00+00:00 stdout F x",
        "2026-11-27T12:00:00.123 stdout F x",
        "203.0.113.9 - - [27/Nov/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
        "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-27T12:00:00.1Z\"}",
        "",
    ] {
        assert_eq!(auto(line), LineFraming::Raw, "{line}");
    }
    let line = b"2026-11-27T12:00:00.1Z stdout F x";
    assert_eq!(LineFraming::of(FramingSetting::Raw, line), LineFraming::Raw);
    assert_eq!(LineFraming::of(FramingSetting::Cri, b"x"), LineFraming::Cri);
}

#[test]
fn a_line_of_one_part_is_borrowed() {
    let line = b"2026-11-27T12:00:00.1Z stdout F payload\nrest";
    let mut records = Records::default();
    let taken = records.next(line, LIMIT, false);
    let record = taken.record.unwrap();
    assert!(line.as_ptr_range().contains(&record.payload.as_ptr()));
    assert_eq!((taken.width, record.payload), (40, &b"payload"[..]));
    assert_eq!(record.time, b"2026-11-27T12:00:00.1Z");
    assert_eq!(records.joined.capacity(), 0);
}
