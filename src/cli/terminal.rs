//! Output of commands: all text for standard output and standard error passes through this module and
//! [`crate::text`].
//!
//! Owns the two streams, and how a long line is cut. Refuses to know the meaning of a text. Invariant: the output has no
//! character that controls a terminal. It guards against a log line, which any client can write, and a server's response,
//! which anybody on the network path can forge, that control the operator's terminal. Lints forbid `println!` and the like
//! everywhere else.

use std::io::{self, Write as _};

use crate::text::{is_safe, push_byte, push_escaped, safe_lines};
pub(super) use crate::text::{safe, safe_bytes, safe_json};

/// Columns of an excerpt of a line.
const EXCERPT_COLUMNS: usize = 96;
/// Of these, at most so many before the byte in question.
const COLUMNS_BEFORE: usize = 60;
/// No character is written with more bytes per column than this, so more bytes need not be looked at.
const BYTES_PER_COLUMN: usize = 4;

/// Writes to standard output; a closed pipe is no failure.
pub(super) fn print(text: &str) {
    let _ = io::stdout().write_all(safe_lines(text).as_bytes());
}

/// Prints text in the place of the `lines` that were printed last. The text is made safe; the control of the terminal is
/// only this module's own: up so many lines, and clear from there to the end (ECMA-48, CPL and ED).
pub(super) fn redraw(lines: usize, text: &str) {
    let mut out = match lines {
        0 => String::new(),
        lines => format!("\x1b[{lines}F\x1b[J"),
    };
    out.push_str(&safe_lines(text));
    let _ = io::stdout().write_all(out.as_bytes());
    let _ = io::stdout().flush();
}

/// The same to standard error.
pub(super) fn print_error(text: &str) {
    let _ = io::stderr().write_all(safe_lines(text).as_bytes());
}

/// Prints a line to standard output, as `println!` does.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::terminal::print(&format!("{}\n", format_args!($($text)*)))
    };
}

/// Prints a line to standard error, as `eprintln!` does.
macro_rules! complain {
    ($($text:tt)*) => {
        $crate::cli::terminal::print_error(&format!("{}\n", format_args!($($text)*)))
    };
}

pub(super) use {complain, say};

/// The columns that a safe text takes, at most.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(char: char) -> usize {
    if char >= '\u{1100}' && char != '…' {
        2
    } else {
        1
    }
}

/// Safe text, cut with `…` to so many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if self::columns(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut out = String::new();
    for char in text.chars() {
        match left.checked_sub(columns_of(char)) {
            Some(rest) => left = rest,
            None => break,
        }
        out.push(char);
    }
    out.push('…');
    out
}

/// The part of a line around the byte at `offset`, and the column of that byte in it.
///
/// Only characters that are one column wide everywhere are shown as they are, so the caret is right whatever
/// the terminal thinks of the others.
pub(super) fn excerpt(line: &[u8], offset: usize) -> (String, usize) {
    let offset = offset.min(line.len());
    let start = boundary(
        line,
        offset.saturating_sub(COLUMNS_BEFORE * BYTES_PER_COLUMN),
    );
    let end = line.len().min(offset + EXCERPT_COLUMNS * BYTES_PER_COLUMN);
    let cells = cells(&line[start..end], start);
    // the cell that holds the byte, or the place behind the last one
    let caret = cells.iter().rposition(|(at, _)| *at <= offset);
    let caret = caret.filter(|_| offset < line.len()).unwrap_or(cells.len());
    let width = |cells: &[(usize, String)]| {
        cells
            .iter()
            .map(|(_, text)| text.chars().count())
            .sum::<usize>()
    };

    let mut from = caret;
    while from > 0 && width(&cells[from - 1..caret]) <= COLUMNS_BEFORE {
        from -= 1;
    }
    // a short line is shown whole, even if its fault is at the end
    if start == 0 && end == line.len() && width(&cells) <= EXCERPT_COLUMNS {
        from = 0;
    }
    let mut column = width(&cells[from..caret]);
    let mut text = String::new();
    if start > 0 || from > 0 {
        text.push('…');
        column += 1;
    }
    let mut columns = text.chars().count();
    for (index, (_, cell)) in cells.iter().enumerate().skip(from) {
        columns += cell.chars().count();
        if columns > EXCERPT_COLUMNS && index > caret {
            text.push('…');
            return (text, column);
        }
        text.push_str(cell);
    }
    if end < line.len() {
        text.push('…');
    }
    (text, column)
}

