//! Counts of faults, and the table at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::oracle::Verdict;
use super::rotation::Counts;

/// How often each fault was injected, and how often it hit something.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<&'static str, Count>>);

/// A fault that was injected so often must have hit.
const OFTEN: u64 = 20;

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    injected: u64,
    hit: u64,
}

impl Tally {
    pub(super) fn injected(&self, fault: &'static str) {
        self.counts().entry(fault).or_default().injected += 1;
    }

    pub(super) fn hit(&self, fault: &'static str) {
        self.counts().entry(fault).or_default().hit += 1;
    }

    /// Injected and hit at once.
    pub(super) fn done(&self, fault: &'static str) {
        self.injected(fault);
        self.hit(fault);
    }

    /// All that hit something.
    pub(super) fn hits(&self) -> u64 {
        self.counts().values().map(|count| count.hit).sum()
    }

    /// Faults that were injected often and never hit: the soak does not test them.
    pub(super) fn without_effect(&self) -> Vec<&'static str> {
        let counts = self.counts();
        let idle = counts
            .iter()
            .filter(|(_, count)| count.hit == 0 && count.injected >= OFTEN);
        idle.map(|(fault, _)| *fault).collect()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter of the agent over all its runs, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// The sum over runs that have ended.
    before: f64,
    now: f64,
}

impl Counted {
    pub(super) fn saw(&mut self, value: f64) {
        if value < self.now {
            self.before += self.now;
        }
        self.now = value;
    }

    pub(super) fn total(&self) -> f64 {
        self.before + self.now
    }
}

/// The facts of a run, besides the verdict of the oracle.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) seconds: u64,
    pub(super) profile: String,
    pub(super) starts: u64,
    pub(super) parked: f64,
    pub(super) unparked: f64,
    pub(super) rotations: Counts,
    pub(super) peak_bytes: u64,
    pub(super) bound_bytes: u64,
    pub(super) identity_checks: u64,
    pub(super) caught_up_seconds: u64,
    /// What the store adds.
    pub(super) of_the_store: Vec<(&'static str, String)>,
    /// Faults that this machine does not allow, and why.
    pub(super) left_out: Vec<String>,
}

/// The table that goes into the reliability report.
pub(super) fn table(run: &Run, verdict: &Verdict, tally: &Tally) -> String {
    let mut out = format!("| {:<44} | {:>14} |\n| --- | ---: |\n", "", "");
    let mut row = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {name:<44} | {value:>14} |");
    };
    row("seed", run.seed.to_string());
    row("duration, seconds", run.seconds.to_string());
    row("agent", run.profile.clone());
    row("lines written", verdict.written.to_string());
    row("documents", verdict.documents.to_string());
    row(
        "**lost** (in a kept file, not in the index)",
        verdict.lost.to_string(),
    );
    row("**doubled**", verdict.doubled.to_string());
    row(
        "destroyed by copytruncate (in no file)",
        verdict.destroyed.to_string(),
    );
    row(
        "pieces of lines torn by copytruncate",
        verdict.pieces.to_string(),
    );
    row("dead-lettered", verdict.dead_lettered.to_string());
    row("documents that nobody wrote", verdict.strange.to_string());
    row("whole lines not parsed", verdict.unparsed.to_string());
    row(
        "parked, and brought back by itself",
        format!("{}, {}", run.parked, run.unparked),
    );
    row("starts of the agent", run.starts.to_string());
    let of = &run.rotations;
    row("rotations", of.all.to_string());
    row(
        "rotations while it was stopped",
        of.while_stopped.to_string(),
    );
    row("rotations to names of any kind", of.named.to_string());
    row(
        "… while it was stopped, or the cluster away",
        format!("{}, {}", of.named_while_stopped, of.named_while_away),
    );
    row(
        "… compressed at once, or a rotation later",
        format!("{}, {}", of.compressed_at_once, of.compressed_later),
    );
    row("… copied and truncated", of.copied.to_string());
    row(
        "… behind a link, or the link swapped",
        format!("{}, {}", of.behind_links, of.swapped),
    );
    row("kept files at the end", verdict.files.to_string());
    row(
        "peak memory, MB (bound)",
        format!(
            "{} ({})",
            run.peak_bytes / 1_000_000,
            run.bound_bytes / 1_000_000
        ),
    );
    row("accounts checked", run.identity_checks.to_string());
    row(
        "caught up after, seconds",
        run.caught_up_seconds.to_string(),
    );
    for (name, value) in &run.of_the_store {
        row(name, value.clone());
    }
    row("**faults that hit**", tally.hits().to_string());
    let _ = writeln!(
        out,
        "\n| {:<44} | {:>8} | {:>8} |\n| --- | ---: | ---: |",
        "fault", "injected", "hit"
    );
    for (fault, count) in tally.counts().iter() {
        let _ = writeln!(
            out,
            "| {fault:<44} | {:>8} | {:>8} |",
            count.injected, count.hit
        );
    }
    for words in &run.left_out {
        let _ = writeln!(out, "\nLeft out here: {words}.");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_is_injected_often_must_hit() {
        let tally = Tally::default();
        for _ in 0..OFTEN {
            tally.injected("never");
            tally.injected("once");
        }
        tally.injected("seldom");
        tally.hit("once");
        assert_eq!(tally.without_effect(), ["never"]);
    }
}
