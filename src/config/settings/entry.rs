//! Makes the entries of the table of settings.
//!
//! Owns the short forms by which the table states kinds and bounds. Invariant: it defines no setting.

use std::time::Duration;

use super::{Bounds, Section, Setting, SettingKind};
use crate::config::units::Bytes;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(super) const fn size(least: u64, most: u64) -> SettingKind {
    SettingKind::Bytes(Bounds {
        least: Bytes::new(least),
        most: Bytes::new(most),
    })
}

pub(super) const fn time(least: Duration, most: Duration) -> SettingKind {
    SettingKind::Duration(Bounds { least, most })
}

pub(super) const fn count(least: usize, most: usize) -> SettingKind {
    SettingKind::Count(Bounds { least, most })
}

pub(super) const fn setting(
    section: Section,
    name: &'static str,
    kind: SettingKind,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        section,
        name,
        kind,
        default,
        example,
        doc,
    }
}
