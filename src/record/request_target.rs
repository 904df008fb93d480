//! Splits a request target into scheme, authority, path and query.
//!
//! Works on the bytes as nginx logged them. Refuses to know routes. Source of the forms: RFC 9112, section 3.2 (origin,
//! absolute, authority and asterisk form).

use super::privacy::userinfo_length;

/// A request target, borrowed from the line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestTarget<'l> {
    /// The scheme of an absolute form.
    pub(super) scheme: Option<&'l [u8]>,
    /// Host and port of an absolute form, without user and password.
    pub(super) authority: Option<&'l [u8]>,
    /// From the first `/` to the query; absent in authority (`CONNECT`) and asterisk form.
    pub(super) path: Option<&'l [u8]>,
    /// After `?`; absent without one.
    pub(super) query: Option<&'l [u8]>,
    /// After `#`, which no well-behaved client sends.
    pub(super) fragment: Option<&'l [u8]>,
}

impl<'l> RequestTarget<'l> {
    pub(super) fn split(raw: &'l [u8]) -> Self {
        let mut target = Self::default();
        let mut rest = raw;
        if rest.first() != Some(&b'/') {
            let Some(at) = memchr::memmem::find(rest, b"://").filter(|&at| is_scheme(&rest[..at]))
            else {
                return target;
            };
            target.scheme = Some(&rest[..at]);
            rest = &rest[at + 3..];
            rest = &rest[userinfo_length(rest)..];
            let end = rest
                .iter()
                .position(|b| matches!(b, b'/' | b'?' | b'#'))
                .unwrap_or(rest.len());
            target.authority = Some(&rest[..end]);
            rest = &rest[end..];
        }
        match memchr::memchr2(b'?', b'#', rest) {
            None => target.path = some(rest),
            Some(at) => {
                target.path = some(&rest[..at]);
                let after = &rest[at + 1..];
                if rest[at] == b'#' {
                    target.fragment = Some(after);
                } else if let Some(hash) = memchr::memchr(b'#', after) {
                    target.query = Some(&after[..hash]);
                    target.fragment = Some(&after[hash + 1..]);
                } else {
                    target.query = Some(after);
                }
            }
        }
        target
    }
}

fn some(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

/// RFC 3986, section 3.1.
fn is_scheme(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Returns the extension of the file name (`css` of `/a/site.css`), if it has one.
pub(super) fn extension(path: &[u8]) -> Option<&[u8]> {
    /// Longer "extensions" are identifiers with a dot in them.
    const LONGEST: usize = 10;
    let window = &path[path.len().saturating_sub(LONGEST + 1)..];
    let dot = memchr::memrchr(b'.', window)?;
    let extension = &window[dot + 1..];
    let stem_end = path.len() - extension.len() - 1;
    let named = stem_end > 0 && path[stem_end - 1] != b'/';
    (named && !extension.is_empty() && extension.iter().all(u8::is_ascii_alphanumeric))
        .then_some(extension)
}

/// Returns the host of an authority (`shop.example:8080`, `[::1]:80`) without port, user and password. An IPv6 address
/// keeps its brackets, as in nginx's `$host` and in ECS (ECS 8.11, `url.domain`).
pub(super) fn host(authority: &[u8]) -> &[u8] {
    let authority = &authority[userinfo_length(authority)..];
    if authority.first() == Some(&b'[') {
        return match memchr::memchr(b']', authority) {
            Some(end) => &authority[..=end],
            None => authority,
        };
    }
    match memchr::memchr(b':', authority) {
        Some(colon) => &authority[..colon],
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_target() {
        let path = |raw: &'static str| RequestTarget::split(raw.as_bytes());
        assert_eq!(path("/a?b=1").path, Some(&b"/a"[..]));
        assert_eq!(path("/a?b=1").query, Some(&b"b=1"[..]));
        assert_eq!(path("/a?").query, Some(&b""[..]));
        assert_eq!(path("/a#top").fragment, Some(&b"top"[..]));
        assert_eq!(path("/a?b#c").query, Some(&b"b"[..]));
        assert_eq!(path("*"), RequestTarget::default());
        assert_eq!(path("shop.example:443"), RequestTarget::default());
        let absolute = path("http://shop.example:80/x?y=http://z/");
        assert_eq!(absolute.scheme, Some(&b"http"[..]));
        assert_eq!(absolute.authority, Some(&b"shop.example:80"[..]));
        assert_eq!(absolute.path, Some(&b"/x"[..]));
        assert_eq!(path("http://shop.example").path, None);
        assert_eq!(path("/redirect?to=http://z/").scheme, None);
        for user in [
            "bob@",
            "bob:pass@",
            "bob:p@ss@",
            "bob:pa/s?s@",
            ":@",
            "bob:%40@",
        ] {
            let target = format!("http://{user}shop.example:80/x?y=z");
            let target = RequestTarget::split(target.as_bytes());
            assert_eq!(target.authority, Some(&b"shop.example:80"[..]), "{user}");
            assert_eq!(target.path, Some(&b"/x"[..]), "{user}");
        }
        let other = path("http://shop.example:80/@me?mail=bob@x.example");
        assert_eq!(other.authority, Some(&b"shop.example:80"[..]));
    }

    #[test]
    fn extensions_need_a_file_name() {
        assert_eq!(extension(b"/a/site.css"), Some(&b"css"[..]));
        assert_eq!(extension(b"/.env"), None);
        assert_eq!(extension(b"/a.b/c"), None);
        assert_eq!(extension(b"/v1.2/"), None);
        assert_eq!(extension(b"/a."), None);
        assert_eq!(extension(b"/a.averyveryverylongone"), None);
    }

    #[test]
    fn hosts_lose_their_port() {
        assert_eq!(host(b"shop.example:8080"), b"shop.example");
        assert_eq!(host(b"[::1]:80"), b"[::1]");
        assert_eq!(host(b"shop.example"), b"shop.example");
        assert_eq!(host(b"bob:pass@shop.example:8080"), b"shop.example");
        assert_eq!(host(b"bob@[::1]:80"), b"[::1]");
    }
}
