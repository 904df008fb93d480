//! Classifies a text of letters, digits, `-` and `_`: a word, several words, an identifier, or words with an identifier.
//!
//! Owns the decision where no fixed form applies: which digits are a number and which belong to a word (`oauth2`, `h264`,
//! `top-10`), and when letters look random. Invariant: the result is a pure function of the bytes.

use super::letters;
use super::segment::SegmentKind;

/// A text with so many words is a title.
pub(super) const TITLE: usize = 6;

/// Words of letters of one case are judged from this length on, others from the second on.
const LONG_WORD: usize = 13;
const LONG_CAMEL: usize = 7;
/// Shorter texts of letters and few digits are names.
const SHORT: usize = 5;
/// Several parts are judged together from this length on.
const SEVERAL: usize = 8;
/// A text with so many small numbers holds values.
const SEVERAL_NUMBERS: usize = 3;
/// A hex text from this length on is a hash or an object's id.
pub(super) const HASH: usize = 16;
/// A hex text with a digit from this length on is no word.
const HEX: usize = 7;
/// Quarter bits up to which letters still count as an unusual word.
const LIKELY: i32 = 24;
/// The same of the words of a slug.
const WORD: i32 = 12;
/// Parts of letters alone are judged from this length on.
const ODD_PART: usize = 8;
/// Limit of the parts that are classified; a text with more is a title, or no name.
const MOST_PARTS: usize = 32;

/// Numbers of three digits or more that are parts of words: `sha256`, `h264`, `es-419`, `error-404`.
const WELL_KNOWN: [&[u8]; 34] = [
    b"001", b"101", b"128", b"150", b"160", b"192", b"200", b"204", b"224", b"256", b"264", b"265",
    b"301", b"302", b"360", b"365", b"384", b"400", b"401", b"403", b"404", b"419", b"500", b"502",
    b"503", b"509", b"512", b"720", b"1080", b"2048", b"4096", b"8601", b"8859", b"25519",
];

/// A name that every scanner requests, and that is not written like a word.
const UNLIKE_WORDS: &[u8] = b"phpMyAdmin";

/// Returns the kind of a text with only letters, digits, `-`, `_` and bytes beyond ASCII.
pub(super) fn of(text: &[u8]) -> SegmentKind {
    if text.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        several(text)
    } else {
        one(text)
    }
}

/// The number of bytes of each class in a text.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    digits: usize,
    lower: usize,
    upper: usize,
    /// Beyond ASCII.
    other: usize,
    /// Letters and digits that are hex digits.
    hex: usize,
}

impl Bytes {
    fn of(text: &[u8]) -> Self {
        let mut bytes = Self::default();
        for byte in text {
            match byte {
                b'0'..=b'9' => bytes.digits += 1,
                b'a'..=b'z' => bytes.lower += 1,
                b'A'..=b'Z' => bytes.upper += 1,
                0x80.. => bytes.other += 1,
                _ => {}
            }
            bytes.hex += usize::from(byte.is_ascii_hexdigit());
        }
        bytes
    }

    fn letters(&self) -> usize {
        self.lower + self.upper
    }
}

/// A text without `-` and `_`.
fn one(text: &[u8]) -> SegmentKind {
    let bytes = Bytes::of(text);
    let length = text.len();
    if bytes.digits == length {
        return if length == 0 {
            SegmentKind::Word
        } else {
            SegmentKind::Id
        };
    }
    if bytes.other > 0 {
        return if bytes.digits > 2 {
            SegmentKind::Id
        } else {
            SegmentKind::Word
        };
    }
    if text == UNLIKE_WORDS {
        return SegmentKind::Word;
    }
    if bytes.digits == 0 {
        let title = bytes.upper == 1 && text[0].is_ascii_uppercase();
        let one_case = bytes.upper == 0 || bytes.lower == 0 || title;
        let judged = length >= if one_case { LONG_WORD } else { LONG_CAMEL };
        let by_chance = judged && letters::chance(text) > limit(bytes, length, one_case);
        return if by_chance {
            SegmentKind::Id
        } else {
            SegmentKind::Word
        };
    }
    if bytes.hex == length && length >= HEX && !is_named_number(text) {
        return if length >= HASH {
            SegmentKind::Hash
        } else {
            SegmentKind::Id
        };
    }
    mixed(text, bytes)
}

/// Letters and digits.
fn mixed(text: &[u8], bytes: Bytes) -> SegmentKind {
    if let Some(number) = text.strip_prefix(b"0x")
        && number.iter().all(u8::is_ascii_hexdigit)
    {
        return SegmentKind::Id;
    }
    if is_named_number(text) || is_stage(text) || is_square(text) {
        return SegmentKind::Word;
    }
    let front = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let few = match front {
        // `2fa`, `500px`
        1.. if front == bytes.digits => bytes.digits <= 3,
        _ => bytes.digits <= 2,
    };
    // the digits of `sha256sum` are known
    let few = few || inner_number(text).is_some_and(|number| WELL_KNOWN.contains(&number));
    let one_case = bytes.upper == 0 || bytes.lower == 0;
    let is_name = text.len() < SHORT || letters::chance(text) <= limit(bytes, text.len(), one_case);
    if few && is_name {
        SegmentKind::Word
    } else {
        SegmentKind::Id
    }
}

