//! Secrets and addresses appear nowhere in the body, whatever the format, and the index and id of a record stay the same.

use logweir_parsers::Captures;
use proptest::prelude::*;

use super::*;
use crate::config::{AddressRule, Field, FieldType, HashKey};
use crate::output::dead_letters::{Entry, EntryKind, Rejection};
use crate::record::privacy::{Cleaned, Redactor, Scope};

const SECRET: &str = "s3cr3tV4lue";
const PERSON: &str = "alice.unusual";
const V4: &str = "203.0.113.77";
const V6: &str = "2001:db8:77:88::99";
/// Other ways to write them.
const SPELLED: [&str; 5] = [
    V4,
    V6,
    "2001:DB8:77:88::99",
    "2001%3Adb8%3A77%3A88%3A%3A99",
    "2001:db8:77:88:0:0:0:99",
];

fn privacy(ip: AddressRule) -> Privacy {
    Privacy {
        ip,
        hash_key: Some(HashKey::new("0123456789abcdef of a test")),
        hash_fields: ["user.name", "user.id", "nginx.access.http_x_who"]
            .map(str::to_owned)
            .into(),
        ..Privacy::default()
    }
}

/// Texts with a secret, with an address, or with both.
fn text() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "token",
        "%74oken",
        "PassWord",
        "user[password]",
        "reset_token",
        "accessToken",
        "api-key",
        "sid",
        "%2573ignature",
    ]);
    let secret = (
        key,
        prop::sample::select(vec![
            "/a?x=1&KEY=SECRET&y=2",
            "https://shop.example/?KEY=SECRET#top",
            "/in?next=%2Fb%3FKEY%3DSECRET%26c%3Dd&e",
            "KEY=SECRET",
            "a=b;c;KEY=SECRET",
            "/path;KEY=SECRET/x.css",
            "/a?d=%7B%22KEY%22%3A%22SECRET%22%7D",
            "{\"a\":[1],\"KEY\":\"SECRET\",\"b\":2}",
            "é☃&KEY=SECRET",
            "\u{1}\"\\KEY=SECRET",
        ]),
    )
        .prop_map(|(key, text)| text.replace("KEY", key).replace("SECRET", SECRET));
    let address = (
        prop::sample::select(&SPELLED),
        prop::sample::select(vec![
            "IP",
            "for=IP;proto=https",
            "/ip/IP/x.css",
            "x,IP,y",
            "/a?ip=IP&b",
            "[IP]:443",
            "\"IP\"",
            "http://IP/a",
            "é☃IP",
            "%20IP",
            "ip:IP.",
            "(IP)",
        ]),
    )
        .prop_map(|(ip, text)| text.replace("IP", ip));
    prop_oneof![
        secret.clone(),
        address.clone(),
        (secret, address).prop_map(|(secret, address)| format!("{address}&{secret}")),
        Just("-".to_owned()),
        "[ -~]{0,6}",
    ]
}

/// A variable and its value.
fn member() -> impl Strategy<Value = (&'static str, String)> {
    let texts = prop::sample::select(vec![
        "http_user_agent",
        "http_referer",
        "http_x_real_ip",
        "request_uri",
        "args",
        "uri",
        "http_host",
        "host",
        "http_cookie",
        "request_body",
        "server_name",
        "scheme",
        "request_id",
        "http_x_one",
        "upstream_cache_status",
        "ssl_cipher",
        "realip_remote_addr",
        "request_method",
        "my_own",
        "http_x_forwarded_for",
        "upstream",
        "http_x_ip",
        "http_x_place",
    ]);
    let whole = prop::sample::select(vec![
        "arg_token",
        "cookie_session",
        "http_authorization",
        "sent_http_x_auth_token",
    ]);
    let people = prop::sample::select(vec!["remote_user", "http_x_id", "http_x_who"]);
    let addresses = prop::sample::select(vec![
        "remote_addr",
        "realip_remote_addr",
        "http_x_forwarded_for",
        "proxy_protocol_addr",
    ]);
    prop_oneof![
        4 => (texts, text()),
        2 => text().prop_map(|text| ("request", format!("GET {text} HTTP/1.1"))),
        1 => text().prop_map(|text| ("request", text)),
        1 => whole.prop_map(|name| (name, format!("Bearer {SECRET}"))),
        1 => people.prop_map(|name| (name, PERSON.to_owned())),
        2 => (addresses, prop::sample::select(&SPELLED[..3])).prop_map(|(name, ip)| (name, ip.to_owned())),
        1 => Just(("http_x_forwarded_for", format!("10.0.0.9, {V4}, [{V6}]:99, unknown"))),
        1 => Just(("msec", "1795412474.123".to_owned())),
        1 => Just(("status", "200".to_owned())),
    ]
}

