//! Classifies one segment of a path that matches no route: which parts are words, and which are values.
//!
//! Owns the placeholders, and how a segment is split: its extension (`.png`), lists and calls (`1,2`, `Users(1)`), names
//! between dots (`main.8f3a91c2`). Refuses to know the other segments. Invariant: the result is a pure function of the
//! bytes, without a cache; each byte is examined a bounded number of times.

use super::{shape, token};

/// The kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// A word; it stays.
    Word,
    Id,
    Uuid,
    Hash,
    Slug,
    Date,
    Version,
    Email,
    Phone,
    Ip,
    Coordinates,
    Token,
    /// Noise: bytes that are no text, markup, a text too long for a word.
    Text,
}

impl SegmentKind {
    /// The placeholder; none for a word.
    pub(super) fn placeholder(self) -> &'static [u8] {
        match self {
            Self::Word => b"",
            Self::Id => b"{id}",
            Self::Uuid => b"{uuid}",
            Self::Hash => b"{hash}",
            Self::Slug => b"{slug}",
            Self::Date => b"{date}",
            Self::Version => b"{version}",
            Self::Email => b"{email}",
            Self::Phone => b"{phone}",
            Self::Ip => b"{ip}",
            Self::Coordinates => b"{coordinates}",
            Self::Token => b"{token}",
            Self::Text => b"{text}",
        }
    }
}

/// A segment that is still longer than this is no word.
const LONGEST_WORD: usize = 64;
/// A longer segment is not split.
const LONGEST_PARTS: usize = 512;

/// Extensions of programs. Scanners request thousands of them, and the name before is seldom an identifier.
const PROGRAMS: [&[u8]; 18] = [
    b"php", b"phtml", b"asp", b"aspx", b"ashx", b"asmx", b"jsp", b"jspx", b"do", b"cgi", b"pl",
    b"cfm", b"py", b"sh", b"exe", b"dll", b"bat", b"cmd",
];

/// The kind of those values that most paths have, at little cost: numbers, UUIDs, hashes.
pub(super) fn common(segment: &[u8]) -> Option<SegmentKind> {
    let digits = segment
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == segment.len() {
        // of others the digits may be those of a date
        return (!matches!(digits, 0 | 8 | 14)).then_some(SegmentKind::Id);
    }
    if segment.len() < token::HASH || !segment[segment.len() - 1].is_ascii_hexdigit() {
        return None;
    }
    if shape::is_uuid(segment) {
        return Some(SegmentKind::Uuid);
    }
    let mut has_digit = false;
    let is_hex = segment.iter().all(|byte| {
        has_digit |= byte.is_ascii_digit();
        byte.is_ascii_hexdigit()
    });
    (is_hex && has_digit).then_some(SegmentKind::Hash)
}

/// Appends a segment with placeholders for its values. Returns whether it holds an identifier.
pub(super) fn write(out: &mut Vec<u8>, segment: &[u8]) -> bool {
    if segment.is_empty() {
        return false;
    }
    let mark = out.len();
    let (found, counts) = match shape::of(segment) {
        Some(kind) if kind == SegmentKind::Uuid || !is_odd(segment) => {
            (push(out, segment, kind), true)
        }
        None if !is_odd(segment) => {
            if segment.len() > LONGEST_PARTS {
                (push(out, segment, long(segment)), true)
            } else {
                let (stem, ending) = split_ending(segment);
                let found = if is_error_page(stem, ending) {
                    push(out, stem, SegmentKind::Word)
                } else if is_numbered_title(stem, ending) || is_build(stem, ending) {
                    push(out, stem, SegmentKind::Slug)
                } else {
                    stem_of(out, stem)
                };
                out.extend_from_slice(ending);
                (found, !is_program(ending))
            }
        }
        _ => (push(out, segment, SegmentKind::Text), true),
    };
    if out.len() - mark > LONGEST_WORD {
        out.truncate(mark);
        push(out, segment, SegmentKind::Text);
    }
    found && counts
}

