//! What happens when: drawn from the seed before anything starts.

use std::fmt;
use std::time::Duration;

use super::random::Dice;

/// What is done to the checkpoint while the agent is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tamper {
    /// The newest is gone; the one before it is there.
    RemoveNewest,
    /// Both are gone.
    RemoveBoth,
    /// The newest is cut off somewhere.
    Cut,
    /// The newest is empty.
    Empty,
    /// Both are those of a while ago.
    Older,
}

impl Tamper {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RemoveNewest => "checkpoint removed",
            Self::RemoveBoth => "both checkpoints removed",
            Self::Cut => "checkpoint cut off",
            Self::Empty => "checkpoint empty",
            Self::Older => "older checkpoint restored",
        }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// logrotate runs over the log of this place in the table.
    Rotate(usize),
    /// SIGKILL; the agent starts again after a while.
    Kill {
        down: Duration,
        tamper: Option<Tamper>,
    },
    /// SIGTERM, and again after a while.
    Terminate { down: Duration },
    /// SIGSTOP, and SIGCONT after a while.
    Freeze { time: Duration },
    /// SIGHUP, with other settings.
    HangUp,
    /// Nothing can be written in the state directory.
    StateBlocked { time: Duration },
    /// No more files can be opened.
    FilesLimited { time: Duration },
    /// Nobody can connect to the cluster.
    Refuse { time: Duration },
    /// The cluster knows nobody.
    Unauthorized { time: Duration },
    /// All indices are write-blocked.
    WriteBlock { time: Duration },
    /// All indices are `read_only_allow_delete`, as over the disk's flood stage.
    DiskBlock { time: Duration },
    /// No more shards are allowed, when a day begins.
    ShardLimit { time: Duration },
}

impl Event {
    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rotate(_) => "rotation",
            Self::Kill {
                tamper: Some(tamper),
                ..
            } => tamper.name(),
            Self::Kill { .. } => "kill -9",
            Self::Terminate { .. } => "SIGTERM, started again",
            Self::Freeze { .. } => "SIGSTOP, SIGCONT",
            Self::HangUp => "SIGHUP with other settings",
            Self::StateBlocked { .. } => "state directory takes nothing",
            Self::FilesLimited { .. } => "no more open files (EMFILE)",
            Self::Refuse { .. } => "connection refused for a while",
            Self::Unauthorized { .. } => "401 for a while",
            Self::WriteBlock { .. } => "index write block",
            Self::DiskBlock { .. } => "index read_only_allow_delete",
            Self::ShardLimit { .. } => "cluster shard limit",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Rotate(log) => write!(f, " of log {log}"),
            Self::HangUp => Ok(()),
            Self::Kill { down: time, .. }
            | Self::Terminate { down: time }
            | Self::Freeze { time }
            | Self::StateBlocked { time }
            | Self::FilesLimited { time }
            | Self::Refuse { time }
            | Self::Unauthorized { time }
            | Self::WriteBlock { time }
            | Self::DiskBlock { time }
            | Self::ShardLimit { time } => write!(f, ", {:.1} s", time.as_secs_f64()),
        }
    }
}

/// The events of a run of this length, in their order.
pub(super) fn draw(seed: u64, length: Duration, logs: usize) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    rotations(seed, length, logs, &mut events);
    of_the_agent(seed, length, logs, &mut events);
    of_the_cluster(seed, length, &mut events);
    events.sort_by_key(|(at, _)| *at);
    events
}

fn rotations(seed: u64, length: Duration, logs: usize, events: &mut Vec<(Duration, Event)>) {
    let mut dice = Dice::new(seed, "rotations");
    let mut at = dice.millis(2000, 5000);
    while at < length {
        events.push((at, Event::Rotate(dice.place(logs))));
        at += dice.millis(500, 4000);
    }
}

