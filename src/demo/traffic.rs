//! A believable site: visitors by the time of day, routes by their popularity, and one attacker for each question.
//!
//! Owns what nginx would have logged in each second. Refuses to know files and clocks. Invariant: the same seed and seconds
//! give the same lines. All addresses are of blocks for documentation (RFC 5737, RFC 3849) or for benchmarks (RFC 2544).

use std::fmt::Write as _;

use chrono::{DateTime, Timelike};

use super::chance::Chance;

/// What nginx's `log_format` would be.
pub(super) const FORMAT: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                                 \"$http_referer\" \"$http_user_agent\" $request_time";

/// Calls one API more than a thousand times a minute.
pub(super) const SCRAPER: &str = "203.0.113.66";
/// Begins of addresses that try passwords; many of them, each seldom.
pub(super) const STUFFERS: &str = "198.51.100.";
/// Downloads customers by the export API, a few times an hour, at night as well.
pub(super) const LEAK: &str = "192.0.2.23";

/// Requests a second of visitors, averaged over a day.
const VISITORS: f64 = 6.0;
/// Visitors that come again and again.
const CLIENTS: usize = 900;

struct Page {
    method: &'static str,
    /// `{}` becomes a number.
    path: &'static str,
    /// In bytes.
    size: u64,
    /// In milliseconds.
    time: u64,
}

const fn page(method: &'static str, path: &'static str, size: u64, time: u64) -> Page {
    Page {
        method,
        path,
        size,
        time,
    }
}

/// From the most popular one on.
const PAGES: [Page; 16] = [
    page("GET", "/", 18_000, 22),
    page("GET", "/products/{}", 31_000, 45),
    page("GET", "/static/app.js", 210_000, 3),
    page("GET", "/api/v1/products/{}/price", 420, 12),
    page("GET", "/search?q=shoes&page={}", 26_000, 160),
    page("GET", "/static/site.css", 48_000, 2),
    page("GET", "/images/{}.jpg", 96_000, 5),
    page("POST", "/api/v1/cart", 310, 38),
    page("GET", "/api/v1/cart/{}", 1_900, 18),
    page("POST", "/login", 640, 85),
    page("GET", "/account/orders/{}", 9_800, 70),
    page("POST", "/api/v1/orders", 780, 240),
    page("GET", "/about", 12_000, 15),
    page("GET", "/favicon.ico", 1_150, 1),
    page("GET", "/robots.txt", 120, 1),
    page("GET", "/api/v1/export/customers?page={}", 480_000, 900),
];

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:136.0) Gecko/20100101 Firefox/136.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.12.1",
];

const REFERRERS: [&str; 3] = [
    "-",
    "https://shop.example/",
    "https://search.example/?q=shoes",
];

/// Writes the lines of one second after the other.
pub(super) struct Traffic {
    chance: Chance,
    clients: Vec<String>,
    /// The second at which a round of attacks begins; other rounds come before and after it.
    origin: i64,
}

struct Request<'r> {
    client: &'r str,
    user: &'r str,
    method: &'r str,
    path: &'r str,
    status: u16,
    size: u64,
    referrer: &'r str,
    agent: &'r str,
    /// In milliseconds.
    time: u64,
}

impl Traffic {
    pub(super) fn new(seed: u64, origin: i64) -> Self {
        let mut chance = Chance::new(seed);
        let clients = (0..CLIENTS).map(|_| match chance.percent(25) {
            true => format!(
                "2001:db8:{:x}::{:x}",
                chance.below(4096),
                1 + chance.below(65_000)
            ),
            false => format!(
                "198.{}.{}.{}",
                18 + chance.below(2),
                chance.below(256),
                1 + chance.below(254)
            ),
        });
        let clients = clients.collect();
        Self {
            chance,
            clients,
            origin,
        }
    }

    /// Appends the lines of the second `second` since 1970; gives their number.
    pub(super) fn second(&mut self, second: i64, out: &mut String) -> u64 {
        let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
        let stamp = time.format("%d/%b/%Y:%H:%M:%S +0000").to_string();
        let round = (second - self.origin).rem_euclid(3600);
        let mut lines = 0;
        for _ in 0..self.chance.count(VISITORS * busy(time.hour())) {
            self.visitor(&stamp, out);
            lines += 1;
        }
        lines
            + self.scraper(round, &stamp, out)
            + self.stuffers(round, &stamp, out)
            + self.leak(round, &stamp, out)
    }

    fn visitor(&mut self, stamp: &str, out: &mut String) {
        let chance = &mut self.chance;
        let client = chance.zipf_below(self.clients.len());
        let (Some(page), Some(agent), Some(referrer)) = (
            // the last one is for its attacker, and a few of the staff
            chance.zipf(&PAGES[..PAGES.len() - 1]),
            AGENTS.get(client % 4 + usize::from(chance.percent(2))),
            chance.zipf(&REFERRERS),
        ) else {
            return;
        };
        let number = 1 + chance.zipf_below(4_000);
        let path = page.path.replace("{}", &number.to_string());
        let status = match (page.path, chance.below(1000)) {
            ("/login", 0..120) => 401,
            (_, 0..4) => 500,
            (_, 4..6) => 502,
            (_, 6..30) => 404,
            (_, 30..150) if page.method == "GET" => 304,
            _ => 200,
        };
        let size = match status {
            200 => page.size / 2 + chance.below(page.size),
            304 => 0,
            _ => 150,
        };
        let slow = if chance.percent(3) { 8 } else { 1 };
        let time = (page.time / 2 + chance.below(page.time + 1)) * slow;
        let request = Request {
            client: &self.clients[client],
            user: "-",
            method: page.method,
            path: &path,
            status,
            size,
            referrer,
            agent,
            time,
        };
        write_line(&request, stamp, out);
    }

