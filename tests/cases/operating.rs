//! What is shipped for operation fits the agent: alerts and documents name metrics that exist, the manifests' configuration
//! is valid, and copies are equal.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::agent::Home;
use testkit::lines::append_text;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names that begin with `logweir_` in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let parts = text.match_indices("logweir_").map(|(at, _)| {
        let rest = &text[at..];
        let is_part = |char: char| char.is_ascii_lowercase() || char == '_';
        &rest[..rest.find(|char| !is_part(char)).unwrap_or(rest.len())]
    });
    parts.collect()
}

/// All code below a directory.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn alerts_and_documents_name_metrics_that_exist() {
    let mut code = String::new();
    for folder in ["src/web", "src/output"] {
        sources(&root().join(folder), &mut code);
    }
    for (path, at_least) in [
        ("packaging/prometheus/alerts.yaml", 14),
        ("docs/OPERATING.md", 1),
    ] {
        let shipped = text(path);
        let named = metrics_in(&shipped);
        assert!(named.len() >= at_least, "{path}: {named:?}");
        for name in named {
            let name = name.strip_prefix("logweir_").unwrap();
            let name = name.strip_suffix("_total").unwrap_or(name);
            assert!(code.contains(&format!("\"{name}\"")), "{path}: {name}");
        }
    }
}

#[test]
fn each_alert_has_a_test_and_a_line_in_the_documents() {
    let rules = text("packaging/prometheus/alerts.yaml");
    let (tests, document) = (
        text("packaging/prometheus/alerts_test.yaml"),
        text("docs/OPERATING.md"),
    );
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<&str> = alerts.collect();
    assert!(alerts.len() >= 14, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(alert), "no test: {alert}");
        assert!(document.contains(alert), "not in OPERATING.md: {alert}");
    }
}

#[test]
fn what_compose_and_the_sidecar_share_is_equal() {
    let of = |name: &str| {
        ["container", "kubernetes/sidecar"]
            .map(|folder| text(&format!("packaging/{folder}/{name}")))
    };
    let [compose, sidecar] = of("rotate.sh");
    assert_eq!(compose, sidecar);
    let [compose, sidecar] = of("nginx.conf").map(|conf| {
        let lines = conf
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(compose, sidecar);
}

#[test]
fn logweir_finds_log_and_format_of_the_containers_in_the_shipped_nginx_conf() {
    let home = Home::new();
    fs::create_dir(home.path("logs")).unwrap();
    let logs = home.path("logs").display().to_string();
    let conf = text("packaging/container/nginx.conf").replace("/var/log/nginx", &logs);
    fs::write(home.path("nginx.conf"), conf).unwrap();
    home.configure("", "");
    append_text(
        &home.path("logs/access.log"),
        "10.0.0.1 - - [23/Mar/2026:04:00:00 +0000] \"GET /a HTTP/1.1\" 200 6 \"-\" \"curl/8\" \"-\" \
         shop.example 0.002 1774238400.123 8f2c6d3a9b1e4f508f2c6d3a9b1e4f50\n",
    );
    let check = home.end_of(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.words);
    assert!(check.words.contains("1 by logweir"), "{}", check.words);
    // root is told that it need not be root
    let told = check
        .words
        .lines()
        .filter(|line| line.contains("warning:") && !line.contains("runs as root"));
    assert_eq!(told.count(), 0, "{}", check.words);
    assert!(!check.words.contains("lacks"), "{}", check.words);
    let documents = home.end_of(&["run", "--once", "--output", "console"]);
    for part in [
        "\"domain\":\"shop.example\"",
        "\"id\":\"8f2c6d3a9b1e4f508f2c6d3a9b1e4f50\"",
        "\"duration\":2000000",
    ] {
        assert!(documents.words.contains(part), "{}", documents.words);
    }
}

/// Lines of ingress-nginx: an answer, a retry at another upstream, no upstream, a request that is not HTTP.
const INGRESS: &str = "\
10.42.0.1 - - [23/Mar/2026:04:00:00 +0000] \"GET /users/42/orders HTTP/2.0\" 200 612 \"-\" \"curl/8.5.0\" 402 0.003 \
[shop-web-80] [] 10.42.1.7:8080 612 0.002 200 6f1dab0c9e5e4d3bb0a1c2d3e4f50617
10.42.0.1 - eve [23/Mar/2026:04:00:01 +0000] \"POST /login HTTP/1.1\" 200 12 \"https://shop.example/\" \"Mozilla/5.0\" 811 \
0.041 [shop-web-80] [canary-web-80] 10.42.1.7:8080, 10.42.1.8:8080 0, 12 0.020, 0.019 502, 200 00000000000000000000000000000001
10.42.0.1 - - [23/Mar/2026:04:00:02 +0000] \"GET /none HTTP/1.1\" 404 146 \"-\" \"-\" 70 0.000 [upstream-default-backend] [] \
127.0.0.1:8181 146 0.000 404 00000000000000000000000000000002
10.42.0.1 - - [23/Mar/2026:04:00:03 +0000] \"\\x16\\x03\\x01\" 400 150 \"-\" \"-\" 0 0.010 [] [] - - - - \
00000000000000000000000000000003
";

#[test]
fn the_daemonsets_configuration_is_valid_and_reads_the_default_log_of_ingress_nginx() {
    let home = Home::new();
    let pod = home.path("pods/ingress-nginx_controller-7d_0f1e/controller");
    fs::create_dir_all(&pod).unwrap();
    let framed = |line| format!("2026-03-23T04:00:05.000000001Z stdout F {line}\n");
    append_text(
        &pod.join("0.log"),
        &INGRESS.lines().map(framed).collect::<String>(),
    );
    fs::write(home.path("api-key"), "id:key\n").unwrap();
    let path = |name: &str| home.path(name).display().to_string();
    let text = text("packaging/kubernetes/daemonset/logweir.toml")
        .replace("/var/log/pods", &path("pods"))
        .replace("/etc/logweir/secret/api-key", &path("api-key"))
        .replace("retention = \"30d\"\n", "");
    fs::write(home.config(), text).unwrap();
    let data = format!("LOGWEIR_DATA_DIR={}", path("data"));
    let variables = [&*data, "LOGWEIR_HOST=node-1"];
    let check = home.end_with_variables(&variables, &["check"]);
    assert_eq!(check.code, Some(0), "{}", check.words);
    let once = ["run", "--once", "--output", "console"];
    let documents = home.end_with_variables(&variables, &once);
    assert_eq!(documents.code, Some(0), "{}", documents.words);
    for part in [
        "\"route\":\"/users/{id}/orders\"",
        "\"id\":\"6f1dab0c9e5e4d3bb0a1c2d3e4f50617\"",
        "\"name\":\"eve\"",
        "\"proxy_upstream_name\":\"shop-web-80\"",
        "\"proxy_alternative_upstream_name\":\"canary-web-80\"",
    ] {
        assert!(
            documents.words.contains(part),
            "{part}: {}",
            documents.words
        );
    }
    let is_document = |line: &&str| line.starts_with('{');
    assert_eq!(documents.words.lines().filter(is_document).count(), 4);
    assert!(
        !documents.words.contains("parse_error"),
        "{}",
        documents.words
    );
}
