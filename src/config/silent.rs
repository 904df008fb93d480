//! Reports servers of nginx.conf that log nothing.
//!
//! Owns the interpretation of `access_log off` and `/dev/null` for this purpose. Invariant: a server that writes a log,
//! even in one location only, is not reported: it is common not to log health checks.

use std::collections::HashSet;

use logweir_parsers::nginx_conf::{AccessLog, NginxConf, Reason, Tailable, Writer};

use super::Note;
use super::nginx::note;

/// Most servers and positions in a message.
const NAMED: usize = 3;

/// The note about them; none if every server logs something.
pub(super) fn note_of(conf: &NginxConf) -> Option<Note> {
    let is_off =
        |log: &&AccessLog| matches!(log.tailable, Tailable::No(Reason::Off | Reason::Null));
    let writers = |off: bool| {
        let logs = conf.logs.iter().filter(move |log| is_off(log) == off);
        logs.flat_map(|log| &log.writers)
    };
    let logging: HashSet<usize> = writers(false)
        .flat_map(|writer| writer.servers.iter().copied())
        .collect();
    let is_silent = |at: &usize| !logging.contains(at);
    let silent: Vec<&Writer> = writers(true)
        .filter(|writer| writer.servers.iter().any(is_silent))
        .collect();
    let servers: HashSet<usize> = silent
        .iter()
        .flat_map(|writer| writer.servers.iter().copied())
        .filter(is_silent)
        .collect();
    // An http block without servers is reported too, if there is no other.
    let first = match silent.first() {
        Some(first) => *first,
        None if writers(false).next().is_none() => writers(true).next()?,
        None => return None,
    };
    let whose = if writers(false).next().is_none() {
        "nothing is logged".to_owned()
    } else {
        let mut servers: Vec<usize> = servers.into_iter().collect();
        servers.sort_unstable();
        let names = servers.iter().filter_map(|at| conf.servers.get(*at));
        let names: Vec<String> = names
            .map(|server| match server.names.first() {
                Some(name) if !name.is_empty() => name.clone(),
                _ => format!("the server at {}", server.position),
            })
            .collect();
        format!("nothing is logged for {}", some(&names))
    };
    let places: Vec<String> = silent
        .iter()
        .skip(1)
        .map(|writer| writer.position.to_string())
        .collect();
    let also = match places.as_slice() {
        [] => String::new(),
        places => format!(" (also at {})", some(places)),
    };
    let text = format!(
        "{whose}: access_log is off, or /dev/null, here{also}; where requests are to be indexed, name a file, as in \
         access_log /var/log/nginx/access.log;"
    );
    Some(note(&first.position, text))
}

/// The first ones of a list, with the number of the others.
fn some(texts: &[String]) -> String {
    let shown = texts.iter().take(NAMED).cloned().collect::<Vec<_>>();
    match texts.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
