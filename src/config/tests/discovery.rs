//! Tests of which logs of nginx.conf are followed, the notes about the others, and index names like those of data streams.

use std::fmt::Write as _;
use std::sync::Arc;

use super::*;
use crate::framing::FramingSetting;
use crate::globs::tests::COMPILED;

fn paths(config: &Config) -> Vec<&str> {
    let paths = config.logs.iter().flat_map(|log| &log.paths);
    paths.map(String::as_str).collect()
}

#[test]
fn with_discover_the_logs_that_no_section_takes_are_followed_too() {
    let loaded = nginx(
        "discover = true\n\
         [[logs]]\npaths = [\"/var/log/nginx/shop-*.log\"]\nname = \"shop\"\nexclude = [\"any-*\"]\n",
    )
    .load()
    .unwrap();
    let config = &loaded.config;
    assert!(config.discover);
    assert_eq!(
        paths(config),
        [
            "/var/log/nginx/shop-access.log",
            "/var/log/nginx/shop-*.log",
            "/var/log/nginx/api-access.log",
            "/etc/nginx/logs/own.log"
        ]
    );
    // Each has its own format first and the site of its server, as without any section.
    let alone = nginx("").config();
    let of = |config: &Config, path: &str| {
        let log = config.logs.iter().find(|log| log.paths == [path]).unwrap();
        format!("{:?} {}", log.fields, log.formats.shown())
    };
    for path in ["/var/log/nginx/api-access.log", "/etc/nginx/logs/own.log"] {
        assert_eq!(of(config, path), of(&alone, path));
    }
    // Logs that it cannot follow are reported, as without a section.
    let notes: Vec<String> = loaded.notes.iter().map(Note::to_string).collect();
    assert!(
        notes.iter().any(|note| note.contains("$host.log")),
        "{notes:?}"
    );
}

#[test]
fn only_logs_of_pods_are_framed_by_default() {
    let framing = |paths: &str, set: &str| {
        let toml = format!("[[logs]]\npaths = {paths}\n{set}\n");
        text(&toml).config().logs[0].framing
    };
    for (paths, expected) in [
        ("['/var/log/nginx/*.log']", FramingSetting::Raw),
        ("['/var/log/podsx/*.log']", FramingSetting::Raw),
        ("['/var/log/pods/*_*_*/*/*.log']", FramingSetting::Auto),
        (
            "['/a.log', '/var/log/containers/*.log']",
            FramingSetting::Auto,
        ),
    ] {
        assert_eq!(framing(paths, ""), expected, "{paths}");
        assert_eq!(framing(paths, "framing = 'cri'"), FramingSetting::Cri);
        assert_eq!(framing(paths, "framing = 'raw'"), FramingSetting::Raw);
    }
    let errors = text("[[logs]]\npaths = ['/a.log']\nframing = 'crio'\n").errors();
    assert!(errors.contains("did you mean \"cri\"?"), "{errors}");
    // The logs of nginx.conf are files that nginx writes.
    let config = nginx("").config();
    assert!(
        config
            .logs
            .iter()
            .all(|log| log.framing == FramingSetting::Raw)
    );
}

#[test]
fn discover_is_on_without_a_section_and_can_be_set() {
    let section = "[[logs]]\npaths = [\"/a.log\"]\n";
    for (toml, discover, logs) in [
        ("", true, 4),
        ("discover = true", true, 4),
        ("discover = false", false, 0),
        (section, false, 1),
        (&format!("discover = true\n{section}"), true, 5),
        (&format!("discover = false\n{section}"), false, 1),
    ] {
        let config = nginx(toml).config();
        assert_eq!(
            (config.discover, config.logs.len()),
            (discover, logs),
            "{toml}"
        );
    }
    let by_variable = nginx(section).var("LOGWEIR_DISCOVER", "true").config();
    assert_eq!(by_variable.logs.len(), 5);
}

