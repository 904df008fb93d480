//! Lines that nginx writes in a format are read back, for formats that compile without a warning.

use super::tests_support::write_escaped;
use super::*;
use crate::FormatWarning;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A variable's true values, as nginx has them before escaping; `None` is absent.
fn value(grammar: Grammar, escape: Escape) -> BoxedStrategy<Option<Vec<u8>>> {
    let seconds = "[0-9]{1,10}\\.[0-9]{3}";
    let list =
        |element: &str| format!("(-|{element})(, (-|{element})| : (-|{element})){{0,3}}( : )?");
    let always = |pattern: &str| of(pattern).prop_map(Some).boxed();
    let maybe = |pattern: &str| absent(of(pattern));
    match grammar {
        Grammar::Number => maybe("[0-9]{1,19}"),
        Grammar::Port => maybe("[0-9]{0,5}"),
        Grammar::Status => always("[0-9]{3}"),
        Grammar::Seconds => maybe(seconds),
        Grammar::Decimal => maybe("[0-9]{1,3}\\.[0-9]{2}"),
        Grammar::TimeLocal => always(
            "[0-3][0-9]/(Jan|May|Sep|Dec)/20[0-9]{2}:[0-2][0-9]:[0-5][0-9]:[0-5][0-9] [+-][01][0-9]30",
        ),
        Grammar::TimeIso8601 => {
            always("20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9][+-]0[0-9]:30")
        }
        Grammar::Msec => always("[0-9]{10}\\.[0-9]{3}"),
        Grammar::Address => maybe(
            "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}|[0-9a-f]{1,4}::[0-9a-f]{1,4}|unix:",
        ),
        Grammar::Host => absent(prop_oneof![
            of("[a-z0-9.-]{1,20}"),
            of("\\[::1\\]"),
            // `ngx_http_validate_host` cuts at a `:`, and a host that begins with a bracket ends with one.
            bytes(|byte| byte > b' ' && byte != 0x7f && !b"/?:[".contains(&byte)),
        ]),
        Grammar::Scheme => maybe("https?"),
        Grammar::Method => maybe("[A-Z_-]{1,8}"),
        Grammar::Protocol => maybe("HTTP/[1-3]\\.[01]"),
        Grammar::HexId => maybe("[0-9a-f]{32}"),
        Grammar::UpstreamAddress => maybe(&list(
            "([0-9]{1,3}\\.0\\.0\\.1:80|\\[::1\\]:80|unix:/run/a\\.sock|backend)",
        )),
        Grammar::UpstreamStatus => maybe(&list("[0-9]{3}")),
        Grammar::UpstreamSeconds => maybe(&list(seconds)),
        Grammar::UpstreamBytes => maybe(&list("[0-9]{1,6}")),
        Grammar::RequestUri => absent(
            ("[/?]", bytes(|byte| byte > b' ' && byte != 0x7f))
                .prop_map(|(first, rest)| [first.as_bytes(), &rest].concat()),
        ),
        Grammar::Path => absent(
            bytes(move |byte| escape != Escape::None || byte != b'\n')
                .prop_map(|rest| [b"/", &rest[..]].concat()),
        ),
        Grammar::Query => absent(bytes(|byte| byte > b' ' && byte != 0x7f)),
        Grammar::IsArgs => always("\\??"),
        Grammar::Pipe => always("[p.]"),
        Grammar::CacheStatus => maybe("[A-Z]{3,11}"),
        Grammar::Word => maybe("[A-Za-z0-9_.:+-]{0,12}"),
        // A newline would make two lines.
        Grammar::Text => absent(prop_oneof![
            bytes(move |byte| escape != Escape::None || byte != b'\n'),
            of("[a-z \\[\\]\"\\\\,:-]{0,20}"),
            of("[0-9]{2}/Jan/2026:00:00:00 \\+0000\\] [a-z0-9 ]{0,8}"),
        ]),
    }
}

fn of(pattern: &str) -> BoxedStrategy<Vec<u8>> {
    proptest::string::string_regex(pattern)
        .unwrap()
        .prop_map(String::into_bytes)
        .boxed()
}

fn bytes(allowed: impl Fn(u8) -> bool + 'static) -> BoxedStrategy<Vec<u8>> {
    let byte =
        prop_oneof![any::<u8>(), b' '..=b'~'].prop_map(move |b| if allowed(b) { b } else { b'x' });
    proptest::collection::vec(byte, 0..24).boxed()
}

