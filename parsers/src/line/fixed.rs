//! Reads values whose form is known byte by byte: values of fixed length, and seconds with milliseconds.
//!
//! Owns where such a value ends, and which of its bytes is wrong. Refuses to know its meaning. Invariant: an end lies
//! inside the line.

use crate::format::{Fixed, Grammar};

/// The maximum length of a time with milliseconds: a `u64` of seconds, a dot, three digits.
const MAX_SECONDS: usize = 24;

#[inline(always)]
pub(super) fn fixed_value(line: &[u8], start: usize, fixed: Fixed) -> Result<usize, usize> {
    let end = start + fixed.len();
    let Some(value) = line.get(start..end) else {
        let rest = line.get(start..).unwrap_or_default();
        return Err(start + fixed_mismatch(rest, fixed).unwrap_or(rest.len()));
    };
    let fits = match fixed {
        Fixed::TimeLocal => fits::<26>(value, fixed),
        Fixed::TimeIso8601 => fits::<25>(value, fixed),
        Fixed::Pipe => matches!(value, [b'p' | b'.']),
        Fixed::Status => fits::<3>(value, fixed),
    };
    if fits {
        Ok(end)
    } else {
        Err(start + fixed_mismatch(value, fixed).unwrap_or(0))
    }
}

#[inline(always)]
fn fits<const N: usize>(value: &[u8], fixed: Fixed) -> bool {
    let Ok(value) = <&[u8; N]>::try_from(value) else {
        return false;
    };
    let shape = fixed.shape();
    let mut bad = 0u8;
    for (index, byte) in value.iter().enumerate() {
        bad |= u8::from(*byte < shape.low[index]) | u8::from(*byte > shape.high[index]);
    }
    bad == 0
}

#[cold]
fn fixed_mismatch(value: &[u8], fixed: Fixed) -> Option<usize> {
    value
        .iter()
        .enumerate()
        .position(|(place, byte)| !fixed.at(place).has(*byte))
}

/// The position at which a value is wrong although all its bytes are in its set.
#[inline(always)]
pub(super) fn mismatch(grammar: Grammar, value: &[u8]) -> Option<usize> {
    match grammar {
        Grammar::Status if value.len() != 3 => Some(value.len().min(3)),
        Grammar::Seconds | Grammar::Msec => {
            let fits = (5..=MAX_SECONDS).contains(&value.len())
                && value[value.len() - 4] == b'.'
                && value.iter().filter(|byte| **byte == b'.').count() == 1;
            if fits { None } else { seconds_mismatch(value) }
        }
        _ => None,
    }
}

/// The end of seconds with three digits of milliseconds, whatever the following text is; or the byte that is wrong.
#[cold]
pub(super) fn seconds_end(line: &[u8], start: usize) -> Result<usize, usize> {
    let digits = |from: usize, most: usize| {
        let rest = line.get(from..).unwrap_or_default();
        let digits = rest
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit());
        from + digits.count()
    };
    let dot = digits(start, MAX_SECONDS - 4);
    if dot == start || line.get(dot) != Some(&b'.') {
        return Err(dot);
    }
    let end = digits(dot + 1, 3);
    if end == dot + 4 { Ok(end) } else { Err(end) }
}

#[cold]
fn seconds_mismatch(value: &[u8]) -> Option<usize> {
    let value = &value[..value.len().min(MAX_SECONDS)];
    let is_dot = |byte: &u8| *byte == b'.';
    let Some(dot) = value.iter().position(is_dot) else {
        return Some(value.len());
    };
    if dot == 0 {
        return Some(0);
    }
    let fraction = &value[dot + 1..];
    let digits = fraction.iter().position(is_dot).unwrap_or(fraction.len());
    Some(dot + 1 + digits.min(3))
}
