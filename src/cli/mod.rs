//! The command line: one file per command, and the final message of the process.
//!
//! Owns the arguments and the exit codes (sysexits.h). Invariant: a command exits with 0 only when it did everything that was
//! asked for.

mod answer;
mod ask;
mod check;
mod dead_letters;
mod demo;
mod exit;
mod health;
mod logging;
mod man;
mod prune;
mod run;
mod setup;
mod terminal;
mod timeline;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use self::terminal::complain;
use crate::build_info;
use crate::config::settings::{self, Bounds, Section};
use crate::config::{self, ConfigErrors, DEFAULT_FILE, Loaded, LogLevel, show_duration};
use crate::output::dead_letters::EntryKind;

pub(crate) use exit::Exit;

/// Indexes each line of nginx's access logs exactly once into Elasticsearch or OpenSearch.
#[derive(Debug, Parser)]
#[command(name = "logweir", version = build_info::LONG.as_str(), propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Arguments of every command.
#[derive(Debug, Args)]
struct Common {
    #[arg(short, long, global = true, value_name = "FILE", help = format!(
        "Configuration file; without it {DEFAULT_FILE}, and without that the defaults"
    ))]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow the logs and index each request.
    Run(RunArgs),
    /// Check the configuration; with --connect the cluster, with --parse a log.
    Check(CheckArgs),
    /// Ask the agent that runs here whether it works; ends with 0 if it does, otherwise with 1 and the reason.
    Health(HealthArgs),
    /// Put index templates, life cycle and dashboards into the cluster.
    Setup(SetupArgs),
    /// Delete the indices of days that are older than `retention`, for clusters without a life cycle.
    Prune(PruneArgs),
    /// Show the routes, clients or other values with the most requests.
    Top(top::TopArgs),
    /// Show requests over time.
    Timeline(timeline::TimelineArgs),
    /// Try everything on a made-up site: its log is written, indexed and queried, with nothing else installed.
    Demo(demo::DemoArgs),
    /// List the documents that the cluster rejected, and send them again.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Print the man page, for man(1) or a file logweir.1.
    Man,
    /// Print completions of commands and options for a shell.
    Completions(CompletionsArgs),
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
struct RunArgs {
    /// Read what is there, deliver it, and end.
    #[arg(long)]
    once: bool,
    /// With --once: give up (exit code 69) when the output has not taken everything by then. Without it, --once ends
    /// with 75 when some input could not be read and is left for a later run, with 65 when a file is damaged.
    #[arg(long, requires = "once", value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Where documents go instead of where the configuration says; with `console` one JSON document a line to standard
    /// output. It keeps no positions and takes no lock, so it may run beside the agent.
    #[arg(long, requires = "once", value_name = "OUTPUT")]
    output: Option<OutputName>,
    /// Do not ask whether the cluster has the index template.
    #[arg(long)]
    no_template_check: bool,
    /// Stop when the process that started this one has ended: for `demo`.
    #[arg(long, hide = true)]
    with_parent: bool,
    /// Level of the agent's own log lines, instead of `level` in [log].
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    log_level: Option<LogLevel>,
}

/// The outputs that `--output` names.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OutputName {
    /// Standard output.
    Console,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
struct CheckArgs {
    /// Ask the cluster too: reachability, authentication, template, privileges, life cycle, clock.
    #[arg(long, conflicts_with = "parse")]
    connect: bool,
    /// Read this log (`-`: standard input) and show how its lines are understood.
    #[arg(long, value_name = "FILE")]
    parse: Option<PathBuf>,
    /// With --parse: the format, as in nginx.conf or by its name there, instead of the configured ones.
    #[arg(long, requires = "parse", value_name = "FORMAT")]
    format: Option<String>,
    /// With --parse: show the fields of this many lines.
    #[arg(long, requires = "parse", default_value_t = 3, value_name = "N")]
    lines: usize,
}

/// Arguments of `health`.
#[derive(Debug, Args)]
struct HealthArgs {
    /// Ask whether the agent can read its logs (/readyz), not only whether it works (/livez).
    #[arg(long)]
    ready: bool,
}

/// Arguments of `setup`.
#[derive(Debug, Args)]
#[command(after_long_help = SETUP_PRIVILEGES)]
struct SetupArgs {
    /// Compare the cluster with what would be put, object by object; put nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only these parts, separated by commas.
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<setup::Component>,
    /// Print the requests to send by hand, or the roles; no cluster is asked.
    #[arg(
        long,
        value_name = "WHAT",
        num_args = 0..=1,
        default_missing_value = "all",
        conflicts_with_all = ["dry_run", "force"]
    )]
    print: Option<setup::Print>,
    /// Overwrite objects of the same name that are not logweir's.
    #[arg(long)]
    force: bool,
}

