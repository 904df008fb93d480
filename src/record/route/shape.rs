//! Recognises values by their form: UUIDs, dates, addresses, e-mail, phone numbers, versions.
//!
//! Owns the forms. Refuses to know the text around a value. Invariant: each answer depends only on the bytes and takes one
//! pass over them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::segment::SegmentKind;

/// Returns the kind of a value that has one of the forms as a whole.
pub(super) fn of(text: &[u8]) -> Option<SegmentKind> {
    if text.iter().all(u8::is_ascii_digit) {
        let date = matches!(text.len(), 8 | 14) && is_date(text);
        return Some(if date {
            SegmentKind::Date
        } else {
            SegmentKind::Id
        });
    }
    if is_uuid(text) {
        return Some(SegmentKind::Uuid);
    }
    if is_token(text) {
        return Some(SegmentKind::Token);
    }
    if is_hardware_address(text) {
        return Some(SegmentKind::Id);
    }
    if memchr::memchr(b'@', text).is_some() && is_email(text) {
        return Some(SegmentKind::Email);
    }
    if !text.iter().any(u8::is_ascii_digit) {
        // `::`, `fe80::`: an address may have no digit
        return (text.len() > 4 && is_ip(text)).then_some(SegmentKind::Ip);
    }
    if is_ip(text) {
        return Some(SegmentKind::Ip);
    }
    if is_date(text) {
        return Some(SegmentKind::Date);
    }
    if is_phone(text) {
        return Some(SegmentKind::Phone);
    }
    numbers(text).or_else(|| version(text))
}

/// RFC 9562, section 4: `8-4-4-4-12` hex digits; also in braces or parentheses, and behind `urn:uuid:`.
pub(super) fn is_uuid(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"urn:uuid:").unwrap_or(text);
    let text = match text {
        [b'{', inner @ .., b'}'] | [b'(', inner @ .., b')'] => inner,
        text => text,
    };
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `00:1a:2b:3c:4d:5e`, `001a.2b3c.4d5e`: pairs of hex digits between colons (fingerprints of keys too), or fours
/// between dots.
fn is_hardware_address(text: &[u8]) -> bool {
    let groups = |mark: u8, length: usize, least: usize| {
        let mut count = 0;
        let good = text.split(|byte| *byte == mark).all(|group| {
            count += 1;
            group.len() == length && group.iter().all(u8::is_ascii_hexdigit)
        });
        good && count >= least
    };
    let has_digit = || text.iter().any(u8::is_ascii_digit);
    match (text.get(2), text.get(4)) {
        (Some(b':'), _) => groups(b':', 2, 4),
        (_, Some(b'.')) => groups(b'.', 4, 3) && has_digit(),
        _ => false,
    }
}

/// A JSON web token (RFC 7519), or the beginning of one: base64url of `{"…`, parts between dots.
fn is_token(text: &[u8]) -> bool {
    let of_token =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    text.len() >= 16 && text.starts_with(b"eyJ") && text.iter().all(of_token)
}

/// Whether there is text before an `@`, and a name or an address after the last one.
fn is_email(text: &[u8]) -> bool {
    let Some(at) = memchr::memrchr(b'@', text) else {
        return false;
    };
    let (local, domain) = (&text[..at], &text[at + 1..]);
    let local = local.strip_prefix(b"@").unwrap_or(local);
    let begins_name = domain
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80);
    !local.is_empty() && (begins_name || is_ip(domain))
}

/// An IPv4 or IPv6 address, with or without brackets, port and zone.
fn is_ip(text: &[u8]) -> bool {
    /// `[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%interface]:65535`
    const LONGEST: usize = 72;
    if text.len() > LONGEST {
        return false;
    }
    let text = match text {
        [b'[', inner @ ..] => match memchr::memchr(b']', inner) {
            Some(end) => &inner[..end],
            None => return false,
        },
        text => text,
    };
    let text = memchr::memchr(b'%', text).map_or(text, |zone| &text[..zone]);
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let v4 = || Ipv4Addr::from_str(text.split_once(':').map_or(text, |(host, _)| host));
    let mut colons = memchr::memchr_iter(b':', text.as_bytes());
    colons.nth(1).is_some() && Ipv6Addr::from_str(text).is_ok()
        || memchr::memchr(b'.', text.as_bytes()).is_some() && v4().is_ok()
}

/// A date (ISO 8601 and the usual ways to write one), with or without a time and a zone.
fn is_date(text: &[u8]) -> bool {
    let Some(rest) = after_date(text) else {
        return false;
    };
    match rest {
        [] => true,
        [b'T' | b't' | b'_' | b' ' | b'-' | b'+', time @ ..] => is_time(time),
        time => text.len() - rest.len() == 8 && is_time(time),
    }
}

