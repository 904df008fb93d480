//! `cargo xtask bench`: the cost of the shipped agent end to end, against a sink on loopback that discards documents.
//!
//! CPU time and memory are those of the agent alone, as the kernel counts them; the sink and the writer are this program.
//! Instructions per line are the stable figure: the difference between two file sizes under callgrind, which excludes the
//! start and the end of the program.

mod many;
mod steady;
mod store;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::sink::Sink;
use testkit::child::Tied;
use testkit::place::{self, Folder};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Lines of the file that is read to its end
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// Number of runs
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Leave out the instructions per line (needs valgrind, takes some minutes)
    #[arg(long)]
    no_instructions: bool,
    /// So many [[routes]] in the configuration
    #[arg(long, default_value_t = 0)]
    routes: usize,
    /// Instead: so many lines are appended each second, and measured from writing to sink
    #[arg(long, value_name = "LINES_PER_SECOND", conflicts_with = "idle")]
    steady: Option<u64>,
    /// Duration of the measurement
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The agent's setting of this name
    #[arg(long, default_value = "250ms")]
    flush_interval: String,
    /// Instead: for so many seconds nothing is written
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
    /// Instead: no sink, but the embedded store: a whole file of --lines, and then, with --steady, so many lines a second
    #[arg(long, conflicts_with_all = ["idle", "logs", "routes"])]
    store: bool,
    /// Instead: so many logs are followed
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["idle", "steady"])]
    logs: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let folder = Folder::empty("bench")?;
    let agent = Agent {
        program: place::build_agent(place::SHIPPED)?,
        folder: folder.to_path_buf(),
        routes: routes(arguments.routes),
    };
    if arguments.store {
        store::whole(&agent, arguments.lines, arguments.runs)?;
        if let Some(rate) = arguments.steady {
            store::steady(&agent, rate, Duration::from_secs(arguments.seconds))?;
        }
    } else if let Some(rate) = arguments.steady {
        let duration = Duration::from_secs(arguments.seconds);
        steady::run(&agent, rate, duration, &arguments.flush_interval)?;
    } else if let Some(seconds) = arguments.idle {
        steady::idle(&agent, Duration::from_secs(seconds))?;
    } else if let Some(count) = arguments.logs {
        many::run(&agent, count)?;
    } else {
        whole::run(&agent, arguments.lines, arguments.runs)?;
        if !arguments.no_instructions {
            whole::instructions(&agent)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The agent under test, each time with a new data_dir and configuration.
struct Agent {
    program: PathBuf,
    folder: PathBuf,
    /// Sections of the configuration.
    routes: String,
}

/// Templates of the paths of the lines, see `testkit::load`.
const ASKED: [&str; 5] = [
    "/api/products/{id}",
    "/api/search",
    "/api/users/{id}/orders",
    "/api/export/{what}",
    "/static/{file*}",
];

/// So many routes: those that the lines ask for, then some of a large API.
fn routes(count: usize) -> String {
    let others = (0..).map(|n| match n % 3 {
        0 => format!("/api/service-{n}/items/{{id}}"),
        1 => format!("/api/users/{{id}}/part-{n}"),
        _ => format!("/resource-{n}/{{id}}.json"),
    });
    let paths = ASKED.map(str::to_owned).into_iter().chain(others);
    let sections = paths
        .take(count)
        .map(|path| format!("[[routes]]\npath = \"{path}\"\n"));
    sections.collect()
}

impl Agent {
    /// A command line of the agent that reads `log` into `output`, a section. `before` stands before it (`valgrind …`).
    fn command(
        &self,
        before: &[&str],
        arguments: &[&str],
        log: &Path,
        output: &str,
    ) -> Result<Command> {
        let data = self.folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let config = self.folder.join("logweir.toml");
        let text = format!(
            r#"host = "bench"
data_dir = '{}'

[[logs]]
paths = ['{}']
format = "combined"

{output}
[http]
listen = "127.0.0.1:{}"

{}"#,
            data.display(),
            log.display(),
            testkit::ports::free_port(),
            self.routes,
        );
        fs::write(&config, text)?;
        let program = self.program.to_string_lossy();
        let mut words = before
            .iter()
            .copied()
            .chain([&*program])
            .chain(arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("-c").arg(&config);
        Ok(command)
    }

    fn start(&self, command: &Command) -> Result<Tied> {
        Tied::start("the agent", command, self.folder.join("agent.log"))
    }
}

/// The section of a sink as the cluster.
fn cluster(sink: &Sink, flush_interval: &str) -> String {
    format!(
        "[elasticsearch]\nnodes = [\"{}\"]\ngzip = false\nmax_in_flight = 1\nflush_interval = \"{flush_interval}\"\n",
        sink.address()
    )
}

/// Fails unless the sink has all lines: a figure for fewer lines would be wrong.
fn all_arrived(sink: &Sink, lines: u64, child_log: &Path) -> Result<()> {
    match sink.counts().0 {
        arrived if arrived == lines => Ok(()),
        arrived => bail!(
            "{lines} lines, but {arrived} documents arrived; see {}",
            child_log.display()
        ),
    }
}

#[allow(clippy::cast_precision_loss, reason = "figures for reading")]
fn per(count: u64, duration: Duration) -> f64 {
    count as f64 / duration.as_secs_f64().max(f64::EPSILON)
}

#[allow(clippy::cast_precision_loss, reason = "figures for reading")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// 1234567 as 1,234,567.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_groups_of_three() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
