//! Fail points: steps at which a test makes the agent fail, wait or stop; for tests only.
//!
//! Owns the count of the steps that lead to something durable, across all modules of one agent. Invariant: after the last
//! step no other step has an effect: the process counts as dead, even if its code still runs.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// A step that saves the positions: create, write, fsync or rename a file, or fsync its directory.
    Create,
    Write,
    Sync,
    Rename,
    SyncDirectory,
    /// A batch is sealed and handed to the output.
    Seal,
    /// The batch's request is sent.
    Send,
    /// The response is read, after the cluster has acted.
    Answer,
    /// The batch is settled and its buffer is returned.
    Settle,
    /// A step that saves the dead letters.
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
pub(crate) enum InjectedFault {
    Error,
    Delay,
    /// The process ends before the step.
    Abort,
}

/// What the caller of a step has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepAction {
    Proceed,
    Fail,
    Delay,
    /// The process counts as dead: do nothing, now or later.
    Stop,
}

#[derive(Debug, Default)]
struct Plan {
    /// The steps so far, if they are counted.
    passed: Option<Vec<Step>>,
    at: Option<(Step, usize, InjectedFault)>,
    dead: bool,
    injected: bool,
}

/// The fail points that all modules of an agent share; outside of tests they do nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailPoints(Arc<Mutex<Plan>>);

impl FailPoints {
    /// Counts all steps, and injects the fault into the step of this kind and number (from 0).
    pub(crate) fn new(at: Option<(Step, usize, InjectedFault)>) -> Self {
        let points = Self::default();
        points.plan().passed = Some(Vec::new());
        points.plan().at = at;
        points
    }

    /// Counts a step that is about to be taken, and returns what to do.
    pub(crate) fn pass(&self, step: Step) -> StepAction {
        let mut plan = self.plan();
        if plan.dead {
            return StepAction::Stop;
        }
        let Some(passed) = &mut plan.passed else {
            return StepAction::Proceed;
        };
        let number = passed.iter().filter(|passed| **passed == step).count();
        passed.push(step);
        match plan.at {
            Some((kind, at, fault)) if (kind, at) == (step, number) => {
                plan.injected = true;
                match fault {
                    InjectedFault::Error => StepAction::Fail,
                    InjectedFault::Delay => StepAction::Delay,
                    InjectedFault::Abort => {
                        plan.dead = true;
                        StepAction::Stop
                    }
                }
            }
            _ => StepAction::Proceed,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.plan().dead
    }

    /// Starts another process; true if the one before was dead.
    pub(crate) fn revive(&self) -> bool {
        std::mem::take(&mut self.plan().dead)
    }

    /// The steps that were counted.
    pub(crate) fn passed(&self) -> Vec<Step> {
        self.plan().passed.clone().unwrap_or_default()
    }

    /// Whether the fault was injected.
    pub(crate) fn injected(&self) -> bool {
        self.plan().injected
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