    /// In the first three minutes of each half hour.
    fn scraper(&mut self, round: i64, stamp: &str, out: &mut String) -> u64 {
        if round.rem_euclid(1800) >= 180 {
            return 0;
        }
        let calls = 18 + self.chance.below(6);
        for _ in 0..calls {
            let path = format!("/api/v1/products/{}/price", self.chance.below(50_000));
            let request = Request {
                client: SCRAPER,
                user: "-",
                method: "GET",
                path: &path,
                status: if self.chance.percent(1) { 429 } else { 200 },
                size: 380 + self.chance.below(80),
                referrer: "-",
                agent: "python-requests/2.32.3",
                time: 6 + self.chance.below(12),
            };
            write_line(&request, stamp, out);
        }
        calls
    }

    /// For ten minutes from the second quarter of each hour on, and in the first minute of each ten.
    fn stuffers(&mut self, round: i64, stamp: &str, out: &mut String) -> u64 {
        let is_wave = (900..1500).contains(&round) || round.rem_euclid(600) < 60;
        if !is_wave {
            return 0;
        }
        let logins = 2 + self.chance.below(5);
        for _ in 0..logins {
            let client = format!("{STUFFERS}{}", 1 + self.chance.below(120));
            let succeeds = self.chance.below(100) == 0;
            let request = Request {
                client: &client,
                user: "-",
                method: "POST",
                path: "/login",
                status: if succeeds { 200 } else { 401 },
                size: if succeeds { 640 } else { 150 },
                referrer: "https://shop.example/login",
                agent: AGENTS[self.chance.zipf_below(2)],
                time: 70 + self.chance.below(60),
            };
            write_line(&request, stamp, out);
        }
        logins
    }

    /// A page every 20 seconds, for five minutes an hour.
    fn leak(&mut self, round: i64, stamp: &str, out: &mut String) -> u64 {
        if round >= 300 || round % 20 != 7 {
            return 0;
        }
        let path = format!("/api/v1/export/customers?page={}", round / 20);
        let request = Request {
            client: LEAK,
            user: "j.doe",
            method: "GET",
            path: &path,
            status: 200,
            size: 400_000 + self.chance.below(160_000),
            referrer: "-",
            agent: "curl/8.12.1",
            time: 700 + self.chance.below(500),
        };
        write_line(&request, stamp, out);
        1
    }
}

/// How busy an hour is against the average of a day (UTC).
fn busy(hour: u32) -> f64 {
    const HOURS: [f64; 24] = [
        0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.6, 0.85, 1.05, 1.2, 1.3, 1.35, 1.35, 1.3, 1.25, 1.25,
        1.3, 1.4, 1.55, 1.7, 1.75, 1.5, 1.05, 0.6,
    ];
    HOURS.get(hour as usize).copied().unwrap_or(1.0)
}

fn write_line(request: &Request<'_>, stamp: &str, out: &mut String) {
    let Request {
        client,
        user,
        method,
        path,
        status,
        size,
        referrer,
        agent,
        time,
    } = request;
    // writing to a String cannot fail
    let _ = writeln!(
        out,
        "{client} - {user} [{stamp}] \"{method} {path} HTTP/1.1\" {status} {size} \"{referrer}\" \"{agent}\" {}.{:03}",
        time / 1000,
        time % 1000
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use logweir_parsers::{Escape, Format};

    use super::*;

    const NOON: i64 = 1_795_608_000;

    #[test]
    fn each_line_is_one_that_nginx_could_have_written() {
        let format = Format::compile(FORMAT, Escape::Default).unwrap();
        let mut lines = String::new();
        let mut traffic = Traffic::new(1, NOON);
        let count: u64 = (0..3600)
            .map(|second| traffic.second(NOON + second, &mut lines))
            .sum();
        assert_eq!(lines.lines().count() as u64, count);
        let mut captures = logweir_parsers::Captures::default();
        for line in lines.lines() {
            assert!(
                format.parse(line.as_bytes(), &mut captures).is_ok(),
                "{line}"
            );
        }
    }

    #[test]
    fn the_attackers_stand_out() {
        let mut lines = String::new();
        let mut traffic = Traffic::new(1, NOON);
        for second in 0..60 {
            traffic.second(NOON + second, &mut lines);
        }
        let count = |text: &str| lines.lines().filter(|line| line.starts_with(text)).count();
        assert!(count(SCRAPER) > 1_000, "{}", count(SCRAPER));
        let logins: Vec<&str> = lines
            .lines()
            .filter(|line| line.starts_with(STUFFERS))
            .collect();
        let succeeded = logins
            .iter()
            .filter(|line| line.contains("\" 200 "))
            .count();
        assert!(logins.len() > 100 && succeeded * 20 < logins.len());
        assert_eq!(count(LEAK), 3);
    }

    #[test]
    fn the_same_seed_gives_the_same_lines() {
        let lines = || {
            let mut lines = String::new();
            Traffic::new(5, NOON).second(NOON, &mut lines);
            lines
        };
        assert_eq!(lines(), lines());
    }
}
