//! The commit in `--version`: what the build script says of the trees that a build may find.

use std::path::Path;
use std::process::Command;

#[allow(dead_code, reason = "its `main` is cargo's")]
#[path = "../../build.rs"]
mod build_script;

use build_script::{Commit, commit, name_of_profile, stale_after};

use crate::support::agent::Home;

/// A source tree of one commit, of 2026-03-05.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for folder in ["src", "docs"] {
            std::fs::create_dir(tree.path(folder)).unwrap();
        }
        tree.write("src/lib.rs", "one");
        tree
    }

    fn of_git() -> Self {
        let tree = Self::new();
        tree.git(&["init", "--quiet", "--initial-branch", "main"]);
        tree.commit();
        tree
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.root(), arguments)
    }

    fn commit_of(&self) -> Commit {
        commit(self.root(), None).unwrap()
    }

    fn is_stale_after(&self, name: &str) -> bool {
        let path = self.path(name).canonicalize().unwrap();
        let files = stale_after(self.root());
        files
            .iter()
            .any(|file| file.canonicalize().unwrap() == path)
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-C"])
        .arg(folder)
        .args(arguments)
        .env("GIT_COMMITTER_DATE", "2026-03-05T12:00:00Z")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn unknown() -> Commit {
    Commit {
        name: "unknown".to_owned(),
        date: String::new(),
    }
}

#[test]
fn a_clean_tree_has_the_short_hash_and_the_date_of_its_commit() {
    let tree = Tree::of_git();
    let hash = tree.git(&["rev-parse", "HEAD"]);
    let expected = Commit {
        name: hash[..12].to_owned(),
        date: "2026-03-05".to_owned(),
    };
    assert_eq!(tree.commit_of(), expected);
    // not part of the binary
    tree.write("docs/x.md", "x");
    assert_eq!(tree.commit_of(), expected);
}

#[test]
fn changed_and_new_sources_make_it_dirty() {
    for (name, text) in [
        ("src/lib.rs", "two"),
        ("src/new.rs", "new"),
        ("Cargo.lock", "x"),
    ] {
        let tree = Tree::of_git();
        tree.write(name, text);
        let found = tree.commit_of();
        assert!(found.name.ends_with("-dirty"), "{name}: {found:?}");
        assert_eq!(found.name.len(), 12 + "-dirty".len());
        tree.commit();
        assert!(!tree.commit_of().name.ends_with("-dirty"), "{name}");
    }
}

#[test]
fn a_tree_without_git_is_unknown_even_inside_another_repository() {
    let tree = Tree::new();
    assert_eq!(tree.commit_of(), unknown());
    assert!(stale_after(tree.root()).contains(&tree.path("src")));
    let outer = Tree::of_git();
    let inner = outer.path("src");
    assert_eq!(commit(&inner, None), Ok(unknown()));
    // a repository without a commit
    let empty = Tree::new();
    empty.git(&["init", "--quiet"]);
    assert_eq!(empty.commit_of(), unknown());
}

#[test]
fn the_variable_names_the_commit_where_git_cannot() {
    for tree in [Tree::new(), Tree::of_git()] {
        let given = |text: &str| commit(tree.root(), Some(text));
        let named = |name: &str| {
            Ok(Commit {
                name: name.to_owned(),
                date: String::new(),
            })
        };
        let hash = "5cd1bc9a1b2c3d4e5f60718293a4b5c6d7e8f901";
        assert_eq!(given(hash), named("5cd1bc9a1b2c"));
        assert_eq!(given(" v1.2-rc.1+deb12 \n"), named("v1.2-rc.1+deb12"));
        assert_eq!(given("5cd1bc9"), named("5cd1bc9"));
        assert_eq!(given(""), Ok(tree.commit_of()));
        for wrong in ["two words", "\u{1b}[31m", "a\nb", &"a".repeat(65), "é"] {
            let error = given(wrong).unwrap_err();
            assert!(error.contains("git rev-parse HEAD"), "{error}");
        }
    }
}

#[test]
fn a_commit_makes_the_answer_stale_on_a_branch_in_a_worktree_and_with_packed_references() {
    let tree = Tree::of_git();
    for file in [".git/HEAD", ".git/refs/heads/main", ".git/logs/HEAD", "src"] {
        assert!(tree.is_stale_after(file), "{file}");
    }
    assert!(!tree.is_stale_after("docs"));
    tree.git(&["pack-refs", "--all"]);
    assert!(tree.is_stale_after(".git/packed-refs"));
    // an absent file would make each build a new one
    assert!(stale_after(tree.root()).iter().all(|file| file.exists()));

    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("other");
    let name = other.to_str().unwrap();
    tree.git(&["worktree", "add", "--quiet", "-b", "side", name]);
    let hash = git(&other, &["rev-parse", "HEAD"]);
    assert_eq!(commit(&other, None).unwrap().name, hash[..12]);
    let files = stale_after(&other);
    for file in [".git/worktrees/other/HEAD", ".git/refs/heads/side"] {
        let path = tree.path(file).canonicalize().unwrap();
        let is_there = files
            .iter()
            .any(|file| file.canonicalize().unwrap() == path);
        assert!(is_there, "{file}: {files:?}");
    }
}

#[test]
fn the_profile_is_the_name_of_its_directory() {
    for (out, name) in [
        ("/t/target/dist/build/logweir-0a/out", "dist"),
        (
            "/t/x86_64-unknown-linux-gnu/release/build/logweir-0a/out",
            "release",
        ),
        ("/elsewhere/out", "cargo's"),
        ("", "cargo's"),
    ] {
        assert_eq!(name_of_profile(Path::new(out), "cargo's"), name, "{out}");
    }
}

#[test]
fn the_binary_prints_version_commit_and_profile() {
    let home = Home::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = commit(root, std::env::var("BUILD_COMMIT").ok().as_deref()).unwrap();
    for arguments in [["--version"], ["-V"]] {
        let words = home.end_of(&arguments).words;
        let beginning = format!("logweir {} (", env!("CARGO_PKG_VERSION"));
        assert!(words.starts_with(&beginning), "{words}");
        assert!(
            words.ends_with(")\n") && words.lines().count() == 1,
            "{words}"
        );
        let name = expected.name.trim_end_matches("-dirty");
        assert!(words.contains(name), "{words}: {expected:?}");
    }
}

/// `cargo run` hands the variables of a build script on to the program, which refuses unknown settings.
#[test]
fn no_variable_of_the_build_looks_like_a_setting() {
    let script = include_str!("../../build.rs");
    assert!(script.contains("rustc-env="));
    assert!(!script.contains("rustc-env=LOGWEIR_"));
    assert!(!script.contains("\"LOGWEIR_"));
}
