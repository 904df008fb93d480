//! What this binary is built from: version, commit and profile.
//!
//! Owns the texts that name the build; `build.rs` finds out the parts. Refuses to know where they are shown. Invariant: each
//! place that names the build shows the same.

use std::sync::LazyLock;

/// The version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit, 12 digits, with `-dirty` where the sources differed from it; `unknown` where the build could not tell.
pub(crate) const COMMIT: &str = env!("BUILT_COMMIT");
/// Cargo's profile: `debug`, `release` or `dist`.
pub(crate) const PROFILE: &str = env!("BUILT_PROFILE");
/// The day of the commit, or empty.
const DATE: &str = env!("BUILT_DATE");

/// What `--version` prints after the name: `0.1.0 (5cd1bc9a1b2c 2026-11-28, dist)`.
pub(crate) static LONG: LazyLock<String> = LazyLock::new(|| long(COMMIT, DATE, PROFILE));

fn long(commit: &str, date: &str, profile: &str) -> String {
    let commit = match (commit, date) {
        ("unknown", _) => "commit unknown".to_owned(),
        (commit, "") => commit.to_owned(),
        (commit, date) => format!("{commit} {date}"),
    };
    format!("{VERSION} ({commit}, {profile})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_version_says_what_is_known() {
        let all = long("5cd1bc9a1b2c-dirty", "2026-11-28", "dist");
        assert_eq!(
            all,
            format!("{VERSION} (5cd1bc9a1b2c-dirty 2026-11-28, dist)")
        );
        let given = long("5cd1bc9a1b2c", "", "release");
        assert_eq!(given, format!("{VERSION} (5cd1bc9a1b2c, release)"));
        let unknown = long("unknown", "", "debug");
        assert_eq!(unknown, format!("{VERSION} (commit unknown, debug)"));
    }
}
