//! Tests the pages of a view in which all numbers differ.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::build_info;
use crate::config::IndexTarget;
use crate::event::{FileKey, OutcomeCounts};
use crate::framing::LineFraming;
use crate::output::elasticsearch::{Elasticsearch, Settings};
use crate::tail::{self, Lag, Leaves, Problem, Rotations};
use crate::telemetry::{Accounts, Parsing};

/// 2026-11-23, 04:00 UTC, in milliseconds.
const NOW: i64 = 1_795_406_400_000;

pub(super) fn view() -> View {
    let snapshot = Snapshot {
        accounts: Accounts {
            read: 101 + 102 + 103 + 104 + 105 + 106 + 107 + 108 + 109,
            settled: OutcomeCounts {
                indexed: 101,
                duplicate: 102,
                diverted: 103,
                dead_lettered: 104,
                parked: 105,
                filtered: 106,
                expired: 40,
            },
            expired: 67,
            released: 108,
            in_flight: 109,
        },
        parsing: Parsing {
            parsed: BTreeMap::from([("main".to_owned(), 119), ("combined".to_owned(), 120)]),
            errors: BTreeMap::from([("literal", 121), ("status", 122)]),
            stderr_lines: 123,
        },
        tail: tail::Stats {
            files_waiting: 3,
            damaged_files: [("truncated", 2)].into(),
            bytes_read: 130,
            rotations: Rotations {
                renamed: 131,
                copied: 132,
                removed: 133,
            },
            truncations: 134,
            lost_bytes: BTreeMap::from([("truncated", 135)]),
            passed_over_bytes: BTreeMap::from([("expired", 146)]),
            error_logs: 147,
            long_lines: 136,
            files_open: 137,
            deleted_open_bytes: 138,
            stream_id_collisions: 139,
            files_not_found: 147,
            unassigned_files: 148,
            saves: 0,
            problems: vec![Problem {
                path: "/logs/error \"quoted\".log".into(),
                text: "cannot be read: \u{1b}[31m".to_owned(),
                leaves: Leaves::Input,
            }],
        },
        lag: [("/logs/a", 140), ("/logs/b", 1000)]
            .map(|(path, unread)| Lag {
                file: FileKey(unread),
                log: 0,
                path: PathBuf::from(path),
                unread,
                framing: LineFraming::Raw,
            })
            .into(),
        backpressure_seconds: 141.5,
        polled_millis: Some(NOW - 2_000),
        checkpoint_millis: Some(NOW - 142_000),
        checkpoint_errors: 143,
        reloads: BTreeMap::from([("refused", 144), ("taken", 145)]),
        unparsed: vec![Problem {
            path: "/logs/odd.log".into(),
            text: "holds lines and none of them fits a format".to_owned(),
            leaves: Leaves::Nothing,
        }],
    };
    View {
        snapshot,
        delivery: Health::Delivering,
        output: None,
        host: "web-07".to_owned(),
        problems: vec!["/etc/nginx/nginx.conf:3: cannot read /etc/nginx/sites/*".to_owned()],
        unix_millis: NOW,
        started_millis: NOW - 3_600_000,
    }
}

fn with_output() -> View {
    let settings = Settings::new(
        vec!["http://127.0.0.1:9200".parse().unwrap()],
        "/nonexistent".into(),
    );
    let output = Elasticsearch::connect(settings, IndexTarget::default_target().unwrap()).unwrap();
    let millis = Duration::from_millis;
    output.stats().begin(150).end(200, millis(7));
    output.stats().begin(151).end(429, millis(70));
    output.stats().begin(152).end(200, Duration::from_secs(100));
    output.stats().unparked_more(153);
    View {
        output: Some(output),
        ..view()
    }
}

/// Each sample of a page: name with labels, and value.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let twice = samples.insert(name, value.parse().unwrap());
        assert!(twice.is_none(), "duplicate key {name}");
    }
    samples
}

