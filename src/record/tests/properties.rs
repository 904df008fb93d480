//! Properties of every line under every format.

use logweir_parsers::Captures;
use proptest::prelude::*;

use super::*;

pub(super) const TEXTS: &[&str] = &[
    "http_user_agent",
    "remote_user",
    "http_referer",
    "http_x",
    "request",
    "http_x_forwarded_for",
    "upstream",
    "response_time",
    "remote_ip_list",
    "my_own",
    "request_uri",
    "http_host",
    "https",
    "my_time",
    "the_real_ip",
    "http_x_real_ip",
    "http_x_user",
    "jwt_claim_sub",
    "vhost",
];

pub(super) const OTHERS: &[&str] = &[
    "remote_addr",
    "realip_remote_addr",
    "server_addr",
    "time_local",
    "time_iso8601",
    "msec",
    "status",
    "body_bytes_sent",
    "bytes_sent",
    "request_length",
    "request_time",
    "server_port",
    "upstream_status",
    "upstream_response_time",
    "upstream_response_length",
    "upstream_addr",
    "host",
    "server_name",
    "scheme",
    "uri",
    "args",
    "request_method",
    "server_protocol",
    "request_id",
    "ssl_protocol",
    "ssl_cipher",
    "upstream_cache_status",
];

/// Possible values of a variable, mainly odd ones.
pub(super) fn values(name: &str) -> &'static [&'static str] {
    match name {
        "remote_addr" | "realip_remote_addr" | "server_addr" => &[
            "-",
            "10.0.0.1",
            "203.0.113.9",
            "2001:db8::1",
            "::ffff:192.0.2.1",
            "::ffff:c000:201",
            "2001:DB8:A::9",
            "unix:",
        ],
        "time_local" => &[
            "23/Nov/2026:05:41:14 +0000",
            "23/Nov/2026:23:59:59 -0330",
            "24/Nov/2026:23:59:59 +0000",
            "01/Jan/1970:00:00:00 +0000",
            "99/Nov/2026:05:41:14 +0000",
        ],
        "time_iso8601" => &[
            "2026-11-23T05:41:14+05:45",
            "2026-11-24T05:41:14+00:00",
            "2100-01-01T00:00:00+00:00",
        ],
        "msec" => &[
            "1795412474.123",
            "1795412474.456",
            "0.000",
            "4102444800.000",
        ],
        "status" => &["200", "499", "000"],
        "request_time" => &["0.001", "9999999999.999", "-"],
        "body_bytes_sent" | "bytes_sent" | "request_length" => &[
            "0",
            "007",
            "9223372036854775808",
            "18446744073709551616",
            "-",
        ],
        "server_port" => &["443", "0", ""],
        "upstream_status" | "upstream_response_length" => &[
            "502, - : 200",
            "-",
            "18446744073709551615, 9223372036854775808",
        ],
        "upstream_response_time" => &["0.001, - : 2.000", "-", "18446744073709.000"],
        "upstream_addr" => &["10.0.0.1:80, unix:/run/a.sock : [::1]:80", "-"],
        "host" | "server_name" => &["shop.example", "[::1]", "_", "-"],
        "scheme" => &["https", "-"],
        "uri" | "request_uri" => &["/a/../%2e%2e/b?c", "/users/17/a.css", "//x/./"],
        "args" => &["x=%20", "-", ""],
        "request_method" => &["GET", "-"],
        "server_protocol" => &["HTTP/3.0", "-"],
        "request_id" => &["8f3b2c6d9e0a4b1c8d7e6f5a4b3c2d1e", "-"],
        "ssl_protocol" => &["TLSv1.3", "SSLv3", "TLSv", "-"],
        "ssl_cipher" | "upstream_cache_status" => &["MISS", "-"],
        "request" => &[
            "GET /users/17/a.css?x=%20#f HTTP/1.1",
            "GET http://[::1]:80 HTTP/2.0",
            "CONNECT a:1 HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET /%ff%00/..//./x HTTP/1.1",
            "\u{16}\u{3}\u{1}\u{0}",
            "",
        ],
        "my_time" => &[
            "2026-11-23T05:41:14.865Z",
            "23/Nov/2026:05:41:14,5 -0330",
            "1795412474",
            "1795412474865",
            "2026-11-23",
        ],
        "the_real_ip" | "http_x_real_ip" => {
            &["203.0.113.9:80", "[::1]", "10.0.0.2, -", "unix:", ""]
        }
        "http_x_forwarded_for" => &[
            "6.6.6.6, unknown, [2001:DB8::9]:443, 10.0.0.2",
            "fe80::1%eth0, ::ffff:c000:207",
            ", ,",
        ],
        "http_host" => &["[::1]:8080", "shop.example:80", ":", "["],
        _ => &["-", "", "Mozilla/5.0 (X11)"],
    }
}

