//! The whole pipeline: a real nginx under load, the agent and a real Elasticsearch, which is then searched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{servers, unique};
use crate::support::agent::{Home, section_cluster};
use crate::support::nginx::{BEHIND, INGRESS, Nginx, SHOP};
use crate::support::traffic::{AGENT_TEXT, Reader, Seen, call};
use testkit::http;
use testkit::metrics;
use testkit::wait::{Deadline, SetOnDrop, breathe};

/// Clients at the same time.
const CLIENTS: u32 = 3;
/// The least number of lines of a site's live log before it is rotated.
const BEFORE_ROTATION: usize = 100;
const ROTATIONS: usize = 4;

/// The indices of this test.
struct Indices<'a> {
    /// Host and port.
    address: &'a str,
    pattern: String,
}

impl Indices<'_> {
    fn ask(&self, path: &str, body: &str) -> Value {
        let path = format!("/{}/{path}", self.pattern);
        let answer = http::ask(self.address, "POST", &path, body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn search(&self, body: Value) -> Value {
        self.ask("_search", &body.to_string())
    }

    /// The documents of a site's lines, whatever the path of its log was when they were read.
    fn of_site(site: &str) -> Value {
        json!({"wildcard": {"log.file.path": format!("*/{site}.log*")}})
    }

    /// The ids of a site's documents; a search gives 10,000 at most, and no site has as many.
    fn ids_of(&self, site: &str) -> Vec<String> {
        let query = Self::of_site(site);
        let found = self.search(json!({"size": 10_000, "_source": false, "query": query}));
        let hits = found["hits"]["hits"].as_array().unwrap();
        let id = |hit: &Value| hit["_id"].as_str().unwrap().to_owned();
        hits.iter().map(id).collect()
    }

    /// How many documents a search finds by now.
    fn count(&self) -> u64 {
        self.ask("_refresh", "");
        let found = self.search(json!({"size": 0, "track_total_hits": true}));
        found["hits"]["total"]["value"].as_u64().unwrap()
    }
}

/// The buckets of an aggregation, by key.
fn buckets(aggregation: &Value) -> BTreeMap<String, u64> {
    let others = aggregation.get("sum_other_doc_count");
    assert!(others.is_none_or(|others| *others == 0), "{aggregation}");
    let buckets = aggregation["buckets"].as_array().unwrap();
    let bucket = |bucket: &Value| {
        let key = match &bucket["key"] {
            Value::String(text) => text.clone(),
            number => number.to_string(),
        };
        (key, bucket["doc_count"].as_u64().unwrap())
    };
    buckets.iter().map(bucket).collect()
}

/// The same for lines.
fn counted<K: ToString>(lines: &[Seen], key: impl Fn(&Seen) -> Option<K>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for key in lines.iter().filter_map(key) {
        *counts.entry(key.to_string()).or_default() += 1;
    }
    counts
}

/// Whether a site's live log has enough lines, of at least two seconds. Two files of one log that begin in the same
/// second could begin with the same line, and would have one identity for the agent.
fn is_full(nginx: &Nginx, reader: &Reader, site: &'static str) -> bool {
    let text = fs::read(nginx.log(site)).unwrap_or_default();
    let complete = memchr::memrchr(b'\n', &text).map_or(0, |end| end);
    let mut lines = text[..complete].split(|byte| *byte == b'\n');
    let (Some(first), Some(last)) = (lines.next(), lines.next_back()) else {
        return false;
    };
    lines.count() >= BEFORE_ROTATION
        && reader.read(site, first).second < reader.read(site, last).second
}

/// Sends traffic to all sites while their logs are rotated again and again.
fn traffic(nginx: &Nginx) {
    let reader = Reader::new();
    let (stop, next) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (stop, next) = (&stop, &next);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let site = &nginx.sites[number as usize % nginx.sites.len()];
                    call(site, nginx.ipv6 && client == 0, number / 5);
                    breathe();
                }
            });
        }
        let _end = SetOnDrop(&stop);
        let full = || {
            let mut sites = nginx.sites.iter();
            sites.all(|site| is_full(nginx, &reader, site.name))
        };
        for turn in 0..=ROTATIONS {
            let deadline = Deadline::new();
            while !full() {
                deadline.pause(|| format!("lines in the logs; nginx said:\n{}", nginx.words()));
            }
            if turn < ROTATIONS {
                nginx.rotate();
            }
        }
    });
}

