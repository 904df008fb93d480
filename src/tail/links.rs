//! Decides whether a file behind a link may be read.
//!
//! Owns: the rule and its message. Refuses to know: how a path is walked. Invariant: in a directory that a user other
//! than root or the agent's own may write to, a symbolic link, or a file with several names, is read only when the file
//! belongs to that directory's owner or to nginx's user. The failure it guards against: a user who may write to a
//! directory of logs puts a link to `/etc/shadow` there, and the agent, which may read more, indexes it.

use std::path::Path;

use super::access::user_name;
use super::discover::Candidate;
use super::fs::{FileSystem, Holder, Metadata, Way};
use super::stats::{Leaves, Problem};
use super::tailer::Tailer;
use super::track::Track;
use crate::clock::Clock;

/// Write permission of the group and of all others.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Which users' links are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// The setting allows every link.
    pub always: bool,
    /// The agent's own user, who gains nothing by making a link.
    pub own: u32,
    /// The user of nginx's workers, where it is known.
    pub nginx: Option<u32>,
}

/// A file that is not read because of how its path leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The directory to which other users may write.
    holder: Holder,
    symbolic: bool,
    owner: u32,
}

impl Links {
    /// The users whose files may be read by this way; `None` if all users' files may be. If a file has several names
    /// (`names`), another user may have made one of them.
    pub(super) fn owners(&self, way: &Way, names: u64) -> Option<Vec<u32>> {
        let mut owners: Option<Vec<u32>> = None;
        for holder in self.open_to_others(way, names) {
            let own = [holder.owner]
                .into_iter()
                .filter(|user| self.is_other(*user));
            let nginx = self.nginx.filter(|user| *user != 0);
            let allowed: Vec<u32> = own.chain(nginx).collect();
            match &mut owners {
                Some(owners) => owners.retain(|owner| allowed.contains(owner)),
                None => owners = Some(allowed),
            }
        }
        owners
    }

    /// Why the file at the end of `way` is not read; `None` if it is read. `found_by`: the file was found beside the
    /// target of a link that leads only to files of these users.
    pub(super) fn refuse(
        &self,
        way: &Way,
        file: &Metadata,
        found_by: Option<&[u32]>,
    ) -> Option<Refusal> {
        let owners = self.owners(way, file.links);
        let is_refused = |owners: &[u32]| !owners.contains(&file.owner);
        if !owners.as_deref().is_some_and(is_refused) && !found_by.is_some_and(is_refused) {
            return None;
        }
        let holder = self.open_to_others(way, file.links).next();
        let holder = holder.unwrap_or(&way.directory).clone();
        let symbolic = found_by.is_some() || way.links.contains(&holder);
        Some(Refusal {
            holder,
            symbolic,
            owner: file.owner,
        })
    }

    fn open_to_others<'w>(&'w self, way: &'w Way, names: u64) -> impl Iterator<Item = &'w Holder> {
        let hard = (names > 1).then_some(&way.directory);
        let holders = way.links.iter().chain(hard);
        holders.filter(|holder| {
            !self.always && (self.is_other(holder.owner) || holder.mode & OTHERS_MAY_WRITE != 0)
        })
    }

    fn is_other(&self, user: u32) -> bool {
        user != 0 && user != self.own
    }
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether a file is not read because of the way its path led to it. Only a file of a log is reported.
    pub(super) fn is_refused(
        &mut self,
        candidate: &Candidate,
        way: &Way,
        metadata: &Metadata,
    ) -> bool {
        let Some(refusal) = candidate.refused(&self.settings.links, way, metadata) else {
            return false;
        };
        self.scan.refused.insert(metadata.inode);
        if candidate.names.is_empty() || self.is_expired(candidate) {
            return true;
        }
        let problem = Problem::new(&candidate.path, refusal.text(&self.fs));
        self.stats.problems.push(problem.leaving(Leaves::Input));
        // Positions that were saved before the directory got another owner do not count as lost.
        let is_known =
            |track: &Track| track.inode == metadata.inode && candidate.names.contains(&track.name);
        if self.streams.tracks().any(is_known) {
            self.scan.is_complete = false;
        }
        true
    }
}

impl Refusal {
    /// The problem and the hint; continues a sentence that begins with the path.
    pub(super) fn text<F: FileSystem>(&self, fs: &F) -> String {
        let what = match self.symbolic {
            true => "is reached by a symbolic link",
            false => "has more than one name (hard links)",
        };
        let Holder { path, owner, mode } = &self.holder;
        let who = match (*owner, mode & OTHERS_MAY_WRITE) {
            (owner, 0) => format!("belongs to the user {}", user_name(fs, owner)),
            _ => "may be written by its group or by all".to_owned(),
        };
        format!(
            "{what} in {path}, which {who}, and is a file of the user {target}: it is not read, because whoever may \
             write there could have any file indexed; let root own {path} and nobody else write there (chown root, \
             chmod go-w), or give the file to the directory's owner or to nginx's user, or set follow_links = \"always\"",
            path = shown(path),
            target = user_name(fs, self.owner),
        )
    }
}

