//! Sets of request methods.
//!
//! A set is a bit mask, so a membership test is cheap. All unknown methods share one bit: no route can name them.

use std::fmt;

/// The index of a method is its bit. First the methods that nginx knows (`ngx_http_parse_request_line` in
/// src/http/ngx_http_parse.c), then others in use: QUERY (OpenAPI 3.2), more methods of WebDAV,
/// and methods that purge caches.
const NAMES: [&str; 21] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "MKCOL",
    "COPY",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "TRACE",
    "CONNECT",
    "QUERY",
    "REPORT",
    "SEARCH",
    "PURGE",
    "BAN",
];

/// Some methods, or all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Methods(u32);

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Methods {
    /// Every method, also unknown ones.
    pub const ANY: Self = Self(u32::MAX);
    /// No method.
    pub const NONE: Self = Self(0);
    /// The default method of logins.
    pub const POST: Self = Self(1 << 2);
    /// A GET without the body (RFC 9110, section 9.3.2).
    pub const HEAD: Self = Self(1 << 1);
    const GET: Self = Self(1);
    /// All methods without a name here.
    const OTHER: Self = Self(1 << 31);

    /// The set with the method of a request; `None` means that the line does not contain it.
    pub fn of_request(method: Option<&[u8]>) -> Self {
        match method {
            Some(b"GET") => Self::GET,
            Some(b"POST") => Self::POST,
            Some(method) => NAMES
                .iter()
                .position(|name| name.as_bytes() == method)
                .map_or(Self::OTHER, |at| Self(1 << at)),
            None => Self::OTHER,
        }
    }

    /// The set with the method of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let at = NAMES
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self(1 << at))
    }

    /// All names.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether both sets have a method in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The union of both sets.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The methods of this set that are not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set contains GET, but not HEAD.
    pub fn lacks_head(self) -> bool {
        self.meets(Self::GET) && !self.meets(Self::HEAD)
    }

    /// The names of its methods.
    pub fn shown(self) -> String {
        if self == Self::ANY {
            return "any method".to_owned();
        }
        let names = NAMES.iter().enumerate();
        let named: Vec<&str> = names
            .filter(|(at, _)| self.0 & 1 << at != 0)
            .map(|(_, name)| *name)
            .collect();
        named.join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_name_has_its_bit() {
        for name in Methods::names() {
            let named = Methods::named(&name.to_lowercase()).unwrap();
            assert_eq!(named, Methods::of_request(Some(name.as_bytes())), "{name}");
            assert_eq!(named.shown(), name);
            assert!(!named.meets(Methods::OTHER));
        }
        for other in [Some(&b"get"[..]), Some(b"BREW"), None] {
            let methods = Methods::of_request(other);
            assert!(methods.meets(Methods::ANY) && !methods.meets(Methods::GET));
            assert!(!methods.meets(Methods::ANY.without(Methods::OTHER)));
        }
    }
}
