//! Describes a redirect in a message that names the address to use instead.
//!
//! Owns the reading of `Location` (RFC 9110, 10.2.2 and 15.4). Refuses to follow: a POST may become a GET on the way,
//! and a whole batch with its credentials would go to whatever host the answer names. Invariant: the text is hostile;
//! a message shows it without user, password, query or control characters, and with a bounded length.

use std::fmt;

use url::Url;

use super::Service;

/// The statuses that redirect a client. 300 and 305 do not, and 304 responds to a condition that we never set.
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Longest address that is shown, in bytes.
const SHOWN_BYTES: usize = 200;

/// A node, or a proxy before it, wants the request to be sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    status: u16,
    target: RedirectTarget,
    service: Service,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RedirectTarget {
    /// To this base address, which answers the same requests.
    Base(String),
    /// To this address, with another path than that of the request.
    Page(String),
    /// To the base address that was asked.
    Itself(String),
    /// To this text, which is not an http(s) address.
    NoAddress(String),
    /// There is no `Location`.
    Nowhere,
}

impl Redirect {
    /// Reads a response; `None` when it is no redirect. `base` is the node's address and ends with a slash, `request` is
    /// the requested address below it.
    pub(crate) fn read(
        status: u16,
        location: Option<&[u8]>,
        base: &Url,
        request: &Url,
        service: Service,
    ) -> Option<Self> {
        STATUSES.contains(&status).then(|| Self {
            status,
            target: RedirectTarget::read(location, base, request),
            service,
        })
    }

