//! Every panel of every dashboard, asked of the real servers as Kibana asks, against what was counted from the log; and
//! the three questions that the dashboards are for, asked of a log with attacks hidden in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::{servers, unique};
use crate::support::access_log::{self, Entry, NOW, Read};
use crate::support::agent::Home;
use crate::support::http;
use crate::support::saved::dsl::{self, Rows, Window};
use crate::support::saved::{Dashboard, Panel, counted, dashboards};

/// A log, indexed by the agent.
struct Lab {
    server: String,
    index: String,
    path: String,
    log: Read,
}

impl Lab {
    fn new(family: &str, address: &str) -> Self {
        let (home, index) = (Home::new(), unique("panels"));
        let text = access_log::written();
        fs::write(home.log(), &text).unwrap();
        let path = home.log().display().to_string();
        let sections = format!(
            "[[logs]]\npaths = ['{path}']\nformat = '{}'\n{}\n{}\n\
             [elasticsearch]\nnodes = [\"{address}\"]\nindex = \"{index}-%Y.%m.%d\"\n",
            access_log::FORMAT,
            access_log::FIELDS,
            access_log::ROUTES,
        );
        home.configure("", &sections);
        let ended = home.end_of(&["setup"]);
        assert_eq!(ended.code, Some(0), "{family}: {}", ended.words);
        home.once();
        let lab = Self {
            server: address.trim_start_matches("http://").to_owned(),
            index,
            path,
            log: access_log::read(&text),
        };
        lab.ask("_refresh", &Value::Null);
        let all = lab.ask("_search", &json!({"size": 0, "track_total_hits": true}));
        assert_eq!(
            all["hits"]["total"]["value"],
            text.lines().count(),
            "{family}"
        );
        lab
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let path = format!("/{}-*/{path}", self.index);
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = http::ask(&self.server, "POST", &path, &text).unwrap();
        assert_eq!(answer.status, 200, "{body}\n{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn answer(&self, panel: &Panel, window: Window, filter: Option<&Value>) -> Value {
        self.ask("_search", &dsl::request(panel, window, filter))
    }

    /// The entries that a dashboard sees.
    fn seen(&self, window: Window, site: Option<&str>) -> Vec<&Entry> {
        let seen = self.log.entries.iter().filter(|entry| {
            (window.from..=window.to).contains(&entry.second)
                && site.is_none_or(|site| entry.site == site)
        });
        seen.collect()
    }

    fn unparsed(&self, window: Window, site: Option<&str>) -> usize {
        let within = |second: &&i64| (window.from..=window.to).contains(*second) && site.is_none();
        self.log.unparsed.iter().filter(within).count()
    }

    /// Fails unless the panel shows what stands in the log.
    fn check(&self, dashboard: &Dashboard, panel: &Panel, site: Option<&str>) {
        let window = window(dashboard);
        let filter = site.map(|site| switched_on(&dashboard.site_filter, site));
        let answer = self.answer(panel, window, filter.as_ref());
        let rows = dsl::rows(panel, &answer);
        let what = format!("{} of {}, site {site:?}", panel.id, dashboard.id);
        let entries = self.seen(window, site);
        let unparsed = self.unparsed(window, site);
        let name = panel.id.strip_prefix("logweir-").unwrap();
        if let Some(wanted) = counted::wanted(name, &entries, window) {
            assert!(!wanted.rows.is_empty(), "{what}: there is nothing to find");
            wanted.check(&rows, &what);
            let places = dsl::in_order(panel, &answer);
            let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
            return wanted.check_order(&places, &what);
        }
        let hits = || answer["hits"]["hits"].as_array().unwrap();
        match name {
            "traffic-numbers" => {
                let count = |class| {
                    entries
                        .iter()
                        .filter(|entry| entry.status / 100 == class)
                        .count()
                };
                let wanted = [
                    ("All", entries.len() + unparsed),
                    ("4xx", count(4)),
                    ("5xx", count(5)),
                    ("Unparsed", unparsed),
                ];
                let wanted = wanted
                    .iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(name, count)| (vec![(*name).to_owned()], vec![*count as f64]));
                assert_eq!(rows, wanted.collect::<Rows>(), "{what}");
            }
            "traffic-unparsed" => {
                assert_eq!(rows.len(), usize::from(unparsed > 0), "{what}: {rows:?}");
                for (place, values) in &rows {
                    assert_eq!(place[0], self.path, "{what}");
                    assert!(place[1].contains("$remote_addr"), "{what}: {place:?}");
                    assert_eq!(values[..], [unparsed as f64], "{what}");
                }
            }
            "traffic-unparsed-lines" => {
                assert_eq!(hits().len(), unparsed, "{what}");
                every_column_is_there(panel, hits());
                for hit in hits() {
                    let line = hit["_source"]["event"]["original"].as_str().unwrap();
                    assert!(line.starts_with("rubbish "), "{what}: {line}");
                }
            }
            "data-leak-list" => {
                let wanted = entries.iter().filter(|entry| entry.is_sensitive()).count();
                assert_eq!(answer["hits"]["total"]["value"], wanted, "{what}");
                every_column_is_there(panel, hits());
                let times: Vec<i64> = hits()
                    .iter()
                    .map(|hit| hit["sort"][0].as_i64().unwrap())
                    .collect();
                assert!(times.is_sorted_by(|newer, older| newer >= older), "{what}");
            }
            _ => {
                assert_eq!(
                    panel.kind, "markdown",
                    "{what}: nobody counts what it shows"
                );
                assert!(panel.aggs.is_empty(), "{what}");
            }
        }
    }
}

fn window(dashboard: &Dashboard) -> Window {
    Window {
        from: NOW - dashboard.seconds,
        to: NOW,
    }
}

