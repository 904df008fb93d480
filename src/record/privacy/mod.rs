//! Hides secrets, the addresses of people, and names that are to be hashed.
//!
//! Owns the cleaning of text and the hash. Refuses to know fields. Invariant: every text that comes from a line passes
//! through [`Redactor::clean`], unless [`Redactor::watches`] has found nothing to clean in its line. The index and id of a
//! document never depend on cleaned text. This keeps a password out of a cluster that many people read.

mod addresses;
mod line;
mod names;
mod secrets;
mod shapes;
mod spelling;
#[cfg(test)]
mod tests;
mod userinfo;
mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{AddressRule, Privacy};

use names::Names;
use secrets::Secrets;
use shapes::Shapes;

pub(super) use userinfo::length as userinfo_length;
pub(super) use watch::{Seen, Watch};

/// The replacement of a secret.
pub(crate) const REDACTED: &[u8] = b"REDACTED";

/// Characters of a hash: 128 bits, base64url. A longer hash would cost index space, and collisions are already
/// negligible.
pub(super) const HASH_LEN: usize = 22;
const HASH_BYTES: usize = 16;

/// Separates these hashes from other uses of the same key.
const CONTEXT: &str = "logweir 2026-11-23 hashes of addresses and names in records";

/// The name of users and passwords in URLs in `redact_values`.
const USERINFO: &str = "userinfo";

/// A text's hash.
pub(super) type Hash = [u8; HASH_LEN];

/// The extent of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The value of one variable.
    Value,
    /// A line, or a part of one.
    Line,
}

/// The masked form of an address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Masked {
    /// The address, whole or truncated.
    Address(IpAddr),
    /// The hash of the address.
    Hash(Hash),
}

/// The compiled rules of what is hidden.
#[derive(Debug, Clone)]
pub(crate) struct Redactor {
    secrets: Secrets,
    rule: AddressRule,
    key: Option<[u8; 32]>,
    hash_fields: Vec<String>,
}

/// A part of a text that is replaced.
#[derive(Debug, Clone)]
struct Cut {
    range: Range<usize>,
    /// `None`: by [`REDACTED`].
    address: Option<IpAddr>,
    /// The position of its replacement in the cleaned text.
    replaced_at: Range<usize>,
}

/// A cleaned text, and the original positions of its parts.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    cuts: Vec<Cut>,
    secrets: Vec<Range<usize>>,
    pub(crate) text: Vec<u8>,
}

impl Redactor {
    pub(crate) fn new(privacy: &Privacy) -> Self {
        fn texts(list: &[String]) -> impl Iterator<Item = &str> {
            list.iter().map(String::as_str)
        }
        let values = &privacy.redact_values;
        let secrets = Secrets {
            names: Names::new(
                texts(&privacy.redact_query),
                texts(&privacy.redact_query_except),
            ),
            shapes: Shapes::new(texts(values), texts(&privacy.redact_values_add)),
            userinfo: values.iter().any(|name| name == USERINFO),
        };
        Self {
            secrets,
            rule: privacy.ip,
            key: privacy.hash_key.as_ref().map(|key| key.derive(CONTEXT)),
            hash_fields: privacy.hash_fields.clone(),
        }
    }

    /// Whether a line, or any value of it, must be cleaned.
    pub(super) fn watches(&self, line: &[u8]) -> bool {
        self.rule != AddressRule::Keep || self.secrets.may_be_in(line)
    }

    /// Whether the values of this variable are secret as a whole: `$arg_token`, `$http_authorization`.
    pub(super) fn is_secret(&self, variable: &str) -> bool {
        const FROM_OUTSIDE: [&str; 7] = [
            "arg_",
            "cookie_",
            "http_",
            "sent_http_",
            "sent_trailer_",
            "upstream_cookie_",
            "upstream_http_",
        ];
        let named = |prefix| variable.starts_with(prefix);
        FROM_OUTSIDE.into_iter().any(named) && self.secrets.names.has(variable)
    }

    /// Whether a field is written as its hash.
    pub(super) fn hashes(&self, field: &str) -> bool {
        self.hash_fields.iter().any(|hashed| hashed == field)
    }

