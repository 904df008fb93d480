//! Tables of candidates with the decision that each one gets.

use std::time::Duration;

use super::super::super::FileKey;
use super::super::super::discover::FoundBy;
use super::super::super::history::HistoryRule;
use super::super::{Decision, ExpiredFile};
use super::{
    A, B, Case, FIRST, OLD, SECOND, Stream, case, globbed, live, nameless, rotated, stream,
};

fn new() -> Decision {
    Decision::New { beside: None }
}

fn was_read(key: FileKey, to_its_end: bool) -> Decision {
    Decision::WasRead { key, to_its_end }
}

fn file_of(log: &str) -> Decision {
    Decision::OtherLog {
        name: log.into(),
        equally_likely: Vec::new(),
    }
}

/// Each case with the decision at the last chance.
fn check(cases: Vec<(&str, Case, Decision)>) {
    for (what, case, expected) in cases {
        assert_eq!(case.decide(true), expected, "{what}");
    }
}

#[test]
fn a_plain_file_of_its_own_log() {
    check(vec![
        ("half a line", live("on"), Decision::NoLine),
        ("an unknown live file", live("one\n"), new()),
        (
            "the rest of a live file",
            live("one\ntwo\n").with(stream(A, "one\n", 4)),
            Decision::Continue(FIRST),
        ),
        (
            "a live file without anything new",
            live("one\n").with(stream(A, "one\n", 4)),
            Decision::Continue(FIRST),
        ),
        (
            "the rest of a rotated file",
            rotated("one\ntwo\n").with(stream(A, "one\n", 4)),
            Decision::Continue(FIRST),
        ),
        (
            "a rotated file that was read",
            rotated("one\n").with(stream(A, "one\n", 4)),
            was_read(FIRST, true),
        ),
        (
            "a file that merely begins like what was read",
            live("one\nTWO\n").with(stream(A, "one\ntwo\n", 8)),
            new(),
        ),
        (
            "of two streams the one that was read further",
            rotated("one\ntwo\nthree\n")
                .with(stream(A, "one\n", 4))
                .with(stream(A, "one\ntwo\n", 8)),
            Decision::Continue(SECOND),
        ),
        (
            "a rotated file that is skipped history",
            rotated("one\n").with(stream(A, "one\n", 0).skipped()),
            was_read(FIRST, false),
        ),
    ]);
}

#[test]
fn an_unknown_rotated_file_is_history_only_if_it_existed_before_its_log_was_configured() {
    let unknown = || rotated("one\n");
    let rule = |rule: HistoryRule| unknown().rule(rule);
    check(vec![
        ("an old file of a new log", unknown(), Decision::History),
        (
            "a file of a log that was seen before",
            unknown().knows(A),
            new(),
        ),
        (
            "after a loss of the positions",
            rule(HistoryRule {
                read_all: true,
                ..OLD
            }),
            new(),
        ),
        (
            "after the clock was set",
            rule(HistoryRule {
                clock_was_set: true,
                ..OLD
            }),
            new(),
        ),
        (
            "changed since the last scan",
            rule(HistoryRule {
                since: Some(-1),
                ..OLD
            }),
            new(),
        ),
        (
            "changed before the last scan",
            rule(HistoryRule {
                since: Some(1),
                ..OLD
            }),
            Decision::History,
        ),
        (
            "younger than `history`",
            rule(HistoryRule {
                history: Duration::from_secs(2),
                ..OLD
            }),
            new(),
        ),
        ("a live file", live("one\n"), new()),
        ("a compressed file", unknown().gzip(), Decision::History),
    ]);
}

