//! Values that are secret whatever their key: JSON Web Tokens, keys of cloud providers, `Authorization` headers …
//!
//! Owns the form of such values: a prefix that the issuer chose so that scanners find it, and the rest. Refuses to know
//! where they occur. Sources: RFC 7519 (JWT), RFC 7468 (PEM), RFC 7617 and 6750 (Basic, Bearer), and the issuers'
//! documentation of their prefixes. Invariant: a check at one offset reads a bounded number of bytes, unless it finds a
//! secret.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem::Finder;

use super::names::Cut;
use super::spelling::unit;

/// What must follow the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits, `_` and `-`.
    Token,
    /// The same, after a prefix from the configuration: it needs no digit.
    Own,
    /// The header of a JSON Web Token, a dot, and more.
    Jwt,
    /// Exactly sixteen capital letters and digits.
    Aws,
    /// Everything up to the end of the key, or of the text.
    Pem,
    /// Blanks, and the value of such a header.
    Bearer,
    Basic,
}

/// The shapes by their names in `redact_values`, except `userinfo`, which has a module of its own.
#[rustfmt::skip]
const SHAPES: [(&str, Rest, &[&str]); 14] = [
    ("anthropic", Rest::Token, &["sk-ant-"]),
    ("aws", Rest::Aws, &["AKIA", "ASIA"]),
    ("basic", Rest::Basic, &["Basic"]),
    ("bearer", Rest::Bearer, &["Bearer"]),
    ("github", Rest::Alphanumeric, &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]),
    ("github", Rest::Token, &["github_pat_"]),
    ("gitlab", Rest::Token, &["glpat-", "glrt-", "glptt-"]),
    ("google", Rest::Token, &["AIza", "ya29.", "GOCSPX-"]),
    ("jwt", Rest::Jwt, &["eyJ"]),
    ("npm", Rest::Alphanumeric, &["npm_"]),
    ("openai", Rest::Token, &["sk-proj-", "sk-svcacct-"]),
    ("private_key", Rest::Pem, &["-----BEGIN"]),
    ("slack", Rest::Token, &["xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"]),
    ("stripe", Rest::Alphanumeric, &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"]),
];

/// Limit of the bytes that are read of a JSON Web Token's header; a longer header counts as one.
const JWT_HEADER: usize = 1024;
/// The least length of the rest after a prefix: with a digit in it, and without.
const ENOUGH: usize = 8;
const ENOUGH_LETTERS: usize = 16;
/// Limit for `-----BEGIN` and `ENCRYPTED PRIVATE KEY`, with each byte plain or encoded.
const PEM_LABEL: usize = 40;

/// The context of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueContext {
    /// The decoded byte before it.
    pub(super) before: Option<u8>,
    /// It begins its text, or follows `:` and a blank.
    pub(super) begins: bool,
}

/// A value of the line may begin here.
const ANYWHERE: ValueContext = ValueContext {
    before: None,
    begins: true,
};

/// The compiled shapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shapes {
    prefixes: Vec<(Box<[u8]>, Rest)>,
    /// The first bytes of the shapes.
    first: Option<Box<[bool; 256]>>,
    /// The bytes before or after the mark of a prefix.
    beside: Beside,
    /// The position and number of the mark in each of `prefixes`.
    marks: Vec<(usize, u8, Box<[u8]>)>,
    /// Prefixes from the configuration, which need not have a mark.
    own: Vec<Finder<'static>>,
}

