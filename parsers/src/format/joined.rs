//! Adjacent variables that cannot be separated: `$http_host$request_uri`, `$uri$is_args$args`. They are read as one
//! text, which is then split where the grammars allow it.
//!
//! Owns which of them can be split and how a text is split. Refuses to know lines. Invariant: a text that could be read
//! in two ways is not split; it stays one value under the joined name.
//!
//! The rules for splitting (ngx_http_request.c, ngx_http_variables.c): a target begins with `/` or `?`;
//! `ngx_http_validate_host` accepts no `/`; `$is_args` is `?` exactly when `$args` has a value. Two assumptions are
//! nearly always true: a decoded `$uri` contains no `?`, and a `$http_host` that nginx refused (with a 400) contains no
//! `/`.

use super::grammar::{Grammar, Layout, Look};
use crate::bytes::ByteSet;
use crate::client;
use crate::escape::Escape;
use crate::variable::{Role, is_sent_by_client};

/// One of the variables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'f> {
    pub(super) field: u16,
    pub(super) name: &'f str,
    pub(super) grammar: Grammar,
    pub(super) look: Look,
}

/// The text of several variables.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    /// The field of the whole text, for lines in which it is not split.
    pub(crate) whole: u16,
    /// `None`: it is never split.
    pub(crate) cuts: Option<Cuts>,
}

/// How a text is split.
#[derive(Clone, Debug)]
pub(crate) struct Cuts {
    pub(crate) head: Option<Head>,
    pub(crate) tail: Tail,
}

/// The part before the target: one variable, or several that stay one text.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) field: u16,
    kind: HeadKind,
}

#[derive(Clone, Copy, Debug)]
enum HeadKind {
    /// A host, with or without a port.
    Host,
    /// An address.
    Address,
    /// Only these bytes; they include no `/` and no `?`.
    Bytes { set: ByteSet, empty: bool },
}

/// The request's target, or a part of it.
#[derive(Clone, Debug)]
pub(crate) enum Tail {
    /// `$request_uri`; `$uri` (`query` is false: it cannot begin with `?`).
    Target { field: u16, query: bool },
    /// `$uri$is_args$args`, `$is_args$args`.
    Parts {
        path: Option<u16>,
        is_args: u16,
        args: u16,
    },
}

/// The range of a field in the text, from its first byte to the one after its last.
pub(crate) type Cut = (u16, usize, usize);