#[test]
fn a_copy_of_an_open_file_is_not_read_beside_it() {
    let open = |content| stream(A, "one\n", 4).live(content);
    check(vec![
        (
            "a copy",
            rotated("one\n").with(open("one\n")),
            Decision::ReadFromOpen(FIRST),
        ),
        (
            "a copy of an open file that grew",
            rotated("one\ntwo\n").with(open("one\ntwo\nx\n")),
            Decision::ReadFromOpen(FIRST),
        ),
        (
            "a longer file is another one that begins alike",
            rotated("one\ntwo\n").with(open("one\n")),
            Decision::New {
                beside: Some(FIRST),
            },
        ),
        (
            "the open file was truncated just now",
            rotated("one\ntwo\n").with(open("")),
            Decision::ReadFromOpen(FIRST),
        ),
        (
            "the open file is closed soon, and this one continues it",
            rotated("one\ntwo\n").with(stream(A, "one\n", 4).open("one\n", false, true)),
            Decision::ReadFromOpen(FIRST),
        ),
    ]);
}

#[test]
fn a_file_shorter_than_the_bytes_read_is_a_beginning_or_a_file_of_its_own() {
    let long = || stream(A, "one\ntwo\n", 8);
    let short = |stream: Stream| rotated("one\n").knows(A).with(stream);
    check(vec![
        (
            "of the open file",
            short(long().live("one\ntwo\n")),
            Decision::ReadFromOpen(FIRST),
        ),
        (
            "of a file that was read",
            short(long().closed("one\ntwo\n")),
            was_read(FIRST, false),
        ),
        ("of no file that is there", short(long()), new()),
        (
            "of a file with another content",
            short(long().closed("ONE\ntwo\n")),
            new(),
        ),
        ("a live file", live("one\n").with(long()), new()),
    ]);
    // The longer file may come later in the same scan.
    assert_eq!(short(long()).decide(false), Decision::AskAgain);
}

#[test]
fn a_compressed_file_of_its_own_log() {
    let text = "one\ntwo\n";
    let gzip = || rotated(text).gzip().knows(A);
    check(vec![
        ("unknown", gzip(), new()),
        ("what nginx writes", live(text).gzip(), Decision::LiveGzip),
        (
            "the rest of a stream",
            gzip().with(stream(A, "one\n", 4)),
            Decision::Continue(FIRST),
        ),
        (
            "the stream that ends with it before one that is longer",
            gzip()
                .with(stream(A, "one\ntwo\nx\n", 10))
                .with(stream(A, text, 8)),
            Decision::Continue(SECOND),
        ),
        (
            "decoded before",
            gzip().with(stream(A, text, 8).decoded()),
            was_read(FIRST, false),
        ),
        (
            "skipped before",
            gzip().with(stream(A, text, 0).skipped()),
            was_read(FIRST, false),
        ),
        (
            "another one was decoded before",
            gzip().with(stream(A, "one\nTWO\n", 8).decoded()),
            Decision::Continue(FIRST),
        ),
        (
            "while the live file begins alike",
            gzip().with(stream(A, "one\n", 4).live("one\n")),
            new(),
        ),
        (
            "of an open rotated file",
            gzip().with(stream(A, "one\n", 4).open("one\n", false, true)),
            Decision::ReadFromOpen(FIRST),
        ),
    ]);
}

#[test]
fn a_file_that_a_glob_finds_may_belong_to_another_log() {
    let of_a = || stream(A, "one\n", 4);
    check(vec![
        (
            "the rest of its stream",
            globbed("one\ntwo\n").with(of_a()),
            file_of(A),
        ),
        (
            "all of its stream",
            globbed("one\n").with(of_a()),
            file_of(A),
        ),
        (
            "a copy of its open file",
            globbed("one\n").with(of_a().live("one\n")),
            Decision::CopyOf(FIRST),
        ),
        (
            "a longer file beside its open one is a log of its own",
            globbed("one\ntwo\n").with(of_a().live("one\n")),
            new(),
        ),
        (
            "another content",
            globbed("one\nTWO\n").with(stream(A, "one\ntwo\n", 8)),
            new(),
        ),
        (
            "a beginning of what nobody holds",
            globbed("one\n").with(stream(A, "one\ntwo\n", 8)),
            file_of(A),
        ),
        (
            "a beginning of a file that was read",
            globbed("one\n").with(stream(A, "one\ntwo\n", 8).closed("one\ntwo\n")),
            Decision::CopyOf(FIRST),
        ),
        (
            "skipped history",
            globbed("one\ntwo\n").with(of_a().skipped()),
            new(),
        ),
        (
            "its own stream comes first",
            globbed("one\ntwo\n")
                .with(of_a())
                .with(stream(B, "one\n", 4)),
            Decision::Continue(SECOND),
        ),
        (
            "a path without wildcards",
            live("one\ntwo\n").with(stream(B, "one\n", 4)),
            new(),
        ),
    ]);
    // All files whose names decide come first.
    assert_eq!(
        globbed("one\n").with(of_a()).decide(false),
        Decision::AskAgain
    );
}

