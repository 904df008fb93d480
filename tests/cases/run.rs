//! `logweir run --once`, and starts that fail: the indexed documents, the exit codes and the messages.

use std::fs;

use super::cluster_down;
use crate::support::agent::{Home, section_cluster, section_log};
use testkit::fake_cluster::{Cluster, Fault};
use testkit::lines::{append_text, line};
use testkit::stage::Stage;

#[test]
fn once_indexes_each_complete_line_and_leaves_an_incomplete_one() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..500);
    let unfinished = line(500);
    append_text(&home.log(), unfinished.trim_end());
    home.once();
    stage.assert_exactly(0..500);
    append_text(&home.log(), "\n");
    home.once();
    stage.assert_exactly(0..501);
}

#[test]
fn a_second_run_sends_nothing_and_one_without_its_positions_only_duplicates() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..500);
    home.once();
    let bulks = stage.cluster().bulks.len();
    home.once();
    assert_eq!(stage.cluster().bulks.len(), bulks);
    // only the positions: the identity stays
    for name in ["checkpoint", "checkpoint.previous"] {
        fs::remove_file(home.data().join("run").join(name)).unwrap();
    }
    home.once();
    assert_eq!(stage.cluster().conflicts, 500);
    stage.assert_exactly(0..500);
}

#[test]
fn the_same_lines_are_the_same_documents_from_an_empty_state_too() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..500);
    home.once();
    fs::remove_dir_all(home.data()).unwrap();
    home.once();
    assert_eq!(stage.cluster().conflicts, 500);
    stage.assert_exactly(0..500);
}

#[test]
fn a_format_without_time_and_client_causes_one_warning() {
    let (home, stage) = (Home::new(), Stage::new());
    let log = |name: &str| home.path(name);
    let logs = format!(
        "[[logs]]\npaths = [{:?}, {:?}]\nformat = '$status \"$request\"'\n",
        log("a.log"),
        log("b.log"),
    );
    home.configure("", &format!("{logs}{}", section_cluster(&stage.address())));
    for name in ["a.log", "b.log"] {
        append_text(&log(name), &"200 \"GET / HTTP/1.1\"\n".repeat(9));
    }
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    for lack in ["has no time", "has no client address"] {
        assert_eq!(ended.words.matches(lack).count(), 1, "{}", ended.words);
    }
    assert_eq!(stage.count(), 18);
}

#[test]
fn once_gives_up_in_time_and_saves_no_position() {
    let home = Home::new();
    home.append(0..500);
    let limited = ["run", "--once", "--timeout", "2s"];

    home.configure_log(&cluster_down());
    let ended = home.end_of(&limited);
    assert_eq!(ended.code, Some(69), "{}", ended.words);
    assert!(ended.words.contains("--timeout"), "{}", ended.words);

    let stage = Stage::new();
    home.configure_log(&stage.address());
    stage.cluster().always = Some(Fault::Status(503, None, "unavailable"));
    let ended = home.end_of(&limited);
    assert_eq!(ended.code, Some(69), "{}", ended.words);
    assert_ne!(stage.cluster().bulks.len(), 0);

    stage.cluster().always = None;
    home.once();
    stage.assert_exactly(0..500);
    assert_eq!(stage.cluster().conflicts, 0);
}

/// Positions move by chunks, not by lines: few of the settled lines are sent again.
#[test]
fn most_of_what_was_settled_before_the_timeout_is_not_sent_again() {
    let (home, stage) = (Home::new(), Stage::new());
    let cluster = section_cluster(&stage.address()) + "batch_count = 1000\nmax_in_flight = 1\n";
    let log = section_log(&home.log(), "combined");
    home.configure("", &(log + &cluster));
    home.append(0..12_000);
    {
        let mut cluster = stage.cluster();
        cluster.script = vec![Fault::None; 8].into();
        cluster.always = Some(Fault::Status(503, None, "unavailable"));
    }
    let ended = home.end_of(&["run", "--once", "--timeout", "5s"]);
    assert_eq!(ended.code, Some(69), "{}", ended.words);
    stage.assert_exactly(0..8000);
    stage.cluster().always = None;
    home.once();
    stage.assert_exactly(0..12_000);
    let again = stage.cluster().conflicts;
    assert!(again < 4000, "{again} of 8000 were sent again");
}

#[test]
fn a_configuration_that_cannot_be_run_ends_with_78_and_a_hint() {
    let home = Home::new();
    let log = section_log(&home.log(), "combined");
    let cases = [
        (
            format!("{log}[store]\n{}", section_cluster("http://127.0.0.1:1")),
            "records go to one of them",
        ),
        (
            section_cluster("http://127.0.0.1:1"),
            "add a section [[logs]]",
        ),
        (log + "[elasticsearch\nnodes = 1\n", "logweir.toml:"),
    ];
    for (sections, word) in cases {
        home.configure("", &sections);
        let ended = home.end_of(&["run"]);
        assert_eq!(ended.code, Some(78), "{}", ended.words);
        assert!(ended.words.contains(word), "{word}: {}", ended.words);
    }
    fs::remove_file(home.config()).unwrap();
    let ended = home.end_of(&["run"]);
    assert_eq!(ended.code, Some(78), "{}", ended.words);
    assert!(ended.words.contains("logweir.toml"), "{}", ended.words);
    assert!(!home.data().exists(), "nothing was begun");
}

