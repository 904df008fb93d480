//! The schedule of events, drawn from the seed before anything starts.

use std::fmt;
use std::time::Duration;

use super::output::OutputKind;
use super::random::Dice;

/// Seconds in a day.
const DAY: i64 = 86_400;
/// Lines of an index that refuses are waited for for ten minutes (`park_after` of the agent); then they are parked,
/// and this is left to see it, and to see others pass.
const CLOSED_FOR: Duration = Duration::from_secs(13 * 60 + 30);
/// Shorter runs have no time to park anything.
const LONG_RUN: Duration = Duration::from_secs(20 * 60);

/// The percentage of rotations that give a name of any kind.
const ANY_NAME: u64 = 70;
/// Before all positions are lost, files get names that are found without them for so long: the agent is done with the
/// others by then.
const CALM: Duration = Duration::from_secs(20);

/// What is done to the checkpoint while the agent is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tamper {
    /// The newest is gone; the one before it remains.
    RemoveNewest,
    /// Both are gone.
    RemoveBoth,
    /// The newest is cut off somewhere.
    Cut,
    /// The newest is empty.
    Empty,
    /// Both are replaced by older ones.
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
    /// The log of this place in the table is rotated: by logrotate, or to a name of any kind, of which this is the
    /// seed.
    Rotate { log: usize, name: Option<u64> },
    /// SIGKILL; the agent starts again after a while.
    Kill {
        down: Duration,
        tamper: Option<Tamper>,
    },
    /// SIGKILL as soon as the store has begun a new file, in a commit or a merge; the agent starts again after a while.
    KillAtWrite { down: Duration },
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
    /// The state directory's disk is full.
    DiskFull { time: Duration },
    /// Sets the wall clock this many seconds ahead of the right time.
    Clock { ahead: i64 },
    /// nginx is reloaded, and has another log format.
    Reformat,
    /// Nobody can connect to the cluster.
    Refuse { time: Duration },
    /// Some of the cluster's nodes are gone: this many, beginning with this one.
    NodesGone {
        first: usize,
        count: usize,
        /// Their ports stay open, and reset whoever connects.
        resets: bool,
        time: Duration,
    },
    /// The cluster refuses all credentials.
    Unauthorized { time: Duration },
    /// All indices are write-blocked.
    WriteBlock { time: Duration },
    /// All indices are `read_only_allow_delete`, as over the disk's flood stage.
    DiskBlock { time: Duration },
    /// No more shards are allowed, when a day begins.
    ShardLimit { time: Duration },
    /// The index of yesterday is closed, for longer than its lines are waited for.
    DayClosed { time: Duration },
}

impl Event {
    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rotate { .. } => "rotation",
            Self::Kill {
                tamper: Some(tamper),
                ..
            } => tamper.name(),
            Self::Kill { .. } => "kill -9",
            Self::KillAtWrite { .. } => "kill -9 while the store writes",
            Self::Terminate { .. } => "SIGTERM, started again",
            Self::Freeze { .. } => "SIGSTOP, SIGCONT",
            Self::HangUp => "SIGHUP with other settings",
            Self::StateBlocked { .. } => "state directory takes nothing",
            Self::FilesLimited { .. } => "no more open files (EMFILE)",
            Self::DiskFull { .. } => "state directory's disk full (ENOSPC)",
            Self::Clock { ahead } if ahead.abs() > DAY => "wall clock jumps by days",
            Self::Clock { .. } => "wall clock jumps by hours",
            Self::Reformat => "nginx reloaded with a new log_format",
            Self::NodesGone { count: 1, .. } => "one node of three gone",
            Self::NodesGone { .. } => "two nodes of three gone",
            Self::Refuse { .. } => "connection refused for a while",
            Self::Unauthorized { .. } => "401 for a while",
            Self::WriteBlock { .. } => "index write block",
            Self::DiskBlock { .. } => "index read_only_allow_delete",
            Self::ShardLimit { .. } => "cluster shard limit",
            Self::DayClosed { .. } => "an old day's index closed (parking)",
        }
    }

    /// Its name where it makes the agent read its configuration again while the cluster is away.
    pub(super) fn name_during_an_outage(self) -> Option<&'static str> {
        match self {
            Self::HangUp => Some("SIGHUP while nobody can connect"),
            Self::Reformat => Some("nginx.conf changed while nobody can connect"),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Rotate { log, name: None } => write!(f, " of log {log}"),
            Self::Rotate { log, .. } => write!(f, " of log {log} to a name of any kind"),
            Self::HangUp | Self::Reformat => Ok(()),
            Self::Clock { ahead } => write!(f, ", {ahead} s ahead"),
            Self::Kill { down: time, .. }
            | Self::KillAtWrite { down: time }
            | Self::Terminate { down: time }
            | Self::Freeze { time }
            | Self::StateBlocked { time }
            | Self::DiskFull { time }
            | Self::FilesLimited { time }
            | Self::Refuse { time }
            | Self::NodesGone { time, .. }
            | Self::Unauthorized { time }
            | Self::WriteBlock { time }
            | Self::DiskBlock { time }
            | Self::ShardLimit { time }
            | Self::DayClosed { time } => write!(f, ", {:.1} s", time.as_secs_f64()),
        }
    }
}

