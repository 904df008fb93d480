//! `--history`: a log with 200 rotated files, half of them compressed, read live; and read again from copies in
//! another directory, by another agent of the same host. The second reading finds every line and adds none.

use std::fs::{self, File, FileTimes};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use super::agent::Agent;
use super::oracle::{self, Truth, Verdict, Written};
use super::output::Network;
use super::random::Dice;
use super::{Arguments, fault, line, logs};
use testkit::load;

const FILES: u64 = 200;
const LINES_IN_FILE: usize = 700;
/// The files cover this many days up to today.
const DAYS: u64 = 25;
const SECONDS_IN_DAY: u64 = 86_400;
const LOOK: Duration = Duration::from_millis(200);
const WITHIN: Duration = Duration::from_secs(600);
/// The log that all belongs to; under this name in both places.
const LETTER: char = 'c';

pub(super) fn run(
    arguments: &Arguments,
    folder: &Path,
    mut agent: Agent,
    network: &Network,
) -> Result<bool> {
    let mut dice = Dice::new(arguments.seed, "history");
    let first = folder.join("first");
    let second = folder.join("second");
    let written = write_files(&first, &mut dice)?;
    copy_files(&first, &second, &mut dice)?;
    let truth = Truth::from([(LETTER, written)]);
    // No nginx runs here whose configuration could be named.
    agent.read_history(&first.join("access.log"), &folder.join("data-live"));
    agent.set_up(&network.url)?;
    network.proxy.hit(arguments.percent);

    let mut verdicts = Vec::new();
    for (name, place) in [("live", &first), ("copies", &second)] {
        agent.read_history(
            &place.join("access.log"),
            &folder.join(format!("data-{name}")),
        );
        agent.start()?;
        let found_again = if name == "live" {
            // The agent is killed halfway, so that another one reads the rest.
            sleep(dice.millis(1500, 3000));
            agent.kill()?;
            None
        } else {
            Some(read_all(&mut agent, (FILES + 1) * LINES_IN_FILE as u64)?)
        };
        agent.run_once(WITHIN)?;
        let verdict = oracle::judge(
            &truth,
            &[logs::only(LETTER, place)],
            &network.cluster,
            agent.data(),
        )?;
        println!(
            "{name}: {} files, {} lines written, {} documents, lost {}, doubled {}, strange {}",
            FILES + 1,
            verdict.written,
            verdict.documents,
            verdict.lost,
            verdict.doubled,
            verdict.strange,
        );
        if let Some(found_again) = found_again {
            println!("{name}: {found_again} lines read and found to be there already");
            ensure!(
                found_again == verdict.written,
                "the copies were not read to their end"
            );
        }
        verdicts.push(verdict);
    }
    for words in verdicts.iter().flat_map(|verdict| &verdict.words) {
        println!("! {words}");
    }
    Ok(verdicts.iter().all(Verdict::is_good)
        && verdicts
            .iter()
            .all(|verdict| verdict.documents == verdict.written))
}

/// Lets the agent read this many lines; returns how many the cluster reported as present already.
fn read_all(agent: &mut Agent, lines: u64) -> Result<u64> {
    let start = Instant::now();
    while start.elapsed() < WITHIN {
        if let Some(numbers) = agent.scrape() {
            numbers.balance()?;
            let read = numbers.sum("logweir_lines_read_total");
            if read >= lines as f64 && numbers.sum("logweir_in_flight_lines") == 0.0 {
                agent.kill()?;
                let again = numbers.one("logweir_documents_total{outcome=\"duplicate\"}");
                return format!("{again:.0}").parse().context("a count");
            }
        }
        sleep(LOOK);
    }
    bail!("{lines} lines were not read within {} s", WITHIN.as_secs())
}

/// The rotated files, oldest first and the live one last; every other older one is compressed.
fn write_files(folder: &Path, dice: &mut Dice) -> Result<Written> {
    fs::create_dir_all(folder)?;
    let mut written = Written::default();
    let mut text = load::Random::new(dice.next());
    let (mut path, mut client) = (String::new(), String::new());
    let step = DAYS * SECONDS_IN_DAY / FILES;
    for age in (0..=FILES).rev() {
        let end = line::now() - age * step;
        let mut lines = Vec::new();
        for place in 0..LINES_IN_FILE as u64 {
            let method = load::request(&mut text, &mut path);
            load::client(&mut text, &mut client);
            let sign = if path.contains('?') { '&' } else { '?' };
            let from = lines.len();
            let second = end - (LINES_IN_FILE as u64 - place) * step / LINES_IN_FILE as u64;
            write!(
                lines,
                "{client} - - [{}] \"{method} {path}{sign}{} HTTP/1.1\" 200 {place} \"-\" \"soak/1\"",
                line::time_local(second),
                line::mark(LETTER, written.lines.len()),
            )?;
            written.lines.push(line::hash(&lines[from..]));
            lines.push(b'\n');
        }
        let (name, bytes) = match age {
            0 => ("access.log".to_owned(), lines),
            age if age % 2 == 0 => (format!("access.log.{age}.gz"), fault::gzip(&lines)?),
            age => (format!("access.log.{age}"), lines),
        };
        put(&folder.join(name), &bytes, end)?;
    }
    Ok(written)
}

/// The same files elsewhere, some of them decompressed or compressed on the way.
fn copy_files(from: &Path, to: &Path, dice: &mut Dice) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut copied = 0;
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let mut bytes = Vec::new();
        oracle::each_line(&path, |_, line, _| {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        })?;
        let plain = name.trim_end_matches(".gz");
        let (name, bytes) = match plain != "access.log" && dice.percent(50) {
            true => (format!("{plain}.gz"), fault::gzip(&bytes)?),
            false => (plain.to_owned(), bytes),
        };
        put(&to.join(name), &bytes, line::now() - 60)?;
        copied += 1;
    }
    ensure!(copied == FILES + 1, "{copied} files copied");
    Ok(())
}

fn put(path: &Path, bytes: &[u8], seconds: u64) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(FileTimes::new().set_modified(time))?;
    Ok(())
}
