//! The host of the agent: whether its name is stable and its state can be stored.
//!
//! Owns the pattern of a container's name and the check of the permissions of `data_dir`. Invariant: it changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{Access, access};

use super::super::Exit;
use super::report::Report;
use super::{container, names};
use crate::agent;
use crate::config::Loaded;

/// Length of the ids that Docker names containers by.
const ID_LENGTHS: [usize; 2] = [12, 64];

/// The host, with a warning if its name will not outlive a container.
pub(super) fn name(loaded: &Loaded, report: &mut Report) {
    let host = &loaded.config.host;
    let from = if loaded.host_is_set {
        ""
    } else {
        " (the system's name)"
    };
    report.item("host", &format!("{host}{from}"));
    if loaded.host_is_set {
        return;
    }
    let why = if is_container_id(host) {
        "the name looks like a container's id".to_owned()
    } else if let Some(sign) = container::sign(Path::new("/"), container::variable) {
        format!("this is a container ({sign}), whose name may change when it is made anew")
    } else {
        return;
    };
    report.warn(&format!(
        "{why}; the host is part of each line's identity: set host to a name that outlives the container"
    ));
}

fn is_container_id(host: &str) -> bool {
    ID_LENGTHS.contains(&host.len())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether this user can write the state directory.
pub(super) fn data_dir(path: &Path, report: &mut Report) {
    let shown = path.display();
    let user = names::user();
    let fail = |report: &mut Report, at: &Path, error: &std::io::Error| {
        report.item("data_dir", &shown.to_string());
        let exit = match error.kind() {
            ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::CannotCreate,
        };
        let text = format!(
            "data_dir: {} cannot be written by {user} ({error}); make {shown} a folder of that user, or set \
             data_dir",
            at.display()
        );
        report.fail(exit, &text);
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => fail(report, path, &ErrorKind::NotADirectory.into()),
        Ok(_) => match may_write(path) {
            Ok(()) => {
                report.item("data_dir", &format!("{shown}, writable"));
                if let Some(warning) = agent::state_too_wide(path) {
                    report.warn(&warning);
                }
            }
            Err(error) => fail(report, path, &error),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = path.ancestors().find(|parent| parent.exists());
            match parent.map(|parent| (parent, may_write(parent))) {
                Some((parent, Err(error))) => fail(report, parent, &error),
                _ => report.item("data_dir", &format!("{shown}, will be made")),
            }
        }
        Err(error) => fail(report, path, &error),
    }
}

fn may_write(folder: &Path) -> std::io::Result<()> {
    Ok(access(
        folder,
        Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_ids_are_recognised_by_their_form() {
        assert!(is_container_id("3f2a9c0d11be"));
        assert!(is_container_id(&"0a".repeat(32)));
        assert!(!is_container_id("web-07"));
        assert!(!is_container_id("webserver-07"));
        assert!(!is_container_id("3f2a9c0d11b"));
    }
}
