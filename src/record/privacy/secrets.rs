//! Finds the secrets of a text: values of secret keys (`token=…` in queries, cookies and forms, `"password":"…"` in JSON),
//! values that are secret by their shape, and users with passwords in URLs.
//!
//! Owns where the value of a key begins and ends. A query within a query (`?next=%2Fa%3Ftoken%3D…`) counts. Invariants: if
//! the end of a value is uncertain, the value is taken too long rather than too short. A text is read once, so that the
//! effort grows only with its length.

use std::ops::Range;

use super::Scope;
use super::names::{Cut, Key, Names};
use super::shapes::{MARKS, Shapes, ValueContext};
use super::spelling::{Unit, unit};
use super::userinfo;

/// The least length of an authorization code; a shorter code is of another kind.
const SHORTEST_CODE: usize = 10;
/// Limit of the `@` in a line that are examined.
const AT_SIGNS: usize = 16;

/// The secrets to find.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets {
    pub(super) names: Names,
    pub(super) shapes: Shapes,
    /// Users and passwords in URLs.
    pub(super) userinfo: bool,
}

impl Secrets {
    /// Whether any value of a line can hold a secret; false only if none does. The line must hold each value unescaped.
    #[inline]
    pub(super) fn may_be_in(&self, line: &[u8]) -> bool {
        self.shapes.any_in(line) || self.may_have_key(line)
    }

    /// Whether a text has a byte that every secret found by [`Secrets::may_be_in`] contains, except secrets with a prefix
    /// from the configuration. For short texts this is faster than several searches.
    #[inline]
    pub(super) fn has_mark(text: &[u8]) -> bool {
        const BLOCK: usize = 64;
        // a pass for each mark, without an early exit: the compiler vectorises such loops
        let has = |block: &[u8; BLOCK], mark: u8| {
            let is_mark = |byte: &u8| u8::from(*byte == mark);
            block.iter().fold(0, |found, byte| found | is_mark(byte))
        };
        let look = |block: &[u8; BLOCK]| {
            let [a, b, c, d, e] = MARKS;
            let marks = [a, b, c, d, e, b'=', b'%', b'@'];
            marks
                .iter()
                .fold(0, |found, mark| found | has(block, *mark))
                != 0
        };
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        look(&last) || blocks.iter().any(look)
    }

    /// The same, for everything except unencoded shapes.
    fn may_have_key(&self, line: &[u8]) -> bool {
        let (mut from, mut at_signs) = (0, 0);
        let (mut code, mut state, mut spelled) = (false, false, false);
        for at in memchr::memchr3_iter(b'=', b'%', b'@', line) {
            let here = match line[at] {
                b'%' => unit(line, at),
                byte => Unit {
                    byte,
                    len: 1,
                    depth: 0,
                },
            };
            let next = at + here.len;
            let found = match here.byte {
                b'=' => {
                    let key = self.names.key(line, from, at, Cut::Anywhere);
                    from = next;
                    code |= key == Key::Code;
                    state |= key == Key::State;
                    key == Key::Secret || code && state
                }
                b'"' if here.len > 1 && is_colon(line, next) => {
                    let key = self.names.key(line, from, at, Cut::Anywhere);
                    from = next;
                    key == Key::Secret
                }
                b'"' if here.len > 1 => {
                    self.names.key(line, from, at, Cut::Anywhere) == Key::Secret
                }
                b'@' if self.userinfo => {
                    at_signs += 1;
                    at_signs > AT_SIGNS || userinfo::may_end_at(line, at)
                }
                // only someone who hides a text encodes these
                byte => {
                    spelled |= here.len > 1
                        && (byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
                    false
                }
            };
            if found {
                return true;
            }
        }
        spelled && self.shapes.any_spelled_in(line)
    }

    /// Reports the range of each secret, in order.
    pub(super) fn find(&self, text: &[u8], scope: Scope, mut found: impl FnMut(Range<usize>)) {
        // quotes and escapes hide what a plain line shows
        let hides = scope == Scope::Line || memchr::memchr2(b'"', b'\\', text).is_some();
        if !hides && !self.may_be_in(text) {
            return;
        }
        let mut walk = Walk::default();
        if let Some(range) = self.host_of(text, scope) {
            walk.at = range.end;
            found(range);
        }
        while let Some(passed) = text[walk.at..]
            .iter()
            .position(|byte| self.may_begin(*byte))
        {
            walk.pass(text, passed);
            let here = unit(text, walk.at);
            let next = walk.at + here.len;
            let secret = self.secret(text, &mut walk, here, scope);
            walk.step(here);
            if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
                walk.at = secret.end.max(next);
                found(secret);
            }
        }
    }