const SETUP_PRIVILEGES: &str = "\
What it needs in the cluster (`logweir setup --print roles` prints the roles):
  Elasticsearch  cluster: monitor, manage_index_templates; with `retention` also
                 manage_ilm, and `manage` on the indices, which ILM deletes in the
                 name of whoever put the policy (not with --only templates)
  OpenSearch     cluster: cluster_monitor, cluster_manage_index_templates; with
                 `retention` also cluster:admin/opendistro/ism/*, and on the indices
                 indices:admin/opensearch/ism/* and `manage`, since ISM does as ILM
And for [kibana], with its credentials or, without any there, the cluster's:
  Kibana         Management > Saved Objects Management: All, in the space
  OpenSearch Dashboards  with the security plugin the role kibana_user

The agent needs far less, and should have a key of its own: `monitor` on the cluster,
create_doc and auto_configure on its indices.

Objects without the mark of logweir are not overwritten, unless --force is given.
The component template NAME@custom is yours and is never changed.";

/// Arguments of `prune`.
#[derive(Debug, Args)]
#[command(after_long_help = PRUNE_HELP)]
struct PruneArgs {
    /// Delete what is older than this, instead of `retention`.
    #[arg(long, value_name = "TIME", value_parser = age)]
    older_than: Option<Duration>,
    /// Only show what would be deleted.
    #[arg(long)]
    dry_run: bool,
}

const PRUNE_HELP: &str = "\
An index is deleted when the whole day, month or year in its name (UTC) is older than
that. Only names of the pattern of the setting `index` count.
From the index of lines without a readable time old documents are deleted, not the index.
It asks for no confirmation, so that a timer can run it: try --dry-run first.

What it needs in the cluster: `logweir setup --print roles` prints the role.";

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// Show the entries, and count them by reason.
    List(ListArgs),
    /// Send entries again, with the same index and id; what the cluster takes leaves the file.
    Replay(ReplayArgs),
}

/// Which entries are meant.
#[derive(Debug, Args)]
struct Which {
    /// Only entries whose reason holds this text, whatever its case.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only entries of this kind.
    #[arg(long)]
    kind: Option<KindArgument>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArgument {
    /// Refused for the document's own fault.
    Dead,
    /// Parked because its index refuses; `run` sends it again by itself.
    Parked,
}

impl From<KindArgument> for EntryKind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Dead => Self::Dead,
            KindArgument::Parked => Self::Parked,
        }
    }
}

/// Arguments of `dead-letters list`.
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// One JSON object a line, with the document, and nothing else.
    #[arg(long)]
    json: bool,
    /// Show at most so many entries, the oldest first; all are counted.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Arguments of `dead-letters replay`.
#[derive(Debug, Args)]
struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// Only show how many would be sent.
    #[arg(long)]
    dry_run: bool,
    /// Give up (exit code 69) what the cluster has not taken by then.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    timeout: Duration,
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            // a closed pipe is not a failure
            let _ = error.print();
            return exit.into();
        }
    };
    let exit = match cli.command {
        Command::Run(args) => run::run(&cli.common, &args),
        Command::Check(args) => check::run(&cli.common, &args),
        Command::Health(args) => health::run(&cli.common, &args),
        Command::Setup(args) => setup::run(&cli.common, &args),
        Command::Prune(args) => prune::run(&cli.common, &args),
        Command::Top(args) => top::run(&cli.common, &args),
        Command::Timeline(args) => timeline::run(&cli.common, &args),
        Command::Demo(args) => demo::run(&args),
        Command::DeadLetters(command) => dead_letters::run(&cli.common, &command),
        Command::Man => {
            terminal::print(&man::page(Cli::command()));
            Exit::Ok
        }
        Command::Completions(args) => {
            terminal::print(&completions(args.shell));
            Exit::Ok
        }
    };
    exit.into()
}

/// The script by which a shell completes commands and options.
fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "logweir", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| format!("`{text}` is no time, such as 30s or 5m"))
}

fn level() -> impl TypedValueParser<Value = LogLevel> {
    PossibleValuesParser::new(LogLevel::WORDS)
        .try_map(|word| LogLevel::parse(&word).ok_or("is no level"))
}

fn age(text: &str) -> Result<Duration, String> {
    let age = duration(text)?;
    let retention = settings::find(Section::Top, "retention").map(|setting| setting.kind);
    match retention {
        Some(settings::SettingKind::Duration(Bounds { least, .. })) if age < least => {
            Err(format!("must be at least {}", show_duration(least)))
        }
        _ => Ok(age),
    }
}

/// Runs one asynchronous piece of a command that ends by itself.
fn block_on(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain!("cannot start: {error}");
            Exit::Internal
        }
    }
}

/// Reads the configuration as the arguments say.
fn read(common: &Common) -> Result<Loaded, ConfigErrors> {
    config::load(common.config.as_deref(), &config::System, &config::System)
}

/// Reads the configuration, or prints all of its problems.
fn load(common: &Common) -> Result<Loaded, Exit> {
    read(common).map_err(|errors| {
        complain!("{errors}");
        Exit::Config
    })
}