impl Shapes {
    /// `names` come from `redact_values`; `own` are further prefixes.
    pub(super) fn new<'n>(
        names: impl IntoIterator<Item = &'n str>,
        own: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let bytes = |text: &str| text.as_bytes().into();
        let mut prefixes: Vec<(Box<[u8]>, Rest)> = Vec::new();
        for name in names {
            for (_, rest, texts) in SHAPES.iter().filter(|(known, ..)| *known == name) {
                prefixes.extend(texts.iter().map(|text| (bytes(text), *rest)));
            }
        }
        prefixes.extend(own.into_iter().map(|text| (bytes(text), Rest::Own)));
        if prefixes.is_empty() {
            return Self::default();
        }
        let mut first = Box::new([false; 256]);
        for (prefix, _) in &prefixes {
            first[usize::from(prefix[0])] = true;
        }
        let is_own = |(_, rest): &&(Box<[u8]>, Rest)| *rest == Rest::Own;
        let own = prefixes.iter().filter(is_own);
        let own = own
            .map(|(prefix, _)| Finder::new(prefix).into_owned())
            .collect();
        Self {
            beside: Beside::new(&prefixes),
            marks: prefixes
                .iter()
                .filter_map(|(prefix, _)| {
                    let at = mark(prefix)?;
                    Some((at, prefix[at], prefix.clone()))
                })
                .collect(),
            prefixes,
            first: Some(first),
            own,
        }
    }

    /// Whether the configuration has prefixes of its own, whose bytes can be any.
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether a shape may begin with this byte.
    pub(super) fn may_begin(&self, byte: u8) -> bool {
        self.first
            .as_ref()
            .is_some_and(|first| first[usize::from(byte)])
    }

    /// Whether a line has an unencoded shape; a value may begin and end anywhere in the line.
    pub(super) fn any_in(&self, line: &[u8]) -> bool {
        if self.prefixes.is_empty() {
            return false;
        }
        let is_one = |at| self.at(line, at, ANYWHERE, Cut::Anywhere).is_some();
        let marked = |at| self.beside.fits(line, at) && self.is_marked(line, at);
        let [a, b, c, d, e] = MARKS;
        memchr::memchr3_iter(a, b, c, line).any(marked)
            || memchr::memchr2_iter(d, e, line).any(marked)
            || self.own.iter().any(|own| own.find_iter(line).any(is_one))
    }

    /// Whether a secret contains the mark at `at`.
    #[cold]
    fn is_marked(&self, line: &[u8], at: usize) -> bool {
        let here = self.marks.iter().filter(|(_, byte, _)| *byte == line[at]);
        let mut starts = here.filter_map(|(place, _, prefix)| {
            let start = at.checked_sub(*place)?;
            line[start..].starts_with(prefix).then_some(start)
        });
        starts.any(|start| self.at(line, start, ANYWHERE, Cut::Anywhere).is_some())
    }

    /// The same, for encoded values.
    #[cold]
    pub(super) fn any_spelled_in(&self, line: &[u8]) -> bool {
        let mut at = 0;
        while at < line.len() {
            let here = unit(line, at);
            if self.may_begin(here.byte) && self.at(line, at, ANYWHERE, Cut::Anywhere).is_some() {
                return true;
            }
            at += here.len;
        }
        false
    }

    /// Returns the secret that begins at `at`.
    pub(super) fn at(
        &self,
        text: &[u8],
        at: usize,
        place: ValueContext,
        cut: Cut,
    ) -> Option<Range<usize>> {
        self.prefixes.iter().find_map(|(prefix, rest)| {
            let from = spelled(text, at, prefix)?;
            let apart = !place
                .before
                .is_some_and(|before| before.is_ascii_alphanumeric());
            match rest {
                Rest::Jwt => jwt(text, at, from),
                _ if !apart => None,
                Rest::Alphanumeric => token(text, at, from, is_alphanumeric),
                Rest::Token => token(text, at, from, is_token),
                Rest::Own => own(text, at, from),
                Rest::Aws => {
                    let (end, length) = run(text, from, 16, |byte| {
                        byte.is_ascii_uppercase() || byte.is_ascii_digit()
                    });
                    let ends = cut == Cut::Anywhere || run(text, end, 1, is_alphanumeric).1 == 0;
                    (length == 16 && ends).then_some(at..end)
                }
                Rest::Pem => pem(text, at, from),
                Rest::Bearer => bearer(text, from, place.begins),
                Rest::Basic => basic(text, from),
            }
        })
    }
}

/// The marks: each prefix has one of these bytes, which are rare in lines. A search for single bytes is the fastest.
pub(super) const MARKS: [u8; 5] = [b'_', b'y', b'I', b'-', b'B'];

/// Returns the position of the first mark in a prefix.
fn mark(prefix: &[u8]) -> Option<usize> {
    prefix.iter().position(|byte| MARKS.contains(byte))
}

/// Returns the bit of a mark.
#[inline]
fn bit(mark: u8) -> u8 {
    MARKS
        .iter()
        .zip(0..)
        .find(|(known, _)| **known == mark)
        .map_or(0, |(_, number)| 1 << number)
}

/// Bytes that occur before a mark, or after a mark that begins a prefix: a bit for each mark.
#[derive(Debug, Clone)]
struct Beside {
    before: Box<[u8; 256]>,
    behind: Box<[u8; 256]>,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            before: Box::new([0; 256]),
            behind: Box::new([0; 256]),
        }
    }
}