#[test]
fn the_metrics_page() {
    let page = metrics::page(with_output()).unwrap();
    let build = format!(
        "version=\"{}\",commit=\"{}\",profile=\"{}\"",
        build_info::VERSION,
        build_info::COMMIT,
        build_info::PROFILE
    );
    let page = page.replace(
        &build,
        "version=\"VERSION\",commit=\"COMMIT\",profile=\"PROFILE\"",
    );
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("metrics", page);
    });
}

#[test]
fn each_metric_is_written_once_and_follows_the_rules() {
    let page = metrics::page(with_output()).unwrap();
    assert!(page.ends_with("# EOF\n"));
    let mut described = BTreeSet::new();
    let mut types = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} has two types");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(described.insert(rest.split_once(' ').unwrap().0), "{rest}");
        }
    }
    for sample in samples(&page).keys() {
        let name = sample.split('{').next().unwrap();
        let family = ["_total", "_info", "_sum", "_count", "_bucket"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        assert!(name.starts_with("logweir_"), "{name}");
        assert!(described.contains(family), "{name} has no help");
        match types[family] {
            "counter" => assert!(name.ends_with("_total"), "{name}"),
            "gauge" => assert!(!name.ends_with("_total"), "{name}"),
            "info" | "histogram" => {}
            other => panic!("{name} is a {other}"),
        }
    }
}

#[test]
fn the_counts_on_the_page_add_up() {
    let page = metrics::page(view()).unwrap();
    let samples = samples(&page);
    let outcomes: Vec<_> = samples
        .iter()
        .filter(|(name, _)| name.starts_with("logweir_documents_total{"))
        .map(|(_, lines)| *lines)
        .collect();
    assert_eq!(outcomes.len(), 8);
    let in_flight = samples["logweir_in_flight_lines"];
    let read = samples["logweir_lines_read_total"];
    assert_eq!(outcomes.iter().sum::<f64>() + in_flight, read);
    // each number of the view is on the page, under its own name
    let values: Vec<_> = samples.values().copied().collect();
    for value in (101..=109)
        .chain(119..=122)
        .chain(130..=139)
        .chain(142..=146)
    {
        let value = f64::from(value);
        let found = values.iter().filter(|found| **found == value).count();
        assert_eq!(found, 1, "{value}");
    }
    assert_eq!(samples["logweir_source_lag_bytes"], 1140.0);
    assert_eq!(samples["logweir_backpressure_seconds_total"], 141.5);
}

#[test]
fn the_histogram_ends_in_its_count() {
    let page = metrics::page(with_output()).unwrap();
    let samples = samples(&page);
    let name = "logweir_bulk_request_seconds";
    assert_eq!(samples[format!("{name}_count").as_str()], 3.0);
    assert_eq!(
        samples[format!("{name}_bucket{{le=\"+Inf\"}}").as_str()],
        3.0
    );
    assert_eq!(
        samples[format!("{name}_bucket{{le=\"0.01\"}}").as_str()],
        1.0
    );
    assert_eq!(
        samples[format!("{name}_bucket{{le=\"60.0\"}}").as_str()],
        2.0
    );
    assert_eq!(samples[format!("{name}_sum").as_str()], 100.077);
}

#[test]
fn the_status_page() {
    let states = [
        Health::Delivering,
        Health::Waiting {
            reason: "no index template; run `logweir setup`".to_owned(),
        },
        Health::Retrying {
            since_unix_millis: NOW - 5_000,
            reason: "no connection".to_owned(),
        },
        Health::Holding {
            since_unix_millis: NOW - 65_000,
            reason: "index is read-only".to_owned(),
            hint: "free some disk".to_owned(),
        },
    ];
    let mut pages = Vec::new();
    for delivery in states {
        let mut page = status::page(&View { delivery, ..view() });
        for part in ["version", "commit", "profile"] {
            assert!(page[part].is_string(), "{page}");
            page[part] = part.to_uppercase().into();
        }
        pages.push(if pages.is_empty() {
            page
        } else {
            page["delivery"].take()
        });
    }
    let pages: Vec<_> = pages.iter().map(|page| format!("{page:#}")).collect();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("status", pages.join("\n"));
    });
    let lines = status::page(&view())["lines"].clone();
    let lines: BTreeMap<String, u64> = serde_json::from_value(lines).unwrap();
    assert_eq!(lines.values().sum::<u64>(), 2 * lines["read"]);
}

