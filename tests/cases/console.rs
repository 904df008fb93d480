//! `run --once --output console`: documents on standard output, beside a live agent.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::agent::{Home, section_log};
use testkit::stage::Stage;

fn command(home: &Home) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logweir"));
    command
        .arg("-c")
        .arg(home.config())
        .args(["run", "--once", "--output", "console"])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn documents_are_written_as_lines_beside_a_live_agent() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..50);
    let mut agent = home.run();
    agent.until_so("delivery", || stage.count() == 50);
    for _ in 0..2 {
        let output = command(&home).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        let documents: Vec<Value> = output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        assert_eq!(documents.len(), 50, "{words}");
        for (number, document) in documents.iter().enumerate() {
            let path = document["url"]["path"].as_str().unwrap();
            assert!(path.ends_with(&number.to_string()), "{path}");
            assert_eq!(document["event"]["dataset"], "nginx.access");
        }
    }
    home.append(50..60);
    agent.until_so("the rest", || stage.count() == 60);
    agent.stop();
}

/// As with `| head -1`.
#[test]
fn a_closed_pipe_ends_the_run_without_a_cluster_and_without_a_trace() {
    let home = Home::new();
    home.configure("", &section_log(&home.log(), "combined"));
    home.append(0..40_000);
    let mut child = command(&home).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    serde_json::from_str::<Value>(&line).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(words.contains("nobody reads standard output"), "{words}");
    assert!(!home.data().exists(), "nothing is kept");
}

#[test]
fn the_console_is_for_runs_that_end() {
    let home = Home::new();
    home.configure("", &section_log(&home.log(), "combined"));
    let ended = home.end_of(&["run", "--output", "console"]);
    assert_eq!(ended.code, Some(64), "{}", ended.words);
    assert!(ended.words.contains("--once"), "{}", ended.words);
}
