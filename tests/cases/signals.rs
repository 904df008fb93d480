//! A running agent follows its log, and however it is stopped, no line is lost or duplicated.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use logweir::clock::{Clock as _, SystemClock};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

use super::cluster_down;
use crate::support::agent::{Agent, Ended, Home, section_cluster, section_log};
use testkit::fake_cluster::Fault;
use testkit::metrics;
use testkit::redirector::Redirector;
use testkit::stage::Stage;
use testkit::wait::SetOnDrop;

/// One log, this cluster, and these keys.
fn configure(home: &Home, top: &str, cluster: &str) {
    home.configure(top, &(section_log(&home.log(), "combined") + cluster));
}

#[test]
fn lines_arrive_as_they_are_written() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let mut agent = home.run();
    // the log does not exist yet; then it grows in steps, each after the one before has arrived
    for step in 0..5 {
        home.append(step * 10..step * 10 + 10);
        let there = usize::try_from(step * 10 + 10).unwrap();
        agent.until_so("the step's lines", || stage.count() == there);
    }
    agent.stop();
    stage.assert_exactly(0..50);
}

#[test]
fn sigterm_delivers_what_was_read() {
    let (home, stage) = (Home::new(), Stage::new());
    let cluster = section_cluster(&stage.address()).replace("20ms", "1h");
    configure(&home, "", &cluster);
    home.append(0..100);
    let mut agent = home.run();
    agent.until("all lines read", |agent| {
        (agent.number("/lines/in_flight")? == 100).then_some(())
    });
    assert_eq!(stage.count(), 0, "a batch is sent when it is an hour old");
    agent.stop();
    stage.assert_exactly(0..100);
    // and the position is saved
    home.once();
    assert_eq!(stage.cluster().bulks.len(), 1);
}

#[test]
fn a_stop_waits_for_a_hanging_cluster_no_longer_than_the_grace() {
    let (home, stage) = (Home::new(), Stage::new());
    // the requests alone would hang for an hour
    let cluster = section_cluster(&stage.address()) + "request_timeout = \"1h\"\n";
    configure(&home, "shutdown_timeout = \"1s\"\n", &cluster);
    stage.cluster().always = Some(Fault::HangAfter);
    home.append(0..100);
    let mut agent = home.run();
    agent.until_so("a request", || stage.count() == 100);
    let ended = agent.stop();
    let word = "read again at the next start";
    assert!(ended.words.contains(word), "{}", ended.words);

    stage.cluster().always = None;
    home.append(100..200);
    home.once();
    stage.assert_exactly(0..200);
    assert_eq!(stage.cluster().conflicts, 100);
}

#[test]
fn a_second_signal_stops_at_once() {
    let (home, stage) = (Home::new(), Stage::new());
    let cluster = section_cluster(&stage.address()) + "request_timeout = \"1h\"\n";
    configure(&home, "shutdown_timeout = \"1h\"\n", &cluster);
    stage.cluster().always = Some(Fault::HangAfter);
    home.append(0..100);
    let mut agent = home.run();
    agent.until_so("a request", || stage.count() == 100);
    agent.signal(Signal::TERM);
    agent.until_said("a second signal stops at once");
    agent.signal(Signal::INT);
    let ended = agent.end();
    assert_eq!(ended.code, Some(0), "{}", ended.words);

    stage.cluster().always = None;
    home.once();
    stage.assert_exactly(0..100);
    assert_eq!(stage.cluster().conflicts, 100);
}

/// The time limit for a stop when nothing can be delivered, with a reserve for a loaded machine.
const AT_ONCE: Duration = Duration::from_secs(4);

/// Stops the agent, which must not wait for the grace of an hour.
fn stop_at_once(agent: Agent, what: &str) -> Ended {
    let clock = SystemClock::new();
    let began = clock.now();
    let ended = agent.stop();
    let took = clock.now() - began;
    assert!(took < AT_ONCE, "{what}: {took:?}; {}", ended.words);
    ended
}

#[test]
fn a_stop_does_not_wait_for_an_output_that_takes_nothing() {
    let busy = Fault::Items {
        every: 1,
        status: 429,
        kind: "es_rejected_execution_exception",
    };
    for (fault, state) in [
        (Fault::Status(401, None, "security_exception"), "holding"),
        (Fault::Status(403, None, "security_exception"), "holding"),
        (Fault::Status(429, Some("3600"), "busy"), "retrying"),
        (Fault::Status(503, None, "unavailable"), "retrying"),
        (Fault::ResetBefore, "retrying"),
        (Fault::Html, "retrying"),
        (busy, "retrying"),
    ] {
        let (home, stage) = (Home::new(), Stage::new());
        let cluster = section_cluster(&stage.address());
        configure(&home, "shutdown_timeout = \"1h\"\n", &cluster);
        stage.cluster().always = Some(fault.clone());
        home.append(0..100);
        let mut agent = home.run();
        agent.until("its trouble", |agent| {
            (agent.status()?["delivery"]["state"] == state).then_some(())
        });
        let ended = stop_at_once(agent, &format!("{fault:?}"));
        let word = "read again at the next start";
        assert!(ended.words.contains(word), "{fault:?}: {}", ended.words);

        stage.cluster().always = None;
        home.once();
        stage.assert_exactly(0..100);
    }
}

