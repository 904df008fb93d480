//! A line's index and id do not depend on whether its format is known.

use proptest::prelude::*;

use super::properties::{OTHERS, TEXTS, values};
use super::*;

/// Index and id of a line under these formats, and whether one of them took it.
fn place_of(formats: Vec<Format>, line: &[u8]) -> (String, String, bool) {
    let mut recorder = recorder(settings(formats));
    let mut batch = Batch::default();
    recorder.begin(source(0, path()), NOW, None);
    let recorded = recorder.record(7, line, false, &mut batch);
    let (index, id, _) = take_apart(batch.item(0).unwrap()).unwrap();
    (index, id, matches!(recorded, Recorded::Parsed(_)))
}

/// A moment of nginx's clock, as its variables show it.
#[derive(Debug, Clone, Copy)]
struct Reading {
    millis: i64,
    zone: i32,
}

impl Reading {
    fn value(self, name: &str) -> Option<Vec<u8>> {
        let zone = chrono::FixedOffset::east_opt(self.zone * 60)?;
        let time = chrono::DateTime::from_timestamp_millis(self.millis)?.with_timezone(&zone);
        let text = match name {
            "time_local" => time.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "time_iso8601" => time.format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "msec" => format!("{}.{:03}", self.millis / 1000, self.millis % 1000),
            _ => return None,
        };
        Some(text.into_bytes())
    }
}

const TIMES: [&str; 3] = ["time_local", "time_iso8601", "msec"];

fn reading() -> impl Strategy<Value = Reading> {
    let seconds_of_ten_digits = 1_000_000_000_000..4_102_444_800_000_i64;
    (seconds_of_ten_digits, -720..=840_i32).prop_map(|(millis, zone)| Reading { millis, zone })
}

/// Names of variables: those before the first time, the time, and those after it.
fn names() -> impl Strategy<Value = Vec<&'static str>> {
    let before = prop::collection::vec(prop::sample::select(OTHERS), 0..4)
        .prop_map(|names| names.into_iter().filter(|name| !TIMES.contains(name)));
    let behind = prop_oneof![
        prop::sample::select(OTHERS),
        prop::sample::select(TEXTS),
        prop::sample::select(&TIMES[..]),
    ];
    (
        before,
        prop::sample::select(&TIMES[..]),
        prop::collection::vec(behind, 0..5),
    )
        .prop_map(|(before, time, behind)| before.chain([time]).chain(behind).collect())
}

/// Values that clients send to imitate a time.
const FORGED: [&str; 4] = [
    "GET /a?from=2011-11-11T11:11:11+00:00 HTTP/1.1",
    "GET / 1111111111.111 HTTP/1.1",
    "[11/Nov/2011:11:11:11 +0000]",
    "1111111111.111",
];

#[test]
fn ordinary_formats_and_their_lines_without_a_format() {
    let request = "GET /a?t=2011-11-11T11:11:11+00:00&_=1111111111.111 HTTP/1.1";
    for (format, line) in [
        (
            "$remote_addr - - [$time_local] \"$request\" $status",
            format!("1.2.3.4 - - [23/Nov/2026:05:41:14 +0000] \"{request}\" 200"),
        ),
        (
            "$msec $remote_addr \"$request\" $request_time",
            format!("1795412474.123 1.2.3.4 \"{request}\" 0.001"),
        ),
        (
            "$remote_addr [$msec] \"$request\" $time_iso8601",
            format!("1.2.3.4 [1795412474.123] \"{request}\" 2026-11-23T06:41:14+01:00"),
        ),
        (
            "$remote_addr [$time_local] \"$request\" $msec",
            format!("1.2.3.4 [23/Nov/2026:06:41:14 +0100] \"{request}\" 1795412474.999"),
        ),
        (
            "{\"ts\":$msec,\"client\":\"$remote_addr\",\"request\":\"$request\"}",
            format!("{{\"ts\":1795412474.123,\"client\":\"1.2.3.4\",\"request\":\"{request}\"}}"),
        ),
        (
            "host:$host\tmsec:$msec\treq:$request",
            format!("host:shop.example\tmsec:1795412474.123\treq:{request}"),
        ),
    ] {
        let format = Format::compile(format, Escape::Default).unwrap();
        let (index, id, parsed) = place_of(vec![format], line.as_bytes());
        assert!(parsed, "{line}");
        assert_eq!(
            (&*index, id_parts(&id).0),
            ("nginx-access-2026.11.23", 1_795_412_474)
        );
        assert_eq!(
            place_of(vec![], line.as_bytes()),
            (index, id, false),
            "{line}"
        );
    }
}

