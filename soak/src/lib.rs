//! `cargo xtask soak`: the agent between real logs and a real Elasticsearch. Faults hit everything around it, and at the
//! end every line is accounted for.
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
mod positions;
mod proxy;
mod random;
mod report;
mod rotation;
mod schedule;
mod stage;
mod traffic;
mod wire;
mod writer;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use agent::Agent;
use clock::Clock;
use cluster::Cluster;
use disk::Disk;
use oracle::{Truth, Verdict};
use proxy::Proxy;
use random::Dice;
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
    /// Of a hundred bulk requests so many are hit
    #[arg(long, default_value_t = 25)]
    percent: u64,
    /// Cargo's profile for the agent (release, dist, dev)
    #[arg(long, default_value = place::QUICK)]
    profile: String,
    /// Instead: 200 rotated files, half of them compressed, read live and again from copies elsewhere
    #[arg(long)]
    history: bool,
}

/// Runs a soak: prints its report, and succeeds when every line arrived exactly once.
///
/// # Errors
///
/// When a process, the network or the disk fails the soak itself.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    tools::provide(&[Tool::Nginx, Tool::Logrotate, Tool::Jdk, Tool::Maven])?;
    let name = match arguments.history {
        true => "soak-history",
        false => "soak",
    };
    disk::unmount_old(&place::target().join("xtask").join(name).join("data"));
    let folder = Folder::empty(name)?;
    println!("starting Elasticsearch (the first time it is downloaded), building the agent …");
    let mut server = Server::start(Kind::Elasticsearch, &folder)?;
    // A copy, so that another build cannot change it.
    let program = folder.join("logweir");
    fs::copy(place::build_agent(&arguments.profile)?, &program)?;
    let url = server.address()?;
    let tally = Arc::new(Tally::default());
    let proxy = Proxy::start(
        &url,
        (0..NODES)
            .map(|_| Ok(TcpListener::bind(("127.0.0.1", free_port()))?))
            .collect::<Result<_>>()?,
        Dice::new(arguments.seed, "proxy"),
        Arc::clone(&tally),
    )?;
    let mut left_out = Vec::new();
    let clock = match arguments.history {
        true => None,
        false => a_clock(&folder, &mut left_out)?,
    };
    let agent = Agent::new(
        program,
        &folder,
        proxy.urls(),
        free_port(),
        Dice::new(arguments.seed, "settings"),
        clock,
    );
    let went = match arguments.history {
        true => history::run(arguments, &folder, agent, &proxy, &url),
        false => soak(arguments, &folder, agent, proxy, &url, &tally, left_out),
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
    proxy: Proxy,
    url: &str,
    tally: &Arc<Tally>,
    mut left_out: Vec<String>,
) -> Result<bool> {
    let length = Duration::from_secs(arguments.seconds.unwrap_or(arguments.minutes * 60));
    let logs = logs::all(folder);
    let rotations = Rotations::new(folder, &logs)?;
    fs::create_dir_all(folder.join("flags"))?;
    let disk = match Disk::mount(agent.data(), folder.join("disk.log"))? {
        Ok(disk) => Some(disk),
        Err(why) => {
            left_out.push(format!("a full disk ({why})"));
            None
        }
    };
    let mut events = schedule::draw(arguments.seed, length, logs.len());
    events.retain(|(_, event)| match event {
        schedule::Event::DiskFull { .. } => disk.is_some(),
        schedule::Event::Clock { .. } => agent.clock.is_some(),
        _ => true,
    });
    write_schedule(arguments, folder, &events)?;

    // The agent's configuration names nginx's.
    let traffic = Traffic::start(folder, arguments.seed)?;
    agent.set_up(url)?;
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        days: AtomicU64::new(1),
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
    proxy.hit(arguments.percent);
    let mut stage = Stage::new(
        agent,
        proxy,
        Cluster::new(url),
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
        cluster,
        mut wrong,
        rotations: Rotations { counts, .. },
        identity_checks,
        parked,
        unparked,
        proxy: _proxy,
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
    let verdict = oracle::judge(&truth, &logs, &cluster, agent.data())?;
    let run = Run {
        seed: arguments.seed,
        seconds: length.as_secs(),
        profile: arguments.profile.clone(),
        starts: agent.starts,
        rotations: counts,
        peak_bytes: agent.peak,
        bound_bytes: MEMORY_BOUND,
        identity_checks,
        parked: parked.total(),
        unparked: unparked.total(),
        caught_up_seconds: caught_up.as_secs(),
        left_out,
    };
    let table = report::table(&run, &verdict, tally);
    fs::write(folder.join("report.md"), &table)?;
    println!("\n{table}");
    if agent.peak > MEMORY_BOUND {
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
    println!(
        "seed {}: {} events, {} of them rotations ({}), and {} % of all bulk requests",
        arguments.seed,
        events.len(),
        events
            .iter()
            .filter(|(_, event)| matches!(event, schedule::Event::Rotate { .. }))
            .count(),
        path.display(),
        arguments.percent
    );
    Ok(())
}