#[test]
fn a_file_with_an_unknown_name_is_read_only_as_the_rest_of_a_stream() {
    let of_a = || stream(A, "one\n", 4);
    let excluded = Case {
        path: "/logs/a.left",
        ..nameless("one\ntwo\n")
    };
    let emptied = stream(A, "one\ntwo\n", 8);
    check(vec![
        ("unknown", nameless("one\n"), Decision::NoLog),
        ("without a line", nameless("on"), Decision::NoLog),
        ("the rest", nameless("one\ntwo\n").with(of_a()), file_of(A)),
        (
            "compressed",
            nameless("one\ntwo\n").gzip().with(of_a()),
            file_of(A),
        ),
        (
            "another content",
            nameless("one\nTWO\n").with(stream(A, "one\ntwo\n", 8)),
            Decision::NoLog,
        ),
        (
            "a beginning of what nobody holds",
            nameless("one\n").with(stream(A, "one\ntwo\n", 8)),
            Decision::NoLog,
        ),
        (
            "left out by exclude",
            excluded.with(of_a()),
            Decision::NoLog,
        ),
        (
            "of a log that is not configured",
            nameless("one\ntwo\n").with(stream("/gone", "one\n", 4)),
            Decision::NoLog,
        ),
        (
            "a copy of the live file",
            nameless("one\n").with(of_a().live("one\n")),
            Decision::CopyOf(FIRST),
        ),
        (
            "compressed beside the live file",
            nameless("one\n").gzip().with(of_a().live("one\n")),
            Decision::CopyOf(FIRST),
        ),
        (
            "compressed beside an open rotated file",
            nameless("one\n")
                .gzip()
                .with(of_a().open("one\n", false, true)),
            Decision::Later,
        ),
        (
            "the live file was emptied just now",
            nameless("one\ntwo\n").with(emptied.live("new\n")),
            Decision::Later,
        ),
        (
            "a longer copy of a file that is closed soon",
            nameless("one\ntwo\n").with(of_a().open("one\n", false, true)),
            Decision::Later,
        ),
        (
            "a longer copy of a deleted file",
            nameless("one\ntwo\n").with(of_a().open("one\n", false, false)),
            file_of(A),
        ),
    ]);
}

#[test]
fn a_name_from_the_table_decides_unless_the_file_holds_the_rest_of_another_stream() {
    let of_b = || stream(B, "one\n", 4);
    check(vec![
        (
            "the rest of another log's stream",
            rotated("one\ntwo\n").with(of_b()),
            file_of(B),
        ),
        (
            "a stream that was read to its end",
            rotated("one\ntwo\n").knows(A).with(of_b().finished()),
            new(),
        ),
        (
            "a stream that is being read",
            rotated("one\n").knows(A).with(of_b().live("one\n")),
            new(),
        ),
        (
            "a stream of which nothing was read",
            rotated("one\n").knows(A).with(stream(B, "one\n", 0)),
            new(),
        ),
    ]);
}

