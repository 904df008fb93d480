//! `cargo xtask packages`: the packages in a clean Debian with systemd, beside a real nginx.
//!
//! The Debian is made in a folder by mmdebstrap, from the archives that this machine uses, and booted by systemd-nspawn in a
//! network of its own. There the .deb is installed, upgraded, removed and purged while nginx serves requests, and the
//! service is tried under its hardening: other users' logs, reload, credentials, watchdog. The .rpm is installed, upgraded
//! and removed by `rpm --root` in the same folder, with its scripts. Needs root.

mod deb;
mod debian;
mod rpm;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use rustix::process::geteuid;

use self::debian::Debian;
use crate::dist::{self, Build};
use testkit::place::Folder;
use testkit::tools::{self, Tool};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Package a debug build of this machine's toolchain instead of the published one: quick, and not for other machines
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    ensure!(
        geteuid().is_root(),
        "only root can make and boot a Debian: run this as root"
    );
    tools::provide(&[Tool::Mmdebstrap, Tool::Nspawn, Tool::Rpm])?;
    let folder = Folder::empty("packages")?;
    let how = match arguments.quick {
        true => Build::Quick,
        false => Build::Portable,
    };
    let made = folder.join("made");
    std::fs::create_dir(&made)?;
    let (first, second) = (dist::pack(how, 1, &made)?, dist::pack(how, 2, &made)?);
    let debian = Debian::make(&folder.join("debian"))?;
    for package in [&first, &second] {
        debian.take(&package.deb)?;
    }
    debian.take(&first.archive)?;
    deb::without_systemd(&debian)?;
    deb::with_systemd(&debian, &folder)?;
    rpm::by_rpm(&debian, &first, &second)?;
    std::fs::remove_dir_all(debian.root())?;
    println!("all steps passed");
    Ok(ExitCode::SUCCESS)
}

/// Names a step before it is taken.
fn step(what: &str) {
    println!("-- {what}");
}