impl Beside {
    fn new(prefixes: &[(Box<[u8]>, Rest)]) -> Self {
        let mut beside = Self::default();
        for (prefix, _) in prefixes {
            match mark(prefix) {
                Some(0) => beside.behind[usize::from(prefix[1])] |= bit(prefix[0]),
                Some(at) => beside.before[usize::from(prefix[at - 1])] |= bit(prefix[at]),
                None => {}
            }
        }
        beside
    }

    #[inline]
    fn fits(&self, line: &[u8], at: usize) -> bool {
        let bit = bit(line[at]);
        at > 0 && self.before[usize::from(line[at - 1])] & bit != 0
            || line
                .get(at + 1)
                .is_some_and(|byte| self.behind[usize::from(*byte)] & bit != 0)
    }
}

/// Returns the end of `prefix` at `at`, plain or encoded, if it is there.
fn spelled(text: &[u8], mut at: usize, prefix: &[u8]) -> Option<usize> {
    for byte in prefix {
        if at >= text.len() {
            return None;
        }
        let here = unit(text, at);
        if here.byte != *byte {
            return None;
        }
        at += here.len;
    }
    Some(at)
}

/// Returns the end and the number of the bytes that satisfy `part`; reads at most `limit`.
fn run(
    text: &[u8],
    mut at: usize,
    limit: usize,
    mut part: impl FnMut(u8) -> bool,
) -> (usize, usize) {
    let mut length = 0;
    while length < limit && at < text.len() {
        let here = unit(text, at);
        if !part(here.byte) {
            break;
        }
        at += here.len;
        length += 1;
    }
    (at, length)
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_dotted(byte: u8) -> bool {
    is_token(byte) || byte == b'.'
}

/// RFC 6750, section 2.1: `b64token`.
fn is_credential(byte: u8) -> bool {
    is_dotted(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=')
}

/// Random text is long or has a digit, unlike an ordinary word.
fn token(text: &[u8], at: usize, from: usize, part: fn(u8) -> bool) -> Option<Range<usize>> {
    let mut digit = false;
    let (_, length) = run(text, from, ENOUGH_LETTERS, |byte| {
        digit |= byte.is_ascii_digit();
        part(byte)
    });
    let enough = length == ENOUGH_LETTERS || length >= ENOUGH && digit;
    enough.then(|| at..run(text, from, usize::MAX, is_dotted).0)
}

/// After a prefix from the configuration the rest may have only letters.
fn own(text: &[u8], at: usize, from: usize) -> Option<Range<usize>> {
    let (_, length) = run(text, from, ENOUGH, is_token);
    (length == ENOUGH).then(|| at..run(text, from, usize::MAX, is_dotted).0)
}

/// RFC 7519: `{"` in base64url, a dot, and more. Encrypted ones have more dots.
fn jwt(text: &[u8], at: usize, from: usize) -> Option<Range<usize>> {
    let (end, length) = run(text, from, JWT_HEADER, is_token);
    let dot = end < text.len() && unit(text, end).byte == b'.';
    let payload = dot && run(text, end + unit(text, end).len, 1, is_token).1 == 1;
    let header = length >= ENOUGH && payload || length == JWT_HEADER;
    header.then(|| at..run(text, from, usize::MAX, is_dotted).0)
}

/// RFC 7468: a label that ends with `PRIVATE KEY`, up to the line that ends it.
fn pem(text: &[u8], at: usize, from: usize) -> Option<Range<usize>> {
    let (mut end, mut length) = (from, 0);
    let mut word = |wanted: &[u8]| {
        while length < PEM_LABEL && end < text.len() {
            if let Some(behind) = spelled(text, end, wanted) {
                end = behind;
                return Some(());
            }
            end += unit(text, end).len;
            length += 1;
        }
        None
    };
    word(b"PRIVATE")?;
    word(b"KEY")?;
    while end < text.len() {
        if let Some(behind) = spelled(text, end, b"-----END") {
            end = run(text, behind, PEM_LABEL, |byte| {
                byte.is_ascii_uppercase() || matches!(byte, b' ' | b'+')
            })
            .0;
            return Some(at..spelled(text, end, b"-----").unwrap_or(end));
        }
        let here = unit(text, end);
        // the end of a quoted value
        if here.byte == b'"' && here.len == 1 {
            break;
        }
        end += here.len;
    }
    Some(at..end)
}

/// Skips the blanks after the name of a scheme.
fn blanks(text: &[u8], from: usize) -> Option<usize> {
    let (end, length) = run(text, from, 4, |byte| matches!(byte, b' ' | b'+' | b'\t'));
    (length > 0).then_some(end)
}

/// RFC 6750. `alone`: the text is the value of a header. Elsewhere `bearer of news` is no header.
fn bearer(text: &[u8], from: usize, alone: bool) -> Option<Range<usize>> {
    let from = blanks(text, from)?;
    let mut odd = false;
    let (_, length) = run(text, from, ENOUGH_LETTERS, |byte| {
        let part = is_dotted(byte) || byte == b'~';
        odd |= part && !byte.is_ascii_lowercase();
        part
    });
    let enough = match alone {
        true => 1,
        false if odd => ENOUGH,
        false => ENOUGH_LETTERS,
    };
    (length >= enough).then(|| from..run(text, from, usize::MAX, is_credential).0)
}

/// Base64 of any kind.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// RFC 7617: base64 of a name, a colon and a password.
fn basic(text: &[u8], from: usize) -> Option<Range<usize>> {
    /// Limit of the length of a user name.
    const LOOKED_AT: usize = 256;
    let from = blanks(text, from)?;
    let (mut encoded, mut length) = ([0; LOOKED_AT], 0);
    let is_base64 = |byte| is_token(byte) || matches!(byte, b'+' | b'/');
    run(text, from, LOOKED_AT, |byte| {
        let part = is_base64(byte);
        if part {
            encoded[length] = match byte {
                b'-' => b'+',
                b'_' => b'/',
                byte => byte,
            };
            length += 1;
        }
        part
    });
    // one extra character is the beginning of another byte
    let length = if length % 4 == 1 { length - 1 } else { length };
    let mut decoded = [0; LOOKED_AT];
    let read = BASE64.decode_slice(&encoded[..length], &mut decoded).ok()?;
    let name = memchr::memchr(b':', &decoded[..read])?;
    let printable =
        std::str::from_utf8(&decoded[..name]).is_ok_and(|name| !name.contains(char::is_control));
    printable.then(|| {
        let (end, _) = run(text, from, usize::MAX, is_base64);
        from..run(text, end, 2, |byte| byte == b'=').0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Privacy;

    fn hidden(shapes: &Shapes, text: &str) -> String {
        let bytes = text.as_bytes();
        let (mut out, mut at) = (String::new(), 0);
        let (mut before, mut from) = (None, 0);
        while at < bytes.len() {
            let here = unit(bytes, at);
            let begins = bytes[..at].trim_ascii_end().is_empty();
            if let Some(found) = shapes.at(bytes, at, ValueContext { before, begins }, Cut::Exact) {
                out.push_str(&text[from..found.start]);
                out.push('*');
                (from, at) = (found.end, found.end);
                continue;
            }
            before = Some(here.byte);
            at += here.len;
        }
        out.push_str(&text[from..]);
        // a line search finds unencoded values too
        if out != text && !text.contains('%') {
            assert!(shapes.any_in(bytes), "{text}");
        }
        out
    }

    fn default() -> Shapes {
        let names = Privacy::default().redact_values;
        Shapes::new(names.iter().map(String::as_str), [])
    }

    #[test]
    fn each_shape_has_a_name_that_can_be_set() {
        let mut names: Vec<&str> = SHAPES.iter().map(|(name, ..)| *name).collect();
        names.push(super::super::USERINFO);
        names.sort_unstable();
        names.dedup();
        assert_eq!(Privacy::default().redact_values, names);
    }

    #[test]
    fn each_beginning_has_a_mark() {
        for (name, _, prefixes) in SHAPES {
            for prefix in prefixes {
                assert!(mark(prefix.as_bytes()).is_some(), "{name}: {prefix}");
            }
        }
    }

    #[test]
    fn values_are_recognised_by_their_form() {
        let shapes = default();
        let a = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6";
        for (text, expected) in [
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K_27uhbUJU1p1r",
                "*",
            ),
            ("/v/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0./x", "/v/*/x"),
            (
                "x=eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo13gRp2oja.48V1_ALb6.5eym8TW.XFBo&y",
                "x=*&y",
            ),
            ("idXeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBj", "idX*"),
            (
                "%65yJhbGciOiJIUzI1NiJ9%2EeyJzdWIiOiIxIn0%2EdBj%2Fx",
                "*%2Fx",
            ),
            ("AKIAIOSFODNN7EXAMPLE", "*"),
            ("/ASIAIOSFODNN7EXAMPLE/2026", "/*/2026"),
            ("c=AKIAIOSFODNN7EXAMPLE%2F20261127", "c=*%2F20261127"),
            ("%20AKIAIOSFODNN7EXAMPLE", "%20*"),
            (
                &format!("ghp_{a} gho_{a},ghu_{a};ghs_{a}/ghr_{a}"),
                "* *,*;*/*",
            ),
            (&format!("?k=github_pat_11ABCDE_{a}&x"), "?k=*&x"),
            (&format!("gh%70_{a}%5Fx"), "*"),
            (
                "xoxb-123456789012-1234567890123-AbCdEf xoxp-1234567890-x1",
                "* *",
            ),
            ("xoxe.xoxp-1-Mi0yLTk4NzY1NDMyMTA", "xoxe.*"),
            (
                &format!("sk_live_{a} rk_live_{a} sk_test_{a} whsec_{a}"),
                "* * * *",
            ),
            ("AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "*"),
            (&format!("ya29.{a}-_x GOCSPX-{a}"), "* *"),
            (&format!("glpat-x_{a} npm_{a}"), "* *"),
            (&format!("sk-ant-api03-{a} sk-proj-{a}"), "* *"),
            ("Bearer abc", "Bearer *"),
            ("Bearer%20aB3", "Bearer%20*"),
            ("(x; Bearer aB3dE6gH9)", "(x; Bearer *)"),
            ("q=Bearer+mF_9.B5f-4.1JqM/a~b==&x", "q=Bearer+*&x"),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic *"),
            (
                "h=Basic%20QWxhZGRpbjpvcGVuIHNlc2FtZQ%3D%3D&x",
                "h=Basic%20*&x",
            ),
            ("Basic dXNlcjpwYXNz, x", "Basic *, x"),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIE+/==\n-----END PRIVATE KEY-----\nx",
                "*\nx",
            ),
            (
                "k=-----BEGIN+RSA+PRIVATE+KEY-----%0AMIIE%0A-----END+RSA+PRIVATE+KEY-----&x",
                "k=*&x",
            ),
            ("%2D----BEGIN%20ENCRYPTED%20PRIVATE%20KEY-----MIIE", "*"),
        ] {
            assert_eq!(hidden(&shapes, text), expected, "{text}");
        }
    }

    #[test]
    fn text_with_only_the_prefix_stays() {
        let shapes = default();
        for text in [
            "eyJ",
            "eyJ.eyJ.x",
            "eyJpZCI6MTB9",
            "eyJpZCI6MTB9.",
            "/keyJohn/x.y.z",
            "monkeyJ",
            "AKIA",
            "AKIAIOSFODNN7EXAMPLES",
            "AKIAiosfodnn7example",
            "ASIAN",
            "/ASIA-PACIFIC/EMEA",
            "NAKIAIOSFODNN7EXAMPLE",
            "ghp_",
            "ghs_classification",
            "aghp_aB3dE6gH9jK2mN5pQ8sT",
            "graphs_2026_by_month",
            "xoxo",
            "xoxo-love",
            "/xox/a1b2c3d4e5",
            "sk_live_",
            "disk_live_stats_20261127_x",
            "risk_test_20261127a",
            "AIza",
            "ya29.",
            "npm_config_registry",
            "npm_package",
            "Bearer",
            "Bearer ",
            "x Bearer of news",
            "x Bearer authentic",
            "bearerinstruments1234567",
            "Forbearer aB3dE6gH9",
            "Basic",
            "Basic authentication",
            "Basic plan",
            "/basic/dXNlcjpwYXNz",
            "Basic+membership",
            "Basic QWxhZGRpbg==",
            "-----BEGIN CERTIFICATE-----MIIE-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----MIIE",
            "-----",
            "4111111111111111",
            "d41d8cd98f00b204e9800998ecf8427e",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(hidden(&shapes, text), text);
        }
    }

    #[test]
    fn shapes_are_taken_out_and_added() {
        let text = "AKIAIOSFODNN7EXAMPLE ghp_aB3dE6gH9jK2mN5pQ8sT acme_live_abcdefgh acme_live_abc";
        let some = Shapes::new(["aws"], ["acme_live_"]);
        assert_eq!(
            hidden(&some, text),
            "* ghp_aB3dE6gH9jK2mN5pQ8sT * acme_live_abc"
        );
        assert_eq!(hidden(&Shapes::new([], []), text), text);
    }
}
