//! Which users can read the agent's secrets and its state.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::agent::{Ended, Home, section_cluster, section_log};
use testkit::stage::Stage;

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Everything below a folder with its mode.
fn modes(folder: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        found.insert(folder.display().to_string(), mode(&folder));
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.display().to_string(), mode(&path))),
            }
        }
    }
    found
}

/// Others may read no file and enter no folder.
#[track_caller]
fn assert_narrow(folder: &Path) {
    for (path, mode) in modes(folder) {
        let most = if Path::new(&path).is_dir() {
            0o750
        } else {
            0o640
        };
        assert_eq!(mode & !most, 0, "{path} has {mode:o}");
    }
}

/// A home whose agent has each kind of state: positions, formats, assignments, dead letters.
fn with_state(umask: &str) -> (Home, Stage) {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure(
        "",
        &(section_log(&home.log(), "auto") + &section_cluster(&stage.address())),
    );
    home.append(0..10);
    stage
        .cluster()
        .script
        .push_back(testkit::fake_cluster::Fault::Items {
            every: 10,
            status: 400,
            kind: "document_parsing_exception",
        });
    let ended = home.end_in_shell(&format!("umask {umask}"), &["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    (home, stage)
}

#[test]
fn state_is_made_for_the_agent_and_its_group_alone() {
    let (home, _stage) = with_state("0");
    let names: Vec<String> = modes(&home.data()).into_keys().collect();
    for name in [
        "identity",
        "formats.json",
        "run/checkpoint",
        "run/lock",
        "dead-letters/",
    ] {
        assert!(
            names.iter().any(|path| path.contains(name)),
            "{name}: {names:?}"
        );
    }
    assert_narrow(&home.data());
    assert_eq!(mode(&home.data()), 0o750);
}

#[test]
fn state_that_others_can_read_is_narrowed_at_the_next_start() {
    let (home, _stage) = with_state("077");
    for (path, _) in modes(&home.data()) {
        let path = Path::new(&path);
        set(path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    // the agent must also find files that it does not write again
    home.once();
    assert_narrow(&home.data());
}

#[test]
fn a_shared_folder_stays_open_and_causes_a_warning() {
    let (home, _stage) = with_state("077");
    fs::write(home.data().join("notes.txt"), "").unwrap();
    set(&home.data(), 0o755);
    let warning = format!("{} is open to other users", home.data().display());
    for arguments in [&["check"][..], &["run", "--once"]] {
        let ended = home.end_of(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        assert!(
            ended.words.contains(&warning),
            "{arguments:?}: {}",
            ended.words
        );
    }
    assert_eq!(mode(&home.data()), 0o755);
}

/// The warning about a secret is in the output of `check` and in the log of `run`, with the file and without the secret.
#[test]
fn a_secret_that_everybody_can_read_causes_a_warning() {
    let (home, stage) = (Home::new(), Stage::new());
    home.append(0..10);
    set(&home.path(""), 0o755);
    let said = |ended: &Ended| {
        assert!(!ended.words.contains("aHVudGVyMg"), "{}", ended.words);
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        ended
            .words
            .matches("every user of this host can read")
            .count()
    };
    let key = home.path("key");
    fs::write(&key, "aHVudGVyMg==").unwrap();
    for (credentials, open) in [
        ("api_key = \"aHVudGVyMg==\"\n".to_owned(), home.config()),
        (format!("api_key_file = '{}'\n", key.display()), key.clone()),
    ] {
        let cluster = section_cluster(&stage.address()) + &credentials;
        home.configure("", &(section_log(&home.log(), "combined") + &cluster));
        for (wide, expected) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
            set(&home.config(), 0o600);
            set(&key, 0o600);
            set(&open, wide);
            for arguments in [&["check"][..], &["run", "--once"]] {
                let ended = home.end_of(arguments);
                assert_eq!(
                    said(&ended),
                    expected,
                    "{wide:o} {arguments:?}: {}",
                    ended.words
                );
            }
        }
    }
}
