//! Which names of this host a request may use: the defence against DNS rebinding.
//!
//! Owns the reading of `Host` and of a target's authority (RFC 9110, 7.2). Refuses to know which page is requested.
//! Invariant: a name that somebody else can make resolve to this host is not accepted. It guards against a page in an
//! operator's browser whose own name resolves to 127.0.0.1 a second later, and which then reads data of this host.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri};

/// The names that are accepted besides addresses and `localhost`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Vec<String>);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no `Host`, or more than one.
    Malformed,
    /// It is another host's name.
    Foreign,
}

impl Hosts {
    /// `own` are names of this host, which count without their domain too; `allowed` is the setting `allowed_hosts`.
    pub(crate) fn new<'n>(own: impl IntoIterator<Item = &'n str>, allowed: &[String]) -> Self {
        let own = own.into_iter().flat_map(|name| {
            let short = name.split('.').next().unwrap_or(name);
            [name, short]
        });
        let names = own.chain(allowed.iter().map(String::as_str));
        Self(names.map(plain).filter(|name| !name.is_empty()).collect())
    }

    /// Whether a request with this target and these headers may be answered.
    pub(super) fn permit(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut given = headers.get_all(HOST).iter();
        let host = match (given.next(), given.next()) {
            (Some(host), None) => host.to_str().map_err(|_| Refused::Malformed)?,
            _ => return Err(Refused::Malformed),
        };
        // An absolute target (`GET http://name/status`) takes precedence over `Host`; here both must be accepted names.
        let target = target.authority().map(Authority::as_str);
        if self.accepts(host) && target.is_none_or(|target| self.accepts(target)) {
            Ok(())
        } else {
            Err(Refused::Foreign)
        }
    }

    /// Whether this is `HOST` or `HOST:PORT` with a host that is accepted.
    fn accepts(&self, text: &str) -> bool {
        if let Some(rest) = text.strip_prefix('[') {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            return is_port && address.parse::<Ipv6Addr>().is_ok();
        }
        let name = match text.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return false,
            None => text,
        };
        let name = plain(name);
        name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || self.0.contains(&name)
    }
}

/// A name for comparison, without case and without the dot of the root.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Digits, or nothing (RFC 3986, 3.2.3).
fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(
            ["web-07.example.org", "Sensor"],
            &["logs.internal".to_owned()],
        )
    }

    #[test]
    fn addresses_and_names_of_this_host_are_accepted() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9280",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:9280",
            "[FE80::1:2]:",
            "localhost",
            "LocalHost:9280",
            "localhost.",
            "localhost.:9280",
            "web-07.example.org",
            "WEB-07.example.org.:9280",
            "web-07",
            "sensor:9280",
            "logs.internal:443",
        ] {
            assert!(hosts().accepts(host), "{host}");
        }
    }

    #[test]
    fn names_that_others_can_give_this_host_are_refused() {
        for host in [
            "",
            ":9280",
            ".",
            "localhost.evil.com",
            "evil.com",
            "web-07.evil.com",
            "127.0.0.1.evil.com",
            "127.0.0.1.nip.io:9280",
            "a.localhost",
            "localhost..",
            "localhost:80:80",
            "localhost:http",
            "localhost:123456",
            "localhost@evil.com",
            "evil.com#localhost",
            " localhost",
            "127.1",
            "0x7f000001",
            "2130706433",
            "::1",
            "[::1",
            "[::1]evil.com",
            "[::1]:x",
            "[evil.com]",
            "[127.0.0.1]",
            "[fe80::1%25lo]",
            "logs.internal.evil.com",
            "example.org",
        ] {
            assert!(!hosts().accepts(host), "{host}");
        }
        assert!(!Hosts::new([""], &[String::new()]).accepts(""));
    }

    #[test]
    fn exactly_one_host_is_required_and_the_target_is_checked_too() {
        let permit = |target: &str, given: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in given {
                headers.append(HOST, host.parse().unwrap());
            }
            hosts().permit(&target.parse().unwrap(), &headers)
        };
        assert_eq!(permit("/status", &["localhost"]), Ok(()));
        assert_eq!(permit("/status", &[]), Err(Refused::Malformed));
        let twice = permit("/status", &["localhost", "localhost"]);
        assert_eq!(twice, Err(Refused::Malformed));
        assert_eq!(permit("/status", &["evil.com"]), Err(Refused::Foreign));
        let absolute = |name: &str| permit(&format!("http://{name}/status"), &["localhost"]);
        assert_eq!(absolute("localhost:9280"), Ok(()));
        assert_eq!(absolute("evil.com"), Err(Refused::Foreign));
        assert_eq!(absolute("localhost@evil.com"), Err(Refused::Foreign));
    }
}
