//! `logweir health`, beside a running agent and without one.

use crate::support::agent::{Ended, Home, section_cluster, section_log};
use testkit::stage::Stage;

#[track_caller]
fn assert_ended(ended: &Ended, code: i32, word: &str) {
    assert_eq!(ended.code, Some(code), "{}", ended.words);
    assert!(ended.words.contains(word), "{}", ended.words);
    assert_eq!(ended.words.lines().count(), 1, "{}", ended.words);
}

#[test]
fn an_agent_that_works_is_healthy_whatever_else_the_configuration_says_now() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let agent = home.run();
    for arguments in [&["health"][..], &["health", "--ready"]] {
        assert_ended(&home.end_of(arguments), 0, "ok");
    }
    // somebody edits the configuration; the agent works on with the old one
    home.configure(
        "retention = \"soon\"\nno_such = ",
        "[elasticsearch]\nnodes = 7\n",
    );
    assert_eq!(home.end_of(&["check"]).code, Some(78));
    assert_ended(&home.end_of(&["health"]), 0, "ok");
    agent.stop();
}

#[test]
fn without_an_agent_one_line_says_why() {
    let home = Home::new();
    home.configure("", "");
    let ended = home.end_of(&["health"]);
    assert_ended(&ended, 1, "connection refused");
    assert!(ended.words.contains("`[http] listen`"), "{}", ended.words);
}

#[test]
fn an_agent_that_cannot_read_its_log_works_but_is_not_ready() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    // as in nginx's own container image
    std::os::unix::fs::symlink("/dev/stdout", home.log()).unwrap();
    let mut agent = home.run();
    agent.until("the page with the reason", |agent| {
        (agent.page("/readyz")?.status == 503).then_some(())
    });
    assert_ended(&home.end_of(&["health", "--ready"]), 1, "access.log");
    assert_ended(&home.end_of(&["health"]), 0, "ok");
    agent.stop();
}

#[test]
fn the_address_is_that_of_run_from_file_or_environment() {
    let (home, stage) = (Home::new(), Stage::new());
    let sections = section_log(&home.log(), "combined") + &section_cluster(&stage.address());
    home.configure("", &sections);
    let agent = home.run();
    let address = agent.address();
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    home.configure("", "");
    let file = std::fs::read_to_string(home.config()).unwrap();
    let elsewhere = file.replace(&address, "127.0.0.1:1");
    std::fs::write(home.config(), elsewhere).unwrap();
    assert_ended(&home.end_of(&["health"]), 1, "127.0.0.1:1");
    for listen in [address, everywhere] {
        let variable = format!("LOGWEIR_HTTP_LISTEN={listen}");
        let ended = home.end_with_variables(&[&variable], &["health"]);
        assert_ended(&ended, 0, "ok");
    }
    for (wrong, named) in [
        ("unix:/run/logweir.sock", "127.0.0.1:9280"),
        ("9280", "LOGWEIR_HTTP_LISTEN"),
    ] {
        let variable = format!("LOGWEIR_HTTP_LISTEN={wrong}");
        let ended = home.end_with_variables(&[&variable], &["health"]);
        assert_eq!(ended.code, Some(78), "{}", ended.words);
        assert!(ended.words.contains(named), "{}", ended.words);
    }
    std::fs::remove_file(home.config()).unwrap();
    assert_eq!(home.end_of(&["health"]).code, Some(78));
    agent.stop();
}
