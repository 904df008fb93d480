//! Names whose values are secret: `token`, `password` …
//!
//! Owns when a key has such a name: it is equal to it, or ends with it where a word begins (`reset_token`,
//! `accessToken`, `user[password]`, `X-Amz-Security-Token`). Case and `_ - .` between words mean nothing, so
//! `api_key` is also `apiKey` and `API-KEY`. Refuses to know what stands behind the key.

use super::spelling::unit;

/// Of a key, so many bytes before its end are looked at; no name is longer.
const LOOKED_AT: usize = 128;

/// A list of such names, ready to be asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// Letters and digits alone, the last first; by that last one.
    reversed: Vec<Vec<Box<[u8]>>>,
}

impl Names {
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut reversed: Vec<Vec<Box<[u8]>>> = Vec::new();
        for name in names {
            let letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
            let letters: Box<[u8]> = letters.map(|byte| byte.to_ascii_lowercase()).collect();
            let Some(last) = letters.first() else {
                continue;
            };
            reversed.resize(usize::from(u8::MAX) + 1, Vec::new());
            reversed[usize::from(*last)].push(letters);
        }
        Self { reversed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reversed.is_empty()
    }

    /// Whether a key that ends before `end` has one of the names.
    pub(super) fn has_key(&self, text: &[u8], end: usize) -> bool {
        self.find(text, end, true)
    }

    /// As [`Names::has_key`], but true for some keys that have none: for a text of which the key may be cut out.
    pub(super) fn may_have_key(&self, text: &[u8], end: usize) -> bool {
        self.find(text, end, false)
    }

    /// Whether the whole of a name is one of ours, or ends with it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.has_key(name.as_bytes(), name.len())
    }

    fn find(&self, text: &[u8], end: usize, whole_words: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let part = &text[end.saturating_sub(LOOKED_AT)..end];
        let from = part.iter().rposition(|byte| !is_spelled_with(*byte));
        let key = &part[from.map_or(0, |at| at + 1)..];
        if key.iter().any(|byte| matches!(byte, b'%' | b'\\')) {
            let (mut decoded, mut len, mut at) = ([0; LOOKED_AT], 0, 0);
            while at < key.len() {
                let unit = unit(key, at);
                decoded[len] = unit.byte;
                len += 1;
                at += unit.len;
            }
            let key = decoded[..len].trim_ascii_end();
            let from = key.iter().rposition(|byte| !is_of_name(*byte));
            self.ends(&key[from.map_or(0, |at| at + 1)..], whole_words)
        } else {
            self.ends(key, whole_words)
        }
    }

    fn ends(&self, key: &[u8], whole_words: bool) -> bool {
        let Some(at) = key.iter().rposition(u8::is_ascii_alphanumeric) else {
            return false;
        };
        let last = usize::from(key[at].to_ascii_lowercase());
        let mut names = self.reversed[last].iter();
        names.any(|name| ends_with(&key[..=at], name, whole_words))
    }
}

fn ends_with(key: &[u8], reversed: &[u8], whole_words: bool) -> bool {
    let mut letters = reversed.iter();
    let mut wanted = letters.next();
    for (at, byte) in key.iter().enumerate().rev() {
        let Some(letter) = wanted else { break };
        if !byte.is_ascii_alphanumeric() {
            continue;
        }
        if byte.to_ascii_lowercase() != *letter {
            return false;
        }
        wanted = letters.next();
        if wanted.is_none() {
            return !whole_words || begins_word(key, at);
        }
    }
    false
}

fn begins_word(key: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| key[before]) else {
        return true;
    };
    let next_is_small = || key.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    !before.is_ascii_alphanumeric()
        || key[at].is_ascii_uppercase() && (!before.is_ascii_uppercase() || next_is_small())
}

/// Bytes that a key may be written with.
fn is_spelled_with(byte: u8) -> bool {
    is_of_name(byte) || matches!(byte, b'%' | b'\\' | b'+')
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_name_as_a_whole_or_as_its_last_words() {
        let names = Names::new(["token", "api_key", "sid"]);
        let has = |key: &str| names.has_key(key.as_bytes(), key.len());
        for key in [
            "token",
            "TOKEN",
            "?token",
            "&amp;token",
            "a=b&token",
            "reset_token",
            "accessToken",
            "ACCESSToken",
            "user[token]",
            "token[]",
            "x-amz-security-token",
            "apikey",
            "api-key",
            "apiKey",
            "%74oken",
            "%2574%6Fken",
            "\\x74oken",
            "x%3Ftoken",
            "user%5Btoken%5D",
            "token%20",
            "sid",
        ] {
            assert!(has(key), "{key}");
        }
        for key in [
            "",
            "tokens",
            "token_type",
            "mytoken",
            "inside",
            "to",
            "=",
            "%",
            "api",
        ] {
            assert!(!has(key), "{key}");
        }
        assert!(names.may_have_key(b"inside&mytoken", 14));
        assert!(!Names::new([]).has_key(b"token", 5));
        let long = format!("{}_token", "x".repeat(1000));
        assert!(has(&long));
    }
}
