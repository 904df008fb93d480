//! `docs/GUARANTEES.md` and `docs/SECURITY.md` name tests and attacks: they must exist.

use std::collections::BTreeSet;
use std::path::Path;

fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| {
                let end = rest.find('(')?;
                Some(rest[..end].to_owned())
            });
            found.extend(names);
        }
    }
}

/// The names of tests that a document has in backticks.
fn tests_named_in(text: &str) -> Vec<&str> {
    // A sentence has spaces, a setting or a metric has no three words.
    let is_test = |name: &&str| {
        name.matches('_').count() >= 2
            && !name.starts_with("logweir_")
            && name
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split('`').skip(1).step_by(2).filter(is_test).collect()
}

#[test]
fn the_tests_that_the_guarantees_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    for folder in ["src", "tests", "parsers/src", "store/src", "soak/src"] {
        functions(&root.join(folder), &mut known);
    }
    for (document, at_least) in [("GUARANTEES", 80), ("SECURITY", 40)] {
        let text = std::fs::read_to_string(root.join(format!("docs/{document}.md"))).unwrap();
        let named = tests_named_in(&text);
        assert!(named.len() > at_least, "{document}");
        let settings = ["held_open_bytes", "max_line_bytes"];
        let missing: Vec<&str> = named
            .into_iter()
            .filter(|name| !known.contains(*name) && !settings.contains(name))
            .collect();
        assert!(missing.is_empty(), "{document}: no such test: {missing:?}");
    }
}

#[test]
fn each_attack_is_documented_and_each_documented_attack_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join("xtask/src/hostile/attacks.rs")).unwrap();
    let attacks: BTreeSet<&str> = source
        .lines()
        .filter(|line| line.contains("\" => "))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    let text = std::fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let named: BTreeSet<&str> = text.split('"').skip(1).step_by(2).collect();
    assert!(attacks.len() > 10);
    assert_eq!(attacks, named);
}