#[test]
fn the_likeliest_of_several_logs_gets_the_file_and_equally_likely_ones_are_named() {
    let both = |case: Case| {
        case.with(stream(B, "one\n", 4))
            .with(stream(A, "one\n", 4))
            .decide(true)
    };
    let equal = Decision::OtherLog {
        name: A.into(),
        equally_likely: vec![A.into(), B.into()],
    };
    assert_eq!(both(nameless("one\ntwo\n")), equal);
    let by_table = Case {
        path: "/logs/b.log.1",
        ..nameless("one\ntwo\n")
    };
    assert_eq!(both(by_table), file_of(B));
    let in_directory = |path: &'static str, log: &'static str, seen: &'static str| {
        let saved = Case {
            path,
            ..nameless("one\ntwo\n")
        };
        let near = Stream {
            path: seen,
            ..stream(log, "one\n", 4)
        };
        saved.with(stream(A, "one\n", 4)).with(near).decide(true)
    };
    let other = "/other/b.log";
    assert_eq!(
        in_directory("/other/saved", other, "/moved/b"),
        file_of(other)
    );
    assert_eq!(in_directory("/moved/saved", B, "/moved/b"), file_of(B));
}

#[test]
fn assignments_are_kept_when_the_positions_are_lost() {
    check(vec![
        (
            "a file whose name says nothing",
            nameless("one\n").assigned_to(B),
            file_of(B),
        ),
        (
            "another log's name",
            rotated("one\n").assigned_to(B),
            file_of(B),
        ),
        (
            "its own name",
            rotated("one\n").knows(A).assigned_to(A),
            new(),
        ),
        (
            "a log that is not configured",
            nameless("one\n").assigned_to("/gone"),
            Decision::NoLog,
        ),
        (
            "its own name among others",
            rotated("one\n").knows(A).assigned_to(B).assigned_to(A),
            new(),
        ),
    ]);
}

#[test]
fn a_declared_file_of_several_logs_is_read_only_if_one_of_them_had_its_content() {
    let declared = || case("/logs/saved", &[A, B], FoundBy::Declared, "one\ntwo\n");
    let one_log = case("/logs/saved", &[A], FoundBy::Declared, "one\n");
    check(vec![
        ("unknown", declared(), Decision::Unassigned),
        (
            "the rest of a stream",
            declared().with(stream(B, "one\n", 4)),
            Decision::Continue(FIRST),
        ),
        ("declared for one log", one_log.knows(A), new()),
    ]);
}

#[test]
fn an_expired_file_counts_its_unread_bytes() {
    let passed_over = |key, unread| ExpiredFile::PassedOver { key, unread };
    let cases = [
        ("half a line", rotated("on"), ExpiredFile::Ignored),
        ("old history", rotated("one\n"), ExpiredFile::History),
        ("unknown", rotated("one\n").knows(A), passed_over(None, 4)),
        (
            "read in part",
            rotated("one\ntwo\n").with(stream(A, "one\n", 4)),
            passed_over(Some(FIRST), 4),
        ),
        (
            "read",
            rotated("one\n").with(stream(A, "one\n", 4)),
            passed_over(Some(FIRST), 0),
        ),
        (
            "read from a longer file",
            rotated("one\n").with(stream(A, "one\ntwo\n", 8)),
            passed_over(Some(FIRST), 0),
        ),
        (
            "skipped",
            rotated("one\n").with(stream(A, "one\n", 0).skipped()),
            passed_over(Some(FIRST), 0),
        ),
        (
            "being read",
            rotated("one\n").with(stream(A, "one\n", 4).live("one\n")),
            ExpiredFile::Ignored,
        ),
        (
            "compressed",
            rotated("one\ntwo\n").gzip().with(stream(A, "one\n", 4)),
            passed_over(Some(FIRST), 4),
        ),
    ];
    for (what, case, expected) in cases {
        assert_eq!(
            case.matched(|one| one.expired()).unwrap(),
            expected,
            "{what}"
        );
    }
}
