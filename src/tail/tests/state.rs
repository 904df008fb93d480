//! The owner of a state directory: the host's name in it, and its lock.

use rustix::io::Errno;

use super::cases::started;
use super::{DATA, LIVE};
use crate::tail::sim::Op;
use crate::tail::{CarriedFiles, Settings, TailError, Tailer};

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

/// The checkpoint contains the host's name too; without both files the host would be unknown.
#[test]
fn a_lost_identity_is_written_again_while_the_host_is_known() {
    let identity = format!("{DATA}/identity");
    for (content, full) in [(None, false), (Some("torn"), false), (None, true)] {
        let mut host = started();
        let id = host.read()[0].0;
        host.settle();
        let before = host.fs.disk.content(&identity);
        host.fs.disk.rm(&identity);
        if let Some(content) = content {
            host.fs.disk.put(&identity, content.as_bytes());
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
        assert_eq!(host.fs.disk.content(&identity), before);
        host.kill();
        host.fs.disk.power_cut(0, 0);
        host.fs.disk.rm(&format!("{DATA}/run/checkpoint"));
        host.fs.disk.rm(&format!("{DATA}/run/checkpoint.previous"));
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
    let saved = host.fs.disk.content(&path);
    let saved = String::from_utf8(saved).unwrap();
    let mut lines: Vec<String> = saved.split_inclusive('\n').map(str::to_owned).collect();
    lines.pop();
    let older = lines
        .concat()
        .replace("\"identity_rules\":2", "\"identity_rules\":1");
    let sum = crc32c::crc32c(older.as_bytes());
    host.fs
        .disk
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

#[test]
fn each_output_has_positions_of_its_own() {
    let mut host = started();
    host.texts();
    host.settle();
    host.settings.output = Some("null:y".to_owned());
    host.start();
    assert_eq!(host.texts(), ["one", "two"]);
    host.settle();
    host.fs.append(LIVE, b"three\n");
    for output in ["null:x", "null:y"] {
        host.settings.output = Some(output.to_owned());
        host.start();
        assert!(
            host.problems().is_empty(),
            "{output}: {:?}",
            host.problems()
        );
        assert_eq!(host.texts(), ["three"], "{output}");
        host.settle();
        host.start();
        assert!(host.texts().is_empty(), "{output}");
    }
}

/// A reload keeps the lock, and with it the knowledge about the directory.
#[test]
fn a_reload_to_another_output_and_back_keeps_their_positions_apart() {
    let mut host = started();
    host.texts();
    host.settle();
    for output in ["null:y", "null:x"] {
        host.settings.output = Some(output.to_owned());
        host.reload();
        host.texts();
        host.settle();
        host.fs.append(LIVE, b"more\n");
        assert_eq!(host.texts(), ["more"], "{output}");
        host.settle();
    }
    // The first one has read both lines, the other one of them.
    for (output, unread) in [("null:x", 0), ("null:y", 1)] {
        host.settings.output = Some(output.to_owned());
        host.start();
        assert_eq!(host.texts().len(), unread, "{output}");
    }
}

/// The documents are only displayed.
#[test]
fn a_run_without_an_output_of_its_own_reads_beside_an_agent_and_keeps_nothing() {
    let mut host = started();
    host.texts();
    host.settle();
    let settings = Settings {
        output: None,
        host: "another name".to_owned(),
        ..host.settings.clone()
    };
    let saved = host.fs.disk.content("/state/logweir/run/checkpoint");
    for _ in 0..2 {
        let (fs, clock) = (host.fs.clone(), host.clock.clone());
        let mut carried = CarriedFiles::default();
        let mut tailer = Tailer::open(settings.clone(), fs, clock, &mut carried).unwrap();
        assert_eq!(tailer.host(), "web-07", "identities are those of the agent");
        let chunk = tailer.read().unwrap();
        assert_eq!(chunk.bytes, b"one\ntwo\n");
        tailer.save().unwrap();
    }
    assert_eq!(host.fs.disk.content("/state/logweir/run/checkpoint"), saved);
    assert!(host.texts().is_empty(), "the agent goes on as before");
}