fn fields() -> Vec<Field> {
    [
        ("user.id", "http_x_id", FieldType::Text),
        ("client.ip", "http_x_ip", FieldType::Ip),
        ("labels.place", "http_x_place", FieldType::Text),
        ("labels.token", "arg_token", FieldType::Text),
    ]
    .map(|(name, variable, kind)| Field {
        name: name.to_owned(),
        value: FieldValue::Variable(variable.to_owned()),
        kind,
    })
    .into()
}

fn recorder(format: &Format, privacy: Privacy, keep_original: bool) -> Recorder<ActionLines> {
    let mut settings = settings(vec![format.clone()]);
    settings.privacy = privacy;
    settings.keep_original = keep_original;
    settings.logs[0].fields = fields();
    super::recorder(settings)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn nothing_secret_is_in_the_body(
        members in prop::collection::vec(member(), 1..6),
        escape in prop::sample::select(vec![Escape::Default, Escape::Json, Escape::None]),
        ip in prop::sample::select(vec![AddressRule::Keep, AddressRule::Truncate, AddressRule::Hash]),
        keep_original in any::<bool>(),
        cut in prop::option::of(0..200_usize),
        beside in prop::collection::vec(prop::bool::weighted(0.2), 6),
    ) {
        let (mut source, mut line) = ("\"".to_owned(), vec![b'"']);
        for ((name, value), beside) in members.iter().zip(&beside) {
            // some are adjacent
            let joint = if *beside { "" } else { "\" \"" };
            source.push_str(&format!("${{{name}}}{joint}"));
            write_escaped(escape, value.as_bytes(), &mut line);
            line.extend_from_slice(joint.as_bytes());
        }
        source.push('"');
        line.push(b'"');
        let Ok(format) = Format::compile(&source, escape) else { return Ok(()) };
        if let Some(cut) = cut {
            line.truncate(cut);
        }
        prop_assume!(!is_blank(&line));
        let parsed = format.parse(&line, &mut Captures::new()).is_ok();
        let mut rules = privacy(ip);
        if !parsed {
            // in a line without a format, a secret without a key is not recognised. Neither is a person's name, or the
            // beginning of a value directly after another one
            if beside.iter().take(members.len()).any(|beside| *beside) {
                return Ok(());
            }
            if members.iter().any(|(_, value)| value.starts_with("Bearer ") || value == PERSON) {
                return Ok(());
            }
            rules.hash_fields.clear();
        }
        let mut private = recorder(&format, rules, keep_original);
        let item = item(&mut private, 7, &line).unwrap();
        let text = String::from_utf8(item.clone()).unwrap();
        let mut hidden = vec![SECRET, PERSON];
        if ip != AddressRule::Keep {
            hidden.extend(SPELLED);
        }
        for hidden in hidden {
            prop_assert!(!text.contains(hidden), "{} of {} in {}", hidden, line.escape_ascii(), text);
        }
        let (index, id, document) = take_apart(&item).map_err(TestCaseError::fail)?;
        // fields of the type ip
        let mut found = vec![];
        leaves("", &document, &mut found);
        for (field, value) in found {
            if ["source.ip", "related.ip", "client.ip"].contains(&field.as_str()) {
                prop_assert_ne!(ip, AddressRule::Hash, "{} is {}", field, value);
            }
        }
        if let Some(name) = document.pointer("/user/name") {
            prop_assert_eq!(Some(name), document.pointer("/related/user/0"));
        }
        let mut open = recorder(&format, Privacy::default(), keep_original);
        let (plain_index, plain_id, _) = take_apart(&super::item(&mut open, 7, &line).unwrap()).unwrap();
        prop_assert_eq!((index, id), (plain_index, plain_id));
    }

    /// Redaction alone, which is on by default, changes nothing but secrets.
    #[test]
    fn a_line_without_a_secret_is_unchanged_by_redaction(
        agent in "[ -9;<>-~é☃]{0,24}", target in "/[!-9;<>-~]{0,24}", escape in prop::sample::select(vec![Escape::Default, Escape::Json]),
    ) {
        // no `=`, no `:`, and no encoding of them
        prop_assume!(!agent.contains("%3") && !target.contains("%3"));
        let format = Format::compile("\"$http_user_agent\" \"$request_uri\" $msec", escape).unwrap();
        let mut line = vec![b'"'];
        write_escaped(escape, agent.as_bytes(), &mut line);
        line.extend_from_slice(b"\" \"");
        write_escaped(escape, target.as_bytes(), &mut line);
        line.extend_from_slice(b"\" 1795412474.123");
        let off = Privacy { redact_query: vec![], redact_values: vec![], ..Privacy::default() };
        let on = item(&mut recorder(&format, Privacy::default(), true), 0, &line);
        prop_assert_eq!(on, item(&mut recorder(&format, off, true), 0, &line));
    }
}

