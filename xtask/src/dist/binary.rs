//! The binary of the packages: built for old distributions, checked, and split from its debug symbols.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::{VERSION, done, output, tools};
use testkit::place;
use testkit::tools::{Tool, provide};

/// How the binary is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As it is published: profile `dist`, for glibc 2.28.
    Portable,
    /// Profile `dev` with the linker of this machine: quick, for a test of the packages on the same distribution.
    Quick,
}

/// The oldest glibc on which the published binary runs: RHEL 8, Debian 10, Ubuntu 20.04.
const GLIBC: (u32, u32) = (2, 28);

/// Builds the agent, and checks the result.
pub(super) fn build(how: Build) -> Result<PathBuf> {
    if how == Build::Quick {
        return place::build_agent("dev");
    }
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let programs = tools::zigbuild()?;
    let mut path = OsString::from(&programs);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut cargo = place::cargo();
    cargo.args(["zigbuild", "--locked", "--profile", place::SHIPPED]);
    cargo.args(["--bin", "logweir", "--target"]);
    done(
        cargo
            .arg(format!("{triple}.{}.{}", GLIBC.0, GLIBC.1))
            .env("PATH", path),
    )?;
    let binary = place::target()
        .join(triple)
        .join(place::SHIPPED)
        .join("logweir");
    provide(&[Tool::Binutils])?;
    let symbols = output(Command::new("objdump").arg("-T").arg(&binary))?;
    let newest = newest_glibc(&symbols);
    ensure!(
        newest.is_some_and(|newest| newest <= GLIBC),
        "{} needs glibc {newest:?}, and {GLIBC:?} is promised",
        binary.display()
    );
    Ok(binary)
}

/// The newest version of glibc that a symbol table of `objdump -T` names: `(GLIBC_2.28)`.
fn newest_glibc(symbols: &str) -> Option<(u32, u32)> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.');
        let mut numbers = rest[..end.unwrap_or(rest.len())].split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    versions.max()
}

/// Writes the binary without symbols to `stripped`, and its symbols into `folder`; returns their path. The binary names the
/// file of its symbols, which a debugger looks for beside it and in /usr/lib/debug.
pub(super) fn split(binary: &Path, stripped: &Path, folder: &Path) -> Result<PathBuf> {
    let symbols = folder.join(format!("logweir-{VERSION}-{}.debug", env::consts::ARCH));
    let objcopy = || Command::new("objcopy");
    done(
        objcopy()
            .args(["--only-keep-debug", "--compress-debug-sections"])
            .arg(binary)
            .arg(&symbols),
    )?;
    let mut link = OsString::from("--add-gnu-debuglink=");
    link.push(&symbols);
    done(
        objcopy()
            .arg("--strip-all")
            .arg(link)
            .arg(binary)
            .arg(stripped),
    )?;
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_glibc_is_found_by_its_number() {
        let symbols = "\
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.9)  pipe2
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.28) statx
0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.2.5) read
0000000000000000  w   D  *UND*	0000000000000000              __gmon_start__
";
        assert_eq!(newest_glibc(symbols), Some((2, 28)));
        assert_eq!(newest_glibc(&symbols.replace("28", "33")), Some((2, 33)));
        assert_eq!(newest_glibc("no symbols\n"), None);
    }
}