/// Every line of every log, by site.
fn read_all(logs: &[(&'static str, Vec<PathBuf>)]) -> BTreeMap<&'static str, Vec<Seen>> {
    let reader = Reader::new();
    let mut sites = BTreeMap::new();
    for (site, paths) in logs {
        let lines: &mut Vec<Seen> = sites.entry(*site).or_default();
        for path in paths {
            let text = fs::read(path).unwrap();
            let complete = text.strip_suffix(b"\n").unwrap_or_default();
            assert_eq!(complete.len() + 1, text.len(), "{}", path.display());
            lines.extend(
                complete
                    .split(|byte| *byte == b'\n')
                    .map(|line| reader.read(site, line)),
            );
        }
    }
    sites
}

#[test]
fn the_counts_of_a_real_elasticsearch_are_those_of_a_real_nginx() {
    let servers = servers();
    let (Some(program), Some(cluster)) = (&servers.nginx, &servers.elasticsearch) else {
        return;
    };
    let home = Home::new();
    let nginx = Nginx::start(program, &home.path("nginx"));
    let index = unique("pipeline");
    let indices = Indices {
        address: cluster.strip_prefix("http://").unwrap(),
        pattern: format!("{index}-*"),
    };
    // no [[logs]]: the agent knows the logs only from nginx.conf
    let section = format!(
        "{}index = \"{index}-%Y.%m.%d\"\n",
        section_cluster(cluster).replace("20ms", "200ms")
    );
    home.configure_nginx(
        &nginx.conf,
        "trusted_proxies = [\"127.0.0.1\", \"::1\"]\n",
        &section,
    );
    let setup = home.end_of(&["setup"]);
    assert_eq!(setup.code, Some(0), "{}", setup.words);
    let mut agent = home.run();

    traffic(&nginx);
    let sites: Vec<(&'static str, _)> = nginx
        .sites
        .iter()
        .map(|site| (site.name, nginx.logs(site.name)))
        .collect();
    for (site, logs) in &sites {
        assert_eq!(logs.len(), ROTATIONS + 1, "{site}");
    }
    nginx.quit();
    let by_site = read_all(&sites);
    let lines: Vec<Seen> = by_site.values().flatten().cloned().collect();

    let total = lines.len() as u64;
    agent.until("all lines settled", |agent| {
        let settled =
            agent.number("/lines/read")? >= total && agent.number("/lines/in_flight")? == 0;
        settled.then_some(())
    });
    assert_eq!(indices.count(), total);
    let metrics = metrics::parse(&agent.page("/metrics").unwrap().body);
    for (sample, value) in [
        ("logweir_lines_read_total", total),
        ("logweir_documents_total{outcome=\"indexed\"}", total),
        ("logweir_stream_id_collisions_total", 0),
    ] {
        assert_eq!(metrics[sample], value as f64, "{sample}");
    }
    // their number depends on how often it scans; that it sees any does not
    let seen = metrics["logweir_rotations_total{kind=\"renamed\"}"];
    assert!(seen >= sites.len() as f64, "{seen}");
    let status = agent.status().unwrap();
    // each in its own format; that of the shop is nginx's
    let parsed: BTreeMap<&str, usize> = by_site
        .iter()
        .map(|(site, lines)| (if *site == SHOP { "combined" } else { *site }, lines.len()))
        .collect();
    assert_eq!(status["parsing"]["parsed"], json!(parsed), "{status}");
    assert_eq!(status["parsing"]["errors"], json!({}), "{status}");
    assert_eq!(status["files"]["lost_bytes"], json!({}), "{status}");
    agent.stop();
    assert_eq!(indices.count(), total);

    assert_same_counts(&indices, &lines);
    assert_proxied(&indices, &by_site);
    assert_last_minute(&indices, &lines);
    let ids: BTreeSet<String> = by_site
        .keys()
        .flat_map(|site| indices.ids_of(site))
        .collect();
    assert_eq!(ids.len() as u64, total);
}

fn assert_same_counts(indices: &Indices<'_>, lines: &[Seen]) {
    let found = indices.search(json!({
        "size": 0,
        "aggs": {
            "route": {"terms": {"field": "http.route", "size": 1000}},
            "status": {"terms": {"field": "http.response.status_code", "size": 1000}},
            "second": {"date_histogram": {
                "field": "@timestamp", "fixed_interval": "1s", "min_doc_count": 1,
            }},
            "no_route": {"missing": {"field": "http.route"}},
            "unparsed": {"filter": {"exists": {"field": "error.message"}}},
            "agent": {"filter": {"term": {"user_agent.original": AGENT_TEXT}}},
        },
    }));
    let found = &found["aggregations"];
    let routes = counted(lines, |line| line.route);
    assert_eq!(buckets(&found["route"]), routes);
    assert_eq!(routes.len(), 18, "every route was asked for: {routes:?}");
    let statuses = counted(lines, |line| Some(line.status));
    assert_eq!(buckets(&found["status"]), statuses);
    for status in [200, 302, 400, 404, 414, 499, 503] {
        assert!(
            statuses.contains_key(&status.to_string()),
            "{status}: {statuses:?}"
        );
    }
    let seconds = counted(lines, |line| Some(line.second * 1000));
    assert_eq!(buckets(&found["second"]), seconds);
    let no_route = lines.iter().filter(|line| line.route.is_none()).count();
    assert_ne!(no_route, 0);
    assert_eq!(found["no_route"]["doc_count"], no_route);
    assert_eq!(found["unparsed"]["doc_count"], 0);
    let agents = lines.iter().filter(|line| line.odd_agent).count();
    assert_ne!(agents, 0);
    assert_eq!(found["agent"]["doc_count"], agents);
}

/// Who asked through a proxy, and what became of requests that nginx handed on.
fn assert_proxied(indices: &Indices<'_>, by_site: &BTreeMap<&'static str, Vec<Seen>>) {
    let of_site = |site: &str, aggregation: Value| {
        let found = indices.search(json!({
            "size": 0,
            "query": Indices::of_site(site),
            "aggs": {"it": aggregation},
        }));
        found["aggregations"]["it"].clone()
    };
    let clients = of_site(
        BEHIND,
        json!({"terms": {"field": "source.ip", "size": 1000}}),
    );
    let wanted = counted(&by_site[BEHIND], |line| line.client.clone());
    assert_eq!(buckets(&clients), wanted);
    for client in ["203.0.113.7", "203.0.113.8", "2001:db8::9", "127.0.0.1"] {
        assert!(wanted.contains_key(client), "{client}: {wanted:?}");
    }

    let tries = of_site(
        INGRESS,
        json!({"value_count": {"field": "nginx.access.upstream.status"}}),
    );
    let wanted = &by_site[INGRESS];
    let twice = wanted.iter().filter(|line| line.tries == 2).count();
    assert_ne!(twice, 0, "the dead one was tried too");
    let wanted: u64 = wanted.iter().map(|line| line.tries).sum();
    assert_eq!(tries["value"].as_f64().unwrap(), wanted as f64);
}

/// Which API was called how often: the question that the product answers.
fn assert_last_minute(indices: &Indices<'_>, lines: &[Seen]) {
    let last = lines.iter().map(|line| line.second).max().unwrap();
    // relative to the last line, not to the time of the test
    let now = format!(
        "{}||",
        chrono::DateTime::from_timestamp(last, 0)
            .unwrap()
            .format("%Y-%m-%dT%H:%M:%SZ")
    );
    let found = indices.search(json!({
        "size": 0,
        "query": {"range": {"@timestamp": {"gt": format!("{now}-1m"), "lt": format!("{now}+1s")}}},
        "aggs": {"when": {
            "date_histogram": {"field": "@timestamp", "fixed_interval": "10s", "min_doc_count": 1},
            "aggs": {"route": {"terms": {"field": "http.route", "size": 100}}},
        }},
    }));
    let steps = found["aggregations"]["when"]["buckets"].as_array().unwrap();
    assert!(!steps.is_empty());
    let mut wanted: Vec<i64> = lines.iter().map(|line| line.second / 10 * 10).collect();
    wanted.retain(|step| *step + 10 > last - 60);
    wanted.sort_unstable();
    wanted.dedup();
    for step in steps {
        let from = step["key"].as_i64().unwrap() / 1000;
        let routes = counted(lines, |line| {
            let within = line.second > last - 60 && (from..from + 10).contains(&line.second);
            within.then_some(line.route).flatten()
        });
        assert_eq!(buckets(&step["route"]), routes, "{from}");
    }
    assert_eq!(steps.len(), wanted.len());
}
