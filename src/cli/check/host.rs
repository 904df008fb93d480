//! The host of the agent: whether its name is stable and its state can be stored.
//!
//! Owns the check of the permissions of `data_dir`. Invariant: it changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{Access, access};

use super::super::Exit;
use super::names;
use super::report::Report;
use crate::agent;
use crate::config::Loaded;

/// The host, with a warning if its name or the state will not outlive a container.
pub(super) fn name(loaded: &Loaded, report: &mut Report) {
    let host = &loaded.config.host;
    let from = if loaded.host_is_set {
        ""
    } else {
        " (the system's name)"
    };
    report.item("host", &format!("{host}{from}"));
    for warning in agent::lasting(loaded) {
        report.warn(&warning);
    }
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
