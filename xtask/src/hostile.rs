//! `cargo xtask hostile`: the real agent under tight limits, attacked from every side that strangers can reach.
//!
//! Each attack runs against the program under `ulimit -n 1024 -v 1000000` while lines are written. It is held off when
//! each line arrives once while the attack goes on, and memory stays inside its bound. Everything is on loopback, and
//! each attack ends by itself. docs/SECURITY.md names the attack for each threat.

mod attacks;
mod cluster;
mod crowd;
mod stage;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::attacks::ATTACKS;
use testkit::place::{self, Folder};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the attacks whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// Cargo's profile for the agent (dist, release, dev)
    #[arg(long, default_value = place::SHIPPED)]
    profile: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    raise_descriptor_limit()?;
    let folder = Folder::empty("hostile")?;
    let program = place::build_agent(&arguments.profile)?;
    let only = arguments.only.as_deref().unwrap_or_default();
    let mut failed = 0;
    for attack in ATTACKS.iter().filter(|attack| attack.name.contains(only)) {
        let own = folder.join(attack.name.replace(' ', "-"));
        match one(attack, &program, &own) {
            Ok(figures) => println!("held     {:<42} {figures}", attack.name),
            Err(error) => {
                failed += 1;
                println!("FAILED   {:<42} {error:#}", attack.name);
            }
        }
    }
    println!("{failed} attacks succeeded");
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn one(attack: &attacks::Attack, program: &Path, folder: &Path) -> Result<String> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    (attack.run)(program, folder)
}

/// The attacker needs more descriptors than the agent may have.
fn raise_descriptor_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .context("cannot raise the limit of open files")
}
