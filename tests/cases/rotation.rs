//! Rotations of any name, with the real binary and real files: no line is lost or indexed twice.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;

use crate::support::agent::{Agent, Home, section_cluster, section_log};
use testkit::fake_cluster::Fault;
use testkit::lines::{append, append_text};
use testkit::stage::Stage;

/// Names that no table of rotated names contains.
const NAMES: [&str; 5] = [
    "access.log.old",
    "access.log.20261127153000",
    "20261127_access.log",
    "access_old.log",
    "access-2026-11-27T15-26-23.123.log",
];

/// As `gzip` does it.
fn compress(path: &Path, target: &Path) {
    let mut encoder = GzEncoder::new(File::create(target).unwrap(), Compression::default());
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(path).unwrap();
}

/// Sets an old modification time.
fn make_old(path: &Path) {
    let file = File::options().append(true).open(path).unwrap();
    // in March 2026
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_000_000);
    file.set_modified(then).unwrap();
}

fn until_started(agent: &mut Agent, times: usize) {
    agent.until("a start", |agent| {
        (agent.words().matches("started").count() == times).then_some(())
    });
}

#[test]
fn a_rename_to_any_name_while_the_agent_is_gone_loses_no_line() {
    for name in NAMES {
        let (home, stage) = (Home::new(), Stage::new());
        home.configure_log(&stage.address());
        home.append(0..10);
        home.once();
        home.append(10..20);
        fs::rename(home.log(), home.path(name)).unwrap();
        home.append(20..30);
        home.once();
        stage.assert_exactly(0..30);
        assert_eq!(stage.cluster().conflicts, 0, "{name}");
    }
}

/// A reload by a signal, and one by a change of nginx.conf.
#[test]
fn a_rename_to_any_name_while_the_cluster_is_away_survives_reloads() {
    for name in NAMES {
        let (home, stage) = (Home::new(), Stage::new());
        let conf = |comment: &str| {
            let text = format!(
                "events {{}}\n{comment}\nhttp {{ server {{ access_log {}; }} }}\n",
                home.log().display()
            );
            fs::write(home.nginx_conf(), text).unwrap();
        };
        conf("");
        home.configure_nginx(&home.nginx_conf(), "", &section_cluster(&stage.address()));
        home.append(0..10);
        let mut agent = home.run();
        agent.until_so("the first lines", || stage.count() == 10);
        stage.cluster().always = Some(Fault::Status(503, None, "unavailable"));
        let before = stage.cluster().bulks.len();
        home.append(10..20);
        agent.until_so("a request", || stage.cluster().bulks.len() > before);
        fs::rename(home.log(), home.path(name)).unwrap();
        home.append(20..30);
        agent.signal(Signal::HUP);
        until_started(&mut agent, 2);
        conf("# edited");
        until_started(&mut agent, 3);
        stage.cluster().always = None;
        agent.until_so("all lines", || stage.count() == 30);
        agent.stop();
        stage.assert_exactly(0..30);
    }
}

#[test]
fn a_wide_glob_indexes_no_rotated_file_again() {
    for name in [
        "access.log.1",
        "access.log.old",
        "access.log.20261127153000",
    ] {
        let (home, stage) = (Home::new(), Stage::new());
        let glob = home.path("access.log*");
        let sections = section_log(&glob, "combined") + &section_cluster(&stage.address());
        home.configure("", &sections);
        home.append(0..10);
        let mut agent = home.run();
        agent.until_so("the first lines", || stage.count() == 10);
        fs::rename(home.log(), home.path(name)).unwrap();
        home.append(10..20);
        agent.until_so("the new file", || stage.count() == 20);
        agent.signal(Signal::HUP);
        until_started(&mut agent, 2);
        home.append(20..30);
        agent.until_so("more lines", || stage.count() == 30);
        agent.stop();
        home.once();
        stage.assert_exactly(0..30);
        // A manual copy is reported as a copy.
        fs::copy(home.log(), home.path("access.log.bak")).unwrap();
        let ended = home.end_of(&["run", "--once"]);
        assert!(
            ended.words.contains("holds the lines of"),
            "{}",
            ended.words
        );
        stage.assert_exactly(0..30);
    }
}

