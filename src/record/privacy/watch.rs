//! Checks once per line whether its values may hold a secret, before any of them is written.
//!
//! Owns which parts of a line are checked. Each value that can hold a secret is checked by itself; values that repeat, such
//! as the name of a browser, are cached. Refuses to know what a secret is. Invariant: if the answer is no,
//! [`Redactor::clean`] changes no value of the line, and no part of a value. The answer does not hold for the line as a
//! whole, in which a format may put a key before a value.

use logweir_parsers::{Captures, Format, Grammar};
use xxhash_rust::xxh3::xxh3_64;

use super::Redactor;
use super::secrets::Secrets;
use crate::config::AddressRule;

/// Size of the cache in values, a power of two.
const REMEMBERED: usize = 256;
/// Limit of the length of a cached value.
const LONGEST: usize = 512;
/// Limit of the length of an IPv4 address.
const SHORT: usize = 16;

/// The parts of a format's lines that may hold a secret.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct Watch {
    /// The values to check; `None` if the whole line must be checked.
    values: Option<Vec<Looked>>,
}

#[derive(Debug, Clone, Copy)]
struct Looked {
    capture: usize,
    /// Many lines share the value, so that the cache helps.
    recurs: bool,
}

impl Watch {
    pub(in crate::record) fn new(format: &Format, redactor: &Redactor) -> Self {
        // variables that are read as one text can be each other's key, so the whole line is checked
        let joined = format
            .fields()
            .iter()
            .any(|field| field.name().contains('$'));
        // a prefix from the configuration may occur in a number
        if joined || redactor.secrets.shapes.has_own() {
            return Self::default();
        }
        let fields = format.fields().iter().enumerate();
        let values = fields.filter(|(_, field)| can_hold(field.grammar()));
        let values = values.map(|(capture, field)| Looked {
            capture,
            recurs: recurs(field.name()),
        });
        Self {
            values: Some(values.collect()),
        }
    }
}

/// Whether a value of this grammar can be more than digits, signs and the name of a month.
fn can_hold(grammar: Grammar) -> bool {
    !matches!(
        grammar,
        Grammar::Number
            | Grammar::Port
            | Grammar::Status
            | Grammar::Seconds
            | Grammar::Decimal
            | Grammar::TimeLocal
            | Grammar::TimeIso8601
            | Grammar::Msec
            | Grammar::Pipe
    )
}

fn recurs(variable: &str) -> bool {
    const NAMES: [&str; 11] = [
        "host",
        "http_host",
        "http_referer",
        "http_user_agent",
        "request_method",
        "scheme",
        "server_name",
        "server_protocol",
        "ssl_cipher",
        "ssl_protocol",
        "upstream_addr",
    ];
    NAMES.contains(&variable)
}

/// A cache of values without a secret, whichever line they come from. Each slot keeps the last value.
#[derive(Debug)]
pub(in crate::record) struct Seen {
    values: Vec<Vec<u8>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            values: vec![Vec::new(); REMEMBERED],
        }
    }
}

impl Seen {
    /// Whether a value holds no secret; `may_hold` checks a value that is not cached.
    #[inline]
    fn is_clean(&mut self, value: &[u8], may_hold: impl FnOnce() -> bool) -> bool {
        if value.len() > LONGEST {
            return !may_hold();
        }
        let place = xxh3_64(value) % REMEMBERED as u64;
        let known = usize::try_from(place).ok();
        let Some(known) = known.and_then(|place| self.values.get_mut(place)) else {
            return !may_hold();
        };
        if known == value {
            return true;
        }
        let clean = !may_hold();
        if clean {
            known.clear();
            known.extend_from_slice(value);
        }
        clean
    }
}

impl Redactor {
    /// Whether the values of a line must be cleaned. `seen` belongs to this redactor only.
    pub(in crate::record) fn watches_values(
        &self,
        watch: &Watch,
        captures: &Captures,
        line: &[u8],
        seen: &mut Seen,
    ) -> bool {
        if self.rule != AddressRule::Keep {
            return true;
        }
        let Some(values) = &watch.values else {
            return self.watches(line);
        };
        values.iter().any(|looked| {
            let Some(value) = captures.get(line, looked.capture) else {
                return false;
            };
            let may_hold = || self.secrets.may_be_in(value);
            match looked.recurs {
                true => !seen.is_clean(value, may_hold),
                false => !is_numeric(value) && Secrets::has_mark(value) && may_hold(),
            }
        })
    }
}

/// Whether a short value has only digits, `.`, `/` and `:`, like an IPv4 address. No byte of it ends a key or a password,
/// and every shape of a secret begins with other bytes.
#[inline]
fn is_numeric(value: &[u8]) -> bool {
    let mut bytes = [b'.'; SHORT];
    let Some(part) = bytes.get_mut(..value.len()) else {
        return false;
    };
    part.copy_from_slice(value);
    // without an early exit: the loop becomes vector instructions
    let odd = |byte: &u8| !(b'.'..=b':').contains(byte);
    !bytes.iter().fold(false, |found, byte| found | odd(byte))
}
