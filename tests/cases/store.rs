//! Without a cluster: the embedded store, its answers, and the users that may read it.

use std::collections::BTreeMap;
use std::path::Path;

use logweir_store::{Reader, Sources};
use serde_json::Value;

use crate::support::agent::{Home, section_log};
use testkit::lines::{append_bytes, append_text};
use testkit::stage::Stage;

/// A `[store]` that keeps the lines of the tests, however old they are.
const STORE: &str = "[store]\nretention = '36000d'\n";

/// All documents of the store, by index and offset.
fn documents(home: &Home) -> BTreeMap<(String, u64), Value> {
    let reader = Reader::open(&home.data().join("store")).unwrap();
    let mut documents = BTreeMap::new();
    for day in reader.days().unwrap() {
        for segment in reader.segments(day.index, i64::MIN, i64::MAX).unwrap() {
            let sources = Sources::of(&segment).unwrap();
            for row in 0..segment.rows() {
                let document = sources.get(row).unwrap();
                let offset = document["log"]["offset"].as_u64().unwrap();
                let before = documents.insert((day.index.to_string(), offset), document);
                assert_eq!(before, None, "a document is there twice");
            }
        }
    }
    documents
}

fn answer(home: &Home, arguments: &[&str]) -> Value {
    let ended = home.end_of(arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    serde_json::from_str(&ended.words).unwrap()
}

const DAY: [&str; 4] = ["--from", "2026-03-12", "--to", "2026-03-12"];

#[test]
fn without_a_cluster_requests_are_counted_from_the_store_while_the_agent_runs() {
    let home = Home::new();
    home.configure(
        "",
        &format!("{}{STORE}", section_log(&home.log(), "combined")),
    );
    home.append(0..50);
    let mut agent = home.run();
    let top = |limit: &str| {
        let mut arguments = vec!["top", "--by", "path", "--limit", limit, "--utc", "--json"];
        arguments.extend(DAY);
        answer(&home, &arguments)
    };
    agent.until("the first lines", |agent| {
        (agent.number("/lines/indexed")? == 50).then_some(())
    });
    assert_eq!(top("3")["requests"], 50);
    home.append(50..80);
    agent.until("the rest", |agent| {
        (agent.number("/lines/indexed")? == 80).then_some(())
    });
    let answer = top("100");
    assert_eq!(answer["requests"], 80);
    assert_eq!(answer["rows"].as_array().unwrap().len(), 80);
    let metrics = agent.page("/metrics").unwrap().body;
    assert!(
        metrics.contains("\nlogweir_store_documents 80"),
        "{metrics}"
    );
    agent.stop();
    assert_eq!(documents(&home).len(), 80);
}

#[test]
fn repeated_runs_and_lost_positions_duplicate_nothing() {
    let home = Home::new();
    home.configure(
        "",
        &format!("{}{STORE}", section_log(&home.log(), "combined")),
    );
    home.append(0..1000);
    home.once();
    home.once();
    assert_eq!(documents(&home).len(), 1000);
    std::fs::remove_dir_all(home.data().join("run")).unwrap();
    home.append(1000..1010);
    let ended = home.end_of(&["run", "--once"]);
    assert!(
        ended.words.contains("indexed=10 already_indexed=1000"),
        "{}",
        ended.words
    );
    assert_eq!(documents(&home).len(), 1010);
}

/// The columns return the same document that another output would have received.
#[test]
fn a_document_of_the_store_equals_the_one_that_a_cluster_would_get() {
    let home = Home::new();
    let logs = format!(
        "{}fields = {{ \"user.id\" = \"$http_x_id\", \"labels._tier\" = \"$http_x_tier\" }}\n\
         [[routes]]\npath = '/login'\nkind = 'login'\nsuccess = ['200']\n\
         [[routes]]\npath = '/export/{{id}}'\nkind = 'sensitive'\n{STORE}",
        section_log(
            &home.log(),
            "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
             \"$http_user_agent\" $request_time \"$http_x_forwarded_for\" $upstream_addr $upstream_response_time \
             $upstream_status $request_length $http_x_id $http_x_tier",
        )
    );
    home.configure(
        "keep_original = true\ntrusted_proxies = ['10.0.0.0/8']",
        &logs,
    );
    let time = "12/Mar/2026:10:00:01 +0200";
    for (peer, user, request, status, rest) in [
        (
            "192.0.2.7",
            "-",
            "GET / HTTP/1.1",
            "200",
            "0.012 - 10.1.1.1:80 0.011 200 512 7 a",
        ),
        (
            "2001:db8::7",
            "eve",
            "POST /login?token=x HTTP/2.0",
            "401",
            "1.5 - - - - 99 - b",
        ),
        (
            "10.0.0.9",
            "-",
            "GET /export/77?page=2#x HTTP/1.1",
            "200",
            "0.000 \"198.51.100.9, 10.0.0.8\" 10.1.1.1:80, 10.1.1.2:80 0.1, 0.2 502, 200 1 é c",
        ),
        (
            "192.0.2.7",
            "-",
            "\\x16\\x03\\x01",
            "400",
            "0.1 - - - - 0 - -",
        ),
        ("unix:", "-", "-", "000", "- - - - - - - -"),
    ] {
        let rest = rest.replacen('-', "\"-\"", usize::from(!rest.contains('"')));
        let line = format!(
            "{peer} - {user} [{time}] \"{request}\" {status} 5 \"-\" \"Mozilla/5.0 (X)\" {rest}\n"
        );
        append_text(&home.log(), &line);
    }
    append_bytes(
        &home.log(),
        b"no line of this format \xff\x00 \"quoted\" \\x22\n",
    );
    append_bytes(&home.log(), b"another 12/Mar/2026:10:00:05 +0200 one\n");
    let console = home.end_of(&["run", "--once", "--output", "console"]);
    home.once();
    let mut stored = documents(&home);
    let mut lines = 0;
    let without_reading_time = |mut document: Value| {
        document["event"].as_object_mut().unwrap().remove("created");
        document
    };
    for line in console.words.lines().filter(|line| line.starts_with('{')) {
        let document: Value = serde_json::from_str(line).unwrap();
        lines += 1;
        let offset = document["log"]["offset"].as_u64().unwrap();
        let key = stored.keys().find(|(_, at)| *at == offset).unwrap().clone();
        let mut stored = stored.remove(&key).unwrap();
        if key.0 == "nginx-access-unparsed" {
            // such a line gets the time at which it was read
            stored["@timestamp"] = document["@timestamp"].clone();
        }
        assert_eq!(without_reading_time(stored), without_reading_time(document));
    }
    assert_eq!((lines, stored.len()), (7, 0), "{}", console.words);
}

#[test]
fn a_data_dir_of_a_cluster_is_not_used_by_the_store_silently() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    home.once();
    let log = section_log(&home.log(), "combined");
    home.configure("", &log);
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(78), "{}", ended.words);
    assert!(
        ended.words.contains("no output is configured"),
        "{}",
        ended.words
    );
    assert!(!home.data().join("store").exists());
    home.configure("", &format!("{log}{STORE}"));
    home.once();
    assert_eq!(documents(&home).len(), 10);
    // back to the cluster: its positions were kept
    home.configure_log(&stage.address());
    home.append(10..15);
    home.once();
    assert_eq!(stage.count(), 15);
    stage.assert_exactly(0..15);
}

