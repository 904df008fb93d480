//! The id of a document: a pure function of the line and its position.
//!
//! Owns encoding and decoding of the id. Invariant: the form of an id never changes, because a line that is read again
//! must get the id of the document that it made before.

/// Length of an id in characters.
const LENGTH: usize = 20;

/// RFC 4648, section 5.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url of the event's second (4 bytes), the stream (6) and the line's offset (5), all big-endian.
///
/// Time comes first because Lucene then skips whole segments when it looks an id up. A line without a readable time has
/// second 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentId([u8; LENGTH]);

/// When an event happened, as far as its id and its index depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTime {
    /// Seconds since 1970, UTC.
    At(i64),
    /// The line has no readable time.
    Unreadable,
}

impl EventTime {
    fn second(self) -> i64 {
        match self {
            Self::At(second) => second,
            Self::Unreadable => 0,
        }
    }
}

impl DocumentId {
    /// The id of the document for the line at `offset` (uncompressed bytes) of the stream.
    pub fn new(time: EventTime, stream: &super::StreamId, offset: u64) -> Self {
        let mut key = [0; 15];
        // four bytes carry seconds up to the year 2106, beyond every time that counts as readable
        key[0..4].copy_from_slice(&u32::try_from(time.second()).unwrap_or(0).to_be_bytes());
        key[4..10].copy_from_slice(&stream.0[..6]);
        key[10..15].copy_from_slice(&offset.to_be_bytes()[3..]);
        let mut id = [0; LENGTH];
        for (three, four) in key.chunks_exact(3).zip(id.chunks_exact_mut(4)) {
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for (at, out) in four.iter_mut().enumerate() {
                *out = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            }
        }
        Self(id)
    }

    /// Decodes an id; `None` when the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let id: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        id.iter()
            .all(|byte| digit(*byte).is_some())
            .then_some(Self(id))
    }

    /// The id as text.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// What it was made of.
    pub fn parts(&self) -> IdParts {
        let mut key = [0; 15];
        for (four, three) in self.0.chunks_exact(4).zip(key.chunks_exact_mut(3)) {
            let bits = four.iter().fold(0_u32, |bits, byte| {
                bits << 6 | u32::from(digit(*byte).unwrap_or(0))
            });
            three.copy_from_slice(&bits.to_be_bytes()[1..]);
        }
        let [a, b, c, d, stream @ .., o0, o1, o2, o3, o4] = key;
        IdParts {
            second: u32::from_be_bytes([a, b, c, d]),
            stream,
            offset: u64::from_be_bytes([0, 0, 0, o0, o1, o2, o3, o4]),
        }
    }
}

/// The parts of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdParts {
    /// The event's second since 1970; 0 when the line has no readable time.
    pub second: u32,
    /// The first six bytes of the stream's identity.
    pub stream: [u8; 6],
    /// The line's offset in its stream, in uncompressed bytes.
    pub offset: u64,
}

/// The value of a digit of [`ALPHABET`].
fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;
    use crate::event::StreamId;

    proptest! {
        #[test]
        fn an_id_is_base64url_of_its_parts_and_decodes_to_them(
            second in 1..i64::from(u32::MAX),
            stream: [u8; 10],
            offset in 0..1_u64 << 40,
        ) {
            let id = DocumentId::new(EventTime::At(second), &StreamId(stream), offset);
            let mut key = u32::try_from(second).unwrap().to_be_bytes().to_vec();
            key.extend_from_slice(&stream[..6]);
            key.extend_from_slice(&offset.to_be_bytes()[3..]);
            let text = URL_SAFE_NO_PAD.encode(key);
            prop_assert_eq!(&id.as_bytes()[..], text.as_bytes());
            prop_assert_eq!(DocumentId::parse(&text), Some(id));
            let parts = id.parts();
            prop_assert_eq!(i64::from(parts.second), second);
            prop_assert_eq!(parts.offset, offset);
            prop_assert_eq!(&parts.stream[..], &stream[..6]);
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in ["", "x", "aaaaaaaaaaaaaaaaaaa+", "aaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(DocumentId::parse(text), None, "{text}");
        }
    }
}
