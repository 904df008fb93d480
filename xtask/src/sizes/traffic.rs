//! A day of a shop's access log: few clients busy and many rare, visits that ask for several things one after the other,
//! some three hundred user agents of which a dozen are common, ids, queries, referrers.
//!
//! The size of an index depends on how often values repeat, and at which distance, so the lines imitate that. All values
//! come from a seeded generator, so that each run writes the same bytes.

use std::fmt::Write as _;
use std::io::{self, Write};

use testkit::load::Random;

/// The format of the lines: `combined`, with the site and the duration, which the dashboards need.
pub(super) const FORMAT: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
\"$http_referer\" \"$http_user_agent\" \"$host\" $request_time";

/// The day of the lines, in the notation of the lines and in that of an index's name.
const DAY: &str = "24/Nov/2025";
pub(super) const INDEX_DAY: &str = "2025.11.24";

/// Requests of each hour, of a thousand a day.
const HOURS: [u64; 24] = [
    18, 12, 9, 7, 7, 10, 18, 30, 42, 50, 54, 56, 58, 55, 53, 54, 57, 62, 68, 76, 80, 66, 38, 20,
];
/// One in so many lines comes from a new client.
const LINES_PER_CLIENT: u64 = 12;
/// Concurrent visits.
const VISITS: usize = 150;
/// A visit ends with one request in so many.
const VISIT_LENGTH: u64 = 14;
const PRODUCTS: u64 = 40_000;

const HOSTS: [&str; 3] = [
    "www.shop.example",
    "api.shop.example",
    "static.shop.example",
];
const WORDS: [&str; 24] = [
    "boots",
    "rain+jacket",
    "tent",
    "blue",
    "wool",
    "socks",
    "kids",
    "size+42",
    "lamp",
    "trail",
    "running",
    "shoes",
    "backpack",
    "30l",
    "stove",
    "gas",
    "sale",
    "gloves",
    "thermo",
    "bottle",
    "rope",
    "climbing",
    "map",
    "sandals",
];
const ELSEWHERE: [&str; 6] = [
    "https://www.google.com/",
    "https://www.google.de/",
    "https://www.bing.com/",
    "https://duckduckgo.com/",
    "https://l.facebook.com/",
    "android-app://com.google.android.gm/",
];
const SCANNED: [&str; 8] = [
    "/.env",
    "/wp-login.php",
    "/.git/config",
    "/xmlrpc.php",
    "/phpmyadmin/index.php",
    "/actuator/health",
    "/cgi-bin/luci/;stok=/locale",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
];

/// The lines of a day, in their order.
pub(super) struct Day {
    random: Random,
    agents: Vec<String>,
    clients: u64,
    lines: u64,
    visits: Vec<Visit>,
    path: String,
}

/// The current visit of a client.
struct Visit {
    client: u64,
    kind: VisitorKind,
    agent: usize,
    referrer: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum VisitorKind {
    Browser,
    /// The shop's own program on telephones.
    App,
    Bot,
    Scanner,
}

/// The response to a request.
struct Asked {
    method: &'static str,
    host: &'static str,
    status: &'static str,
    bytes: u64,
    millis: u64,
    /// It is a page, so the next request has it as its referrer.
    is_page: bool,
}

impl Day {
    pub(super) fn new(lines: u64) -> Self {
        let mut day = Self {
            random: Random::new(7),
            agents: agents(),
            clients: (lines / LINES_PER_CLIENT).max(1),
            lines,
            visits: Vec::new(),
            path: String::new(),
        };
        for _ in 0..VISITS {
            let visit = day.visit();
            day.visits.push(visit);
        }
        day
    }

    /// Writes them all.
    pub(super) fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        let mut line = String::new();
        for number in 0..self.lines {
            line.clear();
            self.line(second(number, self.lines), &mut line);
            out.write_all(line.as_bytes())?;
        }
        out.flush()
    }

    fn line(&mut self, second: u64, line: &mut String) {
        let at = index(self.random.below(VISITS as u64));
        if self.random.below(VISIT_LENGTH) == 0 {
            let next = self.visit();
            if let Some(visit) = self.visits.get_mut(at) {
                *visit = next;
            }
        }
        let Some(visit) = self.visits.get_mut(at) else {
            return;
        };
        let asked = request(&mut self.random, visit, &mut self.path);
        // Writing to a String cannot fail.
        let _ = writeln!(
            line,
            "{} - - [{DAY}:{:02}:{:02}:{:02} +0000] \"{} {} HTTP/{}\" {} {} \"{}\" \"{}\" \"{}\" {}.{:03}",
            Address(visit.client),
            second / 3600,
            second / 60 % 60,
            second % 60,
            asked.method,
            self.path,
            if visit.kind == VisitorKind::Scanner {
                "1.1"
            } else {
                "2.0"
            },
            asked.status,
            asked.bytes,
            if visit.referrer.is_empty() {
                "-"
            } else {
                &visit.referrer
            },
            self.agents.get(visit.agent).map_or("-", String::as_str),
            asked.host,
            asked.millis / 1000,
            asked.millis % 1000,
        );
        if asked.is_page && visit.kind == VisitorKind::Browser {
            visit.referrer = format!("https://{}{}", asked.host, self.path);
        }
    }