/// Lines 0 to 9 are indexed, 10 to 19 lie in a file that was compressed just now, 20 to 29 in the log.
fn with_a_fresh_gz() -> (Home, Stage) {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    home.once();
    home.append(10..20);
    compress(&home.log(), &home.path("access.log.1.gz"));
    home.append(20..30);
    (home, stage)
}

#[test]
fn once_waits_for_a_file_that_was_only_just_compressed() {
    let (home, stage) = with_a_fresh_gz();
    home.once();
    stage.assert_exactly(0..30);
}

#[test]
fn once_without_time_to_wait_names_a_fresh_file_and_ends_with_75() {
    let (home, stage) = with_a_fresh_gz();
    let ended = home.end_of(&["run", "--once", "--timeout", "1s"]);
    assert_eq!(ended.code, Some(75), "{}", ended.words);
    let said = "access.log.1.gz is compressed and so new that it may still be written";
    assert!(ended.words.contains(said), "{}", ended.words);
    home.once();
    stage.assert_exactly(0..30);
}

#[test]
fn once_reports_what_it_leaves_and_ends_with_75_or_65() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    home.once();
    let unreadable = home.path("access.log.1.zst");
    append_text(&unreadable, "nobody reads this");
    home.append(10..20);
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{}", ended.words);
    assert!(
        ended
            .words
            .contains("is compressed in a format that cannot be read"),
        "{}",
        ended.words
    );
    stage.assert_exactly(0..20);
    fs::remove_file(unreadable).unwrap();
    home.once();

    let (plain, gz) = (home.path("plain"), home.path("access.log.2.gz"));
    append(&plain, 20..520);
    compress(&plain, &gz);
    let mut bytes = fs::read(&gz).unwrap();
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    fs::write(&gz, bytes).unwrap();
    make_old(&gz);
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(65), "{}", ended.words);
    assert!(ended.words.contains("is damaged"), "{}", ended.words);
}

#[test]
fn once_names_every_unread_file_and_does_not_claim_full_delivery() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let left =
        ["access.log.2.xz", "access.log.3.xz", "access.log.4.bz2"].map(|name| home.path(name));
    for file in &left {
        append_text(file, "nobody reads this");
    }
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{}", ended.words);
    let list = ended
        .words
        .lines()
        .find(|line| line.contains("left unread: "));
    for file in &left {
        let file = file.display().to_string();
        assert!(
            list.is_some_and(|list| list.contains(&file)),
            "{}",
            ended.words
        );
    }
    assert!(
        !ended.words.contains("everything delivered"),
        "{}",
        ended.words
    );
    assert!(ended.words.contains("unread_files=3"), "{}", ended.words);
    stage.assert_exactly(0..10);
}

#[test]
fn a_log_without_a_file_is_reported() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    let said = format!("no file is there for the log {}", home.log().display());
    assert!(ended.words.contains(&said), "{}", ended.words);
    home.append(0..10);
    let ended = home.end_of(&["run", "--once"]);
    assert!(!ended.words.contains("no file is there"), "{}", ended.words);
    stage.assert_exactly(0..10);
}

#[test]
fn a_longer_copy_that_replaces_a_log_is_not_reported_as_a_loss() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let whole = home.path("whole");
    append(&whole, 0..20);
    let bytes = fs::read(&whole).unwrap();
    // A copy that ends in the middle of a line.
    fs::write(home.log(), &bytes[..bytes.len() - 30]).unwrap();
    let mut agent = home.run();
    agent.until_so("all but the last line", || stage.count() == 19);
    fs::rename(&whole, home.log()).unwrap();
    agent.until_so("the last line", || stage.count() == 20);
    let status = agent.status().unwrap();
    assert_eq!(status["files"]["lost_bytes"], serde_json::json!({}));
    let ended = agent.stop();
    assert!(!ended.words.contains("are lost"), "{}", ended.words);
    stage.assert_exactly(0..20);
}
