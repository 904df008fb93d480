//! Sets of byte values. Owns set operations, with which the compiler proves where a field ends. Refuses to know fields.

/// A set of byte values, 256 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) const EMPTY: ByteSet = ByteSet([0; 4]);

    /// All bytes from `low` to `high`, both included.
    pub(crate) const fn range(low: u8, high: u8) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        let mut byte = low as usize;
        while byte <= high as usize {
            set.0[byte >> 6] |= 1 << (byte & 63);
            byte += 1;
        }
        set
    }

    /// The bytes of `members`.
    pub(crate) const fn of(members: &[u8]) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        let mut index = 0;
        while index < members.len() {
            let byte = members[index] as usize;
            set.0[byte >> 6] |= 1 << (byte & 63);
            index += 1;
        }
        set
    }

    pub(crate) const fn or(self, other: ByteSet) -> ByteSet {
        let (a, b) = (self.0, other.0);
        ByteSet([a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]])
    }

    pub(crate) const fn without(self, other: ByteSet) -> ByteSet {
        let (a, b) = (self.0, other.0);
        ByteSet([a[0] & !b[0], a[1] & !b[1], a[2] & !b[2], a[3] & !b[3]])
    }

    pub(crate) const fn has(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] & (1 << (byte & 63)) != 0
    }

    pub(crate) fn meets(&self, other: &ByteSet) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    pub(crate) fn covers(&self, other: &ByteSet) -> bool {
        self.0.iter().zip(other.0).all(|(a, b)| b & !a == 0)
    }
}

impl std::fmt::Debug for ByteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: Vec<u8> = (0..=u8::MAX).filter(|byte| self.has(*byte)).collect();
        write!(f, "ByteSet({})", members.escape_ascii())
    }
}