#[test]
fn a_stop_does_not_wait_for_a_cluster_that_is_away_redirects_or_lacks_its_template() {
    let redirect = Redirector::start(301, |path| Some(format!("http://127.0.0.1:1{path}")));
    let bare = Stage::of(Default::default());
    for (address, more) in [
        (cluster_down(), &["--no-template-check"][..]),
        (cluster_down(), &[]),
        (redirect.url(), &["--no-template-check"]),
        (bare.address(), &[]),
    ] {
        let home = Home::new();
        let top = "shutdown_timeout = \"1h\"\n";
        configure(&home, top, &section_cluster(&address));
        home.append(0..100);
        let mut agent = home.start(&[&["run"], more].concat());
        agent.until("its trouble", |agent| {
            let state = &agent.status()?["delivery"]["state"];
            (state != "delivering" && agent.words().contains("WARN")).then_some(())
        });
        stop_at_once(agent, &address);
    }
}

#[test]
fn a_stop_does_not_wait_for_a_cluster_that_never_responded() {
    // The kernel accepts connections, and nobody reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let home = Home::new();
    let top = "shutdown_timeout = \"1h\"\n";
    configure(&home, top, &section_cluster(&address));
    home.append(0..100);
    let mut agent = home.start(&["run", "--no-template-check"]);
    agent.until("a request", |agent| {
        (agent.number("/lines/in_flight")? == 100).then_some(())
    });
    let ended = stop_at_once(agent, &address);
    let word = "read again at the next start";
    assert!(ended.words.contains(word), "{}", ended.words);
}

#[test]
fn a_stop_waits_while_something_is_delivered() {
    let (home, stage) = (Home::new(), Stage::new());
    let cluster = section_cluster(&stage.address());
    configure(&home, "shutdown_timeout = \"1h\"\n", &cluster);
    stage.cluster().always = Some(Fault::Items {
        every: 2,
        status: 429,
        kind: "es_rejected_execution_exception",
    });
    home.append(0..128);
    let mut agent = home.run();
    // half of them are accepted at once, then half of the rest each time
    agent.until_so("the first half", || stage.count() >= 64);
    agent.signal(Signal::TERM);
    agent.until_so("all but the last", || stage.count() == 127);
    stage.cluster().always = None;
    let ended = agent.end();
    assert_eq!(ended.code, Some(0), "{}", ended.words);
}

#[test]
fn unused_signals_do_not_end_the_agent() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    for (signal, name) in [
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
        (Signal::POWER, "SIGPWR"),
        (Signal::XFSZ, "SIGXFSZ"),
    ] {
        agent.signal(signal);
        agent.until_said(&format!("{name} is ignored"));
    }
    for signal in [Signal::USR1, Signal::PIPE, Signal::WINCH, Signal::CHILD] {
        agent.signal(signal);
    }
    home.append(10..20);
    agent.until_so("all lines", || stage.count() == 20);
    let ended = agent.stop();
    assert_eq!(ended.words.matches("SIGUSR1 is ignored").count(), 1);
    stage.assert_exactly(0..20);
}

#[test]
fn a_directory_pipe_or_device_in_the_place_of_a_log_is_reported_and_the_other_logs_are_followed() {
    let (home, stage) = (Home::new(), Stage::new());
    std::fs::create_dir_all(home.path("a/access.log")).unwrap();
    std::fs::create_dir_all(home.path("globbed/old")).unwrap();
    std::fs::create_dir_all(home.path("globbed/b.log")).unwrap();
    let fifo = home.path("c.log");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.path("d.log")).unwrap();
    std::os::unix::fs::symlink("/dev/null", home.path("e.log")).unwrap();
    let paths = ["a/access.log", "globbed/*", "c.log", "d.log", "e.log"];
    let mut sections = section_log(&home.log(), "combined") + &section_cluster(&stage.address());
    for path in paths {
        sections += &section_log(&home.path(path), "combined");
    }
    home.configure("", &sections);
    home.append(0..10);
    let checked = home.end_of(&["check"]);
    let mut agent = home.run();
    agent.until_so("the lines of the log", || stage.count() == 10);
    for (path, what) in [
        ("a/access.log", "a directory, not a file: remove it"),
        ("globbed/b.log", "a directory, not a file: remove it"),
        ("c.log", "a pipe, not a file"),
        ("d.log", "a socket, not a file"),
        ("e.log", "a device, not a file"),
    ] {
        let text = format!("{} is {what}", home.path(path).display());
        agent.until_said(&text);
        assert_eq!(agent.words().matches(&text).count(), 1, "{text}");
        assert!(checked.words.contains(&text), "{}", checked.words);
    }
    let ended = agent.stop();
    assert!(!ended.words.contains("globbed/old"), "{}", ended.words);
}

