//! A hostile server in place of the cluster or Kibana: its responses take little memory and time, and lose no line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use logweir::output::dead_letters::Rejection;
use logweir::output::dead_letters::{DeadLetters, Entry, EntryKind};

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::hostile::{answer, bomb, endless, endless_head};
use testkit::http_server::{HttpServer, Reply};
use testkit::stage::Stage;

/// The least address space that the agent needs, since threads reserve more than they use. It is a tenth of what a
/// compressed bomb expands to.
const MEMORY: &str = "-v 1000000";

/// The bytes of an endless body that may be read: the limit of a response, and the buffers of sockets.
const TAKEN: u64 = 40 << 20;

fn plays() -> Vec<(&'static str, Reply)> {
    let claimed = format!("content-length: {}\r\n", u64::MAX / 2);
    let deep = answer(200, "", &b"[".repeat(4 << 20));
    let text = format!("{{\"items\":\"{}\"}}", "x".repeat(1 << 20));
    let small = format!("[{}0]", "{\"\":0},".repeat(510_000));
    let nested = "{\"a\":".repeat(100_000);
    vec![
        ("a bomb", Reply::Say(bomb())),
        ("no end", endless()),
        ("a head without an end", endless_head()),
        (
            "a length that is a lie",
            Reply::Say(answer(200, &claimed, b"{")),
        ),
        ("depth", Reply::Say(deep)),
        (
            "small objects",
            Reply::Say(answer(200, "", small.as_bytes())),
        ),
        (
            "depth in an error",
            Reply::Say(answer(400, "", nested.as_bytes())),
        ),
        (
            "a text that the parser quotes",
            Reply::Say(answer(200, "", text.as_bytes())),
        ),
        (
            "no gzip",
            Reply::Say(answer(200, "content-encoding: gzip\r\n", b"{}")),
        ),
        (
            "a drip",
            Reply::Drip(answer(200, "content-length: 1000\r\n", b"")),
        ),
    ]
}

#[test]
fn no_response_exhausts_the_memory_of_run_or_loses_a_line() {
    let (home, stage) = (Home::new(), Stage::new());
    let to = stage.es.address;
    let script: Arc<Mutex<VecDeque<Reply>>> = Arc::default();
    let hostile = HttpServer::start({
        let script = Arc::clone(&script);
        move |request| {
            let hostile =
                (request.head.method() == "POST").then(|| script.lock().unwrap().pop_front());
            hostile.flatten().unwrap_or(Reply::Forward(to))
        }
    });
    let cluster = section_cluster(&hostile.url()) + "request_timeout = \"2s\"\n";
    home.configure("", &(section_log(&home.log(), "combined") + &cluster));
    let mut agent = home.start_limited(MEMORY, &["run"]);
    agent.until_said("started");
    let mut lines = 0;
    for (what, play) in plays() {
        script.lock().unwrap().push_back(play);
        home.append(lines..lines + 10);
        lines += 10;
        let there = usize::try_from(lines).unwrap();
        agent.until_so(what, || stage.count() == there);
        assert!(script.lock().unwrap().is_empty(), "{what}");
    }
    assert!(hostile.sent() < 2 * TAKEN, "{}", hostile.sent());
    let ended = agent.stop();
    stage.assert_exactly(0..lines);
    assert!(
        ended
            .words
            .contains("its response is malformed: it is longer than"),
        "{}",
        ended.words
    );
    let longest = ended.words.lines().map(str::len).max();
    assert!(longest < Some(2000), "{longest:?}");
}

#[test]
fn a_required_template_is_awaited_whatever_the_cluster_responds() {
    for (what, play) in plays() {
        let home = Home::new();
        let hostile = HttpServer::always(play);
        let cluster = section_cluster(&hostile.url()) + "request_timeout = \"1s\"\n";
        home.configure("", &(section_log(&home.log(), "combined") + &cluster));
        home.append(0..10);
        let mut agent = home.start_limited(MEMORY, &["run"]);
        // After a refusal it continues, as without the privilege for the check.
        agent.until(what, |agent| {
            let words = agent.words();
            let told = words.contains("no usable answer") || words.contains("cannot ask whether");
            (told || words.contains("delivery is retried")).then_some(())
        });
        assert_eq!(agent.number("/lines/indexed"), Some(0), "{what}");
        agent.stop();
    }
}

#[test]
fn no_response_exhausts_the_memory_of_a_command_or_keeps_it_from_ending() {
    for (what, play) in plays() {
        let home = Home::new();
        let hostile = HttpServer::always(play);
        let address = hostile.url();
        let sections = format!(
            "{}{}request_timeout = \"1s\"\n",
            section_log(&home.log(), "combined"),
            section_cluster(&address),
        );
        home.configure("retention = \"30d\"\n", &sections);
        home.append(0..1);
        let reason = Rejection {
            kind: "x".to_owned(),
            text: String::new(),
            status: 400,
        };
        let entry = Entry::new(EntryKind::Dead, 0, ("day", "1"), b"{}", None, reason);
        let file = DeadLetters::new(&home.data(), 1 << 20);
        std::fs::create_dir_all(home.data()).unwrap();
        file.append(&[entry]).unwrap();
        for command in [
            &["setup"][..],
            &["setup", "--dry-run"],
            &["prune"],
            &["check", "--connect"],
            &["dead-letters", "replay", "--timeout", "2s"],
        ] {
            let before = hostile.sent();
            let ended = home.start_limited(MEMORY, command).end();
            let words = &ended.words;
            // For prune, a list without names is empty.
            let is_nothing = what == "small objects" && command == ["prune"];
            let is_an_end =
                |code| matches!(code, Some(65 | 69 | 77)) || (is_nothing && code == Some(0));
            assert!(is_an_end(ended.code), "{what}: {command:?}: {words}");
            assert!(words.len() < 20_000, "{what}: {command:?}: {}", words.len());
            assert!(hostile.sent() - before < TAKEN * 4, "{what}: {command:?}");
        }
        assert_eq!(file.entries().unwrap().count(), 1, "{what}");
    }
}

#[test]
fn no_response_of_kibana_exhausts_the_memory_of_setup() {
    for (what, play) in plays() {
        if matches!(play, Reply::Drip(_)) {
            // Its time limit is a minute there; that of the same client is tested above.
            continue;
        }
        let home = Home::new();
        let hostile = HttpServer::always(play);
        home.configure("", &format!("[kibana]\nurl = \"{}\"\n", hostile.url()));
        let command = ["setup", "--only", "kibana"];
        let ended = home.start_limited(MEMORY, &command).end();
        assert_eq!(ended.code, Some(69), "{what}: {}", ended.words);
        assert!(ended.words.len() < 2000, "{what}: {}", ended.words);
        assert!(hostile.sent() < TAKEN, "{what}");
    }
}
