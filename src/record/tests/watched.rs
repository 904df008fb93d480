//! Checking values one by one and caching values without a secret hides everything that cleaning each value hides.

use std::cell::RefCell;

use logweir_parsers::Captures;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::record::privacy::{Cleaned, Redactor, Scope, Seen, Watch};

const CASES: u32 = 1024;

/// Texts with whole secrets and parts of secrets; few enough that values repeat.
fn text() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "/",
        "a",
        "shop",
        "?",
        "#",
        " ",
        ".",
        "(X11;",
        "Mozilla",
        "1234567890",
        "://",
        "b=1",
        "&",
    ]);
    let secret = prop::sample::select(vec![
        "token",
        "=",
        "%3D",
        "%22",
        ":",
        "@",
        "%40",
        "//",
        "bob",
        "code",
        "state",
        "eyJhbGciOi",
        "AKIA",
        "IOSFODNN7EXAMPLE",
        "ghp_",
        "aB3dE6gH9jK2mN5p",
        "Bearer",
        "xoxb-",
        "Basic dXNlcjpwYXNz",
        "%67hp%5F",
        "-----BEGIN PRIVATE KEY",
        "whsec_",
        "sk-proj-",
        "ya29.",
        "CONNECT ",
        "u:p@host",
        "password",
    ]);
    let part = prop_oneof![2 => plain, 1 => secret];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

/// Values of `combined`: address, user, request, referrer, browser.
fn values() -> impl Strategy<Value = [String; 5]> {
    let of = |texts: &[&str]| {
        let texts = texts.iter().map(|text| (*text).to_owned());
        prop::sample::select(texts.collect::<Vec<_>>())
    };
    let address = of(&["203.0.113.9", "2001:db8::1", "unix:", "203.0.113.254"]);
    let user = of(&["-", "-", "bob", "bob:token=1", "ghp_aB3dE6gH9jK2mN5pQ8sT"]);
    let request = prop_oneof![
        text(),
        text().prop_map(|text| format!("GET /{text} HTTP/1.1"))
    ];
    let browser = prop_oneof![
        text(),
        of(&[
            "-",
            "curl/8.5.0",
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
        ]),
    ];
    (
        address,
        user,
        request,
        prop_oneof![text(), of(&["-"])],
        browser,
    )
        .prop_map(Into::into)
}

fn line([address, user, request, referrer, browser]: &[String; 5]) -> String {
    format!(
        "{address} - {user} [23/Nov/2026:05:26:59 +0000] \"{request}\" 200 17 \"{referrer}\" \"{browser}\""
    )
}

/// The same thousands of lines each time, checked with one cache.
fn each(test: impl Fn(&str) -> Result<(), TestCaseError>) {
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(CASES)
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let ended = runner.run(&values(), |values| test(&line(&values)));
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn cleaning_changes_no_unwatched_value() {
    let format = Format::combined();
    let redactor = Redactor::new(&Privacy::default());
    let watch = Watch::new(&format, &redactor);
    let (seen, cleaned) = (
        RefCell::new(Seen::default()),
        RefCell::new(Cleaned::default()),
    );
    let counts = RefCell::new([0, 0]);
    each(|text| {
        let (line, mut captures) = (text.as_bytes(), Captures::new());
        if format.parse(line, &mut captures).is_err() {
            return Ok(());
        }
        let watched = redactor.watches_values(&watch, &captures, line, &mut seen.borrow_mut());
        counts.borrow_mut()[usize::from(watched)] += 1;
        if watched {
            return Ok(());
        }
        let mut cleaned = cleaned.borrow_mut();
        for capture in 0..format.fields().len() {
            let value = captures.get(line, capture).unwrap_or_default();
            // a field may be any part between these
            let is_cut = |at: &usize| *at == 0 || b"/?# .:".contains(&value[at - 1]);
            let cuts: Vec<usize> = (0..value.len()).filter(is_cut).collect();
            for (start, end) in cuts
                .iter()
                .flat_map(|start| cuts.iter().map(move |end| (*start, *end)))
            {
                for end in [end.saturating_sub(1), value.len()] {
                    let part = value.get(start..end).unwrap_or_default();
                    redactor.clean(part, Scope::Value, &mut cleaned);
                    prop_assert_eq!(&cleaned.text, part, "of {}", text);
                }
            }
        }
        Ok(())
    });
    // some lines have secrets and some have none
    assert!(counts.take().iter().all(|count| *count > CASES / 10));
}

#[test]
fn checking_values_or_the_line_gives_the_same_record() {
    let of = |keep_original| {
        RefCell::new(recorder(Settings {
            keep_original,
            ..settings(vec![Format::combined()])
        }))
    };
    // if the line itself is shown, it is checked as a whole
    let (values, whole) = (of(false), of(true));
    each(|line| {
        let item = |recorder: &RefCell<Recorder<ActionLines>>| {
            let item = super::item(&mut recorder.borrow_mut(), 7, line.as_bytes());
            let mut item = take_apart(&item.unwrap_or_default()).map_err(TestCaseError::fail)?;
            if let Some(event) = item.2["event"].as_object_mut() {
                event.remove("original");
            }
            Ok::<_, TestCaseError>(item)
        };
        prop_assert_eq!(item(&values)?, item(&whole)?);
        Ok(())
    });
}
