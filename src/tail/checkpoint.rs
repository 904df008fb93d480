//! The bytes of a checkpoint: positions that survive the process.
//!
//! Owns: the on-disk format (`docs/STATE.md`), version [`VERSION`]. Refuses to know: files, fsync, locks. Invariant:
//! bytes that decode were encoded completely (CRC-32C), and version 1 stays readable forever. The failure it guards
//! against: a torn or foreign file is trusted, with positions that were never settled.
//!
//! The format is JSON lines, so that a person can read it: a header, one line per stream, and a last line with the
//! checksum.

use serde::{Deserialize, Serialize};

use super::StreamId;
use super::stream_framing::SavedFraming;

/// The version written now.
pub(super) const VERSION: u32 = 1;

/// Identifies the file for people and `file(1)`.
const MAGIC: &str = "logweir checkpoint";

/// The rules that determine a line's time, id and index; another number means other ids (`docs/STATE.md`). 2: a line
/// without a time of nginx's own may have another time; 1: it has no time.
pub(super) const IDENTITY_RULES: u32 = 2;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    magic: String,
    version: u32,
    identity_rules: u32,
    /// Counts the saves; the newest valid checkpoint is used.
    pub(super) generation: u64,
    /// The output that acknowledged these positions.
    pub(super) output: String,
    /// The host in every stream id.
    pub(super) host: String,
    /// Wall time of the last scan of the directories, milliseconds.
    pub(super) looked: i64,
    /// Names of all logs ever seen, so that the first rotated file of a log is not taken for old history.
    pub(super) logs: Vec<String>,
    /// Positions were lost, and since then not every directory could be read: an unknown rotated file counts as unread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_all: bool,
    /// The trusted time at that scan, if it differed from the clock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) believed: Option<i64>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointEntry {
    #[serde(with = "hex_stream")]
    pub(super) stream: StreamId,
    pub(super) log: String,
    pub(super) offset: u64,
    #[serde(with = "hex_u64")]
    pub(super) marker: u64,
    /// The path where the content was last seen: a hint, lossy if the name is not UTF-8.
    pub(super) path: String,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The greatest length seen.
    pub(super) size: u64,
    /// Wall time when the content was last seen, milliseconds.
    pub(super) seen: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) finished: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) skipped: bool,
    /// CRC-32 and size at the end of the gzip file that contains exactly this content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gzip: Option<(u32, u32)>,
    /// The hash of the first line; absent in checkpoints of older builds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "hex_beginning"
    )]
    pub(super) beginning: Option<u64>,
    /// The missing rest was searched for and not found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unfound: bool,
    /// How the records are framed; absent for a log that is raw by its setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) framing: Option<SavedFraming>,
    /// There is a record before the position. Only for framed streams.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_record: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Trailer {
    crc32c: u32,
}

/// The content of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) header: Header,
    pub(super) entries: Vec<CheckpointEntry>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("it is empty")]
    Empty,
    #[error("it is cut off or damaged")]
    Damaged,
    #[error("it is no checkpoint of logweir")]
    Foreign,
    #[error("it has version {0}, which this logweir does not know")]
    Version(u32),
}

impl Header {
    pub(super) fn new(
        generation: u64,
        output: &str,
        host: &str,
        looked: i64,
        logs: Vec<String>,
    ) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            version: VERSION,
            identity_rules: IDENTITY_RULES,
            generation,
            output: output.to_owned(),
            host: host.to_owned(),
            looked,
            logs,
            read_all: false,
            believed: None,
        }
    }
}

impl Header {
    /// The identity rules under which the lines before these positions were indexed, if they differ from the present
    /// ones.
    pub(super) fn other_rules(&self) -> Option<u32> {
        (self.identity_rules != IDENTITY_RULES).then_some(self.identity_rules)
    }

    /// The trusted time and the clock's time at the last scan.
    pub(super) fn time(&self) -> (i64, i64) {
        (self.believed.unwrap_or(self.looked), self.looked)
    }
}

/// Encodes the file's bytes.
pub(super) fn encode(checkpoint: &Checkpoint) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512 + checkpoint.entries.len() * 256);
    serde_json::to_writer(&mut bytes, &checkpoint.header)?;
    bytes.push(b'\n');
    for entry in &checkpoint.entries {
        serde_json::to_writer(&mut bytes, entry)?;
        bytes.push(b'\n');
    }
    let trailer = Trailer {
        crc32c: crc32c::crc32c(&bytes),
    };
    serde_json::to_writer(&mut bytes, &trailer)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the output of [`encode`], of this version or an older one.
