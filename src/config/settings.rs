//! The table of settings, their only definition.
//!
//! The detection of unknown keys, the names of environment variables, the defaults and bounds, the annotated sample, the
//! reference and the man page derive from it. Invariant: a setting that is not in this table cannot be set.

mod entry;
mod redact;
mod table;

use std::time::Duration;

pub(crate) use super::section::Section;
use super::units::{Bytes, show_duration};
pub(crate) use table::SETTINGS;

/// The range of allowed values, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds<T> {
    /// The least.
    pub least: T,
    /// The most.
    pub most: T,
}

/// The kind of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingKind {
    /// Any text.
    Text,
    /// A secret text that is never shown.
    Secret,
    /// An absolute path.
    Path,
    /// A path for which users might write a switch: `true` and `false` are accepted as texts, and the code that reads
    /// the value reports what to write instead.
    File,
    /// A list of texts.
    Texts,
    /// A size such as `"2MiB"`.
    Bytes(Bounds<Bytes>),
    /// A time such as `"250ms"` or `"7d"`.
    Duration(Bounds<Duration>),
    /// A whole number.
    Count(Bounds<usize>),
    /// `true` or `false`.
    Bool,
    /// One of these words; `true` and `false` among them may be written without quotes.
    OneOf(&'static [&'static str]),
    /// A format or a list of formats.
    Formats,
    /// An absolute path or a list of them.
    Paths,
    /// A table of texts.
    Constants,
}

impl SettingKind {
    /// Its name in a message or a table.
    pub(crate) fn name(self) -> String {
        match self {
            SettingKind::Text => "text".to_owned(),
            SettingKind::Secret => "secret text".to_owned(),
            SettingKind::Path | SettingKind::File => "path".to_owned(),
            SettingKind::Texts => "list of texts".to_owned(),
            SettingKind::Bytes(_) => "size".to_owned(),
            SettingKind::Duration(_) => "time".to_owned(),
            SettingKind::Count(_) => "whole number".to_owned(),
            SettingKind::Bool => "true or false".to_owned(),
            SettingKind::OneOf(words) => words.join(" | "),
            SettingKind::Formats => "text or list of texts".to_owned(),
            SettingKind::Paths => "path or list of paths".to_owned(),
            SettingKind::Constants => "table of texts".to_owned(),
        }
    }

    /// Its bounds as a sentence such as `64KiB to 64MiB.`; `None` where it has none.
    fn bounds(self) -> Option<String> {
        let (least, most) = match self {
            SettingKind::Bytes(Bounds { least, most }) => (least.to_string(), most.to_string()),
            SettingKind::Duration(Bounds { least, most }) => {
                (show_duration(least), show_duration(most))
            }
            SettingKind::Count(Bounds { least, most }) => (least.to_string(), most.to_string()),
            _ => return None,
        };
        Some(format!("{least} to {most}."))
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Its section.
    pub section: Section,
    /// Its key in that section.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: SettingKind,
    /// Its value if it is not set, as TOML; empty without a default.
    pub default: &'static str,
    /// An example, as TOML; empty if the default is a good one.
    pub example: &'static str,
    /// Its effect, and the effect of its absence if there is no default. Bounds are not repeated here.
    pub doc: &'static str,
}

impl Setting {
    /// Its effect and its bounds.
    pub(crate) fn description(&self) -> String {
        match self.kind.bounds() {
            Some(bounds) => format!("{} {bounds}", self.doc),
            None => self.doc.to_owned(),
        }
    }

    /// The whole key, such as `elasticsearch.nodes`.
    pub(crate) fn key(&self) -> String {
        match self.section {
            Section::Top => self.name.to_owned(),
            section => format!("{}.{}", section.name(), self.name),
        }
    }

    /// The environment variable, such as `LOGWEIR_ELASTICSEARCH_NODES`.
    pub(crate) fn variable(&self) -> String {
        format!(
            "{PREFIX}{}",
            self.key().replace('.', "_").to_ascii_uppercase()
        )
    }
}

/// Explains the environment variables. Backticks enclose code, as in Markdown.
pub(crate) const ENVIRONMENT: &str = "\
An environment variable overrides the file. Credentials do so as a whole: if the environment contains an
API key, a user or a bearer token for a section, all credentials of that section in the file are ignored.
An empty variable counts as not set. Write a list with commas, and a table as `name=value,name=value`.
`LOGWEIR_LOGS_…` sets the only `[[logs]]` section, and creates it if there is none; `LOGWEIR_ROUTES_…` does
the same for `[[routes]]`. Variables that Kubernetes creates for a Service called `logweir` are ignored; any
other unknown `LOGWEIR_…` is an error.
";

/// Explains the form of values. Backticks enclose code, as in Markdown.
pub(crate) const UNITS: &str = "\
Sizes are whole numbers with `B`, `KiB`, `MiB`, `GiB` (or `KB`, `MB`, `GB` by thousands); times are whole
numbers with `ms`, `s`, `m`, `h`, `d`, `w`, as in `1h30m`. Paths are absolute.
";

/// The prefix of all environment variables.
pub(crate) const PREFIX: &str = "LOGWEIR_";

/// The setting `name` of `section`.
pub(crate) fn find(section: Section, name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.section == section && setting.name == name)
}
