//! Runs the agent through every kind of durable step. In each run one step fails, takes long, or is the last one of its
//! process or of the whole machine.

use std::collections::BTreeMap;

use super::*;
use crate::fail_points::{InjectedFault, Step};

/// InjectedFault many steps of each kind are tried, spread over the run.
const TRIED: usize = 6;

/// Lines, a rotation, bad documents, an index that is closed until its lines are parked, a reload, copytruncate.
fn acts() -> Vec<Act> {
    let append = |lines| Act::Append { lines, half: false };
    let wait = |seconds: u64| Act::Wait {
        millis: seconds * 1_000,
    };
    let bad = Fault::Items {
        every: 3,
        status: 400,
        kind: "document_parsing_exception",
    };
    vec![
        append(8),
        wait(4),
        Act::Cluster(vec![bad]),
        append(6),
        wait(4),
        Act::Rotate { reopen: true },
        append(4),
        wait(4),
        Act::Close {
            today: true,
            open: false,
        },
        append(4),
        // midnight passes
        wait(300),
        append(3),
        wait(300),
        append(3),
        wait(300),
        append(3),
        wait(60),
        Act::Restart {
            same_process: false,
        },
        append(5),
        wait(4),
        Act::Copytruncate,
        append(3),
        wait(10),
    ]
}

fn life(points: &FailPoints, power: Option<usize>) {
    let mut world = World::new(&acts());
    world.fs.count_steps(points);
    world.points = points.clone();
    world.power = power;
    live_in(world);
}

/// InjectedFault many steps of each kind a run without faults has.
fn steps() -> BTreeMap<Step, usize> {
    let points = FailPoints::new(None);
    life(&points, None);
    let mut steps = BTreeMap::new();
    for step in points.passed() {
        *steps.entry(step).or_default() += 1;
    }
    for step in Step::ALL {
        assert!(steps.contains_key(&step), "{step:?} is not taken");
    }
    steps
}

fn each_step(fault: InjectedFault, power: Option<usize>) {
    for (step, count) in steps() {
        for number in (0..count).step_by(count.div_ceil(TRIED)) {
            let points = FailPoints::new(Some((step, number, fault)));
            let lived = std::panic::catch_unwind(|| life(&points, power));
            assert!(
                lived.is_ok(),
                "{fault:?} at {step:?} number {number}, {power:?}"
            );
            // Waits are random within their bounds, so one run has a few more steps than another; but each has the
            // first step of each kind.
            assert!(points.injected() || number > 0, "{step:?} is not reached");
        }
    }
}

#[test]
fn each_durable_step_may_fail() {
    each_step(InjectedFault::Error, None);
}

#[test]
fn each_durable_step_may_take_long() {
    each_step(InjectedFault::Delay, None);
}

#[test]
fn each_durable_step_may_be_the_last_of_its_process() {
    each_step(InjectedFault::Abort, None);
}

/// The dead letters are on a real disk here; the tests of the dead-letter file cover power cuts.
#[test]
fn each_durable_step_may_be_the_last_of_the_machine() {
    for kept in [0, 1] {
        each_step(InjectedFault::Abort, Some(kept));
    }
}
