//! Rotations: by logrotate, or by a script that gives the file any name.
//!
//! The agent finds a file under any name by its content, so it must have seen that content before; one that it never
//! saw it finds by a name that it knows by heart, as logrotate's are. Invariant: a file gets a name of another kind
//! only when the agent is known to know it, and positions are tampered with only in ways that leave it this knowledge.
//! So whatever is lost is lost by the agent.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::agent::Agent;
use super::logs::{FileId, LATE, Log, Writer};
use super::names;
use super::positions::Positions;
use super::random::Dice;
use testkit::child::Tied;
use testkit::tools;

/// The least time between two rotations of one log: logrotate's dated names differ by the second.
const BETWEEN: Duration = Duration::from_millis(2600);
/// A file behind a link waits this long for the agent to see it.
const AGAIN: Duration = Duration::from_millis(300);
/// The agent has saved that it knows a file when it has had it open for so long, and could save.
const SAVED_WITHIN: Duration = Duration::from_secs(3);
/// No writer keeps a rotated file for longer.
const QUIET_AFTER: Duration = Duration::from_secs(15);
/// A line is not longer than this.
const LONGEST_LINE: u64 = 64 * 1024;

/// `$1` how, `$2` the log, `$3` the name that is new, `$4` the flag of its writer and `$5` the word in it, `$6`
/// nginx's process id in a file, `$7` whether to compress at once; then the files that are compressed now.
const SCRIPT: &str = r#"
how=$1 log=$2 new=$3 flag=$4 word=$5 nginx=$6 at_once=$7
shift 7
target=$(readlink -f "$log")
mkdir -p "$(dirname "$new")"
case $how in
rename) mv "$target" "$new"; : >> "$target"; rotated=$new ;;
copy) cp -p "$target" "$new"; : > "$target"; rotated=$new ;;
swap) : > "$new"; ln -s "$new" "$log.next"; mv -T "$log.next" "$log"; rotated=$target ;;
esac
# Whether one of nginx's processes still writes there.
is_written() {
    master=$(cat "$nginx")
    for process in "$master" $(cat "/proc/$master/task/$master/children"); do
        for file in "/proc/$process/fd/"*; do
            if [ "$file" -ef "$rotated" ]; then return 0; fi
        done
    done
    return 1
}
if [ "$how" = copy ]; then
    :
elif [ -n "$nginx" ]; then
    kill -USR1 "$(cat "$nginx")"
    if [ -n "$at_once" ]; then
        sleep 0.5
        while is_written; do sleep 0.05; done
    fi
else
    printf '%s' "$word" > "$flag"
    i=0
    while [ -e "$flag" ]; do
        i=$((i+1))
        if [ $i -gt 3000 ]; then echo "nobody took $flag away"; exit 1; fi
        sleep 0.02
    done
fi
if [ -n "$at_once" ]; then gzip "$rotated"; fi
for earlier; do gzip "$earlier"; done
"#;

/// What the script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Rename,
    /// Copies and truncates.
    Copy,
    /// Points the link to a new file.
    Swap,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Rename => "rename",
            Self::Copy => "copy",
            Self::Swap => "swap",
        }
    }
}

/// The number of rotations.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) all: u64,
    pub(super) while_stopped: u64,
    /// By the script, and of these:
    pub(super) named: u64,
    pub(super) named_while_stopped: u64,
    pub(super) named_while_away: u64,
    pub(super) compressed_at_once: u64,
    pub(super) compressed_later: u64,
    pub(super) copied: u64,
    pub(super) behind_links: u64,
    pub(super) swapped: u64,
}

/// One log between two rotations.
#[derive(Default)]
struct State {
    running: Option<Tied>,
    /// The last one began or ended then.
    last: Option<Duration>,
    /// Rotated files that are compressed with the next rotation.
    uncompressed: Vec<PathBuf>,
    /// What the agent knew when the log's file began.
    before: HashSet<String>,
    /// The agent has had the log's file open since.
    open_since: Option<Duration>,
    /// Long enough to have saved it.
    seen: bool,
}

/// A content that the agent must know, because its name does not identify it.
#[derive(Debug)]
struct Waiting {
    since: Duration,
    path: PathBuf,
    /// Its id, where it is known.
    stream: Option<String>,
}

/// The circumstances of a rotation.
#[derive(Clone, Copy)]
pub(super) struct Meanwhile<'a> {
    pub(super) now: Duration,
    pub(super) agent: &'a Agent,
    /// Nobody can connect to the cluster.
    pub(super) away: bool,
}

