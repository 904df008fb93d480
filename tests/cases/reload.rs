//! A configuration that changes while the agent runs: its own by SIGHUP, nginx's by itself.

use std::fs;

use rustix::process::Signal;

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::fake_cluster::Fault;
use testkit::lines::{append, append_text};
use testkit::stage::Stage;

#[test]
fn sighup_follows_a_new_log_and_a_wrong_configuration_changes_nothing() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("the first log", || stage.count() == 10);

    let second = home.path("second.log");
    append(&second, 10..20);
    let both = section_log(&home.log(), "combined")
        + &section_log(&second, "combined")
        + &section_cluster(&stage.address());
    home.configure("", &both);
    agent.signal(Signal::HUP);
    agent.until_so("the second log", || stage.count() == 20);

    home.configure("retention = \"tomorrow\"\n", &both);
    agent.signal(Signal::HUP);
    agent.until_said("the old one stays");
    assert!(agent.words().contains("tomorrow"), "{}", agent.words());
    home.append(20..30);
    append(&second, 30..40);
    agent.until_so("lines of both logs", || stage.count() == 40);

    let metrics = agent.page("/metrics").unwrap().body;
    for result in ["taken", "refused"] {
        let sample = format!("logweir_config_reloads_total{{result=\"{result}\"}} 1\n");
        assert!(metrics.contains(&sample), "{metrics}");
    }
    agent.stop();
    stage.assert_exactly(0..40);
    assert_eq!(stage.cluster().conflicts, 0);
}

/// Some problems appear only when the agent starts; they must not end an agent that worked.
#[test]
fn a_configuration_that_does_not_start_leaves_the_old_one_in_use() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("the log", || stage.count() == 10);
    let other = home.path("shop.log");
    append(&other, 10..20);
    let no_certificate = home.path("ca.pem");
    append(&no_certificate, 0..1);
    let cluster = section_cluster(&stage.address()) + &format!("\nca_file = {no_certificate:?}\n");
    home.configure("", &(section_log(&other, "combined") + &cluster));
    agent.signal(Signal::HUP);
    agent.until_said("the old one stays");
    home.append(20..30);
    agent.until_so("more of the log", || stage.count() == 20);
    agent.stop();
    assert_eq!(stage.numbers(), (0..10).chain(20..30).collect::<Vec<_>>());
}

/// An operator corrects a wrong address: lines that the old cluster did not accept go to the new one.
#[test]
fn sighup_switches_from_a_cluster_without_a_response_to_one_that_responds() {
    let (home, stage) = (Home::new(), Stage::new());
    let log = section_log(&home.log(), "combined");
    // it must not wait for the old one
    let top = "shutdown_timeout = \"1h\"\n";
    home.configure(
        top,
        &(log.clone() + &section_cluster(&super::cluster_down())),
    );
    home.append(0..100);
    let mut agent = home.run();
    agent.until_said("gives no usable answer");
    home.configure(top, &(log + &section_cluster(&stage.address())));
    agent.signal(Signal::HUP);
    agent.until_so("the lines", || stage.count() == 100);
    agent.until("accounts that say so", |agent| {
        let settled =
            agent.number("/lines/indexed")? == 100 && agent.number("/lines/in_flight")? == 0;
        settled.then_some(())
    });
    agent.stop();
    stage.assert_exactly(0..100);
}

#[test]
fn sighup_switches_from_a_cluster_that_refuses_to_one_that_accepts() {
    let (home, bad, good) = (Home::new(), Stage::new(), Stage::new());
    let log = section_log(&home.log(), "combined");
    let top = "shutdown_timeout = \"1h\"\n";
    bad.cluster().always = Some(Fault::Status(401, None, "security_exception"));
    home.configure(top, &(log.clone() + &section_cluster(&bad.address())));
    home.append(0..100);
    let mut agent = home.run();
    agent.until_said("delivery holds");
    home.configure(top, &(log + &section_cluster(&good.address())));
    agent.signal(Signal::HUP);
    agent.until_so("the lines", || good.count() == 100);
    agent.stop();
    good.assert_exactly(0..100);
}

#[test]
fn reloads_in_a_row_under_load_lose_and_duplicate_nothing() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    stage.cluster().script = vec![
        Fault::None,
        Fault::ResetAfter,
        Fault::Status(429, None, "x"),
    ]
    .into();
    let mut agent = home.run();
    for turn in 0..5 {
        home.append(turn * 2000..turn * 2000 + 2000);
        agent.signal(Signal::HUP);
        let taken = usize::try_from(turn).unwrap() + 1;
        agent.until("the reload", |agent| {
            (agent.words().matches("SIGHUP: continuing").count() == taken).then_some(())
        });
    }
    agent.until_so("all lines", || stage.count() == 10_000);
    agent.stop();
    stage.assert_exactly(0..10_000);
}

