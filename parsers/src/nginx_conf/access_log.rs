//! The arguments of `access_log` and `log_format`, as `ngx_http_log_set_log` and
//! `ngx_http_log_compile_format` take them (`src/http/modules/ngx_http_log_module.c`).
//!
//! Owns the options and the decision whether a target is a file. Refuses to know blocks and inheritance.
//!
//! Only `error_log` has `memory:` targets: nginx takes `access_log memory:32m` for a file of that name.

use std::time::Duration;

use super::{COMBINED, LogOptions, Reason, Tailable, Wrong};
use crate::Escape;
use crate::format::source;

const ACCESS_LOG: &str = "access_log";
const LOG_FORMAT: &str = "log_format";

/// The buffer of a log with `gzip` and without `buffer=`.
const GZIP_BUFFER: u64 = 64 * 1024;
/// `gzip` without a level is zlib's `Z_BEST_SPEED`.
const GZIP_LEVEL: u8 = 1;

/// The content of one `access_log` directive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Off,
    Log {
        target: String,
        format: String,
        options: LogOptions,
    },
}

/// Reads the words after `access_log`; every invalid parameter is reported to `wrong` and omitted.
pub(super) fn access_log(words: &[Vec<u8>], wrong: &mut Vec<Wrong>) -> Option<Directive> {
    let Some(words) = texts(words) else {
        wrong.push(Wrong::NotUtf8 {
            directive: ACCESS_LOG,
        });
        return None;
    };
    let mut bad = |parameter: &str| {
        wrong.push(Wrong::BadParameter {
            directive: ACCESS_LOG,
            parameter: parameter.to_owned(),
        });
    };
    let (&target, rest) = match words.split_first() {
        Some((&"off", rest)) => {
            rest.iter().for_each(|parameter| bad(parameter));
            return Some(Directive::Off);
        }
        Some(split) => split,
        None => {
            wrong.push(Wrong::Arguments {
                directive: ACCESS_LOG,
            });
            return None;
        }
    };
    let mut options = LogOptions::default();
    let (format, parameters) = match rest.split_first() {
        Some((&format, parameters)) => (format, parameters),
        None => (COMBINED, rest),
    };
    for parameter in parameters {
        if !option(parameter, &mut options) {
            bad(parameter);
        }
    }
    Some(Directive::Log {
        target: target.to_owned(),
        format: format.to_owned(),
        options,
    })
}

fn option(parameter: &str, options: &mut LogOptions) -> bool {
    let (name, value) = match parameter.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (parameter, None),
    };
    match (name, value) {
        ("buffer", Some(value)) => {
            options.buffer = size(value);
            options.buffer.is_some()
        }
        ("flush", Some(value)) => {
            options.flush = time(value);
            options.flush.is_some()
        }
        ("gzip", level) => {
            options.gzip = match level {
                None => Some(GZIP_LEVEL),
                Some(level) => level.parse().ok().filter(|level| (1..=9).contains(level)),
            };
            options.buffer.get_or_insert(GZIP_BUFFER);
            options.gzip.is_some()
        }
        ("if", Some(condition)) => {
            options.condition = Some(condition.to_owned());
            true
        }
        _ => false,
    }
}

/// Reads the words after `log_format`: name, escaping and joined pieces.
pub(super) fn log_format(words: &[Vec<u8>]) -> Result<(String, Escape, String), Wrong> {
    let words = texts(words).ok_or(Wrong::NotUtf8 {
        directive: LOG_FORMAT,
    })?;
    let (name, pieces) = match words.split_first() {
        Some((name, pieces)) if !pieces.is_empty() => (*name, pieces),
        _ => {
            return Err(Wrong::Arguments {
                directive: LOG_FORMAT,
            });
        }
    };
    let format = source::from_words(pieces).map_err(|error| Wrong::BadFormat {
        name: name.to_owned(),
        error,
    })?;
    let escape = format.escape.unwrap_or_default();
    Ok((name.to_owned(), escape, format.value))
}

/// Whether a log at `target` can be followed. `target` is as written, without the prefix.
pub(super) fn tailable(target: &str) -> Tailable {
    let standard = |fd: &str| matches!(fd, "0" | "1" | "2");
    if target.starts_with("syslog:") {
        Tailable::No(Reason::Syslog)
    } else if target.contains('$') {
        Tailable::No(Reason::Variables)
    } else if target == "/dev/null" {
        Tailable::No(Reason::Null)
    } else if matches!(
        target,
        "" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "/dev/console"
    ) || target.strip_prefix("/dev/fd/").is_some_and(standard)
        || target
            .strip_prefix("/proc/")
            .and_then(|rest| rest.split_once("/fd/"))
            .is_some()
    {
        Tailable::No(Reason::Stream)
    } else {
        Tailable::Yes
    }
}

/// The path with each `$name` and `${name}` as `*`; characters that are special in a glob are bracketed.
pub(super) fn variables_as_stars(path: &str) -> String {
    let mut glob = String::with_capacity(path.len());
    let mut chars = path.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '$' => {
                if chars.next_if_eq(&'{').is_some() {
                    while chars.next().is_some_and(|char| char != '}') {}
                } else {
                    while chars
                        .next_if(|char| char.is_ascii_alphanumeric() || *char == '_')
                        .is_some()
                    {}
                }
                if !glob.ends_with('*') {
                    glob.push('*');
                }
            }
            '*' | '?' | '[' | '{' => glob.extend(['[', char, ']']),
            _ => glob.push(char),
        }
    }
    glob
}

/// `ngx_parse_size` (`src/core/ngx_parse.c`): bytes, `k` or `m`; zero is refused.
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1024),
        b'm' | b'M' => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    digits_only(digits)?
        .checked_mul(unit)
        .filter(|&size| size > 0)
}

/// `ngx_parse_time` (`src/core/ngx_parse.c`): `1h 30m`, `500ms`, a bare number is seconds; zero is refused.
fn time(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 8] = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("M", 2_592_000_000),
        ("y", 31_536_000_000),
    ];
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = digits_only(&rest[..digits])?;
        rest = &rest[digits..];
        let length = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let millis = match &rest[..length] {
            "" => 1000,
            unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        rest = rest[length..].trim_start_matches(' ');
        total = total.checked_add(number.checked_mul(millis)?)?;
    }
    (total > 0).then(|| Duration::from_millis(total))
}

fn digits_only(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn texts(words: &[Vec<u8>]) -> Option<Vec<&str>> {
    words
        .iter()
        .map(|word| std::str::from_utf8(word).ok())
        .collect()
}
