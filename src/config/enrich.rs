//! The section `[enrich]`: sources of fields that the log lines do not contain.
//!
//! Owns the list of sources and checks that each is usable. Refuses to know how they are queried. Invariant: only one
//! source fills a field.

use std::path::Path;
use std::sync::Arc;

use super::fields::overlap;
use super::logs::Log;
use super::ports::Files;
use super::problem::Problem;
use super::raw::Raw;
use super::scope::Scope;
use super::settings::Section;
use super::units::Bytes;
use super::{Note, or_before};
use crate::enrich::{Content, Enrich, EnrichFile};

pub(super) fn read(
    raw: &Raw,
    logs: &[Log],
    files: &dyn Files,
    before: Option<&Enrich>,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> Enrich {
    let values = raw.sections.get(&Section::Enrich);
    let mut scope = Scope::new(Section::Enrich, values, problems);
    let (user_agent, geoip, asn) = match before {
        Some(before) => (
            Some(&before.user_agent),
            Some(&before.geoip),
            Some(&before.asn),
        ),
        None => (None, None, None),
    };
    Enrich {
        user_agent: file(&mut scope, logs, files, user_agent, notes),
        geoip: file(&mut scope, logs, files, geoip, notes),
        asn: file(&mut scope, logs, files, asn, notes),
    }
}

/// One source, if it is set and usable.
type Ready<T> = Option<Arc<EnrichFile<T>>>;

fn file<T: Content>(
    scope: &mut Scope<'_>,
    logs: &[Log],
    files: &dyn Files,
    before: Option<&Ready<T>>,
    notes: &mut Vec<Note>,
) -> Ready<T> {
    let earlier = scope.problems().len();
    let now = file_now(scope, logs, files);
    or_before(now, before, earlier, scope.problems(), notes)
}

fn file_now<T: Content>(scope: &mut Scope<'_>, logs: &[Log], files: &dyn Files) -> Ready<T> {
    let (text, origin) = scope.text(T::SETTING)?;
    let mapped = logs.iter().flat_map(|log| &log.fields);
    let mut mapped = mapped.map(|field| &field.name);
    if let Some(name) = mapped.find(|name| T::FILLS.iter().any(|fills| overlap(fills, name))) {
        let why = "fills a field that fields of [[logs]] sets too; keep one of the two";
        scope.bad(T::SETTING, origin.clone(), name, why);
    }
    // users may try `true` or `false` here
    if !Path::new(&text).is_absolute() {
        let why = format!(
            "is no path from / on; write that of {}, or leave {} out and do without {}",
            T::WANTED,
            T::SETTING,
            T::FILLS.join(", ")
        );
        scope.bad(T::SETTING, origin, &text, why);
        return None;
    }
    let (path, bytes) = scope.file_up_to(T::SETTING, files, T::MOST)?;
    let size = Bytes::new(bytes.len() as u64);
    match EnrichFile::new(path, bytes, &size) {
        Ok(file) => Some(Arc::new(file)),
        Err(error) => {
            scope.bad(T::SETTING, origin, &text, error.to_string());
            None
        }
    }
}
