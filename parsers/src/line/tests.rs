//! What nginx writes under a format comes back, for formats that were accepted without a warning.

use super::tests_support::write_escaped;
use super::*;
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
            bytes(|byte| byte > b' ' && byte != 0x7f && byte != b'/' && byte != b'?'),
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
        // A newline would be two lines.
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
        1 => Just(String::new()),
        2 => "[ -#%-~]{1,12}",
        1 => "[^$\n]{1,4}",
    ]
    .boxed()
}

/// A format and, per variable, a value.
fn written() -> impl Strategy<Value = (String, Escape, Vec<Option<Vec<u8>>>)> {
    let escape = prop_oneof![
        4 => Just(Escape::Default),
        3 => Just(Escape::Json),
        1 => Just(Escape::None),
    ];
    let parts = proptest::collection::vec((literal(), proptest::sample::select(VARIABLES)), 1..6);
    (escape, parts, literal()).prop_flat_map(|(escape, parts, last)| {
        let values: Vec<_> = parts
            .iter()
            .map(|(_, name)| value(Grammar::of(name), escape))
            .collect();
        let mut source = String::new();
        for (text, name) in &parts {
            source.push_str(text);
            source.push_str("${");
            source.push_str(name);
            source.push('}');
        }
        source.push_str(&last);
        (Just(source), Just(escape), values)
    })
}

/// The line that nginx writes, and each field's text in it.
fn write(format: &Format, values: &[Option<Vec<u8>>]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut line, mut texts) = (Vec::new(), Vec::new());
    let mut values = values.iter();
    for step in &format.program.steps {
        if let Step::Literal(index) = step {
            line.extend_from_slice(format.literal(*index).unwrap());
            continue;
        }
        let mut text = Vec::new();
        match values.next().unwrap() {
            Some(value) => write_escaped(format.escape(), value, &mut text),
            None if format.escape() == Escape::Default => text.push(b'-'),
            None => {}
        }
        line.extend_from_slice(&text);
        texts.push(text);
    }
    (line, texts)
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn what_nginx_writes_comes_back() {
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases.max(2048),
        ..Config::default()
    });
    let accepted = std::cell::Cell::new(0);
    let outcome = runner.run(&written(), |(source, escape, values)| {
        let Ok(format) = Format::compile(&source, escape) else {
            return Ok(());
        };
        if !format.warnings().is_empty() {
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
        for (index, text) in texts.iter().enumerate() {
            let missing: &[u8] = if escape == Escape::Default { b"-" } else { b"" };
            let expected = (text != missing).then(|| shown(text));
            prop_assert_eq!(
                captures.get(&line, index).map(shown),
                expected,
                "{}",
                shown(&line)
            );
        }
        Ok(())
    });
    outcome.unwrap();
    // Else the test would say nothing.
    assert!(
        accepted.get() > 500,
        "only {} formats were accepted",
        accepted.get()
    );
}

/// Values at the edges of the proofs; most were found by the property above.
#[test]
fn values_at_the_edges_come_back() {
    let some = |text: &str| Some(text.as_bytes().to_vec());
    let cases = [
        // An absent value before a text that the wide set holds.
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
        // Behind a field that may be empty nothing is certain.
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
        // Only one of the two can have the last `-`.
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
        // A group of servers that none was reached of.
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
        // A literal `\` is no escape of the value's last byte.
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
        for (index, text) in texts.iter().enumerate() {
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
fn a_guessed_line_is_read_when_its_text_is_tame() {
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

/// The costliest line we can think of: each text can end at each place, and the line fits at none.
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
