//! The agent's own log: a line at the start, one at the end, one for each refused reload, and more for debugging.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::cluster_down;
use crate::support::agent::{Home, section_cluster, section_log};
use testkit::stage::Stage;

/// Logs as JSON.
const JSON: &str = "[log]\nformat = \"json\"\n";

/// The events of a log in JSON whose message holds this.
fn events(words: &str, text: &str) -> Vec<Value> {
    let parse =
        |line: &str| -> Value { serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")) };
    let events = words.lines().map(parse);
    let fields = events.map(|event| event["fields"].clone());
    fields
        .filter(|fields| {
            fields["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        })
        .collect()
}

fn configure(home: &Home, cluster: &str) {
    let sections = section_log(&home.log(), "combined") + &section_cluster(cluster) + JSON;
    home.configure("shutdown_timeout = \"0s\"\n", &sections);
}

#[test]
fn one_line_reports_the_start_and_one_the_end() {
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("delivery", || stage.count() == 10);
    let ended = agent.stop();
    let [started] = &*events(&ended.words, "started") else {
        panic!("{}", ended.words);
    };
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(started["logs"], 1);
    assert_eq!(started["output"], stage.address());
    assert_eq!(started["reached"], "yes");
    let [stopped] = &*events(&ended.words, "stopped") else {
        panic!("{}", ended.words);
    };
    assert_eq!(stopped["message"], "stopped: everything delivered");
    let [counted] = &*events(&ended.words, "lines since the start") else {
        panic!("{}", ended.words);
    };
    assert_eq!(
        (&counted["read"], &counted["indexed"]),
        (&10.into(), &10.into())
    );
    assert_eq!(
        (&counted["unparsed"], &counted["dead_letters"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn undelivered_lines_are_counted_at_the_end() {
    let home = Home::new();
    let down = cluster_down();
    configure(&home, &down);
    home.append(0..10);
    let mut agent = home.run();
    agent.until("the lines", |agent| {
        (agent.number("/lines/read")? == 10).then_some(())
    });
    let ended = agent.stop();
    let started = &events(&ended.words, "started")[0];
    let reached = started["reached"].as_str().unwrap();
    assert!(
        reached.starts_with("not yet: ") && reached.contains(&down),
        "{started}"
    );
    let [stopped] = &*events(&ended.words, "stopped") else {
        panic!("{}", ended.words);
    };
    assert_eq!(stopped["lines"], 10);
    assert!(
        stopped["message"]
            .as_str()
            .unwrap()
            .contains("read again at the next start"),
        "{stopped}"
    );
}

#[test]
fn a_refused_reload_is_one_event_with_the_position() {
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage.address());
    let mut agent = home.run();
    let right = fs::read_to_string(home.config()).unwrap();
    let wrong = right.replace(
        "flush_interval = \"20ms\"",
        "flush_interval = \"20 msec\"\nformat = \"$x\"",
    );
    fs::write(home.config(), wrong).unwrap();
    agent.signal(Signal::HUP);
    agent.until_said("the old one stays");
    let ended = agent.stop();
    let [refused] = &*events(&ended.words, "the configuration is wrong") else {
        panic!("{}", ended.words);
    };
    assert_eq!(refused["file"], home.config().display().to_string());
    let line = 1 + right
        .lines()
        .position(|line| line.starts_with("flush_interval"))
        .unwrap();
    assert_eq!(refused["line"], line);
    assert_eq!(refused["key"], "elasticsearch.flush_interval");
    assert_eq!(refused["problems"], 2);
    assert!(
        refused["problem"].as_str().unwrap().contains("is no time"),
        "{refused}"
    );
}

/// The message of a format that cannot be compiled has a line with a caret.
#[test]
fn a_refused_reload_is_one_line_of_text() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let mut agent = home.run();
    let right = fs::read_to_string(home.config()).unwrap();
    let wrong = right.replace("format = 'combined'", "format = '$a$b ${'");
    fs::write(home.config(), wrong).unwrap();
    agent.signal(Signal::HUP);
    agent.until_said("the old one stays");
    let ended = agent.stop();
    let is_event = |line: &str| line.starts_with("20") && line.contains("Z ");
    assert!(ended.words.lines().all(is_event), "{}", ended.words);
    assert!(
        ended.words.contains("key=\"logs[0].format\""),
        "{}",
        ended.words
    );
}

#[test]
fn debug_logs_files_requests_and_retries_but_no_line() {
    let (home, stage) = (Home::new(), Stage::new());
    let sections = section_log(&home.log(), "combined")
        + &section_cluster(&stage.address())
        + "api_key = \"aHVudGVyMg==\"\n"
        + JSON;
    home.configure("", &sections);
    home.append(0..10);
    let mut agent = home.start(&["run", "--log-level", "debug"]);
    agent.until_so("delivery", || stage.count() == 10);
    agent.until_said("log file opened");
    fs::rename(home.log(), home.path("access.log.1")).unwrap();
    home.append(10..20);
    agent.until_said("log file renamed");
    agent.until_so("delivery", || stage.count() == 20);
    agent.until_said("batch returned");
    let ended = agent.stop();
    let opened = &events(&ended.words, "log file opened")[0];
    assert_eq!(opened["path"], home.log().display().to_string());
    let sent = &events(&ended.words, "batch sent")[0];
    assert!(
        sent["documents"].as_u64() > Some(0) && sent["bytes"].as_u64() > Some(0),
        "{sent}"
    );
    let returned = &events(&ended.words, "batch returned")[0];
    assert_eq!(returned["settled"], true);
    assert!(
        returned["indexed"].as_u64() > Some(0) && returned["ms"].is_u64(),
        "{returned}"
    );
    let request = &events(&ended.words, "bulk request")[0];
    assert_eq!(request["status"], 200);
    for hidden in ["/item/", "aHVudGVyMg"] {
        assert!(!ended.words.contains(hidden), "{hidden}: {}", ended.words);
    }

    let info = home.end_of(&["run", "--once"]);
    assert!(!info.words.contains("batch sent"), "{}", info.words);
}

#[test]
fn an_unknown_level_is_reported_with_the_known_ones() {
    let home = Home::new();
    let ended = home.end_of(&["run", "--log-level", "verbose"]);
    assert_eq!(ended.code, Some(64), "{}", ended.words);
    assert!(
        ended.words.contains("error, warn, info, debug, trace"),
        "{}",
        ended.words
    );
}