/// Formats without a time of nginx's own: rule 2 of identity.
#[test]
fn a_custom_time_decides_index_and_id() {
    for (source, line, shown) in [
        // the results of maps of $time_iso8601 and $msec
        (
            "{\"timestamp\":\"$time_iso8601_p1.$millisec+$time_iso8601_p2\",\"ip\":\"$remote_addr\"}",
            "{\"timestamp\":\"2026-11-23T05:41:14.865+00:00\",\"ip\":\"203.0.113.9\"}",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "$remote_addr [$time_iso8601_p1.$millisec+$time_iso8601_p2] $status",
            "203.0.113.9 [2026-11-23T07:41:14.865+02:00] 200",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "$remote_addr [$time_millis] $status",
            "203.0.113.9 [23/Nov/2026:05:41:14.865 +0000] 200",
            "2026-11-23T05:41:14.865Z",
        ),
        // without a zone it is UTC
        (
            "\"$year-$month-${day}T$hour:$minute:$second\" $status",
            "\"2026-11-23T05:41:14\" 200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$year-$month-$day $hour:$minute:$second $status",
            "2026-11-23 05:41:14 200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$status|$now|$host",
            "200|2026-11-23T05:41:14,865Z|a",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "$p1.${ms}Z|$status",
            "2026-11-23T05:41:14.865Z|200",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "$date_gmt|$status",
            "Monday, 23-Nov-2026 05:41:14 GMT|200",
            "2026-11-23T05:41:14.000Z",
        ),
        // Unix time, if a name or a key shows it
        (
            "$epoch $status",
            "1795412474 200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$now_ms $status",
            "1795412474865 200",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "{\"ts\":$x,\"status\":$status}",
            "{\"ts\":1795412474865,\"status\":200}",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "time:$x\tstatus:$status",
            "time:1795412474.5\tstatus:200",
            "2026-11-23T05:41:14.500Z",
        ),
        (
            "$sec.$ms $status",
            "1795412474.865 200",
            "2026-11-23T05:41:14.865Z",
        ),
        // a comma begins the next value, or a fraction
        (
            "$my_time,$size,$status",
            "2026-11-23T05:41:14,865,200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$my_time,$status",
            "2026-11-23T05:41:14,200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$my_time,$millisec,$status",
            "2026-11-23T05:41:14,865,200",
            "2026-11-23T05:41:14.865Z",
        ),
        // a variable named like a time takes precedence over others
        (
            "\"$x\" \"$my_time\"",
            "\"2011-11-11T11:11:11Z\" \"2026-11-23T05:41:14Z\"",
            "2026-11-23T05:41:14.000Z",
        ),
        // the zone is in the text of several variables, and a client's value follows it
        (
            "$time_iso8601_p1.$millisec+$time_iso8601_p2$request $status",
            "2026-11-23T07:41:14.865+02:00GET / HTTP/1.1 200",
            "2026-11-23T05:41:14.865Z",
        ),
        (
            "$my_time+$zone$http_x $status",
            "2026-11-23T07:41:14+0200:00:00 200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$my_time+$server$http_x $status",
            "2026-11-23T05:41:14+10.0.0.1x 200",
            "2026-11-23T05:41:14.000Z",
        ),
        // a client's text of this shape, in adjacent variables
        (
            "[$p1] $http_host$request_uri $status",
            "[2026-11-23T05:41:14.865Z] a/?t=2011-11-11T11:11:11+00:00 200",
            "2026-11-23T05:41:14.865Z",
        ),
        // a variable named for a part of the request comes from the client
        (
            "$best_http_host [$p1] $status",
            "2011-11-11T11:11:11Z [2026-11-23T05:41:14Z] 200",
            "2026-11-23T05:41:14.000Z",
        ),
        (
            "$req_id [$p1] $filtered_request_uri $status",
            "2011-11-11T11:11:11Z [2026-11-23T05:41:14Z] / 200",
            "2026-11-23T05:41:14.000Z",
        ),
        // nginx knows names without regard to case
        (
            "$myTime $status",
            "1795412474 200",
            "2026-11-23T05:41:14.000Z",
        ),
    ] {
        let format = Format::compile(source, Escape::Json).unwrap();
        let mut recorder = recorder(settings(vec![format]));
        let (index, id, document) =
            take_apart(&item(&mut recorder, 7, line.as_bytes()).unwrap()).unwrap();
        assert_eq!(document["@timestamp"], shown, "{source}");
        assert_eq!(index, "nginx-access-2026.11.23", "{source}");
        assert_eq!(id_parts(&id).0, 1_795_412_474, "{source}");
        assert!(document.get("tags").is_none(), "{source}: {document}");
    }
}