fn absent(present: impl Strategy<Value = Vec<u8>> + 'static) -> BoxedStrategy<Option<Vec<u8>>> {
    proptest::option::weighted(0.9, present).boxed()
}

const VARIABLES: &[&str] = &[
    "http_host",
    "server_port",
    "bytes_sent",
    "remote_port",
    "status",
    "request_time",
    "gzip_ratio",
    "time_local",
    "time_iso8601",
    "msec",
    "remote_addr",
    "host",
    "scheme",
    "request_method",
    "server_protocol",
    "request_id",
    "upstream_addr",
    "upstream_status",
    "upstream_response_time",
    "upstream_response_length",
    "request_uri",
    "uri",
    "args",
    "is_args",
    "pipe",
    "upstream_cache_status",
    "ssl_protocol",
    "http_user_agent",
    "remote_user",
    "request",
    "http_x_forwarded_for",
    "my_own",
];

fn literal() -> BoxedStrategy<String> {
    prop_oneof![
        4 => Just("\" \"".to_owned()),
        4 => Just("\" ".to_owned()),
        4 => Just(" \"".to_owned()),
        6 => Just(" ".to_owned()),
        2 => Just(" [".to_owned()),
        2 => Just("] \"".to_owned()),
        2 => Just("\",\"k\":\"".to_owned()),
        1 => Just("://".to_owned()),
        1 => Just(", ".to_owned()),
        1 => Just(" : ".to_owned()),
        1 => Just("-".to_owned()),
        2 => Just(String::new()),
        2 => "[ -#%-~]{1,12}",
        1 => "[^$\n]{1,4}",
    ]
    .boxed()
}

/// Variables that operators write without separators.
const NEIGHBOURS: &[&[&str]] = &[
    &["http_host", "request_uri"],
    &["server_port", "request_uri"],
    &["host", "server_port", "request_uri"],
    &["http_host", "server_port", "request_uri"],
    &["request_method", "request_uri"],
    &["remote_addr", "request_uri"],
    &["uri", "is_args", "args"],
    &["is_args", "args"],
    &["host", "uri", "is_args", "args"],
    &["http_host", "uri", "is_args", "args"],
    &["scheme", "host"],
    &["scheme", "http_host", "uri"],
    &["status", "bytes_sent"],
    &["msec", "request"],
    &["request_time", "upstream_response_time"],
    &["remote_addr", "http_user_agent"],
];

/// A format and, for each variable, a value.
fn written() -> impl Strategy<Value = (String, Escape, Vec<Option<Vec<u8>>>)> {
    let escape = prop_oneof![
        4 => Just(Escape::Default),
        3 => Just(Escape::Json),
        1 => Just(Escape::None),
    ];
    let names = prop_oneof![
        6 => proptest::sample::select(VARIABLES).prop_map(|name| vec![name]),
        1 => proptest::sample::select(NEIGHBOURS).prop_map(<[_]>::to_vec),
    ];
    let parts = proptest::collection::vec((literal(), names), 1..6);
    (escape, parts, literal()).prop_flat_map(|(escape, parts, last)| {
        let mut source = String::new();
        for (text, names) in &parts {
            source.push_str(text);
            for name in names {
                source.push_str(&format!("${{{name}}}"));
            }
        }
        source.push_str(&last);
        let names: Vec<&str> = parts.into_iter().flat_map(|(_, names)| names).collect();
        let values: Vec<_> = names.iter().map(|name| value_of(name, escape)).collect();
        let values = values.prop_map(move |mut values| {
            make_consistent(&names, &mut values);
            values
        });
        (Just(source), Just(escape), values)
    })
}

fn value_of(name: &str, escape: Escape) -> BoxedStrategy<Option<Vec<u8>>> {
    if name == "http_host" {
        return absent(of(
            "[a-z0-9.-]{1,9}(:[0-9]{1,5}|:)?|\\[::1\\](:80)?|[a-z:?@-]{1,9}",
        ));
    }
    value(Grammar::of(name), escape)
}

