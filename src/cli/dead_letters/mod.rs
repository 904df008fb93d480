//! `logweir dead-letters`: lists and resends the documents that the cluster rejected.
//!
//! Owns the texts for people; the file and the sending belong to the output. It works beside a running agent. Invariant: no
//! control byte of an entry reaches a terminal.

mod list;
mod replay;

use std::io;
use std::path::Path;

use super::terminal::complain;
use super::{Common, DeadLettersCommand, Exit, Which, load};
use crate::config::Config;
use crate::output::dead_letters::{Choice, DeadLetters};

pub(super) fn run(common: &Common, command: &DeadLettersCommand) -> Exit {
    let loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    match command {
        DeadLettersCommand::List(args) => list::run(&loaded.config, args),
        DeadLettersCommand::Replay(args) => replay::run(&loaded.config, args),
    }
}

fn file(config: &Config) -> DeadLetters {
    DeadLetters::new(&config.data_dir, config.dead_letter_bytes.get())
}

fn choice(which: &Which) -> Choice {
    Choice::of(which.kind.map(|kind| kind.into()), which.reason.as_deref())
}

/// Reports why the file cannot be used.
fn refused(path: &Path, error: &io::Error) -> Exit {
    complain!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            complain!("run it as the user that `logweir run` runs as, or as root");
            Exit::Permission
        }
        _ => Exit::Io,
    }
}

/// A number of entries for people.
fn entries(number: u64) -> String {
    match number {
        1 => "1 entry".to_owned(),
        number => format!("{number} entries"),
    }
}
