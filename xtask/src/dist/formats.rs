//! The three forms of the package, made of the files in target/staging. Cargo.toml lists what a .deb and a .rpm contain.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Build, VERSION, done, output, tools};
use testkit::place;

/// The files of the archive: what it is, and its place in the archive.
const ARCHIVED: [(&str, &str); 10] = [
    ("target/staging/logweir", "logweir"),
    ("target/staging/logweir.1", "logweir.1"),
    ("target/staging/completions", "completions"),
    ("docs", "docs"),
    ("packaging/systemd/logweir.service", "logweir.service"),
    ("packaging/systemd/examples", "examples"),
    ("packaging/host/grant-log-access", "grant-log-access"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE", "LICENSE"),
];

/// Where the generated files of the packages are put; Cargo.toml names it, so it does not follow CARGO_TARGET_DIR.
pub(super) fn staging() -> PathBuf {
    place::root().join("target/staging")
}

/// Makes the man page, the completions and Debian's change log.
pub(super) fn generate(staging: &Path) -> Result<()> {
    let logweir = staging.join("logweir");
    let says = |arguments: &[&str]| output(Command::new(&logweir).args(arguments));
    fs::write(staging.join("logweir.1"), says(&["man"])?)?;
    for (shell, name) in [
        ("bash", "logweir.bash"),
        ("zsh", "_logweir"),
        ("fish", "logweir.fish"),
    ] {
        let path = staging.join("completions").join(name);
        fs::write(path, says(&["completions", shell])?)?;
    }
    let date = output(
        Command::new("git")
            .args(["log", "-1", "--format=%cd", "--date=rfc"])
            .current_dir(place::root()),
    )?;
    let entry = format!(
        "logweir ({VERSION}-1) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n \
         -- The logweir authors <logweir@example.org>  {date}"
    );
    fs::write(staging.join("changelog.Debian"), entry)?;
    Ok(())
}

/// The .deb.
pub(super) fn deb(how: Build, revision: u32, folder: &Path) -> Result<PathBuf> {
    let arch = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let path = folder.join(format!("logweir_{VERSION}-{revision}_{arch}.deb"));
    let mut cargo = packer(&tools::cargo_deb()?);
    cargo.args([
        "--no-build",
        "--no-strip",
        "--deb-revision",
        &revision.to_string(),
    ]);
    if how == Build::Quick {
        cargo.arg("--fast");
    }
    done(cargo.arg("--output").arg(&path))?;
    Ok(path)
}

/// The .rpm.
pub(super) fn rpm(revision: u32, folder: &Path) -> Result<PathBuf> {
    let name = format!("logweir-{VERSION}-{revision}.{}.rpm", env::consts::ARCH);
    let path = folder.join(name);
    let mut cargo = packer(&tools::cargo_generate_rpm()?);
    cargo.args(["--set-metadata", &format!("release = \"{revision}\"")]);
    // zstd is unknown to the rpm of RHEL 8
    done(
        cargo
            .args(["--payload-compress", "gzip", "--output"])
            .arg(&path),
    )?;
    Ok(path)
}

/// The .tar.gz.
pub(super) fn archive(folder: &Path) -> Result<PathBuf> {
    let top = format!("logweir-{VERSION}");
    let tree = staging().join(&top);
    fs::create_dir(&tree)?;
    for (source, name) in ARCHIVED {
        symlink(place::root().join(source), tree.join(name))?;
    }
    let path = folder.join(format!("{top}-{}-linux.tar.gz", env::consts::ARCH));
    done(
        Command::new("tar")
            .args(["--create", "--gzip", "--dereference", "--sort=name"])
            .args(["--owner=0", "--group=0", "--numeric-owner"])
            .arg("--file")
            .arg(&path)
            .arg("--directory")
            .arg(staging())
            .arg(&top),
    )?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    Ok(path)
}

/// A subcommand of cargo that is not in the PATH.
fn packer(program: &Path) -> Command {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let subcommand = name.trim_start_matches("cargo-").to_owned();
    let mut command = Command::new(program);
    command.arg(subcommand).current_dir(place::root());
    command
}