pub(super) fn decode(bytes: &[u8]) -> Result<Checkpoint, Invalid> {
    if bytes.is_empty() {
        return Err(Invalid::Empty);
    }
    let body = bytes.strip_suffix(b"\n").ok_or(Invalid::Damaged)?;
    let at = memchr::memrchr(b'\n', body).ok_or(Invalid::Damaged)? + 1;
    let (checked, trailer) = body.split_at(at);
    let trailer: Trailer = serde_json::from_slice(trailer).map_err(|_| Invalid::Damaged)?;
    if trailer.crc32c != crc32c::crc32c(checked) {
        return Err(Invalid::Damaged);
    }
    let mut lines = checked.split_inclusive(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    // Magic and version are read first: a later version may have another header.
    #[derive(Deserialize)]
    struct FormatHeader {
        magic: String,
        version: u32,
    }
    let kind: FormatHeader = serde_json::from_slice(first).map_err(|_| Invalid::Foreign)?;
    if kind.magic != MAGIC {
        return Err(Invalid::Foreign);
    }
    if kind.version == 0 || kind.version > VERSION {
        return Err(Invalid::Version(kind.version));
    }
    let header = serde_json::from_slice(first).map_err(|_| Invalid::Damaged)?;
    let entries = lines
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .map_err(|_| Invalid::Damaged)?;
    Ok(Checkpoint { header, entries })
}

mod hex_u64 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

mod hex_beginning {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::hex_u64::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| u64::from_str_radix(&text, 16).map_err(D::Error::custom))
            .transpose()
    }
}

mod hex_stream {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    use crate::tail::StreamId;

    pub(super) fn serialize<S: Serializer>(
        value: &StreamId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<StreamId, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut id = [0; 10];
        if text.len() != 20 || !text.is_ascii() {
            return Err(D::Error::custom("a stream id has 20 hexadecimal digits"));
        }
        for (byte, at) in id.iter_mut().zip((0..20).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(D::Error::custom)?;
        }
        Ok(StreamId(id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Written by the first release of the format; it must stay readable forever.
    const VERSION_1: &[u8] = include_bytes!("../../tests/fixtures/state/checkpoint-1");
    /// The same checkpoint since rule 2 of identity.
    const VERSION_1_RULES_2: &[u8] =
        include_bytes!("../../tests/fixtures/state/checkpoint-1-rules-2");

    fn sample() -> Checkpoint {
        Checkpoint {
            header: Header::new(
                7,
                "elasticsearch:nginx-access-%Y.%m.%d",
                "web-07",
                1_795_000_000_000,
                vec!["/var/log/nginx/access.log".to_owned()],
            ),
            entries: vec![
                CheckpointEntry {
                    stream: StreamId([1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff]),
                    log: "/var/log/nginx/access.log".to_owned(),
                    offset: 1_234_567,
                    marker: 0x00ab_cdef_0123_4567,
                    path: "/var/log/nginx/access.log".to_owned(),
                    device: 66_306,
                    inode: 42,
                    size: 1_300_000,
                    seen: 1_795_000_000_000,
                    finished: false,
                    skipped: false,
                    gzip: None,
                    beginning: None,
                    unfound: false,
                    framing: None,
                    has_record: false,
                },
                CheckpointEntry {
                    stream: StreamId([9; 10]),
                    log: "/var/log/nginx/access.log".to_owned(),
                    offset: 99,
                    marker: 5,
                    path: "/var/log/nginx/access.log.2.gz".to_owned(),
                    device: 66_306,
                    inode: 43,
                    size: 99,
                    seen: 1_794_000_000_000,
                    finished: true,
                    skipped: true,
                    gzip: Some((7, 99)),
                    beginning: None,
                    unfound: false,
                    framing: None,
                    has_record: false,
                },
            ],
        }
    }

    #[test]
    fn version_1_stays_readable_forever() {
        let mut before = sample();
        before.header.identity_rules = 1;
        assert_eq!(decode(VERSION_1), Ok(before));
        assert_eq!(decode(VERSION_1_RULES_2), Ok(sample()));
    }

    #[test]
    fn other_rules_of_identity_are_reported() {
        let rules = |bytes| decode(bytes).unwrap().header.other_rules();
        assert_eq!(rules(VERSION_1), Some(1));
        assert_eq!(rules(VERSION_1_RULES_2), None);
    }

    #[test]
    fn the_bytes_written_now_are_those_of_the_fixture() {
        // To change the format on purpose: raise the version, add a fixture, and keep the one above.
        let bytes = encode(&sample()).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(VERSION_1_RULES_2)
        );
    }

    /// Keys that were added later are optional: files of an older build lack them, and it ignores them in new ones.
    #[test]
    fn keys_that_were_added_later_are_restored() {
        let mut later = sample();
        later.entries[0].beginning = Some(0x00ab_cdef_0123_4567);
        later.entries[1].unfound = true;
        later.entries[0].framing = Some(SavedFraming::Raw);
        later.entries[1].framing = Some(SavedFraming::Cri);
        later.entries[1].has_record = true;
        assert_eq!(decode(&encode(&later).unwrap()), Ok(later));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_detected() {
        let bytes = encode(&sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x04;
            assert!(decode(&damaged).is_err(), "flipped at {at}");
        }
        assert_eq!(decode(&vec![0; bytes.len()]), Err(Invalid::Damaged));
        assert_eq!(decode(b""), Err(Invalid::Empty));
    }

    #[test]
    fn a_later_version_is_reported() {
        let mut checkpoint = sample();
        checkpoint.header.version = 2;
        assert_eq!(
            decode(&encode(&checkpoint).unwrap()),
            Err(Invalid::Version(2))
        );
        checkpoint.header.magic = "something".to_owned();
        assert_eq!(decode(&encode(&checkpoint).unwrap()), Err(Invalid::Foreign));
    }
}
