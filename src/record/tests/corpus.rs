//! A corpus of lines under several formats; the whole bulk item of each is a snapshot.

use std::fmt::Write as _;

use super::*;

/// Strings longer than this are shown by their ends.
const SHOWN: usize = 120;

/// Lines under one list of formats.
pub(super) struct Case {
    name: &'static str,
    settings: Settings,
    last: Option<Stamp>,
    lines: Vec<(Vec<u8>, bool)>,
}

impl Case {
    fn new(name: &'static str, format: Format, lines: &[&str]) -> Self {
        Self {
            name,
            settings: settings(vec![format]),
            last: None,
            lines: lines
                .iter()
                .map(|line| (line.as_bytes().to_vec(), false))
                .collect(),
        }
    }

    fn combined(name: &'static str, lines: &[&str]) -> Self {
        Self::new(name, Format::combined(), lines)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The record of each line, in the order of the lines; `None` where it is expired.
    pub(super) fn items(&self) -> Vec<(Recorded, Option<Vec<u8>>)> {
        let mut recorder = recorder(self.settings.clone());
        let mut batch = Batch::default();
        let mut offset = 0;
        let mut found = vec![];
        for (line, cut) in &self.lines {
            // each is read alone, so that the time of one case does not affect the next
            recorder.begin(source(0, path()), NOW, self.last);
            batch.clear();
            let recorded = recorder.record(offset, line, *cut, &mut batch);
            offset += line.len() as u64 + 1;
            found.push((recorded, batch.item(0).map(<[u8]>::to_vec)));
        }
        found
    }

    fn render(&self) -> String {
        let mut out = String::new();
        for ((line, _), (recorded, item)) in self.lines.iter().zip(self.items()) {
            writeln!(out, "> {}", short(&line.escape_ascii().to_string())).unwrap();
            writeln!(out, "{recorded:?}").unwrap();
            if let Some(item) = item {
                let (index, id, mut document) = take_apart(&item).unwrap();
                let (second, stream, offset) = id_parts(&id);
                writeln!(out, "{index} {id} = {second} {stream:02x?} {offset}").unwrap();
                document["agent"]["version"] = "of this build".into();
                shorten(&mut document);
                writeln!(out, "{document:#}").unwrap();
            }
            out.push('\n');
        }
        out
    }
}

fn short(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let (head, tail) = (&text[..SHOWN / 2], &text[text.len() - SHOWN / 4..]);
    format!("{head}…{tail} ({} bytes)", text.len())
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.is_ascii() => *text = short(text),
        Value::Array(elements) => elements.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

fn compile(source: &str) -> Format {
    Format::compile(source, Escape::Default).unwrap()
}

/// ingress-nginx's own format (its documentation, "Log format").
const INGRESS: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
    $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_length $request_time \
    [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr \
    $upstream_response_length $upstream_response_time $upstream_status $req_id";

const EVERY: &str = "$remote_addr $realip_remote_addr \"$http_x_forwarded_for\" \"$remote_user\" \
    $time_local $msec \"$request\" $status $body_bytes_sent $bytes_sent $request_length \
    $request_time \"$http_referer\" \"$http_user_agent\" $request_id $host \"$http_host\" \
    $server_name $server_addr $server_port $scheme $https $ssl_protocol $ssl_cipher \
    \"$upstream_addr\" \"$upstream_status\" \"$upstream_response_length\" \
    \"$upstream_bytes_received\" \"$upstream_bytes_sent\" \"$upstream_connect_time\" \
    \"$upstream_header_time\" \"$upstream_response_time\" \"$upstream_queue_time\" \
    $upstream_cache_status $pipe $connection $gzip_ratio \"$sent_http_content_type\"";

const EVERY_LINE: &str = "10.0.0.1 192.0.2.7 \"198.51.100.4, 203.0.113.9, 10.0.0.2\" \"anna\" \
    23/Nov/2026:05:41:14 +0100 1795408874.123 \"POST /shop/v1/orders/17/lines.json?a=1&b=%20#top \
    HTTP/1.1\" 201 512 803 1290 1.234 \"https://shop.example/cart\" \"Mozilla/5.0 (X11)\" \
    8f3b2c6d9e0a4b1c8d7e6f5a4b3c2d1e shop.example \"Shop.example:443\" _ 192.0.2.1 443 https on \
    TLSv1.3 TLS_AES_256_GCM_SHA384 \"10.1.0.1:80, unix:/run/a.sock : [2001:db8::5]:80\" \
    \"502, - : 200\" \"0, - : 512\" \"0, - : 700\" \"99, - : 99\" \"0.001, - : 0.002\" \
    \"-, - : 0.120\" \"0.001, 2.000 : 0.125\" \"-, - : 0.001\" MISS . 4711 2.31 \
    \"application/json\"";

/// The whole corpus, on which tests of documents run.
pub(super) fn all() -> Vec<Case> {
    let at = |rest: &str| format!("203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] {rest}");
    let url = format!("/search?q={}", "%C3%A4".repeat(1360));
    let long = at(&format!("\"GET {url} HTTP/1.1\" 414 0 \"-\" \"-\""));
    let forwarded = "$remote_addr \"$http_x_forwarded_for\" $time_local";
    let json = Format::from_directive(
        "log_format json escape=json '{\"time\":\"$time_iso8601\",\"client\":\"$remote_addr\",'
           '\"user\":\"$remote_user\",\"request\":\"$request\",\"status\":$status,'
           '\"t\":$request_time,\"agent\":\"$http_user_agent\",\"ref\":\"$http_referer\"}';",
        Escape::Default,
    )
    .unwrap();
    let mut cut = Case::combined("cut", &[&at("\"GET /aaaaaaaaaaaaaaaaaaaaaa")]);
    cut.lines[0].1 = true;
    let mut cut_and_parsed = Case::combined(
        "cut_and_parsed",
        &[&at("\"GET / HTTP/1.1\" 200 1 \"-\" \"a\"")],
    );
    cut_and_parsed.lines[0].1 = true;
    let mut bytes = Case::new("bytes_under_json", json.clone(), &[]);
    bytes.lines.push((
        b"{\"time\":\"2026-11-23T05:41:14+00:00\",\"client\":\"::1\",\"user\":\"\xff\xfe\",\"request\":\
          \"GET /caf\xc3\xa9/\xe9 HTTP/1.1\",\"status\":200,\"t\":0.000,\"agent\":\"\xf0\x9f\xa6\x80\\u001b\
          \\\"\\\\\\n\",\"ref\":\"\"}"
            .to_vec(),
        false,
    ));
    let mut no_time = Case::new(
        "format_without_a_time",
        compile("$remote_addr \"$request\" $request_time"),
        &["203.0.113.9 \"GET /a HTTP/1.1\" 0.250"],
    );
    no_time.last = Some(Stamp {
        seconds: 1_795_412_000,
        nanos: 500_000_000,
        offset_minutes: Some(60),
    });
    vec![
        Case::combined(
            "combined",
            &[
                &at("\"GET /users/17/orders?page=2 HTTP/1.1\" 200 612 \
                     \"https://shop.example/\" \"curl/8.5.0\""),
                "2001:db8::17 - anna [23/Nov/2026:05:41:14 -0330] \"HEAD / HTTP/1.0\" 304 0 \"-\" \"-\"",
                "unix: - - [23/Nov/2026:05:41:14 +0000] \"GET /health HTTP/1.1\" 200 2 \"-\" \"-\"",
            ],
        ),
        Case::combined(
            "requests",
            &[
                &at("\"GET /a.tar.gz HTTP/2.0\" 200 1 \"-\" \"-\""),
                &at("\"GET http://shop.example:8080/x/y?z=1 HTTP/1.1\" 200 1 \"-\" \"-\""),
                &at("\"GET http://[2001:db8::1]:8080/x HTTP/1.1\" 200 1 \"-\" \"-\""),
                &at("\"CONNECT shop.example:443 HTTP/1.1\" 405 1 \"-\" \"-\""),
                &at("\"OPTIONS * HTTP/1.1\" 200 1 \"-\" \"-\""),
                &at("\"GET /old\" 200 1 \"-\" \"-\""),
                &at("\"GET /a b c HTTP/1.1\" 400 1 \"-\" \"-\""),
                &at(
                    "\"GET //api/%65xport/../%65xport/0123456789abcdef HTTP/1.1\" 200 1 \"-\" \"-\"",
                ),
            ],
        ),
        Case::combined(
            "rubbish_requests",
            &[
                &at("\"\" 400 0 \"-\" \"-\""),
                &at("\"-\" 400 0 \"-\" \"-\""),
                &at("\"\\x16\\x03\\x01\\x00\\xA5\\x01\\x00\" 400 150 \"-\" \"-\""),
                &at("\"GET / HTTP/1.1\" 499 0 \"-\" \"-\""),
                &at("\"GET / HTTP/1.1\" 000 0 \"-\" \"-\""),
                &at("\"GET / HTTP/1.1\" 101 9223372036854775807 \"-\" \"-\""),
                &at("\"GET / HTTP/1.1\" 101 9223372036854775808 \"-\" \"-\""),
            ],
        ),
        Case::combined(
            "escapes",
            &[
                &at(
                    "\"GET /?q=\\x22x\\x5Cy\\x22 HTTP/1.1\" 200 1 \"\\x22\" \"tab\\x09bell\\x07\\x7F\"",
                ),
                &at("\"GET /caf\\xC3\\xA9/17 HTTP/1.1\" 200 1 \"-\" \"\\xE2\\x98\\x83 \\xE9\""),
            ],
        ),
        Case::combined("url_of_8_kb", &[&long]),
        bytes,
        Case::new(
            "json",
            json,
            &[
                "{\"time\":\"2026-11-23T05:41:14+05:45\",\"client\":\"203.0.113.9\",\"user\":\"\",\
                 \"request\":\"GET /a HTTP/1.1\",\"status\":503,\"t\":12.345,\"agent\":\"x\",\"ref\":\"\"}",
            ],
        ),
        Case::new(
            "ingress",
            compile(INGRESS),
            &[
                &at(
                    "\"GET /api HTTP/2.0\" 200 612 \"-\" \"curl/8.5.0\" 512 0.006 [shop-web-80] \
                     [shop-canary-80] 10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80 0, 12 : 3 0.001, 0.002 \
                     : 0.003 502, 502 : 200 8f3b2c6d9e0a4b1c8d7e6f5a4b3c2d1e",
                ),
                &at("\"GET / HTTP/1.1\" 404 146 \"-\" \"curl/8.5.0\" 77 0.000 \
                     [upstream-default-backend] [] - - - - 8f3b2c6d9e0a4b1c8d7e6f5a4b3c2d1e"),
            ],
        ),
        Case::new("every_field", compile(EVERY), &[EVERY_LINE]),
        Case::new("every_field_and_the_line", compile(EVERY), &[EVERY_LINE])
            .with(|settings| settings.keep_original = true),
        Case::new(
            "forwarded",
            compile(forwarded),
            &[
                "10.0.0.1 \"203.0.113.9\" 23/Nov/2026:05:41:14 +0000",
                "10.0.0.1 \"6.6.6.6, 203.0.113.9:4711, 10.0.0.2\" 23/Nov/2026:05:41:14 +0000",
                "192.0.2.1 \"203.0.113.9\" 23/Nov/2026:05:41:14 +0000",
                "2001:db8:a::1 \"unknown, [2001:DB8::9]:443, ::ffff:10.0.0.2\" 23/Nov/2026:05:41:14 +0000",
                "10.0.0.1 \"::ffff:c000:207\" 23/Nov/2026:05:41:14 +0000",
                "10.0.0.1 \"unknown\" 23/Nov/2026:05:41:14 +0000",
                "10.0.0.1 \"-\" 23/Nov/2026:05:41:14 +0000",
                "10.0.0.1 \"<script>\\x22, ,\" 23/Nov/2026:05:41:14 +0000",
                "10.0.0.1 \"1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4,5.5.5.5,6.6.6.6,7.7.7.7,8.8.8.8,9.9.9.9\" \
                 23/Nov/2026:05:41:14 +0000",
            ],
        ),
        Case::new(
            "parts",
            compile("$request_method $uri $args $server_protocol $status $msec $http_host $https"),
            &[
                "GET /users/17/a%20b a=1 HTTP/3.0 200 1795412474.007 [2001:db8::1]:8443 on",
                "GET /users/17 - HTTP/1.1 200 1795412474.007 shop.example -",
            ],
        ),
        Case::new(
            "durations",
            compile("$time_iso8601 $request_time \"$upstream_response_time\" $upstream_status"),
            &[
                "2026-11-23T05:41:14+00:00 0.001 \"0.001\" 200",
                "2026-11-23T05:41:14+00:00 9999999999.999 \"9999999999.999\" 200",
                "2026-11-23T05:41:14+00:00 - \"-\" -",
            ],
        ),
        Case::new(
            "own_variables",
            compile(
                "$time_iso8601 \"$upstream\" \"$response_time\" \"$remote_ip_list\" \"$Team\" \
                     $upstream_addr $request_time \"$http_x_forwarded_for\" \"$upstream_addr\"",
            ),
            &[
                "2026-11-23T05:41:14+00:00 \"blue\" \"slow\" \"none\" \"a\" 10.0.0.1:80 0.001 \
               \"10.0.0.1\" \"10.0.0.1:80\"",
            ],
        ),
        Case::combined(
            "constants",
            &[&at("\"GET / HTTP/1.1\" 200 1 \"-\" \"-\""), "rubbish"],
        )
        .with(|settings| {
            settings.logs[0].fields = vec![
                Field::constant("url.domain", "shop.example"),
                Field::constant("labels.env", "\"prod\"\u{1}é"),
                Field::constant("service.name", "shop"),
            ];
        }),
        Case::combined(
            "routes",
            &[
                &at("\"POST /login HTTP/1.1\" 302 1 \"-\" \"-\""),
                &at("\"POST /login HTTP/1.1\" 200 1 \"-\" \"-\""),
                &at("\"POST /login HTTP/1.1\" 000 0 \"-\" \"-\""),
                &at("\"GET /api/%65xport/7 HTTP/1.1\" 500 1 \"-\" \"-\""),
            ],
        )
        .with(|settings| settings.routes = routes::routes(routes::SHOP)),
        Case::new(
            "fields",
            compile(
                "$remote_addr [$time_local] \"$request\" \"$http_x_user_id\" \"$http_x_port\" $remote_user \
                 \"$http_x_ip\" \"$http_x_end\" \"$http_x_site\" \"$server_name\"",
            ),
            &[
                "203.0.113.9 [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" \"7\\x22\" \"4711\" anna \
                 \"2001:DB8::7\" \"2026-11-23T05:41:15+01:00\" \"shop.example\" \"other\"",
                "203.0.113.9 [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" \"7\" \"many\" - \"-\" \"-\" \"-\" \"other\"",
                "203.0.113.9 [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" \"-\" \"-\" - \"-\" \"-\" \"-\" \"-\"",
                "rubbish",
            ],
        )
        .with(|settings| settings.logs[0].fields = routes::fields(routes::FIELDS)),
        cut,
        cut_and_parsed,
        Case::combined(
            "unparsed",
            &[
                &at("\"GET / HTTP/1.1\" two 1 \"-\" \"-\""),
                "no time in here \\ \"quoted\"\t",
                "",
                "12/Dec/1926:00:00:00 +0000 then 2026-11-23T05:41:14+00:00",
            ],
        ),
        Case::new(
            "no_format",
            Format::combined(),
            &["x 2026-11-23T05:41:14+00:00"],
        )
        .with(|settings| settings.logs[0].formats = Vec::new().into()),
        Case::combined(
            "odd_times",
            &[
                // more than a day ahead
                "203.0.113.9 - - [24/Nov/2026:06:00:01 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "203.0.113.9 - - [24/Nov/2026:06:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "203.0.113.9 - - [01/Jan/1970:00:00:07 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "203.0.113.9 - - [31/Dec/2099:23:59:59 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "203.0.113.9 - - [23/Nov/2026:23:30:00 +0100] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "203.0.113.9 - - [24/Nov/2026:00:30:00 +0100] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
            ],
        ),
        Case::new(
            "two_times",
            compile("$msec [$time_local]"),
            &[
                "0.000 [23/Nov/2026:05:41:14 +0000]",
                "1795412474.123 [23/Nov/2026:05:41:14 +0000]",
            ],
        ),
        Case::combined(
            "expired",
            &[
                "203.0.113.9 - - [22/Nov/2026:05:59:59 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "203.0.113.9 - - [22/Nov/2026:06:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
                "unparsed [22/Nov/2026:05:59:59 +0000]",
                "unparsed without a time",
            ],
        )
        .with(|settings| settings.retention = Some(Duration::from_secs(86_400))),
        no_time,
    ]
}

#[test]
fn the_corpus() {
    for case in all() {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(case.name, case.render());
        });
    }
}

#[test]
fn lines_without_a_time_use_the_last_readable_one() {
    let mut recorder = recorder(settings(vec![Format::combined()]));
    let mut batch = Batch::default();
    recorder.begin(source(0, path()), NOW, None);
    let lines = [
        "rubbish",
        "203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
        "rubbish",
    ];
    for (offset, line) in (0..).zip(lines) {
        recorder.record(offset, line.as_bytes(), false, &mut batch);
    }
    let shown = |index| {
        let (_, id, document) = take_apart(batch.item(index).unwrap()).unwrap();
        (
            id_parts(&id).0,
            document["@timestamp"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(shown(0), (0, "2026-11-23T06:00:00.123Z".to_owned()));
    assert_eq!(
        shown(1),
        (1_795_412_474, "2026-11-23T05:41:14.000Z".to_owned())
    );
    assert_eq!(shown(2), (0, "2026-11-23T05:41:14.000Z".to_owned()));
    // in the next chunk of the file too, and not in another file's
    let last = recorder.last_time();
    batch.clear();
    recorder.begin(source(0, path()), NOW, last);
    recorder.record(3, b"rubbish", false, &mut batch);
    recorder.begin(source(0, path()), NOW, None);
    recorder.record(4, b"rubbish", false, &mut batch);
    let shown = |index| take_apart(batch.item(index).unwrap()).unwrap().2["@timestamp"].clone();
    assert_eq!(shown(0), "2026-11-23T05:41:14.000Z");
    assert_eq!(shown(1), "2026-11-23T06:00:00.123Z");
}