/// Secrets that are recognised without a key, with the text that must stay hidden.
const BY_SHAPE: [(&str, &str); 12] = [
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K",
        "dBjftJeZ4CVPmB92K",
    ),
    (
        "eyJhbGciOiJIUzI1NiJ9%2EeyJzdWIiOiIxIn0%2EdBjftJeZ4CVPmB92K",
        "dBjftJeZ4CVPmB92K",
    ),
    ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("%41SIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    (
        "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6",
        "aB3dE6gH9jK2mN5pQ8s",
    ),
    (
        "%67hp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6",
        "aB3dE6gH9jK2mN5pQ8s",
    ),
    (
        "xoxb-123456789012-1234567890123-aB3dE6gH9jK2",
        "aB3dE6gH9jK2",
    ),
    ("sk_live_aB3dE6gH9jK2mN5pQ8sT1vW4", "aB3dE6gH9jK2"),
    ("Bearer%20aB3dE6gH9jK2mN5pQ8sT", "aB3dE6gH9jK2"),
    ("Basic%20QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "pvcGVuIHNlc2FtZQ"),
    ("http://bob:aB3dE6gH9@shop.example/", "aB3dE6gH9"),
    (
        "http%3A%2F%2Fbob%3AaB3dE6gH9%40shop.example%2F",
        "aB3dE6gH9",
    ),
];

