//! A day and a week of requests with three attacks hidden in them, as nginx would have logged them; and the log read
//! again, by a regular expression, to count what it holds.
//!
//! The counting shares no code with the product and the writer of the lines: it reads the text.

use std::fmt::Write as _;

use regex::Regex;

/// The format of nginx.
pub(crate) const FORMAT: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$host" $request_time "$http_x_user_id""#;
/// The operator's settings for it.
pub(crate) const FIELDS: &str = r#"fields = { "user.id" = "$http_x_user_id" }"#;

/// The routes that the operator names.
pub(crate) const ROUTES: &str = r#"
[[routes]]
path = "/login"
kind = "login"
success = ["302"]
[[routes]]
path = "/admin/export/{id}"
kind = "sensitive"
"#;

/// The moment at which the dashboards are looked at: 2026-03-12 12:00:00 UTC. The last line is just before it.
pub(crate) const NOW: i64 = 1_773_316_800;

/// Called `/api/search` more than a thousand times in each of two minutes.
pub(crate) const ABUSER: &str = "203.0.113.66";
/// Calls `/api/search` 999 times a minute.
pub(crate) const CAREFUL: &str = "203.0.113.67";
/// Calls 1,500 times a minute, but no route more than 750 times.
pub(crate) const CRAWLER: &str = "203.0.113.68";
/// Try passwords.
pub(crate) const STUFFERS: [&str; 3] = ["192.0.2.10", "192.0.2.11", "192.0.2.12"];
/// Many people behind one address, who log in all day: one time in ten they mistype.
pub(crate) const OFFICE: &str = "198.51.100.201";
/// The account that many sources try, each a few times only.
pub(crate) const TRIED: &str = "root";
/// Reads every export.
pub(crate) const SCRAPER: &str = "203.0.113.99";

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0",
    "Mozilla/5.0 (Macintosh) Safari/17",
    "-",
];

/// A small generator of numbers that look random (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The logged data of a request.
struct Call<'c> {
    second: i64,
    client: &'c str,
    user: &'c str,
    user_id: &'c str,
    request: &'c str,
    status: u64,
    bytes: u64,
    agent: &'c str,
    site: &'c str,
    millis: u64,
}

fn attack<'c>(second: i64, client: &'c str, request: &'c str) -> Call<'c> {
    Call {
        second,
        client,
        user: "-",
        user_id: "-",
        request,
        status: 200,
        bytes: 700,
        agent: "python-requests/2.31",
        site: "shop.example",
        millis: 4,
    }
}

/// The log's text, in the order of time.
pub(crate) fn written() -> String {
    let mut dice = Dice(20_260_312);
    let mut lines: Vec<(i64, String)> = Vec::new();
    let mut call = |call: Call<'_>| {
        let time = chrono::DateTime::from_timestamp(call.second, 0).unwrap();
        let mut line = String::new();
        writeln!(
            line,
            "{} - {} [{}] \"{}\" {} {} \"-\" \"{}\" \"{}\" {}.{:03} \"{}\"",
            call.client,
            call.user,
            time.format("%d/%b/%Y:%H:%M:%S +0000"),
            call.request,
            call.status,
            call.bytes,
            call.agent,
            call.site,
            call.millis / 1000,
            call.millis % 1000,
            call.user_id,
        )
        .unwrap();
        lines.push((call.second, line));
    };

    // People: a week of them, most today, many in the last hour, some in the last minute.
    for number in 0..6_000_u64 {
        let back = match number {
            0..600 => 7 * 86_400,
            600..3_000 => 86_400,
            3_000..5_800 => 3_600,
            _ => 60,
        };
        let second = NOW - 1 - i64::try_from(dice.below(back)).unwrap();
        // some come often, some rarely
        let client = dice.below(30) * dice.below(30) / 30 + 1;
        let client = format!("198.51.100.{client}");
        let site = match dice.below(3) {
            0 => "api.example",
            _ => "shop.example",
        };
        let id = dice.below(90_000);
        let (user, request, mut status, bytes) = match dice.below(20) {
            0..8 => ("-", format!("GET /api/products/{id} HTTP/1.1"), 200, 900),
            8..12 => ("-", format!("GET /api/search?q={id} HTTP/1.1"), 200, 4_000),
            12..15 => ("-", "GET / HTTP/2.0".to_owned(), 200, 15_000),
            15..17 => ("-", format!("POST /api/carts/{id} HTTP/1.1"), 201, 120),
            17 => ("-", format!("GET /missing/{id} HTTP/1.1"), 404, 150),
            18 if id.is_multiple_of(3) => {
                let user = match id % 4 {
                    0 => "ada",
                    2 => "-",
                    _ => "bob",
                };
                (
                    user,
                    format!("GET /admin/export/{id} HTTP/1.1"),
                    200,
                    20_000,
                )
            }
            _ => (
                "-",
                "POST /login HTTP/1.1".to_owned(),
                if id.is_multiple_of(5) { 200 } else { 302 },
                300,
            ),
        };
        // Some have a name, some a session that knows them, some both.
        let user_id = match id % 4 {
            _ if !request.contains("/export/") => "-",
            0 => "1001",
            2 => "token-7",
            _ => "-",
        };
        if status == 200 && id % 41 == 7 && !request.contains("/login") {
            status = [304, 500, 503][(id % 3) as usize];
        }
        call(Call {
            second,
            client: &client,
            user,
            user_id,
            request: &request,
            status,
            bytes: bytes + id % 700,
            agent: AGENTS[(id % 3) as usize],
            site,
            millis: 2 + id % 97,
        });
    }

    // 11:20: from the minute before to the minute after, over the line in the two between.
    let minute = NOW - 2_400;
    for number in 0..2_800 {
        call(attack(
            minute - 15 + number / 20,
            ABUSER,
            "GET /api/search?q=all HTTP/1.1",
        ));
    }
    for number in 0..999 {
        call(attack(
            minute + 600 + number / 20,
            CAREFUL,
            "GET /api/search?q=all HTTP/1.1",
        ));
    }
    for number in 0..1_500 {
        let request = [
            "GET /api/search?q=1 HTTP/1.1",
            "GET /api/products/7 HTTP/1.1",
        ];
        call(attack(
            minute + 900 + number / 30,
            CRAWLER,
            request[(number % 2) as usize],
        ));
    }
    // 02:00 to 02:30: logins by turns; one in 200 fits.
    for number in 0..900_usize {
        let second = NOW - 36_000 + i64::try_from(number * 2).unwrap();
        let login = attack(second, STUFFERS[number % 3], "POST /login HTTP/1.1");
        let user = format!("user{number}");
        let status = if number % 200 == 77 { 302 } else { 200 };
        call(Call {
            user: &user,
            status,
            ..login
        });
    }
    // All day long.
    for number in 0..480_u32 {
        let login = attack(
            NOW - 86_000 + i64::from(number) * 179,
            OFFICE,
            "POST /login HTTP/1.1",
        );
        let user = format!("worker{}", number % 60);
        call(Call {
            user: &user,
            status: if number % 10 == 3 { 200 } else { 302 },
            agent: AGENTS[0],
            ..login
        });
    }
    // All day long, one account, from 60 sources; once it fits.
    for number in 0..240_u32 {
        let client = format!("192.0.2.{}", 100 + number % 60);
        let login = attack(
            NOW - 86_000 + i64::from(number) * 358,
            &client,
            "POST /login HTTP/1.1",
        );
        call(Call {
            user: TRIED,
            status: if number == 200 { 302 } else { 200 },
            agent: AGENTS[1],
            ..login
        });
    }
    // three nights ago: every export, one after the other; the path hides itself
    for number in 0..250_u32 {
        let second = NOW - 3 * 86_400 - 30_000 + i64::from(number) * 11;
        let request = format!("GET /admin/%65xport/{number} HTTP/1.1");
        call(Call {
            bytes: 2_500_000 + u64::from(number),
            ..attack(second, SCRAPER, &request)
        });
    }
    for number in 0..5 {
        lines.push((NOW - 1_000 - number, format!("rubbish line {number}\n")));
    }
    lines.sort_by_key(|(second, _)| *second);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The content of a line.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) second: i64,
    pub(crate) client: String,
    pub(crate) user: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) method: String,
    pub(crate) route: &'static str,
    /// As it is called, without what follows a `?`.
    pub(crate) path: String,
    pub(crate) status: u64,
    pub(crate) bytes: u64,
    pub(crate) agent: Option<String>,
    pub(crate) site: String,
    pub(crate) millis: u64,
}