/// A path for a message, escaped: any user may have named its directories.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::fs::FileKind;

    const ROOT: u32 = 0;
    const WWW: u32 = 33;
    const BOB: u32 = 1000;
    const AGENT: u32 = 990;

    fn directory(owner: u32, mode: u32) -> Holder {
        Holder {
            path: "/logs".into(),
            owner,
            mode,
        }
    }

    fn file(owner: u32, links: u64) -> Metadata {
        Metadata {
            inode: (1, 1),
            size: 0,
            modified: 0,
            links,
            kind: FileKind::File,
            owner,
            group: 0,
            mode: 0o640,
        }
    }

    /// Whether a plain name, a symbolic link, and a file with two names may be read.
    fn allowed(links: &Links, holder: &Holder, owner: u32) -> [bool; 3] {
        let plain = Way {
            links: vec![],
            directory: holder.clone(),
            real: "/logs/access.log".into(),
        };
        let linked = Way {
            links: vec![holder.clone()],
            directory: directory(ROOT, 0o755),
            real: "/data/access.log".into(),
        };
        let may = |way, names| links.refuse(way, &file(owner, names), None).is_none();
        [may(&plain, 1), may(&linked, 1), may(&plain, 2)]
    }

    #[test]
    fn write_access_to_a_directory_decides_which_of_its_links_are_followed() {
        let root = Links {
            nginx: Some(WWW),
            ..Links::default()
        };
        let agent = Links {
            own: AGENT,
            ..root.clone()
        };
        const ALL: [bool; 3] = [true; 3];
        const PLAIN: [bool; 3] = [true, false, false];
        // the agent, the directory's owner and mode, the file's owner
        let cases = [
            (&root, (ROOT, 0o755), ROOT, ALL),
            (&root, (ROOT, 0o755), BOB, ALL),
            (&root, (WWW, 0o755), ROOT, PLAIN),
            (&root, (WWW, 0o555), ROOT, PLAIN),
            (&root, (WWW, 0o755), WWW, ALL),
            (&root, (WWW, 0o755), BOB, PLAIN),
            (&root, (BOB, 0o755), BOB, ALL),
            (&root, (BOB, 0o755), WWW, ALL),
            (&root, (BOB, 0o755), ROOT, PLAIN),
            (&root, (ROOT, 0o775), ROOT, PLAIN),
            (&root, (ROOT, 0o1777), ROOT, PLAIN),
            (&root, (ROOT, 0o1777), BOB, PLAIN),
            (&root, (ROOT, 0o1777), WWW, ALL),
            (&agent, (AGENT, 0o755), ROOT, ALL),
            (&agent, (AGENT, 0o775), AGENT, PLAIN),
            (&agent, (ROOT, 0o755), ROOT, ALL),
            (&agent, (WWW, 0o755), ROOT, PLAIN),
            (&agent, (WWW, 0o755), AGENT, PLAIN),
        ];
        for (links, (owner, mode), target, expected) in cases {
            let found = allowed(links, &directory(owner, mode), target);
            assert_eq!(found, expected, "{links:?} {owner} {mode:o} {target}");
        }
    }

    #[test]
    fn a_setting_allows_every_link_and_root_as_nginx_user_allows_none() {
        let always = Links {
            always: true,
            ..Links::default()
        };
        assert_eq!(allowed(&always, &directory(WWW, 0o777), ROOT), [true; 3]);
        let nginx_is_root = Links {
            nginx: Some(ROOT),
            ..Links::default()
        };
        let found = allowed(&nginx_is_root, &directory(WWW, 0o755), ROOT);
        assert_eq!(found, [true, false, false]);
    }

    #[test]
    fn each_of_several_links_on_the_way_must_be_allowed() {
        let links = Links::default();
        let way = |holders: &[Holder]| Way {
            links: holders.to_vec(),
            directory: directory(ROOT, 0o755),
            real: "/data/access.log".into(),
        };
        let (safe, www, bob) = (
            directory(ROOT, 0o755),
            directory(WWW, 0o755),
            directory(BOB, 0o755),
        );
        let may = |holders: &[Holder], owner| {
            links.refuse(&way(holders), &file(owner, 1), None).is_none()
        };
        assert!(may(&[safe.clone(), www.clone()], WWW));
        assert!(!may(&[safe.clone(), www.clone()], BOB));
        assert!(!may(&[www.clone(), bob.clone()], WWW));
        assert!(!may(&[www, bob], BOB));
    }
}