/// The rotations of all logs.
pub(super) struct Rotations<'a> {
    folder: &'a Path,
    logs: &'a [Log],
    nginx_pid: PathBuf,
    /// logrotate's, for each log.
    configurations: Vec<PathBuf>,
    states: BTreeMap<usize, State>,
    waiting: Vec<Waiting>,
    pub(super) counts: Counts,
}

impl<'a> Rotations<'a> {
    pub(super) fn new(folder: &'a Path, logs: &'a [Log]) -> Result<Self> {
        let nginx_pid = folder.join("nginx/nginx.pid");
        let configurations = logs
            .iter()
            .map(|log| {
                log.make_place()?;
                log.write_configuration(folder, &nginx_pid)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            folder,
            logs,
            nginx_pid,
            configurations,
            states: BTreeMap::new(),
            waiting: Vec::new(),
            counts: Counts::default(),
        })
    }

    pub(super) fn are_running(&self) -> bool {
        self.states.values().any(|state| state.running.is_some())
    }

    /// Begins one; returns how long it must wait when it comes too early. `name` is the seed of any name.
    pub(super) fn begin(
        &mut self,
        place: usize,
        name: Option<u64>,
        meanwhile: Meanwhile<'_>,
    ) -> Result<Option<Duration>> {
        let now = meanwhile.now;
        let Some(log) = self.logs.get(place) else {
            return Ok(None);
        };
        let state = self.states.entry(place).or_default();
        let recent = |at| now.saturating_sub(at) < BETWEEN;
        if state.running.is_some() || state.last.is_some_and(recent) {
            return Ok(Some(BETWEEN));
        }
        let saved = meanwhile.agent.saved();
        let id = FileId::from(&fs::metadata(&log.path)?);
        let stream = saved
            .as_ref()
            .and_then(|saved| saved.unfinished(&log.path, id, &state.before))
            .map(str::to_owned);
        let known = stream.is_some() || state.seen && !log.copytruncate;
        if log.is_link() && (name.is_none() || !known) {
            // logrotate would leave it alone.
            return Ok(name.map(|_| AGAIN));
        }
        let running = match name.filter(|_| known) {
            Some(seed) => self.start_script(place, seed, stream, meanwhile)?,
            None => self.start_logrotate(place)?,
        };
        self.counts.all += 1;
        self.counts.while_stopped += u64::from(!meanwhile.agent.is_running());
        let state = self.states.entry(place).or_default();
        state.running = Some(running);
        state.last = Some(now);
        state.before = saved.map(|saved| saved.streams()).unwrap_or_default();
        state.open_since = None;
        state.seen = false;
        Ok(None)
    }

    fn start_logrotate(&self, place: usize) -> Result<Tied> {
        let (log, configuration) = (&self.logs[place], &self.configurations[place]);
        let program = tools::logrotate().context("logrotate is not there")?;
        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg("-s")
            .arg(self.folder.join(format!("logrotate-{}.state", log.letter)))
            .arg(configuration);
        let out = self.folder.join(format!("logrotate-{}.log", log.letter));
        Tied::start("logrotate", &command, out)
    }