fn of_the_agent(seed: u64, length: Duration, logs: usize, events: &mut Vec<(Duration, Event)>) {
    #[derive(Clone, Copy)]
    enum What {
        Kill,
        Tamper,
        Terminate,
        Freeze,
        HangUp,
        StateBlocked,
        FilesLimited,
    }
    let mut dice = Dice::new(seed, "agent");
    let mut at = dice.millis(4000, 8000);
    while at < length {
        let what = dice.weighted(&[
            (10, What::Kill),
            (4, What::Tamper),
            (3, What::Terminate),
            (3, What::Freeze),
            (3, What::HangUp),
            (2, What::StateBlocked),
            (2, What::FilesLimited),
        ]);
        let mut time = dice.millis(0, 3000);
        // A long absence, and several rotations in it.
        if dice.percent(15) {
            time += dice.millis(4000, 8000);
            for _ in 0..2 + dice.below(5) {
                let within =
                    Duration::from_millis(dice.below(u64::try_from(time.as_millis()).unwrap_or(0)));
                events.push((at + within, Event::Rotate(dice.place(logs))));
            }
        }
        let event = match what {
            None | Some(What::Kill) => Event::Kill {
                down: time,
                tamper: None,
            },
            Some(What::Tamper) => Event::Kill {
                down: time,
                tamper: tamper(&mut dice, at, length),
            },
            Some(What::Terminate) => Event::Terminate { down: time },
            Some(What::Freeze) => Event::Freeze { time },
            Some(What::HangUp) => Event::HangUp,
            Some(What::StateBlocked) => Event::StateBlocked {
                time: time + Duration::from_secs(1),
            },
            Some(What::FilesLimited) => Event::FilesLimited {
                time: time + Duration::from_secs(1),
            },
        };
        events.push((at, event));
        at += time + dice.millis(1500, 7000);
    }
}

fn tamper(dice: &mut Dice, at: Duration, length: Duration) -> Option<Tamper> {
    // Whatever a position saved too early has lost is found again when the positions are lost or old: both only in
    // the beginning, so that the rest of the run shows it. Without any all is read again, which takes the longer
    // the more there is.
    let of_late = at > length / 2;
    let all_again = at < length.min(Duration::from_secs(1200)) / 4;
    dice.weighted(&[
        (3, Tamper::RemoveNewest),
        (2 * u64::from(all_again), Tamper::RemoveBoth),
        (3, Tamper::Cut),
        (2, Tamper::Empty),
        (3 * u64::from(!of_late), Tamper::Older),
    ])
}

fn of_the_cluster(seed: u64, length: Duration, events: &mut Vec<(Duration, Event)>) {
    #[derive(Clone, Copy)]
    enum What {
        Refuse,
        Unauthorized,
        WriteBlock,
        DiskBlock,
        ShardLimit,
    }
    let mut dice = Dice::new(seed, "cluster");
    let mut at = dice.millis(8000, 15_000);
    while at < length {
        let time = dice.millis(500, 5000);
        let what = dice.weighted(&[
            (5, What::Refuse),
            (1, What::Unauthorized),
            (2, What::WriteBlock),
            (2, What::DiskBlock),
            (2, What::ShardLimit),
        ]);
        events.push((
            at,
            match what {
                None | Some(What::Refuse) => Event::Refuse { time },
                Some(What::Unauthorized) => Event::Unauthorized { time },
                Some(What::WriteBlock) => Event::WriteBlock { time },
                Some(What::DiskBlock) => Event::DiskBlock { time },
                Some(What::ShardLimit) => Event::ShardLimit { time },
            },
        ));
        at += time + dice.millis(8000, 25_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_schedule() {
        let hour = Duration::from_secs(3600);
        assert_eq!(draw(7, hour, 7), draw(7, hour, 7));
        assert_ne!(draw(7, hour, 7), draw(8, hour, 7));
    }

    #[test]
    fn an_hour_has_each_kind_of_event_and_a_longer_run_begins_alike() {
        let events = draw(7, Duration::from_secs(3600), 7);
        let kinds: std::collections::BTreeSet<_> =
            events.iter().map(|(_, event)| event.name()).collect();
        assert_eq!(kinds.len(), 17, "{kinds:?}");
        let first =
            |events: &[(Duration, Event)]| events.iter().take(5).copied().collect::<Vec<_>>();
        assert_eq!(
            first(&events),
            first(&draw(7, Duration::from_secs(5400), 7))
        );
    }
}