/// The events of a run of this length, in their order.
pub(super) fn draw(
    seed: u64,
    length: Duration,
    logs: usize,
    output: OutputKind,
) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    rotations(seed, length, logs, &mut events);
    of_the_agent(seed, length, logs, &mut events);
    of_the_host(seed, length, &mut events);
    of_nginx(seed, length, &mut events);
    match output {
        OutputKind::Elasticsearch => {
            of_the_cluster(seed, length, &mut events);
            of_the_nodes(seed, length, &mut events);
            let outage = |time| Event::Refuse { time };
            of_outages(seed, length, logs, outage, &mut events);
            if let Some((at, time)) = closed_day(length) {
                events.push((at, Event::DayClosed { time }));
            }
        }
        OutputKind::Store => {
            of_the_store(seed, length, &mut events);
            let outage = |time| Event::DiskFull { time };
            of_outages(seed, length, logs, outage, &mut events);
        }
    }
    events.sort_by_key(|(at, _)| *at);
    name_rotations(seed, &mut events);
    events
}

/// Draws which rotations give names of any kind.
fn name_rotations(seed: u64, events: &mut [(Duration, Event)]) {
    let mut dice = Dice::new(seed, "names");
    let losses: Vec<Duration> = events
        .iter()
        .filter(|(_, event)| {
            matches!(
                event,
                Event::Kill {
                    tamper: Some(Tamper::RemoveBoth),
                    ..
                }
            )
        })
        .map(|(at, _)| *at)
        .collect();
    for (at, event) in events {
        if let Event::Rotate { name, .. } = event {
            let seed = dice.next();
            let calm = losses
                .iter()
                .any(|loss| (loss.saturating_sub(CALM)..=*loss).contains(at));
            *name = (dice.percent(ANY_NAME) && !calm).then_some(seed);
        }
    }
}

/// When an old day's index is closed, and for how long. An agent that is stopped or reloaded forgets how long it
/// has waited: nothing of that kind meanwhile.
fn closed_day(length: Duration) -> Option<(Duration, Duration)> {
    (length >= LONG_RUN).then(|| (length / 4, CLOSED_FOR))
}

fn is_closed(at: Duration, length: Duration) -> bool {
    closed_day(length).is_some_and(|(from, time)| (from..from + time).contains(&at))
}

fn rotations(seed: u64, length: Duration, logs: usize, events: &mut Vec<(Duration, Event)>) {
    let mut dice = Dice::new(seed, "rotations");
    let mut at = dice.millis(2000, 5000);
    while at < length {
        events.push((at, rotation(dice.place(logs))));
        at += dice.millis(500, 4000);
    }
}

