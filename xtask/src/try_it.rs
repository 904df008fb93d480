//! `cargo xtask try`: runs the whole pipeline once, as a demonstration.

use std::fs;
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use testkit::child::Tied;
use testkit::load::Caller;
use testkit::place::{self, Folder};
use testkit::server::{Kind, Server};
use testkit::shop::{self, Shop};
use testkit::tools::{self, Tool};

/// Clients that send at the same time.
const CALLERS: u64 = 4;
/// The pause of each client after a request: some hundred requests a second in total.
const REST: Duration = Duration::from_millis(10);
/// Time limit for the last lines to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(20);
/// The histogram's step.
const STEP: &str = "5s";
/// Routes that are shown.
const TOP: usize = 12;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long to send traffic
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Leave everything running at the end, until Enter is pressed
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tools::provide(&[Tool::Nginx, Tool::Jdk, Tool::Maven])?;
    let folder = Folder::empty("try")?;
    println!("starting Elasticsearch (the first time it is downloaded), building the agent …");
    let mut server = Server::start(Kind::Elasticsearch, &folder)?;
    let agent = place::build_agent(place::QUICK)?;
    let elasticsearch = server.address()?;

    let nginx = Shop::start(&folder)?;
    let config = folder.join("logweir.toml");
    fs::write(&config, configuration(&folder, &nginx, &elasticsearch)?)?;
    println!(
        "nginx: http://127.0.0.1:{}, logging to {}",
        nginx.port,
        nginx.access_log.display()
    );

    let mut setup = Command::new(&agent);
    setup.arg("setup").arg("-c").arg(&config);
    println!("$ logweir setup -c {}", config.display());
    ensure!(setup.status()?.success(), "`logweir setup` failed");
    let mut command = Command::new(&agent);
    command.arg("run").arg("-c").arg(&config);
    println!("$ logweir run -c {}", config.display());
    let mut agent = Tied::start("logweir run", &command, folder.join("agent.log"))?;

    println!("sending traffic for {} s …", arguments.seconds);
    let sent = send(nginx.port, Duration::from_secs(arguments.seconds))?;
    let mut last = String::new();
    let arrived = agent
        .wait_until("all requests in the index", ARRIVE_WITHIN, |_| {
            let found = count(&elasticsearch);
            last = format!("{found:?} of {sent}");
            found.ok().filter(|arrived| *arrived >= sent)
        })
        .with_context(|| format!("Elasticsearch has {last}"))?;
    let logged = fs::read(&nginx.access_log)?
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    println!("\n{sent} requests sent, {logged} lines logged, {arrived} documents indexed\n");

    let query = query();
    let found = search(&elasticsearch, &query)?;
    print!("{}", table(&found));
    println!("\nThe same by hand, as long as it runs (`cargo xtask try --keep`):");
    println!(
        "curl -s '{elasticsearch}/nginx-access-*/_search' -H 'content-type: application/json' -d '{query}'"
    );
    println!(
        "Configuration, logs and the agent's own words: {}",
        folder.display()
    );
    if arguments.keep {
        println!("\nElasticsearch is at {elasticsearch}. Press Enter to stop everything.");
        std::io::stdin().lock().read_line(&mut String::new())?;
    }
    let status = agent.stop()?;
    ensure!(status.success(), "the agent ended with {status}");
    Ok(ExitCode::SUCCESS)
}

fn configuration(folder: &Path, nginx: &Shop, elasticsearch: &str) -> Result<String> {
    Ok(format!(
        r#"host = "try"
data_dir = '{}'
trusted_proxies = ["127.0.0.0/8"]

[[logs]]
paths = ['{}']
format = '''{}'''

[elasticsearch]
nodes = ["{elasticsearch}"]
index = "nginx-access-%Y.%m.%d"

[http]
listen = "127.0.0.1:{}"
"#,
        folder.join("data").display(),
        nginx.access_log.display(),
        shop::FORMAT,
        testkit::ports::free_port(),
    ))
}

/// Sends requests for that long; how many were answered.
fn send(port: u16, duration: Duration) -> Result<u64> {
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|seed| {
            thread::spawn(move || -> Result<u64> {
                let mut caller = Caller::connect(port, seed + 1)?;
                let mut sent = 0;
                while start.elapsed() < duration {
                    caller.call()?;
                    sent += 1;
                    sleep(REST);
                }
                Ok(sent)
            })
        })
        .collect();
    let mut sent = 0;
    for caller in callers {
        sent += caller
            .join()
            .map_err(|_| anyhow::anyhow!("a caller broke off"))??;
    }
    Ok(sent)
}

