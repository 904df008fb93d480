//! Reports formats without data that records need: the time of a request and its client.
//!
//! Owns the texts of these notes. Invariant: a format is checked only for logs that are known to use it, and each
//! missing part is reported once, with these logs.

use std::collections::{BTreeMap, HashMap};

use logweir_parsers::Format;
use logweir_parsers::client::ClientFields;
use logweir_parsers::event_time::has_time;
use logweir_parsers::nginx_conf::AccessLog;

use super::fields::{Field, variable_of};
use super::logs::Log;
use super::nginx::{Nginx, note};
use super::problem::Origin;
use super::{NamedFormat, Note};

/// The effect of a missing time; continues a sentence after "no".
pub(crate) const NO_TIME: &str = "time: lines go to the index of unparsed lines, which no life cycle deletes ($msec; \
                                  or name a variable of your own: fields = { \"@timestamp\" = \"$VARIABLE\" })";
/// The effect of a missing client; continues a sentence after "no".
pub(crate) const NO_CLIENT: &str = "client address: nobody can be counted, and dashboards stay empty ($remote_addr; or \
                                    name a variable of your own: fields = { \"source.ip\" = \"$VARIABLE\" })";
/// Most logs that a note names; it counts the others.
const NAMED: usize = 3;

/// The logs of a format that lacks something.
#[derive(Default)]
struct Written {
    first: Vec<String>,
    more: usize,
}

/// One note for each format and missing part.
pub(super) fn notes(logs: &[Log], nginx: Option<&Nginx>) -> Vec<Note> {
    let known = nginx.iter().flat_map(|nginx| &nginx.conf.logs);
    let known: HashMap<String, &AccessLog> =
        known.map(|log| (globset::escape(&log.path), log)).collect();
    let mut found: BTreeMap<(String, &'static str), Written> = BTreeMap::new();
    let mut look = |named: &NamedFormat, fields: &[Field], path: &str| {
        for lack in lacks(&named.format, fields) {
            let written = found.entry((named.name.clone(), lack)).or_default();
            if written.first.len() < NAMED {
                written.first.push(path.to_owned());
            } else {
                written.more += 1;
            }
        }
    };
    for log in logs {
        for path in &log.paths {
            match (log.auto, nginx.zip(known.get(path))) {
                (true, Some((nginx, of_nginx))) => nginx
                    .formats_of(of_nginx)
                    .iter()
                    .for_each(|named| look(named, &log.fields, &of_nginx.path)),
                // its lines may have any format
                (true, None) => {}
                (false, _) => log
                    .formats
                    .iter()
                    .for_each(|named| look(named, &log.fields, path)),
            }
        }
    }
    let note_of = |((format, lack), Written { first, more }): ((String, _), _)| {
        let first = first.join(", ");
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!("the format {format} of {first}{more} has no {lack}");
        match nginx.and_then(|nginx| nginx.conf.format(&format)) {
            Some(known) => note(&known.position, text),
            None => Note {
                origin: Origin::Nowhere,
                text,
            },
        }
    };
    found.into_iter().map(note_of).collect()
}

fn lacks(format: &Format, fields: &[Field]) -> impl Iterator<Item = &'static str> {
    let clients = ClientFields::of(format, variable_of(fields, "source.ip"));
    let present = [
        (has_time(format, variable_of(fields, "@timestamp")), NO_TIME),
        (clients.source().is_some(), NO_CLIENT),
    ];
    present
        .into_iter()
        .filter(|(is_present, _)| !is_present)
        .map(|(_, lack)| lack)
}
