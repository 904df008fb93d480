//! `cargo xtask soak`: the agent between real logs and a real Elasticsearch, or with its embedded store. Faults hit
//! everything around it, and at the end every line is accounted for.
//!
//! A seed decides which fault happens when (`schedule`) and which request it hits (`fault`), so that a run can be
//! repeated; how the processes interleave is up to the machine. The truth about the written lines is a second log of
//! nginx that nobody rotates, and what the soak's own writers know that they wrote.

#![allow(
    clippy::disallowed_methods,
    reason = "real processes run in real time; there is no clock to move"
)]

mod agent;
mod clock;
mod cluster;
mod disk;
mod fault;
mod history;
mod line;
mod logs;
mod names;
mod oracle;
mod output;
mod positions;
mod proxy;
mod random;
mod reader;
mod report;
mod rotation;
mod schedule;
mod stage;
mod stored;
mod traffic;
mod wire;
mod writer;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use agent::Agent;
use clock::Clock;
use disk::Disk;
use oracle::{Truth, Verdict};
use output::Output;
pub use output::OutputKind;
use random::Dice;
use reader::Reader;
use report::{Run, Tally};
use rotation::Rotations;
use stage::Stage;
use testkit::place::{self, Folder};
use testkit::ports::free_port;
use testkit::server::{Kind, Server};
use testkit::tools::{self, Tool};
use traffic::Traffic;
use writer::Shared;

/// Addresses of the cluster.
const NODES: usize = 3;
/// More memory than this means that some buffer is not bounded.
const MEMORY_BOUND: u64 = 128 * 1024 * 1024;
/// The same with the store, which holds documents until they are on disk, and merges segments.
const STORE_MEMORY_BOUND: u64 = 200_000_000;
/// What a line takes on the store's disk at most, with the copies that merges make, in bytes.
const LINE_ON_DISK: u64 = 2048;
/// Every delayed line arrives within this.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1200);
/// A run of this length includes rotations to names of any kind.
const ENOUGH_TO_NAME: Duration = Duration::from_secs(60);
/// The last run, which finds nothing new, ends within this.
const ONCE_WITHIN: Duration = Duration::from_secs(300);

/// The options of a soak.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Decides what goes wrong when; a failure names it
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How long things go wrong
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The same in seconds
    #[arg(long, conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// Lines a second that the own writers write, all together; nginx adds some hundred
    #[arg(long, default_value_t = 1500)]
    rate: u64,
    /// Where the documents go; with the store no cluster runs, and faults of networks are left out
    #[arg(long, value_enum, default_value = "elasticsearch")]
    output: OutputKind,
    /// Of a hundred bulk requests so many are hit
    #[arg(long, default_value_t = 25)]
    percent: u64,
    /// Cargo's profile for the agent (release, dist, dev)
    #[arg(long, default_value = place::QUICK)]
    profile: String,
    /// Instead: 200 rotated files, half of them compressed, read live and again from copies elsewhere
    #[arg(long, conflicts_with = "output")]
    history: bool,
}

