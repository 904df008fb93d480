//! Problems without an error are reported: a log of which no line parses, a cluster that never responded, unreadable parts
//! of nginx.conf and unreadable logs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::cluster_down;
use crate::support::agent::{Agent, Home, section_cluster, section_log};
use testkit::lines::append_text;
use testkit::stage::Stage;

/// Lines that no format matches; too many to be a coincidence.
fn garbage() -> String {
    (0..40)
        .map(|number| format!("no line of nginx {number}\n"))
        .collect()
}

fn problems(agent: &Agent) -> Option<Vec<String>> {
    let status = agent.status()?;
    let problems = status["problems"].as_array()?.iter();
    problems
        .map(|problem| problem.as_str().map(str::to_owned))
        .collect()
}

/// A number of `/metrics`.
fn metric(agent: &Agent, name: &str) -> Option<f64> {
    let page = agent.page("/metrics")?.body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")))?;
    line.parse().ok()
}

#[test]
fn a_log_without_a_parsed_line_is_reported_until_lines_parse() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    append_text(&home.log(), &garbage());
    let mut agent = home.run();
    let told = agent.until("the problem in /status", |agent| {
        problems(agent)?
            .into_iter()
            .find(|problem| problem.contains("none of them fits a format"))
    });
    assert!(
        told.starts_with(&home.log().display().to_string()),
        "{told}"
    );
    assert!(told.contains("name the format of this log"), "{told}");
    assert!(told.contains("logweir check --parse"), "{told}");
    assert_eq!(metric(&agent, "logweir_unparsed_logs"), Some(1.0));
    assert_eq!(agent.page("/readyz").unwrap().status, 200);
    agent.until_said("none of them fits a format");
    append_text(&home.log(), &garbage());
    agent.until_so("the rest", || stage.count() == 80);
    home.append(0..10);
    agent.until("the end of the problem", |agent| {
        problems(agent)?.is_empty().then_some(())
    });
    assert_eq!(metric(&agent, "logweir_unparsed_logs"), Some(0.0));
    let warnings = agent.words().matches("none of them fits a format").count();
    assert_eq!(warnings, 1, "{}", agent.words());
    agent.stop();
}

/// A run that ends by itself cannot wait for more lines.
#[test]
fn once_reports_a_log_whose_only_line_does_not_parse() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    append_text(&home.log(), "no line of nginx\n");
    let ended = home.end_of(&["run", "--once"]);
    assert!(
        ended.words.contains("none of them fits a format"),
        "{}",
        ended.words
    );
    home.append(0..10);
    let ended = home.end_of(&["run", "--once"]);
    assert!(
        !ended.words.contains("none of them fits a format"),
        "{}",
        ended.words
    );
}

#[test]
fn a_cluster_that_never_answered_is_a_problem_until_it_does() {
    let home = Home::new();
    let down = cluster_down();
    let sections = section_log(&home.log(), "combined") + &section_cluster(&down);
    home.configure("shutdown_timeout = \"0s\"\n", &sections);
    home.append(0..10);
    let mut agent = home.run();
    let told = agent.until("the problem in /status", |agent| {
        problems(agent)?.into_iter().next()
    });
    assert!(
        told.contains(&down) && told.contains("is it running"),
        "{told}"
    );
    assert_eq!(metric(&agent, "logweir_cluster_answered"), Some(0.0));
    assert_eq!(metric(&agent, "logweir_problems"), Some(1.0));
    assert_eq!(agent.page("/readyz").unwrap().status, 200);
    agent.stop();

    let stage = Stage::new();
    home.configure_log(&stage.address());
    let mut agent = home.run();
    agent.until_so("delivery", || stage.count() == 10);
    assert_eq!(problems(&agent), Some(vec![]));
    assert_eq!(metric(&agent, "logweir_cluster_answered"), Some(1.0));
    agent.stop();
}

