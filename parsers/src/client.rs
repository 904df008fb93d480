//! Chooses the client of a request: the peer of the connection or, behind trusted proxies, the address that they
//! forwarded.
//!
//! Anyone can send an `X-Forwarded-For`. Its entries are trusted from the right, and only as long as a trusted proxy
//! wrote them; the first address that is not a trusted proxy is the client. If the leftmost entry were used, an
//! attacker could choose the address that is counted.

mod fields;

pub use fields::{AddressSource, ClaimField, ClientFields};

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client of a request, as chosen by [`choose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// The address as written, without port, brackets and the `::ffff:` of a mapped IPv4 address, so that one client
    /// always has the same text. If the peer is not an address (`unix:`), the raw peer.
    pub text: &'a [u8],
    /// The address; IPv4-mapped IPv6 addresses are IPv4. `None` if the peer has none (`unix:`).
    pub ip: Option<IpAddr>,
    /// Whether the address comes from the forwarded list.
    pub forwarded: bool,
}

/// Reads an address: IPv4 or IPv6, with or without a port (`v4:port`, `[v6]:port`, `[v6]`).
///
/// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) give the IPv4 address. A zone (`fe80::1%eth0`) is
/// dropped. Returns `None` for `unix:`, names, `unknown` and invalid text.
///
/// ```
/// use logweir_parsers::client;
/// assert_eq!(client::address(b"[2001:db8::1]:443"), "2001:db8::1".parse().ok());
/// assert_eq!(client::address(b"unix:"), None);
/// ```
pub fn address(raw: &[u8]) -> Option<IpAddr> {
    read(raw).map(|(_, ip)| ip)
}

/// Chooses the client from the connection's peer (`$remote_addr`, or `$realip_remote_addr` where
/// nginx already replaced it) and the forwarded list (`$http_x_forwarded_for`), both as logged.
///
/// The peer is the client unless it is inside `trusted`. Otherwise the list is read from its right end: trusted proxies
/// are skipped, and the first other address is the client. If all are trusted, it is the leftmost. An entry that is not
/// an address (`unknown`, a name, invalid text) ends the search, and the proxy that sent it is the client, because no
/// trusted proxy vouches for the entries before it (as in nginx's `real_ip_recursive`).
///
/// ```
/// use logweir_parsers::client;
/// let trusted = ["10.0.0.0/8".parse().unwrap()];
/// let chosen = client::choose(b"10.0.0.1", Some(b"6.6.6.6, 203.0.113.9, 10.0.0.2"), &trusted);
/// assert_eq!(chosen.text, b"203.0.113.9");
/// ```
pub fn choose<'a>(remote: &'a [u8], forwarded: Option<&'a [u8]>, trusted: &[IpNet]) -> Chosen<'a> {
    let Some((text, ip)) = read(remote) else {
        return Chosen {
            text: remote,
            ip: None,
            forwarded: false,
        };
    };
    let mut chosen = Chosen {
        text,
        ip: Some(ip),
        forwarded: false,
    };
    let mut last = ip;
    for entry in forwarded.unwrap_or_default().rsplit(|byte| *byte == b',') {
        if !is_trusted(last, trusted) {
            break;
        }
        let Some((text, ip)) = read(trim(entry)) else {
            break;
        };
        chosen = Chosen {
            text,
            ip: Some(ip),
            forwarded: true,
        };
        last = ip;
    }
    chosen
}

/// Chooses the client from a value other than the connection: a header or a custom variable. The value is one address,
/// or a list as in [`choose`].
///
/// The list is read in the same way, but nothing is known about who wrote its right end. While `trusted` is empty,
/// private addresses count as proxies, because in most such lists the right end is a load balancer inside the network.
/// Returns `None` if the right end is not an address.
///
/// ```
/// use logweir_parsers::client;
/// let chosen = client::claimed(b"6.6.6.6, 203.0.113.9:4711, 10.0.0.2", &[]);
/// assert_eq!(chosen.map(|chosen| chosen.text), Some(&b"203.0.113.9"[..]));
/// assert_eq!(client::claimed(b"unknown", &[]), None);
/// ```
pub fn claimed<'a>(list: &'a [u8], trusted: &[IpNet]) -> Option<Chosen<'a>> {
    let is_proxy = |ip| match trusted {
        [] => is_private(ip),
        trusted => is_trusted(ip, trusted),
    };
    let mut chosen = None;
    for entry in list.rsplit(|byte| *byte == b',') {
        let Some((text, ip)) = read(trim(entry)) else {
            break;
        };
        chosen = Some(Chosen {
            text,
            ip: Some(ip),
            forwarded: true,
        });
        if !is_proxy(ip) {
            break;
        }
    }
    chosen
}

