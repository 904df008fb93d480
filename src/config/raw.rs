//! Turns text into values: the keys that are set, their positions and types.
//!
//! Owns TOML, the environment, and the override of the file by the environment. Refuses to know the meaning of a value.
//! Invariant: every key of the text is either a value of a setting or a problem; none is ignored.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Origin, Problem, nearest};
use super::settings::{PREFIX, SETTINGS, Section, Setting, SettingKind, find};

/// A value as written, with the type that its setting requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Texts, sizes, times, words, paths.
    Text(String),
    Number(i64),
    Bool(bool),
    /// Each with its own position.
    List(Vec<(String, Origin)>),
    Constants(Vec<(String, String, Origin)>),
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The values of one section, by the names of their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    /// The header.
    pub(super) origin: Origin,
    pub(super) given: BTreeMap<&'static str, Given>,
}

/// The values of a whole configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Raw {
    /// Every section that may occur once, by name; missing sections have no entry.
    pub(super) sections: BTreeMap<Section, Values>,
    /// The sections that may occur several times, in their order.
    lists: BTreeMap<Section, Vec<Values>>,
    pub(super) problems: Vec<Problem>,
    /// Lines that are not TOML: other problems of these lines are not reported.
    broken_lines: Vec<usize>,
}

impl Values {
    fn new(origin: Origin) -> Self {
        Values {
            origin,
            given: BTreeMap::new(),
        }
    }
}

impl Raw {
    /// Reads a file's text.
    pub(super) fn of_text(text: &str, path: &Path) -> Self {
        let mut text = text.to_owned();
        let mut ends = Vec::new();
        // The parser recovers from every mistake except a key without a value, where it gives up. That line is
        // replaced by blanks, which keeps all offsets, and the rest is read again.
        while let Some(error) = end_of_recovery(&text) {
            let at = error.span().map_or(text.len(), |span| span.start);
            ends.push(error);
            if ends.len() > MAX_ENDS || !blank_line(&mut text, at) {
                break;
            }
        }
        let mut reader = TomlReader {
            text: &text,
            path: path.into(),
            raw: Raw::default(),
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        ends.extend(errors);
        reader.syntax(ends);
        reader.top(table.get_ref());
        reader.raw
    }

    /// Overrides the values with those of the environment.
    pub(super) fn environment(&mut self, mut variables: Vec<(String, String)>) {
        variables.sort();
        for (name, text) in variables {
            if !name.starts_with(PREFIX) || text.is_empty() {
                continue;
            }
            let origin = Origin::Variable(name.clone());
            let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
                if is_of_kubernetes(&name) {
                    continue;
                }
                let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
                let suggestion =
                    nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
                self.problem(origin, "", Fault::UnknownVariable { suggestion });
                continue;
            };
            match of_variable(setting, &text, &origin) {
                Ok(value) => self.set_from_environment(setting, Given { value, origin }),
                Err(fault) => self.problem(origin, &setting.key(), fault),
            }
        }
    }

    /// The variables that a value comes from.
    pub(super) fn variables(&self) -> Vec<String> {
        let given = self
            .sections
            .values()
            .chain(self.lists.values().flatten())
            .flat_map(|values| values.given.values());
        let names = given.filter_map(|given| match &given.origin {
            Origin::Variable(name) => Some(name.clone()),
            _ => None,
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        names
    }

    /// The sections `[[…]]` of this name, in their order.
    pub(super) fn list(&self, section: Section) -> &[Values] {
        self.lists.get(&section).map_or(&[], Vec::as_slice)
    }

    /// Whether a setting of a section that may occur once is set.
    pub(super) fn sets(&self, section: Section, name: &str) -> bool {
        self.sections
            .get(&section)
            .is_some_and(|values| values.given.contains_key(name))
    }

    fn set_from_environment(&mut self, setting: &'static Setting, given: Given) {
        let section = setting.section;
        let values = if section.is_list() {
            let list = self.lists.entry(section).or_default();
            match list.as_mut_slice() {
                [] => {
                    list.push(Values::new(given.origin.clone()));
                    &mut list[0]
                }
                [_] => &mut list[0],
                [first, ..] => {
                    let (header, origin) = (section.header(), &first.origin);
                    let other = format!("the several {header} from {origin} on");
                    let hint = "set it in the section that is meant";
                    return self.problem(
                        given.origin,
                        &setting.key(),
                        Fault::Conflict { other, hint },
                    );
                }
            }
        } else {
            self.sections
                .entry(section)
                .or_insert_with(|| Values::new(given.origin.clone()))
        };
        values.given.insert(setting.name, given);
    }

    fn problem(&mut self, origin: Origin, key: &str, fault: Fault) {
        self.problems.push(Problem {
            origin,
            key: key.to_owned(),
            fault,
        });
    }

    /// Whether any line is not TOML: a missing setting may be in it.
    pub(super) fn is_broken(&self) -> bool {
        !self.broken_lines.is_empty()
    }

    /// Whether the problem is about a line that is not TOML.
    pub(super) fn is_noise(&self, problem: &Problem) -> bool {
        match (&problem.origin, &problem.fault) {
            (_, Fault::Syntax(_)) => false,
            (Origin::File { line, .. }, _) if self.broken_lines.contains(line) => true,
            (_, Fault::Missing { .. }) => self.is_broken(),
            _ => false,
        }
    }
}

/// Limit of reported lines without a value; a file with more of them is not a configuration.
const MAX_ENDS: usize = 50;

fn end_of_recovery(text: &str) -> Option<toml::de::Error> {
    let (_, errors) = DeTable::parse_recoverable(text);
    errors
        .into_iter()
        .find(|error| error.message().starts_with("key with no value"))
}

/// Replaces the line around byte `at` by blanks; false if it is blank already.
fn blank_line(text: &mut String, at: usize) -> bool {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let from = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |before| before + 1);
    let to = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |after| at + after);
    let has_text = !text[from..to].trim().is_empty();
    text.replace_range(from..to, &" ".repeat(to - from));
    has_text
}

