//! The fields of a format that hold the client's address.
//!
//! Owns which captures are used and in which order. Refuses to know their values: [`super::choose`] and
//! [`super::claimed`] read these. Invariant: a variable that the client sends comes after every other variable.

use crate::Format;
use crate::variable::{FORWARDED, PEER, Role, is_sent_by_client};

/// The captures of a format that hold the client's address.
#[derive(Debug, Clone, Default)]
pub struct ClientFields {
    /// The variable that a setting names for the client's address.
    pub set: Option<ClaimField>,
    /// The peer of the connection.
    pub peer: Option<usize>,
    /// The peer before nginx replaced it (`$realip_remote_addr`).
    pub peer_before: Option<usize>,
    /// The list to which each proxy appends.
    pub forwarded: Option<usize>,
    /// nginx's own peer is the last element of that list.
    pub ends_with_peer: bool,
    /// Other variables with an address. Those that no client sends come first.
    pub others: Vec<ClaimField>,
}

/// A capture that claims who the client or the user is.
#[derive(Debug, Clone, Copy)]
pub struct ClaimField {
    /// The index of the capture.
    pub capture: usize,
    /// The client sends the value itself.
    pub sent: bool,
}

impl ClaimField {
    /// The claim of `capture`, an index into the fields of `format`.
    pub fn new(format: &Format, capture: usize) -> Self {
        let sent = is_sent_by_client(format.fields()[capture].name());
        Self { capture, sent }
    }
}

/// Who vouches for the addresses of clients in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// The connection, or a variable that no client sends.
    Server,
    /// Only the client itself.
    Client,
}

impl ClientFields {
    /// The client fields of `format`. `set` is the variable, without its `$`, that a setting names for the client's
    /// address.
    pub fn of(format: &Format, set: Option<&str>) -> Self {
        let capture = |name: &str| {
            format
                .fields()
                .iter()
                .position(|field| field.name() == name)
        };
        let [header, with_peer] = FORWARDED.map(capture);
        let (peer, peer_before) = (capture(PEER[0]), capture(PEER[1]));
        // The record writes this list, too. Without a field for the peer it is the list that ends with the peer, else
        // the first list of the format.
        let forwarded = match (header, with_peer) {
            (Some(header), Some(with_peer)) if peer.or(peer_before).is_some() => {
                Some(header.min(with_peer))
            }
            (header, with_peer) => with_peer.or(header),
        };
        let others = Role::Client.variables().iter();
        Self {
            set: set
                .and_then(capture)
                .map(|capture| ClaimField::new(format, capture)),
            peer,
            peer_before,
            forwarded,
            ends_with_peer: forwarded.is_some() && forwarded == with_peer,
            others: others
                .filter_map(|name| capture(name))
                .map(|capture| ClaimField::new(format, capture))
                .collect(),
        }
    }

    /// Whether a field other than the peer and the list can hold an address.
    #[inline]
    pub fn has_others(&self) -> bool {
        self.set.is_some() || !self.others.is_empty()
    }

    /// Who vouches for the addresses; `None` if the format has no address of a client.
    pub fn source(&self) -> Option<AddressSource> {
        let claims = self.set.iter().chain(&self.others);
        let made_by_server = claims.clone().any(|claim| !claim.sent);
        let has_peer = self.peer.or(self.peer_before).is_some();
        let has_list = self.forwarded.is_some();
        if has_peer || made_by_server || (has_list && self.ends_with_peer) {
            Some(AddressSource::Server)
        } else if has_list || claims.count() > 0 {
            Some(AddressSource::Client)
        } else {
            None
        }
    }
}