    /// A visit begins.
    fn visit(&mut self) -> Visit {
        let client = rank(&mut self.random, self.clients);
        // it depends on the client alone, so that a returning client is the same
        let mut own = Random::new(client + 1);
        let kind = match own.below(100) {
            0..62 => VisitorKind::Browser,
            62..86 => VisitorKind::App,
            86..97 => VisitorKind::Bot,
            _ => VisitorKind::Scanner,
        };
        let (from, count) = agents_of(kind);
        let referrer = match kind {
            VisitorKind::Browser if self.random.below(2) == 0 => self.random.of(&ELSEWHERE),
            _ => "",
        };
        Visit {
            client,
            kind,
            agent: index(from + rank(&mut own, count)),
            referrer: referrer.to_owned(),
        }
    }
}

/// A random number below `limit`. The frequency of n is about proportional to 1/(n+1).
fn rank(random: &mut Random, limit: u64) -> u64 {
    let octaves = u64::from(limit.ilog2()) + 1;
    let from = 1 << random.below(octaves);
    (from + random.below(from) - 1) % limit
}

/// The second of the day in which the line with this number is written.
fn second(number: u64, lines: u64) -> u64 {
    let all: u64 = HOURS.iter().sum();
    // thousandths of the requests of a day
    let mut rest = number * all * 1000 / lines.max(1);
    for (hour, weight) in (0..).zip(HOURS) {
        if rest < weight * 1000 {
            return hour * 3600 + rest * 3600 / (weight * 1000);
        }
        rest -= weight * 1000;
    }
    86_399
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The address of a client: spread over the networks, one in eight of IPv6.
struct Address(u64);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut own = Random::new(self.0 + 77);
        let mut next = |limit| own.below(limit);
        if next(8) == 0 {
            let (site, net) = (next(4096), next(65_536));
            write!(
                f,
                "2001:db8:{site:x}:{net:x}:{:x}:{:x}:{:x}:{:x}",
                next(65_536),
                next(65_536),
                next(65_536),
                next(65_536)
            )
        } else {
            // 198.18.0.0/15 is for measurements, and too small for all of them
            write!(
                f,
                "{}.{}.{}.{}",
                11 + next(180),
                next(256),
                next(256),
                1 + next(254)
            )
        }
    }
}