/// Only the format shows where the time of these lines is.
#[test]
fn times_that_are_not_the_time_of_the_line() {
    for (source, line) in [
        // a client's text, whatever its variable is called
        (
            "\"$http_x_time\" $status",
            "\"2026-11-23T05:41:14.865Z\" 200",
        ),
        ("\"$arg_time\" $status", "\"1795412474\" 200"),
        ("\"$cookie_ts\" $status", "\"1795412474.865\" 200"),
        (
            "\"$request\" $status",
            "\"GET /2026-11-23T05:41:14Z HTTP/1.1\" 200",
        ),
        (
            "\"$sent_http_x_time\" $status",
            "\"2026-11-23T05:41:14Z\" 200",
        ),
        ("\"$jwt_claim_iat\" $status", "\"1795412474\" 200"),
        // part of a value
        (
            "\"$my_time\" $status",
            "\"2026-11-23T05:41:14Z and more\" 200",
        ),
        ("\"$my_time\" $status", "\"x 2026-11-23T05:41:14Z\" 200"),
        // it continues in a client's value
        ("\"$date$http_x\"", "\"2026-11-23T05:41:1\""),
        (
            "$my_time+$zone$http_x $status",
            "2026-11-23T05:41:14+02:001 200",
        ),
        (
            "$http_host$request_uri $status",
            "a/?t=2011-11-11T11:11:11+00:00 200",
        ),
        // numbers whose names are not those of times
        ("$user_number $status", "1795412474 200"),
        ("$bytes_sent $status", "1795412474 200"),
        // times of other events
        ("\"$cert_expiry\" $status", "\"2026-11-23T05:41:14Z\" 200"),
        // outside the accepted years
        ("$my_time $status", "0026-11-23T05:41:14Z 200"),
        ("$my_time $status", "9999999999999 200"),
        ("$my_time $status", "- 200"),
    ] {
        let Ok(format) = Format::compile(source, Escape::Default) else {
            continue;
        };
        let (index, id, parsed) = place_of(vec![format], line.as_bytes());
        assert!(parsed, "{source}");
        assert_eq!(
            (&*index, id_parts(&id).0),
            ("nginx-access-unparsed", 0),
            "{source}"
        );
    }
}

/// A format with a time of nginx's own never looks at another variable, readable or not: rule 1 of identity.
#[test]
fn a_time_of_nginx_takes_precedence() {
    for (source, line, second) in [
        (
            "$my_time $time_local",
            "2026-11-22T05:41:14Z 23/Nov/2026:05:41:14 +0000",
            1_795_412_474,
        ),
        (
            "$my_time $msec",
            "2026-11-22T05:41:14Z 1795412474.865",
            1_795_412_474,
        ),
        ("$my_time $msec", "2026-11-22T05:41:14Z 0.000", 0),
        (
            "$my_time $time_iso8601",
            "2026-11-22T05:41:14Z 1970-01-01T00:00:00+00:00",
            0,
        ),
    ] {
        let format = Format::compile(source, Escape::Default).unwrap();
        let (_, id, parsed) = place_of(vec![format], line.as_bytes());
        assert!(parsed, "{source}");
        assert_eq!(id_parts(&id).0, second, "{source}");
    }
}

/// A variable that a setting names is the time, even if a client sends it, and takes precedence over nginx's own.
#[test]
fn a_setting_names_the_time() {
    let set = |source: &str, variable: &str, line: &str| {
        let format = Format::compile(source, Escape::Default).unwrap();
        let mut settings = settings(vec![format]);
        let fields = format!("\"@timestamp\" = \"{variable}\"");
        settings.logs[0].fields = routes::fields(&fields);
        let item = item(&mut recorder(settings), 7, line.as_bytes()).unwrap();
        let (_, id, document) = take_apart(&item).unwrap();
        (
            id_parts(&id).0,
            document["@timestamp"].as_str().unwrap().to_owned(),
        )
    };
    let shown = "2026-11-23T05:41:14.865Z".to_owned();
    let expected = (1_795_412_474, shown);
    for (source, variable, line) in [
        (
            "\"$http_x_time\" $status",
            "$http_x_time",
            "\"1795412474865\" 200",
        ),
        ("$x $status", "$x", "1795412474865 200"),
        (
            "$x $y",
            "$Y",
            "2026-11-22T05:41:14Z 2026-11-23T05:41:14.865Z",
        ),
        ("$day $clock.$part", "$day", "2026-11-23 05:41:14.865"),
        (
            "[$time_local] $x",
            "$x",
            "[22/Nov/2026:05:41:14 +0000] 1795412474.865",
        ),
        // if it cannot be read, the next time is used
        ("$msec $x", "$x", "1795412474.865 -"),
        ("$msec $x", "$x", "1795412474.865 soon"),
        ("$msec $x", "$y", "1795412474.865 1"),
    ] {
        assert_eq!(set(source, variable, line), expected, "{source}");
    }
}

