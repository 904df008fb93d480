//! The pattern of the names of daily indices.
//!
//! Owns the pattern `nginx-access-%Y.%m.%d` and the names derived from it. Refuses to know the current time: the event's
//! time alone determines the name, so a repeated line goes to the index of its first copy. Invariant: Elasticsearch and
//! OpenSearch accept every name, and it matches [`IndexPattern::wildcard`].

use std::fmt;

use chrono::{DateTime, Datelike as _, Months, NaiveDate};

/// Longest name of an index, in bytes (Elasticsearch, "Create index API", path parameters).
const MAX_NAME: usize = 255;
/// Characters that an index name must not contain (the same page; `:` since 7.0).
const FORBIDDEN: [char; 12] = ['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'];

/// Characters between the parts of a name.
const JOINTS: [char; 3] = ['-', '.', '_'];

/// A strftime pattern that turns the event's day in UTC into an index name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPattern {
    source: String,
    pieces: Vec<Piece>,
    prefix: String,
    suffix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    Day,
}

/// The time that one index covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A day.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// The longest such period in days.
    pub fn most_days(self) -> u32 {
        match self {
            Self::Day => 1,
            Self::Month => 31,
            Self::Year => 366,
        }
    }
}

/// Why a pattern is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexPatternError {
    /// No `%Y`.
    #[error(
        "it holds no date, so old days could not be deleted; write it as in nginx-access-%Y.%m.%d"
    )]
    NoDate,
    /// No `%Y`, and three parts or more, as data streams have.
    #[error(
        "it holds no date, so old days could not be deleted; for a data stream (TYPE-DATASET-NAMESPACE) write \
         data_stream = \"logs-nginx.access-default\" instead of index, else write it as in nginx-access-%Y.%m.%d"
    )]
    NamesStream,
    /// `%d` without `%m`, or `%m` without `%Y`.
    #[error("%d needs %m and %m needs %Y, or days of different months would share an index")]
    GapInDate,
    /// A `%` conversion other than the three.
    #[error("only %Y, %m and %d are understood")]
    UnknownField,
    /// It begins with the date.
    #[error("a name must come before the date, as in nginx-access-%Y.%m.%d")]
    NoPrefix,
    /// An upper-case letter.
    #[error("Elasticsearch takes lower-case index names only")]
    UpperCase,
    /// A character that an index name must not contain.
    #[error("Elasticsearch takes no '{0}' in an index name")]
    Forbidden(char),
    /// Begins with `-`, `_`, `+` or `.`.
    #[error("Elasticsearch takes no index name that begins with '{0}'")]
    BadStart(char),
    /// Longer than 255 bytes.
    #[error("the name would be longer than 255 bytes")]
    TooLong,
}

