//! The supervisor against scripted signals, configurations and agents, in virtual time: no process, no file.

#![allow(clippy::unwrap_used, clippy::panic)]

mod service_manager;

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, OnceLock};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::agent::changes::Marks;
use crate::agent::ports::OutputState;
use crate::config::tests::Machine;
use crate::config::{ConfigErrors, DEFAULT_FILE};
use crate::tail::Leaves;

/// No scenario takes longer, in virtual time.
const LIMIT: Duration = Duration::from_secs(7200);

/// What ends an agent, besides an abort.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// It ends by itself, as with `--once`.
    Itself(Ended),
    /// Everything is delivered so long after a drain.
    Drained(Duration),
    /// A drain ends it at once, with this result.
    DrainedTo(Ended),
    /// Only handing back ends it, because a delivery hangs.
    HandedBack,
    /// Only an abort ends it, because its reader hangs.
    Aborted,
}

impl Until {
    fn hangs(self) -> bool {
        matches!(self, Self::Aborted)
    }
}

const AT_ONCE: Until = Until::Drained(Duration::ZERO);

/// The scripted surroundings of the supervisor, and what it did.
struct World {
    /// The result of each start.
    starts: Mutex<VecDeque<Result<Until, StartError>>>,
    /// The result of each reading of the configuration.
    configs: Mutex<VecDeque<Result<Loaded, ConfigErrors>>>,
    /// A file of the configuration changes.
    change: Notify,
    status: Mutex<OutputState>,
    /// How often the service manager is told how the agent stands.
    interval: Option<Duration>,
    /// What the service manager was told, in order.
    notices: watch::Sender<Vec<Notice>>,
    /// What the supervisor did, in order.
    journal: watch::Sender<Vec<String>>,
    telemetry: Telemetry,
}

impl World {
    /// An output that takes everything, and agents that start so.
    fn new(starts: impl IntoIterator<Item = Result<Until, StartError>>) -> Arc<Self> {
        Self::under(None, starts)
    }

    /// The same under a service manager that is told how the agent stands this often.
    fn under(
        interval: Option<Duration>,
        starts: impl IntoIterator<Item = Result<Until, StartError>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            interval,
            notices: watch::Sender::new(Vec::new()),
            starts: Mutex::new(starts.into_iter().collect()),
            configs: Mutex::default(),
            change: Notify::new(),
            status: Mutex::new(OutputState {
                target: "a test".to_owned(),
                waits_for: None,
                takes_nothing: false,
                has_answered: true,
                settled: 0,
            }),
            journal: watch::Sender::new(Vec::new()),
            telemetry: Telemetry::default(),
        })
    }

    fn note(&self, entry: impl Into<String>) {
        self.journal
            .send_modify(|journal| journal.push(entry.into()));
    }

    fn journal(&self) -> Vec<String> {
        self.journal.borrow().clone()
    }

    /// Sets the result of the next reading of the configuration.
    fn next_config(&self, config: Result<Loaded, ConfigErrors>) {
        self.configs.lock().unwrap().push_back(config);
    }

    fn set_status(&self, change: impl FnOnce(&mut OutputState)) {
        change(&mut self.status.lock().unwrap());
    }

    fn reloads(&self, result: &str) -> u64 {
        let reloads = self.telemetry.snapshot().reloads;
        reloads.get(result).copied().unwrap_or_default()
    }
}

struct FakeRequests(mpsc::Receiver<Request>);