/// Makes the values consistent, as nginx does: `$is_args` is `?` if `$args` has a value, and `$request_time` always has
/// one. Also applies the assumptions about adjacent variables: no `?` in `$uri`, and a `-` at the very end belongs to
/// `$args`.
fn make_consistent(names: &[&str], values: &mut [Option<Vec<u8>>]) {
    for at in 0..names.len().saturating_sub(1) {
        if names[at] == "request_time" {
            values[at].get_or_insert_with(|| b"0.000".to_vec());
        }
        if names[at] == "uri"
            && let Some(path) = &mut values[at]
        {
            path.retain(|byte| *byte != b'?');
        }
        // Without a target, the text after it can be mistaken for the end of the value before it.
        if names[at + 1] == "request_uri" && ["request_method", "host"].contains(&names[at]) {
            values[at + 1].get_or_insert_with(|| b"/".to_vec());
        }
        if (names[at], names[at + 1]) == ("is_args", "args") {
            let has_args = values[at + 1].as_ref().is_some_and(|args| !args.is_empty());
            values[at] = Some(if has_args { b"?".to_vec() } else { Vec::new() });
            if let Some(before) = at.checked_sub(1)
                && values[at + 1].as_deref() == Some(b"")
                && let Some(path) = &mut values[before]
                && path.ends_with(b"-")
            {
                path.push(b'x');
            }
        }
    }
}

/// The line that nginx writes, and the name and text of each variable in it.
fn write(format: &Format, values: &[Option<Vec<u8>>]) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let (mut line, mut texts) = (Vec::new(), Vec::new());
    let mut values = values.iter();
    let mut rest = format.source();
    while !rest.is_empty() {
        let Some(variable) = rest.strip_prefix('$') else {
            let (text, after) = rest.split_at(rest.find('$').unwrap_or(rest.len()));
            line.extend_from_slice(text.as_bytes());
            rest = after;
            continue;
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = match variable.strip_prefix('{') {
            Some(variable) => variable.split_once('}').unwrap(),
            None => variable.split_at(variable.find(|c| !is_name(c)).unwrap_or(variable.len())),
        };
        rest = after;
        let mut text = Vec::new();
        match values.next().unwrap() {
            Some(value) => write_escaped(format.escape(), value, &mut text),
            None if format.escape() == Escape::Default => text.push(b'-'),
            None => {}
        }
        line.extend_from_slice(&text);
        texts.push((name.to_owned(), text));
    }
    (line, texts)
}

/// Each field of a line with the text that nginx wrote there, of one variable or of several.
fn expected(format: &Format, texts: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let uncut: Vec<&str> = format
        .warnings()
        .iter()
        .filter(|warning| warning.is_joined())
        .map(FormatWarning::field)
        .collect();
    let mut at = 0;
    let mut fields = Vec::new();
    for field in format.fields() {
        let names: Vec<&str> = field.name().split('$').collect();
        let found: Vec<&str> = texts[at..at + names.len()]
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, found, "{}", format.source());
        let whole = texts[at..at + names.len()].iter();
        fields.push(whole.flat_map(|(_, text)| text.clone()).collect());
        let is_target = |name: &&str| ["request_uri", "uri", "args"].contains(name);
        let is_cut = names.len() > 1
            && !uncut.contains(&field.name())
            && names.last().is_some_and(is_target);
        if !is_cut {
            at += names.len();
        }
    }
    assert_eq!(at, texts.len(), "{}", format.source());
    fields
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn lines_written_by_nginx_are_read_back() {
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases.max(2048),
        ..Config::default()
    });
    let (accepted, joined) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = runner.run(&written(), |(source, escape, values)| {
        let Ok(format) = Format::compile(&source, escape) else {
            return Ok(());
        };
        if !format.warnings().iter().all(FormatWarning::is_joined) {
            return Ok(());
        }
        accepted.set(accepted.get() + 1);
        let (line, texts) = write(&format, &values);
        let mut captures = Captures::new();
        if let Err(error) = format.parse(&line, &mut captures) {
            return Err(TestCaseError::fail(format!(
                "{}: {}",
                shown(&line),
                format.explain(&error)
            )));
        }
        let missing: &[u8] = if escape == Escape::Default { b"-" } else { b"" };
        let mut read = 0;
        for (index, text) in expected(&format, &texts).iter().enumerate() {
            // Either each of the joined variables has a value, or the whole text has one.
            let Some((from, to)) = captures.span(index) else {
                continue;
            };
            prop_assert!(read <= from, "{}", shown(&line));
            read = to;
            let expected = (text != missing).then(|| shown(text));
            prop_assert_eq!(
                captures.get(&line, index).map(shown),
                expected,
                "{}: {}",
                format.fields()[index].name(),
                shown(&line)
            );
        }
        joined.set(joined.get() + usize::from(!format.program.joined.is_empty()));
        Ok(())
    });
    outcome.unwrap();
    // Otherwise the test would prove nothing.
    assert!(
        accepted.get() > 500,
        "only {} formats were accepted",
        accepted.get()
    );
    assert!(
        joined.get() > 100,
        "only {} formats with joined variables",
        joined.get()
    );
}

