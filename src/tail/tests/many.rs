//! Thousands of logs: the time of a scan depends on the sum of the numbers of logs and files, not on their product.

use std::collections::HashSet;

use super::{Host, Links, LogSettings, settings};
use crate::tail::discover::{Discover, FoundBy};
use crate::tail::stem::tests::READ;

const LOGS: usize = 300;
const ROTATED: usize = 3;

/// Scans with one log for each of `paths`; returns how often a name was read, per file.
fn readings_by_file(
    host: &Host,
    logs: &[LogSettings],
    rotated_dirs: &[&str],
    by: FoundBy,
) -> usize {
    let rotated_dirs: Vec<String> = rotated_dirs.iter().map(|dir| (*dir).to_owned()).collect();
    let discover = Discover::new(logs, &rotated_dirs, &Links::default()).unwrap();
    let before = READ.get();
    let scan = discover.scan(&host.fs, &HashSet::new());
    assert_eq!(scan.live.len(), LOGS);
    assert_eq!(scan.siblings.len(), LOGS * ROTATED);
    for sibling in &scan.siblings {
        assert_eq!(sibling.by, by, "{sibling:?}");
        // `/logs/s7.log` for `s7.log.1`
        let file = sibling.path.file_name().unwrap().to_str().unwrap();
        let stem = file.split('.').next().unwrap();
        let names: Vec<&str> = sibling.names.iter().map(|name| &**name).collect();
        assert_eq!(names, [format!("/logs/{stem}.log")], "{sibling:?}");
    }
    (READ.get() - before) / (LOGS * (1 + ROTATED))
}

fn logs(path: impl Fn(usize) -> String) -> Vec<LogSettings> {
    let log = |at| LogSettings {
        paths: vec![path(at)],
        ..settings(&[]).logs.remove(0)
    };
    (0..LOGS).map(log).collect()
}

/// A host with these logs, live and rotated.
fn host(live: &str, rotated: &str, end: &str) -> Host {
    let host = Host::logs(&[]);
    for directory in [live, rotated] {
        host.fs.mkdir(directory);
    }
    for at in 0..LOGS {
        host.fs.put(&format!("{live}/s{at}.log"), b"one\n");
        for generation in 1..=ROTATED {
            let path = format!("{rotated}/s{at}.log.{generation}{end}");
            host.fs.put(&path, b"two\n");
        }
    }
    host
}

#[test]
fn a_shared_directory_of_rotated_files_is_not_compared_with_each_log() {
    let host = host("/logs", "/old", "");
    let logs = logs(|at| format!("/logs/s{at}.log"));
    assert!(readings_by_file(&host, &logs, &["/old"], FoundBy::Table) < 6);
}

#[test]
fn the_directory_that_links_lead_to_is_not_compared_with_each_log() {
    let host = host("/data", "/data", "");
    for at in 0..LOGS {
        let link = format!("/logs/s{at}.log");
        host.fs.symlink(&format!("/data/s{at}.log"), &link);
    }
    let logs = logs(|at| format!("/logs/s{at}.log"));
    assert!(readings_by_file(&host, &logs, &[], FoundBy::Table) < 6);
}

#[test]
fn a_directory_of_many_globs_is_not_compared_with_each_log() {
    let host = host("/logs", "/logs", "");
    let logs = logs(|at| format!("/logs/s{at}.lo?"));
    assert!(readings_by_file(&host, &logs, &[], FoundBy::Table) < 12);
}

#[test]
fn declared_files_are_not_compared_with_each_log() {
    let host = host("/logs", "/archive", ".bak");
    let logs = logs(|at| format!("/logs/s{at}.log"));
    let declared = |log| LogSettings {
        rotated: vec!["/archive/*".to_owned()],
        ..log
    };
    let logs: Vec<LogSettings> = logs.into_iter().map(declared).collect();
    assert!(readings_by_file(&host, &logs, &[], FoundBy::Declared) < 6);
}
