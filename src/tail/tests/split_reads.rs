//! A file that is emptied, and written again, while one read of it is under way.

use super::{Host, LIVE};

/// The read begins in the old content and ends in the new one, which is longer.
#[test]
fn a_truncation_in_the_middle_of_a_read_does_not_join_two_contents() {
    for (read, long) in [(0, false), (1, false), (40, false), (40, true)] {
        let mut host = Host::logs(&[LIVE]);
        host.settings.read_bytes = 4096;
        let numbered = |from: usize| {
            let line = |number| format!("line {number:05} {}\n", "x".repeat(number % 50));
            (from..from + 100).map(line).collect::<String>()
        };
        let before = numbered(1);
        let begun = before.split_inclusive('\n').take(read);
        let begun: usize = begun.map(str::len).sum();
        host.fs.append(LIVE, &before.as_bytes()[..begun]);
        host.start();
        assert_eq!(host.texts().len(), read);
        host.fs.append(LIVE, &before.as_bytes()[begun..]);
        if long {
            host.fs.append(LIVE, "y".repeat(5000).as_bytes());
            host.fs.append(LIVE, b"\n");
        }
        host.fs.cp(LIVE, "/logs/access.log.1");
        let after = format!("{}{}", numbered(1001), numbered(2001));
        // Behind the window, so that it alone says nothing.
        host.fs.truncate_in_read(LIVE, 1500, after.as_bytes());
        let mut texts = host.texts();
        texts.extend(host.texts());
        let written = format!("{}{after}", &before[begun..]);
        let mut expected: Vec<String> = written.lines().map(str::to_owned).collect();
        if long {
            expected.push("y".repeat(4096));
        }
        texts.sort();
        expected.sort();
        assert_eq!(texts, expected, "{read} lines read before");
        assert_eq!(host.tailer().stats().truncations, 1);
    }
}

/// The beginning of an over-long line is read for itself, long after its end was looked for.
#[test]
fn a_truncation_in_the_middle_of_a_long_line_does_not_join_two_contents() {
    for first in ["", "one\n"] {
        let mut host = Host::logs(&[LIVE]);
        host.settings.read_bytes = 1024;
        host.start();
        host.fs.append(LIVE, first.as_bytes());
        let before = host.texts();
        host.fs.append(LIVE, &b"z".repeat(6000));
        assert!(host.texts().is_empty());
        host.fs.append(LIVE, b"\n");
        let after = format!("{}\n{}\n", "a".repeat(3000), "b".repeat(4000));
        host.fs.truncate_in_read(LIVE, 2000, after.as_bytes());
        let mut texts = before;
        texts.extend(host.texts());
        texts.extend(host.texts());
        let mut expected: Vec<&str> = first.lines().collect();
        expected.extend(after.lines());
        assert_eq!(texts, expected);
    }
}

/// The copy was found before the first line of its original was read, so that it could not be recognised as one.
#[test]
fn bytes_of_a_copy_that_was_read_as_a_separate_stream_do_not_count_as_lost() {
    for same in [true, false] {
        let mut host = Host::logs(&[LIVE]);
        host.fs.append(LIVE, b"one\n");
        host.start();
        assert_eq!(host.texts(), ["one"]);
        host.fs.truncate(LIVE, 0);
        let lines = |texts: &[&str]| -> String {
            let line = |text: &&str| format!("{text} {}\n", "x".repeat(30));
            texts.iter().map(line).collect()
        };
        let written = lines(&["two", "three", "four"]);
        host.fs.append(LIVE, written.as_bytes());
        let copied = if same {
            written
        } else {
            lines(&["two", "drei", "vier"])
        };
        host.fs.append("/logs/access.log.1", copied.as_bytes());
        // Two lines of each.
        for _ in 0..4 {
            host.tailer().read().unwrap();
        }
        host.fs.truncate(LIVE, 0);
        for _ in 0..3 {
            host.texts();
            host.wait(61);
        }
        let lost = &host.tailer().stats().lost_bytes;
        assert_eq!(lost.is_empty(), same, "{lost:?}");
    }
}