impl Entry {
    pub(crate) fn is_error(&self) -> bool {
        self.status >= 400
    }

    /// How an attempt to log in ended; `None`: it is none.
    pub(crate) fn login(&self) -> Option<bool> {
        (self.route == "/login" && self.method == "POST").then_some(self.status == 302)
    }

    pub(crate) fn is_sensitive(&self) -> bool {
        self.route == "/admin/export/{id}"
    }
}

/// The log, read again.
pub(crate) struct Read {
    pub(crate) entries: Vec<Entry>,
    /// The times of the lines that are none: those of the lines before them.
    pub(crate) unparsed: Vec<i64>,
}

pub(crate) fn read(log: &str) -> Read {
    let line = Regex::new(
        r#"^(\S+) - (\S+) \[([^]]+)\] "(\S+) ([^" ]+) HTTP/[\d.]+" (\d{3}) (\d+) "-" "([^"]*)" "([^"]*)" (\d+)\.(\d{3}) "([^"]*)"$"#,
    )
    .unwrap();
    let routes = [
        (r"^/$", "/"),
        (r"^/login$", "/login"),
        (r"^/api/search(\?|$)", "/api/search"),
        (r"^/api/products/\d+$", "/api/products/{id}"),
        (r"^/api/carts/\d+$", "/api/carts/{id}"),
        (r"^/missing/\d+$", "/missing/{id}"),
        (r"^/admin/(export|%65xport)/\d+$", "/admin/export/{id}"),
    ];
    let routes = routes.map(|(path, route)| (Regex::new(path).unwrap(), route));
    let mut read = Read {
        entries: Vec::new(),
        unparsed: Vec::new(),
    };
    for text in log.lines() {
        let Some(parts) = line.captures(text) else {
            read.unparsed.push(read.entries.last().unwrap().second);
            continue;
        };
        let number = |at: usize| parts[at].parse::<u64>().unwrap();
        let told = |at: usize| Some(parts[at].to_owned()).filter(|text| text != "-");
        let time = chrono::DateTime::parse_from_str(&parts[3], "%d/%b/%Y:%H:%M:%S %z").unwrap();
        let (_, route) = routes
            .iter()
            .find(|(path, _)| path.is_match(&parts[5]))
            .unwrap();
        read.entries.push(Entry {
            second: time.timestamp(),
            client: parts[1].to_owned(),
            user: told(2),
            user_id: told(12),
            method: parts[4].to_owned(),
            route,
            path: parts[5].split('?').next().unwrap().replace("%65", "e"),
            status: number(6),
            bytes: number(7),
            agent: told(8),
            site: parts[9].to_owned(),
            millis: number(10) * 1000 + number(11),
        });
    }
    read
}
