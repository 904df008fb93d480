//! The development tasks of the project, as `cargo xtask NAME`: a file for each task, and a few shared functions.

#![allow(
    clippy::disallowed_methods,
    reason = "chores measure real time and wait for real processes; there is no clock to move"
)]

mod bench;
mod dashboards;
mod dist;
mod hostile;
mod manifests;
mod packages;
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
    /// Demonstrate the whole pipeline: nginx, traffic, the agent, Elasticsearch, and the top APIs of the last minute.
    Try(try_it::Arguments),
    /// Measure the agent end to end, with a sink that discards documents.
    Bench(bench::Arguments),
    /// Make kibana/logweir.ndjson from kibana/source, or measure what its panels cost.
    Dashboards(dashboards::Arguments),
    /// Show how few routes paths with values become, kind by kind; ends with 1 when a kind misses its target.
    Routes,
    /// Measure the disk size of an index for each choice in its template.
    Sizes(sizes::Arguments),
    /// Run the agent under faults of every kind for a while, and count the lines: none may be lost or duplicated.
    Soak(soak::Arguments),
    /// Make the packages for hosts (.deb, .rpm, .tar.gz) in target/dist.
    Dist(dist::Arguments),
    /// Install, upgrade, remove and purge the packages in a clean Debian, and run the service there beside nginx.
    Packages(packages::Arguments),
    /// Attack the agent under tight limits from every side that strangers can reach; it must keep indexing.
    Hostile(hostile::Arguments),
    /// Validate the Kubernetes manifests against their schemas, and test the alerts.
    Manifests(manifests::Arguments),
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
        Chore::Dist(arguments) => dist::run(&arguments),
        Chore::Packages(arguments) => packages::run(&arguments),
        Chore::Hostile(arguments) => hostile::run(&arguments),
        Chore::Manifests(arguments) => manifests::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