#[test]
fn a_log_of_a_section_and_of_nginx_conf_is_followed_once_as_the_section_says() {
    let config = nginx(
        "discover = true\n\
         [[logs]]\npaths = [\"/var/log/nginx/shop-access.log\"]\nformat = 'mine $status'\n",
    )
    .config();
    let shop: Vec<&Log> = config
        .logs
        .iter()
        .filter(|log| log.paths.iter().any(|path| path.contains("shop")))
        .collect();
    assert_eq!(shop.len(), 1);
    assert_eq!(shop[0].formats.len(), 1);
}

#[test]
fn a_log_that_nginx_compresses_is_refused_wherever_it_is_found() {
    for toml in [
        "",
        "[[logs]]\npaths = [\"/etc/nginx/logs/*\"]",
        "[[logs]]\npaths = [\"/etc/nginx/logs/zip.gz\", \"/a.log\"]",
        "[[logs]]\npaths = [\"/etc/nginx/logs/z*\"]\nname = \"z\"",
    ] {
        let loaded = nginx(toml).load().unwrap();
        let notes: Vec<String> = loaded.notes.iter().map(Note::to_string).collect();
        let expected = "/etc/nginx/nginx.conf:9: /etc/nginx/logs/zip.gz is written compressed and is not followed; \
                        take gzip off its access_log";
        assert!(
            notes.iter().any(|note| note == expected),
            "{toml}: {notes:#?}"
        );
        for log in &loaded.config.logs {
            let is_literal = log.paths.iter().any(|path| path.contains("zip.gz"));
            let is_globbed = log.paths.iter().any(|path| path.contains('*'))
                && !log
                    .exclude
                    .iter()
                    .any(|glob| glob == "/etc/nginx/logs/zip.gz");
            assert!(!is_literal && !is_globbed, "{toml}: {log:?}");
        }
    }
}

/// The notes about servers that log nothing.
fn silent(conf: &str) -> Vec<String> {
    let machine = text("").with("/etc/nginx/nginx.conf", conf);
    let loaded = machine.load().unwrap();
    let notes = loaded.notes.iter().map(Note::to_string);
    notes
        .filter(|note| note.contains("nothing is logged"))
        .collect()
}

#[test]
fn servers_that_log_nothing_are_reported_with_their_positions() {
    let hint = "where requests are to be indexed, name a file, as in access_log /var/log/nginx/access.log;";
    let all = silent(
        "http {\n access_log off;\n server { server_name a; }\n server { server_name b; }\n}",
    );
    let expected = format!(
        "/etc/nginx/nginx.conf:2: nothing is logged: access_log is off, or /dev/null, here; {hint}"
    );
    assert_eq!(all, [expected]);
    assert_eq!(silent("http {\n access_log off;\n}").len(), 1);
    let each = silent("http {\n server { access_log off; }\n server { access_log /dev/null; }\n}");
    let expected = format!(
        "/etc/nginx/nginx.conf:2: nothing is logged: access_log is off, or /dev/null, here (also at \
         /etc/nginx/nginx.conf:3); {hint}"
    );
    assert_eq!(each, [expected]);
    let some = silent(
        "http {\n access_log /a.log;\n server { server_name a; }\n server {\n server_name b.example;\n \
         access_log off; }\n server { access_log off; }\n}",
    );
    let expected = format!(
        "/etc/nginx/nginx.conf:6: nothing is logged for b.example, the server at /etc/nginx/nginx.conf:7: access_log \
         is off, or /dev/null, here (also at /etc/nginx/nginx.conf:7); {hint}"
    );
    assert_eq!(some, [expected]);
}

#[test]
fn a_location_or_a_server_that_logs_elsewhere_is_not_silent() {
    for conf in [
        "http { access_log /a.log; server { location /health { access_log off; } } }",
        "http { access_log off; server { access_log /a.log; } }",
        "http { server { access_log off; location /api { access_log /a.log; } } }",
        "http { server { access_log off; location /api { access_log syslog:server=a; } } }",
        "http { }",
        "events {}",
    ] {
        assert_eq!(silent(conf), [""; 0], "{conf}");
    }
}

