//! How answers look.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::search::answer::{Answer, Cell, Column, Content, Precision};
use crate::search::zone::{BERLIN, Utc, Zone};
use crate::search::{Range, Subject, Timeline, Top, intervals};

/// 2026-10-25T00:00:00Z, an hour before the clocks of Berlin go back.
const START: i64 = 1_792_886_400_000;
const HOUR: i64 = 3_600_000;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn subject(hours: i64) -> Subject {
    Subject {
        range: Range {
            from: START,
            to: START + hours * HOUR,
        },
        filters: vec![],
    }
}

fn figures() -> Vec<Column> {
    let within = |percent| Column {
        content: Content::Percentile(percent),
        precision: Precision::Within(1.0 / 128.0),
    };
    vec![
        Column::exact(Content::Errors),
        Column::exact(Content::ServerErrors),
        within(50),
        within(95),
        within(99),
        Column::exact(Content::Bytes),
    ]
}

fn whole(numbers: &[i128]) -> impl Iterator<Item = Cell> {
    numbers.iter().map(|number| Cell::Whole(*number))
}

fn top() -> (Question, Answer) {
    let question = Question::Top(Top {
        subject: subject(1),
        by: "http.route".to_owned(),
        limit: 10,
    });
    let mut columns: Vec<Column> = [Content::Key, Content::Count, Content::Share]
        .map(Column::exact)
        .into();
    columns.extend(figures());
    let row = |key: Cell, share: f64, numbers: &[i128]| {
        let mut row = vec![key, Cell::Whole(numbers[0]), Cell::Fraction(share)];
        row.extend(whole(&numbers[1..]));
        row
    };
    let mut rows = vec![
        row(
            text("/api/orders/{id}"),
            0.5,
            &[500, 12, 2, 1_234_567, 98_765_432, 1_234_567_890, 5 << 30],
        ),
        row(
            text("=cmd|'/c calc'!A1, \"x\""),
            0.25,
            &[250, 0, 0, 0, 12_345_678, 75_000_000_000, 1_023],
        ),
        row(
            text("\u{1b}[31mred\u{202e}\r\n"),
            0.125,
            &[125, 125, 125, 1, 1, 1, 0],
        ),
        row(text("-"), 0.075, &[75, 0, 0, 1, 1, 1, 0]),
        row(Cell::Missing, 0.05, &[50, 0, 0, 1, 1, 1, 0]),
    ];
    rows[4][5..8].fill(Cell::Missing);
    let answer = Answer {
        columns,
        rows,
        requests: 1_000,
        values: Some(17),
    };
    (question, answer)
}

/// Over the hour that clocks show twice.
fn timeline(by: bool) -> (Question, Answer) {
    let subject = subject(4);
    let starts = intervals::starts(subject.range, 3_600, &BERLIN).unwrap();
    let mut columns: Vec<Column> = [Content::Time, Content::Count].map(Column::exact).into();
    columns.extend(figures());
    if by {
        let values = [text("GET"), Cell::Missing, text("count")];
        columns.extend(values.map(|value| Column::exact(Content::Value(value))));
        columns.push(Column::exact(Content::Other));
    }
    let counts = [640_i128, 1, 0, 333];
    let rows = starts.iter().zip(counts).map(|(start, count)| {
        let mut row = vec![Cell::Whole((*start).into())];
        row.extend(whole(&[
            count,
            count / 10,
            count / 20,
            1_000_000,
            2_000_000,
            3_000_000,
            count * 1_000,
        ]));
        if by {
            row.extend(whole(&[count / 2, count / 4, count / 8, count / 16]));
        }
        row
    });
    let answer = Answer {
        columns,
        rows: rows.collect(),
        requests: counts.iter().sum::<i128>().try_into().unwrap(),
        values: by.then_some(9),
    };
    let question = Question::Timeline(Timeline {
        subject,
        starts,
        by: by.then(|| ("http.request.method".to_owned(), 3)),
    });
    (question, answer)
}

fn asked<'a>((question, answer): &'a (Question, Answer), zone: &'a dyn Zone) -> Asked<'a> {
    Asked {
        question,
        answer,
        zone,
        interval: 3_600,
        conditions: vec!["status!=200", "client=10.0.0.0/8"],
    }
}

/// Line breaks of CSV as they are seen.
fn records(text: &str) -> String {
    text.replace("\r\n", "⏎\n")
}

#[test]
fn top_is_shown_as_a_table() {
    insta::assert_snapshot!(table::text(&asked(&top(), &Utc), 100));
}

#[test]
fn top_is_shown_as_csv() {
    insta::assert_snapshot!(records(&csv::text(&asked(&top(), &Utc))));
}

#[test]
fn top_is_shown_as_json() {
    insta::assert_snapshot!(json::text(&asked(&top(), &Utc)).replace("},{", "},\n{"));
}

#[test]
fn a_timeline_is_shown_with_bars() {
    insta::assert_snapshot!(table::text(&asked(&timeline(false), &BERLIN), 80));
}

#[test]
fn a_timeline_by_values_has_a_legend() {
    insta::assert_snapshot!(table::text(&asked(&timeline(true), &BERLIN), 80));
}

#[test]
fn a_timeline_is_shown_as_csv() {
    insta::assert_snapshot!(records(&csv::text(&asked(&timeline(true), &BERLIN))));
}

#[test]
fn a_timeline_is_shown_as_json() {
    insta::assert_snapshot!(json::text(&asked(&timeline(true), &BERLIN)).replace("},{", "},\n{"));
}

#[test]
fn an_empty_answer_says_what_was_asked_and_why_it_may_be_empty() {
    let (question, mut answer) = top();
    answer.rows.clear();
    answer.requests = 0;
    insta::assert_snapshot!(table::text(&asked(&(question, answer), &Utc), 100));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let (question, mut answer) = top();
    answer.rows[0][0] = text(&"中/".repeat(200));
    let long = (question, answer);
    for width in [60, 80, 132] {
        for (text, from) in [
            (table::text(&asked(&long, &Utc), width), 4),
            (table::text(&asked(&timeline(true), &BERLIN), width), 4),
        ] {
            // behind what was asked, which may be long
            for line in text
                .lines()
                .skip(from)
                .filter(|line| !line.contains(" requests, "))
            {
                let bar = line
                    .chars()
                    .filter(|char| ('▀'..='▟').contains(char))
                    .count();
                let columns = super::super::terminal::columns(line) - bar;
                assert!(columns <= width.max(76), "{width}: {columns}: {line}");
            }
            assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']));
        }
    }
}
