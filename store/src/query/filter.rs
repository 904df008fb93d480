//! Conditions on fields, evaluated once for each different value of a segment.
//!
//! Owns what a condition means. Invariant: a condition on a list holds when one of its values fits; a negated condition holds
//! exactly where the condition itself does not, so also where the field is missing.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use tantivy_columnar::{DynamicColumn, StrColumn};

use super::columns::{Memo, Raw, Scan, check, places};
use super::key::Key;
use crate::segment::Segment;

/// A condition on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The field, such as `source.ip`.
    pub field: String,
    /// Holds where the test does not.
    pub negated: bool,
    /// What a value must be.
    pub test: Test,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// A text, or the decimal text of a number.
    Pattern(Pattern),
    /// An address within a network. A text that is no address is in none.
    Network(IpNet),
}

/// A text in which `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The texts between the stars; one without any star.
    pieces: Vec<String>,
}

impl Pattern {
    /// Reads a pattern. `\*` is a star and `\\` a backslash; any other backslash stands for itself.
    pub fn parse(text: &str) -> Self {
        let mut pieces = vec![];
        let mut piece = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '*' => pieces.push(std::mem::take(&mut piece)),
                '\\' => piece.push(chars.next_if(|next| "*\\".contains(*next)).unwrap_or(char)),
                char => piece.push(char),
            }
        }
        pieces.push(piece);
        Self { pieces }
    }

    /// The text that it stands for, without a star.
    pub fn exact(&self) -> Option<&str> {
        match &*self.pieces {
            [text] => Some(text),
            _ => None,
        }
    }

    /// Whether every value fits.
    fn is_any(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(String::is_empty)
    }

    /// Whether the text fits.
    pub fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &*self.pieces else {
            return self.exact() == Some(text);
        };
        let Some(mut rest) = text
            .strip_prefix(&**first)
            .and_then(|rest| rest.strip_suffix(&**last))
        else {
            return false;
        };
        middle.iter().all(|piece| match rest.find(&**piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    }
}

impl Test {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(text),
            Self::Network(network) => text
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address.to_canonical())),
        }
    }
}

/// A condition on the columns of a segment.
pub(super) struct Condition {
    negated: bool,
    columns: Vec<Tested>,
    hits: Vec<bool>,
}

/// A column that may have values that fit.
enum Tested {
    /// Any text fits.
    Present(Scan<u64>),
    /// One text fits.
    One(Scan<u64>, u64),
    /// Some texts fit, a bit for each.
    Some(Scan<u64>, Vec<u64>),
    /// Values without a dictionary.
    Values(Raw, Test, Box<Memo<bool>>),
}

impl Condition {
    pub(super) fn new(filter: &Filter, segment: &Segment) -> io::Result<Self> {
        let mut columns = Vec::new();
        for column in segment.columns(&filter.field)? {
            let is_any = matches!(&filter.test, Test::Pattern(pattern) if pattern.is_any());
            match column {
                DynamicColumn::Str(column) if is_any => {
                    columns.push(Tested::Present(Scan::new(column.ords().clone())));
                }
                DynamicColumn::Str(column) => columns.extend(terms(&filter.test, &column)?),
                column => {
                    let raw = Raw::new(column);
                    let test = |raw| Tested::Values(raw, filter.test.clone(), Memo::new());
                    columns.extend(raw.map(test));
                }
            }
        }
        Ok(Self {
            negated: filter.negated,
            columns,
            hits: Vec::new(),
        })
    }

    /// Whether no row of the segment fulfils it.
    pub(super) fn is_never(&self) -> bool {
        self.columns.is_empty() && !self.negated
    }

    /// For each of these rows, whether it fulfils the condition.
    pub(super) fn test(&mut self, rows: &[u32]) -> &[bool] {
        self.hits.clear();
        self.hits.resize(rows.len(), self.negated);
        let (hits, hit) = (&mut self.hits, !self.negated);
        for column in &mut self.columns {
            match column {
                Tested::Present(scan) => mark(rows, scan.read(rows), hits, hit, |_| true),
                Tested::One(scan, term) => {
                    mark(rows, scan.read(rows), hits, hit, |value| value == *term);
                }
                Tested::Some(scan, terms) => mark(rows, scan.read(rows), hits, hit, |value| {
                    let word = usize::try_from(value / 64).ok();
                    let word = word.and_then(|word| terms.get(word));
                    word.is_some_and(|word| word >> (value % 64) & 1 == 1)
                }),
                Tested::Values(raw, test, memo) => {
                    let kind = raw.kind();
                    mark(rows, raw.read(rows), hits, hit, |value| {
                        memo.get(value, || test.matches(&Key::of(kind, value).to_string()))
                    });
                }
            }
        }
        &self.hits
    }
}

/// Marks the rows with a value that fits.
fn mark(
    rows: &[u32],
    (of, values): (&[u32], &[u64]),
    hits: &mut [bool],
    hit: bool,
    mut fits: impl FnMut(u64) -> bool,
) {
    if of == rows {
        for (mark, value) in hits.iter_mut().zip(values) {
            if fits(*value) {
                *mark = hit;
            }
        }
        return;
    }
    for (place, value) in places(rows, of).zip(values) {
        if fits(*value) {
            hits[place] = hit;
        }
    }
}

/// The texts that fit; `None` when there are none.
fn terms(test: &Test, column: &StrColumn) -> io::Result<Option<Tested>> {
    check(column)?;
    let scan = || Scan::new(column.ords().clone());
    if let Test::Pattern(pattern) = test
        && let Some(text) = pattern.exact()
    {
        let term = column.dictionary().term_ord(text)?;
        return Ok(term.map(|term| Tested::One(scan(), term)));
    }
    let mut bits = vec![0_u64; column.num_terms().div_ceil(64)];
    let mut found = false;
    let mut terms = column.dictionary().stream()?;
    let mut number = 0_usize;
    while terms.advance() {
        if std::str::from_utf8(terms.key()).is_ok_and(|text| test.matches(text)) {
            bits[number / 64] |= 1 << (number % 64);
            found = true;
        }
        number += 1;
    }
    Ok(found.then(|| Tested::Some(scan(), bits)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a*", "/a", true),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*b*c", "a-b-c", false),
            ("*", "", true),
            ("**", "x", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            (r"\\*", r"\x22", true),
            (r"\x2*", r"\x22", true),
            ("", "", true),
            ("", "a", false),
            ("ü*", "üß", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).matches(text),
                fits,
                "{pattern} {text}"
            );
        }
        assert_eq!(Pattern::parse(r"\*\\").exact(), Some(r"*\"));
    }

    proptest! {
        #[test]
        fn a_pattern_agrees_with_trying_every_way(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn tried(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], text) => {
                        (0..=text.len()).any(|at| tried(rest, &text[at..]))
                    }
                    ([one, rest @ ..], [other, more @ ..]) => one == other && tried(rest, more),
                    _ => false,
                }
            }
            let expected = tried(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Pattern::parse(&pattern).matches(&text), expected);
        }
    }
}