    /// Whether a plain or encoded byte matters to [`Secrets::secret`].
    fn may_begin(&self, byte: u8) -> bool {
        matches!(byte, b'=' | b'"' | b'%' | b'\\' | b'/' | b':' | b'C')
            || self.shapes.may_begin(byte)
    }

    /// Returns the secret that begins at the current byte or after it.
    fn secret(
        &self,
        text: &[u8],
        walk: &mut Walk,
        here: Unit,
        scope: Scope,
    ) -> Option<Range<usize>> {
        let (at, next) = (walk.at, walk.at + here.len);
        match here.byte {
            b'=' => {
                let key = self.names.key(text, walk.key, at, Cut::Exact);
                walk.key = next;
                let value = || value(text, next, here.depth, scope);
                match key {
                    Key::Secret => Some(value()),
                    Key::Code => {
                        let has_state = *walk.has_state.get_or_insert_with(|| self.has_state(text));
                        let value = has_state.then(value)?;
                        (value.len() >= SHORTEST_CODE).then_some(value)
                    }
                    Key::Plain | Key::State => None,
                }
            }
            b'"' if is_colon(text, next) => {
                let key = self.names.key(text, walk.key, at, Cut::Exact);
                walk.key = next;
                (key == Key::Secret).then(|| json(text, next))
            }
            // GraphQL: `login(password: "…")`
            b'"' if walk.is_behind_colon() => {
                let key = self.names.key(text, walk.key, at, Cut::Exact);
                (key == Key::Secret).then(|| json_value(text, at))
            }
            // `X-Api-Key: …` in a line with unknown fields
            b':' if scope == Scope::Line && here.len == 1 && text.get(next) == Some(&b' ') => {
                let key = self.names.key(text, walk.key, at, Cut::Exact);
                (key == Key::Secret).then(|| value(text, next, 0, scope))
            }
            b'/' if self.userinfo => {
                let scheme = match walk.before {
                    [Some(b'/'), before] => before == Some(b':'),
                    // a path loses its double slashes when it becomes a route
                    [Some(b':'), _] => true,
                    _ => return None,
                };
                userinfo::of_authority(text, next, here.depth, scheme)
            }
            b'C' if self.userinfo && text[at..].starts_with(CONNECT) => {
                userinfo::of_host(text, at + CONNECT.len()).or_else(|| self.shape(text, walk, here))
            }
            _ => self.shape(text, walk, here),
        }
    }

    fn shape(&self, text: &[u8], walk: &Walk, here: Unit) -> Option<Range<usize>> {
        if !self.shapes.may_begin(here.byte) {
            return None;
        }
        // JSON in a raw line has `\\n` between words
        let escape = matches!(walk.before, [Some(b'n' | b'r' | b't'), Some(b'\\')]);
        let place = ValueContext {
            before: walk.before[0].filter(|_| !escape),
            begins: text[..walk.at]
                .trim_ascii_end()
                .last()
                .is_none_or(|byte| *byte == b':'),
        };
        self.shapes.at(text, walk.at, place, Cut::Exact)
    }

    /// Whether the value may be a host, or a target without a scheme.
    fn host_of(&self, text: &[u8], scope: Scope) -> Option<Range<usize>> {
        let may = self.userinfo && scope == Scope::Value;
        may.then(|| userinfo::of_host(text, 0))?
    }

    /// Whether a text has the key `state`.
    fn has_state(&self, text: &[u8]) -> bool {
        let (mut at, mut from) = (0, 0);
        while at < text.len() {
            let here = unit(text, at);
            let next = at + here.len;
            if here.byte == b'=' {
                if self.names.key(text, from, at, Cut::Exact) == Key::State {
                    return true;
                }
                from = next;
            }
            at = next;
        }
        false
    }
}

const CONNECT: &[u8] = b"CONNECT ";

