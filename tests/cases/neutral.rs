//! Modules that serve every output name no output, and dependencies have one direction.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules whose subject is Elasticsearch.
const ABOUT_IT: [&str; 3] = ["output/elasticsearch", "setup", "config"];

/// Other files that name it, each with the reason.
const ALLOWED: [(&str, &str); 8] = [
    ("http", "makes the client of the configured cluster"),
    ("agent/mod.rs", "chooses the output of a run"),
    ("agent/settings.rs", "gives each output its settings"),
    (
        "output/dead_letters.rs",
        "keeps the field names of files on disk",
    ),
    (
        "cli/dead_letters",
        "sends dead letters to a cluster by hand",
    ),
    ("cli/setup", "sets a cluster up"),
    (
        "cli/check",
        "checks a cluster, and shows the index of a line",
    ),
    ("cli/mod.rs", "lists the privileges that setup needs"),
];

/// The texts that count as naming it: types, and the JSON of its API.
const NAMES: [&str; 6] = [
    "Elasticsearch",
    "elasticsearch::",
    "ActionLines",
    "\"_index\"",
    "\"_id\"",
    "_bulk",
];

/// Files of `src` below `folder`, without tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_test = name.contains("test")
                || ["contract", "model", "sim"]
                    .iter()
                    .any(|part| name.starts_with(part));
            if is_test || name == "snapshots" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                let name = path.strip_prefix(&src).unwrap().display().to_string();
                found.push((name, code));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn code_for_every_output_names_no_type_and_no_json_of_elasticsearch() {
    let mut unused: Vec<&str> = ALLOWED.iter().map(|(file, _)| *file).collect();
    for (file, text) in sources("") {
        if ABOUT_IT.iter().any(|folder| file.starts_with(folder)) {
            continue;
        }
        for (number, line) in code(&text) {
            if !NAMES.iter().any(|name| line.contains(name)) {
                continue;
            }
            let allowed = ALLOWED
                .iter()
                .find(|(allowed, _)| file.starts_with(allowed));
            let Some((allowed, _)) = allowed else {
                panic!("src/{file}:{number} names Elasticsearch: {line}");
            };
            unused.retain(|file| file != allowed);
        }
    }
    assert!(unused.is_empty(), "no longer needed: {unused:?}");
}

#[test]
fn modules_know_only_those_below_them() {
    let forbidden = [
        ("event", &["crate::"][..]),
        (
            "http",
            &[
                "crate::output",
                "crate::setup",
                "crate::agent",
                "crate::cli",
                "crate::event",
                "crate::pipeline",
                "crate::record",
                "crate::tail",
            ],
        ),
        (
            "output",
            &[
                "crate::setup",
                "crate::tail",
                "crate::record",
                "crate::pipeline",
                "crate::agent",
                "crate::web",
            ],
        ),
        (
            "record",
            &["crate::output", "crate::pipeline", "crate::tail"],
        ),
        (
            "tail",
            &["crate::output", "crate::pipeline", "crate::record"],
        ),
        (
            "pipeline",
            &["crate::agent", "crate::web", "crate::cli", "elasticsearch"],
        ),
        (
            "search",
            &[
                "crate::agent",
                "crate::cli",
                "crate::output",
                "crate::pipeline",
                "crate::record",
                "crate::tail",
                "crate::web",
            ],
        ),
        ("web", &["crate::agent", "crate::cli", "crate::pipeline"]),
        (
            "setup",
            &[
                "crate::output",
                "crate::agent",
                "crate::cli",
                "crate::pipeline",
                "crate::tail",
            ],
        ),
    ];
    for (folder, names) in forbidden {
        for (file, text) in sources(folder) {
            for (number, line) in code(&text) {
                let found = names.iter().find(|name| line.contains(**name));
                assert!(
                    found.is_none(),
                    "src/{file}:{number} names {found:?}: {line}"
                );
            }
        }
    }
}
