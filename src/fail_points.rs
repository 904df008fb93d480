//! Fail points: steps at which a test makes the agent fail, wait or stop; for tests only.
//!
//! Owns the count of the steps that lead to something durable, across all modules of one agent. Invariant: after the last
//! step no other step has an effect: the process counts as dead, even if its code still runs.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Of the positions: a file is made, written, fsynced, renamed; its directory is fsynced.
    Create,
    Write,
    Sync,
    Rename,
    SyncDirectory,
    /// A batch is sealed and handed to the output.
    Seal,
    /// Its request leaves.
    Send,
    /// Its answer is read, when the cluster has acted.
    Answer,
    /// It is settled and handed back.
    Settle,
    /// Of the dead letters.
    LetterWrite,
    LetterSync,
    LetterRename,
    LetterSyncDirectory,
}

impl Step {
    pub(crate) const ALL: [Self; 13] = [
        Self::Create,
        Self::Write,
        Self::Sync,
        Self::Rename,
        Self::SyncDirectory,
        Self::Seal,
        Self::Send,
        Self::Answer,
        Self::Settle,
        Self::LetterWrite,
        Self::LetterSync,
        Self::LetterRename,
        Self::LetterSyncDirectory,
    ];
}

/// The fault that a test injects into a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Error,
    Delay,
    /// The process ends before it.
    Abort,
}

/// The resulting action of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Go,
    Fail,
    TakeLong,
    /// Nothing, ever again.
    Die,
}

#[derive(Debug, Default)]
struct Plan {
    /// The steps so far, while they are counted.
    passed: Option<Vec<Step>>,
    at: Option<(Step, usize, How)>,
    dead: bool,
    met: bool,
}

/// Shared by all modules of an agent; without a test it does nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailPoints(Arc<Mutex<Plan>>);

impl FailPoints {
    /// Counts all steps; at the one of this kind and number, from 0, something happens.
    pub(crate) fn new(at: Option<(Step, usize, How)>) -> Self {
        let points = Self::default();
        points.plan().passed = Some(Vec::new());
        points.plan().at = at;
        points
    }

    /// A step is about to be taken.
    pub(crate) fn pass(&self, step: Step) -> Fate {
        let mut plan = self.plan();
        if plan.dead {
            return Fate::Die;
        }
        let Some(passed) = &mut plan.passed else {
            return Fate::Go;
        };
        let number = passed.iter().filter(|passed| **passed == step).count();
        passed.push(step);
        match plan.at {
            Some((kind, at, how)) if (kind, at) == (step, number) => {
                plan.met = true;
                match how {
                    How::Error => Fate::Fail,
                    How::Delay => Fate::TakeLong,
                    How::Abort => {
                        plan.dead = true;
                        Fate::Die
                    }
                }
            }
            _ => Fate::Go,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.plan().dead
    }

    /// Another process may live; true when the one before was dead.
    pub(crate) fn revive(&self) -> bool {
        std::mem::take(&mut self.plan().dead)
    }

    /// The steps that were counted.
    pub(crate) fn passed(&self) -> Vec<Step> {
        self.plan().passed.clone().unwrap_or_default()
    }

    /// Whether something happened.
    pub(crate) fn met(&self) -> bool {
        self.plan().met
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
