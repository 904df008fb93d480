//! The agent's saved positions (`docs/STATE.md`): the known contents and those that are finished.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::logs::FileId;

/// One checkpoint.
#[derive(Debug)]
pub(super) struct Positions(Vec<Value>);

impl Positions {
    /// `None` when it is empty or cut off: the agent would not accept it either.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_suffix(b"\n")?;
        let mut lines = body
            .split(|byte| *byte == b'\n')
            .map(serde_json::from_slice)
            .collect::<Result<Vec<Value>, _>>()
            .ok()?;
        lines.pop()?.get("crc32c")?;
        Some(Self(lines))
    }

    /// The ids of all contents that it knows.
    pub(super) fn streams(&self) -> HashSet<String> {
        self.entries().map(|(id, _)| id.to_owned()).collect()
    }

    /// The id of the content in this file, if it is known as unread or half read, and was not known `before`: a file
    /// may have the inode of one that is gone.
    pub(super) fn unfinished(
        &self,
        path: &Path,
        id: FileId,
        before: &HashSet<String>,
    ) -> Option<&str> {
        let path = path.to_string_lossy();
        let real = std::fs::canonicalize(&*path).unwrap_or_default();
        let here = |entry: &Value| {
            entry["device"] == id.device
                && entry["inode"] == id.inode
                && (entry["path"] == *path || entry["path"] == *real.to_string_lossy())
        };
        let mut found = self.entries().filter(|(stream, entry)| {
            here(entry) && entry["finished"] != true && !before.contains(*stream)
        });
        found.next().map(|(stream, _)| stream)
    }

    /// The id of the one content that was last seen at `path`.
    pub(super) fn only_at(&self, path: &Path) -> Option<&str> {
        let path = path.to_string_lossy();
        let mut found = self.entries().filter(|(_, entry)| entry["path"] == *path);
        let first = found.next().map(|(id, _)| id);
        first.filter(|_| found.next().is_none())
    }

    pub(super) fn knows(&self, stream: &str) -> bool {
        self.entries().any(|(id, _)| id == stream)
    }

    /// Whether this content was read to its end, with all lines settled; `length` where that is known.
    pub(super) fn is_done(&self, stream: &str, length: Option<u64>) -> bool {
        let done = |entry: &Value| {
            let read = entry["offset"].as_u64();
            entry["finished"] == true || length.is_some() && read >= length
        };
        self.entries()
            .any(|(id, entry)| id == stream && done(entry))
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .iter()
            .filter_map(|entry| Some((entry["stream"].as_str()?, entry)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SAVED: &str = concat!(
        r#"{"magic":"logweir checkpoint","version":1,"logs":["/l/a.log"]}"#,
        "\n",
        r#"{"stream":"01","path":"/l/a.log","device":7,"inode":12,"offset":90}"#,
        "\n",
        r#"{"stream":"02","path":"/l/a.log.1","device":7,"inode":11,"offset":80,"finished":true}"#,
        "\n",
        r#"{"crc32c":1}"#,
        "\n"
    );

    fn id(inode: u64) -> FileId {
        FileId { device: 7, inode }
    }

    #[test]
    fn what_is_cut_off_says_nothing() {
        assert!(Positions::parse(SAVED.as_bytes()).is_some());
        assert!((0..SAVED.len()).all(|end| Positions::parse(&SAVED.as_bytes()[..end]).is_none()));
    }

    #[test]
    fn a_file_is_known_by_its_place_its_inode_and_a_content_that_is_new() {
        let saved = Positions::parse(SAVED.as_bytes()).unwrap();
        let none = HashSet::new();
        let live = Path::new("/l/a.log");
        assert_eq!(saved.unfinished(live, id(12), &none), Some("01"));
        assert_eq!(saved.unfinished(live, id(13), &none), None);
        assert_eq!(saved.unfinished(Path::new("/l/b"), id(12), &none), None);
        let finished = Path::new("/l/a.log.1");
        assert_eq!(saved.unfinished(finished, id(11), &none), None);
        assert_eq!(saved.unfinished(live, id(12), &saved.streams()), None);
    }

    #[test]
    fn a_content_is_done_when_it_is_finished_or_settled_to_its_end() {
        let saved = Positions::parse(SAVED.as_bytes()).unwrap();
        assert!(saved.knows("01") && !saved.knows("03"));
        assert!(saved.is_done("02", None));
        assert!(!saved.is_done("01", None) && !saved.is_done("01", Some(91)));
        assert!(saved.is_done("01", Some(90)));
        assert!(!saved.is_done("03", Some(0)));
    }
}
