//! Waits until a log may have changed.
//!
//! Owns: the notify watcher on the directories, and the flags that wake the reader. Refuses to know: files, lines,
//! positions. Invariant: the next call of [`Watcher::wait`] detects an event, an overflow or a wake call that came
//! after the last one returned. The failures it guards against: one wake-up per request on a busy host, memory that
//! grows with events (they only set a flag), and an overflow of the kernel's queue that is taken for silence.
//!
//! Usage: while logs are busy the watcher is *disarmed* and the caller polls by timer, at a cost that does not depend
//! on the traffic. After a quiet second the caller *arms* it, reconciles and reads once more (lines may have been
//! written before the watch existed), and waits with the long timeout; the first event wakes it, and it disarms again.
//! File systems without events (NFS, some FUSE) are always polled.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Problem;
use super::descriptor_slots::is_shortage;

/// Why the wait ended, the most urgent reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Names in a directory changed, or events were lost: reconcile, then read.
    Rescan,
    /// A file changed: read.
    Event,
    /// [`Waker::wake`] was called.
    Called,
    /// The timeout passed.
    Timeout,
}

#[derive(Debug, Default)]
struct Flags {
    rescan: bool,
    event: bool,
    called: bool,
}

#[derive(Debug, Default)]
struct Signal {
    flags: Mutex<Flags>,
    changed: Condvar,
}

impl Signal {
    fn flags(&self) -> MutexGuard<'_, Flags> {
        // The flags are valid even if the other thread panicked.
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, flag: impl FnOnce(&mut Flags)) {
        flag(&mut self.flags());
        self.changed.notify_one();
    }
}

/// Ends the wait of the reader from another thread: for acks and for shutdown.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<Signal>);

impl Waker {
    /// Ends the present wait, or otherwise the next one.
    pub(crate) fn wake(&self) {
        self.0.set(|flags| flags.called = true);
    }
}

/// How the reader sleeps; a port, so that tests can move time instead of waiting for it.
pub(crate) trait Wait {
    /// The handle for other threads.
    fn waker(&self) -> Waker;
    /// See [`Watcher::arm`].
    fn arm<'p>(&mut self, directories: impl IntoIterator<Item = &'p Path>) -> bool;
    /// See [`Watcher::disarm`].
    fn disarm(&mut self);
    /// See [`Watcher::wait`].
    fn wait(&self, timeout: Duration) -> Woken;
    /// See [`Watcher::problem`].
    fn problem(&self) -> Option<&Problem> {
        None
    }
}

impl Wait for Watcher {
    fn waker(&self) -> Waker {
        Self::waker(self)
    }

    fn arm<'p>(&mut self, directories: impl IntoIterator<Item = &'p Path>) -> bool {
        Self::arm(self, directories)
    }

    fn disarm(&mut self) {
        Self::disarm(self);
    }

    fn wait(&self, timeout: Duration) -> Woken {
        Self::wait(self, timeout)
    }

    fn problem(&self) -> Option<&Problem> {
        Self::problem(self)
    }
}

/// Waits for events in directories.
pub(crate) struct Watcher {
    signal: Arc<Signal>,
    /// `None` if only timers are used.
    notify: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    problem: Option<Problem>,
}

impl Watcher {
    /// A disarmed watcher; with `poll` it never requests events.
    pub(crate) fn new(poll: bool) -> Self {
        let signal = Arc::new(Signal::default());
        let mut problem = None;
        let notify = if poll {
            None
        } else {
            let handler = Arc::clone(&signal);
            match notify::recommended_watcher(move |event| note(&handler, &event)) {
                Ok(watcher) => Some(watcher),
                Err(error) => {
                    problem = Some(Self::no_events(Path::new("/"), &error));
                    None
                }
            }
        };
        Self {
            signal,
            notify,
            watched: BTreeSet::new(),
            problem,
        }
    }

