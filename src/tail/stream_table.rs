//! The known facts about each stream, whether its file is open, closed or deleted.
//!
//! Owns: the tracks, the indices by which a file's first line leads to them, the names of all logs ever seen, and the
//! assignments of contents whose positions were lost. Refuses to know: files, directories and clocks; it reads nothing.
//! Invariant: a track that has an identity is found by it, and by its first line if that is known. The failure it
//! guards against: a file whose content was read before is taken for a new stream, because an index lost its track.

mod saved;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::assignments::Assignment;
use super::identity::{Position, beginning, stream_id};
use super::track::Track;
use super::{FileKey, StreamId};

/// The tracks of all known streams.
pub(super) struct StreamTable {
    /// The host in every stream id.
    host: String,
    tracks: BTreeMap<FileKey, Track>,
    by_stream: HashMap<StreamId, Vec<FileKey>>,
    /// The tracks by the hash of their first lines.
    by_beginning: HashMap<u64, Vec<FileKey>>,
    /// Logs that have tracks with an unknown first line: an older checkpoint did not save it.
    without_beginning: HashSet<Arc<str>>,
    /// Names of logs ever seen.
    known_logs: HashSet<Arc<str>>,
    /// Assignments to logs that have no track: their positions were lost.
    unmatched: Vec<Assignment>,
    next_key: u64,
    /// Whether anything differs from what was saved.
    changed: bool,
    /// Tracks whose identity is not saved yet.
    unsaved: HashSet<FileKey>,
}

/// An identity of a first line: the stream id, and the hash of the line.
pub(super) type Identity = (StreamId, u64);

impl StreamTable {
    /// A table without tracks, for a host, with the assignments that are on disk.
    pub(super) fn new(host: String, unmatched: Vec<Assignment>) -> Self {
        Self {
            host,
            tracks: BTreeMap::new(),
            by_stream: HashMap::new(),
            by_beginning: HashMap::new(),
            without_beginning: HashSet::new(),
            known_logs: HashSet::new(),
            unmatched,
            next_key: 0,
            changed: true,
            unsaved: HashSet::new(),
        }
    }

    /// The host in every stream id.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The identity of a file of `log` with this first line.
    pub(super) fn identity(&self, log: &str, first_line: &[u8]) -> Identity {
        (
            stream_id(&self.host, log, first_line),
            beginning(first_line),
        )
    }