/// Sends a request to Elasticsearch; a refusal is an error with the text of the response.
fn ask(address: &str, body: Option<&Value>) -> Result<Value> {
    let request = ureq::post(address)
        .config()
        .http_status_as_error(false)
        .build();
    let mut answer = match body {
        Some(body) => request.send_json(body)?,
        None => request.send_empty()?,
    };
    let text = answer.body_mut().read_to_string()?;
    ensure!(
        answer.status().is_success(),
        "POST {address}: {}: {text}",
        answer.status()
    );
    serde_json::from_str(&text).with_context(|| format!("POST {address}: not JSON: {text}"))
}

fn search(elasticsearch: &str, query: &Value) -> Result<Value> {
    ask(
        &format!("{elasticsearch}/nginx-access-*/_search"),
        Some(query),
    )
}

fn count(elasticsearch: &str) -> Result<u64> {
    ask(&format!("{elasticsearch}/nginx-access-*/_refresh"), None)?;
    let found = search(elasticsearch, &json!({"size": 0, "track_total_hits": true}))?;
    found
        .pointer("/hits/total/value")
        .and_then(Value::as_u64)
        .context("no total")
}

fn query() -> Value {
    json!({
        "size": 0,
        "query": {"range": {"@timestamp": {"gte": "now-1m"}}},
        "aggs": {
            "top": {"terms": {"field": "http.route", "size": TOP}},
            "when": {
                "date_histogram": {"field": "@timestamp", "fixed_interval": STEP, "min_doc_count": 0},
                "aggs": {"route": {"terms": {"field": "http.route", "size": TOP}}},
            },
        },
    })
}

/// The answer to [`query`]: a row for each route, a column for each step.
fn table(found: &Value) -> String {
    let buckets = |value: &Value, name: &str| -> Vec<Value> {
        let pointer = format!("/{name}/buckets");
        value
            .pointer(&pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let count = |bucket: &Value| bucket.get("doc_count").and_then(Value::as_u64).unwrap_or(0);
    let text = |bucket: &Value, key: &str| {
        bucket
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let aggregations = found.get("aggregations").cloned().unwrap_or_default();
    let steps = buckets(&aggregations, "when");

    let mut out = format!("Top APIs of the last minute, requests per {STEP}:\n\n");
    let mut row = |route: &str, all: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>6}")).collect();
        out.push_str(&format!("{route:<28}{all:>7} {cells}\n"));
    };
    // "2026-11-23T09:30:05.000Z": the seconds are enough to follow a minute.
    let seconds = |step: &Value| {
        let time = text(step, "key_as_string");
        format!(":{}", time.get(17..19).unwrap_or("?"))
    };
    row("http.route", "all", steps.iter().map(seconds).collect());
    for route in buckets(&aggregations, "top") {
        let name = text(&route, "key");
        let cells = steps.iter().map(|step| {
            let of_route = buckets(step, "route")
                .into_iter()
                .find(|it| text(it, "key") == name);
            of_route.map_or_else(|| "·".to_owned(), |it| count(&it).to_string())
        });
        row(&name, &count(&route).to_string(), cells.collect());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_row_and_a_step_a_column() {
        let found = json!({"aggregations": {
            "top": {"buckets": [{"key": "/a/{id}", "doc_count": 9}, {"key": "/b", "doc_count": 1}]},
            "when": {"buckets": [
                {"key_as_string": "2026-11-23T09:30:00.000Z", "route": {"buckets": [
                    {"key": "/a/{id}", "doc_count": 4}, {"key": "/b", "doc_count": 1}]}},
                {"key_as_string": "2026-11-23T09:30:05.000Z", "route": {"buckets": [
                    {"key": "/a/{id}", "doc_count": 5}]}},
            ]},
        }});
        let table = table(&found);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|row| row.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[2..],
            [
                vec!["http.route", "all", ":00", ":05"],
                vec!["/a/{id}", "9", "4", "5"],
                vec!["/b", "1", "1", "·"],
            ]
        );
    }
}
