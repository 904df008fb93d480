//! The events of a log directory and its reader, with their frequencies.

use proptest::prelude::*;

use super::MONTHS;

#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Lines, and the first bytes of one more.
    Append {
        lines: usize,
        half: bool,
        long: bool,
    },
    /// `access.log.1` and so on are shifted; the writer continues in the renamed file.
    Rotate {
        reopen: bool,
    },
    /// `access.log-20261123-170000…`
    RotateDated {
        reopen: bool,
    },
    /// Renamed to a name that is in no table, after the agent has recorded the file's beginning.
    RotateToAnyName {
        name: usize,
        reopen: bool,
    },
    /// A rotated file gets such a name.
    RenameToAnyName {
        which: usize,
        name: usize,
    },
    /// The live file is copied to such a name, and truncated if `truncate`.
    CopyToAnyName {
        name: usize,
        truncate: bool,
    },
    /// nginx reopens its log.
    Reopen,
    /// Copied and truncated, with lines in between that no file contains.
    Copytruncate {
        between: usize,
    },
    /// Copied, and truncated in the middle of a read, which continues in the content written after that.
    CopytruncateInRead {
        after: usize,
        lines: usize,
    },
    /// Truncated in place.
    Truncate,
    /// The live file is deleted, and the writer continues in it or opens a new one.
    Delete {
        reopen: bool,
    },
    /// The oldest rotated files are deleted.
    DropOld {
        keep: usize,
    },
    Compress {
        which: usize,
    },
    /// An unfinished `.gz` beside the plain file.
    CompressHalf {
        which: usize,
    },
    /// The live log is replaced by a copy of itself, in another inode.
    Restore,
    Reconcile,
    Read {
        chunks: usize,
    },
    SettleSome {
        chunks: usize,
        part: bool,
    },
    SettleAll,
    Save,
    SaveFails {
        steps: usize,
    },
    CannotOpen {
        error: bool,
    },
    /// From now on the system grants this many descriptors, including those of the writer.
    Descriptors {
        limit: Option<usize>,
    },
    Wait {
        seconds: u64,
    },
    ClockJump {
        millis: i64,
    },
    Kill {
        applied: usize,
        state: Crash,
    },
    /// The configuration is read again; requests in flight may arrive.
    Reload {
        applied: usize,
    },
}

impl Act {
    /// Whether it leaves a copy of the live file's content.
    pub(super) fn copies(&self) -> bool {
        matches!(
            self,
            Self::Copytruncate { .. }
                | Self::CopytruncateInRead { .. }
                | Self::CopyToAnyName { .. }
                | Self::Restore
        )
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Crash {
    /// Only the process dies.
    Process,
    /// The process dies in the middle of a save.
    InSave {
        steps: usize,
    },
    Power {
        kept: usize,
        torn: u8,
    },
    OlderCheckpoint,
    TornCheckpoint,
    LostCheckpoint,
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => (0_usize..5, any::<bool>(), prop::bool::weighted(0.05))
            .prop_map(|(lines, half, long)| Act::Append { lines, half, long }),
        4 => any::<bool>().prop_map(|reopen| Act::Rotate { reopen }),
        1 => any::<bool>().prop_map(|reopen| Act::RotateDated { reopen }),
        3 => (0_usize..6, any::<bool>())
            .prop_map(|(name, reopen)| Act::RotateToAnyName { name, reopen }),
        1 => (0_usize..4, 0_usize..6)
            .prop_map(|(which, name)| Act::RenameToAnyName { which, name }),
        2 => (0_usize..6, any::<bool>())
            .prop_map(|(name, truncate)| Act::CopyToAnyName { name, truncate }),
        3 => Just(Act::Reopen),
        3 => (0_usize..2).prop_map(|between| Act::Copytruncate { between }),
        2 => (0_usize..1500, 0_usize..50)
            .prop_map(|(after, lines)| Act::CopytruncateInRead { after, lines }),
        1 => Just(Act::Truncate),
        1 => any::<bool>().prop_map(|reopen| Act::Delete { reopen }),
        1 => (0_usize..4).prop_map(|keep| Act::DropOld { keep }),
        2 => (0_usize..4).prop_map(|which| Act::Compress { which }),
        1 => (0_usize..4).prop_map(|which| Act::CompressHalf { which }),
        1 => Just(Act::Restore),
        4 => Just(Act::Reconcile),
        8 => (1_usize..6).prop_map(|chunks| Act::Read { chunks }),
        4 => (1_usize..4, any::<bool>()).prop_map(|(chunks, part)| Act::SettleSome { chunks, part }),
        2 => Just(Act::SettleAll),
        4 => Just(Act::Save),
        1 => (0_usize..6).prop_map(|steps| Act::SaveFails { steps }),
        1 => any::<bool>().prop_map(|error| Act::CannotOpen { error }),
        1 => prop::option::of(2_usize..5).prop_map(|limit| Act::Descriptors { limit }),
        3 => (1_u64..9).prop_map(|seconds| Act::Wait { seconds }),
        1 => (-100_000_000_i64..100_000_000).prop_map(|millis| Act::ClockJump { millis }),
        1 => (-MONTHS..MONTHS).prop_map(|millis| Act::ClockJump { millis }),
        4 => (0_usize..8, crash()).prop_map(|(applied, state)| Act::Kill { applied, state }),
        3 => (0_usize..8).prop_map(|applied| Act::Reload { applied }),
    ]
}

/// Usually enough for all logs.
pub(super) fn open_files() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(1024), 1 => 1_usize..5]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        4 => Just(Crash::Process),
        2 => (0_usize..8).prop_map(|steps| Crash::InSave { steps }),
        2 => (0_usize..4, any::<u8>()).prop_map(|(kept, torn)| Crash::Power { kept, torn }),
        1 => Just(Crash::OlderCheckpoint),
        1 => Just(Crash::TornCheckpoint),
        1 => Just(Crash::LostCheckpoint),
    ]
}
