//! Writers that are faster and less regular than nginx: half lines, long lines, blocks of lines, a late change to the new
//! file after a rotation. They remember a hash of each line that they wrote.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::line;
use super::logs::{LATE, Log, Writer};
use super::oracle::Written;
use super::random::Dice;
use testkit::load;

/// How often a writer writes.
const STEP: Duration = Duration::from_millis(10);
/// The percentage of lines with an older day.
const OLD: u64 = 4;
const SECONDS_IN_DAY: u64 = 86_400;

/// State that all writers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    /// The greatest age of a line in days.
    pub(super) days: AtomicU64,
    /// Whether some lines are of the day after, so that many batches touch three days.
    pub(super) tomorrow: bool,
    pub(super) lines: AtomicU64,
}

/// A running writer; it gives what it wrote.
pub(super) type Writing = JoinHandle<io::Result<Written>>;

/// Starts the writer of `log`, with so many lines a second on average.
pub(super) fn start(
    log: &Log,
    folder: &Path,
    seed: u64,
    rate: u64,
    shared: &Arc<Shared>,
) -> Result<Option<Writing>> {
    let Writer::Own {
        halves,
        long,
        blocks,
    } = log.writer
    else {
        return Ok(None);
    };
    let mut scribe = Scribe {
        file: open(&log.path)?,
        path: log.path.clone(),
        flag: log.flag(folder),
        reopen_at: None,
        letter: log.letter,
        halves,
        long,
        dice: Dice::new(
            seed,
            &log.path
                .to_string_lossy()
                .replace(&*folder.to_string_lossy(), ""),
        ),
        text: load::Random::new(seed ^ u64::from(u32::from(log.letter))),
        path_text: String::new(),
        client: String::new(),
        written: Written::default(),
        shared: Arc::clone(shared),
    };
    Ok(Some(thread::spawn(move || {
        scribe.write(rate, blocks)?;
        Ok(scribe.written)
    })))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

struct Scribe {
    file: File,
    path: PathBuf,
    flag: PathBuf,
    /// When it changes to the new file.
    reopen_at: Option<Instant>,
    letter: char,
    halves: bool,
    long: bool,
    dice: Dice,
    text: load::Random,
    path_text: String,
    client: String,
    written: Written,
    shared: Arc<Shared>,
}

impl Scribe {
    fn write(&mut self, rate: u64, blocks: bool) -> io::Result<()> {
        let start = Instant::now();
        let mut looked = start;
        let mut owed = 0;
        let mut buffer = Vec::new();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.change_file()?;
            // All of it in every other second, and now and then nothing for a while.
            let since = looked.elapsed();
            looked += since;
            let second = start.elapsed().as_secs();
            if second.is_multiple_of(2) && second % 20 != 18 {
                let millis = u64::try_from(since.as_millis()).unwrap_or(0);
                // A writer that cannot keep up skips the backlog, or it would never check its flags again.
                owed = (owed + rate * 2 * millis + self.dice.below(1000)).min(rate * 2000);
            }
            while owed >= 1000 && !self.shared.stop.load(Ordering::Relaxed) {
                owed -= 1000;
                self.line(&mut buffer);
                if !blocks || buffer.len() > 8192 {
                    self.put(&buffer)?;
                    buffer.clear();
                }
            }
            if !blocks || self.dice.percent(20) {
                self.put(&buffer)?;
                buffer.clear();
            }
            sleep(STEP);
        }
        self.put(&buffer)
    }

    fn line(&mut self, out: &mut Vec<u8>) {
        let from = out.len();
        let number = self.written.lines.len();
        let method = load::request(&mut self.text, &mut self.path_text);
        load::client(&mut self.text, &mut self.client);
        let sign = if self.path_text.contains('?') {
            '&'
        } else {
            '?'
        };
        let mut age = self.dice.below(3);
        let mut ahead = 0;
        if self.shared.tomorrow && self.dice.percent(OLD) {
            ahead = SECONDS_IN_DAY;
        } else if self.dice.percent(OLD) {
            let days = self.shared.days.load(Ordering::Relaxed);
            age += SECONDS_IN_DAY * self.dice.below(days + 1);
        }
        let filling = match self.long {
            true if self.dice.percent(1) => self.dice.place(3 * line::LIMIT),
            true if self.dice.percent(5) => self.dice.place(9000),
            _ => self.dice.place(80),
        };
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "{} - - [{}] \"{method} {}{sign}{} HTTP/1.1\" 200 {} \"-\" \"soak/1 {}\"",
            self.client,
            line::time_local(line::now() + ahead - age),
            self.path_text,
            line::mark(self.letter, number),
            self.dice.below(60_000),
            "z".repeat(filling),
        );
        self.written.lines.push(line::hash(&out[from..]));
        out.push(b'\n');
        self.shared.lines.fetch_add(1, Ordering::Relaxed);
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.halves && self.dice.percent(3) {
            let (first, rest) = bytes.split_at(self.dice.place(bytes.len()));
            self.file.write_all(first)?;
            sleep(self.dice.millis(1, 400));
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.written.pieces.insert(line::hash(&rest[..end]));
            return self.file.write_all(rest);
        }
        self.file.write_all(bytes)
    }

    /// After a rotation; late, as nginx's workers are.
    fn change_file(&mut self) -> io::Result<()> {
        match self.reopen_at {
            Some(at) if Instant::now() >= at => {
                self.file = open(&self.path)?;
                self.reopen_at = None;
                self.acknowledge()
            }
            Some(_) => Ok(()),
            None => {
                let late = match fs::read(&self.flag) {
                    Ok(word) => word == LATE.as_bytes(),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                };
                let pause = match late {
                    true => self.dice.millis(0, 1500),
                    false => self.dice.millis(0, 60),
                };
                self.reopen_at = Some(Instant::now() + pause);
                match late {
                    true => self.acknowledge(),
                    false => Ok(()),
                }
            }
        }
    }

    /// Lets the rotation go on.
    fn acknowledge(&self) -> io::Result<()> {
        match fs::remove_file(&self.flag) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
