//! The HTTP proxy of a service, from the setting `proxy` or the usual environment variables.
//!
//! Owns the rules of both: the setting overrides the variables, `none` disables proxies, and loopback addresses are never
//! reached through a proxy. Refuses to know the protocol of proxies. Invariant: the printed form of a proxy contains no
//! user and no password.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use url::{Host, Url};

use super::ports::Env;
use super::problem::{Fault, Origin};
use super::scope::Scope;

/// The setting's value for "no proxy, whatever the environment".
const NONE: &str = "none";

/// A proxy and the origin of its address.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: Url,
    named_by: String,
}

impl Proxy {
    /// The address with its credentials, for the client alone.
    pub(crate) fn secret_url(&self) -> Url {
        self.url.clone()
    }

    /// Its origin: `proxy in [elasticsearch]`, or a variable.
    pub fn named_by(&self) -> &str {
        &self.named_by
    }
}

/// The address without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default()
        )?;
        match self.url.port_or_known_default() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.named_by)
    }
}

/// The proxies of one service, by the scheme of the address that is asked. The default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    direct: Direct,
}

impl Proxies {
    /// The proxy for this address.
    pub fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        proxy.as_deref().filter(|_| !self.direct.names(url))
    }
}

/// Reads the section's setting or, without one, the environment. Only proxies that one of `urls` needs are checked, so
/// that an invalid variable for other programs does not stop this one.
pub(super) fn read(scope: &mut Scope<'_>, urls: &[Url], env: &dyn Env) -> Proxies {
    let section = scope.header();
    if let Some((text, origin)) = scope.text("proxy") {
        if text == NONE {
            return Proxies::default();
        }
        return match parse(&text) {
            Ok(url) => {
                let named_by = format!("proxy in {section}");
                let proxy = Some(Arc::new(Proxy { url, named_by }));
                Proxies {
                    http: proxy.clone(),
                    https: proxy,
                    direct: Direct::default(),
                }
            }
            Err(why) => {
                let why =
                    format!("{why}; write it as in \"http://proxy.example:3128\", or {NONE:?}");
                scope.fault("proxy", origin, Fault::BadValue { value: None, why });
                Proxies::default()
            }
        };
    }
    let variables = env.variables();
    let find = |names: [&str; 2]| {
        // As with curl, the name in lower case takes precedence.
        names.into_iter().find_map(|name| {
            let found = variables
                .iter()
                .find(|(known, value)| known == name && !value.trim().is_empty());
            found.map(|(name, value)| (name.as_str(), value.trim()))
        })
    };
    let direct = Direct::parse(find(["no_proxy", "NO_PROXY"]).map_or("", |(_, value)| value));
    let all = find(["all_proxy", "ALL_PROXY"]);
    let mut proxy_of = |scheme: &str, names| {
        let is_needed = |url: &&Url| url.scheme() == scheme && !direct.names(url);
        urls.iter().find(is_needed)?;
        let (name, value) = find(names).or(all)?;
        match parse(value) {
            Ok(url) => Some(Arc::new(Proxy {
                url,
                named_by: name.to_owned(),
            })),
            Err(why) => {
                let why = format!(
                    "{why}; set proxy in {section}: an address as in \"http://proxy.example:3128\", or {NONE:?}"
                );
                let origin = Origin::Variable(name.to_owned());
                scope.fault("proxy", origin, Fault::BadValue { value: None, why });
                None
            }
        }
    };
    let http = proxy_of("http", ["http_proxy", "HTTP_PROXY"]);
    let https = proxy_of("https", ["https_proxy", "HTTPS_PROXY"]);
    Proxies {
        http,
        https,
        direct,
    }
}

/// The address of a proxy. Without a scheme it is an http address, as with curl. The error shows no part of it.
fn parse(text: &str) -> Result<Url, String> {
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url =
        Url::parse(&with_scheme).map_err(|error| format!("is no address of a proxy: {error}"))?;
    match url.scheme() {
        "http" | "https" => {}
        "socks4" | "socks4a" | "socks5" | "socks5h" => {
            return Err("names a SOCKS proxy, and only HTTP proxies can be used".to_owned());
        }
        _ => return Err("names no HTTP proxy".to_owned()),
    }
    if url.query().is_some() || url.fragment().is_some() || url.path() != "/" {
        return Err("is no address of a proxy: nothing may follow the port".to_owned());
    }
    Ok(url)
}

/// The addresses that are reached without a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Direct {
    all: bool,
    rules: Vec<(Rule, Option<u16>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Net(IpNet),
    /// This name and all below it, in small letters.
    Domain(String),
}

impl Direct {
    /// Reads `NO_PROXY`: names, addresses and CIDRs, separated by commas or blanks, each with an optional port; `*` means
    /// all.
    fn parse(text: &str) -> Self {
        let mut direct = Self::default();
        for entry in text
            .split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty())
        {
            if entry == "*" {
                direct.all = true;
                continue;
            }
            let net = |text: &str| {
                let text = text.trim_start_matches('[').trim_end_matches(']');
                let address = text.parse::<IpAddr>().ok().map(IpNet::from);
                address.or_else(|| text.parse().ok())
            };
            let with_port = entry
                .rsplit_once(':')
                .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
            let rule = match (net(entry), with_port) {
                // an IPv6 address ends like a name with a port
                (Some(net), _) => (Rule::Net(net), None),
                (None, Some((host, port))) => match net(host) {
                    Some(net) => (Rule::Net(net), Some(port)),
                    None => (Rule::domain(host), Some(port)),
                },
                (None, None) => (Rule::domain(entry), None),
            };
            direct.rules.push(rule);
        }
        direct
    }

    fn names(&self, url: &Url) -> bool {
        if self.all || is_loopback(url) {
            return true;
        }
        let port = url.port_or_known_default();
        let matches = |(rule, of_port): &(Rule, Option<u16>)| {
            (of_port.is_none() || *of_port == port)
                && match (rule, url.host()) {
                    (Rule::Net(net), Some(Host::Ipv4(address))) => {
                        net.contains(&IpAddr::V4(address))
                    }
                    (Rule::Net(net), Some(Host::Ipv6(address))) => {
                        net.contains(&IpAddr::V6(address))
                    }
                    (Rule::Domain(domain), Some(Host::Domain(host))) => {
                        let before = host.strip_suffix(domain.as_str());
                        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
                    }
                    _ => false,
                }
        };
        self.rules.iter().any(matches)
    }
}

impl Rule {
    fn domain(text: &str) -> Self {
        let domain = text.strip_prefix('*').unwrap_or(text);
        Rule::Domain(domain.trim_start_matches('.').to_ascii_lowercase())
    }
}

/// A proxy on another host would reach its own loopback, not this one's.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
