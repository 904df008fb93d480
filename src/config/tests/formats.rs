//! Tests of the formats to try on a log and their order.

use super::*;

const NGINX: &str = r#"events {} http {
    log_format json_log escape=none '$json_log';
    log_format pair '$http_a $http_b';
    log_format loose escape=none '$remote_addr $http_a';
    log_format main '$remote_addr [$time_local] "$request" $status';
    server { access_log /l/json.log json_log; access_log /l/main.log main; }
    server { access_log /l/plain.log; access_log /l/loose.log loose; }
    server { access_log /l/both.log json_log; access_log /l/both.log main; }
}"#;

fn nginx(toml: &str) -> Config {
    text(toml).with("/etc/nginx/nginx.conf", NGINX).config()
}

/// The formats of the log at a path.
fn formats<'c>(config: &'c Config, path: &str) -> Vec<&'c str> {
    let mut logs = config.logs.iter();
    let log = logs.find(|log| log.paths == [path]).unwrap();
    log.formats
        .iter()
        .map(|named| named.name.as_str())
        .collect()
}

#[test]
fn a_format_that_matches_any_line_is_tried_only_where_it_is_named() {
    let config = nginx("");
    for (path, expected) in [
        (
            "/l/json.log",
            &["json_log", "combined", "main", "loose"][..],
        ),
        ("/l/main.log", &["main", "combined", "loose"]),
        ("/l/plain.log", &["combined", "main", "loose"]),
        ("/l/loose.log", &["loose", "combined", "main"]),
        // among its own formats, the general one would match all lines of the other
        ("/l/both.log", &["main", "json_log", "combined", "loose"]),
    ] {
        assert_eq!(formats(&config, path), expected, "{path}");
    }
    let config = nginx("[[logs]]\npaths = [\"/other.log\"]\n");
    let names = formats(&config, "/other.log");
    let place = |name: &str| names.iter().position(|found| *found == name);
    assert_eq!((place("json_log"), place("pair")), (None, None));
    assert!(place("combined") < place("main") && place("main") < place("loose"));
}

#[test]
fn a_list_of_formats_keeps_its_order() {
    let config = nginx(
        "[[logs]]\npaths = [\"/other.log\"]\nformat = ['$http_a', \"auto\", '$http_b', '$status $uri']\n",
    );
    let log = &config.logs[0];
    let sources: Vec<&str> = log
        .formats
        .iter()
        .map(|named| named.format.source())
        .collect();
    let end = sources.len() - 2;
    assert_eq!(sources[0], "$http_a");
    assert_eq!(sources[end..], ["$http_b", "$status $uri"]);
    let mut config = config;
    let seen = "log_format seen escape=default '$msec $time_local $http_b';".to_owned();
    config.add_formats(&[
        seen,
        "log_format again escape=default '$http_b';".to_owned(),
    ]);
    let formats: Vec<&NamedFormat> = config.logs[0].formats.iter().collect();
    assert_eq!(formats.len(), end + 3);
    assert_eq!(formats[end + 1].format.source(), "$http_b");
    assert_eq!(formats[end + 2].format.source(), "$status $uri");
    assert!(formats[1..=end].iter().any(|named| named.name == "seen"));
}

#[test]
fn well_known_formats_are_tried_on_logs_that_no_nginx_conf_names() {
    let config = text("[[logs]]\npaths = [\"/a.log\"]\n").config();
    let names = formats(&config, "/a.log");
    for name in [
        "combined",
        "nginx-main",
        "ingress-nginx",
        "nginx-proxy",
        "vhost-combined",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let place = |name: &str| names.iter().position(|found| *found == name).unwrap();
    assert!(place("combined") < place("vhost-combined"));
    assert!(place("vhost-combined") < place("nginx-proxy"));
    // before any line was seen
    assert_eq!(config.logs[0].formats.expected(), place("combined"));
    let named = text("[[logs]]\npaths = [\"/a.log\"]\nformat = \"combined\"\n").config();
    assert_eq!(formats(&named, "/a.log"), ["combined"]);
    let other = nginx("[[logs]]\npaths = [\"/a.log\"]\n");
    assert!(formats(&other, "/a.log").contains(&"ingress-nginx"));
    assert!(!formats(&nginx(""), "/l/main.log").contains(&"ingress-nginx"));
}

#[test]
fn the_expected_format_is_the_logs_own() {
    let config = nginx("");
    for log in &config.logs {
        let expected = match log.paths[0].as_str() {
            "/l/json.log" => "json_log",
            "/l/plain.log" => "combined",
            "/l/loose.log" => "loose",
            _ => "main",
        };
        let found = log.formats.get(log.formats.expected()).unwrap();
        assert_eq!(found.name, expected);
    }
}

const MAIN: &str =
    "http { log_format main '$remote_addr $status [$time_local]'; log_format odd.name '$status'; }";

#[test]
fn a_format_of_nginx_can_be_chosen_by_its_name() {
    let formats = |written: &str| {
        let toml = format!("[[logs]]\npaths = [\"/var/log/x.log\"]\nformat = {written}\n");
        text(&toml).with("/etc/nginx/nginx.conf", MAIN)
    };
    let names = |written: &str| -> Vec<String> {
        let config = formats(written).config();
        config.logs[0]
            .formats
            .iter()
            .map(|format| format.name.clone())
            .collect()
    };
    assert_eq!(names("\"main\""), ["main"]);
    assert_eq!(names("\"odd.name\""), ["odd.name"]);
    assert_eq!(names("[\"main\", \"combined\"]"), ["main", "combined"]);
    let config = formats("\"main\"").config();
    let source = config.logs[0]
        .formats
        .iter()
        .next()
        .unwrap()
        .format
        .source()
        .to_owned();
    assert_eq!(source, "$remote_addr $status [$time_local]");
    assert!(!config.logs[0].auto);
}

#[test]
fn an_undefined_format_is_reported_with_the_defined_ones() {
    let message = |name: &str, conf: Option<&str>| {
        let toml = format!("[[logs]]\npaths = [\"/var/log/x.log\"]\nformat = \"{name}\"\n");
        let machine = match conf {
            Some(conf) => text(&toml).with("/etc/nginx/nginx.conf", conf),
            None => text(&toml),
        };
        machine.errors()
    };
    let wrong = message("json", Some(MAIN));
    assert!(wrong.contains("logs[0].format: \"json\": is no log_format of /etc/nginx/nginx.conf, which defines main, odd.name; write"), "{wrong}");
    let near = message("mian", Some(MAIN));
    assert!(near.contains("did you mean \"main\"?"), "{near}");
    let none = message("main", Some("http { }"));
    assert!(none.contains("which defines none"), "{none}");
    let absent = message("main", None);
    assert!(
        absent.contains("no nginx.conf was read that could define it"),
        "{absent}"
    );
    let bad = message("main", Some("http { log_format main ''; }"));
    assert!(bad.contains("main"), "{bad}");
}

#[test]
fn a_format_that_may_be_in_an_unreadable_file_is_reported_as_such() {
    let mut machine = text("[[logs]]\npaths = [\"/var/log/x.log\"]\nformat = \"main\"\n").with(
        "/etc/nginx/nginx.conf",
        "http { include /etc/nginx/formats.conf; }",
    );
    machine.files.insert(
        "/etc/nginx/formats.conf".to_owned(),
        Err(std::io::ErrorKind::PermissionDenied),
    );
    let message = machine.errors();
    let why = "which defines none, as far as it can be read (cannot read /etc/nginx/formats.conf: permission denied)";
    assert!(message.contains(why), "{message}");
}
