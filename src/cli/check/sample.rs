//! The last lines of a live log: the formats that match them, and their clients.
//!
//! Owns one short read of a file's end. Invariant: it reads at most [`SAMPLE_BYTES`], whatever the size of the file. It guards
//! against two mistakes that only the lines show: a log in another format than that of nginx.conf, and a proxy whose address
//! replaces every client's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use logweir_parsers::cri::{self, Stream};
use logweir_parsers::{Captures, client};

use crate::config::{Formats, NamedFormat};
use crate::framing::{LineFraming, is_docker_json};
use crate::record::is_blank;

/// Read from the end of a log.
const SAMPLE_BYTES: u64 = 256 * 1024;
/// Lines looked at.
const SAMPLE_LINES: usize = 1000;
/// Fewer lines show nothing about the clients.
const ENOUGH_LINES: usize = 100;
/// If so many of a hundred lines come from one private address, it is not a client.
const PROXY_PERCENT: usize = 95;

/// The findings in the last lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// Lines looked at.
    pub(super) lines: usize,
    /// Matched lines, by position of the format; only for formats that matched any.
    pub(super) taken: Vec<usize>,
    /// The peer that nearly all requests come from, when it is a private address.
    pub(super) proxy: Option<Proxy>,
    /// Lines are those of Docker's json-file driver.
    pub(super) is_docker_json: bool,
}

/// One peer for nearly all requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Proxy {
    Address(IpAddr),
    /// A Unix socket, which nginx logs as `unix:`.
    Socket,
}

impl Sample {
    /// The format that takes most of the lines; the first one when there are none.
    pub(super) fn main_format(&self) -> usize {
        let most = self.taken.iter().copied().max().unwrap_or(0);
        self.taken
            .iter()
            .position(|taken| *taken == most)
            .unwrap_or(0)
    }

    /// Lines that no format matches.
    pub(super) fn odd(&self) -> usize {
        self.lines - self.taken.iter().sum::<usize>()
    }
}

impl Proxy {
    pub(super) fn is_trusted(&self, trusted: &[IpNet]) -> bool {
        match self {
            Proxy::Address(address) => trusted.iter().any(|net| net.contains(address)),
            Proxy::Socket => false,
        }
    }
}

/// Looks at the end of a log.
pub(super) fn take(path: &Path, formats: &Formats, framing: LineFraming) -> io::Result<Sample> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(SAMPLE_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(SAMPLE_BYTES).read_to_end(&mut bytes)?;
    // a part of a line at either end does not count
    let from = match start {
        0 => 0,
        _ => memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1),
    };
    let to = memchr::memrchr(b'\n', &bytes).map_or(from, |end| end.max(from));
    let mut lines: Vec<&[u8]> = match &bytes[from..to] {
        [] => Vec::new(),
        whole => whole
            .rsplit(|byte| *byte == b'\n')
            .filter(|line| !is_blank(line))
            .take(SAMPLE_LINES)
            .collect(),
    };
    lines.reverse();
    let lines = match framing.is_cri() {
        true => payloads(&lines),
        false => lines,
    };
    Ok(of(&lines, formats))
}

/// What a container wrote to standard output in single lines; parts are not joined for a sample.
fn payloads<'l>(lines: &[&'l [u8]]) -> Vec<&'l [u8]> {
    let mut is_open = false;
    let mut payloads = Vec::new();
    for line in lines {
        match cri::parse(line) {
            None => payloads.push(*line),
            Some(line) if line.stream == Stream::Stderr => {}
            Some(line) => {
                if !line.is_part && !is_open {
                    payloads.push(line.payload);
                }
                is_open = line.is_part;
            }
        }
    }
    payloads
}

