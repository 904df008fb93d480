//! What the service manager is told about starts, reloads, stops, and an agent that moves or does not.

use super::*;

const INTERVAL: Duration = Duration::from_secs(30);

fn under_a_manager(starts: impl IntoIterator<Item = Result<Until, StartError>>) -> Arc<World> {
    World::under(Some(INTERVAL), starts)
}

impl World {
    /// The kinds of what the service manager was told; equal neighbours count once.
    fn told(&self) -> Vec<&'static str> {
        let mut told: Vec<_> = self.notices.borrow().iter().map(kind).collect();
        told.dedup();
        told
    }
}

fn kind(notice: &Notice) -> &'static str {
    match notice {
        Notice::Ready => "ready",
        Notice::Reloading => "reloading",
        Notice::Stopping => "stopping",
        Notice::Works(_) => "works",
        Notice::Stalled(_) => "stalled",
    }
}

impl Operator {
    /// Waits until the service manager was told this so often.
    async fn hears(&self, what: &str, times: usize) {
        let count = |notices: &Vec<Notice>| notices.iter().filter(|it| kind(it) == what).count();
        let mut notices = self.world.notices.subscribe();
        let _ = notices.wait_for(|notices| count(notices) >= times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_a_reload_and_a_stop_are_told() {
    let world = under_a_manager([Ok(AT_ONCE), Ok(AT_ONCE)]);
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        operator.hears("works", 1).await;
        operator.reload().await;
        operator.sees("start /b after 1").await;
        operator.hears("works", 2).await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!(
        world.told(),
        ["ready", "works", "reloading", "ready", "works", "stopping"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_reload_ends_ready_too() {
    let world = under_a_manager([Ok(AT_ONCE), Err(cannot_start()), Ok(AT_ONCE)]);
    world.next_config(Err(wrong_config()));
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        operator.hears("works", 1).await;
        operator.reload().await;
        operator.hears("ready", 2).await;
        operator.hears("works", 2).await;
        // valid, but it does not start: the old one starts again
        operator.reload().await;
        operator.hears("ready", 3).await;
        operator.hears("works", 3).await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    let reload = ["reloading", "ready", "works"];
    let expected = [
        &["ready", "works"][..],
        &reload[..],
        &reload[..],
        &["stopping"],
    ];
    assert_eq!(world.told(), expected.concat());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_cannot_start_again_is_a_known_reason() {
    let world = under_a_manager([Ok(AT_ONCE), Err(cannot_start()), Err(cannot_start())]);
    world
        .starts
        .lock()
        .unwrap()
        .extend((0..100).map(|_| Err(cannot_start())));
    world.next_config(Ok(config("b")));
    let (end, _) = run(&world, async |operator| {
        operator.hears("works", 1).await;
        operator.reload().await;
        operator.hears("works", 20).await;
        operator.stop().await;
    })
    .await;
    assert_eq!(end.unwrap(), settled());
    assert_eq!(
        world.told(),
        ["ready", "works", "reloading", "works", "stopping"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_output_gives_signs_of_life_and_a_hanging_reader_does_not() {
    let world = under_a_manager([Ok(AT_ONCE)]);
    world.set_status(|status| status.takes_nothing = true);
    world.telemetry.update(|book| {
        book.accounts.read = 9;
        book.accounts.in_flight = 9;
    });
    let (end, took) = run(&world, async |operator| {
        operator.hears("works", 100).await;
        operator.stop().await;
    })
    .await;
    end.unwrap();
    assert!(took >= INTERVAL * 99, "{took:?}");
    assert_eq!(world.told()[..2], ["ready", "works"]);
    assert!(!world.told().contains(&"stalled"));

    let world = under_a_manager([Ok(Until::Aborted)]);
    let (end, _) = run(&world, async |operator| {
        operator.hears("stalled", 3).await;
        operator.stop().await;
        operator.stop().await;
    })
    .await;
    end.unwrap();
    // the first look knows nothing yet
    assert_eq!(world.told(), ["ready", "works", "stalled", "stopping"]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_hangs_without_a_reason_gives_no_sign_of_life() {
    let world = under_a_manager([Ok(AT_ONCE)]);
    world.telemetry.update(|book| {
        book.accounts.read = 9;
        book.accounts.in_flight = 9;
    });
    let (end, took) = run(&world, async |operator| {
        operator.hears("stalled", 1).await;
        operator.stop().await;
    })
    .await;
    end.unwrap();
    assert!(took > Duration::from_secs(360), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ends_by_itself_is_told() {
    let world = under_a_manager([Ok(Until::Itself(Ended::Broken))]);
    let (end, _) = run(&world, async |_| {}).await;
    assert_eq!(end.unwrap().ended, Ended::Broken);
    assert_eq!(world.told().last(), Some(&"stopping"));
}
