//! How the records of one stream are framed, and whether it had one yet.
//!
//! Owns: the framing that a stream keeps for good, across renaming, copying, compression and restarts. Refuses to know:
//! the rule itself (`crate::framing`). Invariant: what `auto` decided for a stream never changes, because it is saved
//! with its position. The failure it guards against: a later version or another file of the same stream decides
//! otherwise, and lines get other documents.

use logweir_parsers::cri::MAX_HEAD;
use serde::{Deserialize, Serialize};

use crate::framing::{FramingSetting, LineFraming};

/// The framing as it is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SavedFraming {
    Raw,
    Cri,
}

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StreamFraming {
    /// The setting of its log; unknown until a file of it is opened.
    setting: Option<FramingSetting>,
    /// Known after the beginning of the first line.
    decided: Option<LineFraming>,
    saved: Option<SavedFraming>,
    /// The end of the first chunk with a record; 0 if records before a position are not known.
    first_record: Option<u64>,
}

impl StreamFraming {
    /// What a checkpoint says about a stream; `has_record` if there was one before the saved position.
    pub(super) fn restored(saved: Option<SavedFraming>, has_record: bool) -> Self {
        Self {
            saved,
            first_record: has_record.then_some(0),
            ..Self::default()
        }
    }

    /// Applies the setting of the stream's log when a file is opened for it. `line` is the file's first line, empty if
    /// it is not known.
    pub(super) fn configure(&mut self, setting: FramingSetting, line: &[u8]) {
        self.setting = Some(setting);
        self.decided = match (setting, self.saved) {
            (FramingSetting::Auto, Some(SavedFraming::Raw)) => Some(LineFraming::Raw),
            (FramingSetting::Auto, Some(SavedFraming::Cri)) => Some(LineFraming::LikelyCri),
            (FramingSetting::Auto, None) if line.is_empty() => self.decided,
            _ => Some(LineFraming::of(setting, line)),
        };
    }

    /// Looks at bytes of the stream that begin at `offset`. Those at its beginning decide: an earlier look at the file
    /// may have found another content.
    pub(super) fn look(&mut self, offset: u64, bytes: &[u8]) -> LineFraming {
        if offset == 0 && self.setting == Some(FramingSetting::Auto) {
            let end = memchr::memchr(b'\n', bytes);
            if end.is_some() || bytes.len() >= MAX_HEAD {
                let line = &bytes[..end.unwrap_or(bytes.len())];
                self.decided = Some(LineFraming::of(FramingSetting::Auto, line));
            }
        }
        self.get()
    }

    /// The framing so far.
    pub(super) fn get(&self) -> LineFraming {
        self.decided.unwrap_or(LineFraming::Raw)
    }

    /// Whether lines are never anything but records.
    pub(super) fn is_raw_by_setting(&self) -> bool {
        matches!(self.setting, None | Some(FramingSetting::Raw))
    }

    /// Records that a chunk up to `end` was handed out; `has_record` if there is a record in it.
    pub(super) fn hand_on(&mut self, end: u64, has_record: bool) {
        if has_record && self.first_record.is_none() {
            self.first_record = Some(end);
        }
    }

    /// Whether a record of the stream ends at or before `offset`, which is the end of a chunk.
    pub(super) fn has_record_before(&self, offset: u64) -> bool {
        self.first_record.is_some_and(|end| end <= offset)
    }

    /// The framing to save; none for a log that is raw by its setting.
    pub(super) fn to_save(self) -> Option<SavedFraming> {
        match (self.setting, self.decided) {
            (None, _) | (_, None) => self.saved,
            (Some(FramingSetting::Raw), _) => None,
            (_, Some(LineFraming::Raw)) => Some(SavedFraming::Raw),
            (_, Some(LineFraming::Cri | LineFraming::LikelyCri)) => Some(SavedFraming::Cri),
        }
    }
}