#[test]
fn an_index_named_like_a_data_stream_gets_a_hint_to_data_stream() {
    let message =
        text("[elasticsearch]\nnodes = [\"http://a\"]\nindex = \"logs-nginx.access-default\"")
            .errors();
    assert!(message.contains("data_stream = "), "{message}");
    let loaded = text("[elasticsearch]\nnodes = [\"http://a\"]\nindex = \"logs-nginx-%Y.%m.%d\"")
        .load()
        .unwrap();
    let [note] = loaded.notes.as_slice() else {
        panic!("{:?}", loaded.notes);
    };
    let note = note.to_string();
    assert!(
        note.starts_with("/etc/logweir/logweir.toml:3: elasticsearch.index: logs-nginx-%Y.%m.%d"),
        "{note}"
    );
    assert!(
        note.contains("logs-*-*") && note.contains("data_stream = "),
        "{note}"
    );
}

/// An nginx with so many servers, each with a log and a format of its own.
fn many(servers: usize, toml: &str) -> Config {
    let mut conf = String::from("http {\n");
    for at in 0..servers {
        let _ = writeln!(conf, "log_format f{at} '$remote_addr {at} $status';");
        let _ = writeln!(conf, "server {{ access_log /logs/s{at}.log f{at}; }}");
    }
    conf.push('}');
    text(toml).with("/etc/nginx/nginx.conf", conf).config()
}

/// The numbers of compiled patterns, and of formats besides the list that all logs share.
fn cost(servers: usize, toml: &str) -> (usize, usize) {
    let before = COMPILED.get();
    let config = many(servers, toml);
    let compiled = COMPILED.get() - before;
    let lists: Vec<_> = config
        .logs
        .iter()
        .map(|log| log.formats.parts().1)
        .collect();
    assert!(lists.len() >= servers);
    // one for the files that nginx.conf names, and one for the rest of a section
    let alike = lists.iter().filter(|list| Arc::ptr_eq(list, lists[0]));
    assert!(alike.count() >= servers);
    assert_eq!(lists[0].len(), servers + 1);
    let own = config.logs.iter().map(|log| log.formats.parts().0.count());
    (compiled, own.sum())
}

#[test]
fn the_cost_of_a_configuration_is_linear() {
    let each = |servers: usize| -> String {
        let section = |at| format!("[[logs]]\npaths = [\"/logs/s{at}.log\"]\n");
        (0..servers).map(section).collect()
    };
    assert_eq!(cost(50, ""), (0, 50));
    assert_eq!(cost(200, ""), (0, 200));
    let glob = "[[logs]]\npaths = [\"/logs/*.log\"]\n";
    // once to check the glob, once to use it
    assert_eq!(cost(50, glob), (2, 50));
    assert_eq!(cost(200, glob), (2, 200));
    assert_eq!(cost(50, &each(50)), (50, 50));
    assert_eq!(cost(200, &each(200)), (200, 200));
}

#[test]
fn formats_seen_before_are_kept_only_once() {
    let mut config = many(100, "");
    let seen: Vec<String> = (0..50)
        .map(|at| format!("log_format old '$status old {at}';"))
        .collect();
    assert_eq!(config.add_formats(&seen), []);
    let lists: Vec<_> = config
        .logs
        .iter()
        .map(|log| log.formats.parts().1)
        .collect();
    assert!(lists.iter().all(|list| Arc::ptr_eq(list, lists[0])));
    let names: Vec<&str> = config.logs[3]
        .formats
        .iter()
        .map(|format| format.name.as_str())
        .collect();
    assert_eq!(names.len(), 151);
    assert_eq!(names[0], "f3");
    assert_eq!(names.iter().filter(|name| **name == "old").count(), 50);
    // Each format is remembered once.
    assert_eq!(config.formats_of(|log| log.auto).len(), 151);
}