/// Whether the test runs as root, who may read everything and must become another user for this.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The output of `check` as the user nobody, who may not read `closed`, a part of this nginx.conf.
fn check_as_nobody(conf: &str, close: impl FnOnce(&Home)) -> crate::support::agent::Ended {
    let home = Home::new();
    let folder = home.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    fs::create_dir_all(home.path("sites")).unwrap();
    fs::create_dir_all(home.path("logs")).unwrap();
    fs::write(
        home.path("sites/shop.conf"),
        "server { access_log /no/such.log; }\n",
    )
    .unwrap();
    fs::write(home.path("nginx.conf"), conf.replace("DIR", folder)).unwrap();
    home.append(0..10);
    fs::create_dir_all(home.data()).unwrap();
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o777)).unwrap();
    home.configure("discover = true", &section_cluster("http://127.0.0.1:1"));
    close(&home);
    home.end_as_nobody(&["check"])
}

fn close(path: &std::path::Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

#[test]
fn an_unreadable_part_of_nginx_conf_fails_the_check() {
    if !is_root() {
        return;
    }
    let log = "access_log DIR/access.log;";
    let cases = [
        ("sites/*.conf", "sites", 0o000),
        // its entries may be listed, but not opened
        ("sites/*.conf", "sites", 0o744),
        ("sites/*.conf", "sites/shop.conf", 0o000),
        ("sites/shop.conf", "sites/shop.conf", 0o000),
    ];
    for (include, closed, mode) in cases {
        let conf = format!("http {{ {log}\ninclude DIR/{include}; server {{ }} }}\n");
        let ended = check_as_nobody(&conf, |home| {
            fs::set_permissions(home.path(closed), fs::Permissions::from_mode(mode)).unwrap();
        });
        let words = &ended.words;
        assert_eq!(ended.code, Some(77), "{include} {closed} {mode:o}: {words}");
        assert!(
            words.contains("error: ") && words.contains("cannot read"),
            "{words}"
        );
        assert!(
            words.contains("nginx.conf:2") || words.contains("shop.conf"),
            "{words}"
        );
        assert!(words.contains("not usable"), "{words}");
    }
    let conf = format!("http {{ {log}\ninclude DIR/sites/*.conf; server {{ }} }}\n");
    let ended = check_as_nobody(&conf, |_| {});
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    // nginx would not start without it, so nginx reports it; no permission is missing
    let conf = format!("http {{ {log}\ninclude DIR/sites/absent.conf; server {{ }} }}\n");
    let ended = check_as_nobody(&conf, |_| {});
    assert_eq!(ended.code, Some(0), "{}", ended.words);
}

#[test]
fn an_unreadable_log_beside_readable_ones_fails_the_check() {
    if !is_root() {
        return;
    }
    let conf =
        "http { access_log DIR/access.log;\nserver { access_log DIR/logs/b.log; } server { } }\n";
    for closed in ["logs", "logs/b.log"] {
        let ended = check_as_nobody(conf, |home| {
            fs::write(home.path("logs/b.log"), "").unwrap();
            close(&home.path(closed));
        });
        assert_eq!(ended.code, Some(77), "{closed}: {}", ended.words);
        assert!(ended.words.contains("error: "), "{}", ended.words);
    }
    let ended = check_as_nobody(conf, |home| fs::write(home.path("logs/b.log"), "").unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.words);
}

#[test]
fn an_unreadable_part_of_nginx_conf_is_shown_while_running() {
    let (home, stage) = (Home::new(), Stage::new());
    // nobody can read a folder as a file, not even root
    fs::create_dir(home.path("closed.conf")).unwrap();
    let folder = home.path("").display().to_string();
    let conf = format!("http {{ access_log off;\ninclude {folder}closed.conf; }}\n");
    fs::write(home.path("nginx.conf"), conf).unwrap();
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut agent = home.run();
    agent.until_so("delivery", || stage.count() == 10);
    let status: Value = agent.status().unwrap();
    let told = status["problems"][0].as_str().unwrap_or_default();
    assert!(
        told.contains("nginx.conf:2: cannot read") && told.contains("closed.conf"),
        "{status}"
    );
    assert!(agent.words().contains("cannot read"), "{}", agent.words());
    assert_eq!(agent.page("/readyz").unwrap().status, 200);
    agent.stop();
}