/// The possible texts of these variables.
pub(super) fn look(members: &[Member<'_>], escape: Escape) -> Look {
    let has_list = members
        .iter()
        .any(|member| member.look.layout == Layout::List);
    let elements = union(members, |member| elements(&member.look));
    // The separators of a list are ordinary bytes if a neighbour can contain them.
    let as_list = has_list && !elements.has(b' ') && !elements.has(b',');
    let layout = if as_list { Layout::List } else { Layout::Run };
    let separators = if has_list && !as_list {
        ByteSet::of(b" ,:")
    } else {
        ByteSet::EMPTY
    };
    let wide = elements.or(separators);
    let narrow = union(members, |member| narrow(member, escape)).or(separators);
    Look {
        layout,
        wide,
        narrow: (narrow != wide && !as_list).then_some(narrow),
        first: wide,
        empty: members.iter().all(|member| member.look.empty),
        dash: false,
        pairs: members.iter().any(|member| member.look.pairs),
    }
}

fn union(members: &[Member<'_>], set: impl Fn(&Member<'_>) -> ByteSet) -> ByteSet {
    members
        .iter()
        .fold(ByteSet::EMPTY, |all, member| all.or(set(member)))
}

/// All bytes of a value, without the separators of lists.
fn elements(look: &Look) -> ByteSet {
    match look.layout {
        Layout::Fixed(fixed) => {
            (0..fixed.len()).fold(ByteSet::EMPTY, |all, place| all.or(fixed.at(place)))
        }
        Layout::Run | Layout::List => look.all(),
    }
}

fn narrow(member: &Member<'_>, escape: Escape) -> ByteSet {
    if is_host_text(member.name) {
        let text = Look::of(Grammar::Text, escape).wide;
        return text.without(ByteSet::of(b" "));
    }
    let dash = if member.look.dash {
        ByteSet::of(b"-")
    } else {
        ByteSet::EMPTY
    };
    match member.look.narrow {
        Some(narrow) => narrow.or(dash),
        None => elements(&member.look),
    }
}

/// Texts that contain a host: the header, and the host that Apache APISIX sends a request to (`set` in its ngx_tpl.lua,
/// as `$upstream_uri`).
fn is_host_text(name: &str) -> bool {
    matches!(name, "http_host" | "upstream_host")
}

/// Texts that contain the address of a client, except those that a client writes itself: it could shift its path with a
/// `/`.
fn is_client(name: &str) -> bool {
    Role::Client.variables().contains(&name) && !is_sent_by_client(name)
}

/// How the text of these variables is split; `None` if it cannot be. If several variables precede the target, `whole`
/// makes a field for all of them.
pub(super) fn cuts(
    members: &[Member<'_>],
    whole: &mut dyn FnMut(&[Member<'_>]) -> Option<u16>,
) -> Option<Cuts> {
    let (head, tail) = match members {
        [head @ .., path, is_args, args]
            if path.grammar == Grammar::Path
                && is_args.grammar == Grammar::IsArgs
                && args.grammar == Grammar::Query =>
        {
            let tail = Tail::Parts {
                path: Some(path.field),
                is_args: is_args.field,
                args: args.field,
            };
            (head, tail)
        }
        [is_args, args] if is_args.grammar == Grammar::IsArgs && args.grammar == Grammar::Query => {
            let tail = Tail::Parts {
                path: None,
                is_args: is_args.field,
                args: args.field,
            };
            (&[][..], tail)
        }
        [head @ .., target] => {
            let query = match target.grammar {
                Grammar::RequestUri => true,
                Grammar::Path => false,
                Grammar::Text if Role::Target.variables().contains(&target.name) => true,
                _ => return None,
            };
            let field = target.field;
            (head, Tail::Target { field, query })
        }
        [] => return None,
    };
    let head = match head {
        [] => None,
        [one] => Some(Head {
            field: one.field,
            kind: kind(one)?,
        }),
        // Together they can only be a host with some text before or after it.
        several => {
            several.iter().try_for_each(|one| kind(one).map(|_| ()))?;
            Some(Head {
                field: whole(several)?,
                kind: HeadKind::Host,
            })
        }
    };
    Some(Cuts { head, tail })
}

/// How to recognise a value before a target; `None` if it can contain a `/`.
fn kind(member: &Member<'_>) -> Option<HeadKind> {
    match member.grammar {
        Grammar::Host => Some(HeadKind::Host),
        Grammar::Text if is_host_text(member.name) => Some(HeadKind::Host),
        Grammar::Address => Some(HeadKind::Address),
        Grammar::Text if is_client(member.name) => Some(HeadKind::Address),
        Grammar::Number
        | Grammar::Port
        | Grammar::Scheme
        | Grammar::Method
        | Grammar::HexId
        | Grammar::CacheStatus => Some(HeadKind::Bytes {
            set: member.look.wide,
            empty: member.look.empty,
        }),
        _ => None,
    }
}

impl Cuts {
    /// The fields that the text is split into.
    pub(crate) fn fields(&self) -> impl Iterator<Item = u16> {
        let head = self.head.as_ref().map(|head| head.field);
        let tail = match self.tail {
            Tail::Target { field, .. } => [Some(field), None, None],
            Tail::Parts {
                path,
                is_args,
                args,
            } => [path, Some(is_args), Some(args)],
        };
        head.into_iter().chain(tail.into_iter().flatten())
    }

    /// Splits `text` into at most four fields. `None`: it must stay whole.
    pub(crate) fn of(&self, text: &[u8], escape: Escape) -> Option<[Option<Cut>; 4]> {
        let missing: &[u8] = match escape {
            Escape::Default => b"-",
            Escape::Json | Escape::None => b"",
        };
        let (head, from) = match &self.head {
            None => (None, 0),
            Some(head) => {
                let from = match text.iter().position(|byte| matches!(byte, b'/' | b'?')) {
                    Some(at)
                        if text[at] == b'?' && !matches!(head.kind, HeadKind::Bytes { .. }) =>
                    {
                        return None;
                    }
                    Some(at) => at,
                    // The target is absent, because it would begin with one of these.
                    None => without_target(text, &self.tail, missing)?,
                };
                let value = &text[..from];
                (value == missing || head.fits(value)).then_some(())?;
                (Some((head.field, 0, from)), from)
            }
        };
        let rest = &text[from..];
        let end = text.len();
        match self.tail {
            Tail::Target { field, query } => {
                let fits = match rest.first() {
                    Some(b'/') => true,
                    Some(b'?') => query,
                    _ => rest == missing,
                };
                fits.then_some([head, Some((field, from, end)), None, None])
            }
            Tail::Parts {
                path,
                is_args,
                args,
            } => {
                let begins = rest.first() == Some(&b'/');
                (path.is_none() || begins || is_twice(rest, missing)).then_some(())?;
                let (mark, after) = match memchr::memchr(b'?', rest) {
                    // Without a value of `$args` there is no `?`.
                    Some(at) if at + 1 == rest.len() => return None,
                    Some(at) => (from + at, from + at + 1),
                    None => {
                        let value = rest.strip_suffix(missing).unwrap_or(rest);
                        (from + value.len(), from + value.len())
                    }
                };
                if path.is_none() && mark != from {
                    return None;
                }
                let path = path.map(|path| (path, from, mark));
                Some([
                    head,
                    path,
                    Some((is_args, mark, after)),
                    Some((args, after, end)),
                ])
            }
        }
    }
}

/// The end of the text before an absent target.
fn without_target(text: &[u8], tail: &Tail, missing: &[u8]) -> Option<usize> {
    let before = text.strip_suffix(missing)?;
    let before = match tail {
        Tail::Target { .. } => before,
        Tail::Parts { .. } => before.strip_suffix(missing)?,
    };
    Some(before.len())
}

fn is_twice(text: &[u8], missing: &[u8]) -> bool {
    text.strip_prefix(missing) == Some(missing)
}

impl Head {
    fn fits(&self, value: &[u8]) -> bool {
        match self.kind {
            HeadKind::Host => is_host_and_port(value),
            HeadKind::Address => client::address(value).is_some(),
            HeadKind::Bytes { set, empty } => {
                (empty || !value.is_empty()) && value.iter().all(|byte| set.has(*byte))
            }
        }
    }
}

/// `shop.example`, `shop.example:8080`, `[::1]:80`. A `:` without a number after it more likely belongs to a target
/// with a scheme: `shop.example` and `http://…`.
fn is_host_and_port(value: &[u8]) -> bool {
    let (name, port) = match value {
        [b'[', rest @ ..] => match memchr::memchr(b']', rest) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => return false,
        },
        _ => value.split_at(memchr::memchr(b':', value).unwrap_or(value.len())),
    };
    let bracketed = value.first() == Some(&b'[');
    let fits =
        |byte: &u8| *byte > b' ' && !b"?#@[]/<>".contains(byte) && (bracketed || *byte != b':');
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !name.is_empty() && name.iter().all(fits) && port_fits
}
