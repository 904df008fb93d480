//! `cargo xtask dashboards --cost`: the cost of each panel on a real node, for three time ranges.
//!
//! Owns the documents that are searched and the limit. The requests are those that the tests make of the shipped file.
//! Invariant: a panel that takes longer than the limit, is refused, or does not show the planted minute as it is,
//! fails the chore.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use chrono::DateTime;
use serde_json::{Value, json};

use crate::sizes::node::{Method, Node};
use testkit::place::{self, Folder};
use testkit::saved::dsl::{self, Window};
use testkit::saved::{Panel, dashboards};
use testkit::server::{Kind, Server};

#[derive(clap::Args)]
pub(super) struct Cost {
    /// Measure the time of every panel at 15 minutes, 24 hours and 7 days.
    #[arg(long)]
    cost: bool,
    /// Over how many documents, spread over 7 days.
    #[arg(long, default_value_t = 10_000_000, requires = "cost")]
    documents: u64,
    /// On which server; HEAP in the environment sets its memory.
    #[arg(long, default_value = "elasticsearch-8.19.21", requires = "cost")]
    server: Kind,
}

impl Cost {
    pub(super) fn is_asked_for(&self) -> bool {
        self.cost
    }
}

/// The limit for each panel, in milliseconds, over ten million documents.
const LIMIT_MILLIS: u64 = 20_000;
const RANGES: [(&str, i64); 3] = [("15 min", 900), ("24 h", 86_400), ("7 d", 604_800)];
/// The time of the latest document: 2026-03-12 12:00:00 UTC.
const NOW: i64 = 1_773_316_800;
const WEEK: u64 = 604_800;
/// Requests of the client that calls too often, within one minute of each hour.
const PLANTED: u64 = 1_250;
/// With fewer documents an hour, no such client is planted.
const PLANTED_FROM: u64 = 5_000;
/// Documents in one bulk request.
const BULK: u64 = 5_000;
const WRITERS: u64 = 2;

pub(super) fn run(cost: &Cost) -> Result<ExitCode> {
    let folder = Folder::empty("dashboards")?;
    let mut server = Server::start(cost.server, &folder)?;
    let node = Node {
        address: server.address()?,
    };
    create(&node, cost.server)?;
    let began = Instant::now();
    fill(&node, cost.documents)?;
    node.ask(Method::Post, "/nginx-access-*/_refresh", None)?;
    println!(
        "{} documents indexed within {} s\n",
        cost.documents,
        began.elapsed().as_secs()
    );

    println!(
        "{:<42} {:>9} {:>9} {:>9}   milliseconds",
        "panel", RANGES[0].0, RANGES[1].0, RANGES[2].0
    );
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for panel in dashboards().iter().flat_map(|dashboard| &dashboard.panels) {
        if panel.kind == "markdown" || seen.contains(&panel.id) {
            continue;
        }
        seen.push(panel.id.clone());
        let mut row = format!("{:<42}", panel.id);
        for (range, seconds) in RANGES {
            let window = Window {
                from: NOW - seconds,
                to: NOW,
            };
            match ask(&node, panel, window) {
                Ok((millis, answer)) => {
                    let _ = write!(row, " {millis:>9}");
                    if millis > LIMIT_MILLIS {
                        faults.push(format!("{} at {range}: {millis} ms", panel.id));
                    }
                    let highest = highest_minute(panel, &answer);
                    let is_planted = hour(cost.documents) > PLANTED_FROM && seconds > 3_600;
                    if is_planted && highest.is_some_and(|highest| highest != PLANTED as f64) {
                        faults.push(format!("{} at {range}: {highest:?} a minute", panel.id));
                    }
                }
                Err(error) => {
                    let _ = write!(row, " {:>9}", "refused");
                    faults.push(format!("{} at {range}: {error:#}", panel.id));
                }
            }
        }
        println!("{row}");
    }
    println!("\nlimit: {LIMIT_MILLIS} ms");
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for fault in faults {
        println!("not as it should be: {fault}");
    }
    Ok(ExitCode::FAILURE)
}

/// The highest minute of any client that the panel shows. `None`: it shows no minutes, or those of the busiest only.
fn highest_minute(panel: &Panel, answer: &Value) -> Option<f64> {
    let is_of_minutes = ["line", "over", "near"]
        .iter()
        .any(|name| panel.id == format!("logweir-rate-abuse-{name}"));
    let rows = is_of_minutes.then(|| dsl::rows(panel, answer))?;
    Some(rows.values().map(|values| values[0]).fold(0.0, f64::max))
}

/// Sends all requests of the panel; returns the time that the server reports, in milliseconds, and its first response.
fn ask(node: &Node, panel: &Panel, window: Window) -> Result<(u64, Value)> {
    let path = "/nginx-access-*/_search?request_cache=false";
    let search = |request: &Value| -> Result<(u64, Value)> {
        let answer = node.ask(Method::Post, path, Some(request))?;
        let took = answer.get("took").and_then(Value::as_u64);
        Ok((took.context("no took")?, answer))
    };
    let (took, answer) = search(&dsl::request(panel, window, None))?;
    let Some(other) = dsl::request_other(panel, window, None, &answer) else {
        return Ok((took, answer));
    };
    Ok((took + search(&other)?.0, answer))
}

