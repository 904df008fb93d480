//! Every panel of every dashboard, requested from real servers as Kibana does, compared with counts from the log. And the
//! three questions that the dashboards answer, for a log with hidden attacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::{servers, unique};
use crate::support::access_log::{self, Entry, NOW, Read};
use crate::support::agent::Home;
use crate::support::counted;
use testkit::http;
use testkit::mmdb;
use testkit::saved::dsl::{self, Rows, Window};
use testkit::saved::{Dashboard, Panel, dashboards};

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
        let country = |name: &str| json!({"country": {"iso_code": "XX", "names": {"en": name}}});
        let countries = [
            ("198.51.100.0/24", country("Austria")),
            ("203.0.113.0/24", country("Brazil")),
        ];
        let network = json!({
            "autonomous_system_number": 64500, "autonomous_system_organization": "Cheap Hosting",
        });
        let file = |name: &str, content: &[u8]| {
            let path = home.path(name);
            fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let countries = file(
            "countries.mmdb",
            &mmdb::write("GeoLite2-Country", &countries),
        );
        let networks = mmdb::write("GeoLite2-ASN", &[("203.0.113.0/24", network)]);
        let networks = file("networks.mmdb", &networks);
        let agents = file("agents.yaml", testkit::USER_AGENTS.as_bytes());
        let sections = format!(
            "[[logs]]\npaths = ['{path}']\nformat = '{}'\n{}\n{}\n\
             [elasticsearch]\nnodes = [\"{address}\"]\nindex = \"{index}-%Y.%m.%d\"\n\
             [enrich]\ngeoip = '{countries}'\nasn = '{networks}'\nuser_agent = '{agents}'\n",
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
        let mut answer = self.ask("_search", &dsl::request(panel, window, filter));
        let Some(request) = dsl::request_other(panel, window, filter, &answer) else {
            return answer;
        };
        let other = self.ask("_search", &request);
        let aggregations = answer["aggregations"].as_object_mut().unwrap();
        for (id, terms) in aggregations {
            let mut bucket = other["aggregations"][id]["buckets"][dsl::OTHER].clone();
            if bucket["doc_count"] != 0 {
                bucket["key"] = json!(dsl::OTHER);
                terms["buckets"].as_array_mut().unwrap().push(bucket);
            }
        }
        answer
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

    /// Fails unless the panel shows the counts of the log.
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
                    let found = entries.iter().filter(|entry| entry.status / 100 == class);
                    found.count() as f64
                };
                let lines = (entries.len() + unparsed) as f64;
                let wanted = vec![lines, count(4), count(5), unparsed as f64];
                assert_eq!(rows, Rows::from([(vec![], wanted)]), "{what}");
            }
            "credential-stuffing-who-got-in" | "credential-stuffing-accounts" => {
                let is_account = name.ends_with("accounts");
                assert!(!rows.is_empty(), "{what}");
                for (place, values) in &rows {
                    let attempts = entries.iter().filter(|entry| {
                        let user = entry.user.as_ref();
                        let key = if is_account {
                            user
                        } else {
                            Some(&entry.client)
                        };
                        entry.login().is_some() && key == Some(&place[0])
                    });
                    let succeeded = attempts.clone().filter(|e| e.login() == Some(true)).count();
                    let all = attempts.clone().count();
                    let others: BTreeSet<_> = attempts
                        .filter_map(|e| {
                            if is_account {
                                Some(&e.client)
                            } else {
                                e.user.as_ref()
                            }
                        })
                        .collect();
                    let wanted = [all, all - succeeded, succeeded, others.len()];
                    assert_eq!(values[..], wanted.map(|n| n as f64), "{what}: {place:?}");
                    assert!(all >= 5 && succeeded < all, "{what}: {place:?}");
                }
            }
            "data-leak-paths" => {
                let sensitive = || entries.iter().filter(|entry| entry.is_sensitive());
                let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
                for entry in sensitive() {
                    paths.entry(&entry.client).or_default().insert(&entry.path);
                }
                let shown: BTreeSet<&str> = rows.keys().map(|place| place[0].as_str()).collect();
                assert_eq!(shown.len(), 10.min(paths.len()), "{what}");
                let least = shown.iter().map(|client| paths[client].len()).min();
                let hidden = paths.iter().filter(|(client, _)| !shown.contains(*client));
                for (client, paths) in hidden {
                    assert!(Some(paths.len()) <= least, "{what}: {client} is missing");
                }
                for (place, values) in &rows {
                    let found: BTreeSet<&str> = sensitive()
                        .filter(|e| {
                            e.client == place[0] && counted::time(e, window, "auto") == place[1]
                        })
                        .map(|entry| entry.path.as_str())
                        .collect();
                    assert_eq!(values[..], [found.len() as f64], "{what}: {place:?}");
                }
            }
            "access-log" => {
                let wanted = entries.len() + unparsed;
                assert_eq!(answer["hits"]["total"]["value"], wanted, "{what}");
                assert_eq!(hits().len(), wanted.min(500), "{what}");
                every_column_is_there(panel, hits());
            }
            "credential-stuffing-successes" => {
                let wanted = entries.iter().filter(|entry| entry.login() == Some(true));
                assert_eq!(answer["hits"]["total"]["value"], wanted.count(), "{what}");
                every_column_is_there(panel, hits());
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

/// The dashboard's own filter, after the user has enabled it and entered a site.
fn switched_on(filter: &Value, site: &str) -> Value {
    assert_eq!(
        filter["meta"]["disabled"], true,
        "a filter that is on hides every other site"
    );
    let text = filter["query"].to_string();
    serde_json::from_str(&text.replace("(off) name your site here, and switch this on", site))
        .unwrap()
}

/// In any document.
fn every_column_is_there(panel: &Panel, hits: &[Value]) {
    for column in &panel.columns {
        let pointer = format!("/_source/{}", column.replace('.', "/"));
        let is_there = hits.iter().any(|hit| hit.pointer(&pointer).is_some());
        assert!(is_there || hits.is_empty(), "{}: no {column}", panel.id);
    }
}

#[test]
fn every_panel_shows_the_numbers_of_the_log() {
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
        assert!(count >= 60, "{family}: {count}");
    }
}