fn request(random: &mut Random, visit: &Visit, path: &mut String) -> Asked {
    path.clear();
    let [www, api, fixed] = HOSTS;
    let product = rank(random, PRODUCTS);
    // the size of a product's picture or page never changes
    let size = |of: u64, most: u64| 400 + Random::new(of + 5).below(most);
    let quick = 1 + random.below(4) + random.below(9);
    let slow = 12 + random.below(40) * (1 + random.below(6));
    let asked = |host, status, bytes, millis| Asked {
        method: "GET",
        host,
        status,
        bytes,
        millis,
        is_page: false,
    };
    let user = visit.client * 31 % 900_000 + 1000;
    if visit.kind == VisitorKind::Scanner {
        let _ = write!(path, "{}", random.of(&SCANNED));
        return asked(www, "404", 146, quick);
    }
    let dice = random.below(100);
    if visit.kind == VisitorKind::Bot {
        let _ = match dice {
            0..4 => write!(path, "/robots.txt"),
            4..8 => write!(path, "/sitemap-{}.xml", dice % 4),
            8..30 => write!(
                path,
                "/category/{}?page={}",
                random.of(&WORDS),
                1 + random.below(60)
            ),
            _ => write!(
                path,
                "/product/{}-{}",
                random.below(PRODUCTS),
                random.of(&WORDS)
            ),
        };
        let status = if dice > 94 { "404" } else { "200" };
        return asked(www, status, size(dice, 30_000), slow);
    }
    let is_app = visit.kind == VisitorKind::App;
    match dice {
        // the files that a page includes
        0..34 if !is_app => {
            let known = random.below(3) == 0;
            let _ = match dice {
                0..20 => write!(
                    path,
                    "/img/{}/{product}-{}.webp",
                    product % 97,
                    ["s", "m", "l"][index(dice % 3)]
                ),
                20..28 => write!(path, "/assets/{:08x}/app.{}.js", 0x51c3_a9d2_u32, dice % 5),
                28..32 => write!(path, "/assets/{:08x}/style.css", 0x77ab_0e11_u32),
                _ => write!(path, "/favicon.ico"),
            };
            let (status, bytes) = if known {
                ("304", 0)
            } else {
                ("200", size(product, 90_000))
            };
            asked(fixed, status, bytes, random.below(3))
        }
        34..48 if !is_app => {
            let _ = write!(path, "/product/{product}-{}", WORDS[index(product % 24)]);
            if random.below(12) == 0 {
                let click = random.below(u64::from(u32::MAX)) << 20 | random.below(1 << 20);
                let _ = write!(
                    path,
                    "?utm_source=newsletter&utm_medium=email&utm_campaign=2025-48&gclid={click:013x}{:08x}",
                    click / 7 % (1 << 32)
                );
            }
            Asked {
                is_page: true,
                ..asked(www, "200", size(product, 40_000), slow)
            }
        }
        48..56 if !is_app => {
            let _ = write!(
                path,
                "/category/{}?page={}&sort=price",
                random.of(&WORDS),
                1 + rank(random, 30)
            );
            Asked {
                is_page: true,
                ..asked(www, "200", 9000 + random.below(50_000), slow)
            }
        }
        56..62 => {
            let _ = write!(
                path,
                "/api/v1/search?q={}+{}&page={}",
                random.of(&WORDS),
                random.of(&WORDS),
                1 + rank(random, 8)
            );
            asked(api, "200", 500 + random.below(14_000), slow * 2)
        }
        62..68 => {
            let part = ["orders", "addresses", "wishlist"][index(dice % 3)];
            let _ = write!(path, "/api/v1/users/{user}/{part}");
            let status = if random.below(20) == 0 { "401" } else { "200" };
            asked(api, status, 80 + random.below(4000), slow)
        }
        68..74 => {
            let mut own = Random::new(visit.client + 9);
            let _ = write!(
                path,
                "/api/v1/carts/{:08x}-{:04x}-4{:03x}-9a55-{:012x}/items",
                own.below(1 << 32),
                own.below(1 << 16),
                own.below(1 << 12),
                own.below(1 << 33)
            );
            let method = if dice.is_multiple_of(2) {
                "POST"
            } else {
                "GET"
            };
            let status = if method == "POST" { "201" } else { "200" };
            Asked {
                method,
                ..asked(api, status, 120 + random.below(1800), slow)
            }
        }
        74..77 => {
            let _ = write!(path, "/login");
            let status = if random.below(6) == 0 { "401" } else { "302" };
            Asked {
                method: "POST",
                ..asked(www, status, 0, slow * 3)
            }
        }
        77..80 if !is_app => {
            let _ = write!(path, "/");
            Asked {
                is_page: true,
                ..asked(www, "200", 18_211, quick)
            }
        }
        80..82 => {
            let _ = write!(
                path,
                "/api/v1/orders/{}/invoice.pdf",
                7_000_000 + random.below(400_000)
            );
            let status = ["200", "200", "200", "403", "500"][index(random.below(5))];
            asked(api, status, 20_000 + random.below(60_000), slow * 4)
        }
        82..84 => {
            let _ = write!(path, "/api/v1/events");
            let status = if random.below(15) == 0 { "499" } else { "204" };
            Asked {
                method: "POST",
                ..asked(api, status, 0, quick)
            }
        }
        _ => {
            let _ = write!(path, "/api/v1/products/{product}");
            if random.below(3) == 0 {
                let _ = write!(path, "/stock?store={}", 1 + rank(random, 120));
            }
            let status = match random.below(200) {
                0 => "502",
                1..4 => "404",
                _ => "200",
            };
            asked(api, status, size(product, 3000), quick + slow / 4)
        }
    }
}

/// Where the user agents of a kind begin in [`agents`], and how many there are.
fn agents_of(kind: VisitorKind) -> (u64, u64) {
    match kind {
        VisitorKind::Browser => (0, BROWSERS),
        VisitorKind::App => (BROWSERS, APPS),
        VisitorKind::Bot | VisitorKind::Scanner => (BROWSERS + APPS, BOTS),
    }
}

const BROWSERS: u64 = 190;
const APPS: u64 = 80;
const BOTS: u64 = 34;