/// Quarter bits by which chance must explain a text better than words do to count as chance. Words that a capital
/// begins, and long ones with a digit, are far below these; short names with a digit are above nothing.
fn limit(bytes: Bytes, length: usize, one_case: bool) -> i32 {
    match (one_case, bytes.digits > 0, length) {
        (false, true, _) => -22,
        (false, false, _) => -12,
        (true, false, _) => 0,
        (true, true, 10..) => 0,
        (true, true, 8..) => 16,
        (true, true, _) => 25,
    }
}

/// Whether the letters and digits of a text look random.
pub(super) fn is_by_chance(text: &[u8]) -> bool {
    let bytes = Bytes::of(text);
    let one_case = bytes.upper == 0 || bytes.lower == 0;
    letters::chance(text) > limit(bytes, text.len(), one_case)
}

/// Letters, followed by a number of at most two digits or a well-known one: `oauth2`, `sha256`.
fn is_named_number(text: &[u8]) -> bool {
    let letters = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let (name, number) = text.split_at(letters);
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    let one_case = name.iter().all(u8::is_ascii_lowercase)
        || name.iter().all(u8::is_ascii_uppercase)
        || name.iter().skip(1).all(u8::is_ascii_lowercase);
    let is_word = one_case && (1..LONG_WORD).contains(&letters);
    let is_likely = letters < SHORT || letters::chance(name) <= LIKELY;
    is_word && is_number && is_likely && (number.len() <= 2 || WELL_KNOWN.contains(&number))
}

/// `v1beta1`: a pre-release version.
fn is_stage(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.len() <= 2 && text.iter().all(u8::is_ascii_digit);
    let Some(number) = text.strip_prefix(b"v") else {
        return false;
    };
    let stages = [&b"alpha"[..], b"beta", b"preview", b"rc"];
    stages.iter().any(|stage| {
        memchr::memmem::find(number, stage).is_some_and(|at| {
            let after = &number[at + stage.len()..];
            at > 0 && digits(&number[..at]) && digits(after)
        })
    })
}

/// `32x32`: the size of an icon, of which there are few.
fn is_square(text: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'x', text) else {
        return false;
    };
    let (width, height) = (&text[..at], &text[at + 1..]);
    width == height && (1..=4).contains(&at) && width.iter().all(u8::is_ascii_digit)
}

/// Returns the digits of a text that has one run of digits.
fn inner_number(text: &[u8]) -> Option<&[u8]> {
    let start = text.iter().position(u8::is_ascii_digit)?;
    let length = text[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let rest = &text[start + length..];
    let only = !rest.iter().any(u8::is_ascii_digit);
    only.then(|| &text[start..start + length])
}

/// A part between `-` and `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Empty,
    /// Letters of one case, or with a capital in front, that look like a word; at least three.
    Word,
    /// Other letters, and words with a digit or two.
    Short,
    /// One or two digits, or a well-known number.
    Few,
    Number,
    Value,
}

fn part(text: &[u8]) -> Part {
    let bytes = Bytes::of(text);
    if text.is_empty() {
        return Part::Empty;
    }
    if bytes.digits == text.len() {
        let few = text.len() <= 2 || WELL_KNOWN.contains(&text);
        return if few { Part::Few } else { Part::Number };
    }
    // beside other words an odd word is recognised earlier
    let judged = bytes.digits + bytes.other == 0 && text.len() >= ODD_PART;
    let odd = judged && letters::chance(text) > LIKELY;
    if odd || one(text) != SegmentKind::Word {
        return Part::Value;
    }
    let inner = &text[1..];
    let is_small = |byte: &u8| byte.is_ascii_lowercase() || *byte >= 0x80;
    let one_case = bytes.upper == 0 || bytes.lower == 0 || inner.iter().all(is_small);
    let is_word = bytes.digits == 0 && text.len() >= 3 && one_case;
    if is_word && (bytes.other > 0 || letters::chance(text) <= WORD) {
        Part::Word
    } else {
        Part::Short
    }
}

