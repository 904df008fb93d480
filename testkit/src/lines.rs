//! Lines of an access log that tests can tell apart.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

/// A line in the combined format with this number in its path; a second has ten of them.
pub fn line(number: u32) -> String {
    let (minute, second) = (number / 600 % 60, number / 10 % 60);
    format!(
        "192.0.2.{} - - [12/Mar/2026:10:{minute:02}:{second:02} +0000] \"GET /item/{number} HTTP/1.1\" 200 17 \
         \"-\" \"test\"\n",
        number % 200
    )
}

/// Appends a complete line for each number, in one write.
pub fn append(log: &Path, numbers: Range<u32>) {
    append_text(log, &numbers.map(line).collect::<String>());
}

/// Appends a text in one write.
pub fn append_text(log: &Path, text: &str) {
    append_bytes(log, text.as_bytes());
}

/// Appends bytes in one write.
pub fn append_bytes(log: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.unwrap().write_all(bytes).unwrap();
}