fn of(lines: &[&[u8]], formats: &Formats) -> Sample {
    let mut captures = Captures::new();
    let mut taken = Vec::new();
    let mut peers: HashMap<Proxy, usize> = HashMap::new();
    let mut with_peer = 0;
    for line in lines {
        let mut parses = |named: &NamedFormat| named.format.parse(line, &mut captures).is_ok();
        let Some((index, named)) = formats.iter().enumerate().find(|(_, named)| parses(named))
        else {
            continue;
        };
        if taken.len() <= index {
            taken.resize(index + 1, 0);
        }
        taken[index] += 1;
        let fields = named.format.fields();
        let peer = fields
            .iter()
            .position(|field| field.name() == "remote_addr");
        let Some(peer) = peer.and_then(|peer| captures.get(line, peer)) else {
            continue;
        };
        with_peer += 1;
        if let Some(private) = private(peer) {
            *peers.entry(private).or_default() += 1;
        }
    }
    let most = peers.into_iter().max_by_key(|(_, lines)| *lines);
    let proxy = most
        .filter(|(_, lines)| with_peer >= ENOUGH_LINES && lines * 100 >= with_peer * PROXY_PERCENT);
    Sample {
        lines: lines.len(),
        taken,
        proxy: proxy.map(|(proxy, _)| proxy),
        is_docker_json: lines.iter().any(|line| is_docker_json(line)),
    }
}

/// Whether no client on the internet can have this address.
fn private(raw: &[u8]) -> Option<Proxy> {
    if raw == b"unix:" {
        return Some(Proxy::Socket);
    }
    let address = client::address(raw)?;
    client::is_private(address).then_some(Proxy::Address(address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn line(address: &str) -> String {
        format!("{address} - - [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"")
    }

    fn sample(lines: &[String]) -> Sample {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        of(&lines, &vec![NamedFormat::combined()].into())
    }

    #[test]
    fn one_private_peer_is_a_proxy() {
        let lines = |private: usize, public: usize| {
            let mut lines = vec![line("10.0.0.7"); private];
            lines.extend((0..public).map(|at| line(&format!("203.0.113.{at}"))));
            lines
        };
        let proxy = Some(Proxy::Address("10.0.0.7".parse().unwrap()));
        assert_eq!(sample(&lines(95, 5)).proxy, proxy);
        assert_eq!(sample(&lines(94, 6)).proxy, None);
        assert_eq!(sample(&lines(99, 0)).proxy, None);
        assert_eq!(sample(&vec![line("203.0.113.9"); 200]).proxy, None);
        assert_eq!(sample(&vec![line("unix:"); 200]).proxy, Some(Proxy::Socket));
    }

    #[test]
    fn addresses_that_the_internet_does_not_route_are_private() {
        let is = |raw: &str| private(raw.as_bytes()).is_some();
        assert!(is("172.16.0.1") && is("192.168.1.1") && is("127.0.0.1") && is("100.64.0.1"));
        assert!(is("::1") && is("fd00::1") && is("fe80::1") && is("::ffff:10.0.0.1"));
        assert!(!is("8.8.8.8") && !is("2001:db8::1") && !is("100.128.0.1") && !is("x"));
    }

    #[test]
    fn only_complete_lines_of_the_end_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let formats = vec![NamedFormat::combined()].into();
        let look = |text: String| {
            std::fs::write(&path, text).unwrap();
            take(&path, &formats, LineFraming::Raw).unwrap()
        };
        assert_eq!(look(String::new()).lines, 0);
        assert_eq!(look("\n".to_owned()).lines, 0);
        let three = format!(
            "{0}\nodd\n{0}\n{1}",
            line("203.0.113.9"),
            "203.0.113.9 - - [23/"
        );
        let found = look(three);
        assert_eq!((found.lines, found.odd()), (3, 1));
        let rewritten = format!("{}\r\n\r\n \n", line("203.0.113.9"));
        let found = look(rewritten);
        assert_eq!((found.lines, found.odd()), (1, 0));
        let many = format!("{}\n", line("203.0.113.9")).repeat(10_000);
        let found = look(many);
        assert_eq!((found.lines, found.odd()), (SAMPLE_LINES, 0));
        let long = format!("{}\n{}\n", "x".repeat(300 * 1024), line("203.0.113.9"));
        assert_eq!(look(long).lines, 1);
        assert_eq!(look("x".repeat(600 * 1024)).lines, 0);
    }
}