/// [`excerpt`] as two lines, the second with a caret, both indented.
pub(super) fn with_caret(line: &[u8], offset: usize, indent: &str) -> String {
    let (text, column) = excerpt(line, offset);
    format!("{indent}{text}\n{indent}{:column$}^\n", "")
}

/// The beginning of the character that the byte at `at` belongs to.
fn boundary(line: &[u8], at: usize) -> usize {
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|at| line.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80))
        .unwrap_or(at)
}

/// The characters of `bytes`: the position in the line and the text to show for each.
fn cells(bytes: &[u8], start: usize) -> Vec<(usize, String)> {
    let mut cells = Vec::new();
    let mut at = start;
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            let mut text = String::new();
            if is_narrow(char) {
                text.push(char);
            } else {
                push_escaped(&mut text, char);
            }
            cells.push((at, text));
            at += char.len_utf8();
        }
        for byte in chunk.invalid() {
            let mut text = String::new();
            push_byte(&mut text, *byte);
            cells.push((at, text));
            at += 1;
        }
    }
    cells
}

/// One column wide in every terminal: ASCII, and the letters of Latin, Greek and Cyrillic.
fn is_narrow(char: char) -> bool {
    is_safe(char)
        && matches!(char, ' '..='~' | '\u{c0}'..='\u{24f}' | '\u{391}'..='\u{3c9}' | '\u{400}'..='\u{45f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The character over the caret.
    fn pointed_at(line: &[u8], offset: usize) -> Option<char> {
        let (text, column) = excerpt(line, offset);
        text.chars().nth(column)
    }

    #[test]
    fn the_caret_is_under_the_byte() {
        assert_eq!(excerpt(b"GET / x", 6), ("GET / x".to_owned(), 6));
        assert_eq!(excerpt(b"GET", 3), ("GET".to_owned(), 3));
        assert_eq!(excerpt(b"", 0), (String::new(), 0));
        assert_eq!(with_caret(b"ab", 1, "  "), "  ab\n   ^\n");
    }

    #[test]
    fn escaped_and_multibyte_characters_are_counted_as_they_are_shown() {
        assert_eq!(excerpt("äö x".as_bytes(), 5), ("äö x".to_owned(), 3));
        assert_eq!(excerpt(b"\x1b[2J x", 5), ("\\x1B[2J x".to_owned(), 8));
        assert_eq!(excerpt(b"\xff x", 2), ("\\xFF x".to_owned(), 5));
        assert_eq!(excerpt("中x".as_bytes(), 3), ("\\u{4e2d}x".to_owned(), 8));
        // the second byte of a character
        assert_eq!(pointed_at("ä".as_bytes(), 1), Some('ä'));
    }

    #[test]
    fn a_long_line_is_cut_around_the_byte() {
        let mut line = vec![b'a'; 5000];
        line[2500] = b'X';
        let (text, column) = excerpt(&line, 2500);
        assert_eq!(text.chars().nth(column), Some('X'));
        assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
        assert!(text.chars().count() <= EXCERPT_COLUMNS + 1);
        let (text, column) = excerpt(&line, 5000);
        assert!(!text.ends_with('…'));
        assert_eq!(text.chars().count(), column);
        assert_eq!(pointed_at(&line, 0), Some('a'));
        assert!(!excerpt(&line, 0).0.starts_with('…'));
    }

    #[test]
    fn wide_values_are_cut() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcde", 4), "abc…");
        assert_eq!(cut("中中中", 4), "中…");
    }

    proptest! {
        #[test]
        fn every_byte_of_every_line_has_its_caret(
            line in proptest::collection::vec(any::<u8>(), 0..700), at in 0_usize..700,
        ) {
            let at = at.min(line.len());
            let (text, column) = excerpt(&line, at);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(text.chars().count() <= EXCERPT_COLUMNS + 12);
            let shown = text.chars().nth(column);
            match line.get(at) {
                None => prop_assert_eq!(shown, None),
                Some(byte) if (b' '..=b'~').contains(byte) => {
                    prop_assert_eq!(shown, Some(char::from(*byte)));
                }
                Some(byte) if byte.is_ascii() => prop_assert_eq!(shown, Some('\\')),
                Some(_) => prop_assert!(shown.is_some()),
            }
        }
    }
}
