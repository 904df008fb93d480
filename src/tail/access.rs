//! Finds the group that would let this user read a file that it cannot read.
//!
//! Owns: the advice after "Permission denied". Refuses to know: why the file is read. Invariant: it never fails; a
//! group without a name is shown by its number. The failure it guards against: an operator sees that a rotated log
//! became unreadable, but not what to do about it.

use std::path::Path;

use super::fs::{FileKind, FileSystem, Metadata};

/// Names of groups and users (group(5), passwd(5)).
const GROUPS: &str = "/etc/group";
const USERS: &str = "/etc/passwd";

/// Read permission of the group, and permission to traverse a directory.
const GROUP_MAY_READ: u32 = 0o040;
const GROUP_MAY_PASS: u32 = 0o010;

/// What would let this user read `path`; the message appends it to the reason.
pub(super) fn who_may_read<F: FileSystem>(fs: &F, path: &Path) -> String {
    // The first of these that is known and cannot be passed is the obstacle.
    let barred = path
        .ancestors()
        .find_map(|at| fs.metadata(at).ok().map(|metadata| (at, metadata)));
    let Some((
        at,
        Metadata {
            group, mode, kind, ..
        },
    )) = barred
    else {
        return String::new();
    };
    let what = if at == path {
        "it".to_owned()
    } else {
        at.display().to_string()
    };
    let needed = match kind {
        FileKind::Directory => GROUP_MAY_READ | GROUP_MAY_PASS,
        _ => GROUP_MAY_READ,
    };
    let group = group_name(fs, group);
    if mode & needed == needed {
        format!(
            "; the group {group} may read {what}: let logweir's user join it (usermod -aG {group} USER, or \
             SupplementaryGroups={group} in the unit); nothing is lost as long as the file is kept"
        )
    } else {
        format!(
            "; not even its group {group} may read {what}: let the group read it (logrotate: create 0640 … adm); \
             nothing is lost as long as the file is kept"
        )
    }
}

fn group_name<F: FileSystem>(fs: &F, id: u32) -> String {
    name_in(fs, GROUPS, id)
}

/// The name of a user, or its number.
pub(super) fn user_name<F: FileSystem>(fs: &F, id: u32) -> String {
    name_in(fs, USERS, id)
}

/// The number of the user with this name, if there is one.
pub(crate) fn user_id<F: FileSystem>(fs: &F, name: &str) -> Option<u32> {
    let text = fs.read(Path::new(USERS)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut users = text.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn name_in<F: FileSystem>(fs: &F, file: &str, id: u32) -> String {
    let text = fs.read(Path::new(file)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == id).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}
