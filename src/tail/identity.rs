//! The identity of a file: the beginning of its content, and the bytes before a position.
//!
//! Owns: the stream id and the marker. Refuses to know: inodes and paths, which are reused. Invariant: both are pure
//! functions of their arguments and are stored on disk and in the index permanently; another rule needs another domain
//! string. The failure it guards against: a reused inode, a truncated and regrown file, or a restored copy is taken for
//! another file.

use xxhash_rust::xxh3::xxh3_64;

use super::StreamId;

/// How much of the first line counts.
pub(super) const FIRST_LINE_BYTES: usize = 4096;

/// How many bytes before a position its marker covers.
pub(super) const MARKER_BYTES: usize = 1024;

/// Separates this use of the hash from any other, and this rule from later ones.
const DOMAIN: &str = "logweir stream 1";

/// The id of a file of `log` on `host` whose first complete line, without its `\n`, is `first_line`.
///
/// The length of each part precedes it, so that no two triples give the same bytes.
pub(super) fn stream_id(host: &str, log: &str, first_line: &[u8]) -> StreamId {
    let first_line = &first_line[..first_line.len().min(FIRST_LINE_BYTES)];
    let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
    for part in [host.as_bytes(), log.as_bytes(), first_line] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut id = [0; 10];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..10]);
    StreamId(id)
}

/// The hash of a first complete line, without its `\n`, independent of log and host. It finds the streams that a file
/// may continue; the id then decides.
pub(super) fn beginning(first_line: &[u8]) -> u64 {
    xxh3_64(&first_line[..first_line.len().min(FIRST_LINE_BYTES)])
}

/// How many bytes before `offset` are hashed.
pub(super) fn marker_length(offset: u64) -> usize {
    usize::try_from(offset).map_or(MARKER_BYTES, |offset| offset.min(MARKER_BYTES))
}

/// The hash of the bytes before a position.
pub(super) fn marker(window: &[u8]) -> u64 {
    xxh3_64(window)
}

/// An offset in a file, and the hash of the bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: u64,
    pub(super) marker: u64,
}

impl Position {
    /// The beginning of a file.
    pub(super) fn start() -> Self {
        Self {
            offset: 0,
            marker: marker(&[]),
        }
    }

    /// The position after `bytes`, which are the last bytes before `offset`.
    pub(super) fn after(bytes: &[u8], offset: u64) -> Self {
        Self {
            offset,
            marker: marker(&bytes[bytes.len() - marker_length(offset)..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_the_id_never_changes() {
        // Existing documents carry these ids: a change here duplicates every line that is read again.
        let id = stream_id("web-07", "/var/log/nginx/access.log", b"203.0.113.7 - - x");
        let hex: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex);
        assert_eq!(marker(b"line\n"), xxh3_64(b"line\n"));
    }

    #[test]
    fn each_part_counts_and_parts_do_not_run_together() {
        let id = stream_id("a", "b", b"c");
        assert_ne!(id, stream_id("x", "b", b"c"));
        assert_ne!(id, stream_id("a", "x", b"c"));
        assert_ne!(id, stream_id("a", "b", b"x"));
        assert_ne!(stream_id("ab", "c", b""), stream_id("a", "bc", b""));
    }

    #[test]
    fn only_the_first_four_kibibytes_of_the_line_count() {
        let long = vec![b'x'; FIRST_LINE_BYTES + 10];
        assert_eq!(
            stream_id("h", "l", &long),
            stream_id("h", "l", &long[..FIRST_LINE_BYTES])
        );
        assert_ne!(
            stream_id("h", "l", &long),
            stream_id("h", "l", &long[..FIRST_LINE_BYTES - 1])
        );
    }
}
