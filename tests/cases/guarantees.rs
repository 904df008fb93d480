//! `docs/GUARANTEES.md` names tests: they must exist.

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

#[test]
fn the_tests_that_prove_the_promises_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    functions(&root.join("src"), &mut known);
    functions(&root.join("tests"), &mut known);
    functions(&root.join("parsers/src"), &mut known);
    let text = std::fs::read_to_string(root.join("docs/GUARANTEES.md")).unwrap();
    // A sentence has spaces, a setting or a metric has no three words.
    let is_test = |name: &&str| {
        name.matches('_').count() >= 2
            && !name.starts_with("logweir_")
            && name
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 80);
    let settings = ["held_open_bytes", "max_line_bytes"];
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|name| !known.contains(*name) && !settings.contains(name))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:?}");
}
