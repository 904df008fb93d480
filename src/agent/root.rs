//! Whether the agent runs as root although its logs do not need that.
//!
//! Owns the advice. Invariant: it changes nothing and opens nothing. It guards against an agent that reads text of clients
//! with all rights on the host, where the rights of a group would be enough.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

/// Names of groups (group(5)).
const GROUPS: &str = "/etc/group";

/// The hint what to do instead of running as root, if all these logs can be read without; `data_dir` is the agent's own.
pub(crate) fn needless<'p>(
    logs: impl IntoIterator<Item = &'p Path>,
    data_dir: &Path,
) -> Option<String> {
    geteuid().is_root().then_some(())?;
    let groups = groups(logs)?;
    let names: Vec<String> = groups.into_iter().map(group).collect();
    let data_dir = data_dir.display();
    let (who, join, unit) = match names.as_slice() {
        [] => ("any user".to_owned(), String::new(), String::new()),
        names => {
            let all = names.join(" and ");
            let join = format!(", usermod -aG {} logweir", names.join(","));
            let unit = format!(" SupplementaryGroups={}", names.join(" "));
            (format!("the group {all}"), join, unit)
        }
    };
    Some(format!(
        "logweir runs as root and need not: {who} may read all logs; let it run as a user of its own (useradd --system \
         logweir{join}, chown -R logweir {data_dir}; in the unit User=logweir{unit})"
    ))
}

/// The groups that are needed to read all these files; `None` where only root may, or where there is none.
fn groups<'p>(logs: impl IntoIterator<Item = &'p Path>) -> Option<BTreeSet<u32>> {
    let (mut groups, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut any = false;
    for log in logs {
        any = true;
        allow(&fs::metadata(log).ok()?, 0o4, &mut groups)?;
        for (up, directory) in log.ancestors().skip(1).enumerate() {
            // The folder that holds the log needs the right to read, its parents the right to search.
            let needed = if up == 0 { 0o5 } else { 0o1 };
            if seen.insert((directory.to_owned(), needed)) {
                allow(&fs::metadata(directory).ok()?, needed, &mut groups)?;
            }
        }
    }
    any.then_some(groups)
}

/// Adds the group that has the right, unless everybody has it; `None` when no group has it, or only root's.
fn allow(metadata: &Metadata, needed: u32, groups: &mut BTreeSet<u32>) -> Option<()> {
    let (mode, group) = (metadata.mode(), metadata.gid());
    if mode & needed == needed {
        return Some(());
    }
    let may = group != 0 && (mode >> 3) & needed == needed;
    may.then(|| _ = groups.insert(group))
}

fn group(id: u32) -> String {
    let text = fs::read_to_string(GROUPS).unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_rights_of_logs_and_directories_decide_which_groups_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        fs::write(&log, "").unwrap();
        let mode =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let found = || groups([log.as_path()]);
        mode(folder.path(), 0o755);
        mode(&log, 0o644);
        assert_eq!(found(), Some(BTreeSet::new()));
        mode(&log, 0o600);
        assert_eq!(found(), None);
        mode(&log, 0o644);
        mode(folder.path(), 0o700);
        assert_eq!(found(), None);
        assert_eq!(groups([]), None);
    }

    #[test]
    fn a_group_that_may_read_is_named_but_never_that_of_root() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        fs::write(&log, "").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&log, Permissions::from_mode(0o640)).unwrap();
        let own = fs::metadata(&log).unwrap().gid();
        let expected = (own != 0).then(|| BTreeSet::from([own]));
        assert_eq!(groups([log.as_path()]), expected);
        if geteuid().is_root() {
            std::os::unix::fs::chown(&log, None, Some(4)).unwrap();
            let advice = needless([log.as_path()], Path::new("/var/lib/logweir")).unwrap();
            assert!(
                advice.contains("the group adm may read all logs"),
                "{advice}"
            );
            assert!(advice.contains("SupplementaryGroups=adm"), "{advice}");
        }
    }
}
