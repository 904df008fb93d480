//! The project's own chores, as `cargo xtask NAME`. A file for each chore, and the few things they share.

#![allow(
    clippy::disallowed_methods,
    reason = "chores measure real time and wait for real processes; there is no clock to move"
)]

mod bench;
mod dashboards;
mod hostile;
mod routes;
mod sink;
mod sizes;
mod test;
mod try_it;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run all tests, with real servers: sets up what is missing, starts the servers on free ports, stops them.
    Test(test::Arguments),
    /// See it work: nginx, traffic, the agent, Elasticsearch, and the top APIs of the last minute.
    Try(try_it::Arguments),
    /// Measure the agent, end to end into a sink that throws away.
    Bench(bench::Arguments),
    /// Make kibana/logweir.ndjson from kibana/source, or measure what its panels cost.
    Dashboards(dashboards::Arguments),
    /// Show how few routes paths with values become, kind by kind; ends with 1 when a kind misses its target.
    Routes,
    /// Measure what an index takes on disk, by the choices that its template has.
    Sizes(sizes::Arguments),
    /// Break the agent in every way there is for a while, and count the lines: none lost, none doubled.
    Soak(soak::Arguments),
    /// Attack the agent under tight limits from every side that strangers can reach: it keeps indexing.
    Hostile(hostile::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Try(arguments) => try_it::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Dashboards(arguments) => dashboards::run(&arguments),
        Chore::Routes => routes::run(),
        Chore::Sizes(arguments) => sizes::run(&arguments),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Hostile(arguments) => hostile::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