/// The shipped mappings, one shard an index.
fn create(node: &Node, kind: Kind) -> Result<()> {
    let family = if kind.is_elasticsearch() {
        "elasticsearch"
    } else {
        "opensearch"
    };
    let file = format!("mappings/{family}/component-mappings.json");
    let file = super::read(&place::root().join(file))?;
    let template = json!({
        "index_patterns": ["nginx-access-*"],
        "template": {
            "mappings": file["template"]["mappings"],
            "settings": {
                "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1",
                "translog": {"durability": "async"},
            },
        },
    });
    let path = "/_index_template/nginx-access";
    node.ask(Method::Put, path, Some(&template))?;
    Ok(())
}

fn fill(node: &Node, documents: u64) -> Result<()> {
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write_part(node, documents, writer)))
            .collect();
        for writer in writers {
            let ended = writer.join();
            ended.map_err(|_| anyhow::anyhow!("a writer broke off"))??;
        }
        Ok(())
    })
}

fn write_part(node: &Node, documents: u64, writer: u64) -> Result<()> {
    let mut lines = String::new();
    let mut number = writer * BULK;
    while number < documents {
        lines.clear();
        for number in number..(number + BULK).min(documents) {
            document(number, documents, &mut lines);
        }
        node.bulk(&lines)?;
        number += WRITERS * BULK;
    }
    Ok(())
}

/// Documents within an hour.
fn hour(documents: u64) -> u64 {
    documents * 3_600 / WEEK
}

/// One request of a week: 20,000 clients, some of them busy; 60 routes; logins, sensitive calls; and each hour a client
/// that calls one route [`PLANTED`] times within a minute.
fn document(number: u64, documents: u64, out: &mut String) {
    let week = u64::try_from(NOW).unwrap_or_default() - WEEK;
    let mut second = week + number * WEEK / documents;
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: u64| {
        state ^= state >> 30;
        state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state ^= state >> 27;
        (state >> 11) % end
    };
    let busy = below(20_000) * below(20_000) / 20_000;
    let (a, b) = (busy / 250, busy % 250);
    let mut client = format!("10.1.{a}.{b}");
    let route = below(60) * below(60) / 60;
    let mut path = format!("/api/v1/things{route}/{}", below(100_000));
    let mut route = format!("/api/v1/things{route}/{{id}}");
    let kind = below(1_000);
    let mut status = match below(8) {
        0 => 201,
        1 => 304,
        2 => 404,
        3 => 500,
        _ => 200,
    };
    let mut more = String::new();
    if kind < 10 {
        let outcome = if below(10) < 7 { "success" } else { "failure" };
        status = if outcome == "success" { 302 } else { 200 };
        (route, path) = ("/login".to_owned(), "/login".to_owned());
        let _ = write!(
            more,
            r#","user":{{"name":"user{}"}},"event":{{"category":["web","authentication"],"outcome":"{outcome}","duration":4000000}}"#,
            below(5_000)
        );
    } else {
        if kind < 12 {
            (route, path) = (
                "/export/{id}".to_owned(),
                format!("/export/{}", below(9_999)),
            );
            more.push_str(r#","tags":["sensitive"]"#);
        }
        let duration = below(200_000_000);
        let _ = write!(
            more,
            r#","event":{{"category":["web"],"duration":{duration}}}"#
        );
    }
    let hour = hour(documents);
    if hour > PLANTED_FROM && number % hour < PLANTED {
        second = week + number / hour * 3_600 + 1_800 + number % hour * 60 / PLANTED;
        client = format!("203.0.113.{}", number / hour % 200);
        (route, path) = ("/api/search".to_owned(), "/api/search".to_owned());
    }
    let moment = DateTime::from_timestamp(i64::try_from(second).unwrap_or(NOW), 0);
    let moment = moment.unwrap_or_default();
    let _ = writeln!(
        out,
        r#"{{"create":{{"_index":"nginx-access-{}"}}}}"#,
        moment.format("%Y.%m.%d")
    );
    let _ = writeln!(
        out,
        r#"{{"@timestamp":"{}","source":{{"address":"{client}","ip":"{client}","geo":{{"country_name":"Country {}"}},"as":{{"organization":{{"name":"Network {}"}}}}}},"http":{{"route":"{route}","request":{{"method":"GET"}},"response":{{"status_code":{status},"body":{{"bytes":{}}}}}}},"url":{{"path":"{path}","original":"{path}","domain":"site{}.example"}},"user_agent":{{"original":"Agent/{}","name":"Agent","os":{{"name":"System"}}}},"host":{{"name":"web"}}{more}}}"#,
        moment.format("%Y-%m-%dT%H:%M:%SZ"),
        busy % 90,
        busy % 700,
        below(60_000),
        busy % 3,
        busy % 400,
    );
}