/// logrotate deletes files while nothing can be delivered, and then nginx.conf changes. The reload must not close files
/// that only the agent still has open.
#[test]
fn logs_deleted_while_the_cluster_was_away_survive_reloads() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    stage.cluster().always = Some(Fault::Status(503, None, "unavailable"));
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("a request", || !stage.cluster().bulks.is_empty());
    fs::remove_file(home.log()).unwrap();
    home.append(10..20);
    agent.until("both files", |agent| {
        (agent.number("/files/open")? == 2).then_some(())
    });
    for started in 2..=3 {
        agent.signal(Signal::HUP);
        agent.until("the new start", |agent| {
            (agent.words().matches("started").count() == started).then_some(())
        });
    }
    stage.cluster().always = None;
    agent.until_so("all lines", || stage.count() == 20);
    agent.stop();
    stage.assert_exactly(0..20);
}

/// Without the reload the agent would have continued, so a disk that is unreadable for a while must not end it.
#[test]
fn an_agent_that_worked_is_started_again_until_it_starts() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until("a saved position", |_| {
        home.data().join("run/checkpoint").is_file().then_some(())
    });
    let previous = home.data().join("run/checkpoint.previous");
    let _ = fs::remove_file(&previous);
    fs::create_dir(&previous).unwrap();
    agent.signal(Signal::HUP);
    agent.until_said("does not start again");
    let second = home.end_of(&["run", "--once"]);
    assert!(second.words.contains("another logweir"), "{}", second.words);
    home.append(10..20);
    fs::remove_dir(&previous).unwrap();
    agent.until_so("all lines", || stage.count() == 20);
    agent.stop();
    stage.assert_exactly(0..20);
}

/// The time limit counts from the start of the command, however often the configuration changes meanwhile.
#[test]
fn reloads_do_not_lengthen_the_time_limit() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    stage.cluster().always = Some(Fault::Status(503, None, "unavailable"));
    home.append(0..10);
    let mut agent = home.start(&["run", "--once", "--timeout", "3s"]);
    agent.until_said("started");
    let mut taken = 0;
    while !agent.words().contains("(--timeout)") {
        agent.signal(Signal::HUP);
        taken += 1;
        agent.until("the reload, or the end of the time", |agent| {
            let words = agent.words();
            let reloaded = words.matches("SIGHUP: continuing").count() == taken;
            (reloaded || words.contains("(--timeout)")).then_some(())
        });
    }
    assert!(taken > 1);
    let ended = agent.end();
    assert_eq!(ended.code, Some(69), "{}", ended.words);
}

/// A reload waits for a cluster that responds slowly; further requests are obeyed meanwhile.
#[test]
fn a_stop_and_a_reload_during_a_reload_are_obeyed() {
    let (home, stage) = (Home::new(), Stage::new());
    let sections = section_log(&home.log(), "combined")
        + &section_cluster(&stage.address())
        + "request_timeout = \"1h\"\n";
    home.configure("shutdown_timeout = \"3s\"\n", &sections);
    // no problem is known
    stage.cluster().always = Some(Fault::HangAfter);
    home.append(0..100);
    let mut agent = home.run();
    agent.until_so("a request", || !stage.cluster().bulks.is_empty());
    for taken in 1..=2 {
        agent.signal(Signal::HUP);
        agent.until("the reload", |agent| {
            (agent.words().matches("SIGHUP: continuing").count() == taken).then_some(())
        });
    }
    agent.signal(Signal::TERM);
    agent.until_said("a second signal stops at once");
    let ended = agent.end();
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    assert!(
        !ended.words.contains("stopping at once;"),
        "{}",
        ended.words
    );
    stage.cluster().always = None;
    home.once();
    stage.assert_exactly(0..100);
}

const NGINX: &str = "events {}\nhttp {\n";

#[test]
fn a_new_log_and_a_new_format_of_nginx_conf_are_used_without_a_signal() {
    let (home, stage) = (Home::new(), Stage::new());
    let (log, second) = (home.log(), home.path("second.log"));
    let write = |text: &str| fs::write(home.nginx_conf(), format!("{NGINX}{text}}}\n")).unwrap();
    write(&format!("access_log {};\n", log.display()));
    home.configure("", &section_cluster(&stage.address()));
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("the log of nginx.conf", || stage.count() == 10);

    write(&format!(
        "log_format short '$msec $status \"$request\"';\n\
         access_log {};\nserver {{ access_log {} short; }}\n",
        log.display(),
        second.display()
    ));
    append_text(
        &second,
        "1773309600.250 418 \"GET /item/10 HTTP/1.1\"\n1773309600.500 418 \"GET /item/11 HTTP/1.1\"\n",
    );
    home.append(12..20);
    agent.until_so("the second log too", || stage.count() == 20);

    // somebody is editing it: mistakes in it have no effect
    fs::write(
        home.nginx_conf(),
        format!("{NGINX}access_log {}", log.display()),
    )
    .unwrap();
    home.append(20..30);
    agent.until_so("lines written meanwhile", || stage.count() == 30);

    agent.stop();
    stage.assert_exactly(0..30);
    let documents = stage.documents();
    let teapots = documents
        .iter()
        .filter(|document| document["http"]["response"]["status_code"] == 418);
    assert_eq!(teapots.count(), 2);
    let unparsed = documents
        .iter()
        .filter(|document| document.get("error").is_some());
    assert_eq!(unparsed.count(), 0);
}

