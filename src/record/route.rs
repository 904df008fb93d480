//! The route of a request, `http.route`: the value that dashboards aggregate by.
//!
//! Owns how a path gets its name: from the configured routes, or else by replacing values (`/users/17/orders` →
//! `/users/{id}/orders`, see [`name`]). Requests that were not found and hold no value share one name. Works on the path
//! that a back end sees, so that `/api/%65xport` counts as `/api/export`. Refuses to know hosts and queries. Invariant: the
//! same method, path and status always give the same route.

mod crossing;
mod letters;
mod name;
#[cfg(test)]
mod name_tests;
mod path;
mod pattern;
mod router;
mod segment;
mod shape;
#[cfg(test)]
mod tests;
mod token;
mod trie;

use logweir_parsers::Escape;

use super::extra::PodNames;
use super::members::{Request, Text};
use super::privacy::Scope;
use super::{Buffers, Scratch, Values};
use crate::config::RouteKind;
use crate::json;

pub(super) use router::{Named, Router};

/// The version of the naming rule; every document carries it. Increase it with every change to the name of any path.
pub(super) const RULE: u32 = 2;

/// A path that is still encoded after nginx decoded it is decoded so many times more for its name.
const DECODED_AGAIN: usize = 2;

/// The route that a request matches.
#[derive(Debug, Clone, Copy)]
pub(super) enum MatchedRoute<'r> {
    /// The line has no path.
    Nothing,
    /// A configured route.
    Named(&'r Named),
    /// No route matches; the name is in the buffer for routes. If the flag is set, the name may hold bytes that the line
    /// did not show, and must be escaped.
    Normalised(bool),
    /// No route matches, the status is 404, and the path holds no value: most such requests come from scanners.
    Absent,
}

impl<'r> MatchedRoute<'r> {
    /// Returns the route of a request; `status` is the status of the response, if the line has it.
    pub(super) fn of(
        router: &'r Router,
        buffers: &mut Buffers,
        values: &Values<'_>,
        request: &Request<'_>,
        status: Option<&[u8]>,
    ) -> Self {
        let Some(raw) = request.path else {
            return Self::Nothing;
        };
        let Buffers {
            path: decoded,
            resolved,
            route,
            ..
        } = buffers;
        let plain = values.plain || Escape::is_plain(raw);
        let mut path = raw;
        if !plain {
            decoded.clear();
            values.plan.escape.decode(raw, decoded);
            path = decoded;
        }
        let resolving = !path::is_resolved(path);
        if resolving {
            resolved.clear();
            path::resolve(resolved, path);
            path = resolved;
        }
        if !router.is_empty()
            && let Some(named) = router.find(request.method, path, route)
        {
            return Self::Named(named);
        }
        if resolving {
            for _ in 0..DECODED_AGAIN {
                if path::is_resolved(resolved) {
                    break;
                }
                decoded.clear();
                path::resolve(decoded, resolved);
                std::mem::swap(decoded, resolved);
            }
            path = resolved;
        }
        route.clear();
        let identified = name::name(route, path);
        if !identified && status == Some(b"404") {
            return Self::Absent;
        }
        Self::Normalised(resolving || !plain)
    }

    /// Returns the kind of the route.
    pub(super) fn kind(self) -> &'r RouteKind {
        match self {
            Self::Named(named) => &named.kind,
            Self::Nothing | Self::Normalised(_) | Self::Absent => &RouteKind::Plain,
        }
    }

    /// Returns the text of `http.route`, without what must be hidden.
    pub(super) fn name(self, values: &Values<'_>, normalised: &[u8]) -> Option<String> {
        let (mut out, mut scratch) = (Vec::new(), Scratch::default());
        let mut text = Text {
            out: &mut out,
            scratch: &mut scratch,
            escape: values.plan.escape,
            plain: values.plain,
            watched: values.watched,
            redactor: values.redactor,
            pod: &PodNames::default(),
        };
        self.write(&mut text, normalised);
        let member = out.strip_prefix(b"\"route\":")?.strip_suffix(b",")?;
        serde_json::from_slice(member).ok()
    }

    /// Appends `http.route`; `normalised` is the buffer for routes.
    pub(super) fn write(self, text: &mut Text<'_>, normalised: &[u8]) {
        let out = &mut *text.out;
        match self {
            Self::Nothing => {}
            Self::Named(named) => out.extend_from_slice(&named.member),
            Self::Absent => out.extend_from_slice(b"\"route\":\"{not found}\","),
            Self::Normalised(escape) => {
                out.extend_from_slice(b"\"route\":\"");
                if text.watched || escape {
                    let cleaned = &mut text.scratch.cleaned;
                    text.redactor.clean(normalised, Scope::Value, cleaned);
                    json::text(out, &cleaned.text);
                } else {
                    out.extend_from_slice(normalised);
                }
                out.extend_from_slice(b"\",");
            }
        }
    }
}