/// Runs a soak: prints its report, and succeeds when every line arrived exactly once.
///
/// # Errors
///
/// When a process, the network or the disk fails the soak itself.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let has_cluster = arguments.output == OutputKind::Elasticsearch;
    tools::provide(&[Tool::Nginx, Tool::Logrotate])?;
    if has_cluster {
        tools::provide(&[Tool::Jdk, Tool::Maven])?;
    }
    let name = match (arguments.history, arguments.output) {
        (true, _) => "soak-history",
        (false, OutputKind::Elasticsearch) => "soak",
        (false, OutputKind::Store) => "soak-store",
    };
    disk::unmount_old(&place::target().join("xtask").join(name).join("data"));
    let folder = Folder::empty(name)?;
    let server = match has_cluster {
        true => {
            println!("starting Elasticsearch (the first time it is downloaded) …");
            Some(Server::start(Kind::Elasticsearch, &folder)?)
        }
        false => None,
    };
    println!("building the agent …");
    // A copy, so that another build cannot change it.
    let program = folder.join("logweir");
    fs::copy(place::build_agent(&arguments.profile)?, &program)?;
    let tally = Arc::new(Tally::default());
    let data = folder.join("data");
    let output = Output::of(server, &data, arguments.seed, &tally)?;
    let mut left_out = Vec::new();
    let clock = match arguments.history {
        true => None,
        false => a_clock(&folder, &mut left_out)?,
    };
    let agent = Agent::new(
        program,
        &folder,
        output.nodes(),
        free_port(),
        Dice::new(arguments.seed, "settings"),
        clock,
    );
    let went = match arguments.history {
        true => history::run(arguments, &folder, agent, output.network()?),
        false => soak(arguments, &folder, agent, output, &tally, left_out),
    };
    let good = went.with_context(|| failure(arguments, &folder))?;
    if !good {
        println!("\nFAILED: {}", failure(arguments, &folder));
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A movable clock for the agent, where the machine has libfaketime or allows its installation.
fn a_clock(folder: &Path, left_out: &mut Vec<String>) -> Result<Option<Clock>> {
    if let Err(error) = tools::provide(&[Tool::Faketime]) {
        left_out.push(format!("a wall clock that jumps ({error})"));
    }
    Clock::new(folder)
}

fn failure(arguments: &Arguments, folder: &Path) -> String {
    format!(
        "seed {}; logs, the agent's words and its state are kept in {}",
        arguments.seed,
        folder.display()
    )
}

fn soak(
    arguments: &Arguments,
    folder: &Path,
    mut agent: Agent,
    output: Output,
    tally: &Arc<Tally>,
    mut left_out: Vec<String>,
) -> Result<bool> {
    let length = Duration::from_secs(arguments.seconds.unwrap_or(arguments.minutes * 60));
    let logs = logs::all(folder);
    let rotations = Rotations::new(folder, &logs)?;
    fs::create_dir_all(folder.join("flags"))?;
    let size = match &output {
        Output::Cluster(_) => disk::STATE_SIZE,
        Output::Store(_) => {
            disk::STATE_SIZE + arguments.rate * length.as_secs() * LINE_ON_DISK / (1 << 20)
        }
    };
    let disk = match Disk::mount(agent.data(), size, folder.join("disk.log"))? {
        Ok(disk) => Some(disk),
        Err(why) => {
            left_out.push(format!("a full disk ({why})"));
            None
        }
    };
    let mut events = schedule::draw(arguments.seed, length, logs.len(), arguments.output);
    events.retain(|(_, event)| match event {
        schedule::Event::DiskFull { .. } => disk.is_some(),
        schedule::Event::Clock { .. } => agent.clock.is_some(),
        _ => true,
    });
    write_schedule(arguments, folder, &events)?;

    // The agent's configuration names nginx's.
    let traffic = Traffic::start(folder, arguments.seed)?;
    let reader = match &output {
        Output::Cluster(network) => {
            agent.set_up(&network.url)?;
            network.proxy.hit(arguments.percent);
            None
        }
        Output::Store(stored) => {
            if !reader::admit(agent.data())? {
                left_out.push("a reader of another user (only root can be one)".to_owned());
            }
            let program = folder.join("logweir");
            Some(Reader::start(&program, folder, stored.path()))
        }
    };
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        days: AtomicU64::new(1),
        tomorrow: arguments.output == OutputKind::Store,
        lines: AtomicU64::new(0),
    });
    let own = logs.iter().filter(|log| log.writer != logs::Writer::Nginx);
    let rate = arguments.rate / own.clone().count().max(1) as u64;
    let mut writers = Vec::new();
    for log in own {
        if let Some(writing) = writer::start(log, folder, arguments.seed, rate, &shared)? {
            writers.push((log.letter, writing));
        }
    }
    let mut stage = Stage::new(
        agent,
        output,
        traffic,
        disk,
        Arc::clone(tally),
        Arc::clone(&shared),
        rotations,
    );
    let played = stage.play(&events, length);
    // In any case the writers stop first.
    shared.stop.store(true, Ordering::Relaxed);
    let mut truth = Truth::new();
    for (letter, writing) in writers {
        let hashes = writing.join().map_err(|_| anyhow!("a writer broke off"))?;
        truth.insert(letter, hashes?);
    }
    stage.traffic.quiet()?;
    played?;
    println!(
        "{} s are over; faults off, {} lines written by own writers",
        length.as_secs(),
        shared.lines.load(Ordering::Relaxed)
    );
    let caught_up = stage.catch_up(CATCH_UP_WITHIN)?;
    let Stage {
        mut agent,
        output,
        mut wrong,
        rotations: Rotations { counts, .. },
        identity_checks,
        parked,
        unparked,
        commits,
        merges,
        disk: _disk,
        traffic: _traffic,
        ..
    } = stage;
    agent.kill()?;
    agent.run_once(ONCE_WITHIN)?;
    for letter in ['a', 'b'] {
        let path = folder.join(format!("truth/{letter}.log"));
        truth.insert(letter, oracle::read_truth(&path, letter)?);
    }
    let verdict = oracle::judge(&truth, &logs, output.index(), agent.data())?;
    let mut of_the_store = Vec::new();
    if let Some(reader) = reader {
        let readings = reader.stop()?;
        of_the_store = vec![
            ("commits of the store, seen", commits.total().to_string()),
            ("merges of the store, seen", merges.total().to_string()),
            (
                "runs of the reader, before the store",
                format!("{}, {}", readings.runs, readings.before_the_store),
            ),
        ];
        if readings.requests != verdict.documents {
            wrong.push(format!(
                "the reader was told of {} requests in the end; the store has {} documents",
                readings.requests, verdict.documents
            ));
        }
        wrong.extend(readings.wrong);
    }
    let bound = match &output {
        Output::Cluster(_) => MEMORY_BOUND,
        Output::Store(_) => STORE_MEMORY_BOUND,
    };
    for fault in tally.without_effect() {
        wrong.push(format!(
            "the fault {fault:?} was injected often and never hit"
        ));
    }
    let run = Run {
        seed: arguments.seed,
        seconds: length.as_secs(),
        profile: arguments.profile.clone(),
        starts: agent.starts,
        rotations: counts,
        peak_bytes: agent.peak,
        bound_bytes: bound,
        identity_checks,
        parked: parked.total(),
        unparked: unparked.total(),
        caught_up_seconds: caught_up.as_secs(),
        of_the_store,
        left_out,
    };
    let table = report::table(&run, &verdict, tally);
    fs::write(folder.join("report.md"), &table)?;
    println!("\n{table}");
    if agent.peak > bound {
        wrong.push("the agent took more memory than it may".to_owned());
    }
    if counts.named == 0 && length >= ENOUGH_TO_NAME {
        wrong.push(
            "the agent was not known to know any file, and none got a name of any kind".to_owned(),
        );
    }
    Ok(say(&verdict, &wrong))
}

/// Prints what is wrong; true when nothing is.
fn say(verdict: &Verdict, wrong: &[String]) -> bool {
    for words in wrong.iter().chain(&verdict.words) {
        println!("! {words}");
    }
    println!("lost {}, doubled {}", verdict.lost, verdict.doubled);
    wrong.is_empty() && verdict.is_good()
}

fn write_schedule(
    arguments: &Arguments,
    folder: &Path,
    events: &[(Duration, schedule::Event)],
) -> Result<()> {
    let mut text = format!("seed {}\n", arguments.seed);
    for (at, event) in events {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:7.1} s  {event}", at.as_secs_f64());
    }
    let path = folder.join("schedule.txt");
    fs::write(&path, text)?;
    let requests = match arguments.output {
        OutputKind::Elasticsearch => format!(", and {} % of all bulk requests", arguments.percent),
        OutputKind::Store => String::new(),
    };
    println!(
        "seed {}: {} events, {} of them rotations ({}){requests}",
        arguments.seed,
        events.len(),
        events
            .iter()
            .filter(|(_, event)| matches!(event, schedule::Event::Rotate { .. }))
            .count(),
        path.display(),
    );
    Ok(())
}
