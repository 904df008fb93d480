//! The check of the index template before the first delivery.

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::fake_cluster::Cluster;
use testkit::stage::{Stage, TEMPLATE};

#[test]
fn the_agent_waits_for_its_template_with_a_message_and_then_delivers() {
    let (home, stage) = (Home::new(), Stage::of(Cluster::default()));
    home.configure_log(&stage.address());
    home.append(0..100);
    let mut agent = home.run();
    agent.until("the reason in /status", |agent| {
        let status = agent.status()?;
        let delivery = &status["delivery"];
        let reason = delivery["reason"].as_str()?;
        (delivery["state"] == "waiting"
            && reason.contains(TEMPLATE)
            && reason.contains("`logweir setup`"))
        .then_some(())
    });
    agent.until_said("`logweir setup`");
    // it has read as much as it may keep in memory, and it is ready
    agent.until("the lines in flight", |agent| {
        (agent.number("/lines/in_flight")? == 100).then_some(())
    });
    assert_eq!(agent.page("/readyz").unwrap().status, 200);

    stage.cluster().put_template(TEMPLATE);
    agent.until_so("the lines", || stage.count() == 100);
    agent.stop();
    stage.assert_exactly(0..100);
    // it checked twice before it sent anything
    let requests = stage.requests();
    let sent = requests.iter().position(|line| line.starts_with("POST"));
    assert!(sent.unwrap() >= 2, "{requests:?}");
}

#[test]
fn a_stop_while_the_template_is_missing_loses_nothing() {
    let (home, stage) = (Home::new(), Stage::of(Cluster::default()));
    let sections = section_log(&home.log(), "combined") + &section_cluster(&stage.address());
    // nothing can pass the closed gate, so there is nothing to wait for
    home.configure("shutdown_timeout = \"1h\"\n", &sections);
    home.append(0..100);
    let mut agent = home.run();
    agent.until_said("`logweir setup`");
    agent.stop();
    assert_eq!(stage.asked("POST"), 0);
    stage.cluster().put_template(TEMPLATE);
    home.once();
    stage.assert_exactly(0..100);
}

#[test]
fn an_agent_that_may_not_check_the_template_warns_and_delivers() {
    let (home, stage) = (Home::new(), Stage::of(Cluster::default()));
    stage.cluster().forbid("GET /_index_template/secret");
    let cluster = section_cluster(&stage.address()) + "index = \"secret-%Y.%m.%d\"\n";
    home.configure("", &(section_log(&home.log(), "combined") + &cluster));
    home.append(0..100);
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    stage.assert_exactly(0..100);
    assert!(ended.words.contains("WARN"), "{}", ended.words);
    assert!(
        ended.words.contains("--no-template-check"),
        "{}",
        ended.words
    );
}

#[test]
fn the_template_check_can_be_turned_off() {
    let (home, stage) = (Home::new(), Stage::of(Cluster::default()));
    home.configure_log(&stage.address());
    home.append(0..100);
    let ended = home.end_of(&["run", "--once", "--no-template-check"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    stage.assert_exactly(0..100);
    assert_eq!(stage.asked("GET"), 0);
}
