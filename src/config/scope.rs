//! Reads the values of one section: typed, within bounds, with defaults from the table.
//!
//! Invariant: each reader returns a usable value for any input and records the problems, so that one run finds all
//! problems.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::ports::{Files, MAX_FILE};
use super::problem::{Fault, Origin, Problem};
use super::raw::{Given, Value, Values, default_of};
use super::settings::{Bounds, Section, Setting, SettingKind, find};
use super::units::{Bytes, parse_duration, show_duration};

/// One section and the list of its problems.
pub(super) struct Scope<'a> {
    section: Section,
    /// The prefix of a key in a message, with the dot.
    prefix: String,
    values: Option<&'a Values>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        section: Section,
        values: Option<&'a Values>,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        let prefix = match section {
            Section::Top => String::new(),
            section => format!("{}.", section.name()),
        };
        Scope {
            section,
            prefix,
            values,
            problems,
        }
    }

    /// The section `[[…]]` number `at` of its name.
    pub(super) fn of_list(
        section: Section,
        at: usize,
        values: &'a Values,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Scope {
            section,
            prefix: format!("{}[{at}].", section.name()),
            values: Some(values),
            problems,
        }
    }

    /// The list of problems, to report one of another section.
    pub(super) fn problems(&mut self) -> &mut Vec<Problem> {
        self.problems
    }

    /// The configured value of a key, without its default.
    pub(super) fn written(&self, name: &str) -> Option<&'a Given> {
        self.values?.given.get(name)
    }

    /// Whether the section has such a setting at all.
    pub(super) fn knows(&self, name: &str) -> bool {
        find(self.section, name).is_some()
    }

    /// The header of the section, for messages.
    pub(super) fn header(&self) -> &'static str {
        self.section.header()
    }

    /// The position of the header.
    pub(super) fn origin(&self) -> Origin {
        self.values
            .map_or(Origin::Nowhere, |values| values.origin.clone())
    }

    pub(super) fn fault(&mut self, name: &str, origin: Origin, fault: Fault) {
        let key = format!("{}{name}", self.prefix);
        self.problems.push(Problem { origin, key, fault });
    }

    pub(super) fn bad(&mut self, name: &str, origin: Origin, value: &str, why: impl Into<String>) {
        let value = Some(value.to_owned());
        self.fault(
            name,
            origin,
            Fault::BadValue {
                value,
                why: why.into(),
            },
        );
    }

    /// Reports two settings that exclude each other, at the second one with the name of the first.
    pub(super) fn conflict(&mut self, first: &str, second: &str, hint: &'static str) {
        let (Some(one), Some(other)) = (self.written(first), self.written(second)) else {
            return;
        };
        let (origin, named) = (
            other.origin.clone(),
            format!("{}{first} ({})", self.prefix, one.origin),
        );
        self.fault(second, origin, Fault::Conflict { other: named, hint });
    }

    fn given(&self, name: &str) -> Option<Given> {
        self.written(name)
            .cloned()
            .or_else(|| default_of(self.setting(name)?))
    }

    fn setting(&self, name: &str) -> Option<&'static Setting> {
        let setting = find(self.section, name);
        debug_assert!(setting.is_some(), "no setting {}{name}", self.prefix);
        setting
    }

    pub(super) fn text(&self, name: &str) -> Option<(String, Origin)> {
        match self.given(name)? {
            Given {
                value: Value::Text(text),
                origin,
            } => Some((text, origin)),
            _ => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> Vec<(String, Origin)> {
        match self.given(name) {
            Some(Given {
                value: Value::List(items),
                ..
            }) => items,
            _ => Vec::new(),
        }
    }

    pub(super) fn constants(&self, name: &str) -> Vec<(String, String, Origin)> {
        match self.given(name) {
            Some(Given {
                value: Value::Constants(constants),
                ..
            }) => constants,
            _ => Vec::new(),
        }
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        matches!(
            self.given(name),
            Some(Given {
                value: Value::Bool(true),
                ..
            })
        )
    }

    /// The value that belongs to the setting's word; `values` have the order of the words in the table. If no word or an
    /// unknown one is set, it is the value of the default; `None` without a default.
    pub(super) fn one_of<T: Copy>(&mut self, name: &str, values: &[T]) -> Option<T> {
        let setting = self.setting(name)?;
        let SettingKind::OneOf(words) = setting.kind else {
            return None;
        };
        let value_of = |text: &str| {
            let at = words.iter().position(|word| *word == text)?;
            values.get(at).copied()
        };
        debug_assert_eq!(words.len(), values.len(), "words of {}{name}", self.prefix);
        let (text, origin) = self.text(name)?;
        match value_of(&text) {
            Some(value) => Some(value),
            None => {
                let why = match super::problem::nearest(&text, words.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("write one of {}", words.join(", ")),
                };
                self.bad(name, origin, &text, why);
                match default_of(setting)?.value {
                    Value::Text(default) => value_of(&default),
                    _ => None,
                }
            }
        }
    }

    /// A number within the bounds of the table; a number outside is reported and replaced by the least allowed one. `None`
    /// if nothing is set and there is no default.
    pub(super) fn count(&mut self, name: &str) -> Option<usize> {
        let SettingKind::Count(Bounds { least, most }) = self.setting(name)?.kind else {
            return None;
        };
        let Given {
            value: Value::Number(number),
            origin,
        } = self.given(name)?
        else {
            return None;
        };
        let within = usize::try_from(number)
            .ok()
            .filter(|number| (least..=most).contains(number));
        Some(within.unwrap_or_else(|| {
            self.out_of_range(name, origin, number, least, most);
            least
        }))
    }

    /// A size within the bounds of the table, as [`Scope::count`].
    pub(super) fn bytes(&mut self, name: &str) -> Option<Bytes> {
        let SettingKind::Bytes(Bounds { least, most }) = self.setting(name)?.kind else {
            return None;
        };
        let (text, origin) = self.text(name)?;
        match Bytes::parse(&text) {
            Some(bytes) if (least..=most).contains(&bytes) => return Some(bytes),
            Some(bytes) => self.out_of_range(name, origin, bytes, least, most),
            None => {
                let why =
                    "is no size; write a whole number with B, KiB, MiB or GiB, as in \"2MiB\"";
                self.bad(name, origin, &text, why);
            }
        }
        Some(least)
    }

    /// A time within the bounds of the table, as [`Scope::count`].
    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        let SettingKind::Duration(Bounds { least, most }) = self.setting(name)?.kind else {
            return None;
        };
        let (text, origin) = self.text(name)?;
        match parse_duration(&text) {
            Some(time) if (least..=most).contains(&time) => return Some(time),
            Some(time) => {
                let [time, least, most] = [time, least, most].map(show_duration);
                self.out_of_range(name, origin, time, least, most);
            }
            None => {
                let why = "is no time; write whole numbers with ms, s, m, h, d or w, as in \"250ms\" \
                           or \"1h30m\"";
                self.bad(name, origin, &text, why);
            }
        }
        Some(least)
    }

    fn out_of_range(
        &mut self,
        name: &str,
        origin: Origin,
        value: impl ToString,
        least: impl ToString,
        most: impl ToString,
    ) {
        let (value, least, most) = (value.to_string(), least.to_string(), most.to_string());
        self.fault(name, origin, Fault::OutOfRange { value, least, most });
    }

    /// An absolute path.
    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        let (text, origin) = self.text(name)?;
        if !text.starts_with('/') {
            let why = "is not absolute; write the whole path from / on (~ and variables mean nothing here)";
            self.bad(name, origin, &text, why);
        }
        Some(PathBuf::from(text))
    }

    /// The content of the file that the setting names.
    pub(super) fn file(&mut self, name: &str, files: &dyn Files) -> Option<(PathBuf, Vec<u8>)> {
        self.file_up_to(name, files, MAX_FILE)
    }

    pub(super) fn file_up_to(
        &mut self,
        name: &str,
        files: &dyn Files,
        limit: u64,
    ) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(name)?;
        let origin = self
            .written(name)
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        match files.read_up_to(&path, limit) {
            Ok(content) => Some((path, content)),
            Err(error) => {
                self.fault(name, origin, unreadable_up_to(&path, &error, limit));
                None
            }
        }
    }

    /// A secret, from `name` or from the file that `name_file` names; setting both is a conflict.
    pub(super) fn secret(&mut self, name: &str, files: &dyn Files) -> Option<SecretString> {
        let file = format!("{name}_file");
        self.conflict(name, &file, "keep one of the two");
        let (secret, key) = match self.text(name) {
            Some((secret, _)) => (secret, name),
            None => {
                let (path, content) = self.file(&file, files)?;
                let origin = self
                    .written(&file)
                    .map_or(Origin::Nowhere, |given| given.origin.clone());
                let text = String::from_utf8(content).ok();
                let Some(text) = text else {
                    let value = Some(path.display().to_string());
                    let why = "the file holds no text".to_owned();
                    self.fault(&file, origin, Fault::BadValue { value, why });
                    return None;
                };
                // Editors and `echo` end a file with a line feed that is not part of the secret.
                (text.trim_end_matches(['\r', '\n']).to_owned(), &*file)
            }
        };
        let origin = self
            .written(key)
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        if secret.is_empty() {
            let why = "is empty".to_owned();
            self.fault(key, origin, Fault::BadValue { value: None, why });
            return None;
        }
        Some(SecretString::from(secret))
    }
}

/// The message for an unreadable file, the same for every kind of file.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    unreadable_up_to(path, error, MAX_FILE)
}

fn unreadable_up_to(path: &Path, error: &std::io::Error, limit: u64) -> Fault {
    use std::io::ErrorKind;

    let reason = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::FileTooLarge => format!("it is larger than {}", Bytes::new(limit)),
        _ => error.to_string(),
    };
    Fault::Unreadable {
        path: path.to_owned(),
        reason,
    }
}