/// The documented exceptions: a client's text that looks like a time and precedes nginx's own, a time of nginx's own
/// far behind in the line, and a format without one.
#[test]
fn the_documented_exceptions_are_still_exceptions() {
    let long = "x".repeat(5000);
    for (format, line) in [
        (
            "\"$request\" [$time_local]",
            "\"GET /?t=2011-11-11T11:11:11+00:00 HTTP/1.1\" [23/Nov/2026:05:41:14 +0000]"
                .to_owned(),
        ),
        (
            "\"$request\" [$time_local]",
            format!("\"GET /{long} HTTP/1.1\" [23/Nov/2026:05:41:14 +0000]"),
        ),
        (
            "$status \"$request\"",
            "200 \"GET /?t=2011-11-11T11:11:11+00:00 HTTP/1.1\"".to_owned(),
        ),
        // rule 2: text after the time that rule 1 takes for a time, and numbers
        (
            "[$my_time] \"$request\"",
            "[2026-11-23T05:41:14.865Z] \"GET /?t=2011-11-11T11:11:11+00:00 HTTP/1.1\"".to_owned(),
        ),
        ("[$my_time] $status", "[1795412474865] 200".to_owned()),
    ] {
        let format = Format::compile(format, Escape::Default).unwrap();
        let (_, known, parsed) = place_of(vec![format], line.as_bytes());
        assert!(parsed);
        assert_ne!(
            place_of(vec![], line.as_bytes()).1,
            known,
            "no longer an exception: update the documents"
        );
    }
}

/// A line of a well-known format has the same index and id as while the format is unknown.
#[test]
fn lines_of_well_known_formats_keep_the_index_and_id_of_unknown_ones() {
    let reading = Reading {
        millis: 1_795_412_474_123,
        zone: 345,
    };
    for named in crate::config::well_known() {
        for pick in 0..12 {
            let value = |name: &str| {
                let text = match name {
                    "host" | "upstream_host" => "shop.example",
                    "gzip_ratio" => "2.50",
                    "proxy_upstream_name" | "proxy_alternative_upstream_name" => "shop-api-80",
                    // it precedes the time
                    "remote_user" => "me",
                    "upstream_scheme" => "http",
                    "upstream_uri" => "/a?t=2011-11-11T11:11:11+00:00",
                    name if TEXTS.contains(&name) => FORGED[pick % FORGED.len()],
                    name => values(name)[pick % values(name).len()],
                };
                reading
                    .value(name)
                    .unwrap_or_else(|| text.as_bytes().to_vec())
            };
            let line = fill(named.format.source(), Escape::Default, value);
            let (index, id, parsed) = place_of(vec![named.format.clone()], &line);
            assert!(parsed, "{}: {}", named.name, line.escape_ascii());
            assert_eq!(id_parts(&id).0, 1_795_412_474);
            assert_eq!(
                place_of(vec![], &line),
                (index, id, false),
                "{}",
                line.escape_ascii()
            );
            // the same line with a carriage return has the same index and id
            let rewritten = [&line[..], b"\r"].concat();
            let (index, id, _) = place_of(vec![], &line);
            assert_eq!(
                place_of(vec![named.format.clone()], &rewritten),
                (index, id, true)
            );
        }
    }
}