/// nginx does not wait until other problems are solved: a broken database or document keeps its previous version, and so
/// does logweir's own file while somebody is editing it.
#[test]
fn a_new_format_is_taken_while_everything_else_is_broken() {
    let (home, stage) = (Home::new(), Stage::new());
    let (agents, document) = (home.path("regexes.yaml"), home.path("openapi.yaml"));
    fs::write(&agents, testkit::USER_AGENTS).unwrap();
    fs::write(
        &document,
        "openapi: 3.0.3\npaths:\n  /item/{id}:\n    get: {}\n",
    )
    .unwrap();
    let write = |format: &str| {
        let text = format!(
            "{NGINX}log_format now '{format}';\naccess_log {} now;\n}}\n",
            home.log().display()
        );
        fs::write(home.nginx_conf(), text).unwrap();
    };
    let line = |format: &str, number: usize| {
        format!("{format} 1773309600.250 \"GET /item/{number} HTTP/1.1\" \"curl/8.5.0\"\n")
    };
    write("v0 $msec \"$request\" \"$http_user_agent\"");
    home.configure(
        &format!("openapi = '{}'\n", document.display()),
        &(section_cluster(&stage.address())
            + &format!("[enrich]\nuser_agent = '{}'\n", agents.display())),
    );
    append_text(&home.log(), &line("v0", 0));
    let mut agent = home.run();
    agent.until_so("the first line", || stage.count() == 1);

    fs::write(home.config(), "host = ").unwrap();
    fs::write(&agents, "<html>sign in</html>").unwrap();
    fs::write(&document, "openapi: [").unwrap();
    write("v1 $msec \"$request\" \"$http_user_agent\"");
    append_text(&home.log(), &line("v1", 1));
    agent.until_so("the line of the new format", || stage.count() == 2);
    for key in ["enrich.user_agent: ", "openapi: "] {
        assert!(agent.words().contains(key), "{}", agent.words());
    }
    agent.signal(Signal::HUP);
    agent.until_said("but the configuration is wrong");
    append_text(&home.log(), &line("v1", 2));
    agent.until_so("a line after it", || stage.count() == 3);
    agent.stop();
    for document in stage.documents() {
        assert_eq!(document["http"]["route"], "/item/{id}", "{document}");
        assert_eq!(document["user_agent"]["name"], "curl", "{document}");
    }
}

#[test]
fn the_first_lines_of_a_new_format_of_nginx_are_parsed() {
    let (home, stage) = (Home::new(), Stage::new());
    let write = |format: &str| {
        let text = format!(
            "{NGINX}log_format now '{format}';\naccess_log {} now;\n}}\n",
            home.log().display()
        );
        fs::write(home.nginx_conf(), text).unwrap();
    };
    let line = |number: usize, format: &str| {
        format!("{format} 1773309600.250 \"GET /item/{number} HTTP/1.1\"\n")
    };
    write("v0 $msec \"$request\"");
    append_text(&home.log(), &line(0, "v0"));
    home.configure("", &section_cluster(&stage.address()));
    let mut agent = home.run();
    agent.until_so("the first format", || stage.count() == 1);
    for version in 1..=3 {
        // Each time the first lines follow at once, and the new format is the only one in nginx.conf.
        let format = format!("v{version}");
        write(&format!("{format} $msec \"$request\""));
        for number in 0..10 {
            append_text(&home.log(), &line(10 * version + number, &format));
        }
        agent.until_so("lines of a new format", || {
            stage.count() == 1 + 10 * version
        });
    }
    // Invalid lines stay unparsed, also while somebody is editing.
    fs::write(home.nginx_conf(), format!("{NGINX}access_log")).unwrap();
    append_text(&home.log(), "rubbish\n");
    agent.until_so("the line of no format", || stage.count() == 32);
    agent.stop();
    let documents = stage.documents();
    let unparsed: Vec<_> = documents
        .iter()
        .filter_map(|document| document["error"]["message"].as_str())
        .collect();
    assert_eq!(unparsed.len(), 1, "{unparsed:?}");
}
