//! Waiting for other processes and threads by the clock: with a limit, and never for nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What has not happened by then never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a waiting test looks.
const LOOK: Duration = Duration::from_millis(10);

/// The time after which a wait is in vain.
#[derive(Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// A minute from now.
    pub fn new() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// Lets some time pass; fails when there is none left, and names what did not happen.
    #[track_caller]
    pub fn pause(&self, what: impl FnOnce() -> String) {
        assert!(Instant::now() < self.0, "waited in vain for {}", what());
        std::thread::sleep(LOOK);
    }
}

/// Lets others have the processor: a load that takes all of it tests nothing but the machine.
pub fn breathe() {
    std::thread::sleep(LOOK);
}

/// Tells threads to end, also when the test that started them fails.
#[derive(Debug)]
pub struct SetOnDrop<'f>(pub &'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
