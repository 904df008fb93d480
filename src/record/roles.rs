//! Status, duration, size, user and site of a request, from any of the variables that hold them.
//!
//! Owns the order of these variables and the reading of their values. If several upstream servers were asked one after the
//! other, the last one that answered gives status and size, and the durations of all are added up. Invariant: a value that
//! does not fit is skipped for the next variable, so that a member of the record is right or absent.

use logweir_parsers::client::ClaimField;
use logweir_parsers::variable::Role;
use logweir_parsers::{Format, list, number};

use super::Values;
use super::members::{SURE_DIGITS, Value};
use super::request_target;
use crate::config::{Field, FieldValue};

/// The captures of each role, the best one first.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    status: Vec<usize>,
    duration: Vec<(usize, Unit)>,
    bytes: Vec<usize>,
    user: Vec<ClaimField>,
    /// The last resort for the site.
    site: Vec<usize>,
    /// Captures that the configuration names: a value that does not fit them gives the line a tag.
    set_status: Option<usize>,
    set_duration: Option<(usize, Unit)>,
    set_bytes: Option<usize>,
    set_user: Option<usize>,
}

/// The unit of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// The unit from the end of a variable's name; nginx itself uses seconds.
    fn of(variable: &str) -> Self {
        match variable.rsplit('_').next().unwrap_or_default() {
            "ms" | "msec" | "msecs" | "millis" | "milliseconds" => Self::Millis,
            "us" | "usec" | "usecs" | "micros" | "microseconds" => Self::Micros,
            "ns" | "nsec" | "nsecs" | "nanos" | "nanoseconds" => Self::Nanos,
            _ => Self::Seconds,
        }
    }

    /// Converts a number of this unit to nanoseconds.
    fn nanos(self, raw: &[u8]) -> Option<u64> {
        let nanos = number::seconds_to_nanos(raw)?;
        Some(match self {
            Self::Seconds => nanos,
            Self::Millis => nanos / 1_000,
            Self::Micros => nanos / 1_000_000,
            Self::Nanos => nanos / 1_000_000_000,
        })
    }
}

/// Variables of a site that `url.domain` uses directly.
const OWN_SITES: [&str; 3] = ["host", "http_host", "server_name"];

impl Roles {
    pub(super) fn of(format: &Format, fields: &[Field]) -> Self {
        let capture = |name: &str| {
            format
                .fields()
                .iter()
                .position(|field| field.name() == name)
        };
        let set = |name: &str| {
            fields.iter().find_map(|field| match &field.value {
                FieldValue::Variable(variable) if field.name == name => {
                    Some((capture(variable)?, variable.as_str()))
                }
                _ => None,
            })
        };
        let only = |found: Option<(usize, &str)>| found.map(|(capture, _)| capture);
        let set_status = only(set("http.response.status_code"));
        let set_bytes = only(set("http.response.body.bytes"));
        let set_user = only(set("user.name"));
        let set_duration = set("event.duration").map(|(at, name)| (at, Unit::of(name)));
        let all = |role: Role| {
            let names = role.variables().iter();
            names.filter_map(|name| capture(name))
        };
        let seconds = all(Role::Duration).map(|at| (at, Unit::Seconds));
        let sites = Role::Site.variables().iter();
        let sites = sites.filter(|name| !OWN_SITES.contains(name));
        Self {
            status: set_status.into_iter().chain(all(Role::Status)).collect(),
            duration: set_duration.into_iter().chain(seconds).collect(),
            bytes: set_bytes.into_iter().chain(all(Role::Bytes)).collect(),
            user: all(Role::User)
                .map(|at| ClaimField::new(format, at))
                .collect(),
            site: sites.filter_map(|name| capture(name)).collect(),
            set_status,
            set_duration,
            set_bytes,
            set_user,
        }
    }

    /// `http.response.status_code`, in digits.
    pub(super) fn status<'l>(&self, values: &Values<'l>) -> Option<&'l [u8]> {
        self.status.iter().find_map(|at| last_number(values, *at))
    }

    /// `http.response.body.bytes`, in digits.
    pub(super) fn bytes<'l>(&self, values: &Values<'l>) -> Option<&'l [u8]> {
        self.bytes.iter().find_map(|at| last_number(values, *at))
    }

    /// `event.duration`, nanoseconds.
    pub(super) fn duration(&self, values: &Values<'_>) -> Option<u64> {
        self.duration.iter().find_map(|at| duration(values, *at))
    }

    /// `user.name`, and whether only the client vouches for it.
    pub(super) fn user<'l>(&self, values: &Values<'l>) -> Option<(Value<'l>, bool)> {
        if let Some(value) = values.value(self.set_user) {
            return Some((value, false));
        }
        // nginx distinguishes an empty user name from an absent one
        let mut nameless = None;
        for claim in &self.user {
            match values.value(Some(claim.capture)) {
                Some(value) if !value.raw.is_empty() => return Some((value, claim.sent)),
                Some(value) => nameless = nameless.or(Some((value, claim.sent))),
                None => {}
            }
        }
        nameless
    }

    /// The site, if the request, nginx's own variables and the configuration give none.
    pub(super) fn site<'l>(&self, values: &Values<'l>) -> Option<&'l [u8]> {
        let host = |at: &usize| values.get(Some(*at)).map(request_target::host);
        self.site
            .iter()
            .filter_map(host)
            .find(|host| !host.is_empty())
    }

    /// Whether the value of a variable that the configuration names does not fit the type of its field.
    pub(super) fn has_type_mismatch(&self, values: &Values<'_>) -> bool {
        let number = |at: Option<usize>| {
            at.is_some_and(|at| values.get(Some(at)).is_some() && last_number(values, at).is_none())
        };
        let duration = self
            .set_duration
            .is_some_and(|at| values.get(Some(at.0)).is_some() && duration(values, at).is_none());
        number(self.set_status) || number(self.set_bytes) || duration
    }
}

/// Returns a number, or the last number of a list.
fn last_number<'l>(values: &Values<'l>, capture: usize) -> Option<&'l [u8]> {
    let raw = values.get(Some(capture))?;
    let is_number = |raw: &[u8]| match raw {
        [] => false,
        // numbers with so few digits cannot overflow
        short if short.len() <= SURE_DIGITS => short.iter().all(u8::is_ascii_digit),
        long => number::unsigned(long).is_some(),
    };
    if is_number(raw) {
        return Some(raw);
    }
    let last = list::upstream(raw).flatten().last();
    last.filter(|last| is_number(last))
}

/// Returns a duration, or the sum of a list of durations.
fn duration(values: &Values<'_>, (capture, unit): (usize, Unit)) -> Option<u64> {
    let raw = values.get(Some(capture))?;
    let mut sum = unit.nanos(raw);
    if sum.is_some() {
        return sum;
    }
    for element in list::upstream(raw).flatten() {
        sum = Some(unit.nanos(element)?.checked_add(sum.unwrap_or(0))?);
    }
    sum
}
