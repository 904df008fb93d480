//! Which logs are followed: those of nginx.conf besides `[[logs]]`, but no error logs. Servers that log nothing are
//! reported.

use std::fs;

use crate::support::agent::{Ended, Home, section_cluster};
use testkit::lines::{append, append_text};
use testkit::stage::Stage;

/// A home with this nginx.conf, in which LOGS is replaced by the folder of logs.
fn home(nginx_conf: &str, top: &str, sections: &str, cluster: &str) -> Home {
    let home = Home::new();
    let logs = home.path("logs");
    fs::create_dir(&logs).unwrap();
    let here = |text: &str| text.replace("LOGS", logs.to_str().unwrap());
    let conf = home.path("nginx.conf");
    fs::write(&conf, here(nginx_conf)).unwrap();
    let sections = here(sections) + &section_cluster(cluster);
    home.configure_nginx(&conf, top, &sections);
    home
}

fn check(home: &Home) -> Ended {
    home.end_of(&["check"])
}

#[test]
fn one_log_can_be_configured_and_the_others_are_still_followed() {
    let stage = Stage::new();
    let nginx = "http {\n log_format own '$remote_addr $msec \"$request\" $status';\n\
                 server { server_name shop.example; access_log LOGS/shop-20260312.log; }\n\
                 server { server_name api.example; access_log LOGS/api.log own; }\n\
                 server { server_name health.example; access_log LOGS/health.log; }\n}\n";
    let sections =
        "[[logs]]\npaths = ['LOGS/shop-*.log']\nname = \"shop\"\nexclude = ['health.log']\n";
    let home = home(nginx, "discover = true\n", sections, &stage.address());
    append(&home.path("logs/shop-20260312.log"), 0..3);
    append(&home.path("logs/health.log"), 3..5);
    let own = "192.0.2.1 1795412474.123 \"GET /item/5 HTTP/1.1\" 200\n";
    append_text(&home.path("logs/api.log"), own);
    home.once();
    assert_eq!(stage.numbers(), [0, 1, 2, 5]);
    let documents = stage.documents();
    let api = documents
        .iter()
        .find(|document| document["url"]["path"] == "/item/5")
        .unwrap();
    assert_eq!(api["url"]["domain"], "api.example");
    assert_eq!(api["@timestamp"], "2026-11-23T05:41:14.123Z");

    let said = check(&home).words;
    let discovery =
        "  discovery   all access logs of nginx.conf that no [[logs]] takes or excludes\n";
    assert!(said.contains(discovery), "{said}");
    assert!(said.contains("log \"shop\": "), "{said}");
    assert!(said.contains("/logs/api.log\n  formats     own"), "{said}");
    assert!(
        said.contains("excluded by an exclude of [[logs]]"),
        "{said}"
    );
}

#[test]
fn without_discover_check_names_the_logs_that_no_section_takes() {
    let nginx =
        "http {\n access_log LOGS/a.log;\n server { access_log LOGS/b.log; }\n server { }\n}\n";
    let home = home(
        nginx,
        "",
        "[[logs]]\npaths = ['LOGS/a.log']\n",
        "http://127.0.0.1:1",
    );
    let said = check(&home).words;
    assert!(
        said.contains("  discovery   none, only those of [[logs]] are followed (discover)\n"),
        "{said}"
    );
    assert!(
        said.contains("b.log\": no [[logs]] includes it; with discover = true it is followed too"),
        "{said}"
    );
}

#[test]
fn an_error_log_under_a_glob_is_skipped_and_reported_by_run_and_check() {
    let stage = Stage::new();
    let sections = "[[logs]]\npaths = ['LOGS/*.log']\n";
    let home = home("events {}\n", "", sections, &stage.address());
    append(&home.path("logs/access.log"), 0..3);
    let errors = "2026/03/12 10:00:00 [error] 12#12: *1 open() \"/x\" failed (2: No such file or directory)\n";
    append_text(&home.path("logs/error.log"), errors);
    let ended = home.end_of(&["run", "--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    let told = "error.log is an error log of nginx by its first line and is not followed";
    assert!(ended.words.contains(told), "{}", ended.words);
    assert!(ended.words.contains("WARN"), "{}", ended.words);
    stage.assert_exactly(0..3);
    let said = check(&home).words;
    assert!(said.contains(told), "{said}");
    assert!(!said.contains("fit no format"), "{said}");
}

#[test]
fn logs_that_are_all_off_are_reported_by_run_and_check() {
    let nginx = "http {\n access_log off;\n server { server_name a.example; }\n}\n";
    let home = home(nginx, "", "", "http://127.0.0.1:1");
    let told = "nginx.conf:2: nothing is logged: access_log is off, or /dev/null, here";
    for arguments in [&["check"][..], &["run", "--once"]] {
        let ended = home.end_of(arguments);
        assert_eq!(ended.code, Some(78), "{arguments:?}: {}", ended.words);
        assert!(ended.words.contains(told), "{arguments:?}: {}", ended.words);
        assert!(
            ended.words.contains("add a section [[logs]]"),
            "{arguments:?}: {}",
            ended.words
        );
    }
}

#[test]
fn a_log_that_nginx_compresses_is_reported_by_run_and_check_wherever_it_is_found() {
    let stage = Stage::new();
    let nginx = "http {\n server { access_log LOGS/zip.log combined gzip; }\n\
                 server { access_log LOGS/a.log; }\n}\n";
    for sections in ["", "[[logs]]\npaths = ['LOGS/*.log']\n"] {
        let home = home(nginx, "", sections, &stage.address());
        append(&home.path("logs/a.log"), 0..3);
        append_text(&home.path("logs/zip.log"), "");
        let told =
            "zip.log is written compressed and is not followed; take gzip off its access_log";
        for arguments in [&["check"][..], &["run", "--once"]] {
            let ended = home.end_of(arguments);
            assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.words);
            let count = ended.words.matches(told).count();
            assert_eq!(count, 1, "{arguments:?}: {}", ended.words);
        }
    }
}

#[test]
fn check_reports_a_rejected_format_and_not_combined() {
    let nginx = "http {\n log_format torn 'a line with no variable';\n\
                 server { access_log LOGS/a.log torn; }\n}\n";
    let home = home(nginx, "", "", "http://127.0.0.1:1");
    for content in ["", "a line with no variable\n"] {
        fs::write(home.path("logs/a.log"), content).unwrap();
        let said = check(&home).words;
        assert!(
            said.contains("nginx writes it in log_format torn ("),
            "{said}"
        );
        assert!(
            said.contains("which cannot be used: the format has no variable"),
            "{said}"
        );
        assert!(!said.contains("  better "), "{said}");
        assert!(!said.contains("format combined"), "{said}");
    }
}
