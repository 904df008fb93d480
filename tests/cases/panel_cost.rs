//! The cost of the panels of minutes on a real server, in numbers that are the same on any machine: the buckets that a
//! shard visits, by its profile, and those in its response.
//!
//! A shard keeps all buckets of an aggregation in one table, and visits the whole table for each bucket of the
//! aggregation around it: clients within the minutes of a day cost 1,440 times the table. `cargo xtask dashboards
//! --cost` measures the time over ten million documents.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{servers, unique};
use crate::support::access_log::NOW;
use testkit::http;
use testkit::saved::dsl::{self, Window};
use testkit::saved::{Panel, dashboards};

const ELASTICSEARCH: &str = include_str!("../../mappings/elasticsearch/component-mappings.json");
const OPENSEARCH: &str = include_str!("../../mappings/opensearch/component-mappings.json");

const DAY: i64 = 86_400;
/// Requests of a day by 2,000 clients, none of them often.
const DOCUMENTS: i64 = 10_000;
/// Clients that call 30 times an hour, for half a day.
const BUSY: i64 = 60;
/// Their requests.
const OFTEN: i64 = BUSY * 30 * 12;
/// Requests of one client within one minute.
const PLANTED: i64 = 1_250;
/// The most buckets that an answer may have (`search.max_buckets`).
const MOST_BUCKETS: usize = 65_535;
/// How often a document's bucket may be gone through: twice the half hours of a day.
const MOST_STEPS: u64 = 100;

/// An index of that day; all its documents are of one shard.
struct Day {
    server: String,
    index: String,
}

impl Day {
    fn new(family: &str, address: &str) -> Self {
        let day = Self {
            server: address.trim_start_matches("http://").to_owned(),
            index: unique("panel-cost"),
        };
        let mappings = match family {
            "OpenSearch" => OPENSEARCH,
            _ => ELASTICSEARCH,
        };
        let mappings: Value = serde_json::from_str(mappings).unwrap();
        let index = json!({
            "mappings": mappings["template"]["mappings"],
            "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        });
        day.ask("PUT", "", &index.to_string());
        let mut lines = String::new();
        let mut call = |second: i64, client: &str, route: &str| {
            let document = json!({
                "@timestamp": second * 1000, "source": {"address": client}, "http": {"route": route},
            });
            writeln!(lines, "{{\"create\":{{}}}}\n{document}").unwrap();
        };
        for number in 0..DOCUMENTS {
            let client = number * 7 % 2_000;
            let client = format!("10.1.{}.{}", client / 250, client % 250);
            let second = NOW - DAY + number * DAY / DOCUMENTS;
            call(second, &client, &format!("/things/{}", number % 60));
        }
        for number in 0..OFTEN {
            let client = format!("10.2.0.{}", number % BUSY);
            let second = NOW - DAY / 2 + number * (DAY / 2) / OFTEN;
            call(second, &client, &format!("/things/{}", number / BUSY % 10));
        }
        for number in 0..PLANTED {
            call(
                NOW - 7_200 + number * 60 / PLANTED,
                "203.0.113.66",
                "/api/search",
            );
        }
        let answer = day.ask("POST", "/_bulk?refresh=true", &lines);
        assert_eq!(answer["errors"], false, "{family}");
        day
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let path = format!("/{}{path}", self.index);
        let answer = http::ask(&self.server, method, &path, body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

/// Buckets gone through: the size of each table, times the buckets around it for which it is asked.
fn steps(aggregation: &Value) -> u64 {
    let number = |value: &Value| value.as_u64();
    let is_histogram = aggregation["type"]
        .as_str()
        .unwrap()
        .starts_with("DateHistogram");
    let children = aggregation["children"].as_array().into_iter().flatten();
    let within = children.map(|child| {
        // Elasticsearch reports for the child how many buckets it was built for. OpenSearch reports how many buckets a
        // histogram has, and nothing about the rest of other buckets.
        let asked = number(&child["debug"]["built_buckets"]);
        let all = number(&aggregation["debug"]["total_buckets"]).filter(|_| is_histogram);
        let table = number(&child["debug"]["total_buckets"]);
        let own = table
            .zip(asked.or(all))
            .map_or(0, |(table, asked)| table * asked);
        own + steps(child)
    });
    within.sum()
}

/// The buckets of an answer.
fn buckets(value: &Value) -> usize {
    match value {
        Value::Object(map) => {
            let own = map.get("buckets").and_then(Value::as_array);
            own.map_or(0, Vec::len) + map.values().map(buckets).sum::<usize>()
        }
        Value::Array(list) => list.iter().map(buckets).sum(),
        _ => 0,
    }
}

#[test]
fn the_panels_of_minutes_go_through_each_bucket_a_limited_number_of_times() {
    let dashboards = dashboards();
    let rate = dashboards.iter().find(|one| one.id == "logweir-rate-abuse");
    let is_drawn = |panel: &&Panel| !panel.aggs.is_empty();
    let panels: Vec<&Panel> = rate.unwrap().panels.iter().filter(is_drawn).collect();
    let window = Window {
        from: NOW - DAY,
        to: NOW,
    };
    for (family, address) in servers().clusters() {
        let day = Day::new(family, address);
        let (mut measured, mut shown) = (0, 0);
        for panel in &panels {
            let mut request = dsl::request(panel, window, None);
            request["profile"] = json!(true);
            let answer = day.ask("POST", "/_search", &request.to_string());
            let what = format!("{family}: {}", panel.id);
            let count = buckets(&answer["aggregations"]);
            assert!(count <= MOST_BUCKETS, "{what}: {count} buckets");
            let shards = answer["profile"]["shards"].as_array().unwrap();
            let top = shards
                .iter()
                .flat_map(|shard| shard["aggregations"].as_array().unwrap());
            let count: u64 = top.map(steps).sum();
            let most = MOST_STEPS * u64::try_from(DOCUMENTS + OFTEN + PLANTED).unwrap();
            assert!(count <= most, "{what}: {count} steps");
            measured += usize::from(count > 0);
            shown += usize::from(
                dsl::rows(panel, &answer)
                    .values()
                    .any(|row| row.contains(&1250.0)),
            );
        }
        assert!(measured >= 3, "{family}: a profile without numbers");
        assert_eq!(shown, 4, "{family}: panels that show the planted minute");
    }
}