/// Returns the text after a date at the beginning.
fn after_date(text: &[u8]) -> Option<&[u8]> {
    let (first, rest) = number(text)?;
    match (first.len(), rest) {
        (8 | 14, _) => {
            let (date, time) = first.split_at(8);
            let good = is_year(&date[..4]) && is_month(&date[4..6]) && is_day(&date[6..]);
            let timed = time.is_empty() || time[0] <= b'2' && time[2] <= b'5' && time[4] <= b'6';
            (good && timed).then_some(rest)
        }
        (4, [b'-', b'W' | b'Q' | b'w' | b'q', week @ ..]) if is_year(first) => {
            let (week, rest) = number(week)?;
            (week.len() <= 2).then_some(rest)
        }
        (4, [mark @ (b'-' | b'.' | b'_'), rest @ ..]) if is_year(first) => {
            let (month, rest) = number(rest)?;
            // the day of the year
            if month.len() == 3 && *mark == b'-' {
                return Some(rest);
            }
            if !is_month(month) {
                return None;
            }
            match rest {
                [next, day @ ..] if next == mark => {
                    let (day, rest) = number(day)?;
                    is_day(day).then_some(rest)
                }
                rest => (*mark == b'-').then_some(rest),
            }
        }
        (1 | 2, [mark @ (b'-' | b'.' | b'_'), rest @ ..]) => {
            let (second, rest) = number(rest).or_else(|| month_name(rest))?;
            let (next, rest) = rest.split_first()?;
            let (year, rest) = number(rest)?;
            let ordered = is_month(second) && is_day(first) || is_day(second) && is_month(first);
            let named = second.first().is_some_and(u8::is_ascii_alphabetic) && is_day(first);
            (next == mark && year.len() == 4 && is_year(year) && (ordered || named)).then_some(rest)
        }
        _ => None,
    }
}

/// `10:00`, `10:00:00.123`, `100000`, `10-00-00`, then perhaps a zone.
fn is_time(text: &[u8]) -> bool {
    let Some((hours, rest)) = number(text) else {
        return false;
    };
    if !matches!(hours.len(), 2 | 4 | 6) {
        return false;
    }
    let of_time = |byte: &u8| {
        byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',' | b'-' | b'+' | b' ')
    };
    let rest = rest
        .strip_suffix(b"Z")
        .or(rest.strip_suffix(b"z"))
        .unwrap_or(rest);
    let rest = rest.strip_suffix(b" UTC").unwrap_or(rest);
    rest.iter().all(of_time)
}

fn month_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    const MONTHS: [&[u8]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let (name, rest) = text.split_at_checked(3)?;
    let known = MONTHS.iter().any(|month| month.eq_ignore_ascii_case(name));
    known.then_some((name, rest))
}

fn is_year(digits: &[u8]) -> bool {
    matches!(digits, [b'1', b'9', ..] | [b'2', b'0' | b'1', ..])
}

fn is_month(digits: &[u8]) -> bool {
    matches!(
        digits,
        [b'1'..=b'9'] | [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']
    )
}

fn is_day(digits: &[u8]) -> bool {
    matches!(
        digits,
        [b'1'..=b'9'] | [b'0', b'1'..=b'9'] | [b'1' | b'2', b'0'..=b'9'] | [b'3', b'0' | b'1']
    )
}

/// Returns the digits at the beginning, at least one, and the rest.
fn number(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| text.split_at(digits))
}

/// A phone number: 7 to 18 digits behind a `+`, with blanks or parentheses, or in groups of which the last are 3, 3
/// and 4 long; an extension (`x12`) may follow.
fn is_phone(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"tel:").unwrap_or(text);
    let text = extension_of_phone(text);
    let of_phone = |byte: &u8| {
        byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'(' | b')' | b' ')
    };
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    if !(7..=18).contains(&digits) || !text.iter().all(of_phone) {
        return false;
    }
    let marked = text.starts_with(b"+") || text.iter().any(|byte| matches!(byte, b'(' | b' '));
    marked || ends_in_groups(text)
}

/// Returns the text without an extension (`x12`, ` ext. 12`).
fn extension_of_phone(text: &[u8]) -> &[u8] {
    let digits = text
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let before = &text[..text.len() - digits];
    let before = before.trim_ascii_end();
    for mark in [&b"ext."[..], b"ext", b"x"] {
        if let Some(before) = before.strip_suffix(mark) {
            return before.trim_ascii_end();
        }
    }
    text
}

