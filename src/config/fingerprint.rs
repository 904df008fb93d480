//! The fingerprint of a certificate; Elasticsearch prints that of its authority at the first start.
//!
//! Owns the accepted notations. Refuses to know certificates. Invariant: a fingerprint is a whole SHA-256.

use std::fmt;

/// The SHA-256 of a certificate in DER form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads 64 hexadecimal digits, of either case, with or without a colon between pairs, and with or without openssl's
    /// `sha256 Fingerprint=` before them.
    ///
    /// # Errors
    ///
    /// The mistake and the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WRITE: &str = "write the SHA-256 of the authority's certificate, 64 hexadecimal digits, with or without \
                             colons, as Elasticsearch prints it at its first start, or as openssl x509 -fingerprint \
                             -sha256 does";
        let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits);
        let mut nibbles = Vec::with_capacity(64);
        for char in digits.trim().chars().filter(|char| *char != ':') {
            match char.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
                Some(nibble) => nibbles.push(nibble),
                None => {
                    return Err(format!(
                        "holds {char:?}, which is no hexadecimal digit; {WRITE}"
                    ));
                }
            }
        }
        let kind = match nibbles.len() {
            64 => {
                let mut bytes = [0; 32];
                for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
                    *byte = pair[0] << 4 | pair[1];
                }
                return Ok(Self(bytes));
            }
            40 => " (a SHA-1?)",
            32 => " (an MD5?)",
            _ => "",
        };
        Err(format!(
            "has {} hexadecimal digits{kind}; {WRITE}",
            nibbles.len()
        ))
    }

    /// The fingerprint with this hash.
    pub const fn of(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PLAIN: &str = "a52dd93511e8c6045e21f16654b77c9ee0f34aea26d9f40320b531c474676228";

    #[test]
    fn every_spelling_gives_the_same_fingerprint() {
        let pairs: Vec<&str> = (0..32).map(|at| &PLAIN[at * 2..at * 2 + 2]).collect();
        let colons = pairs.join(":");
        let spellings = [
            PLAIN.to_owned(),
            PLAIN.to_uppercase(),
            colons.clone(),
            colons.to_uppercase(),
            format!(" {colons}\n"),
            format!("sha256 Fingerprint={}", colons.to_uppercase()),
        ];
        for spelling in spellings {
            assert_eq!(Fingerprint::parse(&spelling).unwrap().to_string(), PLAIN);
        }
    }

    #[test]
    fn a_fingerprint_that_is_no_sha_256_is_refused_with_a_hint() {
        let wrong = |text: &str| Fingerprint::parse(text).unwrap_err();
        assert!(wrong(&PLAIN[..40]).starts_with("has 40 hexadecimal digits (a SHA-1?); write"));
        assert!(wrong(&PLAIN[1..]).starts_with("has 63 hexadecimal digits; write"));
        assert!(wrong("").starts_with("has 0 hexadecimal digits"));
        assert!(wrong("zz").starts_with("holds 'z', which is no hexadecimal digit"));
        assert!(wrong("é").starts_with("holds 'é'"));
    }
}