impl IndexPattern {
    /// Checks a pattern.
    pub fn parse(source: &str) -> Result<Self, IndexPatternError> {
        use IndexPatternError as Error;

        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some(at) = rest.find('%') {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            pieces.push(match rest.as_bytes().get(at + 1) {
                Some(b'Y') => Piece::Year,
                Some(b'm') => Piece::Month,
                Some(b'd') => Piece::Day,
                _ => return Err(Error::UnknownField),
            });
            rest = &rest[at + 2..];
        }
        if pieces.is_empty() {
            let parts = source.split('-').filter(|part| !part.is_empty());
            return Err(match parts.count() {
                0..=2 => Error::NoDate,
                _ => Error::NamesStream,
            });
        }
        let suffix = rest.to_owned();
        if !rest.is_empty() {
            pieces.push(Piece::Text(suffix.clone()));
        }
        let has = |piece| pieces.contains(&piece);
        if has(Piece::Day) && !has(Piece::Month) || has(Piece::Month) && !has(Piece::Year) {
            return Err(Error::GapInDate);
        }
        let Some(Piece::Text(prefix)) = pieces.first().cloned() else {
            return Err(Error::NoPrefix);
        };
        let mut texts = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            _ => None,
        });
        if let Some(start) = prefix.chars().next().filter(|c| "-_+.".contains(*c)) {
            return Err(Error::BadStart(start));
        }
        for char in texts.by_ref().flat_map(|text| text.chars()) {
            if char.is_uppercase() {
                return Err(Error::UpperCase);
            }
            if FORBIDDEN.contains(&char) || char.is_control() || char.is_whitespace() {
                return Err(Error::Forbidden(char));
            }
        }
        let pattern = IndexPattern {
            source: source.to_owned(),
            pieces,
            prefix,
            suffix,
        };
        let longest = pattern
            .name(NaiveDate::MAX)
            .len()
            .max(pattern.unparsed().len());
        if longest > MAX_NAME {
            Err(Error::TooLong)
        } else {
            Ok(pattern)
        }
    }

    /// The pattern as written in the configuration.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The index of a day.
    pub fn name(&self, day: NaiveDate) -> String {
        use std::fmt::Write as _;

        let mut name = String::with_capacity(self.source.len() + 4);
        for piece in &self.pieces {
            // Writing to a String cannot fail.
            let _ = match piece {
                Piece::Text(text) => {
                    name.push_str(text);
                    Ok(())
                }
                Piece::Year => write!(name, "{:04}", day.year()),
                Piece::Month => write!(name, "{:02}", day.month()),
                Piece::Day => write!(name, "{:02}", day.day()),
            };
        }
        name
    }

    /// The index of the day of a Unix second, in UTC; None outside of what a date can hold.
    pub fn name_at(&self, seconds: i64) -> Option<String> {
        DateTime::from_timestamp(seconds, 0).map(|time| self.name(time.date_naive()))
    }

    /// The time that one index covers.
    pub fn period(&self) -> Period {
        if self.pieces.contains(&Piece::Day) {
            Period::Day
        } else if self.pieces.contains(&Piece::Month) {
            Period::Month
        } else {
            Period::Year
        }
    }

    /// The first day after the period of an index, by its name; None for a name that the pattern does not produce.
    pub fn end(&self, name: &str) -> Option<NaiveDate> {
        let (mut rest, mut year, mut month, mut day) = (name, None, 1, 1);
        let number = |digits: usize, rest: &mut &str| {
            let (head, tail) = rest.split_at_checked(digits)?;
            *rest = tail;
            head.parse::<u32>().ok()
        };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Piece::Year => year = Some(i32::try_from(number(4, &mut rest)?).ok()?),
                Piece::Month => month = number(2, &mut rest)?,
                Piece::Day => day = number(2, &mut rest)?,
            }
        }
        let first = NaiveDate::from_ymd_opt(year?, month, day)?;
        // the comparison also refuses numbers such as "+1", and a date that occurs twice with different values
        if self.name(first) != name {
            return None;
        }
        match self.period() {
            Period::Day => first.succ_opt(),
            Period::Month => first.checked_add_months(Months::new(1)),
            Period::Year => first.checked_add_months(Months::new(12)),
        }
    }

    /// Whether Elasticsearch can parse the day in the names: they must end in `-yyyy.MM.dd` ("Index lifecycle
    /// management settings", `index.lifecycle.parse_origination_date`).
    pub fn has_origination_date(&self) -> bool {
        self.source.ends_with("-%Y.%m.%d")
    }

    /// Patterns that match each index of a day of this or the last millennium, and not that of lines without a time:
    /// `nginx-access-1*.*.*` and `nginx-access-2*.*.*`. `*` is their only wildcard.
    pub fn dated_wildcards(&self) -> Vec<String> {
        let first = self.pieces.iter().find_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Year => Some("12"),
            Piece::Month => Some("01"),
            Piece::Day => Some("0123"),
        });
        let digits = first.unwrap_or_default().chars();
        digits
            .map(|digit| {
                let mut out = String::new();
                let mut digit = Some(digit);
                for piece in &self.pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        _ => {
                            out.extend(digit.take());
                            if !out.ends_with('*') {
                                out.push('*');
                            }
                        }
                    }
                }
                out
            })
            .collect()
    }

    /// The pattern of Elasticsearch's own template for data streams, if our names match it (Elasticsearch, "Index
    /// templates", "Avoid index pattern collisions").
    pub fn collides(&self) -> Option<&'static str> {
        const BUILT_IN: [(&str, &str); 3] = [
            ("logs-", "logs-*-*"),
            ("metrics-", "metrics-*-*"),
            ("synthetics-", "synthetics-*-*"),
        ];
        let name = self.wildcard();
        let matching = BUILT_IN.iter().find(|(head, _)| {
            let rest = name.strip_prefix(head);
            rest.is_some_and(|rest| rest.contains('-'))
        });
        matching.map(|(_, pattern)| *pattern)
    }

    /// A pattern that matches all our indices: `nginx-access-*`.
    pub fn wildcard(&self) -> String {
        format!("{}*{}", self.prefix, self.suffix)
    }

    /// The name of the index template and of its parts: `nginx-access`. It includes the text after the date, since
    /// `web-%Y-eu` and `web-%Y-us` need two templates.
    pub fn template(&self) -> String {
        format!("{}{}", self.prefix.trim_end_matches(JOINTS), self.suffix)
    }

    /// The index of lines without a readable time: `nginx-access-unparsed`.
    pub fn unparsed(&self) -> String {
        let joint = if self.prefix.ends_with(JOINTS) {
            ""
        } else {
            "-"
        };
        format!("{}{joint}unparsed{}", self.prefix, self.suffix)
    }
}