struct TomlReader<'t> {
    text: &'t str,
    path: Arc<Path>,
    raw: Raw,
}

type Entry<'a, 't> = (
    &'a Spanned<std::borrow::Cow<'t, str>>,
    &'a Spanned<DeValue<'t>>,
);

impl TomlReader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self
            .text
            .as_bytes()
            .get(..span.start)
            .unwrap_or(self.text.as_bytes());
        memchr::memchr_iter(b'\n', before).count() + 1
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line: self.line(&span),
        }
    }

    fn syntax(&mut self, errors: Vec<toml::de::Error>) {
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let line = self.line(&span);
            // One mistake causes several errors; the first one on a line is the one to fix.
            let duplicate = error.message() == "duplicate key";
            if self.raw.broken_lines.contains(&line) {
                continue;
            }
            let mut message = error.message().to_owned();
            let key = if duplicate {
                self.text.get(span.clone()).unwrap_or("")
            } else {
                ""
            };
            if duplicate {
                message.push_str("; it is set further up already, keep one of them");
            }
            let origin = self.origin(span);
            self.raw.problem(origin, key, Fault::Syntax(message));
            self.raw.broken_lines.push(line);
        }
    }

    fn top(&mut self, table: &DeTable<'_>) {
        let mut top = Values::new(Origin::File {
            path: self.path.clone(),
            line: 0,
        });
        for (key, value) in table {
            let name: &str = key.get_ref();
            let section = Section::ALL
                .into_iter()
                .find(|section| section.name() == name);
            match section.filter(|section| *section != Section::Top) {
                Some(section) if section.is_list() => self.list(section, key.span(), value),
                Some(section) => match value.get_ref() {
                    DeValue::Table(table) => {
                        let mut values = Values::new(self.origin(key.span()));
                        for entry in table {
                            self.entry(section, section.name(), entry, &mut values);
                        }
                        self.raw.sections.insert(section, values);
                    }
                    _ => {
                        let header = section.header();
                        let origin = self.origin(key.span());
                        self.raw
                            .problem(origin, name, Fault::WrongSection { header });
                    }
                },
                None => self.entry(Section::Top, "", (key, value), &mut top),
            }
        }
        self.raw.sections.insert(Section::Top, top);
    }

    fn list(&mut self, section: Section, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let name = section.name();
        let wrong = Fault::WrongSection {
            header: section.header(),
        };
        let DeValue::Array(tables) = value.get_ref() else {
            let origin = self.origin(key);
            return self.raw.problem(origin, name, wrong);
        };
        for (at, table) in tables.iter().enumerate() {
            let origin = self.origin(table.span());
            let DeValue::Table(table) = table.get_ref() else {
                self.raw.problem(origin, name, wrong.clone());
                continue;
            };
            let mut values = Values::new(origin);
            for entry in table {
                self.entry(section, &format!("{name}[{at}]"), entry, &mut values);
            }
            self.raw.lists.entry(section).or_default().push(values);
        }
    }

    fn entry(&mut self, section: Section, prefix: &str, entry: Entry<'_, '_>, into: &mut Values) {
        let (key, value) = entry;
        let name: &str = key.get_ref();
        let origin = self.origin(key.span());
        let joint = if prefix.is_empty() { "" } else { "." };
        let path = format!("{prefix}{joint}{name}");
        let Some(setting) = find(section, name) else {
            let fault = unknown(section, name, value.get_ref());
            return self.raw.problem(origin, &path, fault);
        };
        match self.value(setting.kind, value) {
            Ok(value) => {
                into.given.insert(setting.name, Given { value, origin });
            }
            Err((span, fault)) => {
                let origin = self.origin(span);
                self.raw.problem(origin, &path, fault);
            }
        }
    }

    /// The value, if it has the type of `kind`.
    fn value(
        &self,
        kind: SettingKind,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Value, (Range<usize>, Fault)> {
        let wrong = |value: &Spanned<DeValue<'_>>, expected: &str| {
            let fault = Fault::WrongType {
                expected: expected.to_owned(),
                found: type_name(value.get_ref()),
            };
            (value.span(), fault)
        };
        let number = |text: &str, radix| i64::from_str_radix(&text.replace('_', ""), radix).ok();
        let expected = match kind {
            SettingKind::Text | SettingKind::Secret => "a text in quotes",
            SettingKind::Path | SettingKind::File => "a path in quotes",
            SettingKind::Texts => "a list of texts, such as [\"…\", \"…\"]",
            SettingKind::Bytes(_) => "a size, such as \"2MiB\"",
            SettingKind::Duration(_) => "a time with its unit, such as \"1s\"",
            SettingKind::Count(_) => "a whole number",
            SettingKind::Bool => "true or false",
            SettingKind::OneOf(words) => &format!("one of {}", words.join(", ")),
            SettingKind::Formats => "a format in quotes, or a list of them",
            SettingKind::Paths => "a path in quotes, or a list of them",
            SettingKind::Constants => {
                "a table of texts, such as { \"url.domain\" = \"shop.example\" }"
            }
        };
        match (kind, value.get_ref()) {
            (
                SettingKind::Text
                | SettingKind::Secret
                | SettingKind::Path
                | SettingKind::File
                | SettingKind::Bytes(_)
                | SettingKind::Duration(_)
                | SettingKind::OneOf(_),
                DeValue::String(text),
            ) => Ok(Value::Text(text.clone().into_owned())),
            (SettingKind::Bytes(_), DeValue::Integer(integer))
                if number(integer.as_str(), 10).is_some() =>
            {
                Ok(Value::Text(integer.as_str().replace('_', "")))
            }
            (SettingKind::OneOf(words), DeValue::Boolean(bool))
                if words.contains(&bool.to_string().as_str()) =>
            {
                Ok(Value::Text(bool.to_string()))
            }
            (SettingKind::File, DeValue::Boolean(bool)) => Ok(Value::Text(bool.to_string())),
            (SettingKind::Bool, DeValue::Boolean(bool)) => Ok(Value::Bool(*bool)),
            (SettingKind::Count(_), DeValue::Integer(integer)) => {
                number(integer.as_str(), integer.radix())
                    .map(Value::Number)
                    .ok_or_else(|| wrong(value, expected))
            }
            (SettingKind::Formats | SettingKind::Paths, DeValue::String(text)) => Ok(Value::List(
                vec![(text.clone().into_owned(), self.origin(value.span()))],
            )),
            (
                SettingKind::Texts | SettingKind::Formats | SettingKind::Paths,
                DeValue::Array(array),
            ) => array
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => {
                        Ok((text.clone().into_owned(), self.origin(item.span())))
                    }
                    _ => Err(wrong(item, "a text in quotes")),
                })
                .collect::<Result<_, _>>()
                .map(Value::List),
            (SettingKind::Constants, DeValue::Table(table)) => {
                let mut constants = Vec::new();
                self.constants("", table, &mut constants)
                    .map_err(|(name, item)| {
                        wrong(item, &format!("a text in quotes for {name:?}"))
                    })?;
                Ok(Value::Constants(constants))
            }
            _ => Err(wrong(value, expected)),
        }
    }

    /// `url.domain = "x"` and `"url.domain" = "x"` are the same constant.
    fn constants<'v, 't>(
        &self,
        prefix: &str,
        table: &'v DeTable<'t>,
        into: &mut Vec<(String, String, Origin)>,
    ) -> Result<(), (String, &'v Spanned<DeValue<'t>>)> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::String(text) => {
                    into.push((name, text.clone().into_owned(), self.origin(key.span())));
                }
                DeValue::Table(inner) => self.constants(&format!("{name}."), inner, into)?,
                _ => return Err((name, value)),
            }
        }
        Ok(())
    }
}