/// Whether no client on the internet has this address (RFC 1918, 4193, 6598, 3927, 4291).
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let shared = matches!(v4.octets(), [100, 64..=127, ..]);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether an address is one of a trusted proxy.
pub fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted
        .iter()
        .any(|net| net.contains(&ip) || mapped(ip).is_some_and(|ip| net.contains(&ip)))
}

/// The IPv6 form of an IPv4 address: a CIDR may be written as `::ffff:10.0.0.0/104`.
fn mapped(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => Some(IpAddr::V6(v4.to_ipv6_mapped())),
        IpAddr::V6(_) => None,
    }
}

/// The address within `raw`: its text and its value.
fn read(raw: &[u8]) -> Option<(&[u8], IpAddr)> {
    // Nearly every address is plain IPv4, and this value is the most expensive one of a line to read.
    if let Some(v4) = dotted(raw) {
        return Some((raw, IpAddr::V4(v4)));
    }
    let host = host(raw)?;
    // Also refuses text that is not ASCII; texts longer than any address are not examined.
    let text = std::str::from_utf8(host).ok()?;
    if let Ok(v4) = text.parse() {
        return Some((host, IpAddr::V4(v4)));
    }
    let v6: Ipv6Addr = text.parse().ok()?;
    match v6.to_ipv4_mapped() {
        None => Some((host, IpAddr::V6(v6))),
        Some(v4) => {
            let tail = host.rsplit(|byte| *byte == b':').next().unwrap_or(host);
            let dotted = tail.contains(&b'.');
            Some((if dotted { tail } else { host }, IpAddr::V4(v4)))
        }
    }
}

/// Reads `a.b.c.d` like `Ipv4Addr::from_str`, at a third of its cost.
fn dotted(raw: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut at = 0;
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            (*raw.get(at)? == b'.').then_some(())?;
            at += 1;
        }
        let mut value = u16::from(digit(*raw.get(at)?)?);
        at += 1;
        while value > 0
            && let Some(next) = raw.get(at).copied().and_then(digit)
        {
            value = value * 10 + u16::from(next);
            at += 1;
            if value > 255 {
                return None;
            }
        }
        *octet = u8::try_from(value).ok()?;
    }
    (at == raw.len()).then(|| Ipv4Addr::from(octets))
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

/// Removes port, brackets and zone.
fn host(raw: &[u8]) -> Option<&[u8]> {
    let host = if let Some(rest) = raw.strip_prefix(b"[") {
        let end = memchr::memchr(b']', rest)?;
        match &rest[end + 1..] {
            [] => {}
            [b':', port @ ..] if is_port(port) => {}
            _ => return None,
        }
        &rest[..end]
    } else {
        match memchr::memchr(b':', raw) {
            Some(colon) if memchr::memchr(b'.', &raw[..colon]).is_some() => {
                if !is_port(&raw[colon + 1..]) {
                    return None;
                }
                &raw[..colon]
            }
            _ => raw,
        }
    };
    Some(match memchr::memchr(b'%', host) {
        Some(zone) => &host[..zone],
        None => host,
    })
}

fn is_port(raw: &[u8]) -> bool {
    raw.len() <= 5 && crate::number::unsigned(raw).is_some_and(|port| port <= 65_535)
}

fn trim(raw: &[u8]) -> &[u8] {
    raw.trim_ascii()
}

#[cfg(test)]
mod tests;