/// The rows that a panel of a dashboard shows.
fn rows_of(lab: &Lab, dashboard: &str, panel: &str) -> Rows {
    in_order_of(lab, dashboard, panel).into_iter().collect()
}

/// The same in their order.
fn in_order_of(lab: &Lab, dashboard: &str, panel: &str) -> Vec<(Vec<String>, Vec<f64>)> {
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
    dsl::in_order(panel, &lab.answer(panel, window(dashboard), None))
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

        // 1. clients that called one API a thousand times within a minute, in a day
        let minute = |number: i64| (NOW - 2_400 + number * 60) as f64 * 1000.0;
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
            [&[1200.0, minute(0)], &[1200.0, minute(1)]],
            "{family}"
        );
        // the careful one and the crawler are just below the limit, all others are far below it
        let near = rows_of(&lab, "rate-abuse", "rate-abuse-near");
        let near: BTreeSet<&str> = near.keys().map(|place| place[1].as_str()).collect();
        let wanted = [access_log::ABUSER, access_log::CAREFUL, access_log::CRAWLER];
        assert_eq!(near, BTreeSet::from(wanted), "{family}");

        // 2. when many attempts came and few succeeded, and from where
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
        let stuffed = access_log::STUFFERS.map(|source| got_in[&vec![source.to_owned()]][2]);
        assert_eq!(stuffed.iter().sum::<f64>(), 5.0, "{family}");
        // the office fails more often than any of the 60 slow sources, but is not suspicious
        let office = &vec![access_log::OFFICE.to_owned()];
        assert_eq!(failures[office][0], 48.0, "{family}");
        assert!(!got_in.contains_key(office), "{family}: {got_in:?}");
        let in_order = |panel| in_order_of(&lab, "credential-stuffing", panel);
        let first = in_order("credential-stuffing-who-got-in");
        let first: BTreeSet<&str> = first[..3]
            .iter()
            .map(|(place, _)| place[0].as_str())
            .collect();
        assert_eq!(first, BTreeSet::from(access_log::STUFFERS), "{family}");
        // the account with slow attempts from many sources
        let (account, numbers) = &in_order("credential-stuffing-accounts")[0];
        assert_eq!(account[..], [access_log::TRIED], "{family}");
        assert_eq!(numbers[..], [240.0, 239.0, 1.0, 60.0], "{family}");

        // 3. clients that read the data: how often, how much, from when to when
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

/// Kibana merges minutes if there would be too many bars, and shows that only in a heading.
#[test]
fn minutes_stay_minutes_in_an_hour_a_day_and_a_week() {
    for (family, address) in servers().clusters() {
        let lab = Lab::new(family, address);
        let dashboards = dashboards();
        let rate = dashboards
            .iter()
            .find(|one| one.id == "logweir-rate-abuse")
            .unwrap();
        for seconds in [3_600, 86_400, 7 * 86_400] {
            let window = Window {
                from: NOW - seconds,
                to: NOW,
            };
            for panel in &rate.panels {
                let highest = match panel.id.as_str() {
                    "logweir-rate-abuse-clients" => 1,
                    "logweir-rate-abuse-line"
                    | "logweir-rate-abuse-over"
                    | "logweir-rate-abuse-near" => 0,
                    _ => continue,
                };
                let rows = dsl::rows(panel, &lab.answer(panel, window, None));
                let numbers = rows.values().map(|values| values[highest]);
                let found = numbers
                    .filter(|number| !number.is_nan())
                    .fold(0.0, f64::max);
                // the crawler's 1,500 go to two routes
                let wanted = if highest == 1 { 1500.0 } else { 1200.0 };
                assert_eq!(found, wanted, "{family}: {} in {seconds} s", panel.id);
            }
        }
    }
}

#[test]
fn the_chart_by_route_sums_up_to_the_chart_by_status() {
    for (family, address) in servers().clusters() {
        let lab = Lab::new(family, address);
        let dashboards = dashboards();
        let traffic = dashboards
            .iter()
            .find(|one| one.id == "logweir-traffic")
            .unwrap();
        let sums = |name: &str, size: Option<u64>| {
            let mut panels = traffic.panels.iter();
            let mut panel = panels.find(|one| one.id == name).unwrap().clone();
            if let Some(size) = size {
                panel.aggs[1]["params"]["size"] = json!(size);
            }
            let rows = dsl::rows(&panel, &lab.answer(&panel, window(traffic), None));
            let has_other = rows.keys().any(|place| place[0] == dsl::OTHER);
            assert_eq!(has_other, size.is_some(), "{family}");
            rows.iter()
                .fold(BTreeMap::new(), |mut sums, (place, values)| {
                    *sums.entry(place[1].clone()).or_insert(0.0) += values[0];
                    sums
                })
        };
        // there are seven routes
        let by_route = sums("logweir-traffic-routes-over-time", Some(3));
        assert_eq!(
            by_route,
            sums("logweir-traffic-status-over-time", None),
            "{family}"
        );
    }
}
