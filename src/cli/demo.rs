//! `logweir demo`: a site, an agent and a live table, with nothing else installed.
//!
//! Owns how the scenes of the demo are shown. Refuses to know how they come about: that is the module `demo`. Invariant: on a
//! terminal the live table takes the place of the one before; elsewhere a table is printed every ten seconds.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use clap::Args;

use super::Exit;
use super::answer::table;
use super::terminal::{columns, complain, cut, print, redraw, safe};
use crate::clock::SystemClock;
use crate::demo::{self, DemoError, Options, Scene, Summary, View};
use crate::search::answer::{Answer, Cell, Content};
use crate::search::store::Store;
use crate::search::{Engine as _, Question, Range, Subject, Timeline, Top};

/// Milliseconds of a bar of the sparkline.
const BAR: i64 = 5_000;
/// Bars of the sparkline.
const BARS: i64 = 12;
/// Routes in the live table.
const ROUTES: usize = 12;
/// Clients below it.
const CLIENTS: usize = 4;
/// Columns of a key.
const KEY: usize = 34;
/// Where the output is no terminal, every so many seconds are shown.
const SELDOM: i64 = 10;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Begin with so much past, which is written and indexed first.
    #[arg(long, value_name = "TIME", value_parser = super::duration, default_value = "0s")]
    history: Duration,
    /// End after this time; without it at Ctrl-C.
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    duration: Option<Duration>,
    /// Leave the directory with the logs and the store.
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(args: &DemoArgs) -> Exit {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            complain!("cannot find this program to start its agent: {error}");
            return Exit::Io;
        }
    };
    let options = Options {
        history: args.history,
        duration: args.duration,
        keep: args.keep,
        program,
        parent: std::env::temp_dir(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain!("cannot start: {error}");
            return Exit::Io;
        }
    };
    crate::agent::descriptors::raise();
    let mut screen = Screen::new();
    let ended = runtime.block_on(demo::run(&options, &SystemClock::new(), &mut |scene| {
        screen.show(&scene);
    }));
    match ended {
        Ok(summary) => end(&summary),
        Err(error) => {
            complain!("{error}");
            match error {
                DemoError::Site(_) => Exit::CannotCreate,
                DemoError::Agent(_) | DemoError::Signals(_) => Exit::Io,
                DemoError::Store(_) => Exit::Data,
            }
        }
    }
}

fn end(summary: &Summary) -> Exit {
    let Summary {
        lines,
        lost,
        doubled,
        restarts,
    } = summary;
    let killed = match restarts {
        0 => String::new(),
        1 => "; the agent was killed once".to_owned(),
        restarts => format!("; the agent was killed {restarts} times"),
    };
    print(&format!(
        "\n{} lines written{killed}: lost {lost}, duplicated {doubled}\n",
        grouped(*lines)
    ));
    if (*lost, *doubled) == (0, 0) {
        Exit::Ok
    } else {
        Exit::Data
    }
}

/// The terminal, or what stands for it.
struct Screen {
    is_terminal: bool,
    /// Lines of the table that the next one takes the place of.
    drawn: usize,
    /// Agents that were killed, as shown.
    restarts: u32,
}

impl Screen {
    fn new() -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            drawn: 0,
            restarts: 0,
        }
    }

    fn show(&mut self, scene: &Scene<'_>) {
        match scene {
            Scene::WritingPast { day, days, lines } => self.progress(&format!(
                "writing the log of the past: day {day} of {days}, {} lines",
                grouped(*lines)
            )),
            Scene::IndexingPast { indexed, lines } => self.progress(&format!(
                "indexing the past: {} of {} lines",
                grouped(*indexed),
                grouped(*lines)
            )),
            Scene::Started { directory, agent } => self.fixed(&started(directory, *agent)),
            Scene::Second(view) => {
                if view.restarts != self.restarts {
                    self.restarts = view.restarts;
                    self.fixed(&format!(
                        "the agent was killed; another goes on as process {}\n",
                        view.agent
                    ));
                }
                if self.is_terminal || view.second % SELDOM == 0 {
                    let text = live(view, table::width());
                    self.draw(&text);
                }
            }
        }
    }

    /// A line that the next one takes the place of, on a terminal alone.
    fn progress(&mut self, line: &str) {
        if self.is_terminal {
            self.draw(&format!(
                "{}\n",
                cut(line, table::width().saturating_sub(1))
            ));
        }
    }

    /// Text that stays.
    fn fixed(&mut self, text: &str) {
        self.draw(text);
        self.drawn = 0;
    }

    fn draw(&mut self, text: &str) {
        if self.is_terminal {
            redraw(self.drawn, text);
            self.drawn = text.lines().count();
        } else {
            print(text);
        }
    }
}

