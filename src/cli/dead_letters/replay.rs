//! `logweir dead-letters replay`: sends entries again, and reports the result.

use std::io;

use super::super::terminal::{complain, safe, say};
use super::super::{Exit, ReplayArgs, block_on};
use super::{choice, entries, file, refused};
use crate::agent;
use crate::config::Config;
use crate::output::dead_letters::{Choice, DeadLetters, is_no_entry};
use crate::output::elasticsearch::{Elasticsearch, Replayed};

pub(super) fn run(config: &Config, args: &ReplayArgs) -> Exit {
    let Some(cluster) = &config.elasticsearch else {
        complain!(
            "there is no cluster to send to: add a section [elasticsearch] with nodes = [\"https://HOST:9200\"]"
        );
        return Exit::Config;
    };
    let output = match Elasticsearch::connect(
        agent::output_settings(config, cluster),
        cluster.target.clone(),
    ) {
        Ok(output) => output,
        Err(error) => {
            complain!("{error}");
            return Exit::Config;
        }
    };
    let (file, choice) = (file(config), choice(&args.which));
    let chosen = match count(&file, &choice) {
        Ok(chosen) => chosen,
        Err(error) => return refused(&file.path(), &error),
    };
    if chosen == 0 {
        say!(
            "nothing to replay in {}",
            safe(&file.path().display().to_string())
        );
        return Exit::Ok;
    }
    if args.dry_run {
        say!("{} would be sent; nothing was sent", entries(chosen));
        return Exit::Ok;
    }
    let _lock = match file.lock_replay() {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            complain!("another replay uses {}", file.path().display());
            return Exit::Unavailable;
        }
        Err(error) => return refused(&file.path(), &error),
    };
    block_on(async {
        match output.replay(&choice, args.timeout).await {
            Ok(done) => report(&done),
            Err(error) => {
                complain!("nothing is lost: each entry is in the file, in the cluster, or in both");
                refused(&file.path(), &error)
            }
        }
    })
}

fn count(file: &DeadLetters, choice: &Choice) -> io::Result<u64> {
    let mut chosen = 0;
    for entry in file.entries()? {
        match entry {
            Ok(entry) => chosen += u64::from(choice.takes(&entry)),
            Err(error) if is_no_entry(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(chosen)
}

fn report(done: &Replayed) -> Exit {
    let taken = &done.taken;
    say!("{} of {} taken", taken.total(), entries(done.chosen));
    for (count, what) in [
        (taken.indexed, "indexed"),
        (taken.duplicate, "present already"),
        (taken.diverted, "taken by the failure store"),
        (taken.filtered, "dropped by an ingest pipeline"),
    ] {
        if count > 0 {
            say!("{count:8}  {what}");
        }
    }
    if done.refused() > 0 {
        say!("{} refused again; they stay", entries(done.refused()));
        for (reason, count) in &done.refused {
            say!("{count:8}  {}", safe(reason));
        }
        if done.unsendable > 0 {
            say!(
                "{:8}  cannot be sent: not what logweir wrote",
                done.unsendable
            );
        }
    }
    if done.left() > 0 {
        say!("{} not taken for now; they stay", entries(done.left()));
        for ((reason, hint), count) in &done.waiting {
            say!("{count:8}  {}; {}", safe(reason), safe(hint));
        }
        if done.late > 0 {
            let why = done.busy.as_deref().unwrap_or("no response");
            say!("{:8}  not in time (--timeout): {}", done.late, safe(why));
        }
    }
    if done.left() > 0 {
        Exit::Unavailable
    } else if done.refused() > 0 {
        Exit::Data
    } else {
        Exit::Ok
    }
}
