//! Whose address a request has, of all that a format tells of it.
//!
//! Owns the order in which these are believed; how one list is walked is `logweir_parsers::client`'s matter. Invariant:
//! what a client can send goes before the peer of the connection only where that is a trusted proxy, or where a
//! setting names it and no proxies are named; and an address for which nobody vouches is marked.

use ipnet::IpNet;
use logweir_parsers::Format;
use logweir_parsers::client::{self, Chosen};
use logweir_parsers::variable::{FORWARDED, PEER, Role, is_sent_by_client};

use super::Values;
use crate::config::{Field, FieldValue};

/// The captures that tell a client's address.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    /// What the configuration names for `source.ip`.
    pub(super) set: Option<Told>,
    /// The peer of the connection, and what it was before nginx replaced it.
    pub(super) peer: Option<usize>,
    pub(super) peer_before: Option<usize>,
    /// The list that proxies lengthen.
    pub(super) forwarded: Option<usize>,
    /// nginx's own peer stands at the end of that list.
    ends_with_peer: bool,
    /// Other variables with an address, those that no client sends first.
    others: Vec<Told>,
}

/// A capture, and whether a client sends its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) capture: usize,
    pub(super) sent: bool,
}

impl Told {
    pub(super) fn new(format: &Format, capture: usize) -> Self {
        let sent = is_sent_by_client(format.fields()[capture].name());
        Self { capture, sent }
    }
}

/// Who says what a format tells of clients' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// The connection, or a variable that no client sends.
    Server,
    /// Nobody but the client itself.
    Client,
}

/// Whether a format, in a log with these fields, tells clients' addresses, and who says so.
pub fn tells_client(format: &Format, fields: &[Field]) -> Option<Voucher> {
    let clients = Clients::of(format, fields);
    let told = clients.set.iter().chain(&clients.others);
    let made = told.clone().any(|told| !told.sent);
    let by_peer = clients.peer.or(clients.peer_before).is_some();
    let by_list = clients.forwarded.is_some();
    if by_peer || made || (by_list && clients.ends_with_peer) {
        Some(Voucher::Server)
    } else if by_list || told.count() > 0 {
        Some(Voucher::Client)
    } else {
        None
    }
}

/// The client of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client<'l> {
    pub(super) chosen: Chosen<'l>,
    /// Nobody but the client itself vouches for the address.
    pub(super) unverified: bool,
}

impl Clients {
    pub(super) fn of(format: &Format, fields: &[Field]) -> Self {
        let capture = |name: &str| {
            format
                .fields()
                .iter()
                .position(|field| field.name() == name)
        };
        let set = fields.iter().find_map(|field| match &field.value {
            FieldValue::Variable(variable) if field.name == "source.ip" => capture(variable),
            _ => None,
        });
        let [header, with_peer] = FORWARDED.map(capture);
        let (peer, peer_before) = (capture(PEER[0]), capture(PEER[1]));
        // this list feeds that of the record, too: it is the one that says who the peer was, if nothing else does, or
        // the first
        let forwarded = match (header, with_peer) {
            (Some(header), Some(with_peer)) if peer.or(peer_before).is_some() => {
                Some(header.min(with_peer))
            }
            (header, with_peer) => with_peer.or(header),
        };
        let others = Role::Client.variables().iter();
        Self {
            set: set.map(|capture| Told::new(format, capture)),
            peer,
            peer_before,
            forwarded,
            ends_with_peer: forwarded.is_some() && forwarded == with_peer,
            others: others
                .filter_map(|name| capture(name))
                .map(|capture| Told::new(format, capture))
                .collect(),
        }
    }

    /// Whether anything but the peer and the list can tell an address.
    pub(super) fn has_others(&self) -> bool {
        self.set.is_some() || !self.others.is_empty()
    }

    /// Whether the configuration names a variable whose value here is no address.
    pub(super) fn misfits(&self, values: &Values<'_>) -> bool {
        let value = self.set.and_then(|set| values.get(Some(set.capture)));
        let value = value.filter(|value| !matches!(*value, b"" | b"-"));
        value.is_some_and(|value| client::claimed(value, &[]).is_none())
    }

    /// The client of a line with this peer and this list; `None` where the line tells no one.
    pub(super) fn of_line<'l>(
        &self,
        values: &Values<'l>,
        (peer, mut forwarded): (Option<&'l [u8]>, Option<&'l [u8]>),
        trusted: &[IpNet],
    ) -> Option<Client<'l>> {
        let peer = peer.or_else(|| {
            let list = forwarded.filter(|_| self.ends_with_peer)?;
            let (before, peer) = split_last(list);
            forwarded = before;
            (!peer.is_empty()).then_some(peer)
        });
        let verified = |chosen| Client {
            chosen,
            unverified: false,
        };
        let Some(peer) = peer else {
            return self.without_peer(values, forwarded, trusted);
        };
        let chosen = client::choose(peer, forwarded, trusted);
        if !self.has_others() {
            return Some(verified(chosen));
        }
        let is_trusted = client::address(peer).is_some_and(|ip| client::is_trusted(ip, trusted));
        if let Some(set) = self.set
            && (!set.sent || is_trusted || trusted.is_empty())
            && let Some(claimed) = set.claimed(values, trusted)
        {
            return Some(Client {
                chosen: claimed,
                unverified: set.sent && !is_trusted,
            });
        }
        let mut others = self.others.iter();
        let other = match chosen.ip {
            Some(_) if chosen.forwarded || !is_trusted => None,
            Some(_) => others.find_map(|told| told.claimed(values, trusted)),
            // a Unix socket: nobody is known by it, and no proxy is
            None => others
                .filter(|told| !told.sent)
                .find_map(|told| told.claimed(values, trusted)),
        };
        Some(verified(other.unwrap_or(chosen)))
    }

    /// Nobody vouches for what a client may have sent.
    fn without_peer<'l>(
        &self,
        values: &Values<'l>,
        forwarded: Option<&'l [u8]>,
        trusted: &[IpNet],
    ) -> Option<Client<'l>> {
        let of = |told: &Told| {
            let chosen = told.claimed(values, trusted)?;
            Some(Client {
                chosen,
                unverified: told.sent,
            })
        };
        let list = || {
            let chosen = client::claimed(forwarded?, trusted)?;
            Some(Client {
                chosen,
                unverified: true,
            })
        };
        let (mut made, mut sent) = (self.others.iter(), self.others.iter());
        self.set
            .as_ref()
            .and_then(of)
            .or_else(|| made.by_ref().filter(|told| !told.sent).find_map(of))
            .or_else(list)
            .or_else(|| sent.by_ref().filter(|told| told.sent).find_map(of))
    }
}

impl Told {
    fn claimed<'l>(&self, values: &Values<'l>, trusted: &[IpNet]) -> Option<Chosen<'l>> {
        client::claimed(values.get(Some(self.capture))?, trusted)
    }
}

/// A list without its last element, and that.
fn split_last(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match memchr::memrchr(b',', list) {
        Some(at) => (Some(&list[..at]), list[at + 1..].trim_ascii()),
        None => (None, list.trim_ascii()),
    }
}