    fn start_script(
        &mut self,
        place: usize,
        seed: u64,
        stream: Option<String>,
        meanwhile: Meanwhile<'_>,
    ) -> Result<Tied> {
        let log = &self.logs[place];
        let mut dice = Dice::new(seed, "rotation");
        let how = match (log.copytruncate, log.is_link()) {
            (true, _) => How::Copy,
            (false, true) if dice.percent(50) => How::Swap,
            (false, _) => How::Rename,
        };
        let target = fs::canonicalize(&log.path)?;
        let new = free_name(&mut dice, log, &target);
        let rotated = match how {
            How::Swap => target,
            How::Rename | How::Copy => new.clone(),
        };
        let (at_once, later) = match dice.below(3) {
            0 => (true, false),
            1 => (false, true),
            _ => (false, false),
        };
        let state = self.states.entry(place).or_default();
        let earlier = std::mem::take(&mut state.uncompressed);
        if later {
            state.uncompressed.push(rotated.clone());
        }
        println!(
            "{:7.1} s  log {}: {} to {}{}",
            meanwhile.now.as_secs_f64(),
            log.letter,
            how.word(),
            new.strip_prefix(self.folder).unwrap_or(&new).display(),
            match (at_once, later) {
                (true, _) => ", compressed",
                (_, true) => ", compressed later",
                _ => "",
            }
        );
        let nginx = match log.writer {
            Writer::Nginx => self.nginx_pid.as_path(),
            Writer::Own { .. } => Path::new(""),
        };
        let mut command = Command::new("sh");
        command
            .args(["-ec", SCRIPT, "sh", how.word()])
            .args([&log.path, &new, &log.flag(self.folder)])
            .arg(if at_once { "" } else { LATE })
            .arg(nginx)
            .arg(if at_once { "at once" } else { "" })
            .args(&earlier);
        let counts = &mut self.counts;
        counts.named += 1;
        counts.named_while_stopped += u64::from(!meanwhile.agent.is_running());
        counts.named_while_away += u64::from(meanwhile.away);
        counts.compressed_at_once += u64::from(at_once);
        counts.compressed_later += earlier.len() as u64;
        counts.copied += u64::from(how == How::Copy);
        counts.behind_links += u64::from(log.is_link() && how == How::Rename);
        counts.swapped += u64::from(how == How::Swap);
        self.waiting.push(Waiting {
            since: meanwhile.now,
            path: rotated,
            stream,
        });
        let out = self.folder.join(format!("rotation-{}.log", log.letter));
        Tied::start("the rotation", &command, out)
    }

    /// Rotations that have ended; what went wrong with them.
    pub(super) fn reap(&mut self, now: Duration) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for state in self.states.values_mut() {
            let Some(child) = &mut state.running else {
                continue;
            };
            if let Some(status) = child.ended()? {
                if !status.success() {
                    wrong.push(format!("a rotation ended with {status}: {}", child.tail()));
                }
                state.running = None;
                state.last = Some(now);
            }
        }
        Ok(wrong)
    }

    /// Which files the agent has open now, and may thus find again; `can_save` when its state directory takes it.
    pub(super) fn look(&mut self, agent: &Agent, can_save: bool, now: Duration) {
        let open = match can_save {
            true => agent.open_files(),
            false => Vec::new(),
        };
        for (place, log) in self.logs.iter().enumerate() {
            let state = self.states.entry(place).or_default();
            let is_open = fs::metadata(&log.path)
                .is_ok_and(|metadata| open.contains(&FileId::from(&metadata)));
            if state.running.is_some() || !is_open || !has_line(&log.path) {
                state.open_since = None;
                continue;
            }
            let since = *state.open_since.get_or_insert(now);
            state.seen |= now.saturating_sub(since) >= SAVED_WITHIN;
        }
    }

    /// Looks which contents the agent is done with by its `newest` positions.
    pub(super) fn forget_done(&mut self, newest: &Positions, now: Duration) {
        self.waiting.retain_mut(|waiting| {
            if waiting.stream.is_none() {
                waiting.stream = newest.only_at(&waiting.path).map(str::to_owned);
            }
            let quiet = now.saturating_sub(waiting.since) >= QUIET_AFTER;
            let metadata = fs::metadata(&waiting.path).ok().filter(|_| quiet);
            let length = metadata.map(|metadata| metadata.len());
            let stream = waiting.stream.as_deref();
            !stream.is_some_and(|stream| newest.is_done(stream, length))
        });
    }

    /// Whether an agent that starts with these positions knows all that it must.
    pub(super) fn may_start_with(&self, positions: Option<&Positions>) -> bool {
        self.waiting.iter().all(|waiting| {
            let both = waiting.stream.as_deref().zip(positions);
            both.is_some_and(|(stream, positions)| positions.knows(stream))
        })
    }

    /// After the positions were tampered with: the agent knows what it saved, and nothing else.
    pub(super) fn forget_seen(&mut self) {
        for state in self.states.values_mut() {
            (state.open_since, state.seen) = (None, false);
        }
    }
}

/// An unused path, for a plain and a compressed file, where the agent looks for files of this log; `target` is the log's
/// file itself.
fn free_name(dice: &mut Dice, log: &Log, target: &Path) -> PathBuf {
    let home = if log.is_link() { target } else { &log.path };
    loop {
        let old = log.old.as_deref().filter(|_| dice.percent(50));
        let folder = old.or_else(|| home.parent()).unwrap_or(home);
        // Of directories below those of the logs themselves are declared.
        let name = names::draw(dice, log.name(), old.is_none() && !log.is_link());
        let path = folder.join(&name);
        if !path.exists() && !folder.join(format!("{name}.gz")).exists() {
            return path;
        }
    }
}