/// The state of reading a text.
#[derive(Debug, Default)]
struct Walk {
    at: usize,
    /// The earliest offset at which a key can begin.
    key: usize,
    /// The decoded bytes before the current one, the last one first.
    before: [Option<u8>; 2],
    has_state: Option<bool>,
}

impl Walk {
    /// Skips plain bytes.
    fn pass(&mut self, text: &[u8], passed: usize) {
        match &text[self.at..self.at + passed] {
            [] => {}
            [byte] => self.before = [Some(*byte), self.before[0]],
            [.., before, last] => self.before = [Some(*last), Some(*before)],
        }
        self.at += passed;
    }

    /// Whether the byte before is a colon, or a colon and a blank.
    fn is_behind_colon(&self) -> bool {
        matches!(
            self.before,
            [Some(b':'), _] | [Some(b' ' | b'+'), Some(b':')]
        )
    }

    fn step(&mut self, here: Unit) {
        self.at += here.len;
        self.before = [Some(here.byte), self.before[0]];
    }
}

fn is_colon(text: &[u8], at: usize) -> bool {
    let at = blanks(text, at);
    at < text.len() && unit(text, at).byte == b':'
}

/// Skips blanks.
fn blanks(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        let unit = unit(text, at);
        if !unit.byte.is_ascii_whitespace() {
            break;
        }
        at += unit.len;
    }
    at
}

/// Returns the value after the `=` of a key; the `=` was encoded `depth` times.
fn value(text: &[u8], from: usize, depth: u8, scope: Scope) -> Range<usize> {
    let from = match scope {
        Scope::Value => from,
        Scope::Line => {
            from + text[from..]
                .iter()
                .take_while(|byte| **byte == b' ')
                .count()
        }
    };
    match quoted(text, from, scope) {
        Some(quoted) => quoted,
        None => from..end(text, from, depth, scope),
    }
}

/// Returns a quoted value, `password="…"`, in a line with unknown fields. If a quote is already open, the quote ends
/// a field instead.
fn quoted(text: &[u8], from: usize, scope: Scope) -> Option<Range<usize>> {
    if scope != Scope::Line || text.get(from) != Some(&b'"') || is_quoted(text, from) {
        return None;
    }
    let start = from + 1;
    let mut at = start;
    while at < text.len() && text[at] != b'"' {
        at += unit(text, at).len;
    }
    Some(start..at.min(text.len()))
}

/// Whether a quote is open at `at`.
fn is_quoted(text: &[u8], at: usize) -> bool {
    memchr::memchr_iter(b'"', &text[..at]).count() % 2 == 1
}

/// Returns the end of the value of a query's key; the `=` was encoded `depth` times.
fn end(text: &[u8], from: usize, depth: u8, scope: Scope) -> usize {
    let quoted = match scope {
        Scope::Value => true,
        Scope::Line => is_quoted(text, from),
    };
    let mut at = from + scheme(&text[from..]);
    while at < text.len() {
        let here = unit(text, at);
        let next = at + here.len;
        let ends = match here.byte {
            b'&' | b'#' => here.depth <= depth,
            // cookies
            b';' => here.depth <= depth && text.get(next) == Some(&b' '),
            // `$request`: the text after the target is no secret
            b' ' if scope == Scope::Value => here.len == 1 && is_version(&text[next..]),
            _ if scope == Scope::Value => false,
            // an escaped quote comes from the client
            b'"' => here.len == 1,
            b' ' if quoted => here.len == 1 && text[next..].starts_with(b"HTTP/"),
            byte => here.len == 1 && byte.is_ascii_whitespace(),
        };
        if ends {
            return at;
        }
        at = next;
    }
    at
}

/// Returns the length of the name of an authentication scheme and the blank after it (RFC 9110, section 11.1).
fn scheme(value: &[u8]) -> usize {
    const NAMES: [&[u8]; 6] = [
        b"basic",
        b"bearer",
        b"digest",
        b"negotiate",
        b"ntlm",
        b"token",
    ];
    let named = |name: &&&[u8]| {
        value.get(name.len()) == Some(&b' ') && value[..name.len()].eq_ignore_ascii_case(name)
    };
    NAMES.iter().find(named).map_or(0, |name| name.len() + 1)
}