/// The dashboard's own filter, as it is when the user has switched it on and named a site.
fn switched_on(filter: &Value, site: &str) -> Value {
    assert_eq!(
        filter["meta"]["disabled"], true,
        "a filter that is on hides every other site"
    );
    let text = filter["query"].to_string();
    serde_json::from_str(&text.replace("example.com", site)).unwrap()
}

/// In one document or another.
fn every_column_is_there(panel: &Panel, hits: &[Value]) {
    for column in &panel.columns {
        let pointer = format!("/_source/{}", column.replace('.', "/"));
        let is_there = hits.iter().any(|hit| hit.pointer(&pointer).is_some());
        assert!(is_there || hits.is_empty(), "{}: no {column}", panel.id);
    }
}

#[test]
fn every_panel_shows_what_stands_in_the_log() {
    for (family, address) in servers().clusters() {
        let lab = Lab::new(family, address);
        let mut count = 0;
        for dashboard in dashboards() {
            for panel in &dashboard.panels {
                count += 1;
                lab.check(&dashboard, panel, None);
                lab.check(&dashboard, panel, Some("shop.example"));
            }
        }
        assert!(count >= 40, "{family}: {count}");
    }
}

/// The rows that a panel of a dashboard shows.
fn rows_of(lab: &Lab, dashboard: &str, panel: &str) -> Rows {
    let dashboards = dashboards();
    let dashboard = dashboards
        .iter()
        .find(|one| one.id == format!("logweir-{dashboard}"))
        .unwrap();
    let panel = dashboard
        .panels
        .iter()
        .find(|one| one.id == format!("logweir-{panel}"))
        .unwrap();
    dsl::rows(panel, &lab.answer(panel, window(dashboard), None))
}

/// Each row's first key with the number in its column `at`, summed.
fn summed(rows: &Rows, at: usize) -> BTreeMap<String, f64> {
    rows.iter()
        .fold(BTreeMap::new(), |mut sums, (place, values)| {
            *sums.entry(place[0].clone()).or_default() += values[at];
            sums
        })
}

#[test]
fn the_three_questions_find_the_attacks_and_nothing_else() {
    for (family, address) in servers().clusters() {
        let lab = Lab::new(family, address);

        // 1. who called one API a thousand times within a minute
        let over = rows_of(&lab, "rate-abuse", "rate-abuse-over");
        let who: BTreeSet<(&str, &str)> = over
            .keys()
            .map(|place| (place[1].as_str(), place[2].as_str()))
            .collect();
        assert_eq!(
            who,
            BTreeSet::from([(access_log::ABUSER, "/api/search")]),
            "{family}"
        );
        assert_eq!(
            over.values().collect::<Vec<_>>(),
            [&[1200.0], &[1200.0]],
            "{family}"
        );
        // the careful one and the crawler stand just below it, and nobody else comes near
        let clients = rows_of(&lab, "rate-abuse", "rate-abuse-clients");
        let fast: BTreeSet<&str> = clients
            .iter()
            .filter(|(_, values)| values[0] >= 100.0)
            .map(|(place, _)| place[0].as_str())
            .collect();
        let wanted = [access_log::ABUSER, access_log::CAREFUL, access_log::CRAWLER];
        assert_eq!(fast, BTreeSet::from(wanted), "{family}");

        // 2. when attempts surged while few succeeded, and from where
        let attempts = rows_of(&lab, "credential-stuffing", "credential-stuffing-share");
        let mut times: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
        for (place, values) in &attempts {
            let outcome = usize::from(place[0] == "Failed");
            times.entry(&place[1]).or_default()[outcome] += values[0];
        }
        let surges: Vec<&str> = times
            .iter()
            .filter(|(_, [good, bad])| good + bad >= 100.0 && good / (good + bad) < 0.1)
            .map(|(time, _)| *time)
            .collect();
        assert_eq!(surges, [format!("{}000", NOW - 36_000)], "{family}");
        let failures = rows_of(&lab, "credential-stuffing", "credential-stuffing-failures");
        let many: BTreeSet<&str> = failures
            .iter()
            .filter(|(_, values)| values[0] >= 100.0)
            .map(|(place, _)| place[0].as_str())
            .collect();
        assert_eq!(many, BTreeSet::from(access_log::STUFFERS), "{family}");
        let got_in = rows_of(
            &lab,
            "credential-stuffing",
            "credential-stuffing-who-got-in",
        );
        let stuffed = access_log::STUFFERS.map(|source| got_in[&vec![source.to_owned()]][1]);
        assert_eq!(stuffed.iter().sum::<f64>(), 5.0, "{family}");

        // 3. who took the data, how often, how much, from when to when
        let bytes = summed(&rows_of(&lab, "data-leak", "data-leak-bytes"), 0);
        let heavy: Vec<&str> = bytes
            .iter()
            .filter(|(_, bytes)| **bytes > 10_000_000.0)
            .map(|(client, _)| client.as_str())
            .collect();
        assert_eq!(heavy, [access_log::SCRAPER], "{family}");
        let who = rows_of(&lab, "data-leak", "data-leak-who");
        let place = [
            access_log::SCRAPER,
            "__missing__",
            "__missing__",
            "/admin/export/{id}",
        ]
        .map(str::to_owned);
        let began = (NOW - 3 * 86_400 - 30_000) as f64 * 1000.0;
        let wanted = [
            250.0,
            250.0 * 2_500_000.0 + 31_125.0,
            2_500_249.0,
            began,
            began + 249.0 * 11_000.0,
        ];
        assert_eq!(who[&place.to_vec()], wanted, "{family}");
    }
}