#[test]
fn a_store_that_another_user_may_not_read_is_explained() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    home.configure(
        "",
        &format!("{}{STORE}", section_log(&home.log(), "combined")),
    );
    home.append(0..10);
    home.once();
    let arguments = ["top", "--from", "2026-03-12", "--json"];
    let ended = home.end_as_nobody(&arguments);
    assert_eq!(ended.code, Some(69), "{}", ended.words);
    assert!(
        ended.words.contains("as a member of that group"),
        "{}",
        ended.words
    );
    // a user that may read it needs no write permission
    open_to_all(&home.data());
    let ended = home.end_as_nobody(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    assert!(ended.words.contains("\"requests\":10"), "{}", ended.words);
}

fn open_to_all(path: &Path) {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

/// The agent of the demo is killed repeatedly while it reads, commits and merges.
#[test]
fn a_demo_whose_agent_is_killed_repeatedly_loses_and_duplicates_nothing() {
    use rustix::process::{Pid, Signal, kill_process};
    let home = Home::new();
    home.configure("", "");
    let mut demo = home.start(&["demo", "--history", "30m", "--duration", "15s"]);
    let mut killed = None;
    for _ in 0..5 {
        let pid = demo.until("an agent to kill", |demo| {
            let words = demo.words();
            let pid = words.rsplit("process ").next()?;
            let pid: i32 = pid
                .split(|other: char| !other.is_ascii_digit())
                .next()?
                .parse()
                .ok()?;
            (killed != Some(pid)).then_some(pid)
        });
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        killed = Some(pid);
    }
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    assert!(
        ended.words.contains("lost 0, duplicated 0"),
        "{}",
        ended.words
    );
    assert!(
        ended.words.contains("the agent was killed 5 times"),
        "{}",
        ended.words
    );
}