fn started(directory: &Path, agent: u32) -> String {
    let directory = safe(&directory.display().to_string());
    format!(
        "A site is visited, and this program indexes its log {directory}/access.log into a store (process {agent}).\n\
         Ask it from another terminal; three of its visitors are attackers:\n\n    \
         logweir top --config {directory}/logweir.toml --by client --from -5m\n    \
         logweir timeline --config {directory}/logweir.toml --where route=/login --by status --from -5m\n    \
         logweir top --config {directory}/logweir.toml --where 'route=/api/v1/export/*' --by user --from -1h\n\n"
    )
}

/// The last minute: routes with a sparkline, and the clients with most requests.
fn live(view: &View<'_>, width: usize) -> String {
    let time = DateTime::from_timestamp(view.second, 0).unwrap_or_default();
    let killed = match view.restarts {
        0 => String::new(),
        restarts => format!(" (killed so far: {restarts})"),
    };
    let mut out = format!(
        "{} UTC   {} lines written   agent: process {}{killed}\n\n",
        time.format("%H:%M:%S"),
        grouped(view.lines),
        view.agent
    );
    match last_minute(view) {
        Ok(text) => out.push_str(&text),
        Err(text) => {
            let _ = writeln!(out, "{}", safe(&text));
        }
    }
    out.lines().fold(String::new(), |mut cut_out, line| {
        cut_out.push_str(&cut(line, width.saturating_sub(1)));
        cut_out.push('\n');
        cut_out
    })
}

fn last_minute(view: &View<'_>) -> Result<String, String> {
    // the current bar is not full yet
    let to = (view.second + 1) * 1000;
    let from = to - BAR * BARS;
    let subject = || Subject {
        range: Range { from, to },
        filters: Vec::new(),
    };
    let ask = |question: Question| {
        let store = Store { path: view.store };
        store.answer(&question).map_err(|error| error.to_string())
    };
    let top = |by: &str, limit| {
        ask(Question::Top(Top {
            subject: subject(),
            by: by.to_owned(),
            limit,
        }))
    };
    let routes = top("http.route", ROUTES)?;
    let clients = top("source.ip", CLIENTS)?;
    let timeline = ask(Question::Timeline(Timeline {
        subject: subject(),
        starts: (0..BARS).map(|bar| from + bar * BAR).collect(),
        by: Some(("http.route".to_owned(), ROUTES)),
    }))?;
    let bars = bars_by_value(&timeline);
    let mut out = String::new();
    rows(&mut out, "ROUTE", "LAST MINUTE", &routes, &bars);
    out.push('\n');
    rows(&mut out, "CLIENT", "", &clients, &[]);
    Ok(out)
}

/// The counts of each value over time.
fn bars_by_value(timeline: &Answer) -> Vec<(Cell, Vec<u64>)> {
    let columns = timeline.columns.iter().enumerate();
    let values = columns.filter_map(|(place, column)| match &column.content {
        Content::Value(value) => Some((place, value)),
        _ => None,
    });
    values
        .map(|(place, value)| {
            let counts = timeline.rows.iter().map(|row| count(row.get(place)));
            (value.clone(), counts.collect())
        })
        .collect()
}

fn count(cell: Option<&Cell>) -> u64 {
    match cell {
        Some(Cell::Whole(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}

fn rows(out: &mut String, key: &str, bars_title: &str, answer: &Answer, bars: &[(Cell, Vec<u64>)]) {
    let place = |wanted: &Content| {
        let mut columns = answer.columns.iter();
        columns.position(|column| column.content == *wanted)
    };
    let figures = [
        (Content::Count, "REQUESTS", 8),
        (Content::Share, "SHARE", 7),
        (Content::Errors, "ERRORS", 7),
        (Content::Percentile(95), "P95", 8),
        (Content::Bytes, "BYTES", 10),
    ];
    let _ = write!(out, "{key:KEY$}");
    for (_, title, width) in &figures {
        let _ = write!(out, " {title:>width$}");
    }
    let _ = writeln!(out, "  {bars_title}");
    for row in &answer.rows {
        let value = row.first().unwrap_or(&Cell::Missing);
        let shown = cut(&table::shown(value), KEY);
        let blanks = KEY.saturating_sub(columns(&shown));
        let _ = write!(out, "{shown}{:blanks$}", "");
        for (content, _, width) in &figures {
            let cell = place(content).and_then(|place| row.get(place));
            let text = table::figure(content, cell.unwrap_or(&Cell::Missing));
            let _ = write!(out, " {text:>width$}");
        }
        let counts = bars.iter().find(|(of, _)| of == value);
        let counts = counts.map_or(&[][..], |(_, counts)| counts);
        let _ = writeln!(out, "  {}", sparkline(counts));
    }
}

/// One character for each number, as high as it is against the largest.
fn sparkline(counts: &[u64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| {
        let height = usize::try_from((count * 8).div_ceil(most)).unwrap_or(0);
        height
            .checked_sub(1)
            .and_then(|height| HEIGHTS.get(height))
            .copied()
            .unwrap_or(' ')
    };
    counts.iter().map(bar).collect()
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
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
    fn a_sparkline_is_as_high_as_its_numbers() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234), "1,234");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
