//! A log that is renamed while the agent is stopped, and compressed while it starts and reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Host, LIVE};
use crate::tail::StreamId;

/// Lines that do not compress well, so that a part of the compressed file contains some of them.
fn lines(from: u64, to: u64) -> Vec<u8> {
    let mut text = String::new();
    for number in from..to {
        write!(text, "{number:05}").unwrap();
        for part in 0..8 {
            let hash = xxhash_rust::xxh3::xxh3_64(format!("{number} {part}").as_bytes());
            write!(text, "{hash:016x}").unwrap();
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// The identities under which each line was read.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<(StreamId, u64)>>);

impl Seen {
    /// Scans and reads after some seconds.
    fn look(&mut self, host: &mut Host, seconds: u64) {
        host.wait(seconds);
        host.tailer().reconcile();
        for (stream, offset, text) in host.read() {
            let ids = self.0.entry(text[..5].to_owned()).or_default();
            if !ids.contains(&(stream, offset)) {
                ids.push((stream, offset));
            }
        }
    }
}

/// How much the killed agent had read of the log, and saved of its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    /// It read the log and saved nothing after it.
    Nothing,
    /// It had read nothing when it saved.
    Identity,
    Half,
    All,
}

fn killed_after(saved: Saved, paths: &str) -> (Host, Seen) {
    let mut host = Host::logs(&[paths]);
    host.fs.mkdir("/logs/old");
    host.settings.rotated_dirs = vec!["/logs/old".to_owned()];
    host.settings.read_bytes = 1024;
    let mut seen = Seen::default();
    host.fs.append(LIVE, b"");
    host.start();
    seen.look(&mut host, 1);
    host.fs.append(LIVE, &lines(0, 100));
    if saved == Saved::Identity {
        host.tailer().save().unwrap();
    }
    seen.look(&mut host, 1);
    if saved == Saved::Half {
        host.settle();
    }
    host.fs.append(LIVE, &lines(100, 200));
    seen.look(&mut host, 1);
    if saved == Saved::All {
        host.settle();
    }
    host.kill();
    (host, seen)
}

/// gzip takes its time, or each look comes soon after it began. With its first bytes alone the file has no line.
#[test]
fn a_log_that_is_being_compressed_while_the_agent_starts_is_read_under_one_identity() {
    for name in ["access.log.1", "access_old.log", "yesterday", "old/a.log"] {
        for paths in [LIVE, "/logs/*.log"] {
            for saved in [Saved::Nothing, Saved::Identity, Saved::Half, Saved::All] {
                for percent in [0, 10, 50, 99] {
                    for (seconds, unread) in [(1, false), (1, true), (6, false), (6, true)] {
                        let (mut host, mut seen) = killed_after(saved, paths);
                        if unread {
                            host.fs.append(LIVE, &lines(200, 300));
                        }
                        let (plain, gz) = (format!("/logs/{name}"), format!("/logs/{name}.gz"));
                        host.fs.mv(LIVE, &plain);
                        host.fs.append(LIVE, &lines(1000, 1010));
                        host.fs.cp(&plain, "/whole");
                        let whole = host.fs.gzip("/whole", "/whole.gz");
                        let (begun, rest) = whole.split_at(20 + whole.len() * percent / 100);
                        let (more, rest) = rest.split_at(rest.len() / 2);
                        host.fs.put(&gz, begun);
                        host.wait(seconds);
                        host.start();
                        seen.look(&mut host, 0);
                        seen.look(&mut host, 1);
                        host.fs.append(&gz, more);
                        seen.look(&mut host, seconds);
                        host.settle();
                        seen.look(&mut host, 20);
                        host.fs.append(&gz, rest);
                        host.fs.rm(&plain);
                        seen.look(&mut host, 1);
                        seen.look(&mut host, 20);
                        host.restart();
                        seen.look(&mut host, 20);
                        let case = format!(
                            "{name}, {paths}, {saved:?}, {percent} %, {seconds} s, unread: {unread}"
                        );
                        let expected = 210 + if unread { 100 } else { 0 };
                        assert_eq!(seen.0.len(), expected, "{case}");
                        let twice = seen.0.values().filter(|ids| ids.len() > 1);
                        assert_eq!(twice.count(), 0, "{case}");
                    }
                }
            }
        }
    }
}