/// Appends `text` if it is a word, else its placeholder. Returns whether it is an identifier.
pub(super) fn push(out: &mut Vec<u8>, text: &[u8], kind: SegmentKind) -> bool {
    match kind {
        SegmentKind::Word => out.extend_from_slice(text),
        kind => out.extend_from_slice(kind.placeholder()),
    }
    !matches!(kind, SegmentKind::Word | SegmentKind::Text)
}

/// Whether there are bytes that are no text, control characters, or characters that every client escapes in a path.
fn is_odd(segment: &[u8]) -> bool {
    let odd = |byte: &u8| {
        *byte < b' '
            || matches!(
                byte,
                b'"' | b'<' | b'>' | b'`' | b'^' | b'\\' | b'{' | b'}' | 0x7f
            )
    };
    if segment.iter().any(odd) {
        return true;
    }
    if segment.is_ascii() {
        return false;
    }
    let Ok(text) = std::str::from_utf8(segment) else {
        return true;
    };
    text.chars()
        .any(|char| char.is_control() || char == char::REPLACEMENT_CHARACTER)
}

fn long(segment: &[u8]) -> SegmentKind {
    let of_base64 =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'=');
    let by_chance = segment.iter().all(of_base64) && token::is_by_chance(segment);
    if by_chance {
        SegmentKind::Id
    } else {
        SegmentKind::Text
    }
}

/// Splits off the extensions with their dots: `app`, `.min.js`.
fn split_ending(segment: &[u8]) -> (&[u8], &[u8]) {
    let mut stem = segment;
    for _ in 0..3 {
        let Some(dot) = memchr::memrchr(b'.', stem).filter(|dot| *dot > 0) else {
            break;
        };
        let ending = &stem[dot + 1..];
        // `chunk.17.a1b2.js`
        let is_build = stem.len() < segment.len() && is_short_hash(ending);
        if is_build || !is_ending(ending) {
            break;
        }
        stem = &stem[..dot];
    }
    segment.split_at(stem.len())
}

/// `png`, `mp4`, `woff2`: at most five letters and digits, of these at most two.
fn is_ending(text: &[u8]) -> bool {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let of = |case: fn(&u8) -> bool| text.iter().all(|byte| case(byte) || byte.is_ascii_digit());
    matches!(text, [first, ..] if first.is_ascii_alphabetic())
        && text.len() <= 5
        && digits <= 2
        && (of(u8::is_ascii_lowercase) || of(u8::is_ascii_uppercase))
}

/// `404.html`: an error page of a server, not a value.
fn is_error_page(stem: &[u8], ending: &[u8]) -> bool {
    matches!(ending, b".html" | b".htm") && matches!(stem, [b'4' | b'5', b'0' | b'1', b'0'..=b'9'])
}

/// `red-shoes,18841`, `red-shoes.18841.html`: a page whose title is made unique by a number.
fn is_numbered_title(stem: &[u8], ending: &[u8]) -> bool {
    let digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let (title, number) = stem.split_at(stem.len() - digits.count());
    let Some((mark, title)) = title.split_last() else {
        return false;
    };
    let is_page = matches!(ending, b"" | b".html" | b".htm");
    let words = title.split(|byte| *byte == b'-');
    is_page
        && number.len() >= 3
        && matches!(mark, b',' | b'.')
        && words.clone().count() >= 2
        && words.into_iter().all(|word| {
            let of_word = |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80;
            !word.is_empty() && word.iter().all(of_word)
        })
}

/// `index-RL-AyyiK.js`: a name and eight characters of base64url, as bundlers name their files.
fn is_build(stem: &[u8], ending: &[u8]) -> bool {
    const HASH: usize = 8;
    if !matches!(ending, b".js" | b".mjs" | b".css") {
        return false;
    }
    let Some((name, hash)) = stem.split_at_checked(stem.len().saturating_sub(HASH)) else {
        return false;
    };
    let has = |class: fn(&u8) -> bool| hash.iter().any(class);
    let of_hash = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() > 1
        && name.ends_with(b"-")
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && hash.iter().all(of_hash)
        && token::is_by_chance(hash)
}