/// A text with `-` or `_` in it.
fn several(text: &[u8]) -> SegmentKind {
    let bytes = Bytes::of(text);
    let split = || text.split(|byte| matches!(byte, b'-' | b'_'));
    let count = split().count();
    if count > MOST_PARTS {
        return if bytes.letters() > bytes.digits {
            SegmentKind::Slug
        } else {
            SegmentKind::Id
        };
    }
    if bytes.letters() + bytes.other == 0 {
        return if bytes.digits == 0 {
            SegmentKind::Word
        } else {
            SegmentKind::Id
        };
    }
    if bytes.digits > 0 && (is_hex_groups(text, bytes) || is_code(text, bytes)) || is_isbn(text) {
        return SegmentKind::Id;
    }
    let mut words = 0;
    let mut first = Part::Empty;
    let mut values = 0;
    let mut numbers = 0;
    let mut few = 0;
    let mut short = 0;
    for (at, text) in split().enumerate() {
        let part = part(text);
        if at == 0 {
            first = part;
        }
        match part {
            Part::Word => words += 1,
            Part::Value => values += 1,
            Part::Number => numbers += 1,
            Part::Few => few += 1,
            Part::Short => short += 1,
            Part::Empty => {}
        }
    }
    // `ip-10-0-0-7`: small numbers, but several of them
    if few >= SEVERAL_NUMBERS {
        numbers += few;
    }
    // keys of tickets and orders: `PROJ-17`, `ORD-2026-0001`
    let is_key = bytes.digits > 0 && bytes.lower == 0 && bytes.other == 0;
    if is_key && !(numbers + values == 0 && few == 1 && is_known_key(text)) {
        return SegmentKind::Id;
    }
    let by_chance = numbers + values == 0
        && text.len() >= SEVERAL
        // the frequencies are those of Latin letters
        && bytes.other == 0
        && !is_locale(text)
        && letters::chance(text) > limit_of_several(bytes, short);
    if numbers + values == 0 && !by_chance {
        return if words >= TITLE {
            SegmentKind::Slug
        } else {
            SegmentKind::Word
        };
    }
    let begins_lower = text[0].is_ascii_lowercase() || text[0] >= 0x80;
    let is_slug = match first {
        Part::Word if count == 2 && memchr::memchr(b'_', text).is_some() => false,
        Part::Word => begins_lower || words >= 2,
        Part::Number | Part::Value | Part::Few => words >= 2 || words == 1 && bytes.upper == 0,
        Part::Empty | Part::Short => words >= 2,
    };
    if is_slug {
        SegmentKind::Slug
    } else {
        SegmentKind::Id
    }
}

/// Like [`limit`], for several parts.
fn limit_of_several(bytes: Bytes, short: usize) -> i32 {
    match (
        bytes.upper > 0 && bytes.lower > 0,
        bytes.digits > 0,
        short > 0,
    ) {
        (true, true, true) => -44,
        (true, true, false) | (true, false, true) => -28,
        (true, false, false) => -8,
        (false, ..) => 14,
    }
}

/// `zh-Hant-TW`, `es_419` (RFC 5646): a language, a script, a region.
fn is_locale(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| matches!(byte, b'-' | b'_'));
    let language = parts
        .next()
        .is_some_and(|part| matches!(part.len(), 2 | 3) && part.iter().all(u8::is_ascii_lowercase));
    language
        && parts.all(|part| match part {
            [first, rest @ ..] if part.len() == 4 => {
                first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase)
            }
            part => part.len() == 2 && part.iter().all(u8::is_ascii_uppercase),
        })
}

/// `8f3a-1c6e`, `00-1A-2B-3C-4D-5E`.
fn is_hex_groups(text: &[u8], bytes: Bytes) -> bool {
    let mut groups = text
        .split(|byte| matches!(byte, b'-' | b'_'))
        .map(<[u8]>::len);
    let Some(length) = groups.next() else {
        return false;
    };
    let mut count = 1;
    let equal = groups.all(|next| {
        count += 1;
        next == length
    });
    equal
        && bytes.hex + count - 1 == text.len()
        && (length >= 4 && count >= 2 || length >= 2 && count >= 4)
}

/// `06zg-zce8-vaw7`, three groups or more of one length with letters and digits: license keys, codes of vouchers.
fn is_code(text: &[u8], bytes: Bytes) -> bool {
    let groups = || text.split(|byte| matches!(byte, b'-' | b'_'));
    let length = groups().next().map_or(0, <[u8]>::len);
    let has = |group: &[u8], class: fn(&u8) -> bool| group.iter().any(class);
    let is_mixed =
        |group: &[u8]| has(group, u8::is_ascii_digit) && has(group, u8::is_ascii_alphabetic);
    length >= 4
        && bytes.other == 0
        && (bytes.upper == 0 || bytes.lower == 0)
        && groups().count() >= 3
        && groups().all(|group| group.len() == length)
        && groups().any(is_mixed)
        && letters::chance(text) > 0
}

/// Ten digits in groups, the last an `X` (ISO 2108).
fn is_isbn(text: &[u8]) -> bool {
    text.strip_suffix(b"-X").is_some_and(|digits| {
        digits
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'-')
    })
}

/// Well-known names in capitals with a number.
fn is_known_key(text: &[u8]) -> bool {
    const KNOWN: [&[u8]; 6] = [
        b"UTF-8",
        b"UTF-16",
        b"UTF-32",
        b"COVID-19",
        b"ISO-8859-1",
        b"HTTP-2",
    ];
    KNOWN.contains(&text)
}
