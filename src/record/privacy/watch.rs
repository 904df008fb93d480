//! Whether the values of a line may hold a secret: asked once a line, before any of them is written.
//!
//! Owns which parts of a line are looked at for that. Each value that can hold a secret is looked at by itself, and
//! those that come again and again, such as a browser's name, are remembered. Refuses to know what a secret is.
//! Invariant: where the answer is no, [`Redactor::clean`] changes no value of the line, nor any part of one. It says
//! nothing of the line as a whole, in which a format may put a key before a value.

use logweir_parsers::{Captures, Format, Grammar};
use xxhash_rust::xxh3::xxh3_64;

use super::Redactor;
use super::secrets::Secrets;
use crate::config::AddressRule;

/// Values that are remembered, a power of two.
const REMEMBERED: usize = 256;
/// Longer values are not remembered.
const LONGEST: usize = 512;
/// IPv4 addresses are no longer.
const SHORT: usize = 16;

/// What of the lines of one format may hold a secret.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct Watch {
    /// The values; `None` where the whole line has to be looked at.
    values: Option<Vec<Looked>>,
}

#[derive(Debug, Clone, Copy)]
struct Looked {
    capture: usize,
    /// Many lines have the same value.
    recurs: bool,
}

impl Watch {
    pub(in crate::record) fn new(format: &Format, redactor: &Redactor) -> Self {
        // what variables that are read as one text say of each other is asked of the line
        let joined = format
            .fields()
            .iter()
            .any(|field| field.name().contains('$'));
        // a beginning of the user's own may stand in a number
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

/// Whether a value of this grammar can be anything but digits, signs and the name of a month.
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

/// Values in which there was no secret, whatever line they stood in; one for each place, the last one stays.
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
    /// Whether nothing is in a value; `may_hold` is asked of one that is not remembered.
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
    /// Whether the values of a line must be cleaned. `seen` is for this redactor alone.
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

/// Whether a short value has only digits and `.`, `/` and `:`, as an IPv4 address: nothing in it ends a key or a
/// password, and each shape of a secret begins with something else.
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
