//! Requests as they come from the internet, and their counts from nginx's own logs.
//!
//! The counting shares nothing with the product: regular expressions, `serde_json` and `chrono`, and a table
//! that lists the route of each request.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use regex::bytes::Regex;
use serde_json::Value;

use super::nginx::{API, BEHIND, INGRESS, SHOP, Site, TIMING};

/// A user agent with all bytes that must be escaped; its end is not UTF-8.
const AGENT: &[u8] = b"quo\"te \\ \xC3\xA9 \xFF";
/// Its text in a document: bytes that are not text are shown as their values.
pub(crate) const AGENT_TEXT: &str = "quo\"te \\ é \\xFF";

/// The clients behind a proxy, in turns.
const FORWARDED: [&str; 5] = [
    "203.0.113.7",
    "198.51.100.1, 203.0.113.8",
    "mallory, 2001:db8::9",
    "unknown",
    "",
];

/// The route of each request line; `None` if it is not a request.
const ROUTES: [(&str, Option<&str>); 20] = [
    (
        r"^GET /api/products/\d+ HTTP/1\.1$",
        Some("/api/products/{id}"),
    ),
    (r"^GET /api/search\?q=boots&page=\d+ H", Some("/api/search")),
    (
        r"^(GET|POST) /api/users/\d+/orders HTTP",
        Some("/api/users/{id}/orders"),
    ),
    (
        r"^GET /api/carts/[0-9a-f]{8}-7d3b-.* HTTP",
        Some("/api/carts/{uuid}"),
    ),
    (
        r"^GET /static/[0-9a-f]{40}/app\.js HTTP",
        Some("/static/{hash}/app.js"),
    ),
    (r"^GET /missing/\d+ HTTP", Some("/missing/{id}")),
    (r"^POST /login HTTP", Some("/login")),
    (r"^HEAD / HTTP", Some("/")),
    (
        r"^GET /api/%65xport/\d+\?from=1 HTTP",
        Some("/api/export/{id}"),
    ),
    (r"^GET //api///twice//\d+ HTTP", Some("/api/twice/{id}")),
    (r"^GET /old HTTP/1\.0$", Some("/old")),
    (r"^GET /nine$", Some("/nine")),
    // one fits into nginx's buffers, one does not and is cut there
    (r"^GET /long\?x+( HTTP/1\.1)?$", Some("/long")),
    (r"^GET /agent HTTP", Some("/agent")),
    (r#"^GET /say"hello" HTTP"#, Some("/{text}")),
    (r"(?-u)^GET /caf\xC3\xA9 HTTP", Some("/café")),
    (r"^GET /slow/\d+ HTTP", Some("/slow/{id}")),
    (r"^GET /par$", Some("/par")),
    (r"(?-u)^\x16\x03\x01", None),
    (r"^(EHLO mail.example|-|)$", None),
];

/// One request of the `number`th kind, sent to `site`; waits for the answer's end, as most clients do.
pub(crate) fn call(site: &Site, ipv6: bool, number: u32) {
    let id = number.wrapping_mul(2_654_435_761) % 90_000 + 1;
    let mut impatient = false;
    let mut agent: &[u8] = b"curl/8.5.0";
    let line = match number % 24 {
        0..4 => format!("GET /api/products/{id} HTTP/1.1"),
        4..6 => format!("GET /api/search?q=boots&page={id} HTTP/1.1"),
        6 => format!("GET /api/users/{id}/orders HTTP/1.1"),
        7 => format!("POST /api/users/{id}/orders HTTP/1.1"),
        8 => format!("GET /api/carts/{id:08x}-7d3b-4c1e-9a55-{id:012x} HTTP/1.1"),
        9 => format!("GET /static/a{id:039x}/app.js HTTP/1.1"),
        10 => format!("GET /missing/{id} HTTP/1.1"),
        11 => "POST /login HTTP/1.1".to_owned(),
        12 => "HEAD / HTTP/1.1".to_owned(),
        13 => format!("GET /api/%65xport/{id}?from=1 HTTP/1.1"),
        14 => format!("GET //api///twice//{id} HTTP/1.1"),
        15 => "GET /old HTTP/1.0".to_owned(),
        16 => return send(site, ipv6, b"GET /nine\r\n", false),
        17 => format!("GET /long?{} HTTP/1.1", "x".repeat(7_900)),
        18 => format!("GET /long?{} HTTP/1.1", "x".repeat(9_000)),
        19 => {
            agent = AGENT;
            "GET /agent HTTP/1.1".to_owned()
        }
        20 => "GET /say\"hello\" HTTP/1.1".to_owned(),
        21 => "GET /café HTTP/1.1".to_owned(),
        22 if site.name == INGRESS => {
            impatient = true;
            format!("GET /slow/{id} HTTP/1.1")
        }
        22 => return send(site, ipv6, b"GET /par", false),
        _ if number % 48 == 23 => return send(site, ipv6, b"EHLO mail.example\r\n", false),
        // a TLS greeting on a plain port
        _ => {
            let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03".to_vec();
            hello.extend((0..200_u8).map(|byte| byte.wrapping_mul(37) | 0x80));
            return send(site, ipv6, &hello, false);
        }
    };
    let mut request = line.into_bytes();
    request.extend_from_slice(b"\r\nHost: ");
    request.extend_from_slice(site.name.as_bytes());
    request
        .extend_from_slice(b".example\r\nContent-Length: 0\r\nConnection: close\r\nUser-Agent: ");
    request.extend_from_slice(agent);
    let forwarded = FORWARDED[number as usize % FORWARDED.len()];
    if !forwarded.is_empty() {
        request.extend_from_slice(format!("\r\nX-Forwarded-For: {forwarded}").as_bytes());
    }
    request.extend_from_slice(b"\r\n\r\n");
    send(site, ipv6, &request, impatient);
}

fn send(site: &Site, ipv6: bool, request: &[u8], impatient: bool) {
    let mut stream = site.connect(ipv6).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // nginx may refuse before it has read everything
    let _ = stream.write_all(request);
    if !impatient {
        if !request.ends_with(b"\r\n") {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// The content of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) second: i64,
    pub(crate) status: u64,
    pub(crate) route: Option<&'static str>,
    /// The client that a proxy names.
    pub(crate) client: Option<String>,
    /// How many tries at something behind nginx ended with a status.
    pub(crate) tries: u64,
    pub(crate) odd_agent: bool,
}

/// Reads nginx's logs.
pub(crate) struct Reader {
    lines: BTreeMap<&'static str, Regex>,
    routes: Vec<(Regex, Option<&'static str>)>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let combined = r#"^(?<remote>\S+) - - \[(?<local>[^]]+)\] "(?<request>[^"]*)" (?<status>\d{3}) \d+ "[^"]*" "(?<agent>[^"]*)""#;
        // of addresses or numbers; what does not exist is a dash
        let list = r"[\d.:-]+(?:, [\d.:-]+)*";
        let lines = [
            (SHOP, format!("{combined}$")),
            (
                INGRESS,
                format!(
                    r"{combined} \d+ [\d.]+ \[[^]]*\] \[\] {list} {list} {list} (?<tries>{list}) [0-9a-f]{{32}}$"
                ),
            ),
            (
                TIMING,
                r#"^(?<msec>\d+)\.\d{3} [\d.]+ (?<status>\d{3}) "(?<request>[^"]*)"$"#.to_owned(),
            ),
            (
                BEHIND,
                format!(
                    "{} \"(?<forwarded>[^\"]*)\"$",
                    combined.replace("local", "iso")
                ),
            ),
        ];
        Self {
            lines: lines
                .into_iter()
                .map(|(site, text)| (site, Regex::new(&format!("(?-u){text}")).unwrap()))
                .collect(),
            routes: ROUTES
                .into_iter()
                .map(|(text, route)| (Regex::new(text).unwrap(), route))
                .collect(),
        }
    }

    /// Reads a line of a site's log; one that it does not know fails the test.
    pub(crate) fn read(&self, site: &str, line: &[u8]) -> Seen {
        if site == API {
            return self.read_json(line);
        }
        let shown = String::from_utf8_lossy(line);
        let parts = self.lines[site]
            .captures(line)
            .unwrap_or_else(|| panic!("{site}: {shown}"));
        let text = |name| {
            let part = parts.name(name)?;
            Some(std::str::from_utf8(part.as_bytes()).unwrap())
        };
        let time = |text: &str, format| {
            let time = chrono::DateTime::parse_from_str(text, format).unwrap();
            time.timestamp()
        };
        let second = text("msec")
            .map(|seconds| seconds.parse().unwrap())
            .or_else(|| text("local").map(|local| time(local, "%d/%b/%Y:%H:%M:%S %z")))
            .or_else(|| text("iso").map(|iso| time(iso, "%Y-%m-%dT%H:%M:%S%:z")));
        let client = text("forwarded").map(|forwarded| {
            // nginx's address is trusted, and no other: who it heard from is the last in the list
            let last = forwarded.rsplit(", ").next().unwrap();
            let is_address = last.parse::<std::net::IpAddr>().is_ok();
            let remote = text("remote").unwrap();
            if is_address { last } else { remote }.to_owned()
        });
        let tries = text("tries").unwrap_or_default();
        Seen {
            second: second.unwrap(),
            status: text("status").unwrap().parse().unwrap(),
            route: self.route(&unescaped(&parts["request"])),
            client,
            tries: tries
                .split(", ")
                .filter(|one| one.parse::<u64>().is_ok())
                .count() as u64,
            odd_agent: parts
                .name("agent")
                .is_some_and(|agent| unescaped(agent.as_bytes()) == AGENT),
        }
    }

    fn read_json(&self, line: &[u8]) -> Seen {
        // invalid bytes are unchanged
        let text = String::from_utf8_lossy(line);
        let line: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        let odd = String::from_utf8_lossy(AGENT);
        Seen {
            second: chrono::DateTime::parse_from_rfc3339(line["time"].as_str().unwrap())
                .unwrap()
                .timestamp(),
            status: line["status"].as_u64().unwrap(),
            route: self.route(line["request"].as_str().unwrap().as_bytes()),
            client: None,
            tries: 0,
            odd_agent: line["agent"] == *odd,
        }
    }

    fn route(&self, request: &[u8]) -> Option<&'static str> {
        let mut found = self
            .routes
            .iter()
            .filter(|(line, _)| line.is_match(request));
        let shown = String::from_utf8_lossy(request);
        let (_, route) = found.next().unwrap_or_else(|| panic!("unknown: {shown:?}"));
        assert!(found.next().is_none(), "ambiguous: {shown:?}");
        *route
    }
}

/// Undoes `\xHH`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let escape = Regex::new(r"\\x([0-9A-F]{2})").unwrap();
    let byte = |parts: &regex::bytes::Captures<'_>| {
        let digits = std::str::from_utf8(&parts[1]).unwrap();
        vec![u8::from_str_radix(digits, 16).unwrap()]
    };
    escape.replace_all(text, byte).into_owned()
}
