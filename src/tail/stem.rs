//! Determines by its name which log a rotated file belongs to.
//!
//! Owns: the table of the names that rotation tools use. Refuses to know: directories and contents. Invariant: a name
//! that is in the table stays in it; forms are only added. The failure it guards against: `access.log.1` is taken for a
//! log of its own, and its lines are indexed a second time under another identity.
//!
//! For a live name `access.log` the table contains, each also with `.gz`, `.zst`, `.bz2` or `.xz` appended:
//!
//! | name | made by |
//! | --- | --- |
//! | `access.log.1` | logrotate (default), newsyslog, savelog |
//! | `access.log-20261123`, `access.log-2026112304` | logrotate `dateext`, with `hourly` |
//! | `access.log-20261123-1700000000`, `access.log-1700000000` | logrotate `dateformat -%Y%m%d-%s`, `-%s` |
//! | `access.log-2026-11-23`, `access.log.2026-11-23`, `access.log_20261123` | logrotate `dateformat`, hand-made scripts |
//! | `access.log.20261123`, `access.log.20261123T040000` | newsyslog `-t`, scripts |
//! | `0.log.20261123-040000` | kubelet |
//! | `access.1.log`, `access-20261123.log` | logrotate `extension .log`; only while `access.log` is known |
//! | `access.log.gz` | a file compressed by hand |

/// How a rotated file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Compression {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
    /// `.bz2`
    Bzip2,
    /// `.xz`
    Xz,
}

/// A name that the table recognises as a rotated one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotated<'n> {
    /// The part of the live name before the rotation mark.
    head: &'n str,
    /// The part of the live name after it: empty, or the extension for the `extension .log` forms.
    extension: &'n str,
    /// The number or date; empty for a name that is only compressed.
    pub mark: &'n str,
    /// How it is compressed.
    pub compression: Option<Compression>,
}

impl<'n> Rotated<'n> {
    /// The name of the live log.
    pub(crate) fn stem(&self) -> String {
        format!("{}{}", self.head, self.extension)
    }

    /// Whether the mark is inside the name, where it could also be part of a live log's own name.
    pub(crate) fn is_infix(&self) -> bool {
        !self.extension.is_empty()
    }
}

/// All readings of `name` as a rotated name, the likeliest first. Empty for a live name.
pub(crate) fn readings(name: &str) -> impl Iterator<Item = Rotated<'_>> {
    #[cfg(test)]
    tests::READ.with(|read| read.set(read.get() + 1));
    let (plain, compression) = split_compression(name);
    // A log named after the address that it serves: `10.0.0.1` is not a rotation of `10.0.0`.
    let address = plain.parse::<std::net::Ipv4Addr>().is_ok();
    let suffix = split_mark(plain)
        .filter(|_| !address)
        .map(|(head, mark)| Rotated {
            head,
            extension: "",
            mark,
            compression,
        });
    let infix = plain
        .rfind('.')
        .filter(|&dot| dot > 0 && !address)
        .and_then(|dot| {
            let (rest, extension) = plain.split_at(dot);
            // `.1` itself is not an extension.
            if extension.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            split_mark(rest).map(|(head, mark)| Rotated {
                head,
                extension,
                mark,
                compression,
            })
        });
    let bare = (suffix.is_none() && compression.is_some()).then_some(Rotated {
        head: plain,
        extension: "",
        mark: "",
        compression,
    });
    suffix.into_iter().chain(infix).chain(bare)
}

/// Whether `candidate` is a rotated file of the log with the name `live`.
pub(crate) fn rotated<'n>(live: &str, candidate: &'n str) -> Option<Rotated<'n>> {
    readings(candidate).find(|reading| reading.stem() == live)
}

/// The compression that a name shows.
pub(crate) fn compression(name: &str) -> Option<Compression> {
    split_compression(name).1
}

/// Whether a live name contains a date, so that every day's file would be a log of its own.
pub(crate) fn carries_date(name: &str) -> bool {
    let bytes = name.as_bytes();
    (0..bytes.len()).any(|start| {
        let free = start == 0 || !bytes[start - 1].is_ascii_digit();
        free && date_length(&name.as_bytes()[start..])
            .is_some_and(|length| !bytes.get(start + length).is_some_and(u8::is_ascii_digit))
    })
}

fn split_compression(name: &str) -> (&str, Option<Compression>) {
    const SUFFIXES: [(&str, Compression); 4] = [
        (".gz", Compression::Gzip),
        (".zst", Compression::Zstd),
        (".bz2", Compression::Bzip2),
        (".xz", Compression::Xz),
    ];
    for (suffix, compression) in SUFFIXES {
        if let Some(plain) = name.strip_suffix(suffix)
            && !plain.is_empty()
        {
            return (plain, Some(compression));
        }
    }
    (name, None)
}

/// Splits the rotation mark off the end of a name, including the separator before it.
fn split_mark(name: &str) -> Option<(&str, &str)> {
    // The earliest separator wins: in `access.log-2026-11-23` the whole date is the mark.
    name.match_indices(['.', '-', '_'])
        .find_map(|(at, separator)| {
            let mark = &name[at + 1..];
            (at > 0 && is_mark(separator, mark)).then_some((&name[..at], mark))
        })
}