/// Values at the limits of the proofs; the property above found most of them.
#[test]
fn values_at_the_limits_are_read_back() {
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let cases = [
        // An absent value before a text that the wide set contains.
        (
            "$server_protocol $time_iso8601://",
            Escape::Default,
            vec![None, some("2026-11-23T05:41:14+00:00")],
        ),
        (
            "$remote_addr-$http_user_agent",
            Escape::Default,
            vec![None, None],
        ),
        ("$remote_port-", Escape::Default, vec![None]),
        ("$remote_port-", Escape::Default, vec![some("")]),
        // After a field that may be empty, no end is certain.
        (
            "\"$server_protocol $scheme \"",
            Escape::Json,
            vec![None, some("http")],
        ),
        (
            "\"$server_protocol $scheme \"",
            Escape::Json,
            vec![some("HTTP/1.1"), None],
        ),
        // Only one of the two can own the last `-`.
        (
            "$scheme://$host$request_uri",
            Escape::Default,
            vec![some("http"), some("a-"), None],
        ),
        (
            "$scheme://$host$request_uri",
            Escape::Default,
            vec![some("http"), some("a-"), some("/-")],
        ),
        (
            "$request_method$status",
            Escape::Default,
            vec![some("M-"), some("200")],
        ),
        // An upstream group of which no server was reached.
        (
            "$upstream_addr $upstream_status",
            Escape::Default,
            vec![some("[::1]:80 : "), some("502 : -")],
        ),
        (
            "$upstream_addr $upstream_status",
            Escape::Json,
            vec![some(""), some("502")],
        ),
        // A literal `\` does not escape the value's last byte.
        (
            "\"$http_a\\\"$status",
            Escape::Json,
            vec![some("a\\"), some("200")],
        ),
    ];
    for (source, escape, values) in cases {
        let format = Format::compile(source, escape).unwrap();
        let (line, texts) = write(&format, &values);
        let mut captures = Captures::new();
        format.parse(&line, &mut captures).unwrap_or_else(|error| {
            panic!("{source}: {}: {}", shown(&line), format.explain(&error));
        });
        for (index, (_, text)) in texts.iter().enumerate() {
            let (from, to) = captures.span(index).unwrap();
            assert_eq!(
                shown(&line[from as usize..to as usize]),
                shown(text),
                "{}",
                shown(&line)
            );
        }
    }
}

#[test]
fn a_guessed_line_is_read_if_its_text_is_ordinary() {
    let source = "$http_user_agent, $http_x $upstream_addr, $upstream_status $http_y $status";
    let format = Format::compile(source, Escape::Default).unwrap();
    assert!(!format.warnings().is_empty());
    let line = b"Mozilla/5.0 (X11, Linux), b 10.0.0.1:80, 10.0.0.2:80, 502, 200 c d 404";
    let mut captures = Captures::new();
    format.parse(line, &mut captures).unwrap();
    let all: Vec<_> = (0..6)
        .map(|index| captures.get(line, index).map(shown).unwrap())
        .collect();
    assert_eq!(all[0], "Mozilla/5.0 (X11");
    assert_eq!(all[5], "404");
}

/// The most expensive line that we know: each text can end at each position, and the line never matches.
#[test]
fn guessing_is_bounded() {
    let format = Format::compile(
        &"$http_a ".repeat(40).replace("$http_a ", "$http_a a"),
        Escape::Default,
    );
    let format = format.unwrap();
    let line = [" a".repeat(50_000).as_bytes(), b"\""].concat();
    let error = format.parse(&line, &mut Captures::new()).unwrap_err();
    assert!(
        ["literal", "too_ambiguous", "end_of_line"].contains(&error.reason()),
        "{error:?}"
    );
}

#[test]
fn captures_are_reused_without_allocating() {
    let format = Format::combined();
    let line = br#"1.2.3.4 - - [23/Nov/2026:05:41:14 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#;
    let mut captures = Captures::new();
    format.parse(line, &mut captures).unwrap();
    let before = (captures.spans.as_ptr(), captures.spans.capacity());
    for _ in 0..10 {
        format.parse(line, &mut captures).unwrap();
        format.parse(b"rubbish", &mut captures).unwrap_err();
    }
    assert_eq!((captures.spans.as_ptr(), captures.spans.capacity()), before);
    assert_eq!(captures.get(line, 8), None);
    assert_eq!(captures.get(b"short", 7), None);
}

#[test]
fn an_error_is_small() {
    assert!(size_of::<ParseError>() <= 16, "{}", size_of::<ParseError>());
}
