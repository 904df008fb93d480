//! The lines of a log from a file, a compressed file or standard input.
//!
//! Owns reading and decompression. Refuses to know the content of a line. Invariant: memory is bounded by the longest line that
//! the agent accepts, whatever the size of the file. It guards against a check that needs more memory than the agent.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;

use crate::framing::Record;
use crate::tail::stem::{self, Compression};

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How gzip begins (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Lines, one after the other.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    limit: usize,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'b> {
    /// From 1.
    pub(super) number: u64,
    /// Of its first byte, uncompressed.
    pub(super) offset: u64,
    /// Without its `\n`; at most as many bytes as the limit.
    pub(super) bytes: &'b [u8],
    /// The length without the `\n`; it may exceed the limit.
    pub(super) length: u64,
    /// A `\n` ends it.
    pub(super) ended: bool,
    /// What a container runtime put around it; `bytes` are without that.
    pub(super) record: Option<Record<'b>>,
}

/// Opens a log; `-` is standard input. A line over `limit` bytes is cut; a CRI head does not count.
pub(super) fn open(path: &Path, limit: usize) -> io::Result<Lines> {
    if path.as_os_str() == "-" {
        return Lines::new(io::stdin(), limit);
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let tool = match stem::compression(&name) {
        None | Some(Compression::Gzip) => None,
        Some(Compression::Zstd) => Some("zstd"),
        Some(Compression::Bzip2) => Some("bzip2"),
        Some(Compression::Xz) => Some("xz"),
    };
    if let Some(tool) = tool {
        let text =
            format!("only gzip can be read; try `{tool} -dc FILE | logweir check --parse -`");
        return Err(io::Error::new(ErrorKind::Unsupported, text));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Lines::new(file, limit)
}

impl Lines {
    fn new(input: impl Read + 'static, limit: usize) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        // the first read of a pipe may return a single byte
        let mut head = Vec::new();
        input
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut head)?;
        let compressed = head == GZIP_MAGIC;
        let whole = io::Cursor::new(head).chain(input);
        let input: Box<dyn BufRead> = if compressed {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(whole),
            ))
        } else {
            Box::new(whole)
        };
        Ok(Self {
            input,
            limit,
            line: Vec::new(),
            number: 0,
            offset: 0,
        })
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut length = 0;
        let ended = loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                break false;
            }
            let end = memchr(b'\n', bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let free = self.limit.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(free)]);
            length += part.len() as u64;
            let passed = part.len() + usize::from(end.is_some());
            self.input.consume(passed);
            if end.is_some() {
                break true;
            }
        };
        if length == 0 && !ended {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += length + u64::from(ended);
        self.number += 1;
        Ok(Some(Line {
            number: self.number,
            offset,
            bytes: &self.line,
            length,
            ended,
            record: None,
        }))
    }

    /// Uncompressed bytes handed out so far.
    pub(super) fn bytes(&self) -> u64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::Write as _;

    fn all(input: impl Read + 'static, limit: usize) -> Vec<(u64, u64, String, u64, bool)> {
        let mut lines = Lines::new(input, limit).unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = String::from_utf8(line.bytes.to_vec()).unwrap();
            found.push((line.number, line.offset, text, line.length, line.ended));
        }
        found
    }

    #[test]
    fn lines_have_their_places() {
        let found = all(&b"ab\n\ncdefg\nh"[..], 3);
        let line = |number, offset, text: &str, length, ended| {
            (number, offset, text.to_owned(), length, ended)
        };
        let expected = [
            line(1, 0, "ab", 2, true),
            line(2, 3, "", 0, true),
            line(3, 4, "cde", 5, true),
            line(4, 10, "h", 1, false),
        ];
        assert_eq!(found, expected);
        assert!(all(&b""[..], 3).is_empty());
        assert_eq!(all(&b"\n"[..], 3).len(), 1);
    }

    #[test]
    fn gzip_is_recognised_by_its_content_and_may_have_several_members() {
        let member = |text: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let bytes = [member(b"a\nb"), member(b"c\n")].concat();
        let lines = all(io::Cursor::new(bytes), 100);
        assert_eq!(
            lines.iter().map(|line| line.2.as_str()).collect::<Vec<_>>(),
            ["a", "bc"]
        );
    }

    #[test]
    fn a_file_of_another_compression_is_an_error_with_a_hint() {
        let error = open(Path::new("/x/access.log.2.zst"), 100).err().unwrap();
        assert!(error.to_string().contains("zstd -dc"), "{error}");
    }

    #[test]
    fn an_endless_line_takes_bounded_memory() {
        let mut lines = Lines::new(io::repeat(b'a').take(50 << 20), 1000).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert_eq!((line.bytes.len(), line.length), (1000, 50 << 20));
        assert!(lines.line.capacity() < 1 << 20);
    }
}
