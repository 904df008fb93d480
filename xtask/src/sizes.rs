//! `cargo xtask sizes`: the disk size of an index for each choice in its template.
//!
//! The agent itself writes each index from the same log into a real server; then the index is merged into one segment and
//! measured. While lines still arrive, an index is larger because of its merges.

mod choices;
pub(crate) mod node;
mod traffic;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use serde_json::json;

use self::choices::Choice;
use self::node::{FieldSize, Method, Node};
use self::traffic::{Day, FORMAT, INDEX_DAY};
use testkit::child;
use testkit::place::{self, Folder};
use testkit::server::{Kind, Server};
use testkit::tools::{self, Tool};

/// Smaller fields are shown together.
const SMALL_BYTES: f64 = 1.0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Lines of the log
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// The server, one without security. Default: the newest Elasticsearch that a JDK here runs
    #[arg(long, value_enum)]
    server: Option<Kind>,
    /// Besides the shipped template, only the choices whose names contain this (may be repeated)
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let lines = arguments.lines;
    ensure!(lines > 0, "an index of no lines has no size");
    tools::provide(&[Tool::Jdk, Tool::Maven])?;
    let kind = arguments.server.map_or_else(newest_elasticsearch, Ok)?;
    ensure!(!kind.is_secured(), "{} has users and TLS", kind.recipe());
    let folder = Folder::empty("sizes")?;
    let mut server = Server::start(kind, &folder)?;
    let agent = place::build_agent(place::QUICK)?;
    let log = folder.join("access.log");
    Day::new(lines).write(&mut BufWriter::new(File::create(&log)?))?;
    let line_bytes = fs::metadata(&log)?.len() / lines;
    let node = Node {
        address: server.address()?,
    };
    let bench = Bench {
        agent,
        log,
        lines,
        node,
        folder: folder.to_path_buf(),
    };

    let mut rows = Vec::new();
    let mut fields = Vec::new();
    for (number, choice) in choices::all().iter().enumerate() {
        let only = &arguments.only;
        let is_asked_for = only.iter().any(|part| choice.name.contains(part));
        let is_base = number == 0;
        if !is_base && !only.is_empty() && !is_asked_for {
            continue;
        }
        println!("{} …", choice.name);
        let index = bench.create(number, choice);
        let bytes = match index {
            Ok(index) => {
                let bytes = bench.fill(number, choice, &index)?;
                if is_base && kind.is_elasticsearch() {
                    fields = bench.node.fields(&index)?;
                }
                bench.node.ask(Method::Delete, &format!("/{index}"), None)?;
                println!("  {:.1} bytes per request", ratio(bytes, lines));
                Some(bytes)
            }
            // choices of another family or version
            Err(refusal) => {
                println!("  refused: {refusal:#}");
                None
            }
        };
        rows.push((choice.name, bytes));
    }
    println!(
        "\n{lines} lines of {line_bytes} bytes on average, {}, one segment\n",
        kind.recipe()
    );
    print!("{}", table(&rows, lines));
    if !fields.is_empty() {
        print!("\n{}", field_table(&fields, lines));
    }
    Ok(ExitCode::SUCCESS)
}

fn newest_elasticsearch() -> Result<Kind> {
    let all = Kind::value_variants().iter().copied();
    all.filter(|kind| kind.is_elasticsearch() && !kind.is_secured())
        .filter(|kind| tools::jdk(kind.oldest_java()).is_some())
        .max_by_key(|kind| (kind.oldest_java(), kind.recipe()))
        .context("no JDK for any Elasticsearch")
}

struct Bench {
    agent: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    lines: u64,
    node: Node,
}

impl Bench {
    /// Makes the index of a choice, empty.
    fn create(&self, number: usize, choice: &Choice) -> Result<String> {
        let name = format!("sizes-{number}");
        self.configure(&name, choice)?;
        if choice.is_set_up {
            self.run(&["setup"])?;
            let path = format!("/_component_template/{name}@custom");
            let custom = json!({"template": choice.custom});
            self.node.ask(Method::Put, &path, Some(&custom))?;
        }
        let index = format!("{name}-{INDEX_DAY}");
        self.node.ask(Method::Put, &format!("/{index}"), None)?;
        Ok(index)
    }

    /// Lets the agent write all lines into it; returns its size in bytes.
    fn fill(&self, number: usize, choice: &Choice, index: &str) -> Result<u64> {
        let data = self.folder.join(format!("data-{number}"));
        let mut words = vec!["run", "--once"];
        if !choice.is_set_up {
            words.push("--no-template-check");
        }
        self.run(&words)?;
        self.node.merge(index)?;
        let size = self.node.size(index)?;
        ensure!(
            size.documents == self.lines,
            "{} lines, but {} documents",
            self.lines,
            size.documents
        );
        fs::remove_dir_all(data)?;
        Ok(size.bytes)
    }

    fn configure(&self, name: &str, choice: &Choice) -> Result<()> {
        let text = format!(
            r#"host = "web-07"
data_dir = '{}'
{}
[[logs]]
paths = ['{}']
name = "/var/log/nginx/access.log"
format = '''{FORMAT}'''

[elasticsearch]
nodes = ["{}"]
index = "{name}-%Y.%m.%d"
{}
[http]
listen = "127.0.0.1:{}"
"#,
            self.folder.join(name.replace("sizes", "data")).display(),
            choice.top,
            self.log.display(),
            self.node.address,
            choice.cluster,
            testkit::ports::free_port(),
        );
        fs::write(self.folder.join("logweir.toml"), text)?;
        Ok(())
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.agent);
        command
            .args(words)
            .arg("-c")
            .arg(self.folder.join("logweir.toml"));
        let output = child::tied(&command).output()?;
        ensure!(
            output.status.success(),
            "`logweir {}` ended with {}: {}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        Ok(())
    }
}

/// A row for each choice; the others are compared with the first.
fn table(rows: &[(&str, Option<u64>)], lines: u64) -> String {
    let mut out = String::from(
        "| choice | bytes per request = MB per million requests | against what we ship |\n\
         | --- | ---: | ---: |\n",
    );
    let base = rows.first().and_then(|(_, bytes)| *bytes);
    for (name, bytes) in rows {
        // Writing to a String cannot fail.
        let _ = match bytes {
            None => writeln!(out, "| {name} | – | this server refuses it |"),
            Some(bytes) => {
                let more = (ratio(*bytes, base.unwrap_or(*bytes)) - 1.0) * 100.0;
                writeln!(
                    out,
                    "| {name} | {:.1} | {more:+.1} % |",
                    ratio(*bytes, lines)
                )
            }
        };
    }
    out
}

/// The size of each field with the shipped template.
fn field_table(fields: &[FieldSize], lines: u64) -> String {
    let mut out = String::from(
        "| field | bytes per request | terms | points | doc_values | stored |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let of = |bytes| ratio(bytes, lines);
    for field in fields.iter().filter(|field| of(field.total) >= SMALL_BYTES) {
        let _ = writeln!(
            out,
            "| `{}` | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            field.name,
            of(field.total),
            of(field.inverted),
            of(field.points),
            of(field.doc_values),
            of(field.stored),
        );
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "figures for reading")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_compared_with_the_first_and_a_refused_one_is_named() {
        let rows = [("ours", Some(400)), ("less", Some(300)), ("other", None)];
        let table = table(&rows, 4);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| ours | 100.0 | +0.0 % |",
                "| less | 75.0 | -25.0 % |",
                "| other | – | this server refuses it |",
            ]
        );
    }
}
