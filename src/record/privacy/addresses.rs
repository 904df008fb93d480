//! Finds addresses in a text.
//!
//! Owns what counts as an address: every text that can be read as one, even a version number, except addresses that no host
//! has (`131.0.0.0`, as in `Chrome/131.0.0.0`; `::`). Encoded forms as in URLs (`%3A`) count. Invariant: a text that looks
//! like an address but cannot be read is reported too, so that it can be hidden.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::spelling::{Unit, unit};

/// No IPv6 address has a longer text: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`, and some around it.
const LONGEST: usize = 64;

/// Reports the range of each address in order, and the address if it can be read.
pub(super) fn find(
    text: &[u8],
    part: Range<usize>,
    mut found: impl FnMut(Range<usize>, Option<IpAddr>),
) {
    if !may_hold_one(&text[part.clone()]) {
        return;
    }
    let mut at = part.start;
    let text = &text[..part.end];
    while let Some(passed) = text[at..].iter().position(|byte| may_begin_one(*byte)) {
        at += passed;
        let here = unit(text, at);
        if !is_of_address(here.byte) {
            at += here.len;
            continue;
        }
        let run = Run::read(text, at);
        match run.v6(text) {
            V6::Found(range, ip) => found(range, ip),
            V6::None if run.dots < 3 => {}
            V6::None => run.each_v4(text, &mut found),
        }
        at = run.range.end;
    }
}

/// Whether an encoded or plain byte of an address can begin with this byte.
fn may_begin_one(byte: u8) -> bool {
    is_of_address(byte) || matches!(byte, b'%' | b'\\')
}

/// Whether a text has as many dots or colons, plain or encoded, as every address.
fn may_hold_one(text: &[u8]) -> bool {
    let count = |wanted: u8| text.iter().filter(|byte| **byte == wanted).count();
    count(b'.') >= 3 || count(b':') >= 2 || memchr::memchr2(b'%', b'\\', text).is_some()
}

fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

/// A run of bytes that an address can consist of.
struct Run {
    range: Range<usize>,
    dots: usize,
    colons: usize,
    /// It has two adjacent colons, apart from its ends.
    shortened: bool,
    /// The length of the longest part between colons.
    longest_part: usize,
    /// Parts that are not empty.
    parts: usize,
}

enum V6 {
    None,
    Found(Range<usize>, Option<IpAddr>),
}

impl Run {
    fn read(text: &[u8], start: usize) -> Self {
        let mut run = Self {
            range: start..start,
            dots: 0,
            colons: 0,
            shortened: false,
            longest_part: 0,
            parts: 0,
        };
        let (mut part, mut before) = (0, 0);
        while run.range.end < text.len() {
            let Unit { byte, len, .. } = unit(text, run.range.end);
            if !is_of_address(byte) {
                break;
            }
            if byte == b':' {
                run.colons += 1;
                run.shortened |= before == b':';
                part = 0;
            } else {
                run.dots += usize::from(byte == b'.');
                run.parts += usize::from(part == 0);
                part += 1;
                run.longest_part = run.longest_part.max(part);
            }
            before = byte;
            run.range.end += len;
        }
        run
    }

    fn v6(&self, text: &[u8]) -> V6 {
        if self.colons < 2 || self.parts == 0 {
            return V6::None;
        }
        let Range { start, end } = self.range;
        // `Net::DNS`
        let within_word = start > 0 && text[start - 1].is_ascii_alphanumeric()
            || text.get(end).is_some_and(u8::is_ascii_alphanumeric);
        if within_word && self.colons == 2 {
            return V6::None;
        }
        if let Some((range, ip)) = self.parse(text) {
            return if ip.is_unspecified() {
                V6::None
            } else {
                V6::Found(range, Some(ip))
            };
        }
        // more parts than an address has: a fingerprint has two digits in each part
        let odd = self.shortened && self.parts > 1 || self.colons > 7 && self.longest_part > 2;
        if odd {
            V6::Found(self.range.clone(), None)
        } else {
            V6::None
        }
    }

    fn parse(&self, text: &[u8]) -> Option<(Range<usize>, IpAddr)> {
        let (mut spelled, mut len) = ([0; LONGEST], 0);
        let (mut places, mut at) = ([0; LONGEST + 1], self.range.start);
        while at < self.range.end {
            let unit = unit(text, at);
            *spelled.get_mut(len)? = unit.byte;
            places[len] = at;
            len += 1;
            at += unit.len;
        }
        places[len] = at;
        let (mut from, mut to) = (0, len);
        // punctuation before or after the address
        if spelled[..to].starts_with(b":") && !spelled[..to].starts_with(b"::") {
            from += 1;
        }
        while to > from
            && (spelled[to - 1] == b'.'
                || spelled[to - 1] == b':' && !spelled[from..to].ends_with(b"::"))
        {
            to -= 1;
        }
        let ip: Ipv6Addr = std::str::from_utf8(&spelled[from..to]).ok()?.parse().ok()?;
        Some((places[from]..places[to], ip.to_canonical()))
    }