/// The cluster is away, refuses, hangs, holds or has no template: the run ends in time, with 69, and reports how many
/// lines are left.
#[test]
fn once_gives_up_whatever_the_cluster_does_and_reports_the_remaining_lines() {
    let closed = Fault::Items {
        every: 1,
        status: 400,
        kind: "index_closed_exception",
    };
    let faults = [
        Fault::ResetBefore,
        Fault::Status(429, None, "es_rejected_execution_exception"),
        Fault::Status(401, None, "security_exception"),
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::Html,
        closed,
    ];
    for fault in faults {
        let (home, stage) = (Home::new(), Stage::new());
        home.configure_log(&stage.address());
        home.append(0..50);
        stage.cluster().always = Some(fault.clone());
        let ended = home.end_of(&["run", "--once", "--timeout", "1s"]);
        assert_eq!(ended.code, Some(69), "{fault:?}: {}", ended.words);
        assert!(ended.words.contains("--timeout"), "{}", ended.words);
        assert!(
            ended.words.contains("lines=50"),
            "{fault:?}: {}",
            ended.words
        );
        stage.cluster().always = None;
        home.once();
        stage.assert_exactly(0..50);
    }
    let (home, stage) = (Home::new(), Stage::of(Cluster::default()));
    home.configure_log(&stage.address());
    home.append(0..50);
    let ended = home.end_of(&["run", "--once", "--timeout", "1s"]);
    assert_eq!(ended.code, Some(69), "{}", ended.words);
    assert!(ended.words.contains("lines=50"), "{}", ended.words);
}

/// The warning is in the log, not only on a page.
#[test]
fn a_state_directory_of_another_output_causes_a_warning_in_the_log() {
    let (home, stage) = (Home::new(), Stage::new());
    let log = section_log(&home.log(), "combined");
    let cluster = section_cluster(&stage.address());
    home.configure("", &(log.clone() + &cluster));
    home.append(0..10);
    home.once();
    let stream = cluster + "data_stream = \"logs-nginx.access-default\"\n";
    home.configure("", &(log + &stream));
    let ended = home.end_of(&["run", "--once", "--no-template-check", "--timeout", "1s"]);
    let said = ended
        .words
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("belongs to the output"));
    assert_eq!(said.count(), 1, "{}", ended.words);
}

/// The start needs the state directory. Its problem is named, with the matching code of sysexits.
#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let home = Home::new();
    home.configure_log(&cluster_down());
    home.append(0..10);
    let start = |code: i32, word: &str| {
        let ended = home.end_of(&["run", "--once", "--timeout", "1s"]);
        assert_eq!(ended.code, Some(code), "{}", ended.words);
        assert!(ended.words.contains(word), "{word}: {}", ended.words);
        let path = home.data().display().to_string();
        assert!(ended.words.contains(&path), "{}", ended.words);
    };
    // a file in place of the folder
    fs::write(home.data(), "").unwrap();
    start(73, "cannot create");
    fs::remove_file(home.data()).unwrap();
    // folders in place of files
    fs::create_dir_all(home.data().join("run/checkpoint")).unwrap();
    start(74, "cannot read");
    fs::remove_dir(home.data().join("run/checkpoint")).unwrap();
    fs::create_dir(home.data().join("run/checkpoint.new")).unwrap();
    start(73, "cannot create");
}

/// Root may write everywhere, so another user runs it.
#[test]
fn a_state_directory_that_may_not_be_written_ends_with_77() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    home.configure_log(&cluster_down());
    home.append(0..10);
    fs::create_dir(home.data()).unwrap();
    let ended = home.end_as_nobody(&["run", "--once", "--timeout", "1s"]);
    assert_eq!(ended.code, Some(77), "{}", ended.words);
    assert!(ended.words.contains("Permission denied"), "{}", ended.words);
}

/// There are too few descriptors at the start: it ends with a message, not with a panic.
#[test]
fn a_start_without_descriptors_is_reported() {
    let home = Home::new();
    home.configure_log(&cluster_down());
    home.append(0..10);
    for limit in [4, 6, 8, 12, 16, 24, 32, 40] {
        let ended = home.end_in_shell(
            &format!("ulimit -n {limit}"),
            &["run", "--once", "--timeout", "1s"],
        );
        let code = ended.code.unwrap();
        assert!(
            code == 74 && ended.words.contains("raise the limit of open files")
                || code == 69
                || ended.words.contains("error while loading"),
            "{limit}: {code}: {}",
            ended.words
        );
        assert!(
            !ended.words.contains("panicked"),
            "{limit}: {}",
            ended.words
        );
        assert!(!ended.words.is_empty(), "{limit}");
    }
}

#[test]
fn a_second_agent_on_the_same_state_is_refused() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut first = home.run();
    first.until_so("its lines", || stage.count() == 10);
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(69), "{}", ended.words);
    let word = "another logweir runs on this data_dir";
    assert!(ended.words.contains(word), "{}", ended.words);
    // the first one is not affected
    home.append(10..20);
    first.until_so("more lines", || stage.count() == 20);
    first.stop();
    stage.assert_exactly(0..20);
}