/// Whether one line is complete.
fn has_line(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).map(|file| file.take(LONGEST_LINE).read_to_end(&mut beginning));
    read.is_ok() && beginning.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;
    use std::process::Stdio;

    use super::*;

    /// Runs the script over `a.log` in its folder; a writer takes its flag away, as often as it comes.
    fn run(folder: &Path, how: How, new: &Path, at_once: bool, earlier: &[&Path]) {
        let flag = folder.join("flag");
        let mut command = Command::new("sh");
        command
            .args(["-ec", SCRIPT, "sh", how.word()])
            .args([&folder.join("a.log"), new, &flag])
            .args([LATE, "", if at_once { "at once" } else { "" }])
            .args(earlier)
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        loop {
            // It is there when the script has come so far.
            let _ = fs::remove_file(&flag);
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            std::thread::yield_now();
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_is_renamed_or_copied_and_compressed_when_it_shall_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.log"), "1\n").unwrap();
        run(
            folder.path(),
            How::Rename,
            &path("2026-11/a.log"),
            false,
            &[],
        );
        assert_eq!(text(&path("2026-11/a.log")), "1\n");
        assert_eq!(text(&path("a.log")), "");
        fs::write(path("a.log"), "2\n").unwrap();
        let earlier = path("2026-11/a.log");
        run(folder.path(), How::Copy, &path("brisk"), true, &[&earlier]);
        assert_eq!(text(&path("a.log")), "");
        for (name, line) in [("2026-11/a.log", "1\n"), ("brisk", "2\n")] {
            assert!(!path(name).exists(), "{name}");
            let mut seen = Vec::new();
            let each = |_, line: &[u8], _| seen.extend_from_slice(line);
            super::super::oracle::each_line(&path(&format!("{name}.gz")), each).unwrap();
            assert_eq!(seen, line.trim_end().as_bytes(), "{name}");
        }
    }

    #[test]
    fn behind_a_link_the_file_is_renamed_or_the_link_swapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("behind")).unwrap();
        symlink(path("behind/first"), path("a.log")).unwrap();
        fs::write(path("a.log"), "1\n").unwrap();
        run(folder.path(), How::Rename, &path("behind/old"), false, &[]);
        assert_eq!(text(&path("behind/old")), "1\n");
        assert_eq!(text(&path("behind/first")), "");
        fs::write(path("a.log"), "2\n").unwrap();
        run(folder.path(), How::Swap, &path("behind/next"), false, &[]);
        assert_eq!(text(&path("behind/first")), "2\n");
        assert_eq!(text(&path("behind/next")), "");
        fs::write(path("a.log"), "3\n").unwrap();
        assert_eq!(text(&path("behind/next")), "3\n");
    }

    #[test]
    fn positions_may_be_lost_when_nothing_waits_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut rotations = Rotations::new(folder.path(), &[]).unwrap();
        assert!(rotations.may_start_with(None));
        let path = folder.path().join("brisk");
        fs::write(&path, "1\n").unwrap();
        let waiting = |stream: Option<&str>, name: &str| Waiting {
            since: Duration::ZERO,
            path: folder.path().join(name),
            stream: stream.map(str::to_owned),
        };
        rotations.waiting.push(waiting(Some("01"), "compressed"));
        rotations.waiting.push(waiting(None, "brisk"));
        let saved = |offset: u64| {
            let text = format!(
                "{{}}\n{{\"stream\":\"01\",\"path\":\"l\",\"offset\":90}}\n\
                 {{\"stream\":\"02\",\"path\":\"{}\",\"offset\":{offset}}}\n{{\"crc32c\":1}}\n",
                path.display()
            );
            Positions::parse(text.as_bytes()).unwrap()
        };
        let all = saved(0);
        assert!(
            !rotations.may_start_with(Some(&all)),
            "the second is not known yet"
        );
        rotations.forget_done(&all, QUIET_AFTER);
        assert!(rotations.may_start_with(Some(&all)));
        assert!(!rotations.may_start_with(None));
        rotations.forget_done(&saved(2), QUIET_AFTER / 2);
        assert_eq!(rotations.waiting.len(), 2, "it may still be written to");
        rotations.forget_done(&saved(2), QUIET_AFTER);
        assert_eq!(
            rotations.waiting.len(),
            1,
            "of the compressed one the length is not known"
        );
    }
}