    /// The hint for the operator.
    pub(crate) fn hint(&self) -> String {
        let setting = self.service.quoted_addresses();
        match &self.target {
            RedirectTarget::Base(_) => format!("use that address in {setting}"),
            RedirectTarget::Itself(_) => {
                format!(
                    "correct the proxy that answers there, or write another address into {setting}"
                )
            }
            RedirectTarget::Page(_) | RedirectTarget::NoAddress(_) | RedirectTarget::Nowhere => {
                format!("set {setting} to the address at which it answers without a redirect")
            }
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered {} ", self.status)?;
        match &self.target {
            RedirectTarget::Base(to) => write!(f, "to {to}")?,
            RedirectTarget::Page(to) => write!(
                f,
                "to {to}, which is not the path that was asked for (a page to log in?)"
            )?,
            RedirectTarget::Itself(to) => {
                write!(f, "to {to}, which is the address that was asked")?
            }
            RedirectTarget::NoAddress(text) => {
                write!(f, "to {text:?}, which is no http:// or https:// address")?;
            }
            RedirectTarget::Nowhere => f.write_str("without an address")?,
        }
        write!(f, "; {}", self.hint())
    }
}

impl RedirectTarget {
    fn read(location: Option<&[u8]>, base: &Url, request: &Url) -> Self {
        let text = String::from_utf8_lossy(location.unwrap_or_default());
        let text = text.trim();
        if text.is_empty() {
            return Self::Nowhere;
        }
        let to = request.join(text).ok();
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let Some(mut to) = to.filter(is_http) else {
            return Self::NoAddress(quotable(text));
        };
        let own = request.path().strip_prefix(base.path()).unwrap_or_default();
        let prefix = to.path().strip_suffix(own).map(str::to_owned);
        let is_base = match prefix {
            Some(prefix) if prefix.ends_with('/') => {
                to.set_path(&prefix);
                true
            }
            // a request for the base itself is redirected to a base without its slash
            Some(_) if own.is_empty() => to.query().is_none(),
            _ => to.path() == "/",
        };
        let shown = shown(&to);
        if !is_base {
            Self::Page(shown)
        } else if shown == self::shown(base) {
            Self::Itself(shown)
        } else {
            Self::Base(shown)
        }
    }
}

/// An address without secrets, of bounded length. Its host and path are ASCII, which [`Url`] sees to.
fn shown(url: &Url) -> String {
    bounded(super::settings::shown(url))
}

/// Text that is no address, without the part before an `@`, which may hold a password.
fn quotable(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => bounded(format!("…@{rest}")),
        None => bounded(text.to_owned()),
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > SHOWN_BYTES {
        let cut = (0..=SHOWN_BYTES)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn message_of(base: &str, path: &str, location: Option<&[u8]>) -> String {
        let base = Url::parse(base).unwrap();
        let request = base.join(path).unwrap();
        let redirect = Redirect::read(301, location, &base, &request, Service::Cluster);
        redirect.unwrap().to_string()
    }

    fn message(location: &str) -> String {
        message_of(
            "http://es:9200/",
            "_bulk?timeout=30000ms",
            Some(location.as_bytes()),
        )
    }

    #[test]
    fn the_base_address_to_use_is_named() {
        let use_it = |to: &str| format!("answered 301 to {to}; use that address in `nodes`");
        for location in [
            "https://es.example/_bulk?timeout=30000ms",
            "https://es.example/_bulk",
            "https://es.example/_bulk#x",
            "https://es.example",
            "https://es.example:443/",
            "  https://elastic:hunter2@es.example/_bulk?token=hunter2 ",
            "//es.example/_bulk",
        ] {
            let to = if location.starts_with("//") {
                "http://es.example"
            } else {
                "https://es.example"
            };
            assert_eq!(message(location), use_it(to), "{location}");
        }
        assert_eq!(message("/es/_bulk"), use_it("http://es:9200/es"));
        assert_eq!(
            message("https://[::1]:9201/a/b/_bulk"),
            use_it("https://[::1]:9201/a/b")
        );
        let below = message_of(
            "http://proxy/es/",
            "_index_template/x",
            Some(b"https://proxy/es/_index_template/x"),
        );
        assert_eq!(below, use_it("https://proxy/es"));
        let root = |location: &[u8]| message_of("http://es/", "", Some(location));
        assert_eq!(root(b"https://es/"), use_it("https://es"));
        assert_eq!(root(b"/kibana"), use_it("http://es/kibana"));
        assert!(root(b"/login?next=%2F").contains("which is not the path"));
    }

    #[test]
    fn only_base_addresses_are_recommended() {
        let page = message("https://sso.example/login?rd=https%3A%2F%2Fes%2F_bulk");
        assert!(
            page.starts_with("answered 301 to https://sso.example/login, which is not the path"),
            "{page}"
        );
        assert!(
            page.ends_with("the address at which it answers without a redirect"),
            "{page}"
        );
        // the end of another name is not the request's own path
        assert!(message("https://es.example/old_bulk").contains("/old_bulk, which is not"));
        for location in ["http://es:9200/_bulk", "/_bulk", "?again"] {
            let itself = message(location);
            assert!(
                itself.contains("which is the address that was asked"),
                "{itself}"
            );
        }
        for location in [None, Some(&b""[..]), Some(b" \t")] {
            let nowhere = message_of("http://es/", "_bulk", location);
            assert!(nowhere.contains("without an address"), "{nowhere}");
        }
    }

    #[test]
    fn hostile_text_is_bounded_and_shows_no_secret() {
        for location in [
            &b"ftp://elastic:hunter2@es/_bulk"[..],
            b"javascript:alert(1)//hunter2@x",
            b"http://elastic:hunter2@[::bad/_bulk",
            b"http://hunter2@",
            b"mailto:a\x1b[31m@\xff\xfe",
        ] {
            let text = message_of("http://es/", "_bulk", Some(location));
            assert!(text.contains("which is no http"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        for location in [
            format!("https://es/{}/_bulk", "x".repeat(100_000)),
            format!("https://es/{}", "ü".repeat(100_000)),
            format!("https://{}/", "a.".repeat(100_000)),
            "x:".repeat(100_000),
            "https://es/a\u{1b}[31m\u{202e}b/_bulk".to_owned(),
        ] {
            let text = message(&location);
            assert!(text.len() < 2 * SHOWN_BYTES + 200, "{}", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(!text.contains('\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn only_these_statuses_are_redirects() {
        let base = Url::parse("http://es/").unwrap();
        let found: Vec<u16> = (100..600)
            .filter(|status| {
                Redirect::read(*status, None, &base, &base, Service::Cluster).is_some()
            })
            .collect();
        assert_eq!(found, [301, 302, 303, 307, 308]);
    }
}