fn is_mark(separator: &str, mark: &str) -> bool {
    let bytes = mark.as_bytes();
    let digits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    // A rotation number: `.1` to `.99999`.
    if separator == "." && digits && bytes.len() <= 5 {
        return true;
    }
    if separator == "-" && digits && is_epoch(bytes) {
        return true;
    }
    let Some(length) = date_length(bytes) else {
        return false;
    };
    match &bytes[length..] {
        [] => true,
        // `-%s` after the date, or an hour (`-04`), or a time (`T040000`, `-040000`).
        [b'-', rest @ ..] => {
            rest.iter().all(u8::is_ascii_digit)
                && (is_epoch(rest) || matches!(rest.len(), 2 | 4 | 6))
        }
        [b'T', rest @ ..] => rest.iter().all(u8::is_ascii_digit) && matches!(rest.len(), 4 | 6),
        _ => false,
    }
}

/// Seconds since 1970 with ten digits: from 2001 to 2286.
fn is_epoch(digits: &[u8]) -> bool {
    digits.len() == 10 && digits[0] == b'1' && digits.iter().all(u8::is_ascii_digit)
}

/// The length of the date at the beginning of `bytes`: `20261123`, `2026112304`, `2026-11-23`, `2026_11_23`,
/// `2026.11.23`.
fn date_length(bytes: &[u8]) -> Option<usize> {
    let number = |from: usize, length: usize| -> Option<u32> {
        bytes
            .get(from..from + length)?
            .iter()
            .try_fold(0, |value, byte| {
                byte.is_ascii_digit()
                    .then(|| value * 10 + u32::from(byte - b'0'))
            })
    };
    let plausible = |month: usize, day: usize| {
        number(0, 4).is_some_and(|year| (1990..2100).contains(&year))
            && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
            && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
    };
    if plausible(4, 6) {
        let hour = number(8, 2).is_some_and(|hour| hour < 24)
            && !bytes.get(10).is_some_and(u8::is_ascii_digit);
        return Some(if hour { 10 } else { 8 });
    }
    let separator = *bytes.get(4)?;
    (matches!(separator, b'-' | b'_' | b'.') && bytes.get(7) == Some(&separator) && plausible(5, 8))
        .then_some(10)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many names this thread has read.
        pub(crate) static READ: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn the_table() {
        let rotated_names = [
            ("access.log.1", None),
            ("access.log.14.gz", Some(Compression::Gzip)),
            ("access.log-20261123", None),
            ("access.log-20261123.zst", Some(Compression::Zstd)),
            ("access.log-2026112304", None),
            ("access.log-20261123-1700000000", None),
            ("access.log-20261123-1700000000.gz", Some(Compression::Gzip)),
            ("access.log-1700000000", None),
            ("access.log-20261123-04", None),
            ("access.log-2026-11-23", None),
            ("access.log.2026-11-23", None),
            ("access.log_20261123", None),
            ("access.log.20261123", None),
            ("access.log.20261123-040000", None),
            ("access.log.20261123-040000.gz", Some(Compression::Gzip)),
            ("access.log.20261123T040000.xz", Some(Compression::Xz)),
            ("access.log.gz", Some(Compression::Gzip)),
            ("access.1.log", None),
            ("access-20261123.log", None),
            ("access-20261123.log.gz", Some(Compression::Gzip)),
        ];
        for (name, compression) in rotated_names {
            let found = rotated("access.log", name);
            assert_eq!(
                found.map(|found| found.compression),
                Some(compression),
                "{name}"
            );
        }
        for name in [
            "access.log",
            "access.log.bak",
            "access.log.20261123-040000.tmp",
            "access.log.1x",
            "access.log-2026",
            "access.log-20261323",
            "error.log.1",
            "xaccess.log.1",
            "access.log2",
            "access.log.1.2x",
            "access.log.",
            ".gz",
            "",
        ] {
            assert_eq!(rotated("access.log", name), None, "{name}");
        }
    }

    #[test]
    fn a_live_name_is_read_as_rotated_only_because_of_digits() {
        for name in [
            "access.log",
            "shop.example_access.log",
            "other_vhosts_access.log",
            "a",
            "10.0.0.1",
        ] {
            assert_eq!(readings(name).count(), 0, "{name}");
        }
        assert!(readings("access.1.log").next().unwrap().is_infix());
        assert!(!readings("access.log.1").next().unwrap().is_infix());
    }

    #[test]
    fn an_address_in_a_name_is_not_a_date() {
        for name in [
            "access.log",
            "10.0.0.1-access.log",
            "site-12345678.log",
            "2026.log",
        ] {
            assert!(!carries_date(name), "{name}");
        }
        for name in [
            "access-20261123.log",
            "access.2026-11-23.log",
            "access_2026112304.log",
        ] {
            assert!(carries_date(name), "{name}");
        }
    }
}
