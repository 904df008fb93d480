//! Numbers as nginx writes them. Integer arithmetic is exact: a duration is never converted to a float, so 1.234 s is
//! exactly 1,234,000,000 ns.

/// The number of decimal digits of a second's fraction in nanoseconds.
const NANO_DIGITS: usize = 9;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// An unsigned decimal number (`$status`, `$body_bytes_sent`, …): one or more digits, nothing else.
///
/// `None` for an empty text, `-`, a sign, any other byte, or a number above [`u64::MAX`].
///
/// ```
/// use logweir_parsers::number;
/// assert_eq!(number::unsigned(b"000"), Some(0));
/// assert_eq!(number::unsigned(b"-"), None);
/// ```
pub fn unsigned(raw: &[u8]) -> Option<u64> {
    if raw.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for byte in raw {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Seconds with a decimal fraction (`$request_time`, `$upstream_response_time`: `1.234`), in
/// nanoseconds.
///
/// The fraction may be absent (`3`) or have one to nine digits. `None` for any other text, and for values that do not
/// fit into a `u64` (584 years).
///
/// ```
/// use logweir_parsers::number;
/// assert_eq!(number::seconds_to_nanos(b"1.234"), Some(1_234_000_000));
/// assert_eq!(number::seconds_to_nanos(b"0.000"), Some(0));
/// assert_eq!(number::seconds_to_nanos(b"-"), None);
/// ```
pub fn seconds_to_nanos(raw: &[u8]) -> Option<u64> {
    let (whole, fraction) = match raw.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&raw[..dot], Some(&raw[dot + 1..])),
        None => (raw, None),
    };
    let nanos = match fraction {
        None => 0,
        Some(digits) if digits.len() > NANO_DIGITS => return None,
        Some(digits) => {
            let mut nanos = unsigned(digits)?;
            for _ in digits.len()..NANO_DIGITS {
                nanos *= 10;
            }
            nanos
        }
    };
    unsigned(whole)?
        .checked_mul(NANOS_PER_SECOND)?
        .checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_at_their_limits() {
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551616"), None);
        assert_eq!(unsigned(b"00000000000000000000000000007"), Some(7));
        for wrong in [&b""[..], b"-", b"+1", b"-1", b"1 ", b"1a", b"0x1", b"1.0"] {
            assert_eq!(unsigned(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn seconds_at_their_limits() {
        assert_eq!(seconds_to_nanos(b"18446744073.709551615"), Some(u64::MAX));
        assert_eq!(seconds_to_nanos(b"18446744073.709551616"), None);
        assert_eq!(seconds_to_nanos(b"18446744074"), None);
        assert_eq!(seconds_to_nanos(b"7"), Some(7 * NANOS_PER_SECOND));
        for wrong in [
            &b""[..],
            b".",
            b"1.",
            b".5",
            b"1.2.3",
            b"-0.001",
            b"1.0000000001",
            b"1,5",
        ] {
            assert_eq!(seconds_to_nanos(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn milliseconds_are_exact(millis in 0u64..18_446_744_073_709) {
            let text = format!("{}.{:03}", millis / 1000, millis % 1000);
            prop_assert_eq!(seconds_to_nanos(text.as_bytes()), Some(millis * 1_000_000));
        }
    }
}
