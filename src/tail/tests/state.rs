//! Whose state directory it is: the host's name in it, and its lock.

use rustix::io::Errno;

use super::cases::started;
use super::{DATA, LIVE};
use crate::tail::TailError;
use crate::tail::sim::Op;

#[test]
fn the_host_of_the_first_start_stays() {
    let mut host = started();
    let id = host.read()[0].0;
    host.settings.host = "web-08".to_owned();
    host.start();
    assert_eq!(host.tailer().host(), "web-07");
    assert!(host.problems()[0].contains("was started as host `web-07`"));
    assert_eq!(host.read()[0].0, id);
}

/// The checkpoint knows the host for a while; without both files the host would be unknown.
#[test]
fn a_lost_identity_is_written_again_while_the_host_is_known() {
    let identity = format!("{DATA}/identity");
    for (content, full) in [(None, false), (Some("torn"), false), (None, true)] {
        let mut host = started();
        let id = host.read()[0].0;
        host.settle();
        let before = host.fs.content(&identity);
        host.fs.rm(&identity);
        if let Some(content) = content {
            host.fs.put(&identity, content.as_bytes());
        }
        host.settings.host = "web-08".to_owned();
        if full {
            host.fs.fail(Op::Create, "identity", Errno::NOSPC, 1);
            host.start();
            let problems = host.problems().join("\n");
            assert!(
                problems.contains("identity is lost, and cannot"),
                "{problems}"
            );
        }
        host.start();
        assert_eq!(host.fs.content(&identity), before);
        host.kill();
        host.fs.power_cut(0, 0);
        host.fs.rm(&format!("{DATA}/run/checkpoint"));
        host.fs.rm(&format!("{DATA}/run/checkpoint.previous"));
        host.start();
        assert_eq!(host.tailer().host(), "web-07");
        assert_eq!(host.read()[0].0, id);
    }
}

#[test]
fn an_older_rule_of_identity_is_reported_once() {
    let mut host = started();
    host.read();
    host.settle();
    let path = format!("{DATA}/run/checkpoint");
    let saved = host.fs.content(&path);
    let saved = String::from_utf8(saved).unwrap();
    let mut lines: Vec<String> = saved.split_inclusive('\n').map(str::to_owned).collect();
    lines.pop();
    let older = lines
        .concat()
        .replace("\"identity_rules\":2", "\"identity_rules\":1");
    let sum = crc32c::crc32c(older.as_bytes());
    host.fs
        .put(&path, format!("{older}{{\"crc32c\":{sum}}}\n").as_bytes());
    host.start();
    let problems = host.problems().join("\n");
    assert!(problems.contains("rule 1 of identity"), "{problems}");
    assert!(host.read().is_empty(), "its positions hold");
    host.fs.append(LIVE, b"three\n");
    assert_eq!(host.texts(), ["three"]);
    host.restart();
    assert!(host.problems().is_empty());
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let mut host = started();
    let first = host.tailer.take();
    let error = host.try_start().unwrap_err();
    assert!(matches!(error, TailError::Locked { .. }));
    assert!(
        error.to_string().contains("/state/logweir/run/lock"),
        "{error}"
    );
    drop(first);
    host.start();
}