    pub(super) fn get(&self, key: FileKey) -> Option<&Track> {
        self.tracks.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: FileKey) -> Option<&mut Track> {
        self.tracks.get_mut(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FileKey, &Track)> {
        self.tracks.iter().map(|(key, track)| (*key, track))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (FileKey, &mut Track)> {
        self.tracks.iter_mut().map(|(key, track)| (*key, track))
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.values()
    }

    /// Adds a stream that is read from `position` on.
    pub(super) fn add(
        &mut self,
        name: &Arc<str>,
        identity: Option<Identity>,
        position: Position,
    ) -> FileKey {
        let key = FileKey(self.next_key);
        self.next_key += 1;
        self.tracks
            .insert(key, Track::new(Arc::clone(name), position));
        if let Some((stream, beginning)) = identity {
            self.identify(key, stream, Some(beginning));
        }
        key
    }

    /// Gives a track its identity, replacing the previous one.
    pub(super) fn identify(&mut self, key: FileKey, stream: StreamId, beginning: Option<u64>) {
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        // A file that was truncated and written again before any of it was read had another identity.
        if let Some(before) = track.stream.replace(stream) {
            remove_from(&mut self.by_stream, &before, key);
        }
        if let Some(before) = std::mem::replace(&mut track.beginning, beginning) {
            remove_from(&mut self.by_beginning, &before, key);
        }
        self.by_stream.entry(stream).or_default().push(key);
        match beginning {
            Some(beginning) => self.by_beginning.entry(beginning).or_default().push(key),
            None => _ = self.without_beginning.insert(Arc::clone(&track.name)),
        }
        self.unsaved.insert(key);
        self.changed = true;
    }

    /// Forgets one stream.
    pub(super) fn remove(&mut self, key: FileKey) {
        let Some(track) = self.tracks.remove(&key) else {
            return;
        };
        self.unsaved.remove(&key);
        if let Some(stream) = track.stream {
            remove_from(&mut self.by_stream, &stream, key);
        }
        if let Some(beginning) = track.beginning {
            remove_from(&mut self.by_beginning, &beginning, key);
        }
    }

    /// Forgets the streams for which `is_kept` is false; true if there were any.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(FileKey, &Track) -> bool) -> bool {
        let before = self.tracks.len();
        self.tracks.retain(|key, track| is_kept(*key, track));
        if self.tracks.len() == before {
            return false;
        }
        let tracks = &self.tracks;
        let is_left = |keys: &mut Vec<FileKey>| {
            keys.retain(|key| tracks.contains_key(key));
            !keys.is_empty()
        };
        self.unsaved.retain(|key| tracks.contains_key(key));
        self.by_stream.retain(|_, keys| is_left(keys));
        self.by_beginning.retain(|_, keys| is_left(keys));
        self.changed = true;
        true
    }

    /// Forgets the names of logs for which `is_meant` is true and that have no track.
    pub(super) fn forget_logs(&mut self, is_meant: impl Fn(&str) -> bool) {
        let tracks = &self.tracks;
        let mut named: Option<HashSet<Arc<str>>> = None;
        self.known_logs.retain(|name| {
            let names = || {
                tracks
                    .values()
                    .map(|track| Arc::clone(&track.name))
                    .collect()
            };
            !is_meant(name) || named.get_or_insert_with(names).contains(name)
        });
    }

    /// The tracks with this identity.
    pub(super) fn keys_of(&self, stream: StreamId) -> &[FileKey] {
        self.by_stream.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// The tracks with any of the identities that a file has under the names of several logs.
    pub(super) fn keys_of_any(&self, streams: &[(Arc<str>, StreamId)]) -> Vec<FileKey> {
        let keys = streams.iter().flat_map(|(_, stream)| self.keys_of(*stream));
        keys.copied().collect()
    }

    /// Whether a track has, or had in this process, this identity.
    pub(super) fn has_seen(&self, stream: StreamId) -> bool {
        self.by_stream.contains_key(&stream)
    }

    /// The streams of any log whose first line is `line`, which hashes to `beginning`.
    pub(super) fn beginning_with(&self, beginning: u64, line: &[u8]) -> Vec<FileKey> {
        let of_name = |name: &str| stream_id(&self.host, name, line);
        let mut keys: Vec<FileKey> = Vec::new();
        for key in self.by_beginning.get(&beginning).into_iter().flatten() {
            let same = |track: &Track| track.stream == Some(of_name(&track.name));
            if self.tracks.get(key).is_some_and(same) {
                keys.push(*key);
            }
        }
        // The streams of an older checkpoint, which did not save their first lines.
        for name in &self.without_beginning {
            let found = self.keys_of(of_name(name)).iter().copied();
            keys.extend(found.filter(|key| {
                self.get(*key)
                    .is_some_and(|track| track.beginning.is_none())
            }));
        }
        keys
    }

    /// Whether a file with this first line may continue a known stream, or was assigned to one of the logs for which
    /// `is_log` holds. If the first lines of some streams are not known, only the line itself can decide.
    pub(super) fn may_know_beginning(&self, beginning: u64, is_log: impl Fn(&str) -> bool) -> bool {
        self.by_beginning.contains_key(&beginning)
            || self.assigned_before(beginning).any(|one| is_log(&one.log))
    }

    /// Whether the first lines of all streams are known.
    pub(super) fn knows_all_beginnings(&self) -> bool {
        self.without_beginning.is_empty()
    }

    /// Records the first line of streams of an older checkpoint, after a file of theirs was found.
    pub(super) fn note_beginning(&mut self, streams: &[(Arc<str>, StreamId)], beginning: u64) {
        for key in self.keys_of_any(streams) {
            if let Some(track) = self.tracks.get_mut(&key)
                && track.beginning.is_none()
            {
                track.beginning = Some(beginning);
                self.by_beginning.entry(beginning).or_default().push(key);
                self.changed = true;
            }
        }
    }

    /// Forgets the logs all of whose streams have a known first line.
    pub(super) fn forget_noted_beginnings(&mut self) {
        if !self.without_beginning.is_empty() {
            let unknown = (self.tracks.values()).filter(|track| track.beginning.is_none());
            self.without_beginning = unknown.map(|track| Arc::clone(&track.name)).collect();
        }
    }

    /// The assignments of contents with this first line whose positions were lost.
    pub(super) fn assigned_before(&self, beginning: u64) -> impl Iterator<Item = &Assignment> {
        let unmatched = self.unmatched.iter();
        unmatched.filter(move |assignment| assignment.begins_with(beginning))
    }

    /// Whether there are assignments whose positions were lost.
    pub(super) fn has_unmatched(&self) -> bool {
        !self.unmatched.is_empty()
    }

    /// Forgets the assignments of contents that have positions again.
    pub(super) fn forget_matched(&mut self) {
        let (by_beginning, tracks) = (&self.by_beginning, &self.tracks);
        self.unmatched.retain(|assignment| {
            let keys = assignment
                .beginning()
                .and_then(|own| by_beginning.get(&own));
            let same = |key: &FileKey| {
                tracks
                    .get(key)
                    .is_some_and(|track| *track.name == *assignment.log)
            };
            !keys.is_some_and(|keys| keys.iter().any(same))
        });
    }

    /// Forgets the assignments of contents that were not seen since `oldest`, milliseconds since 1970.
    pub(super) fn forget_unmatched_before(&mut self, oldest: i64) {
        self.unmatched
            .retain(|assignment| assignment.seen >= oldest);
    }

    /// Whether a log of this name was ever seen.
    pub(super) fn knows_log(&self, name: &Arc<str>) -> bool {
        self.known_logs.contains(name)
    }

    /// The names of all logs ever seen.
    pub(super) fn known_logs(&self) -> &HashSet<Arc<str>> {
        &self.known_logs
    }

    /// Notes the name of a log.
    pub(super) fn add_log(&mut self, name: &Arc<str>) {
        self.changed |= self.known_logs.insert(Arc::clone(name));
    }

    /// Records that the name of the file with this content does not identify its log.
    pub(super) fn assign(&mut self, key: FileKey) {
        if let Some(track) = self.tracks.get_mut(&key) {
            self.changed |= track.assign();
        }
    }

    /// Records that something that is saved has changed.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Records that the present state is saved.
    pub(super) fn mark_saved(&mut self) {
        self.changed = false;
        self.unsaved.clear();
    }

    /// Whether the identity of a stream is saved: the next start knows its content under any name.
    pub(super) fn has_saved_identity(&self, key: FileKey) -> bool {
        self.get(key).is_some_and(|track| track.stream.is_some()) && !self.unsaved.contains(&key)
    }

    /// Whether something differs from what was saved.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }
}

/// Takes a track out of an index; the entry stays.
fn remove_from<I: Eq + std::hash::Hash>(
    index: &mut HashMap<I, Vec<FileKey>>,
    at: &I,
    key: FileKey,
) {
    if let Some(keys) = index.get_mut(at) {
        keys.retain(|other| *other != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"first line";

    fn table() -> (StreamTable, Arc<str>) {
        (
            StreamTable::new("host".to_owned(), Vec::new()),
            "/logs/a".into(),
        )
    }

    #[test]
    fn a_track_is_found_by_its_identity_and_its_first_line_until_it_is_removed() {
        let (mut table, name) = table();
        let identity = table.identity(&name, LINE);
        let key = table.add(&name, Some(identity), Position::start());
        assert_eq!(table.keys_of(identity.0), [key]);
        assert_eq!(table.beginning_with(identity.1, LINE), [key]);
        table.remove(key);
        assert_eq!(table.keys_of(identity.0), []);
        assert_eq!(table.beginning_with(identity.1, LINE), []);
        assert!(table.get(key).is_none());
    }

    #[test]
    fn a_track_with_a_new_identity_is_found_by_that_alone() {
        let (mut table, name) = table();
        let (old, new) = (table.identity(&name, LINE), table.identity(&name, b"other"));
        let key = table.add(&name, Some(old), Position::start());
        table.identify(key, new.0, Some(new.1));
        assert_eq!(table.keys_of(old.0), []);
        assert_eq!(table.keys_of(new.0), [key]);
        assert_eq!(table.beginning_with(old.1, LINE), []);
        assert!(table.has_seen(old.0));
    }

    #[test]
    fn a_stream_without_a_known_first_line_is_found_by_the_line_and_notes_it() {
        let (mut table, name) = table();
        let (stream, beginning) = table.identity(&name, LINE);
        let key = table.add(&name, None, Position::start());
        table.identify(key, stream, None);
        assert!(!table.knows_all_beginnings());
        assert_eq!(table.beginning_with(beginning, LINE), [key]);
        table.note_beginning(&[(Arc::clone(&name), stream)], beginning);
        table.forget_noted_beginnings();
        assert!(table.knows_all_beginnings());
        assert_eq!(table.beginning_with(beginning, LINE), [key]);
    }

    #[test]
    fn keys_are_never_reused() {
        let (mut table, name) = table();
        let first = table.add(&name, None, Position::start());
        table.remove(first);
        assert_ne!(table.add(&name, None, Position::start()), first);
    }

    #[test]
    fn a_removed_track_is_in_no_index() {
        let (mut table, name) = table();
        let identity = table.identity(&name, LINE);
        let key = table.add(&name, Some(identity), Position::start());
        table.mark_saved();
        assert!(!table.retain(|_, _| true));
        assert!(!table.is_changed());
        assert!(table.retain(|other, _| other != key));
        assert!(table.is_changed());
        assert!(!table.has_seen(identity.0));
    }
}