    /// Whether any field is hashed. A line with unknown fields cannot be shown then.
    pub(crate) fn hashes_fields(&self) -> bool {
        !self.hash_fields.is_empty()
    }

    /// Whether addresses are shown as a whole.
    pub(super) fn shows_addresses(&self) -> bool {
        self.rule == AddressRule::Keep
    }

    /// Writes `text` to `cleaned.text`, without what must be hidden.
    pub(crate) fn clean(&self, text: &[u8], scope: Scope, cleaned: &mut Cleaned) {
        let Cleaned {
            cuts,
            secrets,
            text: out,
        } = cleaned;
        cuts.clear();
        secrets.clear();
        out.clear();
        self.secrets.find(text, scope, |range| secrets.push(range));
        let mut from = 0;
        for range in secrets.iter().cloned() {
            self.addresses(text, from..range.start, cuts);
            from = range.end;
            cuts.push(Cut::new(range, None));
        }
        self.addresses(text, from..text.len(), cuts);
        let mut from = 0;
        for cut in cuts.iter_mut() {
            out.extend_from_slice(&text[from..cut.range.start]);
            let start = out.len();
            match cut.address {
                None => out.extend_from_slice(REDACTED),
                Some(ip) => self.show(ip).write(out),
            }
            cut.replaced_at = start..out.len();
            from = cut.range.end;
        }
        out.extend_from_slice(&text[from..]);
    }

    /// Returns a line that matches no format, without what must be hidden. If fields are hashed, the line is not shown,
    /// because the positions of these fields are unknown.
    pub(crate) fn line<'l>(&self, line: &'l [u8], cleaned: &'l mut Cleaned) -> &'l [u8] {
        if self.hashes_fields() {
            return REDACTED;
        }
        self.clean(line, Scope::Line, cleaned);
        &cleaned.text
    }

    fn addresses(&self, text: &[u8], part: Range<usize>, cuts: &mut Vec<Cut>) {
        if self.rule != AddressRule::Keep {
            addresses::find(text, part, |range, address| {
                cuts.push(Cut::new(range, address));
            });
        }
    }

    /// Returns the masked form of an address.
    pub(super) fn show(&self, ip: IpAddr) -> Masked {
        match (self.rule, ip) {
            (AddressRule::Keep, ip) => Masked::Address(ip),
            (AddressRule::Truncate, IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                Masked::Address(Ipv4Addr::new(a, b, c, 0).into())
            }
            (AddressRule::Truncate, IpAddr::V6(v6)) => {
                let [a, b, c, ..] = v6.segments();
                Masked::Address(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into())
            }
            (AddressRule::Hash, ip) => {
                let mut text = Vec::new();
                super::members::address_text(&mut text, ip);
                Masked::Hash(self.hash(&text))
            }
        }
    }

    /// Returns the hash of a value; a value has the same hash in every field.
    pub(super) fn hash(&self, value: &[u8]) -> Hash {
        let mut text = [b'-'; HASH_LEN];
        // the configuration has checked that there is a key if anything is hashed
        if let Some(key) = &self.key {
            let hash = blake3::keyed_hash(key, value);
            let bytes = &hash.as_bytes()[..HASH_BYTES];
            let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
            debug_assert_eq!(written, Ok(HASH_LEN));
        }
        text
    }
}

impl Masked {
    /// Appends it to `out`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Address(ip) => super::members::address_text(out, ip),
            Self::Hash(hash) => out.extend_from_slice(&hash),
        }
    }
}

impl Cut {
    fn new(range: Range<usize>, address: Option<IpAddr>) -> Self {
        Self {
            range,
            address,
            replaced_at: 0..0,
        }
    }
}

impl Cleaned {
    /// Returns the new offset of the byte that was at `at`; for a replaced byte, the offset of its replacement.
    pub(crate) fn new_offset(&self, at: usize) -> usize {
        match self.cuts.iter().rfind(|cut| cut.range.start <= at) {
            None => at,
            Some(cut) if at < cut.range.end => cut.replaced_at.start,
            Some(cut) => cut.replaced_at.end + (at - cut.range.end),
        }
    }
}