/// Whether this is the end of a request line.
fn is_version(text: &[u8]) -> bool {
    let number = text.strip_prefix(b"HTTP/");
    number.is_some_and(|number| {
        let part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        number.len() <= 3 && number.iter().all(part)
    })
}

/// Returns the JSON value after the colon at or after `from`.
fn json(text: &[u8], from: usize) -> Range<usize> {
    let colon = blanks(text, from);
    if colon >= text.len() {
        return colon..colon;
    }
    json_value(text, blanks(text, colon + unit(text, colon).len))
}

/// Returns the JSON value that begins at `start`.
fn json_value(text: &[u8], start: usize) -> Range<usize> {
    if start >= text.len() {
        return start..start;
    }
    let first = unit(text, start);
    let from = start + first.len;
    let mut at = from;
    if first.byte == b'"' {
        let quote = &text[start..from];
        while at < text.len() {
            let here = unit(text, at);
            if &text[at..at + here.len] == quote {
                return from..at;
            }
            // within raw quotes `\"` is one unit; within escaped ones the backslash is a unit of its own
            let escapes = here.byte == b'\\' && (quote.len() > 1 || here.len == 1);
            at += here.len;
            if escapes && at < text.len() {
                at += unit(text, at).len;
            }
        }
        return from..at;
    }
    if matches!(first.byte, b'[' | b'{') {
        return start..nested(text, start);
    }
    while at < text.len() {
        let here = unit(text, at);
        if matches!(here.byte, b',' | b'}' | b']' | b'&' | b'"') || here.byte.is_ascii_whitespace()
        {
            break;
        }
        at += here.len;
    }
    start..at
}