fn is_program(ending: &[u8]) -> bool {
    let last = memchr::memrchr(b'.', ending).map_or(ending, |dot| &ending[dot + 1..]);
    let last = last
        .strip_suffix(b"5")
        .or(last.strip_suffix(b"7"))
        .unwrap_or(last);
    PROGRAMS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(last))
}

/// Appends the part before the extension.
fn stem_of(out: &mut Vec<u8>, stem: &[u8]) -> bool {
    if let Some(kind) = shape::of(stem) {
        return push(out, stem, kind);
    }
    // `1343@2x.png`
    if let [before @ .., b'@', b'1'..=b'9', b'x'] = stem
        && !before.is_empty()
    {
        let found = stem_of(out, before);
        out.extend_from_slice(&stem[before.len()..]);
        return found;
    }
    if let Some(name) = called(stem) {
        out.extend_from_slice(name);
        out.extend_from_slice(b"({id})");
        return true;
    }
    if is_base64(stem) {
        return push(out, stem, SegmentKind::Id);
    }
    if stem.iter().any(is_separator) {
        return parts(out, stem);
    }
    part(out, stem).unwrap_or(SegmentKind::Word) != SegmentKind::Word
}

/// Returns the name before the parentheses of `Users(1)`, if they are not empty.
fn called(text: &[u8]) -> Option<&[u8]> {
    let open = memchr::memchr(b'(', text).filter(|open| *open > 0)?;
    let of_name = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.');
    let name = &text[..open];
    let filled = text.ends_with(b")") && text.len() > open + 2;
    (filled && name.iter().all(of_name)).then_some(name)
}

/// The alphabet of RFC 4648, section 4, with a `+` or with `=` at the end.
fn is_base64(text: &[u8]) -> bool {
    let of_base64 =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'=');
    let padded = text.ends_with(b"=");
    let marked = padded || memchr::memchr(b'+', text).is_some();
    let has = |class: fn(&u8) -> bool| text.iter().any(class);
    // padded to whole bytes, and not written like words
    let whole = padded
        && text.len().is_multiple_of(4)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase);
    marked && text.len() >= 8 && text.iter().all(of_base64) && (whole || token::is_by_chance(text))
}

/// The separators of the elements of a list, the words of a title, or a key and its value.
fn is_separator(byte: &u8) -> bool {
    matches!(
        byte,
        b' ' | b','
            | b':'
            | b'|'
            | b'+'
            | b'~'
            | b'='
            | b'!'
            | b'*'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'['
            | b']'
            | b'$'
            | b'@'
            | b'%'
            | b'#'
            | b'?'
            | b';'
    )
}

/// Appends parts between separators. If every part is a value, they become one placeholder.
fn parts(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let mark = out.len();
    let mut found = false;
    let mut common: Option<SegmentKind> = None;
    let mut values_only = true;
    let mut words = 0;
    let mut is_title = true;
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.iter().position(is_separator).unwrap_or(rest.len());
        if length == 0 {
            // a title has blanks between its words, or the encoding that forms use for them
            is_title &= matches!(rest[0], b' ' | b'+' | b',' | b'\'' | b'!');
            out.push(rest[0]);
            rest = &rest[1..];
            continue;
        }
        let kind = match shape::of(&rest[..length]) {
            Some(kind) => {
                push(out, &rest[..length], kind);
                Some(kind)
            }
            None => part(out, &rest[..length]),
        };
        match kind {
            Some(SegmentKind::Word) => {
                values_only = false;
                words += 1;
            }
            Some(kind) => {
                found = true;
                let same = common.is_none_or(|common| common == kind);
                common = Some(if same { kind } else { SegmentKind::Id });
            }
            None => {
                found = true;
                values_only = false;
            }
        }
        rest = &rest[length..];
    }
    match common {
        Some(kind) if values_only => {
            out.truncate(mark);
            push(out, text, kind);
        }
        _ if is_title && words >= token::TITLE => {
            out.truncate(mark);
            push(out, text, SegmentKind::Slug);
            found = true;
        }
        _ => {}
    }
    found
}