/// The number of lines that the writer may be ahead of the cluster.
const AHEAD: u32 = 1000;

/// Writes lines, a few at a time, until it is stopped.
struct Writer {
    next: AtomicU32,
    stop: AtomicBool,
}

impl Writer {
    fn write(&self, home: &Home, stage: &Stage) {
        while !self.stop.load(Ordering::Relaxed) {
            let from = self.next.load(Ordering::Relaxed);
            let there = u32::try_from(stage.count()).unwrap();
            if from > there + AHEAD {
                std::thread::yield_now();
                continue;
            }
            home.append(from..from + 7);
            self.next.store(from + 7, Ordering::Relaxed);
            if from.is_multiple_of(350) {
                rotate(home);
            }
        }
    }

    fn numbers(&self) -> Range<u32> {
        0..self.next.load(Ordering::Relaxed)
    }
}

/// Rotates as logrotate does, and keeps all files.
fn rotate(home: &Home) {
    let rotated = |number: u32| home.path(&format!("access.log.{number}"));
    let last = (1..).find(|number| !rotated(*number).exists()).unwrap();
    for number in (1..last).rev() {
        std::fs::rename(rotated(number), rotated(number + 1)).unwrap();
    }
    std::fs::rename(home.log(), rotated(1)).unwrap();
}

/// Waits until the agent has saved its positions once more. Only then can a wrong position affect the lines: a line that
/// the agent has not read yet is safe anyway.
fn until_saved(agent: &mut Agent) {
    let mut last = None;
    agent.until("saved positions", |agent| {
        let samples = metrics::parse(&agent.page("/metrics")?.body);
        let age = *samples.get("logweir_checkpoint_age_seconds")?;
        let before = last.replace(age)?;
        (age < before).then_some(())
    });
}

/// The agent is killed repeatedly, each time with a request in flight to which the cluster has not responded, whether it
/// accepted the documents or not, while the log is written and rotated.
#[test]
fn an_agent_killed_during_deliveries_indexes_each_line_once() {
    let (home, stage) = (Home::new(), Stage::new());
    let cluster = section_cluster(&stage.address()) + "batch_count = 50\n";
    configure(&home, "", &cluster);
    let writer = Writer {
        next: AtomicU32::new(0),
        stop: AtomicBool::new(false),
    };
    // the first start decides which files are history, so it comes before any rotation
    home.once();
    std::thread::scope(|scope| {
        let _end = SetOnDrop(&writer.stop);
        scope.spawn(|| writer.write(&home, &stage));
        for round in 0..6 {
            let hang = if round % 2 == 0 {
                Fault::HangAfter
            } else {
                Fault::HangBefore
            };
            let answered = round * 3;
            let wanted = {
                let mut cluster = stage.cluster();
                cluster.script = vec![Fault::None; answered].into();
                cluster.always = Some(hang);
                cluster.bulks.len() + answered + 1
            };
            let mut agent = home.run();
            agent.until_so("a request that hangs", || {
                stage.cluster().bulks.len() >= wanted
            });
            until_saved(&mut agent);
            agent.kill();
        }
    });
    stage.cluster().always = None;
    home.once();
    stage.assert_exactly(writer.numbers());
    assert!(stage.cluster().conflicts > 0, "some were sent twice");
}

#[test]
fn a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("the first lines", || stage.count() == 10);
    for turn in 1..=4 {
        rotate(&home);
        // nginx writes into the old file until it gets the signal
        let old = home.path("access.log.1");
        testkit::lines::append(&old, turn * 100..turn * 100 + 10);
        home.append(turn * 100 + 10..turn * 100 + 20);
        let there = usize::try_from(turn * 20 + 10).unwrap();
        agent.until_so("both files' lines", || stage.count() == there);
    }
    agent.stop();
    let expected = (0..10).chain((1..=4).flat_map(|turn| turn * 100..turn * 100 + 20));
    assert_eq!(stage.numbers(), expected.collect::<Vec<u32>>());
    assert_eq!(stage.cluster().conflicts, 0);
}

#[test]
fn rotations_while_the_agent_is_stopped_are_caught_up() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    home.run().stop();
    home.append(10..20);
    rotate(&home);
    home.append(20..30);
    rotate(&home);
    home.append(30..40);
    let mut agent = home.run();
    agent.until_so("all lines", || stage.count() == 40);
    agent.stop();
    stage.assert_exactly(0..40);
    assert_eq!(stage.cluster().conflicts, 0);
}

/// The logs of a pod end with it, so a sidecar reads at its stop what the server wrote last.
#[test]
fn sigterm_delivers_what_is_written_and_not_read_yet() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("the first lines", || stage.count() == 10);
    // the agent sees neither these lines nor the signal before it goes on
    agent.signal(Signal::STOP);
    home.append(10..20_000);
    agent.signal(Signal::TERM);
    agent.signal(Signal::CONT);
    let ended = agent.end();
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    assert!(
        ended.words.contains("everything delivered"),
        "{}",
        ended.words
    );
    stage.assert_exactly(0..20_000);
}