impl fmt::Display for IndexPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_follow_from_the_day() {
        let pattern = IndexPattern::parse("nginx-access-%Y.%m.%d").unwrap();
        assert_eq!(
            pattern.name_at(1_795_392_000 - 1).unwrap(),
            "nginx-access-2026.11.22"
        );
        assert_eq!(
            pattern.name_at(1_795_392_000).unwrap(),
            "nginx-access-2026.11.23"
        );
        assert_eq!(pattern.name_at(i64::MAX), None);
        assert_eq!(pattern.prefix, "nginx-access-");
        assert_eq!(pattern.wildcard(), "nginx-access-*");
        assert_eq!(pattern.template(), "nginx-access");
        assert_eq!(pattern.unparsed(), "nginx-access-unparsed");
    }

    #[test]
    fn a_date_may_be_in_the_middle_or_without_a_separator() {
        let middle = IndexPattern::parse("web-%Y.%m-eu").unwrap();
        assert_eq!(middle.name_at(0).unwrap(), "web-1970.01-eu");
        assert_eq!(
            (middle.wildcard(), middle.unparsed()),
            ("web-*-eu".into(), "web-unparsed-eu".into())
        );
        assert_eq!(middle.template(), "web-eu");
        let tight = IndexPattern::parse("web%Y").unwrap();
        assert_eq!(
            (tight.wildcard(), tight.unparsed()),
            ("web*".into(), "web-unparsed".into())
        );
    }

    #[test]
    fn an_index_name_shows_when_it_expires() {
        let end = |pattern: &str, name: &str| {
            let end = IndexPattern::parse(pattern).unwrap().end(name);
            end.map(|end| end.to_string())
        };
        let over = |pattern: &str, name: &str| end(pattern, name).unwrap();
        assert_eq!(over("n-%Y.%m.%d", "n-2026.12.31"), "2027-01-01");
        assert_eq!(over("n-%Y.%m-eu", "n-2026.12-eu"), "2027-01-01");
        assert_eq!(over("n%Y%m%d", "n20240229"), "2024-03-01");
        assert_eq!(over("n_%d-%m-%Y", "n_01-02-2026"), "2026-02-02");
        assert_eq!(over("n-%Y", "n-2026"), "2027-01-01");
        for (pattern, name) in [
            ("n-%Y.%m.%d", "n-unparsed"),
            ("n-%Y.%m.%d", "n-2026.11.2"),
            ("n-%Y.%m.%d", "n-2026.11.233"),
            ("n-%Y.%m.%d", "n-2026.11.23-2"),
            ("n-%Y.%m.%d", "x-n-2026.11.23"),
            ("n-%Y.%m.%d", ".ds-n-2026.11.23"),
            ("n-%Y.%m.%d", "n-2026.02.30"),
            ("n-%Y.%m.%d", "n-+026.+1.+1"),
            ("n-%Y.%m.%d", "n-2026.1é.01"),
            ("n-%Y.%m.%d", "n-2026-11-23"),
            ("n-%Y.%m", "n-2026.11.23"),
            ("n-%Y", "n-2026.11"),
            ("n-%Y-%Y", "n-2026-2025"),
            ("n-%Y", ""),
        ] {
            assert_eq!(end(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn only_names_that_elasticsearch_can_read_have_their_date_read() {
        for (pattern, reads) in [
            ("nginx-access-%Y.%m.%d", true),
            ("web%Y-%Y.%m.%d", true),
            ("nginx-access_%Y.%m.%d", false),
            ("nginx-access-%Y-%m-%d", false),
            ("nginx-access-%Y.%m", false),
            ("nginx-access-%Y.%m.%d-eu", false),
        ] {
            let pattern = IndexPattern::parse(pattern).unwrap();
            assert_eq!(pattern.has_origination_date(), reads, "{pattern}");
        }
    }

    #[test]
    fn dated_wildcards_do_not_match_names_without_a_date() {
        let of = |pattern: &str| IndexPattern::parse(pattern).unwrap().dated_wildcards();
        assert_eq!(of("n-%Y.%m.%d"), ["n-1*.*.*", "n-2*.*.*"]);
        assert_eq!(of("n%Y%m-eu"), ["n1*-eu", "n2*-eu"]);
        assert_eq!(of("n-%d.%m.%Y").len(), 4);
    }

    #[test]
    fn names_that_elasticsearch_reserves_for_data_streams_are_detected() {
        let collides = |pattern: &str| IndexPattern::parse(pattern).unwrap().collides();
        assert_eq!(collides("logs-nginx-%Y.%m.%d"), Some("logs-*-*"));
        assert_eq!(collides("logs-%Y.%m.%d-eu"), Some("logs-*-*"));
        assert_eq!(collides("metrics-a-%Y"), Some("metrics-*-*"));
        // a single dash; the name for lines without a time counts too
        assert_eq!(collides("logs-%Y.%m.%d"), None);
        assert_eq!(collides("weblogs-nginx-%Y.%m.%d"), None);
        assert_eq!(collides("nginx-access-%Y.%m.%d"), None);
    }

    #[test]
    fn names_that_elasticsearch_refuses_are_refused() {
        use IndexPatternError as Error;
        let error = |text: &str| IndexPattern::parse(text).unwrap_err();
        assert_eq!(error("nginx-access"), Error::NoDate);
        assert_eq!(error(""), Error::NoDate);
        assert_eq!(error("logs-nginx.access-default"), Error::NamesStream);
        assert_eq!(error("logs-nginx-access-default"), Error::NamesStream);
        assert_eq!(error("%Y-nginx"), Error::NoPrefix);
        assert_eq!(error("nginx-%d"), Error::GapInDate);
        assert_eq!(error("nginx-%Y-%d"), Error::GapInDate);
        assert_eq!(error("nginx-%H"), Error::UnknownField);
        assert_eq!(error("nginx-%Y-%"), Error::UnknownField);
        assert_eq!(error("nginx-%é"), Error::UnknownField);
        assert_eq!(error("Nginx-%Y"), Error::UpperCase);
        assert_eq!(error("nginx %Y"), Error::Forbidden(' '));
        assert_eq!(error("nginx-%Y:%m"), Error::Forbidden(':'));
        assert_eq!(error(".nginx-%Y"), Error::BadStart('.'));
        assert_eq!(error("_nginx-%Y"), Error::BadStart('_'));
        assert_eq!(error(&format!("{}-%Y", "n".repeat(250))), Error::TooLong);
    }
}