/// Appends a part without separators, split at its dots. Returns its kind, or `None` if it has both values and words.
fn part(out: &mut Vec<u8>, text: &[u8]) -> Option<SegmentKind> {
    if memchr::memchr(b'.', text).is_none() {
        let kind = token::of(text);
        push(out, text, kind);
        return Some(kind);
    }
    if let Some((place, kind)) = shape::version_within(text) {
        // the text before the version is a name, whatever it looks like
        let (before, after) = (&text[..place.start], &text[place.end..]);
        let name = name_before(before);
        push(out, name, token::of(name));
        out.extend_from_slice(&before[name.len()..]);
        push(out, &text[place], kind);
        for name in after.split(|byte| *byte == b'.').skip(1) {
            out.push(b'.');
            later(out, name);
        }
        return (kind == SegmentKind::Word).then_some(SegmentKind::Word);
    }
    if is_signed(text) {
        push(out, text, SegmentKind::Id);
        return Some(SegmentKind::Id);
    }
    let mut only_words = true;
    let mut first = SegmentKind::Word;
    for (number, name) in text.split(|byte| *byte == b'.').enumerate() {
        if number == 0 {
            first = token::of(name);
            only_words &= !push(out, name, first);
            continue;
        }
        out.push(b'.');
        // `4.3.2.1.in-addr.arpa`
        only_words &= match name {
            [b'0'..=b'9'] if first == SegmentKind::Id => !push(out, name, SegmentKind::Id),
            name => !later(out, name),
        };
    }
    only_words.then_some(SegmentKind::Word)
}

/// Whether there are at least three parts between dots, of which the first and the last are long and no words: a value
/// and its signature.
fn is_signed(text: &[u8]) -> bool {
    /// The half of a short signature.
    const LONG: usize = 16;
    let mut names = text.split(|byte| *byte == b'.');
    if names.clone().any(<[u8]>::is_empty) {
        return false;
    }
    let is_value = |name: &[u8]| name.len() >= LONG && token::of(name) != SegmentKind::Word;
    let ends = [names.next(), names.next_back()];
    names.next().is_some() && ends.into_iter().flatten().all(is_value)
}

/// Appends a name after a dot. A part that is no word identifies a build of the file.
fn later(out: &mut Vec<u8>, name: &[u8]) -> bool {
    let kind = match token::of(name) {
        // `oauth2.0`
        SegmentKind::Id if matches!(name, [b'0'..=b'9']) => SegmentKind::Word,
        SegmentKind::Word | SegmentKind::Id if is_short_hash(name) => SegmentKind::Hash,
        SegmentKind::Id if !name.iter().all(u8::is_ascii_digit) => SegmentKind::Hash,
        kind => kind,
    };
    push(out, name, kind)
}

/// Whether a part between dots may be a hash; all its hex digits may be decimal.
fn is_short_hash(name: &[u8]) -> bool {
    const SHORTEST: usize = 4;
    let has_digit = name.iter().any(u8::is_ascii_digit);
    has_digit && name.len() >= SHORTEST && name.iter().all(u8::is_ascii_hexdigit)
}

/// Returns the name before a version, without the `-`, `@`, `_` and `v` after it.
fn name_before(text: &[u8]) -> &[u8] {
    let mark = text
        .iter()
        .rposition(|byte| matches!(byte, b'-' | b'@' | b'_'));
    &text[..mark.unwrap_or(text.len())]
}
