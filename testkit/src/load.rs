//! Requests for an nginx, and log lines as if there had been requests: the same few clients, paths and agents.
//!
//! Everything comes from a seeded generator, so two runs have the same lines.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Xorshift64*: enough for variety, and no dependency.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    pub fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len() as u64);
        usize::try_from(index)
            .ok()
            .and_then(|index| choices.get(index))
            .copied()
            .unwrap_or_default()
    }
}

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 \
     Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "curl/8.5.0",
    "okhttp/4.12.0",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
];

const REFERRERS: [&str; 5] = [
    "-",
    "-",
    "https://shop.example/",
    "https://shop.example/search?q=boots&page=2",
    "https://www.google.com/",
];

const STATUSES: [&str; 10] = [
    "200", "200", "200", "200", "200", "200", "304", "302", "404", "500",
];

/// A method and a path as a shop's clients ask for them.
pub fn request(random: &mut Random, out: &mut String) -> &'static str {
    out.clear();
    let id = random.below(90_000) + 1;
    // Writing to a String cannot fail.
    let _ = match random.below(20) {
        0..5 => write!(out, "/api/products/{id}"),
        5..8 => write!(out, "/api/search?q=boots&page={}", id % 40),
        8..10 => write!(out, "/api/users/{id}/orders"),
        10 => write!(out, "/api/carts/{id:08x}-7d3b-4c1e-9a55-{:012x}", id * 7919),
        11 => write!(out, "/static/a{:039x}/app.js", id * 1_000_003),
        12..14 => write!(out, "/static/img/{id}/large.webp"),
        14 => write!(out, "/api/export/customers?from=2026-01-{:02}", id % 28 + 1),
        15 => write!(out, "/missing/{id}"),
        16 => write!(out, "/health"),
        17 => {
            let _ = write!(out, "/login");
            return "POST";
        }
        18 => {
            let _ = write!(out, "/api/users/{id}/orders");
            return "POST";
        }
        _ => write!(out, "/"),
    };
    "GET"
}

/// An address of one of some thousand clients, few of them busy.
pub fn client(random: &mut Random, out: &mut String) {
    out.clear();
    let limit = 1 << random.below(13);
    let client = random.below(limit);
    let _ = write!(out, "203.0.{}.{}", 113 + client / 250, client % 250 + 1);
}

/// Lines of nginx's `combined` format, one after the other in time.
pub struct Lines {
    random: Random,
    path: String,
    client: String,
}

impl Lines {
    pub fn new() -> Self {
        Self {
            random: Random::new(1),
            path: String::new(),
            client: String::new(),
        }
    }

    /// Adds a line of the second `second` of 23 November 2026; `query` comes at the end of its path.
    pub fn push(&mut self, second: u64, query: &str, out: &mut Vec<u8>) {
        let method = request(&mut self.random, &mut self.path);
        client(&mut self.random, &mut self.client);
        let mark = match (query.is_empty(), self.path.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        let bytes = self.random.below(60_000);
        let status = self.random.of(&STATUSES);
        let referrer = self.random.of(&REFERRERS);
        let agent = self.random.of(&AGENTS);
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let _ = writeln!(
            out,
            "{} - - [23/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] \
             \"{method} {}{mark}{query} HTTP/1.1\" {status} {bytes} \"{referrer}\" \"{agent}\"",
            self.client, self.path,
        );
    }
}

/// A client that keeps its connection.
pub struct Caller {
    stream: BufReader<TcpStream>,
    random: Random,
    path: String,
    client: String,
}

impl Caller {
    pub fn connect(port: u16, seed: u64) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            random: Random::new(seed),
            path: String::new(),
            client: String::new(),
        })
    }

    /// Goes on over another connection.
    pub fn connect_again(&mut self, port: u16) -> io::Result<()> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        self.stream = BufReader::new(stream);
        Ok(())
    }

    /// One request and its whole answer.
    pub fn call(&mut self) -> io::Result<()> {
        self.call_marked(|_| String::new())
    }

    /// The same, with what `mark` makes of the path at the end of its query.
    pub fn call_marked(&mut self, mark: impl FnOnce(&str) -> String) -> io::Result<()> {
        let method = request(&mut self.random, &mut self.path);
        let mark = mark(&self.path);
        if !mark.is_empty() {
            self.path
                .push(if self.path.contains('?') { '&' } else { '?' });
            self.path.push_str(&mark);
        }
        client(&mut self.random, &mut self.client);
        let agent = self.random.of(&AGENTS);
        let length = if method == "POST" {
            "Content-Length: 0\r\n"
        } else {
            ""
        };
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {agent}\r\nX-Forwarded-For: {}\r\n{length}\r\n",
            self.path, self.client
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<()> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        io::copy(&mut self.stream.by_ref().take(length), &mut io::sink())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_the_same_each_time_and_end_where_they_should() {
        let make = || {
            let mut out = Vec::new();
            let mut lines = Lines::new();
            (0..50).for_each(|second| lines.push(second, "a=1", &mut out));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(make(), make());
        assert_eq!(make().lines().count(), 50);
        assert!(make().lines().all(|line| line.contains("a=1 HTTP/1.1\" ")));
    }
}
