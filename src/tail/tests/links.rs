//! Links in directories that others may write.

use std::collections::BTreeMap;

use super::cases::GLOB;
use super::{Host, LIVE, settings};
use crate::tail::Leaves;

const WWW: u32 = 33;
const BOB: u32 = 1000;
const SECRET: &str = "/etc/shadow";

/// A host whose directory of logs belongs to nginx's user, and a file that only root may read.
fn host(globs: &[&str]) -> Host {
    let mut settings = settings(globs);
    settings.links.nginx = Some(BOB);
    let host = Host::new(settings);
    host.fs.chown("/logs", WWW);
    host.fs.chmod("/logs", 0o755);
    host.fs.mkdir("/etc");
    host.fs.append(SECRET, b"root:secret:1::::::\n");
    host
}

fn reported(host: &mut Host, path: &str) -> bool {
    let begin = format!("{path} is ");
    let begin_hard = format!("{path} has more than one name");
    let mut problems = host.problems().into_iter();
    problems.any(|problem| {
        (problem.starts_with(&begin) || problem.starts_with(&begin_hard))
            && problem.contains("follow_links")
    })
}

/// As a live log, as a rotated one, by a glob and by its path, plain and compressed.
#[test]
fn a_link_to_a_file_of_another_user_is_not_read_whatever_its_name() {
    for glob in [GLOB, LIVE] {
        for name in [LIVE, "/logs/access.log.1", "/logs/access.log.2.gz"] {
            for symbolic in [true, false] {
                let mut host = host(&[glob]);
                host.settings.history = super::DAY;
                if name.ends_with(".gz") {
                    host.fs.gzip(SECRET, "/etc/secret.gz");
                    host.fs.mv("/etc/secret.gz", SECRET);
                    host.wait(10);
                }
                if name != LIVE {
                    host.fs.append(LIVE, b"one\n");
                }
                match symbolic {
                    true => host.fs.symlink(SECRET, name),
                    false => host.fs.ln(SECRET, name),
                }
                host.start();
                let expected: &[&str] = if name == LIVE { &[] } else { &["one"] };
                assert_eq!(host.texts(), expected, "{glob} {name} {symbolic}");
                assert!(reported(&mut host, name), "{:?}", host.problems());
                assert_eq!(host.tailer().leaves(), Leaves::Input);
                // The directory is root's now.
                host.fs.chown("/logs", 0);
                assert_eq!(host.texts().len(), 1, "{glob} {name} {symbolic}");
                assert_eq!(host.tailer().leaves(), Leaves::Nothing);
            }
        }
    }
}

#[test]
fn ordinary_logs_and_links_of_a_directory_of_nginx_are_read() {
    // whose the file is
    for (owner, symbolic, read) in [
        (0, None, true),
        (WWW, None, true),
        (WWW, Some(true), true),
        (WWW, Some(false), true),
        (BOB, Some(true), true),
        (0, Some(true), false),
        (0, Some(false), false),
        (1001, Some(true), false),
    ] {
        let mut host = host(&[GLOB]);
        host.fs.mkdir("/data");
        match symbolic {
            None => _ = host.fs.append(LIVE, b"one\n"),
            Some(symbolic) => {
                host.fs.append("/data/x", b"one\n");
                match symbolic {
                    true => host.fs.symlink("/data/x", LIVE),
                    false => host.fs.ln("/data/x", LIVE),
                }
            }
        }
        host.fs.chown(LIVE, owner);
        host.start();
        assert_eq!(
            host.texts().len(),
            usize::from(read),
            "{owner} {symbolic:?}"
        );
        assert_eq!(reported(&mut host, LIVE), !read, "{owner} {symbolic:?}");
    }
}

#[test]
fn a_setting_allows_all_links() {
    let mut host = host(&[GLOB]);
    host.settings.links.always = true;
    host.fs.symlink(SECRET, LIVE);
    host.start();
    assert_eq!(host.texts(), ["root:secret:1::::::"]);
}

/// A file of another user is beside the target of a link that leads to a file of its own owner.
#[test]
fn rotated_files_beside_a_links_target_count_only_if_they_belong_to_the_same_user() {
    for owner in [0, WWW] {
        let mut host = host(&[LIVE]);
        host.settings.history = super::DAY;
        host.fs.mkdir("/data");
        host.fs.append("/data/app.log", b"own\n");
        host.fs.chown("/data/app.log", WWW);
        host.fs.append("/data/app.log.1", b"rotated\n");
        host.fs.chown("/data/app.log.1", owner);
        host.fs.symlink("/data/app.log", LIVE);
        host.start();
        let mut texts = host.texts();
        texts.sort();
        let all = owner == WWW;
        assert_eq!(texts.len(), if all { 2 } else { 1 }, "{texts:?}");
        assert_eq!(reported(&mut host, "/data/app.log.1"), !all);
    }
    // A link that is not followed leads to no rotated files either.
    let mut host = host(&[LIVE]);
    host.settings.history = super::DAY;
    host.fs.append("/etc/shadow.1", b"rotated\n");
    host.fs.symlink(SECRET, LIVE);
    host.start();
    assert_eq!(host.texts(), [""; 0]);
}

/// Somebody gives a log of root's directory another name in his own, where another pattern takes it.
#[test]
fn a_link_to_a_log_does_not_take_its_place() {
    for symbolic in [false, true] {
        for rotated in [false, true] {
            let mut host = host(&["/logs/*.log", "/var/*.log"]);
            host.settings.history = super::DAY;
            host.fs.mkdir("/var");
            host.fs.append("/var/access.log", b"one\n");
            host.fs.append("/var/access.log.1", b"rotated\n");
            let target = match rotated {
                true => "/var/access.log.1",
                false => "/var/access.log",
            };
            match symbolic {
                true => host.fs.symlink(target, "/logs/a.log"),
                false => host.fs.ln(target, "/logs/a.log"),
            }
            host.start();
            let mut read = host.read();
            read.sort_by(|a, b| a.2.cmp(&b.2));
            let texts: Vec<&str> = read.iter().map(|(_, _, text)| text.as_str()).collect();
            assert_eq!(texts, ["one", "rotated"], "{symbolic} {rotated}");
            assert_eq!(host.problems(), [""; 0]);
        }
    }
}

/// The log was followed; then its directory got another owner.
#[test]
fn a_file_that_was_followed_before_does_not_count_as_lost() {
    let mut host = host(&[GLOB]);
    host.fs.chown("/logs", 0);
    host.settings.read_bytes = 4;
    host.fs.symlink(SECRET, LIVE);
    host.fs.append(SECRET, b"second\n");
    host.start();
    let chunk = host.tailer().read().unwrap();
    let (file, end) = (chunk.file, chunk.end);
    host.tailer().settle(file, end);
    host.tailer().save().unwrap();
    host.kill();
    host.fs.chown("/logs", WWW);
    host.start();
    for _ in 0..6 {
        assert_eq!(host.texts(), [""; 0]);
        host.wait(60);
    }
    assert_eq!(host.tailer().stats().lost_bytes, BTreeMap::new());
    host.fs.chown("/logs", 0);
    assert_eq!(host.texts(), ["second"]);
}