fn ends_in_groups(text: &[u8]) -> bool {
    let mut groups = text.rsplit(|byte| !byte.is_ascii_digit()).map(<[u8]>::len);
    [4, 3, 3]
        .into_iter()
        .all(|length| groups.next() == Some(length))
}

/// Numbers with signs and fractions, one or several: `-17`, `1.5e3`, `48.137,11.575`. One digit, a dot and one
/// digit are a version of an API, of which there are few: `1.1`.
fn numbers(text: &[u8]) -> Option<SegmentKind> {
    if let [b'0'..=b'9', b'.', b'0'..=b'9'] = text {
        return Some(SegmentKind::Word);
    }
    let text = text.strip_prefix(b"@").unwrap_or(text);
    let mut count = 0;
    let mut fractions = 0;
    for part in text.split(|byte| matches!(byte, b',' | b';' | b' ')) {
        if part.is_empty() {
            continue;
        }
        match signed(part) {
            Some(fraction) => fractions += usize::from(fraction),
            // `@48.1,11.5,15z`: the zoom of a map
            None if count >= 2
                && part
                    .strip_suffix(b"z")
                    .or(part.strip_suffix(b"m"))
                    .and_then(signed)
                    .is_some() => {}
            None => return None,
        }
        count += 1;
    }
    match (count, fractions) {
        (2.., 1..) => Some(SegmentKind::Coordinates),
        (1.., _) => Some(SegmentKind::Id),
        _ => None,
    }
}

/// Whether it has a fraction; `None` when it is no number.
fn signed(text: &[u8]) -> Option<bool> {
    let text = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let (_, rest) = number(text)?;
    let (rest, fraction) = match rest {
        [b'.', fraction @ ..] => (number(fraction)?.1, true),
        rest => (rest, false),
    };
    match rest {
        [] => Some(fraction),
        [b'e' | b'E', power @ ..] if fraction => {
            let power = power
                .strip_prefix(b"-")
                .or(power.strip_prefix(b"+"))
                .unwrap_or(power);
            number(power)
                .is_some_and(|(digits, rest)| digits.len() <= 3 && rest.is_empty())
                .then_some(true)
        }
        _ => None,
    }
}

/// `v3`, `v1.41`: versions of an API, which are few and stay. `1.2.3`, `v1.2.3-rc.1`: releases.
fn version(text: &[u8]) -> Option<SegmentKind> {
    let behind_v = text.strip_prefix(b"v").or(text.strip_prefix(b"V"));
    let numbered = behind_v.unwrap_or(text);
    let (parts, rest) = dotted_numbers(numbered);
    let is_short = numbered.iter().filter(|byte| byte.is_ascii_digit()).count() <= 4;
    match parts {
        1 | 2 if behind_v.is_some() && rest.is_empty() && is_short => Some(SegmentKind::Word),
        3.. if is_release_suffix(rest) => Some(SegmentKind::Version),
        _ => None,
    }
}

/// Returns the numbers between dots at the beginning, and the rest.
fn dotted_numbers(text: &[u8]) -> (usize, &[u8]) {
    let Some((_, mut rest)) = number(text) else {
        return (0, text);
    };
    let mut parts = 1;
    while let Some((_, next)) = rest.strip_prefix(b".").and_then(number) {
        parts += 1;
        rest = next;
    }
    (parts, rest)
}

fn is_release_suffix(text: &[u8]) -> bool {
    let of_suffix = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_' | b'~')
    };
    matches!(
        text,
        [] | [b'-' | b'+' | b'~' | b'_', ..] | [b'a'..=b'z', ..]
    ) && text.iter().all(of_suffix)
}

/// Returns the range and kind of a version or a dotted date after a name: `jquery-3.6.0.min`, `react@18.2.0`,
/// `logs-2026.11.27`.
pub(super) fn version_within(text: &[u8]) -> Option<(std::ops::Range<usize>, SegmentKind)> {
    for at in memchr::memchr3_iter(b'-', b'@', b'_', text) {
        let mut start = at + 1;
        if matches!(text.get(start), Some(b'v' | b'V')) {
            start += 1;
        }
        let (parts, rest) = dotted_numbers(&text[start..]);
        let end = text.len() - rest.len();
        let kind = match parts {
            0 | 1 => continue,
            2 if end - start == 3 => SegmentKind::Word,
            3 if is_date(&text[start..end]) => SegmentKind::Date,
            _ => SegmentKind::Version,
        };
        return Some((start..end, kind));
    }
    None
}