    /// Reports the dotted addresses of a run that is no IPv6 address.
    fn each_v4(&self, text: &[u8], found: &mut impl FnMut(Range<usize>, Option<IpAddr>)) {
        let mut at = self.range.start;
        while at < self.range.end {
            if !unit(text, at).byte.is_ascii_digit() {
                at += unit(text, at).len;
                continue;
            }
            let dotted = Dotted::read(text, at, self.range.end);
            if let Some(ip) = dotted.ip() {
                found(at..dotted.end, Some(IpAddr::V4(ip)));
            }
            at = dotted.after;
        }
    }
}

/// Numbers that are separated by dots.
struct Dotted {
    numbers: [u16; 4],
    count: usize,
    /// The offset after the last digit, and after a dot that follows it.
    end: usize,
    after: usize,
}

impl Dotted {
    fn read(text: &[u8], start: usize, limit: usize) -> Self {
        let mut dotted = Self {
            numbers: [0; 4],
            count: 0,
            end: start,
            after: start,
        };
        loop {
            let (mut number, mut digits) = (0_u16, 0);
            while dotted.after < limit {
                let Unit { byte, len, .. } = unit(text, dotted.after);
                if !byte.is_ascii_digit() {
                    break;
                }
                number = number
                    .saturating_mul(10)
                    .saturating_add(u16::from(byte - b'0'));
                digits += 1;
                dotted.after += len;
            }
            if digits == 0 {
                return dotted;
            }
            if let Some(slot) = dotted.numbers.get_mut(dotted.count) {
                *slot = if digits > 3 { u16::MAX } else { number };
            }
            dotted.count += 1;
            dotted.end = dotted.after;
            if dotted.after >= limit || unit(text, dotted.after).byte != b'.' {
                return dotted;
            }
            dotted.after += unit(text, dotted.after).len;
        }
    }

    fn ip(&self) -> Option<Ipv4Addr> {
        if self.count != 4 || matches!(self.numbers, [_, 0, 0, 0]) {
            return None;
        }
        let octet = |at: usize| u8::try_from(self.numbers[at]).ok();
        Some(Ipv4Addr::new(octet(0)?, octet(1)?, octet(2)?, octet(3)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> String {
        let (mut out, mut from) = (String::new(), 0);
        find(text.as_bytes(), 0..text.len(), |range, ip| {
            out.push_str(&text[from..range.start]);
            out.push_str(&ip.map_or("<?>".to_owned(), |ip| format!("<{ip}>")));
            from = range.end;
        });
        out.push_str(&text[from..]);
        out
    }

    #[test]
    fn addresses_are_found_in_text() {
        for (text, expected) in [
            ("203.0.113.9", "<203.0.113.9>"),
            ("a 203.0.113.9, b", "a <203.0.113.9>, b"),
            ("203.0.113.9:443", "<203.0.113.9>:443"),
            ("http://203.0.113.9/x", "http://<203.0.113.9>/x"),
            ("ip203.0.113.9x 9.8.7.6.", "ip<203.0.113.9>x <9.8.7.6>."),
            ("a%20203.0.113.9", "a%20<203.0.113.9>"),
            ("a%2520203%2E0.113.9", "a%2520<203.0.113.9>"),
            ("[2001:db8::1]:443", "[<2001:db8::1>]:443"),
            ("x?ip=2001%3Adb8%3A%3A1&y", "x?ip=<2001:db8::1>&y"),
            ("2001:DB8:0:0:0:0:0:1", "<2001:db8::1>"),
            ("::ffff:192.0.2.1", "<192.0.2.1>"),
            ("::1 fe80::1%eth0", "<::1> <fe80::1>%eth0"),
            ("for=2001:db8::1: no", "for=<2001:db8::1>: no"),
            ("addr:2001:db8::1.", "addr:<2001:db8::1>."),
            ("x2001:db8::1:1y", "x<2001:db8::1:1>y"),
            ("2001:db8::12345:1", "<?>"),
            ("feed:1:2:3:4:5:6:7:8", "<?>"),
            ("001.002.003.004", "<1.2.3.4>"),
        ] {
            assert_eq!(hidden(text), expected);
        }
    }

    #[test]
    fn text_that_is_no_address_stays() {
        for text in [
            "Chrome/131.0.0.0 Edg/131.0.2903.86",
            "[23/Nov/2026:05:26:59 +0000]",
            "2026-11-23T05:26:59+00:00",
            "LWP::Simple Net::DNS a :: b",
            "1.2.3 1.2.3.4.5 256.1.1.1 1234.1.1.1 1..2.3.4",
            "AB:CD:EF:01:23:45:67:89:AB:CD:EF:01",
            "0.0.0.0",
            "",
        ] {
            assert_eq!(hidden(text), text);
        }
    }
}
