//! Chooses the address of a request's client.
//!
//! Owns the order in which the sources of an address are trusted. `logweir_parsers::client` selects the fields and walks a
//! list. Invariant: an address that a client can send replaces the peer of the connection only if the peer is a trusted
//! proxy, or if a setting names the variable and no proxies are configured. An address that only the client vouches for
//! is tagged. This keeps a client from choosing the address under which it is counted.

use ipnet::IpNet;
use logweir_parsers::client::{self, Chosen, ClaimField, ClientFields};

use super::Values;

/// The client of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client<'l> {
    pub(super) chosen: Chosen<'l>,
    /// Only the client itself vouches for the address.
    pub(super) unverified: bool,
}

/// Whether the value of the variable that the configuration names is not an address.
pub(super) fn has_type_mismatch(fields: &ClientFields, values: &Values<'_>) -> bool {
    let value = fields.set.and_then(|set| values.get(Some(set.capture)));
    let value = value.filter(|value| !matches!(*value, b"" | b"-"));
    value.is_some_and(|value| client::claimed(value, &[]).is_none())
}

/// Returns the client of a line with this peer and this list; `None` if the line holds no address.
pub(super) fn of_line<'l>(
    fields: &ClientFields,
    values: &Values<'l>,
    (peer, mut forwarded): (Option<&'l [u8]>, Option<&'l [u8]>),
    trusted: &[IpNet],
) -> Option<Client<'l>> {
    let peer = peer.or_else(|| {
        let list = forwarded.filter(|_| fields.ends_with_peer)?;
        let (before, peer) = split_last(list);
        forwarded = before;
        (!peer.is_empty()).then_some(peer)
    });
    let verified = |chosen| Client {
        chosen,
        unverified: false,
    };
    let Some(peer) = peer else {
        return without_peer(fields, values, forwarded, trusted);
    };
    let chosen = client::choose(peer, forwarded, trusted);
    if !fields.has_others() {
        return Some(verified(chosen));
    }
    let is_trusted = client::address(peer).is_some_and(|ip| client::is_trusted(ip, trusted));
    if let Some(set) = fields.set
        && (!set.sent || is_trusted || trusted.is_empty())
        && let Some(claimed) = claimed(&set, values, trusted)
    {
        return Some(Client {
            chosen: claimed,
            unverified: set.sent && !is_trusted,
        });
    }
    let mut others = fields.others.iter();
    let other = match chosen.ip {
        Some(_) if chosen.forwarded || !is_trusted => None,
        Some(_) => others.find_map(|claim| claimed(claim, values, trusted)),
        // a Unix socket has no address, so it is not a trusted proxy
        None => others
            .filter(|claim| !claim.sent)
            .find_map(|claim| claimed(claim, values, trusted)),
    };
    Some(verified(other.unwrap_or(chosen)))
}

/// Chooses the client without a peer, so that nothing vouches for an address that the client may have sent.
fn without_peer<'l>(
    fields: &ClientFields,
    values: &Values<'l>,
    forwarded: Option<&'l [u8]>,
    trusted: &[IpNet],
) -> Option<Client<'l>> {
    let of = |claim: &ClaimField| {
        let chosen = claimed(claim, values, trusted)?;
        Some(Client {
            chosen,
            unverified: claim.sent,
        })
    };
    let list = || {
        let chosen = client::claimed(forwarded?, trusted)?;
        Some(Client {
            chosen,
            unverified: true,
        })
    };
    let (mut made, mut sent) = (fields.others.iter(), fields.others.iter());
    fields
        .set
        .as_ref()
        .and_then(of)
        .or_else(|| made.by_ref().filter(|claim| !claim.sent).find_map(of))
        .or_else(list)
        .or_else(|| sent.by_ref().filter(|claim| claim.sent).find_map(of))
}

fn claimed<'l>(claim: &ClaimField, values: &Values<'l>, trusted: &[IpNet]) -> Option<Chosen<'l>> {
    client::claimed(values.get(Some(claim.capture))?, trusted)
}

/// Splits a list into the part before its last element, and that element.
fn split_last(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match memchr::memrchr(b',', list) {
        Some(at) => (Some(&list[..at]), list[at + 1..].trim_ascii()),
        None => (None, list.trim_ascii()),
    }
}