#[test]
fn readiness_depends_on_logs_and_never_on_the_output() {
    let mut view = view();
    view.delivery = Health::Waiting {
        reason: "no index template".to_owned(),
    };
    assert_eq!(status::unready(&view), None);
    view.snapshot.tail.files_open = 0;
    assert!(status::unready(&view).unwrap().contains("cannot be read"));
    view.snapshot.tail.problems.clear();
    // it is no fault that there is no log yet
    assert_eq!(status::unready(&view), None);
}

#[test]
fn a_reader_that_is_silent_for_hours_is_not_alive() {
    let mut view = view();
    assert_eq!(status::silent(&view), None);
    view.snapshot.polled_millis = Some(NOW - 3 * 3600 * 1000);
    assert_eq!(
        status::silent(&view).unwrap(),
        "the reader has not moved for 10800 s"
    );
    view.snapshot.polled_millis = None;
    assert_eq!(status::silent(&view), None);
}

/// Pages of this view, for requests to `web-07` and `logs.example.org`.
fn pages(view: View) -> Pages {
    let hosts = Hosts::new(["web-07"], &["logs.example.org".to_owned()]);
    Pages::new(Arc::new(move || view.clone()), hosts)
}

/// Status and text of a response.
fn asked(pages: &Pages, method: &str, path: &str, host: &str, body: &'static str) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = pages.answer(&request);
    assert_eq!(
        response.headers()[header::X_CONTENT_TYPE_OPTIONS],
        "nosniff"
    );
    let status = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body());
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let body = runtime.unwrap().block_on(body).unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn the_root_lists_the_endpoints_and_each_of_them_responds() {
    let pages = pages(view());
    let asked = |method, path| asked(&pages, method, path, "localhost", "");
    let (status, text) = asked("GET", "/");
    assert_eq!(status, 200);
    for path in ["/metrics", "/status", "/livez", "/readyz"] {
        assert!(text.contains(path), "{text}");
        assert_eq!(asked("GET", path).0, 200, "{path}");
        assert_eq!(asked("HEAD", path).0, 200, "{path}");
    }
    let (status, text) = asked("GET", "/statu");
    assert_eq!(status, 404);
    assert!(text.contains("/ lists"), "{text}");
}

#[test]
fn only_get_and_head_are_allowed_and_no_body_is_read() {
    let pages = pages(view());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"] {
        for path in ["/", "/metrics", "/status", "/livez", "/none"] {
            let (status, _) = asked(&pages, method, path, "localhost", "");
            assert_eq!(status, 405, "{method} {path}");
        }
    }
    assert_eq!(asked(&pages, "GET", "/livez", "localhost", "x").0, 413);
}

#[test]
fn a_foreign_host_is_refused_but_for_probes_and_metrics() {
    let pages = pages(view());
    let asked = |path, host| asked(&pages, "GET", path, host, "");
    for path in ["/", "/status", "/none"] {
        let (status, text) = asked(path, "localhost.evil.com");
        assert_eq!(status, 421, "{path}");
        assert!(text.contains("allowed_hosts in [http]"), "{text}");
        for host in ["web-07:9280", "logs.example.org", "[::1]:9280"] {
            assert_ne!(asked(path, host).0, 421, "{host}{path}");
        }
    }
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(asked(path, "10-1-2-3.pod").0, 200, "{path}");
    }
}

#[test]
fn a_page_contains_no_terminal_controls() {
    let mut view = view();
    view.snapshot.tail.files_open = 0;
    view.snapshot.tail.problems[0].text = "\u{1b}[2J\u{9b}\u{202e}".to_owned();
    let pages = pages(view);
    let (_, text) = asked(&pages, "GET", "/readyz", "localhost", "");
    assert!(text.contains("\\x1B[2J\\u{9b}\\u{202e}\n"), "{text}");
    let (_, text) = asked(&pages, "GET", "/status", "localhost", "");
    assert!(text.contains("\\u001b[2J\\u009b\\u202e\""), "{text}");
}