/// Spellings of rule 2 that are found without the format, too.
const SPELLINGS: [&str; 7] = [
    "%Y-%m-%dT%H:%M:%S%.3f%:z",
    "%Y-%m-%dT%H:%M:%S,%3f%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S%.6f %z",
    "%d/%b/%Y:%H:%M:%S%.3f %z",
    "%d/%b/%Y %H:%M:%S %z",
    "%Y/%m/%d %H:%M:%S%:z",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// The same for a custom time: rule 2 of identity.
    #[test]
    fn a_custom_time_gives_the_same_index_and_id_without_its_format(
        reading in reading(),
        spelling in prop::sample::select(&SPELLINGS[..]),
        forged in prop::sample::select(&["GET /?from=2011-11-11T11:11:11.000Z HTTP/1.1", "2011-11-11 11:11:11", "-"][..]),
        (open, between, close) in prop::sample::select(&[
            ("\"", "\" \"", "\""), ("", "\t", ""), ("", "|", ""), ("{\"a\":\"", "\",\"b\":\"", "\"}"),
        ][..]),
        escape in prop::sample::select(&[Escape::Default, Escape::Json][..]),
    ) {
        let source = format!("{open}${{remote_addr}}{between}${{my_own}}{between}${{http_x}}{close}");
        let format = Format::compile(&source, escape).unwrap();
        let zone = chrono::FixedOffset::east_opt(reading.zone * 60).unwrap();
        let time = chrono::DateTime::from_timestamp_millis(reading.millis).unwrap().with_timezone(&zone);
        let time = time.format(spelling);
        let line = format!("{open}203.0.113.9{between}{time}{between}{forged}{close}");
        let (index, id, parsed) = place_of(vec![format], line.as_bytes());
        prop_assert!(parsed, "{line}");
        prop_assert_eq!(i64::from(id_parts(&id).0), reading.millis / 1000, "{}", line);
        prop_assert_eq!(place_of(vec![], line.as_bytes()), (index, id, false), "{}", line);
    }

    /// Holds for each of nginx's times, and whatever clients write after the first of them.
    #[test]
    fn a_line_has_the_same_index_and_id_with_and_without_its_format(
        names in names(),
        reading in reading(),
        forged in prop::sample::select(&FORGED[..]),
        pick in any::<usize>(),
        (open, between, close) in prop::sample::select(&[
            ("", " ", ""), ("\"", "\" \"", "\""), ("[", "] [", "]"), ("", "\t", ""), ("", "|", ""),
            ("{\"a\":\"", "\",\"b\":\"", "\"}"), ("{\"a\":", ",\"b\":", "}"), ("a=", " b=", ""),
        ][..]),
        escape in prop::sample::select(&[Escape::Default, Escape::Json, Escape::None][..]),
    ) {
        let source = names.iter().map(|name| format!("${{{name}}}")).collect::<Vec<_>>();
        let source = format!("{open}{}{close}", source.join(between));
        let Ok(format) = Format::compile(&source, escape) else { return Ok(()) };
        let line = fill(&source, escape, |name| {
            let text = if TEXTS.contains(&name) { forged } else { values(name)[pick % values(name).len()] };
            reading.value(name).unwrap_or_else(|| text.as_bytes().to_vec())
        });
        let (index, id, parsed) = place_of(vec![format], &line);
        // An unquoted value of a client may contain the separator of values. Then the line does not parse, or the client
        // chooses the time.
        if !parsed {
            return Ok(());
        }
        if i64::from(id_parts(&id).0) != reading.millis / 1000 {
            prop_assert!(!between.contains('"'), "forged: {}", line.escape_ascii());
            return Ok(());
        }
        prop_assert_eq!(place_of(vec![], &line), (index, id, false), "{}", line.escape_ascii());
    }
    /// The same for adjacent variables, whether the time can be separated from its neighbours or is part of a text of
    /// several.
    #[test]
    fn a_line_of_adjacent_variables_keeps_its_index_and_id(
        names in names(),
        reading in reading(),
        forged in prop::sample::select(&FORGED[..]),
        pick in any::<usize>(),
        joints in prop::collection::vec(prop::sample::select(&["", "", " ", "\" \""][..]), 12),
        escape in prop::sample::select(&[Escape::Default, Escape::Json, Escape::None][..]),
    ) {
        // an exception: without the format, a `$msec` that no byte separates from its neighbours is not taken for a time
        let names = names.into_iter().map(|name| if name == "msec" { "time_local" } else { name });
        let names: Vec<&str> = names.collect();
        let mut source = "\"".to_owned();
        for (name, joint) in names.iter().zip(&joints) {
            source.push_str(&format!("${{{name}}}{joint}"));
        }
        source.push('"');
        let Ok(format) = Format::compile(&source, escape) else { return Ok(()) };
        let is_joined = format.fields().iter().any(|field| field.name().contains('$'));
        let line = fill(&source, escape, |name| {
            let text = if TEXTS.contains(&name) { forged } else { values(name)[pick % values(name).len()] };
            reading.value(name).unwrap_or_else(|| text.as_bytes().to_vec())
        });
        let (index, id, parsed) = place_of(vec![format], &line);
        // A time before nginx's own is forged. Without the format it counts.
        let is_own = i64::from(id_parts(&id).0) == reading.millis / 1000;
        let (_, unknown, _) = place_of(vec![], &line);
        let is_first = i64::from(id_parts(&unknown).0) == reading.millis / 1000;
        if is_joined && parsed && (!is_own || is_first) {
            prop_assert_eq!(place_of(vec![], &line), (index, id, false), "{}: {}", source, line.escape_ascii());
        }
    }
}
