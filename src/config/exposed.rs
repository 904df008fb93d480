//! Reports secrets of the configuration that other users of this host can read.
//!
//! Owns the rule for other users: everybody, or a group that this user is not in. Root's groups do not show those of the
//! agent, so root gets a note only for files that everybody can read. Refuses to know the purpose of a secret: the table
//! of settings lists them. Invariant: no message shows a secret, and an exposed secret is no error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Note;
use super::ports::{Files, Readers};
use super::problem::Origin;
use super::raw::{Raw, Value};
use super::settings::{Section, SettingKind, find};

/// The only file with a secret that no setting can hold instead.
const CLIENT_KEY: &str = "client_key";

/// A note for each file with a secret that others can read.
pub(super) fn notes(raw: &Raw, files: &dyn Files) -> Vec<Note> {
    let mut found: BTreeMap<PathBuf, (Origin, Vec<String>)> = BTreeMap::new();
    for (section, values) in &raw.sections {
        for (name, given) in &values.given {
            let Value::Text(text) = &given.value else {
                continue;
            };
            let key = match section {
                Section::Top => (*name).to_owned(),
                section => format!("{}.{name}", section.name()),
            };
            let path = match &given.origin {
                _ if names_secret_file(*section, name) => PathBuf::from(text),
                Origin::File { path, .. } if is_secret(*section, name, text) => path.to_path_buf(),
                _ => continue,
            };
            let about = found.entry(path);
            let (_, keys) = about.or_insert_with(|| (given.origin.clone(), Vec::new()));
            keys.push(key);
        }
    }
    let notes = found.into_iter().filter_map(|(path, (origin, keys))| {
        let text = exposed(&path, &keys.join(", "), files)?;
        Some(Note { origin, text })
    });
    notes.collect()
}

fn is_secret(section: Section, name: &str, text: &str) -> bool {
    let is_secret = find(section, name).is_some_and(|setting| setting.kind == SettingKind::Secret);
    // A proxy's address is secret only if it contains a password.
    is_secret && (name != "proxy" || text.contains('@'))
}

fn names_secret_file(section: Section, name: &str) -> bool {
    let secret = name.strip_suffix("_file");
    let secret = secret.and_then(|secret| find(section, secret));
    name == CLIENT_KEY || secret.is_some_and(|setting| setting.kind == SettingKind::Secret)
}

fn exposed(path: &Path, keys: &str, files: &dyn Files) -> Option<String> {
    let shown = path.display();
    // Reading the file has already reported an inaccessible one.
    match files.readers(path).ok()? {
        Readers::Own => None,
        Readers::Everybody { mode } => Some(format!(
            "{keys}: every user of this host can read {shown} (mode {mode:04o}), which holds a secret; let only the \
             agent's user or group read it: chmod 0640 {shown}"
        )),
        Readers::Group { mode, group } => Some(format!(
            "{keys}: the group {group} can read {shown} (mode {mode:04o}), which holds a secret, and this user is not in \
             that group; give the file to a group of the agent's own, or take the right away: chmod g-rwx {shown}"
        )),
    }
}