    /// The handle for other threads.
    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.signal))
    }

    /// Requests events in `directories`, and no others. The caller reconciles and reads once more afterwards, because
    /// no event is sent for earlier changes. False if events are not available everywhere: keep polling.
    pub(crate) fn arm<'p>(&mut self, directories: impl IntoIterator<Item = &'p Path>) -> bool {
        let Some(notify) = &mut self.notify else {
            return false;
        };
        let wanted: BTreeSet<&Path> = directories.into_iter().collect();
        self.watched.retain(|path| {
            let keep = wanted.contains(path.as_path());
            if !keep {
                // The directory may have been deleted, and the watch with it.
                let _ = notify.unwatch(path);
            }
            keep
        });
        self.problem = None;
        for path in wanted {
            if self.watched.contains(path) {
                continue;
            }
            match notify.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => _ = self.watched.insert(path.to_owned()),
                Err(error) => {
                    self.problem
                        .get_or_insert_with(|| Self::no_events(path, &error));
                }
            }
        }
        self.problem.is_none()
    }

    /// Stops requesting events.
    pub(crate) fn disarm(&mut self) {
        if let Some(notify) = &mut self.notify {
            for path in std::mem::take(&mut self.watched) {
                let _ = notify.unwatch(&path);
            }
        }
    }

    /// The reason why no events are available, if there is one.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Waits for an event or a call, for at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Woken {
        let quiet = |flags: &mut Flags| !(flags.rescan || flags.event || flags.called);
        let (mut flags, _) = self
            .signal
            .changed
            .wait_timeout_while(self.signal.flags(), timeout, quiet)
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *flags) {
            Flags { rescan: true, .. } => Woken::Rescan,
            Flags { event: true, .. } => Woken::Event,
            Flags { called: true, .. } => Woken::Called,
            Flags { .. } => Woken::Timeout,
        }
    }

    fn no_events(path: &Path, error: &notify::Error) -> Problem {
        let advice = match &error.kind {
            notify::ErrorKind::MaxFilesWatch => {
                "; raise fs.inotify.max_user_watches (sysctl) above the number of directories with logs"
            }
            notify::ErrorKind::Io(error) if is_shortage(error) => {
                "; raise fs.inotify.max_user_instances (sysctl), or the limit of open files (LimitNOFILE)"
            }
            _ => "",
        };
        Problem::new(
            path,
            format!("gives no events: {error}; it is polled instead{advice}"),
        )
    }
}

fn note(signal: &Signal, event: &notify::Result<Event>) {
    match event {
        // The kernel's queue overflowed, or the watch itself failed: anything may have happened.
        Err(_) => signal.set(|flags| flags.rescan = true),
        Ok(event) if event.need_rescan() => signal.set(|flags| flags.rescan = true),
        Ok(event) => match event.kind {
            // notify requests OPEN and CLOSE too, and our own reads cause them.
            EventKind::Access(_) => {}
            // A touch or a chmod: the log may be readable now, but its bytes are the same.
            EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_)) => {
                signal.set(|flags| flags.rescan = true);
            }
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                signal.set(|flags| flags.event = true);
            }
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    /// Long enough for a loaded machine; a passing test never waits this long.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn wait_for(watcher: &Watcher, wanted: Woken) {
        // Events of one cause may come in several wakes; each wait ends with one.
        while watcher.wait(PATIENCE) != wanted {}
    }

    #[test]
    fn a_call_from_another_thread_ends_the_wait() {
        let watcher = Watcher::new(true);
        let waker = watcher.waker();
        let caller = std::thread::spawn(move || waker.wake());
        assert_eq!(watcher.wait(PATIENCE), Woken::Called);
        caller.join().unwrap();
        assert_eq!(watcher.wait(Duration::ZERO), Woken::Timeout);
    }

    #[test]
    fn writes_and_new_names_wake_and_own_reads_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut watcher = Watcher::new(false);
        assert!(watcher.arm([directory.path()]));
        assert!(!watcher.watched.is_empty());

        file.write_all(b"x\n").unwrap();
        wait_for(&watcher, Woken::Event);

        // Reads come before the rename in the queue: if they caused events, the next wake would be an Event.
        std::fs::read(&path).unwrap();
        std::fs::rename(&path, directory.path().join("access.log.1")).unwrap();
        let mut woken = watcher.wait(PATIENCE);
        if woken == Woken::Event {
            // The rest of the write above.
            woken = watcher.wait(PATIENCE);
        }
        assert_eq!(woken, Woken::Rescan);

        watcher.disarm();
        assert!(watcher.watched.is_empty());
        assert!(watcher.arm([directory.path()]));
        std::fs::write(directory.path().join("access.log"), b"").unwrap();
        wait_for(&watcher, Woken::Rescan);
    }

    #[test]
    fn a_directory_that_cannot_be_watched_is_reported() {
        let mut watcher = Watcher::new(false);
        assert!(!watcher.arm([Path::new("/nonexistent/logs")]));
        assert!(
            watcher
                .problem()
                .unwrap()
                .to_string()
                .starts_with("/nonexistent/logs gives no events")
        );
    }

    #[test]
    fn a_limit_of_the_system_is_reported_with_the_setting_that_raises_it() {
        let said = |error: notify::Error| Watcher::no_events(Path::new("/logs"), &error).text;
        let watches = said(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        assert!(watches.contains("fs.inotify.max_user_watches"), "{watches}");
        let instances = said(notify::Error::io(rustix::io::Errno::MFILE.into()));
        assert!(
            instances.contains("fs.inotify.max_user_instances"),
            "{instances}"
        );
    }

    #[test]
    fn an_overflow_causes_a_rescan() {
        let watcher = Watcher::new(true);
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        note(&watcher.signal, &Ok(overflow));
        assert_eq!(watcher.wait(Duration::ZERO), Woken::Rescan);
        let access = Event::new(EventKind::Access(notify::event::AccessKind::Any));
        note(&watcher.signal, &Ok(access));
        assert_eq!(watcher.wait(Duration::ZERO), Woken::Timeout);
    }
}