/// All user agents: browsers, the app, bots and programs; the common ones of each kind first.
fn agents() -> Vec<String> {
    let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
    let mut all = Vec::new();
    // from new to old: each version on each system
    for age in 0..19_u64 {
        let (chrome, firefox, ios) = (142 - age, 145 - age, 18 - age / 6);
        let minor = age % 6;
        all.extend([
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/{chrome}.0.0.0 Safari/537.36"),
            format!("Mozilla/5.0 (iPhone; CPU iPhone OS {ios}_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{ios}.{minor} Mobile/15E148 Safari/604.1"),
            format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/{chrome}.0.0.0 Mobile Safari/537.36"),
            format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Chrome/{chrome}.0.0.0 Safari/537.36"),
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/{chrome}.0.0.0 Safari/537.36 Edg/{chrome}.0.0.0"),
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{firefox}.0) Gecko/20100101 Firefox/{firefox}.0"),
            format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{ios}.{minor} Safari/605.1.15"),
            format!("Mozilla/5.0 (X11; Linux x86_64; rv:{firefox}.0) Gecko/20100101 Firefox/{firefox}.0"),
            format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} SamsungBrowser/{}.0 Chrome/{}.0.0.0 Mobile Safari/537.36", 29 - age, chrome - 6),
            format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/{chrome}.0.0.0 Safari/537.36 OPR/{}.0.0.0", chrome - 16),
        ]);
    }
    let telephones = [
        "SM-S921B",
        "Pixel 9",
        "SM-A556B",
        "23117RA68G",
        "CPH2645",
        "iPhone15,3",
        "iPhone16,1",
        "iPhone14,5",
    ];
    for version in 0..10 {
        for telephone in telephones {
            let (system, program) = if telephone.starts_with("iPhone") {
                ("iOS 18.5", "CFNetwork/3826.500.131 Darwin/24.5.0")
            } else {
                ("Android 15", "okhttp/4.12.0")
            };
            all.push(format!(
                "ShopApp/5.{}.{} ({system}; {telephone}) {program}",
                21 - version,
                version % 3
            ));
        }
    }
    all.extend([
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/142.0.7444.59 Safari/537.36".to_owned(),
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36".to_owned(),
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)".to_owned(),
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)".to_owned(),
        "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)".to_owned(),
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)".to_owned(),
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)".to_owned(),
        "kube-probe/1.31".to_owned(),
        "Prometheus/3.5.0".to_owned(),
        "Go-http-client/2.0".to_owned(),
    ]);
    all.extend((0..8).map(|patch| format!("python-requests/2.{}.{}", 32 - patch / 2, patch % 4)));
    all.extend((0..8).map(|minor| format!("curl/8.{}.0", 16 - minor)));
    all.extend((0..8).map(|minor| format!("Java-http-client/{}.0.{minor}", 17 + minor % 2 * 4)));
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::*;

    fn lines(count: u64) -> String {
        let mut out = Vec::new();
        Day::new(count).write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_day_is_the_same_each_time_and_goes_forward_from_midnight_to_midnight() {
        let day = lines(5000);
        assert_eq!(day, lines(5000));
        assert_eq!(day.lines().count(), 5000);
        let times: Vec<&str> = day
            .lines()
            .map(|line| line.split_once('[').unwrap().1.split_once(']').unwrap().0)
            .collect();
        assert!(times.is_sorted());
        assert!(times[0].starts_with("24/Nov/2025:00:00:"), "{}", times[0]);
        assert!(
            times[4999].starts_with("24/Nov/2025:23:59:"),
            "{}",
            times[4999]
        );
    }

    #[test]
    fn a_few_values_are_common_and_many_are_rare() {
        let day = lines(50_000);
        for (quoted, most_different, least_different) in [(0, 5000, 1000), (5, 304, 150)] {
            let mut counts: HashMap<&str, u64> = HashMap::new();
            for line in day.lines() {
                let value = match quoted {
                    0 => line.split_once(' ').unwrap().0,
                    part => line.split('"').nth(part).unwrap(),
                };
                *counts.entry(value).or_default() += 1;
            }
            assert!(
                (least_different..=most_different).contains(&counts.len()),
                "{}",
                counts.len()
            );
            let mut counts: Vec<u64> = counts.into_values().collect();
            counts.sort_unstable();
            let (rare, common) = counts.split_at(counts.len() * 9 / 10);
            assert!(common.iter().sum::<u64>() > rare.iter().sum());
        }
    }

    #[test]
    fn each_kind_has_its_configured_user_agents() {
        let mut agents = agents();
        assert_eq!(agents.len() as u64, BROWSERS + APPS + BOTS);
        agents.sort();
        agents.dedup();
        assert_eq!(agents.len() as u64, BROWSERS + APPS + BOTS);
    }
}