impl Requests for FakeRequests {
    async fn next(&mut self) -> Request {
        match self.0.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

struct FakeManager(Arc<World>);

impl ServiceManager for FakeManager {
    fn interval(&self) -> Option<Duration> {
        self.0.interval
    }

    fn tell(&self, notice: &Notice) {
        self.0
            .notices
            .send_modify(|notices| notices.push(notice.clone()));
    }
}

struct FakeConfigs(Arc<World>);

impl FakeConfigs {
    fn next(&self, how: &str) -> Result<WatchedConfig<FakeChanges>, ConfigErrors> {
        self.0.note(how);
        let loaded = self.0.configs.lock().unwrap().pop_front().unwrap()?;
        let changes = FakeChanges(Arc::clone(&self.0));
        Ok(WatchedConfig { loaded, changes })
    }
}

impl ConfigSource for FakeConfigs {
    type Changes = FakeChanges;

    fn read(&self) -> Result<WatchedConfig<FakeChanges>, ConfigErrors> {
        self.next("read")
    }

    fn follow(&self, _before: &Loaded) -> Result<WatchedConfig<FakeChanges>, ConfigErrors> {
        self.next("follow")
    }
}

struct FakeChanges(Arc<World>);

impl ConfigChanges for FakeChanges {
    async fn next(&self) -> Change {
        self.0.change.notified().await;
        let what = "nginx.conf has changed";
        let marks = Marks::new();
        Change { what, marks }
    }

    fn are_there(&self) -> bool {
        false
    }

    fn accept(&self, _marks: Marks) {
        self.0.note("accept");
    }
}

struct FakeAgents(Arc<World>);

impl AgentFactory for FakeAgents {
    type Agent = FakeAgent;

    fn start(
        &mut self,
        loaded: &Loaded,
        _stale: StaleFormats,
        carried: &mut u32,
    ) -> Result<FakeAgent, StartError> {
        let log = loaded.config.logs.first().unwrap();
        let log = log.paths.first().unwrap();
        let result = self.0.starts.lock().unwrap().pop_front().unwrap();
        let what = if result.is_ok() { "start" } else { "fail" };
        self.0.note(format!("{what} {log} after {carried}"));
        Ok(FakeAgent {
            world: Arc::clone(&self.0),
            until: result?,
            number: std::mem::take(carried) + 1,
            drained_at: OnceLock::new(),
            drain: CancellationToken::new(),
            hand_back: CancellationToken::new(),
            abort: CancellationToken::new(),
        })
    }
}

/// An agent that carries over the number of agents so far.
struct FakeAgent {
    world: Arc<World>,
    until: Until,
    number: u32,
    drained_at: OnceLock<Instant>,
    drain: CancellationToken,
    hand_back: CancellationToken,
    abort: CancellationToken,
}

impl FakeAgent {
    fn stop_reading(&self) {
        let _ = self.drained_at.set(Instant::now());
        self.drain.cancel();
    }
}

impl RunningAgent for FakeAgent {
    type Carried = u32;
    type Output = World;

    fn host(&self) -> &str {
        "web"
    }

    fn output(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    fn finish(&self) {
        self.world.note("finish");
        self.stop_reading();
    }

    fn drain(&self) {
        self.world.note("drain");
        self.stop_reading();
    }

    fn hand_back(&self) {
        self.world.note("hand back");
        self.hand_back.cancel();
    }

    fn abort(&self) {
        self.world.note("abort");
        self.abort.cancel();
    }

    fn wake(&self) {
        if !self.until.hangs() {
            self.world.telemetry.turn();
        }
    }

    async fn ended(&mut self) -> (Ended, u32) {
        let by_itself = async {
            match self.until {
                Until::Itself(ended) => ended,
                Until::Drained(after) => {
                    self.drain.cancelled().await;
                    tokio::time::sleep_until(*self.drained_at.get().unwrap() + after).await;
                    Ended::Settled
                }
                Until::DrainedTo(ended) => {
                    self.drain.cancelled().await;
                    ended
                }
                Until::HandedBack => {
                    self.hand_back.cancelled().await;
                    Ended::Released(7)
                }
                Until::Aborted => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = by_itself => ended,
            () = self.abort.cancelled() => Ended::Released(7),
        };
        (ended, self.number)
    }
}

impl OutputHealth for World {
    async fn first_answer(&self) {
        if self.status().waits_for.is_some() {
            std::future::pending().await
        }
    }

    fn status(&self) -> OutputState {
        self.status.lock().unwrap().clone()
    }
}

/// A configuration with this log.
fn config(log: &str) -> Loaded {
    let text = format!(
        "[[logs]]\npaths = ['/{log}']\nformat = 'combined'\n[elasticsearch]\nnodes = ['http://127.0.0.1:1']\n"
    );
    Machine::default().with(DEFAULT_FILE, text).load().unwrap()
}

fn wrong_config() -> ConfigErrors {
    let machine = Machine::default().with(DEFAULT_FILE, "retention = 'tomorrow'\n");
    machine.load().unwrap_err()
}

fn cannot_start() -> StartError {
    StartError::Thread(io::ErrorKind::OutOfMemory.into())
}

/// The one who sends requests to the supervisor, and sees what it does.
struct Operator {
    world: Arc<World>,
    requests: mpsc::Sender<Request>,
}

impl Operator {
    async fn reload(&self) {
        self.requests.send(Request::Reload).await.unwrap();
    }

    async fn stop(&self) {
        self.requests.send(Request::Stop).await.unwrap();
    }

    /// Waits until the supervisor has done this.
    async fn sees(&self, entry: &str) {
        self.sees_times(entry, 1).await;
    }

    /// Waits until the supervisor has done this `times` times.
    async fn sees_times(&self, entry: &str, times: usize) {
        let count = |journal: &Vec<String>| journal.iter().filter(|done| *done == entry).count();
        let mut journal = self.world.journal.subscribe();
        let _ = journal.wait_for(|journal| count(journal) >= times).await;
    }
}

/// How a supervisor ended, and how long that took in virtual time.
type RunResult = (Result<End, StartError>, Duration);

/// Runs a supervisor, first with the configuration of the log `a`, while `script` acts as the operator.
async fn run(world: &Arc<World>, script: impl AsyncFnOnce(Operator)) -> RunResult {
    run_for(world, None, script).await
}

/// The same, with a limit on the time of the whole run.
async fn run_for(
    world: &Arc<World>,
    limit: Option<Duration>,
    script: impl AsyncFnOnce(Operator),
) -> RunResult {
    let (requests, receiver) = mpsc::channel(8);
    let supervisor = Supervisor::new(
        FakeRequests(receiver),
        FakeConfigs(Arc::clone(world)),
        FakeAgents(Arc::clone(world)),
        Box::new(FakeManager(Arc::clone(world))),
        world.telemetry.clone(),
        limit,
    );
    let first = WatchedConfig {
        loaded: config("a"),
        changes: FakeChanges(Arc::clone(world)),
    };
    let began = Instant::now();
    let script = script(Operator {
        world: Arc::clone(world),
        requests,
    });
    let both = async { tokio::join!(supervisor.run(first), script).0 };
    let Ok(end) = tokio::time::timeout(LIMIT, both).await else {
        panic!("it does not end; so far: {:?}", world.journal());
    };
    (end, began.elapsed())
}

/// Runs a supervisor that is stopped at once: the request arrives before the agent starts.
async fn run_and_stop(world: &Arc<World>) -> RunResult {
    run(world, async |operator| operator.stop().await).await
}

/// Runs a supervisor that is reloaded, and stopped when it has done this.
async fn run_and_reload(world: &Arc<World>, until: &str) -> RunResult {
    run(world, async |operator| {
        operator.reload().await;
        operator.sees(until).await;
        operator.stop().await;
    })
    .await
}

const fn settled() -> End {
    End {
        ended: Ended::Settled,
        timed_out: false,
    }
}

const fn released(timed_out: bool) -> End {
    let ended = Ended::Released(7);
    End { ended, timed_out }
}

#[tokio::test(start_paused = true)]
async fn a_reload_replaces_the_agent_and_carries_its_state_over() {
    let world = World::new([Ok(AT_ONCE), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        operator.sees("start /a after 0").await;
        operator.reload().await;
        operator.sees("start /b after 1").await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!(
        world.journal(),
        [
            "start /a after 0",
            "read",
            "drain",
            "start /b after 1",
            "finish"
        ]
    );
    assert_eq!((world.reloads("taken"), world.reloads("refused")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reload_of_an_unusable_configuration_keeps_the_old_agent() {
    let world = World::new([Ok(AT_ONCE)]);
    world.next_config(Err(wrong_config()));
    // valid, but without a log and a cluster
    world.next_config(Ok(Machine::default().load().unwrap()));
    let (end, _) = run(&world, async |operator| {
        operator.reload().await;
        operator.reload().await;
        operator.sees_times("read", 2).await;
        assert_eq!(world.journal(), ["start /a after 0", "read", "read"]);
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!((world.reloads("taken"), world.reloads("refused")), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_does_not_start_is_replaced_by_the_old_one() {
    let world = World::new([Ok(AT_ONCE), Err(cannot_start()), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    let (end, took) = run_and_reload(&world, "start /a after 1").await;
    assert_eq!(end.unwrap(), settled());
    let expected = [
        "start /a after 0",
        "read",
        "drain",
        "fail /b after 1",
        "start /a after 1",
        "finish",
    ];
    assert_eq!(world.journal(), expected);
    assert_eq!((world.reloads("taken"), world.reloads("refused")), (1, 1));
    assert_eq!(took, Duration::ZERO, "nothing is waited for");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_worked_is_started_again_every_five_seconds() {
    let fails = || Err(cannot_start());
    let world = World::new([Ok(AT_ONCE), fails(), fails(), fails(), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    let (end, took) = run_and_reload(&world, "start /a after 1").await;
    assert_eq!(end.unwrap(), settled());
    let expected = [
        "start /a after 0",
        "read",
        "drain",
        "fail /b after 1",
        "fail /a after 1",
        "fail /a after 1",
        "start /a after 1",
        "finish",
    ];
    assert_eq!(world.journal(), expected);
    assert_eq!(took, 2 * START_AGAIN);
}

#[tokio::test(start_paused = true)]
async fn a_reload_while_nothing_starts_is_tried_at_once() {
    let fails = || Err(cannot_start());
    let world = World::new([Ok(AT_ONCE), fails(), fails(), fails(), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    world.next_config(Err(wrong_config()));
    world.next_config(Ok(config("c")));
    let (end, took) = run(&world, async |operator| {
        operator.reload().await;
        operator.sees("fail /a after 1").await;
        operator.reload().await;
        operator.sees_times("fail /a after 1", 2).await;
        operator.reload().await;
        operator.sees("start /c after 1").await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!((world.reloads("taken"), world.reloads("refused")), (2, 2));
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_nothing_starts_ends_the_process_at_once() {
    let fails = || Err(cannot_start());
    let world = World::new([Ok(AT_ONCE), fails(), fails()]);
    world.next_config(Ok(config("b")));
    let (end, took) = run_and_reload(&world, "fail /a after 1").await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_first_agent_that_does_not_start_is_not_tried_again() {
    let world = World::new([Err(cannot_start())]);
    let (end, _) = run(&world, async |_| {}).await;
    assert!(matches!(end, Err(StartError::Thread(_))), "{end:?}");
    assert_eq!(world.journal(), ["fail /a after 0"]);
}

/// Before the first answer, or without a template, nothing can be delivered.
#[tokio::test(start_paused = true)]
async fn a_stop_before_the_output_is_ready_waits_for_nothing() {
    let world = World::new([Ok(Until::HandedBack)]);
    world.set_status(|status| {
        status.waits_for = Some("asking".to_owned());
        status.takes_nothing = true;
        status.has_answered = false;
    });
    let (end, took) = run_and_stop(&world).await;
    assert_eq!(end.unwrap(), released(false));
    assert_eq!(world.journal(), ["start /a after 0", "hand back"]);
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_aborts() {
    let world = World::new([Ok(Until::Aborted)]);
    let (end, took) = run(&world, async |operator| {
        operator.stop().await;
        operator.sees("finish").await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), released(false));
    assert_eq!(world.journal(), ["start /a after 0", "finish", "abort"]);
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_on_an_output_that_takes_nothing() {
    for (takes_nothing, has_answered) in [(true, true), (false, false)] {
        let world = World::new([Ok(Until::HandedBack)]);
        world.set_status(|status| {
            status.takes_nothing = takes_nothing;
            status.has_answered = has_answered;
        });
        let (end, took) = run_and_stop(&world).await;
        assert_eq!(end.unwrap(), released(false));
        let expected = ["start /a after 0", "finish", "hand back"];
        assert_eq!(world.journal(), expected);
        assert!(took >= HOPELESS && took < HOPELESS + 2 * LOOK, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_while_an_output_in_trouble_takes_something_now_and_then() {
    let world = World::new([Ok(Until::HandedBack)]);
    world.set_status(|status| status.takes_nothing = true);
    let (end, took) = run(&world, async |operator| {
        operator.stop().await;
        operator.sees("finish").await;
        for _ in 0..10 {
            tokio::time::sleep(HOPELESS - 2 * LOOK).await;
            world.set_status(|status| status.settled += 1);
        }
    })
    .await;
    assert_eq!(end.unwrap(), released(false));
    assert!(took >= 10 * (HOPELESS - 2 * LOOK) + HOPELESS, "{took:?}");
    assert!(
        took < 10 * (HOPELESS - 2 * LOOK) + HOPELESS + 2 * LOOK,
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_an_output_that_is_only_slow() {
    let slow = Duration::from_secs(3600);
    let world = World::new([Ok(Until::Drained(slow))]);
    let (end, took) = run_and_stop(&world).await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!(world.journal(), ["start /a after 0", "finish"]);
    assert_eq!(took, slow);
}

/// A reload between two stops does not change that the second one ends the agent at once.
#[tokio::test(start_paused = true)]
async fn a_stop_cancels_a_reload_and_a_reload_does_not_cancel_a_stop() {
    let world = World::new([Ok(Until::Aborted)]);
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        operator.reload().await;
        operator.sees("drain").await;
        operator.stop().await;
        operator.sees("finish").await;
        operator.reload().await;
        world.change.notify_one();
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), released(false));
    let expected = ["start /a after 0", "read", "drain", "finish", "abort"];
    assert_eq!(world.journal(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_later_of_two_reloads_counts() {
    let slow = Duration::from_secs(60);
    let world = World::new([Ok(Until::Drained(slow)), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    world.next_config(Ok(config("c")));
    let (end, _) = run(&world, async |operator| {
        operator.reload().await;
        operator.sees("drain").await;
        operator.reload().await;
        operator.sees("start /c after 1").await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!(world.reloads("taken"), 2);
}

/// The new configuration may name another cluster.
#[tokio::test(start_paused = true)]
async fn a_reload_does_not_wait_for_an_output_that_takes_nothing() {
    let world = World::new([Ok(Until::HandedBack), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    world.set_status(|status| status.takes_nothing = true);
    let (end, took) = run_and_reload(&world, "start /b after 1").await;
    assert_eq!(end.unwrap(), settled());
    let expected = [
        "start /a after 0",
        "read",
        "hand back",
        "start /b after 1",
        "finish",
    ];
    assert_eq!(world.journal(), expected);
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_file_is_followed_without_a_signal() {
    let world = World::new([Ok(AT_ONCE), Ok(AT_ONCE)]);
    // an operator is in the middle of editing, then done
    world.next_config(Err(wrong_config()));
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        world.change.notify_one();
        operator.sees("accept").await;
        world.change.notify_one();
        operator.sees("start /b after 1").await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    let expected = [
        "start /a after 0",
        "follow",
        "accept",
        "follow",
        "drain",
        "start /b after 1",
        "finish",
    ];
    assert_eq!(world.journal(), expected);
    assert_eq!((world.reloads("taken"), world.reloads("refused")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ends_by_itself_ends_the_run() {
    for ended in [
        Ended::Settled,
        Ended::Waited,
        Ended::Left(Leaves::Damaged),
        Ended::Broken,
    ] {
        let world = World::new([Ok(Until::Itself(ended))]);
        let (end, _) = run(&world, async |_| {}).await;
        let timed_out = false;
        assert_eq!(end.unwrap(), End { ended, timed_out });
        assert_eq!(world.journal(), ["start /a after 0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_agent_is_not_replaced_by_a_reload() {
    let world = World::new([Ok(Until::DrainedTo(Ended::Broken))]);
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        operator.reload().await;
    })
    .await;
    assert_eq!(end.unwrap().ended, Ended::Broken);
    assert_eq!(world.journal(), ["start /a after 0", "read", "drain"]);
}

/// The limit is that of the command: reloads do not lengthen it, and after it none counts.
#[tokio::test(start_paused = true)]
async fn the_time_limit_aborts_whatever_happens_meanwhile() {
    let limit = Duration::from_secs(3);
    let world = World::new([Ok(AT_ONCE), Ok(Until::Aborted)]);
    world.next_config(Ok(config("b")));
    world.next_config(Ok(config("c")));
    let (end, took) = run_for(&world, Some(limit), async |operator| {
        tokio::time::sleep(limit / 3).await;
        operator.reload().await;
        operator.sees("start /b after 1").await;
        tokio::time::sleep(limit / 3).await;
        operator.reload().await;
    })
    .await;
    assert_eq!(end.unwrap(), released(true));
    assert_eq!(took, limit);
    let expected = [
        "start /a after 0",
        "read",
        "drain",
        "start /b after 1",
        "read",
        "drain",
        "abort",
    ];
    assert_eq!(world.journal(), expected);
}