/// Returns the end of the list or object that begins at `at`.
fn nested(text: &[u8], mut at: usize) -> usize {
    let (mut open, mut quoted, mut quote) = (0_usize, false, None);
    while at < text.len() {
        let here = unit(text, at);
        at += here.len;
        match here.byte {
            // an otherwise encoded quote belongs to the text
            b'"' if *quote.get_or_insert(here.len) == here.len => quoted = !quoted,
            b'[' | b'{' if !quoted => open += 1,
            b']' | b'}' if !quoted => {
                open -= 1;
                if open == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, scope: Scope) -> String {
        let secrets = Secrets {
            names: Names::new(["token", "password"], []),
            ..Secrets::default()
        };
        let (mut out, mut from) = (String::new(), 0);
        secrets.find(text.as_bytes(), scope, |value| {
            out.push_str(&text[from..value.start]);
            out.push('*');
            from = value.end;
        });
        out.push_str(&text[from..]);
        assert!(out == text || secrets.may_be_in(text.as_bytes()) || text.contains(['"', '\\']));
        out
    }

    #[test]
    fn values_end_where_the_next_key_begins() {
        for (text, expected) in [
            ("/a?token=1&b=2", "/a?token=*&b=2"),
            ("token=1;2 3", "token=*"),
            ("/a?b=1&PassWord=x%26y&c", "/a?b=1&PassWord=*&c"),
            ("/a?token=1#password=2", "/a?token=*#password=*"),
            ("/a?token=&token", "/a?token=&token"),
            ("/a?token==1", "/a?token=*"),
            ("token=1; theme=dark", "token=*; theme=dark"),
            (
                "/in?next=%2Fa%3Ftoken%3D1%26b%3D2&c=3",
                "/in?next=%2Fa%3Ftoken%3D*%26b%3D2&c=3",
            ),
            (
                "/in?next=%252Fa%253Ftoken%253D1%2526b",
                "/in?next=%252Fa%253Ftoken%253D*%2526b",
            ),
            ("/a?%74oken=1&x", "/a?%74oken=*&x"),
            ("/a?token=a=b&c", "/a?token=*&c"),
            ("GET /a?token=1 2 HTTP/1.1", "GET /a?token=* HTTP/1.1"),
            ("token=1 HTTP/1.1 2", "token=*"),
            ("/;token=x/y", "/;token=*"),
            ("/tokens?a=1&mytoken=2", "/tokens?a=1&mytoken=2"),
        ] {
            assert_eq!(redacted(text, Scope::Value), expected);
        }
    }

    #[test]
    fn json_is_recognised_in_every_escaping() {
        for (text, expected) in [
            (r#"{"password":"a\"b","c":1}"#, r#"{"password":"*","c":1}"#),
            (
                r#"{\"password\": \"a\\\"b\",\"c\":1}"#,
                r#"{\"password\": \"*\",\"c\":1}"#,
            ),
            (
                r"{\x22password\x22:\x22a\x5C\x22b\x22,",
                r"{\x22password\x22:\x22*\x22,",
            ),
            (
                "d=%7B%22password%22%3A%22a%22%7D",
                "d=%7B%22password%22%3A%22*%22%7D",
            ),
            (r#"{"token":12,"b":3}"#, r#"{"token":*,"b":3}"#),
            (r#"{"token":"#, r#"{"token":"#),
            (r#"{"token":"unended"#, r#"{"token":"*"#),
            (r#"{"other":"token"}"#, r#"{"other":"token"}"#),
            (
                "query=mutation{login(user:%22a%22,password:%22b%22){id}}",
                "query=mutation{login(user:%22a%22,password:%22*%22){id}}",
            ),
            (
                r"query={login(password:+\x22b\x22,user:+\x22a\x22)}",
                r"query={login(password:+\x22*\x22,user:+\x22a\x22)}",
            ),
            (r#"a("token","b")"#, r#"a("token","b")"#),
        ] {
            assert_eq!(redacted(text, Scope::Value), expected);
        }
    }

    #[test]
    fn in_a_whole_line_a_value_stays_within_its_field() {
        for (text, expected) in [
            (
                "1 \"GET /?token=a b HTTP/1.1\" 200 \"http://x/?password=y\" z",
                "1 \"GET /?token=* HTTP/1.1\" 200 \"http://x/?password=*\" z",
            ),
            ("1 /?token=a 200 b", "1 /?token=* 200 b"),
            ("1 \"token=a\\\"b\" 2", "1 \"token=*\" 2"),
            ("1 token=\"a b\" 2", "1 token=\"*\" 2"),
            ("1 X-Token: \"a\\\"b\" 2", "1 X-Token: \"*\" 2"),
            ("1 \"/x?token=\" 2 \"b\"", "1 \"/x?token=\" 2 \"b\""),
            ("token=\"unended", "token=\"*"),
        ] {
            assert_eq!(redacted(text, Scope::Line), expected);
        }
    }

    fn all(text: &str, scope: Scope) -> String {
        let mut cleaned = super::super::Cleaned::default();
        let redactor = super::super::Redactor::new(&crate::config::Privacy::default());
        redactor.clean(text.as_bytes(), scope, &mut cleaned);
        let changed = cleaned.text != text.as_bytes();
        let hidden = scope == Scope::Line || text.contains(['"', '\\']);
        assert!(
            !changed || hidden || redactor.watches(text.as_bytes()),
            "{text}"
        );
        String::from_utf8_lossy(&cleaned.text).replace("REDACTED", "*")
    }

    #[test]
    fn users_and_passwords_of_urls_are_found_anywhere() {
        for (text, expected) in [
            ("http://bob:pass@host/x", "http://*@host/x"),
            ("https://ghx@host", "https://*@host"),
            ("//bob:pass@host/x", "//*@host/x"),
            (
                "/a?next=http://bob:pass@host/&x",
                "/a?next=http://*@host/&x",
            ),
            (
                "/a?next=http%3A%2F%2Fbob%3Apa%2540ss%40host%2Fx&y",
                "/a?next=http%3A%2F%2F*%40host%2Fx&y",
            ),
            ("/proxy/https://bob:pass@host/x", "/proxy/https://*@host/x"),
            (
                "/proxy/https:%2F/bob:pass@host/x",
                "/proxy/https:%2F/*@host/x",
            ),
            ("http://bob:pa/ss@host/x?y", "http://*@host/x?y"),
            (
                "GET http://bob:pass@host/ HTTP/1.1",
                "GET http://*@host/ HTTP/1.1",
            ),
            (
                "CONNECT bob:pass@host:443 HTTP/1.1",
                "CONNECT *@host:443 HTTP/1.1",
            ),
            ("bob:pass@host:443", "*@host:443"),
            (
                "amqp://bob:pass@a,redis://:pass@b",
                "amqp://*@a,redis://*@b",
            ),
            ("http:\\/\\/bob:pass@host\\/x", "http:\\/\\/*@host\\/x"),
        ] {
            assert_eq!(all(text, Scope::Value), expected);
        }
        for text in [
            "http://host/a@b",
            "http://host:80/?mail=a@b",
            "//host/x",
            "//report@2x.png",
            "/npm//@scope/x",
            "https://medium.example/@bob/x",
            "mailto:bob@host",
            "(+mailto:bot@host)",
            "/a?mail=bob%40host",
            "http://@host/",
            "a@b",
            "http://[::1]:80/@x",
            "https://host/?to=sip:a@b",
        ] {
            assert_eq!(all(text, Scope::Value), text);
        }
        assert_eq!(
            all(
                "1 - - \"CONNECT bob:pass@host:443 HTTP/1.1\" 400 \"http://bob:p@host/\" x",
                Scope::Line
            ),
            "1 - - \"CONNECT *@host:443 HTTP/1.1\" 400 \"http://*@host/\" x"
        );
    }

    #[test]
    fn the_code_of_a_callback_is_recognised_by_the_state_beside_it() {
        for (text, expected) in [
            (
                "/cb?code=SplxlOBeZQQYbYS6WxSbIA&state=xyz",
                "/cb?code=*&state=xyz",
            ),
            (
                "/cb?state=xyz&code=SplxlOBeZQQYbYS6WxSbIA",
                "/cb?state=xyz&code=*",
            ),
            (
                "/in?next=%2Fcb%3Fcode%3DSplxlOBeZQQYbYS6%26state%3Dx",
                "/in?next=%2Fcb%3Fcode%3D*%26state%3Dx",
            ),
            (
                "/cb?code=SplxlOBeZQQYbYS6WxSbIA",
                "/cb?code=SplxlOBeZQQYbYS6WxSbIA",
            ),
            (
                "/a?country=us&state=CA&code=90210",
                "/a?country=us&state=CA&code=90210",
            ),
            (
                "/a?state=CA&country_code=SplxlOBeZQQY",
                "/a?state=CA&country_code=SplxlOBeZQQY",
            ),
        ] {
            assert_eq!(all(text, Scope::Value), expected);
        }
    }

    #[test]
    fn secrets_are_found_in_forms_cookies_and_lists() {
        for (text, expected) in [
            (
                "user[password][x]=1&token%5B0%5D=2&b=3",
                "user[password][x]=*&token%5B0%5D=*&b=3",
            ),
            (
                "a=1; remember_me=2; connect.sid=s%3A3.4; theme=dark",
                "a=1; remember_me=*; connect.sid=*; theme=dark",
            ),
            (
                "password%00=1&%20password=2&shipping=3",
                "password%00=*&%20password=*&shipping=3",
            ),
            (
                r#"{"password":["a","b]\"c"],"x":1}"#,
                r#"{"password":*,"x":1}"#,
            ),
            (
                r#"{"user":{"token":{"v":"a","w":[1]}},"x":1}"#,
                r#"{"user":{"token":*},"x":1}"#,
            ),
            (
                r"{\x22pin\x22:[\x22a\x22],\x22x\x22:1}",
                r"{\x22pin\x22:*,\x22x\x22:1}",
            ),
            ("/a?sv=2022&se=x&sig=aB%2B&y", "/a?sv=2022&se=x&sig=*&y"),
        ] {
            assert_eq!(all(text, Scope::Value), expected);
        }
    }

    #[test]
    fn headers_are_recognised_in_a_line_without_a_format() {
        for (text, expected) in [
            ("x Authorization: Bearer a.b-c y", "x Authorization: * y"),
            ("X-Api-Key: abc d", "X-Api-Key: * d"),
            ("password = abc d", "password = * d"),
            ("authorization=Basic abc d", "authorization=* d"),
            ("x ghp_aB3dE6gH9jK2mN5pQ8sT y", "x * y"),
            (
                "{\"a\":\"x\\nghp_aB3dE6gH9jK2mN5pQ8sT\"}",
                "{\"a\":\"x\\n*\"}",
            ),
            ("12:00: author: x", "12:00: author: x"),
        ] {
            assert_eq!(all(text, Scope::Line), expected);
        }
    }
}
