//! Text from outside on a terminal and in a log: responses of a cluster and of Kibana, file names. It is shown, but
//! cannot control the terminal.

use logweir::output::dead_letters::Rejection;
use logweir::output::dead_letters::{DeadLetters, Entry, EntryKind};
use serde_json::{Value, json};

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::hostile::answer;
use testkit::http_server::{HttpServer, Reply};

/// Clears a screen, sets a title, reverses the direction, begins a line.
const TEXT: &str =
    "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{7f}\0\r\nforged line";

#[track_caller]
fn assert_safe(what: &str, words: &str) {
    let unsafe_char = |char: char| {
        (char.is_control() && char != '\n')
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!words.contains(unsafe_char), "{what}: {words:?}");
    let forged = words.lines().any(|line| line.starts_with("forged"));
    assert!(!forged, "{what}: {words}");
}

fn said(status: u16, body: &Value) -> Reply {
    Reply::Say(answer(status, "", body.to_string().as_bytes()))
}

fn error() -> Value {
    json!({"type": TEXT, "reason": TEXT, "caused_by": {"type": TEXT, "reason": TEXT}})
}

fn plays() -> Vec<(&'static str, Reply)> {
    let refusal = json!({"error": error(), "message": TEXT, "status": 400});
    let location = format!("location: https://es/{}\r\n", "\u{9b}2J\u{202e}");
    let version = json!({
        "version": {"number": format!("8.19.0{TEXT}"), "distribution": TEXT}, "tagline": TEXT,
        "items": [{"create": {"status": 400, "error": error()}}],
        "saved_objects": [], TEXT: TEXT,
    });
    vec![
        ("an error", said(400, &refusal)),
        ("no key", said(401, &refusal)),
        ("no right", said(403, &refusal)),
        ("overloaded", said(503, &refusal)),
        ("an error in words", said(400, &json!({"error": TEXT}))),
        ("a page", Reply::Say(answer(502, "", TEXT.as_bytes()))),
        ("a good page", Reply::Say(answer(200, "", TEXT.as_bytes()))),
        ("a string", said(200, &json!(TEXT))),
        ("a redirect", Reply::Say(answer(301, &location, b""))),
        ("a version", said(200, &version)),
    ]
}

/// A cluster and a Kibana at one address, and something in the dead-letter file.
fn home(hostile: &HttpServer, more: &str) -> Home {
    let home = Home::new();
    let address = hostile.url();
    let sections = format!(
        "{}{}[kibana]\nurl = \"{address}\"\n{more}",
        section_log(&home.log(), "combined"),
        section_cluster(&address),
    );
    home.configure("retention = \"3650d\"\n", &sections);
    home.append(0..1);
    let reason = Rejection {
        kind: TEXT.to_owned(),
        text: TEXT.to_owned(),
        status: 400,
    };
    let entry = Entry::new(EntryKind::Dead, 0, ("day", "1"), b"{}", None, reason);
    std::fs::create_dir_all(home.data()).unwrap();
    let file = DeadLetters::new(&home.data(), 1 << 20);
    file.append(&[entry]).unwrap();
    home
}

#[test]
fn commands_escape_responses_of_servers() {
    for (what, play) in plays() {
        let hostile = HttpServer::always(play);
        let home = home(&hostile, "");
        for command in [
            &["setup"][..],
            &["setup", "--dry-run"],
            &["setup", "--only", "kibana"],
            &["setup", "--only", "kibana", "--force"],
            &["prune"],
            &["check", "--connect"],
            &["dead-letters", "list"],
            &["dead-letters", "list", "--json"],
            &["dead-letters", "replay", "--timeout", "1s"],
        ] {
            let ended = home.end_of(command);
            assert_safe(&format!("{what}: {command:?}"), &ended.words);
            assert!(ended.words.len() < 30_000, "{what}: {command:?}");
        }
    }
}

#[test]
fn responses_in_the_log_are_escaped_and_forge_no_line() {
    for (what, play) in plays() {
        for (format, arguments) in [
            ("text", &["run", "--no-template-check"][..]),
            ("json", &["run"]),
        ] {
            let hostile = HttpServer::always(play.clone());
            let more = format!("[log]\nformat = \"{format}\"\n");
            let home = home(&hostile, &more);
            let mut agent = home.start(arguments);
            agent.until(what, |agent| {
                let words = agent.words();
                (words.contains("WARN") || words.contains("ERROR")).then_some(())
            });
            let pages = ["/status", "/readyz", "/metrics"].map(|path| agent.page(path));
            let ended = agent.stop();
            assert_safe(&format!("{what}: {format}"), &ended.words);
            for page in pages.into_iter().flatten() {
                assert_safe(what, &page.body);
            }
            if format == "json" {
                for line in ended.words.lines() {
                    serde_json::from_str::<Value>(line).unwrap();
                }
            }
        }
    }
}

#[test]
fn file_names_are_escaped_on_a_terminal_and_in_the_log() {
    let home = Home::new();
    let name = "a\u{1b}[2J\u{202e}\nforged line.log";
    std::fs::create_dir_all(home.path("logs").join(name)).unwrap();
    let log = home.path("logs/b\u{1b}[2J\u{202e}\nforged line.log");
    testkit::lines::append_text(&log, "nothing of any format\n");
    let glob = home.path("logs/*.log");
    let hostile = HttpServer::always(said(503, &json!({})));
    let sections = section_log(&glob, "combined") + &section_cluster(&hostile.url());
    home.configure("", &sections);
    let checked = home.end_of(&["check"]);
    assert_safe("check", &checked.words);
    assert!(checked.words.contains("\\x1B[2J"), "{}", checked.words);
    let mut agent = home.run();
    agent.until_said("is a directory, not a file");
    let page = agent.page("/status").unwrap();
    assert_safe("status", &page.body);
    let ended = agent.stop();
    assert_safe("run", &ended.words);
    assert!(ended.words.contains("\\x1B[2J"), "{}", ended.words);
}