fn value_of(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => prop::sample::select(values(name)).prop_map(|value| value.as_bytes().to_vec()),
        1 => any_value(),
    ]
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(b"-".to_vec()),
        4 => prop::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..24),
        4 => "[ -~é☃\u{7f}\\\\\"]{0,16}".prop_map(String::into_bytes),
    ]
}

fn any_escape() -> impl Strategy<Value = Escape> {
    prop::sample::select(&[Escape::Default, Escape::Json, Escape::None])
}

/// A format, with a line that nginx might write in it, or any other line.
fn any_line() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let name = prop_oneof![
        1 => prop::sample::select(TEXTS),
        2 => prop::sample::select(OTHERS),
    ];
    let literal = prop_oneof![
        4 => Just("\" \""),
        1 => prop::sample::select(&[" ", "\",\"", "] [", "\\", "é \"", "|"][..]),
        1 => Just(""),
    ];
    let part = (name, literal)
        .prop_flat_map(|(name, literal)| (Just(name), Just(literal), value_of(name)));
    let parts = prop::collection::vec(part, 1..8);
    (parts, any_escape(), any_value(), 0..16_u8).prop_filter_map(
        "the format is refused",
        |(parts, escape, anything, odd)| {
            let mut source = "\"".to_owned();
            let mut line = source.clone().into_bytes();
            for (name, literal, value) in parts {
                source.push_str(&format!("${{{name}}}{literal}"));
                write_escaped(escape, &value, &mut line);
                line.extend_from_slice(literal.as_bytes());
            }
            let format = Format::compile(&source, escape).ok()?;
            Some((format, if odd == 0 { anything } else { line }))
        },
    )
}

/// Checks what holds for every document.
fn check(document: &Value) -> Result<(), TestCaseError> {
    let mut found = vec![];
    leaves("", document, &mut found);
    for (field, value) in found {
        match value {
            Value::Number(number) => {
                prop_assert!(number.as_i64().is_some(), "{field} is no long: {number}");
            }
            Value::String(text) => {
                let is_number = [".port", ".bytes", ".sequence"];
                prop_assert!(
                    !is_number.iter().any(|end| field.ends_with(end)),
                    "{field}: {text}"
                );
                if field.ends_with(".ip") {
                    prop_assert!(text.parse::<std::net::IpAddr>().is_ok(), "{field}: {text}");
                }
                if ["@timestamp", "event.start", "event.created", "event.end"]
                    .contains(&field.as_str())
                {
                    prop_assert!(
                        chrono::DateTime::parse_from_rfc3339(text).is_ok(),
                        "{field}: {text}"
                    );
                }
            }
            Value::Null => {
                prop_assert!(
                    field.starts_with("nginx.access.upstream."),
                    "{field} is null"
                );
            }
            _ => prop_assert!(false, "{field} is {value}"),
        }
    }
    prop_assert!(!has_empty(document), "an empty object or list: {document}");
    Ok(())
}

