//! Users and groups by name: the user that runs the check, and the groups that may read a file that the user cannot read.
//!
//! Owns the reading of `/etc/passwd` and `/etc/group` (passwd(5), group(5)) and the advice that follows from
//! a file's mode. Invariant: it never fails; an id without a name is shown as the number.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{geteuid, getgroups};

/// Read permission of the group and of all others, among the bits of a mode.
const GROUP_MAY_READ: u32 = 0o040;
const OTHERS_MAY_READ: u32 = 0o004;
/// Permission to search a folder.
const OTHERS_MAY_PASS: u32 = 0o001;

/// The user whose rights count.
pub(super) fn user() -> String {
    name_in("/etc/passwd", geteuid().as_raw())
}

/// Whether the user may read every file.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// The group that owns a file.
pub(super) fn group(id: u32) -> String {
    name_in("/etc/group", id)
}

/// How this user could get access to a file; continues the reason why the file is unreadable.
pub(super) fn who_may_read(path: &Path) -> String {
    let Some((at, metadata)) = blocked(path) else {
        return String::new();
    };
    let group = group(metadata.gid());
    let what = if at == path {
        "it".to_owned()
    } else {
        at.display().to_string()
    };
    let is_member =
        getgroups().is_ok_and(|groups| groups.iter().any(|id| id.as_raw() == metadata.gid()));
    if metadata.mode() & GROUP_MAY_READ != 0 && !is_member {
        format!(
            "; the group {group} may read {what}: let the user {} join it (usermod -aG {group} {}, or \
             SupplementaryGroups={group} in the unit)",
            user(),
            user()
        )
    } else {
        format!(
            "; only {} may read {what}: let its group read it (logrotate: create 0640 {} adm)",
            name_in("/etc/passwd", metadata.uid()),
            name_in("/etc/passwd", metadata.uid())
        )
    }
}

/// The first folder of the path that cannot be entered, or the file itself.
fn blocked(path: &Path) -> Option<(&Path, fs::Metadata)> {
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    for at in way {
        let metadata = fs::metadata(at).ok()?;
        let needed = if metadata.is_dir() {
            OTHERS_MAY_PASS
        } else {
            OTHERS_MAY_READ
        };
        let closed = metadata.mode() & needed == 0;
        if closed && (at == path || fs::read_dir(at).is_err()) {
            return Some((at, metadata));
        }
    }
    None
}

fn name_in(file: &str, id: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    find(&text, id).map_or_else(|| id.to_string(), str::to_owned)
}

fn find(text: &str, id: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == id).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_ids() {
        let text = "root:x:0:\nadm:x:4:syslog,ubuntu\n\nbroken\n";
        assert_eq!(find(text, 4), Some("adm"));
        assert_eq!(find(text, 5), None);
    }
}
