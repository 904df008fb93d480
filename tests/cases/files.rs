//! Many logs, links, damaged files, and files that `--once` leaves unread, with the real binary.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::geteuid;

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::lines::{append, line};
use testkit::stage::Stage;

const WWW: u32 = 33;

fn follow(home: &Home, stage: &Stage, glob: &str, top: &str) {
    let sections = section_log(&home.path(glob), "combined") + &section_cluster(&stage.address());
    home.configure(top, &sections);
}

/// So many logs of one line.
fn many(home: &Home, count: u32) {
    fs::create_dir(home.path("logs")).unwrap();
    for at in 0..count {
        append(&home.path(&format!("logs/{at}-access.log")), at..at + 1);
    }
}

#[test]
fn more_logs_than_the_soft_limit_start_and_are_all_read() {
    let (home, stage) = (Home::new(), Stage::new());
    follow(&home, &stage, "logs/*access.log", "");
    many(&home, 1050);
    let ended = home.end_in_shell("ulimit -Sn 1024", &["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    stage.assert_exactly(0..1050);
}

#[test]
fn more_logs_than_the_hard_limit_are_read_in_turns_with_a_warning() {
    let (home, stage) = (Home::new(), Stage::new());
    follow(&home, &stage, "logs/*access.log", "");
    many(&home, 300);
    let ended = home.end_in_shell("ulimit -n 256", &["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    stage.assert_exactly(0..300);
    let told = ended.words.matches("300 logs are there").count();
    assert_eq!(told, 1, "{}", ended.words);
    assert!(ended.words.contains("LimitNOFILE"), "{}", ended.words);
}

/// Only for root, because others cannot change the owner of files.
#[test]
fn a_link_in_a_directory_of_another_user_is_skipped_and_reported() {
    if !geteuid().is_root() {
        return;
    }
    let (home, stage) = (Home::new(), Stage::new());
    follow(&home, &stage, "logs/*access.log", "");
    many(&home, 1);
    let logs = home.path("logs");
    append(&home.path("secret"), 1..2);
    chown(&logs, Some(WWW), None).unwrap();
    symlink(home.path("secret"), logs.join("x-access.log")).unwrap();
    append(&home.path("another"), 4..5);
    fs::hard_link(home.path("another"), logs.join("y-access.log")).unwrap();
    fs::create_dir(home.path("private")).unwrap();
    append(&home.path("private/access.log"), 2..3);
    symlink(home.path("private"), logs.join("vhost")).unwrap();
    // A log on another disk.
    fs::create_dir(home.path("disk")).unwrap();
    append(&home.path("disk/x"), 3..4);
    chown(home.path("disk/x"), Some(WWW), None).unwrap();
    symlink(home.path("disk/x"), logs.join("z-access.log")).unwrap();

    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{}", ended.words);
    for name in ["x-access.log", "y-access.log"] {
        let path = logs.join(name).display().to_string();
        let mut lines = ended.words.lines().filter(|line| line.contains(&path));
        assert!(
            lines.any(|line| line.contains("follow_links")),
            "{}",
            ended.words
        );
        let mut lines = ended.words.lines().filter(|line| line.contains(&path));
        assert!(
            lines.any(|line| line.contains("left unread")),
            "{}",
            ended.words
        );
    }
    assert_eq!(stage.documents().len(), 2);
    let checked = home.end_of(&["check"]);
    let told = checked.words.matches("follow_links").count();
    assert_eq!(told, 2, "{}", checked.words);

    // Through a linked directory of the path.
    follow(&home, &stage, "logs/*/access.log", "");
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{}", ended.words);
    assert_eq!(stage.documents().len(), 2);

    follow(
        &home,
        &stage,
        "logs/*access.log",
        "follow_links = \"always\"",
    );
    home.once();
    assert_eq!(stage.documents().len(), 4);
}

fn gzip(lines: std::ops::Range<u32>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for number in lines {
        encoder.write_all(line(number).as_bytes()).unwrap();
    }
    encoder.finish().unwrap()
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(before)
        .unwrap();
}

/// Each kind of damage, at the first start and later.
#[test]
fn a_damaged_compressed_file_is_reported_and_counted_whatever_the_damage() {
    let good = gzip(10..2010);
    let half = good[..good.len() / 2].to_vec();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let two = [gzip(10..1010), gzip(1010..2010)].concat();
    let mut second_damaged = two.clone();
    let at = second_damaged.len() - 6;
    second_damaged[at] ^= 1;
    // the damage, the bytes, the exit code, the least and the most documents
    let cases: [(&str, Vec<u8>, i32, usize, usize); 11] = [
        ("whole", good.clone(), 0, 2000, 2000),
        ("two members", two.clone(), 0, 2000, 2000),
        ("cut off", half, 65, 1, 1999),
        (
            "flipped in the middle",
            flipped(good.len() / 2),
            65,
            1,
            2000,
        ),
        ("wrong checksum", flipped(good.len() - 8), 65, 1999, 2000),
        ("second member damaged", second_damaged, 65, 1999, 2000),
        (
            "rubbish behind it",
            [&good[..], b"rubbish"].concat(),
            65,
            2000,
            2000,
        ),
        ("cut within the first line", good[..30].to_vec(), 65, 0, 0),
        ("empty", Vec::new(), 65, 0, 0),
        ("empty within", gzip(0..0), 0, 0, 0),
        (
            "no gzip",
            b"rubbish that is no gzip file at all\n".to_vec(),
            75,
            0,
            0,
        ),
    ];
    for (what, bytes, code, least, most) in &cases {
        for later in [false, true] {
            let (home, stage) = (Home::new(), Stage::new());
            follow(&home, &stage, "access.log", "history = \"36500d\"");
            home.append(0..10);
            let gz = home.path("access.log.1.gz");
            if later {
                home.once();
            }
            put(&gz, bytes);
            let ended = home.end_of(&["run", "--once"]);
            assert_eq!(ended.code, Some(*code), "{what} {later}: {}", ended.words);
            let count = stage.documents().len() - 10;
            assert!((*least..=*most).contains(&count), "{what} {later}: {count}");
            let path = gz.display().to_string();
            if *code == 0 {
                assert!(
                    !ended.words.contains(&path),
                    "{what} {later}: {}",
                    ended.words
                );
            } else {
                let level = if *code == 65 { "ERROR" } else { "WARN" };
                let mut lines = ended.words.lines().filter(|line| line.contains(&path));
                assert!(
                    lines.any(|line| line.contains(level)),
                    "{what} {later}: {}",
                    ended.words
                );
            }
        }
    }
}

#[test]
fn a_damaged_file_is_shown_on_the_pages_until_it_is_repaired() {
    let (home, stage) = (Home::new(), Stage::new());
    follow(
        &home,
        &stage,
        "access.log",
        "reconcile_interval = \"100ms\"",
    );
    home.append(0..10);
    home.once();
    let (gz, bytes) = (home.path("access.log.1.gz"), gzip(10..2010));
    put(&gz, &bytes[..bytes.len() / 2]);
    let mut agent = home.run();
    let status = agent.until("the damage on the page", |agent| {
        let status = agent.status()?;
        (status["files"]["damaged"]["truncated"] == 1).then_some(status)
    });
    let problems = status["problems"].to_string();
    assert!(problems.contains("is damaged"), "{problems}");
    put(&gz, &bytes);
    agent.until_so("all lines", || stage.count() == 2010);
    agent.until("no problem any more", |agent| {
        let status = agent.status()?;
        (!status["problems"].to_string().contains("is damaged")).then_some(())
    });
    agent.stop();
    stage.assert_exactly(0..2010);
}

#[test]
fn once_names_a_directory_and_a_log_that_may_not_be_read() {
    let (home, stage) = (Home::new(), Stage::new());
    follow(&home, &stage, "*access.log", "");
    home.append(0..10);
    fs::create_dir(home.path("x-access.log")).unwrap();
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(75), "{}", ended.words);
    let path = home.path("x-access.log").display().to_string();
    assert!(
        ended.words.contains(&format!("{path} is a directory")),
        "{}",
        ended.words
    );
    stage.assert_exactly(0..10);
    fs::remove_dir(home.path("x-access.log")).unwrap();
    home.once();
    if geteuid().is_root() {
        let closed = home.path("y-access.log");
        append(&closed, 10..11);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
        for (path, owner) in [(home.data(), 65_534), (home.log(), 65_534)] {
            chown(&path, Some(owner), None).unwrap();
        }
        fs::remove_dir_all(home.data()).unwrap();
        chown(home.path(""), Some(65_534), None).unwrap();
        let ended = home.end_as_nobody(&["run", "--once"]);
        assert_eq!(ended.code, Some(75), "{}", ended.words);
        let left = format!("left unread: {}", closed.display());
        assert!(ended.words.contains(&left), "{}", ended.words);
    }
}
