//! The host's own file system and its events.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::settings;
use crate::clock::SystemClock;
use crate::tail::fs::HostFs;
use crate::tail::watch::{Watcher, Woken};
use crate::tail::{CarriedFiles, Settings, TailError, Tailer};

const PATIENCE: Duration = Duration::from_secs(30);

type HostTailer = Tailer<HostFs, SystemClock>;

fn on(directory: &Path) -> Settings {
    let glob = format!("{}/logs/*access.log", directory.display());
    Settings {
        data_dir: directory.join("state"),
        ..settings(&[&glob])
    }
}

fn open(directory: &Path) -> Result<HostTailer, TailError> {
    Tailer::open(
        on(directory),
        HostFs,
        SystemClock::new(),
        &mut CarriedFiles::default(),
    )
}

fn texts(tailer: &mut HostTailer) -> Vec<String> {
    let mut texts = vec![];
    let mut ends = vec![];
    while let Some(chunk) = tailer.read() {
        let text = String::from_utf8(chunk.bytes.to_vec()).unwrap();
        texts.extend(text.lines().map(str::to_owned));
        ends.push((chunk.file, chunk.end));
    }
    for (file, end) in ends {
        tailer.settle(file, end);
    }
    tailer.save().unwrap();
    texts
}

#[test]
fn rotation_restart_and_lock_on_real_files() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let live = logs.join("access.log");
    let mut writer = fs::File::create(&live).unwrap();
    writer.write_all(b"one\ntwo\nhal").unwrap();

    let mut tailer = open(directory.path()).unwrap();
    assert_eq!(texts(&mut tailer), ["one", "two"]);
    assert!(matches!(
        open(directory.path()),
        Err(TailError::Locked { .. })
    ));

    fs::rename(&live, logs.join("access.log.1")).unwrap();
    assert!(tailer.names_changed());
    writer.write_all(b"f\n").unwrap();
    fs::write(&live, b"new\n").unwrap();
    tailer.reconcile();
    assert!(!tailer.names_changed());
    let mut found = texts(&mut tailer);
    found.sort();
    assert_eq!(found, ["half", "new"]);
    drop(tailer);

    writer.write_all(b"late\n").unwrap();
    fs::rename(logs.join("access.log.1"), logs.join("access.log.2")).unwrap();
    let mut tailer = open(directory.path()).unwrap();
    assert_eq!(texts(&mut tailer), ["late"]);
}

/// Between `mv` and the signal to nginx there is no live file; who looks just then must not wait for the next
/// scan to see the new one.
#[test]
fn a_new_file_is_noticed_even_if_a_scan_ran_during_the_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let live = logs.join("access.log");
    fs::write(&live, b"one\n").unwrap();
    let mut tailer = open(directory.path()).unwrap();
    assert_eq!(texts(&mut tailer), ["one"]);

    fs::rename(&live, logs.join("access.log.1")).unwrap();
    assert!(tailer.names_changed());
    tailer.reconcile();
    assert!(!tailer.names_changed());
    fs::write(&live, b"new\n").unwrap();
    assert!(tailer.names_changed());
    tailer.reconcile();
    assert!(!tailer.names_changed());
    assert_eq!(texts(&mut tailer), ["new"]);
}

#[test]
fn an_event_wakes_the_reader_and_the_line_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let mut tailer = open(directory.path()).unwrap();
    let mut watcher = Watcher::new(false);
    assert!(watcher.arm(tailer.dirs_to_watch()));
    tailer.reconcile();
    assert!(texts(&mut tailer).is_empty());

    let mut writer = fs::File::create(logs.join("access.log")).unwrap();
    assert_eq!(watcher.wait(PATIENCE), Woken::Rescan);
    tailer.reconcile();
    writer.write_all(b"one\n").unwrap();
    let mut found = vec![];
    while found.is_empty() {
        assert_ne!(watcher.wait(PATIENCE), Woken::Timeout);
        found = texts(&mut tailer);
    }
    assert_eq!(found, ["one"]);
}

#[test]
fn the_link_to_the_console_in_the_container_image_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    symlink("/dev/null", logs.join("access.log")).unwrap();
    let tailer = open(directory.path()).unwrap();
    let problem = tailer.stats().problems[0].to_string();
    assert!(problem.contains("is a device, not a file"), "{problem}");
}

#[test]
fn the_tailer_moves_to_its_thread() {
    fn moves<T: Send>() {}
    moves::<HostTailer>();
    moves::<Watcher>();
}