/// A line of several fields, with the secret in one of them.
fn planted() -> impl Strategy<Value = (Vec<String>, &'static str)> {
    let places = prop::sample::select(vec![
        "/a/KEY/x.css",
        "/a?b=KEY&c=d",
        "/a?b=x+KEY",
        "/a;v=KEY",
        "/%2e/KEY",
        "https://shop.example/KEY?x#y",
        "Mozilla/5.0 (x; KEY)",
        "a=b; theme=KEY; c=d",
        "a=b&c=KEY",
        "{\"a\":[\"KEY\"]}",
        "caf\u{e9} KEY \u{1}",
        "KEY",
    ]);
    let place = (places, prop::sample::select(&BY_SHAPE[..]), 0..4_usize);
    (place, prop::collection::vec("[!-~]{1,20}", 4)).prop_map(
        |((place, (secret, hidden), at), mut values)| {
            values[at] = place.replace("KEY", secret);
            (values, hidden)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// In every field, in lines with and without a matching format.
    #[test]
    fn a_secret_shape_is_hidden_in_every_field(
        (values, hidden) in planted(),
        escape in prop::sample::select(vec![Escape::Default, Escape::Json]),
        parsed in any::<bool>(),
        keep_original in any::<bool>(),
    ) {
        prop_assume!(values.iter().filter(|value| value.contains(hidden)).count() == 1);
        let source = "\"$request_uri\" \"$http_referer\" \"$http_user_agent\" \"$http_x_more\" $msec";
        let format = Format::compile(source, escape).unwrap();
        let mut line = Vec::new();
        for value in &values {
            line.push(b'"');
            write_escaped(escape, value.as_bytes(), &mut line);
            line.extend_from_slice(b"\" ");
        }
        line.extend_from_slice(if parsed { b"1795412474.123" } else { b"1795412474.123 more" });
        let mut on = recorder(&format, Privacy::default(), keep_original);
        let item = item(&mut on, 7, &line).unwrap();
        let text = String::from_utf8(item.clone()).unwrap();
        prop_assert!(!text.contains(hidden), "{} of {} in {}", hidden, line.escape_ascii(), text);
        // a rejected document is kept as it was sent
        let (action, document) = text.split_once('\n').unwrap();
        let reason = Rejection::new(400, "document_parsing_exception", "of a test");
        let entry = Entry::new(EntryKind::Dead, NOW, action::parse(action.as_bytes()).unwrap(), document.as_bytes(), None, reason);
        let entry = serde_json::to_string(&entry).unwrap();
        prop_assert!(!entry.contains(hidden), "{}", entry);
        // index and id are the same without redaction
        let off = Privacy { redact_query: vec![], redact_values: vec![], ..Privacy::default() };
        let shown = super::item(&mut recorder(&format, off, keep_original), 7, &line).unwrap();
        let place = |item: &[u8]| {
            let (index, id, _) = take_apart(item).unwrap();
            (index, id)
        };
        prop_assert_eq!(place(&item), place(&shown));
    }

    /// The check of a whole line gives the same result as the checks of its values.
    #[test]
    fn an_unwatched_line_holds_no_secret(
        pieces in prop::collection::vec(prop_oneof![
            3 => prop::sample::select(vec![
                "token", "pin", "ship", "code", "state", "=", "&", "?", "/", "//", ":", "@", "%40", "%2F", "%3D", "%22", "%3A",
                "eyJ", "hbGciOiJI", ".", "AKIA", "IOSFODNN7EXAMPLE", "ghp_", "aB3dE6gH9jK2mN5p", "Bearer", "%20", "+", "Basic",
                "dXNlcjpwYXNz", "CONNECT ", "bob", "http:", "[", "]", "%5B", "%00", "%2D", "_", "-", ";", " ",
            ]).prop_map(str::to_owned),
            1 => "[!#-\\[\\]-~]{0,4}",
        ], 0..14),
    ) {
        let text = pieces.concat();
        let redactor = Redactor::new(&Privacy::default());
        let mut cleaned = Cleaned::default();
        for (at, _) in text.char_indices().take(8) {
            let value = &text[at..];
            redactor.clean(value.as_bytes(), Scope::Value, &mut cleaned);
            let same = cleaned.text == value.as_bytes();
            prop_assert!(same || redactor.watches(text.as_bytes()), "{} of {}", value, text);
        }
    }
}

fn document(recorder: &mut Recorder<ActionLines>, line: &str) -> Value {
    take_apart(&item(recorder, 0, line.as_bytes()).unwrap())
        .unwrap()
        .2
}

const LINE: &str = "10.0.0.1 - bob [23/Nov/2026:05:26:59 +0000] \"GET /a?token=x&b=1 HTTP/1.1\" 200 5 \
                    \"http://y/?PASSWORD=z\" \"Mozilla/5.0 Chrome/131.0.0.0\" \"203.0.113.77\"";

fn combined() -> Format {
    let combined = Format::combined();
    let source = format!("{} \"$http_x_forwarded_for\"", combined.source());
    Format::compile(&source, Escape::Default).unwrap()
}

#[test]
fn by_default_secrets_of_queries_are_redacted_and_nothing_else() {
    let document = document(&mut recorder(&combined(), Privacy::default(), true), LINE);
    assert_eq!(document["url"]["original"], "/a?token=REDACTED&b=1");
    assert_eq!(document["url"]["query"], "token=REDACTED&b=1");
    assert_eq!(document["url"]["path"], "/a");
    assert_eq!(
        document["http"]["request"]["referrer"],
        "http://y/?PASSWORD=REDACTED"
    );
    let expected = LINE
        .replace("token=x", "token=REDACTED")
        .replace("=z", "=REDACTED");
    assert_eq!(document["event"]["original"], expected);
    assert_eq!(document["source"]["ip"], V4);
    assert_eq!(document["user"]["name"], "bob");
}

#[test]
fn the_domain_is_the_host_and_no_user() {
    for (request, domain) in [
        (
            "GET http://bob:pass@shop.example:8080/a?x=y HTTP/1.1",
            "shop.example",
        ),
        ("GET http://bob@shop.example/a HTTP/1.1", "shop.example"),
        (
            "GET http://bob:pa/ss@shop.example/a HTTP/1.1",
            "shop.example",
        ),
    ] {
        let line = format!(
            "10.0.0.1 - - [23/Nov/2026:05:26:59 +0000] \"{request}\" 200 5 \"https://bob:pass@y.example/\" \"-\" \"-\""
        );
        let document = document(&mut recorder(&combined(), Privacy::default(), true), &line);
        assert_eq!(document["url"]["domain"], domain, "{request}");
        assert_eq!(
            document["http"]["request"]["referrer"],
            "https://REDACTED@y.example/"
        );
        assert_eq!(document["http"]["route"], "/a");
        let text = document.to_string();
        assert!(!text.contains("bob") && !text.contains("pass"), "{text}");
    }
    let connect = LINE.replace("GET /a?token=x&b=1", "CONNECT bob:pass@y.example:443");
    let document = document(
        &mut recorder(&combined(), Privacy::default(), true),
        &connect,
    );
    assert_eq!(document["url"]["original"], "REDACTED@y.example:443");
    assert!(!document.to_string().contains("pass@"), "{document}");
}

#[test]
fn a_route_shows_no_secret() {
    let secret = "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6";
    for path in [
        format!("/r/{secret}/x"),
        format!("/r//%67{}/x", &secret[1..]),
    ] {
        let line = LINE.replace("/a?token=x&b=1", &path);
        let document = document(&mut recorder(&combined(), Privacy::default(), false), &line);
        assert_eq!(document["http"]["route"], "/r/{id}/x", "{path}");
    }
}

#[test]
fn lists_of_keys_and_values_are_extended_and_shortened() {
    let line = LINE.replace(
        "/a?token=x&b=1",
        "/a?token=1x&member=2x&csrf=3x&k=AKIAIOSFODNN7EXAMPLE&l=acme_live_abcdefgh&m=//a:b@c",
    );
    let query = |privacy: Privacy| {
        document(&mut recorder(&combined(), privacy, false), &line)["url"]["query"]
            .as_str()
            .unwrap()
            .replace("REDACTED", "*")
    };
    let of = |list: &[&str]| {
        list.iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        query(Privacy::default()),
        "token=*&member=2x&csrf=*&k=*&l=acme_live_abcdefgh&m=//*@c"
    );
    let changed = Privacy {
        redact_query: of(&["token", "member", "csrf"]),
        redact_query_except: of(&["csrf"]),
        redact_values: of(&["jwt"]),
        redact_values_add: of(&["acme_live_"]),
        ..Privacy::default()
    };
    assert_eq!(
        query(changed),
        "token=*&member=*&csrf=3x&k=AKIAIOSFODNN7EXAMPLE&l=*&m=//a:b@c"
    );
}

#[test]
fn a_truncated_address_is_still_an_address() {
    let mut rules = privacy(AddressRule::Truncate);
    rules.hash_fields.clear();
    let document = document(&mut recorder(&combined(), rules, true), LINE);
    assert_eq!(document["source"]["address"], "203.0.113.0");
    assert_eq!(document["source"]["ip"], "203.0.113.0");
    assert_eq!(
        document["related"]["ip"],
        serde_json::json!(["203.0.113.0", "10.0.0.0"])
    );
    let list = &document["nginx"]["access"]["remote_ip_list"];
    assert_eq!(*list, serde_json::json!(["203.0.113.0", "10.0.0.0"]));
    assert_eq!(
        document["user_agent"]["original"],
        "Mozilla/5.0 Chrome/131.0.0.0"
    );
}

#[test]
fn a_hash_replaces_an_address_and_a_name_in_every_field() {
    let document = document(
        &mut recorder(&combined(), privacy(AddressRule::Hash), true),
        LINE,
    );
    let address = document["source"]["address"].as_str().unwrap();
    assert_eq!(address.len(), 22);
    assert!(document["source"].get("ip").is_none() && document["related"].get("ip").is_none());
    assert_eq!(document["nginx"]["access"]["remote_ip_list"][0], address);
    let user = document["user"]["name"].as_str().unwrap();
    assert_eq!(document["related"]["user"][0], user);
    let original = document["event"]["original"].as_str().unwrap();
    assert!(
        original.contains(&format!(" - {user} [23/Nov/2026:05:26:59 +0000] ")),
        "{original}"
    );
    assert!(
        original.ends_with(&format!("Chrome/131.0.0.0\" \"{address}\"")),
        "{original}"
    );
}

#[test]
fn an_unparsed_line_is_not_shown_if_fields_are_hashed() {
    let mut recorder = recorder(&combined(), privacy(AddressRule::Keep), false);
    let document = document(&mut recorder, "alice.unusual was here");
    assert_eq!(document["event"]["original"], "REDACTED");
}