/// The value of a setting that is not set; its default is TOML too and is read by the same code.
pub(super) fn default_of(setting: &Setting) -> Option<Given> {
    of_literal(setting, setting.default)
}

/// Reads a piece of TOML as the setting's value.
pub(super) fn of_literal(setting: &Setting, text: &str) -> Option<Given> {
    let reader = TomlReader {
        text,
        path: Path::new("").into(),
        raw: Raw::default(),
    };
    let value = reader
        .value(setting.kind, &DeValue::parse(text).ok()?)
        .ok()?;
    Some(Given {
        value,
        origin: Origin::Nowhere,
    })
}

fn unknown(section: Section, name: &str, value: &DeValue<'_>) -> Fault {
    let quoted = |text: &str| Some(format!("\"{text}\""));
    let is_section = match value {
        DeValue::Table(_) => true,
        DeValue::Array(array) => matches!(
            array.iter().next().map(Spanned::get_ref),
            Some(DeValue::Table(_))
        ),
        _ => false,
    };
    if section == Section::Top && is_section {
        let sections = Section::ALL
            .into_iter()
            .map(Section::name)
            .filter(|name| !name.is_empty());
        let suggestion = nearest(name, sections).and_then(quoted);
        return Fault::UnknownSection { suggestion };
    }
    let here = SETTINGS
        .iter()
        .filter(|setting| setting.section == section)
        .map(|setting| setting.name);
    // A correct key in the wrong section is the most common mistake, because TOML's top ends at the first header.
    let elsewhere = SETTINGS.iter().find(|setting| setting.name == name);
    let suggestion = match (elsewhere, nearest(name, here)) {
        (_, Some(near)) if strsim::levenshtein(name, near) == 1 => quoted(near),
        (Some(setting), _) if setting.section == Section::Top => {
            Some(format!("\"{name}\" before the first section"))
        }
        (Some(setting), _) => Some(format!("\"{name}\" in {}", setting.section.header())),
        (None, Some(near)) => quoted(near),
        (None, None) => {
            let all: Vec<String> = SETTINGS.iter().map(Setting::key).collect();
            let keys = all.iter().map(|key| key.rsplit('.').next().unwrap_or(key));
            nearest(name, keys)
                .and_then(|near| SETTINGS.iter().find(|setting| setting.name == near))
                .and_then(|setting| quoted(&setting.key()))
        }
    };
    Fault::UnknownKey { suggestion }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The value of a variable, if its text has the form of the setting.
fn of_variable(setting: &Setting, text: &str, origin: &Origin) -> Result<Value, Fault> {
    let wrong = |expected: &str| Fault::WrongType {
        expected: expected.to_owned(),
        found: "other text",
    };
    Ok(match setting.kind {
        SettingKind::Text
        | SettingKind::Secret
        | SettingKind::Path
        | SettingKind::File
        | SettingKind::Bytes(_)
        | SettingKind::Duration(_)
        | SettingKind::OneOf(_) => Value::Text(text.to_owned()),
        SettingKind::Bool => Value::Bool(text.parse().map_err(|_| wrong("true or false"))?),
        SettingKind::Count(_) => Value::Number(text.parse().map_err(|_| wrong("a whole number"))?),
        // A format contains commas itself, so one variable is one format.
        SettingKind::Formats => Value::List(vec![(text.to_owned(), origin.clone())]),
        SettingKind::Texts | SettingKind::Paths => {
            let items = outside_braces(text)
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Value::List(
                items
                    .map(|item| (item.to_owned(), origin.clone()))
                    .collect(),
            )
        }
        SettingKind::Constants => Value::Constants(
            text.split(',')
                .map(|pair| {
                    let (name, value) = pair
                        .split_once('=')
                        .ok_or_else(|| wrong("name=value,name=value"))?;
                    Ok((
                        name.trim().to_owned(),
                        value.trim().to_owned(),
                        origin.clone(),
                    ))
                })
                .collect::<Result<_, Fault>>()?,
        ),
    })
}

/// The parts between commas, except for commas in the braces of a glob.
fn outside_braces(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    text.split(move |char| {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == ',' && depth == 0
    })
}

/// Kubernetes gives each container variables for every Service, so one called `logweir` makes
/// `LOGWEIR_SERVICE_HOST`, `LOGWEIR_PORT_9280_TCP_ADDR` and others (Kubernetes documentation, "Service",
/// "Environment variables"). None of them is a setting of logweir.
fn is_of_kubernetes(name: &str) -> bool {
    let service = name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_");
    let link = name.split_once("_PORT").is_some_and(|(_, rest)| {
        let number = rest.strip_prefix('_').and_then(|rest| rest.split_once('_'));
        rest.is_empty() || number.is_some_and(|(port, _)| port.bytes().all(|b| b.is_ascii_digit()))
    });
    service || link
}
