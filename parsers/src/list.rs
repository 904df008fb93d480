//! The lists in nginx's `$upstream_*` variables.
//!
//! Servers that were tried in turn are joined by `, `; groups of servers, after an internal redirect, by ` : `. A value
//! that was not measured is `-`; a group in which no server was reached leaves an empty element (ngx_http_upstream.c,
//! `ngx_http_upstream_addr_variable` and its siblings). The n-th elements of all lists belong to the same attempt, so
//! none is omitted.

use memchr::memchr2_iter;

/// The elements of an upstream list, in the order of the attempts; `-` and empty ones are `None`.
///
/// A value of `-` (no upstream at all) gives a single `None`. Never fails: all text except separators belongs to an
/// element.
///
/// ```
/// use logweir_parsers::list;
/// let times: Vec<_> = list::upstream(b"0.001, - : 0.003").collect();
/// assert_eq!(times, [Some(&b"0.001"[..]), None, Some(&b"0.003"[..])]);
/// ```
pub fn upstream(raw: &[u8]) -> Upstream<'_> {
    Upstream { rest: Some(raw) }
}

/// Iterator of [`upstream`].
#[derive(Clone, Debug)]
pub struct Upstream<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Upstream<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let (element, after) = match separator(rest) {
            Some((at, length)) => (&rest[..at], Some(&rest[at + length..])),
            None => (rest, None),
        };
        self.rest = after;
        Some(if element.is_empty() || element == b"-" {
            None
        } else {
            Some(element)
        })
    }
}

/// The position and the length of the next separator.
fn separator(raw: &[u8]) -> Option<(usize, usize)> {
    memchr2_iter(b',', b' ', raw).find_map(|at| {
        let here = &raw[at..];
        if here.starts_with(b", ") {
            Some((at, 2))
        } else if here.starts_with(b" : ") {
            Some((at, 3))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(raw: &str) -> Vec<Option<&str>> {
        upstream(raw.as_bytes())
            .map(|item| item.map(|b| std::str::from_utf8(b).unwrap()))
            .collect()
    }

    #[test]
    fn attempts_keep_their_order() {
        assert_eq!(texts("-"), [None]);
        assert_eq!(texts(""), [None]);
        assert_eq!(texts("10.0.0.1:80"), [Some("10.0.0.1:80")]);
        assert_eq!(
            texts("10.0.0.1:80, 10.0.0.2:80 : [::1]:80"),
            [Some("10.0.0.1:80"), Some("10.0.0.2:80"), Some("[::1]:80")]
        );
        assert_eq!(texts("502, - : 200"), [Some("502"), None, Some("200")]);
        // The second group failed before a server was chosen.
        assert_eq!(texts("10.0.0.1:80 : "), [Some("10.0.0.1:80"), None]);
        assert_eq!(texts("unix:/run/a b.sock"), [Some("unix:/run/a b.sock")]);
        assert_eq!(texts("a,b"), [Some("a,b")]);
        assert_eq!(texts(", "), [None, None]);
    }
}
