//! Measures whether a text looks like words or like random letters and digits.
//!
//! Owns the comparison of two costs in quarter bits: the cost of a text written as words (letters follow each other as in
//! words, digits stand together, capitals begin words), and the cost if all characters of its alphabet are equally likely.
//! Refuses to know the consequences. Invariant: the answer depends only on the bytes, and at most [`LOOKED_AT`] of them are
//! examined.

/// More of a text would not change the answer.
const LOOKED_AT: usize = 64;

/// Returns the quarter bits by which chance explains `text` better than words; negative if words explain it better.
/// Any byte other than an ASCII letter or digit separates words.
pub(super) fn chance(text: &[u8]) -> i32 {
    let text = &text[..text.len().min(LOOKED_AT)];
    let mut cost = 0;
    let mut seen = [false; 4];
    let mut before: Option<u8> = None;
    for (at, &byte) in text.iter().enumerate() {
        seen[class(byte)] = true;
        if let Some(before) = before {
            cost += i32::from(follow(before, byte));
            if at > 1 && class(byte) == UPPER && is_lone(text[at - 2], before) {
                cost += LONE;
            }
        }
        before = Some(byte);
    }
    let alphabet = seen
        .iter()
        .enumerate()
        .fold(0, |set, (at, seen)| set | usize::from(*seen) << at);
    let steps = i32::try_from(text.len().saturating_sub(1)).unwrap_or(0);
    cost - steps * i32::from(BY_CHANCE[alphabet])
}

/// The cost of a single lower-case letter between other characters, as in `XyZ`: words have more of them in a row.
const LONE: i32 = 14;

/// Whether `letter` is a single lower-case letter that forms no word with the capital before it.
fn is_lone(before: u8, letter: u8) -> bool {
    const WORDS: [&[u8; 2]; 22] = [
        b"An", b"As", b"At", b"Be", b"By", b"Do", b"Go", b"Id", b"If", b"In", b"Is", b"It", b"Me",
        b"My", b"No", b"Of", b"On", b"Or", b"Os", b"To", b"Up", b"We",
    ];
    let alone = class(letter) == LOWER && class(before) != LOWER;
    alone && !WORDS.contains(&&[before, letter])
}

const LOWER: usize = 0;
const UPPER: usize = 1;
const DIGIT: usize = 2;
const BETWEEN: usize = 3;

fn class(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => LOWER,
        b'A'..=b'Z' => UPPER,
        b'0'..=b'9' => DIGIT,
        _ => BETWEEN,
    }
}

/// The cost of a character by chance, by the classes of the alphabet: `4 × log2` of 26, 26, 10 and 2 together.
const BY_CHANCE: [u8; 16] = [0, 19, 19, 23, 13, 21, 21, 24, 4, 19, 19, 23, 14, 21, 21, 24];

/// The cost of `next` after `before` in a text of words.
fn follow(before: u8, next: u8) -> u8 {
    match (class(before), class(next)) {
        (LOWER | UPPER, LOWER) => pair(before, next),
        (UPPER, UPPER) => pair(before, next) + 2,
        // a word begins: `userId`
        (LOWER, UPPER) => 30,
        (LOWER | UPPER, DIGIT) => 29,
        (DIGIT, DIGIT) => 17,
        (DIGIT, LOWER | UPPER) => 35,
        (LOWER | UPPER, _) => 12,
        (DIGIT, _) => 14,
        (_, LOWER | UPPER) => 18,
        (_, DIGIT) => 20,
        _ => 12,
    }
}

fn pair(before: u8, next: u8) -> u8 {
    let at = |byte: u8| usize::from(byte.to_ascii_lowercase() - b'a');
    PAIRS[at(before)][at(next)]
}