fn has_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty() || members.values().any(has_empty),
        Value::Array(elements) => elements.is_empty() || elements.iter().any(has_empty),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_line_under_any_format_is_one_valid_item(
        (format, line) in any_line(),
        offset in 0..1_u64 << 40,
        cut in any::<bool>(),
        keep_original in any::<bool>(),
        fields in routes::any_fields(),
    ) {
        let mut settings = settings(vec![format]);
        settings.keep_original = keep_original;
        settings.logs[0].fields = fields;
        hide_nothing(&mut settings);
        let mut recorder = recorder(settings);
        let mut batch = Batch::default();
        recorder.begin(source(0, path()), NOW, None);
        let recorded = recorder.record(offset, &line, cut, &mut batch);
        if is_blank(&line) && !cut {
            prop_assert_eq!((recorded, batch.items.len()), (Recorded::Blank, 0));
            return Ok(());
        }
        prop_assert_eq!(batch.items.len(), 1);
        prop_assert_eq!(batch.items[0].start, 0);
        let item = batch.item(0).unwrap();
        let document = batch.items[0].document as usize;
        prop_assert_eq!(memchr::memchr_iter(b'\n', item).collect::<Vec<_>>(), vec![document - 1, item.len() - 1]);
        let (index, id, document) = take_apart(item).map_err(TestCaseError::fail)?;
        let (second, stream, found) = id_parts(&id);
        prop_assert_eq!(found, offset);
        prop_assert_eq!(&stream[..], &STREAM.0[..6]);
        prop_assert_eq!(document["log"]["offset"].as_u64(), Some(offset));
        prop_assert_eq!(document["event"]["dataset"].as_str(), Some("nginx.access"));
        // by it `prune` knows the age of a line without a time
        let created = document["event"]["created"].as_str().unwrap();
        let created = chrono::DateTime::parse_from_rfc3339(created).unwrap();
        prop_assert_eq!(created.timestamp_millis(), NOW);
        let shown = document["@timestamp"].as_str().unwrap();
        if second == 0 {
            prop_assert_eq!(index, "nginx-access-unparsed");
        } else {
            prop_assert_eq!(index, format!("nginx-access-{}", shown[..10].replace('-', ".")));
            let shown = chrono::DateTime::parse_from_rfc3339(shown).unwrap().timestamp();
            prop_assert_eq!(shown, i64::from(second));
        }
        if let Some(original) = document["event"].get("original") {
            let text = line.strip_suffix(b"\r").filter(|_| !cut).unwrap_or(&line);
            prop_assert_eq!(original.as_str(), Some(&*as_text(text)));
        } else {
            prop_assert!(!keep_original && !cut && second != 0);
        }
        check(&document)?;
    }

    /// A line that is read again, at another time, from another path, after other lines, by an agent with its logs in
    /// another order, gives the same document.
    #[test]
    fn index_and_id_follow_from_the_line_and_its_position(
        lines in prop::collection::vec(any_line(), 1..6),
        offset in 0..1_u64 << 40,
        now in 0..4_102_444_800_000_i64,
        seconds in prop::option::of(0..4_102_444_800_i64),
    ) {
        prop_assume!(lines.iter().all(|(_, line)| !is_blank(line)));
        let formats: Vec<_> = lines.iter().map(|(format, _)| format.clone()).collect();
        let mut one = recorder(settings(formats.clone()));
        let mut other = settings(vec![Format::combined()]);
        other.logs.push(LogSettings { formats: named(formats).into(), fields: vec![], pods: false });
        let mut other = recorder(other);
        let last = seconds.map(|seconds| Stamp { seconds, nanos: 0, offset_minutes: None });
        let mut batch = Batch::default();
        other.begin(source(1, Path::new("/archive/access.log.7.gz")), now, last);
        for (_, line) in lines.iter().rev() {
            other.record(offset, line, false, &mut batch);
        }
        for (index, (_, line)) in lines.iter().rev().enumerate() {
            let first = take_apart(&item(&mut one, offset, line).unwrap()).unwrap();
            let again = take_apart(batch.item(index).unwrap()).unwrap();
            prop_assert_eq!((&first.0, &first.1), (&again.0, &again.1));
            // with the same clock and path the whole document is equal, whatever was written before
            let fresh = item(&mut recorder(one_log(&lines)), offset, line).unwrap();
            prop_assert_eq!(take_apart(&fresh).unwrap(), first);
        }
    }

    /// The record contains the client's value, byte for byte if it is text.
    #[test]
    fn the_record_contains_the_value_that_nginx_had(
        agent in any_value(), user in any_value(), own in any_value(), target in "/[!-~]{0,12}",
        escape in any_escape(),
    ) {
        let tame = |value: Vec<u8>| -> Vec<u8> {
            // without escaping, a quote of a value looks like a quote of the format
            value.into_iter().filter(|byte| escape != Escape::None || *byte != b'"').collect()
        };
        let format = Format::compile(
            "\"$http_user_agent\" \"$remote_user\" \"$my_own\" \"$request_uri\" $msec", escape,
        ).unwrap();
        let given = [tame(agent), tame(user), tame(own), tame(target.into_bytes())];
        let mut line = vec![];
        for value in &given {
            line.push(b'"');
            write_escaped(escape, value, &mut line);
            line.extend_from_slice(b"\" ");
        }
        line.extend_from_slice(b"1795412474.123");
        prop_assert!(format.parse(&line, &mut Captures::new()).is_ok(), "{}", line.escape_ascii());
        let mut settings = settings(vec![format]);
        hide_nothing(&mut settings);
        let mut recorder = recorder(settings);
        let (_, _, document) = take_apart(&item(&mut recorder, 0, &line).unwrap()).unwrap();
        let found = [
            "/user_agent/original", "/user/name", "/nginx/access/my_own", "/url/original",
        ];
        for (value, pointer) in given.iter().zip(found) {
            let absent = match escape {
                Escape::Default => value == b"-",
                Escape::Json | Escape::None => value.is_empty(),
            };
            let expected = (!absent).then(|| as_text(value));
            let found = document.pointer(pointer).map(|value| value.as_str().unwrap().to_owned());
            prop_assert_eq!(found, expected, "{}", pointer);
        }
    }
}

/// Random text contains secrets too: `a:b@c`, `pw=x`.
fn hide_nothing(settings: &mut Settings) {
    settings.privacy.redact_query.clear();
    settings.privacy.redact_values.clear();
}

fn one_log(lines: &[(Format, Vec<u8>)]) -> Settings {
    settings(lines.iter().map(|(format, _)| format.clone()).collect())
}
