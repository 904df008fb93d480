//! Lines: their end, blank lines, and adjacent variables.

use super::*;
use crate::config::{AddressRule, Field, FieldType, FieldValue, HashKey};

const COMBINED: &str =
    "203.0.113.7 - - [23/Nov/2026:05:41:14 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"curl/8\"";

fn compile(source: &str, escape: Escape) -> Format {
    Format::compile(source, escape).unwrap()
}

/// Index, id and document of a line.
fn recorded(format: &Format, line: &str) -> (String, String, Value) {
    let mut recorder = recorder(settings(vec![format.clone()]));
    take_apart(&item(&mut recorder, 7, line.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_carriage_return_belongs_to_the_end_of_the_line() {
    let plain = recorded(&Format::combined(), COMBINED);
    assert_eq!(plain.2["user_agent"]["original"], "curl/8");
    assert_eq!(
        recorded(&Format::combined(), &format!("{COMBINED}\r")),
        plain
    );
    let json = compile(
        "{\"t\":\"$time_iso8601\",\"a\":\"$http_user_agent\",\"s\":$status}",
        Escape::Json,
    );
    let line = "{\"t\":\"2026-11-23T05:41:14+00:00\",\"a\":\"x\\r\",\"s\":200}";
    assert_eq!(recorded(&json, &format!("{line}\r")), recorded(&json, line));
    assert_eq!(recorded(&json, line).2["user_agent"]["original"], "x\r");
}

#[test]
fn only_a_cut_line_keeps_a_carriage_return_in_the_original() {
    let mut keeping = settings(vec![Format::combined()]);
    keeping.keep_original = true;
    let mut recorder = recorder(keeping);
    let mut original = |line: &str, cut: bool| {
        let mut batch = Batch::default();
        recorder.begin(source(0, path()), NOW, None);
        recorder.record(7, line.as_bytes(), cut, &mut batch);
        let (_, _, document) = take_apart(batch.item(0).unwrap()).unwrap();
        document["event"]["original"].as_str().unwrap().to_owned()
    };
    assert_eq!(original(&format!("{COMBINED}\r"), false), COMBINED);
    assert_eq!(original("rubbish\r", false), "rubbish");
    assert_eq!(original("rubbish\r", true), "rubbish\r");
    assert_eq!(original("rub\rbish", false), "rub\rbish");
}

#[test]
fn a_carriage_return_changes_neither_index_nor_id() {
    for line in [
        COMBINED,
        "x 1795412474.123",
        "x 2026-11-23T05:41:14+00:00",
        "rubbish",
    ] {
        for formats in [vec![], vec![Format::combined()]] {
            let mut recorder = recorder(settings(formats));
            let mut place = |line: &str| {
                let item = item(&mut recorder, 7, line.as_bytes()).unwrap();
                let (index, id, _) = take_apart(&item).unwrap();
                (index, id)
            };
            assert_eq!(place(&format!("{line}\r")), place(line));
        }
    }
}

#[test]
fn a_blank_line_is_no_request() {
    // Under the last one a blank line is what nginx writes when the variable is absent.
    for format in [Format::combined(), compile("$http_a", Escape::None)] {
        for line in ["", "\r", " ", " \t \r", "\r\r"] {
            let mut recorder = recorder(settings(vec![format.clone()]));
            let mut batch = Batch::default();
            recorder.begin(source(0, path()), NOW, None);
            let recorded = recorder.record(7, line.as_bytes(), false, &mut batch);
            assert_eq!(
                (recorded, batch.body.len()),
                (Recorded::Blank, 0),
                "{line:?}"
            );
            // A line that is longer than the limit may be blank only at its beginning.
            let recorded = recorder.record(7, line.as_bytes(), true, &mut batch);
            assert_ne!(recorded, Recorded::Blank, "{line:?}");
        }
    }
}

#[test]
fn the_format_that_matches_furthest_gives_the_reason() {
    let formats = vec![
        compile(
            "[$time_local] $status $host \"$request_uri\"",
            Escape::Default,
        ),
        Format::combined(),
        compile(
            "$remote_addr - $remote_user [$time_local] \"$request\" $pipe",
            Escape::Default,
        ),
    ];
    let mut recorder = recorder(settings(formats));
    let line = COMBINED.replace(" 200 ", " 20x ");
    let (_, _, document) = take_apart(&item(&mut recorder, 7, line.as_bytes()).unwrap()).unwrap();
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.contains("for $status at byte 65"), "{message}");
}

/// Adjacent variables, the same variables with a text between them, and their values.
const PAIRS: &[(&str, &str, Escape, &[&str])] = &[
    (
        "$status $request_method \"$scheme://$host:$server_port$request_uri\" [$time_local] $remote_addr",
        "$status $request_method \"$scheme://$host:$server_port\" \"$request_uri\" [$time_local] $remote_addr",
        Escape::Default,
        &[
            "200",
            "GET",
            "http",
            "shop.example",
            "80",
            "/a.css?b=1",
            "23/Nov/2026:05:41:14 +0000",
            "203.0.113.9",
        ],
    ),
    (
        "$remote_addr [$time_local] \"$http_host$request_uri\" $status",
        "$remote_addr [$time_local] \"$http_host\" \"$request_uri\" $status",
        Escape::Default,
        &[
            "203.0.113.9",
            "23/Nov/2026:05:41:14 +0000",
            "[::1]:80",
            "/x/17?token=abc",
            "404",
        ],
    ),
    (
        "{\"t\":\"$time_iso8601\",\"u\":\"$scheme://$host$uri$is_args$args\"}",
        "{\"t\":\"$time_iso8601\",\"u\":\"$scheme://$host\",\"p\":\"$uri\",\"i\":\"$is_args\",\"a\":\"$args\"}",
        Escape::Json,
        &[
            "2026-11-23T05:41:14+00:00",
            "https",
            "shop.example",
            "/a \"b\"",
            "?",
            "c=1&d=?",
        ],
    ),
    (
        "$msec$request_method$uri$is_args$args $status$body_bytes_sent",
        "$msec $request_method \"$uri\" \"$is_args\" \"$args\" $status $body_bytes_sent",
        Escape::Default,
        &["1795412474.123", "GET", "/a", "", "-", "200", "1234"],
    ),
    (
        "\"$http_host$request_uri\" $msec",
        "\"$http_host\" \"$request_uri\" $msec",
        Escape::Default,
        &["-", "-", "1795412474.123"],
    ),
];

fn written(source: &str, escape: Escape, values: &[&str]) -> String {
    let mut values = values.iter();
    let line = fill(source, escape, |_| {
        values.next().unwrap().as_bytes().to_vec()
    });
    String::from_utf8(line).unwrap()
}

#[test]
fn adjacent_variables_make_the_same_document_as_separate_ones() {
    for (beside, apart, escape, values) in PAIRS {
        let one = recorded(&compile(beside, *escape), &written(beside, *escape, values));
        let other = recorded(&compile(apart, *escape), &written(apart, *escape, values));
        assert_eq!(one, other, "{beside}");
    }
}

#[test]
fn an_uncut_text_is_kept_under_all_names() {
    let format = compile(
        "$remote_addr$http_x \"$http_host$request_uri\" $status",
        Escape::Default,
    );
    let line = "10.0.0.1x \"shop.examplehttp://a/b\" 200";
    let (_, _, document) = recorded(&format, line);
    let access = &document["nginx"]["access"];
    assert_eq!(access["remote_addr-http_x"], "10.0.0.1x");
    assert_eq!(access["http_host-request_uri"], "shop.examplehttp://a/b");
    assert_eq!(document["http"]["response"]["status_code"], 200);
    assert_eq!((document.get("url"), document.get("source")), (None, None));
}

#[test]
fn a_joined_text_has_the_secrecy_of_its_strictest_variable() {
    let format = compile(
        "$remote_user$http_x \"$http_y$cookie_session\" \"$arg_a$remote_addr\" $status",
        Escape::Default,
    );
    let line = "carola17 \"yhunter2\" \"7203.0.113.9\" 200";
    let sample = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(vec![format.clone()]);
        settings.keep_original = true;
        change(&mut settings);
        let mut recorder = recorder(settings);
        let item = item(&mut recorder, 7, line.as_bytes()).unwrap();
        let (_, _, document) = take_apart(&item).unwrap();
        (
            document["nginx"]["access"].clone(),
            String::from_utf8(item).unwrap(),
        )
    };
    let (access, text) = sample(&|_| {});
    assert_eq!(access["remote_user-http_x"], "carola17");
    assert_eq!(access["http_y-cookie_session"], "REDACTED");
    assert_eq!(access["arg_a-remote_addr"], "7203.0.113.9");
    assert!(!text.contains("hunter2"), "{text}");

    let key = || Some(HashKey::new("0123456789abcdef of a test"));
    let (_, text) = sample(&|settings| {
        settings.privacy.hash_key = key();
        settings.privacy.hash_fields = vec!["user.name".to_owned()];
    });
    assert!(!text.contains("carola"), "{text}");
    let (access, text) = sample(&|settings| settings.privacy.ip = AddressRule::Truncate);
    assert_eq!(access["arg_a-remote_addr"], "REDACTED");
    assert!(!text.contains("203.0.113.9"), "{text}");

    // A configured field stays empty if the line does not contain its variable.
    let (access, _) = sample(&|settings| {
        settings.logs[0].fields = vec![Field {
            name: "user.id".to_owned(),
            value: FieldValue::Variable("http_x".to_owned()),
            kind: FieldType::Text,
        }];
    });
    assert_eq!(access["remote_user-http_x"], "carola17");
}
