//! Finds out what the binary is built from: the commit, its date, and cargo's profile.
//!
//! Owns the asking of git and the choice of the files whose change makes the answer stale. Refuses to know where the answer is
//! shown: that is `src/build_info.rs`. Invariants: the build never fails for want of git, and a tree without a `.git` of its
//! own is not labelled with the commit of a repository around it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the commit where git cannot be asked, as in an image or an unpacked archive. It does not begin with `LOGWEIR_`, and
/// neither do the variables for the compiler: `cargo run` hands those on, and the agent would take them for settings.
const GIVEN: &str = "BUILD_COMMIT";

/// What goes into the binary. A change elsewhere does not make a build dirty.
const SOURCES: [&str; 8] = [
    "build.rs",
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "parsers/src",
    "store/src",
    "mappings",
    "kibana",
];

/// Characters of a commit's hash.
const HASH: usize = 12;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let given = std::env::var(GIVEN).ok();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let profile = std::env::var("PROFILE").unwrap_or_default();
    let commit = match commit(&root, given.as_deref()) {
        Ok(commit) => commit,
        Err(problem) => {
            println!("cargo::error={problem}");
            return;
        }
    };
    println!("cargo::rustc-env=BUILT_COMMIT={}", commit.name);
    println!("cargo::rustc-env=BUILT_DATE={}", commit.date);
    println!(
        "cargo::rustc-env=BUILT_PROFILE={}",
        name_of_profile(&out, &profile)
    );
    println!("cargo::rerun-if-env-changed={GIVEN}");
    for file in stale_after(&root) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}

/// A commit as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The first [`HASH`] digits of its hash, with `-dirty` where [`SOURCES`] differ from it; or `unknown`.
    pub(crate) name: String,
    /// The day on which it was committed, `2026-11-28`; empty if that is not known.
    pub(crate) date: String,
}

/// The commit of the tree at `root`. `given`, if it is not empty, takes precedence over what git says.
///
/// # Errors
///
/// `given` is not the name of a commit.
pub(crate) fn commit(root: &Path, given: Option<&str>) -> Result<Commit, String> {
    match given.map(str::trim).filter(|given| !given.is_empty()) {
        Some(given) => {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte);
            if given.len() > 64 || !given.bytes().all(is_word) {
                return Err(format!(
                    "{GIVEN}={given:?} is not the name of a commit: write its hash, as in {GIVEN}=$(git rev-parse HEAD)"
                ));
            }
            let is_hash = given.len() > HASH && given.bytes().all(|byte| byte.is_ascii_hexdigit());
            let name = if is_hash { &given[..HASH] } else { given };
            Ok(Commit {
                name: name.to_owned(),
                date: String::new(),
            })
        }
        None => Ok(of_git(root).unwrap_or_else(|| Commit {
            name: "unknown".to_owned(),
            date: String::new(),
        })),
    }
}

fn of_git(root: &Path) -> Option<Commit> {
    // Without this, git would find a repository in any directory above.
    root.join(".git").exists().then_some(())?;
    let hash = git(root, &["rev-parse", &format!("--short={HASH}"), "HEAD"])?;
    let date = git(root, &["show", "--no-patch", "--format=%cs", "HEAD"])?;
    let changes = git(
        root,
        &[&["status", "--porcelain", "--"], &SOURCES[..]].concat(),
    )?;
    let dirty = if changes.is_empty() { "" } else { "-dirty" };
    Some(Commit {
        name: format!("{hash}{dirty}"),
        date,
    })
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        // Set by a hook, they would name another index or tree.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        // `status` must not write the index while somebody uses git.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The files and directories whose change makes the answer stale: the sources, and what moves with HEAD. None of them is
/// absent, because cargo takes an absent one for changed, at every build.
pub(crate) fn stale_after(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = SOURCES.iter().map(|source| root.join(source)).collect();
    // In a worktree `.git` is a file, and HEAD and the branches are in two other places.
    let places = ["--git-dir", "--git-common-dir"].map(|place| git(root, &["rev-parse", place]));
    if root.join(".git").exists()
        && let [Some(own), Some(common)] = places
    {
        let (own, common) = (root.join(own), root.join(common));
        if let Some(branch) = git(root, &["symbolic-ref", "--quiet", "HEAD"]) {
            files.push(common.join(branch));
        }
        files.push(common.join("packed-refs"));
        files.push(own.join("HEAD"));
        // It changes with the first commit on a branch that only packed-refs names.
        files.push(own.join("logs/HEAD"));
    }
    files.retain(|file| file.exists());
    files
}

/// The name of cargo's profile. `PROFILE` knows only debug and release; a directory of the build has the name:
/// target/[TRIPLE/]NAME/build/logweir-…/out.
pub(crate) fn name_of_profile(out: &Path, profile: &str) -> String {
    let folder = out.ancestors().nth(2);
    let is_build = folder.is_some_and(|folder| folder.ends_with("build"));
    let name = folder.filter(|_| is_build).and_then(Path::parent);
    let name = name.and_then(Path::file_name);
    name.map_or(profile.to_owned(), |name| {
        name.to_string_lossy().into_owned()
    })
}