/// A rotation by logrotate; others are drawn later.
fn rotation(log: usize) -> Event {
    Event::Rotate { log, name: None }
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
        let may_end = u64::from(!is_closed(at, length));
        let what = dice.weighted(&[
            (10 * may_end, What::Kill),
            (4 * may_end, What::Tamper),
            (3 * may_end, What::Terminate),
            (3, What::Freeze),
            (3 * may_end, What::HangUp),
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
                events.push((at + within, rotation(dice.place(logs))));
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

fn of_the_host(seed: u64, length: Duration, events: &mut Vec<(Duration, Event)>) {
    let mut dice = Dice::new(seed, "host");
    let mut at = dice.millis(6000, 12_000);
    while at < length {
        let mut time = Duration::ZERO;
        let event = match dice.below(5) {
            0 | 1 => {
                time = dice.millis(2000, 7000);
                Event::DiskFull { time }
            }
            2 | 3 => Event::Clock {
                ahead: 60 * some_minutes(&mut dice, 1, 720),
            },
            _ => Event::Clock {
                ahead: 60 * some_minutes(&mut dice, 26 * 60, 60 * 60),
            },
        };
        events.push((at, event));
        at += time + dice.millis(6000, 24_000);
    }
}

/// Ahead in three cases of four.
fn some_minutes(dice: &mut Dice, from: i64, to: i64) -> i64 {
    let minutes = from + i64::try_from(dice.below((to - from).unsigned_abs())).unwrap_or(0);
    if dice.percent(75) { minutes } else { -minutes }
}

fn of_nginx(seed: u64, length: Duration, events: &mut Vec<(Duration, Event)>) {
    let mut dice = Dice::new(seed, "nginx");
    let mut at = dice.millis(10_000, 20_000);
    while at < length {
        // A changed nginx.conf makes the agent read its configuration again.
        if !is_closed(at, length) {
            events.push((at, Event::Reformat));
        }
        at += dice.millis(30_000, 60_000);
    }
}

fn of_the_nodes(seed: u64, length: Duration, events: &mut Vec<(Duration, Event)>) {
    let mut dice = Dice::new(seed, "nodes");
    let mut at = dice.millis(5000, 10_000);
    while at < length {
        let time = dice.millis(2000, 12_000);
        let event = Event::NodesGone {
            first: dice.place(super::NODES),
            count: 1 + usize::from(dice.percent(40)),
            resets: dice.percent(50),
            time,
        };
        events.push((at, event));
        at += time + dice.millis(8000, 25_000);
    }
}

fn of_the_store(seed: u64, length: Duration, events: &mut Vec<(Duration, Event)>) {
    let mut dice = Dice::new(seed, "store");
    let mut at = dice.millis(3000, 8000);
    while at < length {
        let down = dice.millis(0, 1500);
        events.push((at, Event::KillAtWrite { down }));
        at += down + dice.millis(3000, 12_000);
    }
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

/// Longer outages, and in each of them rotations and a reload, often also the agent's end: what it could not send must
/// outlive all of that.
fn of_outages(
    seed: u64,
    length: Duration,
    logs: usize,
    outage: fn(Duration) -> Event,
    events: &mut Vec<(Duration, Event)>,
) {
    let mut dice = Dice::new(seed, "outages");
    let mut at = dice.millis(10_000, 16_000);
    while at < length {
        let time = dice.millis(5000, 12_000);
        if !is_closed(at, length) && !is_closed(at + time, length) {
            events.push((at, outage(time)));
            let mut meanwhile = Vec::new();
            for _ in 0..1 + dice.below(3) {
                meanwhile.push(rotation(dice.place(logs)));
            }
            for _ in 0..1 + dice.below(2) {
                meanwhile.push(match dice.percent(50) {
                    true => Event::HangUp,
                    false => Event::Reformat,
                });
            }
            if dice.percent(50) {
                let down = dice.millis(300, 3000);
                meanwhile.push(match dice.percent(60) {
                    true => Event::Kill { down, tamper: None },
                    false => Event::Terminate { down },
                });
            }
            let end = u64::try_from(time.as_millis()).unwrap_or(0);
            for event in meanwhile {
                events.push((at + dice.millis(300, end), event));
            }
        }
        at += time + dice.millis(12_000, 26_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ES: OutputKind = OutputKind::Elasticsearch;

    #[test]
    fn a_seed_has_one_schedule() {
        let hour = Duration::from_secs(3600);
        assert_eq!(draw(7, hour, 7, ES), draw(7, hour, 7, ES));
        assert_ne!(draw(7, hour, 7, ES), draw(8, hour, 7, ES));
    }

    #[test]
    fn an_hour_has_each_kind_of_event_and_a_longer_run_begins_alike() {
        let events = draw(7, Duration::from_secs(3600), 7, ES);
        let kinds: std::collections::BTreeSet<_> =
            events.iter().map(|(_, event)| event.name()).collect();
        assert_eq!(kinds.len(), 24, "{kinds:?}");
        let first =
            |events: &[(Duration, Event)]| events.iter().take(5).copied().collect::<Vec<_>>();
        assert_eq!(
            first(&events),
            first(&draw(7, Duration::from_secs(5400), 7, ES))
        );
    }

    #[test]
    fn in_an_outage_logs_are_rotated_and_the_agent_is_reloaded_and_ended() {
        let events = draw(7, Duration::from_secs(150), 8, ES);
        let during = |of: fn(&Event) -> bool| {
            let outage = |at: &Duration| {
                events.iter().any(|(from, event)| {
                    matches!(event, Event::Refuse { time } if (*from..*from + *time).contains(at))
                })
            };
            events
                .iter()
                .filter(|(at, event)| of(event) && outage(at))
                .count()
        };
        assert!(during(|event| matches!(event, Event::Rotate { name: Some(_), .. })) > 3);
        assert!(during(|event| event.name_during_an_outage().is_some()) > 3);
        assert!(during(|event| matches!(event, Event::Kill { .. } | Event::Terminate { .. })) > 1);
    }

    #[test]
    fn before_all_positions_are_lost_no_name_needs_them() {
        let losses = |events: &[(Duration, Event)]| -> Vec<Duration> {
            let lost = |event: &Event| {
                let tamper = Some(Tamper::RemoveBoth);
                matches!(event, Event::Kill { tamper: of, .. } if *of == tamper)
            };
            let lost = events.iter().filter(|(_, event)| lost(event));
            lost.map(|(at, _)| *at).collect()
        };
        let mut seen = 0;
        for seed in 0..20 {
            let events = draw(seed, Duration::from_secs(600), 8, ES);
            for loss in losses(&events) {
                seen += 1;
                assert!(events.iter().all(|(at, event)| {
                    !matches!(event, Event::Rotate { name: Some(_), .. })
                        || *at > loss
                        || *at + CALM < loss
                }));
            }
        }
        assert!(seen > 5, "{seen}");
    }

    #[test]
    fn while_a_day_is_closed_the_agent_may_wait() {
        let hour = Duration::from_secs(3600);
        let ends = |event: &Event| {
            matches!(
                event,
                Event::Kill { .. } | Event::Terminate { .. } | Event::HangUp | Event::Reformat
            )
        };
        let events = draw(7, hour, 7, ES);
        let ending = events.iter().filter(|(_, event)| ends(event));
        assert!(ending.clone().count() > 100);
        assert!(ending.clone().all(|(at, _)| !is_closed(*at, hour)));
        assert!(
            draw(7, LONG_RUN / 2, 7, ES)
                .iter()
                .all(|(_, event)| !matches!(event, Event::DayClosed { .. }))
        );
    }

    #[test]
    fn with_a_store_no_network_and_no_cluster_fails() {
        let events = draw(7, Duration::from_secs(3600), 8, OutputKind::Store);
        let kinds: std::collections::BTreeSet<_> =
            events.iter().map(|(_, event)| event.name()).collect();
        assert!(kinds.contains("kill -9 while the store writes"));
        assert!(kinds.contains("both checkpoints removed"));
        assert_eq!(kinds.len(), 17, "{kinds:?}");
        assert!(events.iter().all(|(_, event)| !matches!(
            event,
            Event::Refuse { .. }
                | Event::NodesGone { .. }
                | Event::Unauthorized { .. }
                | Event::WriteBlock { .. }
                | Event::DiskBlock { .. }
                | Event::ShardLimit { .. }
                | Event::DayClosed { .. }
        )));
    }
}