/// `4 × -log2` of how often one letter follows another in words, `a` to `z` by `a` to `z`: counted over the words
/// of English documentation and of program messages in 15 other European languages, English as much as twelve of
/// those. What was never seen costs 48.
#[rustfmt::skip]
const PAIRS: [[u8; 26]; 26] = [
    [24, 20, 17, 17, 33, 28, 21, 27, 20, 28, 21, 13, 17, 11, 29, 20, 38, 12, 16, 12, 23, 23, 27, 30, 24, 26],
    [10, 25, 25, 28, 11, 33, 33, 30, 12, 23, 35, 12, 27, 28, 13, 28, 45, 16, 19, 26, 13, 36, 33, 41, 22, 34],
    [11, 34, 23, 29, 13, 32, 27, 12, 15, 33, 17, 19, 27, 29, 10, 28, 37, 18, 21, 15, 20, 30, 37, 41, 29, 28],
    [12, 27, 28, 21, 7, 27, 27, 30, 10, 30, 32, 22, 27, 24, 13, 26, 39, 19, 18, 25, 18, 28, 31, 35, 27, 28],
    [19, 27, 17, 16, 22, 23, 21, 29, 24, 30, 23, 16, 19, 11, 29, 22, 30, 10, 13, 15, 29, 23, 28, 21, 29, 27],
    [14, 30, 24, 21, 14, 15, 29, 35, 8, 36, 36, 16, 27, 28, 11, 25, 39, 15, 18, 20, 17, 38, 34, 40, 26, 45],
    [12, 28, 28, 27, 8, 31, 21, 19, 14, 36, 28, 20, 25, 18, 15, 26, 41, 14, 17, 24, 14, 30, 30, 38, 26, 35],
    [8, 36, 31, 23, 9, 32, 38, 30, 11, 32, 29, 22, 24, 26, 11, 33, 37, 19, 25, 18, 17, 33, 28, 48, 25, 37],
    [18, 23, 16, 19, 17, 21, 19, 33, 29, 29, 23, 16, 18, 9, 15, 22, 35, 19, 14, 14, 31, 21, 36, 29, 34, 22],
    [8, 32, 32, 24, 8, 31, 32, 34, 13, 35, 23, 21, 28, 23, 13, 27, 48, 30, 17, 25, 14, 32, 34, 48, 34, 30],
    [9, 29, 28, 26, 10, 30, 30, 23, 12, 42, 22, 20, 31, 25, 11, 27, 43, 20, 17, 18, 16, 32, 25, 48, 24, 45],
    [11, 29, 28, 21, 9, 28, 28, 31, 10, 33, 26, 15, 26, 26, 13, 29, 43, 32, 20, 18, 18, 28, 37, 43, 19, 35],
    [8, 17, 30, 26, 9, 31, 33, 36, 12, 43, 31, 25, 20, 27, 14, 14, 47, 30, 20, 24, 18, 35, 35, 41, 30, 39],
    [13, 32, 18, 13, 13, 22, 12, 30, 14, 31, 23, 26, 30, 23, 16, 29, 39, 31, 16, 12, 21, 26, 36, 41, 22, 31],
    [25, 22, 17, 17, 27, 24, 22, 29, 23, 30, 21, 16, 16, 10, 22, 18, 40, 11, 16, 18, 18, 20, 20, 32, 33, 26],
    [11, 32, 25, 27, 11, 29, 28, 24, 15, 46, 29, 15, 29, 28, 12, 17, 39, 11, 20, 17, 18, 33, 32, 42, 24, 48],
    [19, 27, 31, 24, 22, 31, 29, 39, 22, 37, 48, 18, 29, 26, 27, 29, 26, 23, 22, 27, 2, 35, 24, 28, 48, 48],
    [11, 28, 22, 20, 9, 28, 23, 32, 12, 33, 24, 25, 20, 22, 13, 26, 38, 21, 17, 17, 19, 26, 30, 39, 24, 28],
    [15, 31, 17, 31, 11, 29, 28, 18, 12, 37, 19, 22, 26, 27, 17, 19, 33, 27, 16, 9, 17, 29, 30, 38, 22, 23],
    [11, 32, 24, 28, 9, 27, 34, 19, 10, 38, 30, 23, 26, 27, 14, 26, 45, 15, 18, 19, 18, 31, 31, 32, 21, 34],
    [17, 19, 21, 21, 18, 24, 22, 32, 18, 26, 22, 14, 16, 11, 25, 18, 42, 13, 14, 14, 27, 28, 32, 31, 31, 26],
    [8, 31, 27, 31, 6, 28, 31, 34, 11, 45, 36, 26, 26, 24, 15, 29, 44, 25, 24, 27, 24, 29, 36, 35, 22, 35],
    [7, 31, 24, 22, 12, 27, 31, 20, 11, 39, 32, 25, 28, 16, 14, 27, 36, 17, 19, 26, 25, 37, 28, 30, 20, 35],
    [15, 25, 15, 23, 13, 20, 30, 25, 13, 48, 32, 21, 21, 32, 21, 11, 31, 23, 22, 9, 25, 30, 29, 22, 24, 36],
    [11, 23, 17, 23, 16, 26, 25, 25, 18, 27, 22, 19, 16, 16, 16, 14, 46, 21, 14, 15, 20, 26, 23, 42, 25, 27],
    [8, 28, 28, 25, 8, 38, 28, 28, 11, 33, 26, 25, 24, 19, 14, 27, 44, 29, 25, 23, 19, 30, 26, 48, 19, 24],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cost_less_as_words_and_random_text_costs_less_as_random_text() {
        for word in [
            "authentication",
            "datenschutzerklaerung",
            "getUserById",
            "DescribeDBInstances",
            "terms-of-service",
            "networkinterfaces",
        ] {
            assert!(chance(word.as_bytes()) < 0, "{word}");
        }
        for text in [
            "xkqjzvwpbdfgh",
            "V1StGXR8_Z5jdHi6B-myT",
            "dQw4w9WgXcQ",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ckjq3v5x80000qzrmn831i7rn",
        ] {
            assert!(chance(text.as_bytes()) > 20, "{text}");
        }
        assert_eq!(chance(b""), 0);
        assert_eq!(chance(b"a"), 0);
    }
}
