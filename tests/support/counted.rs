//! The expected content of each panel, counted from the log with a separate rule for each panel.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{By, Cut, HIDDEN, Want, Wanted};
use crate::support::access_log::Entry;
use testkit::saved::dsl::Window;

type Keys = Vec<Vec<String>>;

/// The expected content of the panel of this name for these entries, all within the window. `None`: it counts no entries.
#[allow(clippy::too_many_lines)] // one arm a panel
pub(crate) fn wanted(panel: &str, entries: &[&Entry], window: Window) -> Option<Wanted> {
    let step = |interval| move |entry: &Entry| time(entry, window, interval);
    let (five, auto) = (step("5s"), step("auto"));
    let fixed = |seconds: i64| move |e: &Entry| (e.second / seconds * seconds * 1000).to_string();
    let (minute, half_hour, hour) = (fixed(60), fixed(1_800), fixed(3_600));
    let one = |key: &str| vec![vec![key.to_owned()]];
    let of = |keys: &[&str]| vec![keys.iter().map(|key| (*key).to_owned()).collect()];
    let counted = |keys: &dyn Fn(&Entry) -> Keys, cuts: &[Option<Cut>]| {
        made(entries, keys, cuts, |group| vec![n(group)])
    };
    let logins: Vec<&Entry> = entries
        .iter()
        .copied()
        .filter(|entry| entry.login().is_some())
        .collect();
    let failed: Vec<&Entry> = logins
        .iter()
        .copied()
        .filter(|entry| entry.login() == Some(false))
        .collect();
    let sensitive: Vec<&Entry> = entries
        .iter()
        .copied()
        .filter(|entry| entry.is_sensitive())
        .collect();
    let outcome = |entry: &Entry| {
        if entry.login() == Some(true) {
            "Succeeded"
        } else {
            "Failed"
        }
    };
    let or_missing = |field: &Option<String>| field.as_deref().unwrap_or("__missing__").to_owned();
    let agent = |entry: &Entry| or_missing(&entry.agent);
    Some(match panel {
        "sites" => counted(&|e| one(&e.site), &[top(20)]),
        "last-minute-numbers" => made(entries, &|_| vec![vec![]], &[], |g| {
            vec![n(g), of_class(g, "4xx"), of_class(g, "5xx")]
        }),
        "last-minute-routes-over-time" => counted(&|e| of(&[e.route, &five(e)]), &[top(10), None]),
        "last-minute-clients" => made(entries, &|e| one(&e.client), &[top(20)], |g| {
            vec![n(g), distinct(g, |e| Some(e.route.to_owned()))]
        }),
        "last-minute-routes" => made(entries, &|e| one(e.route), &[top(20)], |g| {
            vec![
                n(g),
                errors(g),
                percentile(g, 50),
                percentile(g, 95),
                percentile(g, 99),
            ]
        }),
        "last-minute-status" => counted(&|e| of(&[class(e), &five(e)]), &[None, None]),
        "traffic-routes-over-time" => counted(&|e| of(&[e.route, &auto(e)]), &[top(10), None]),
        "traffic-status-over-time" => counted(&|e| of(&[class(e), &auto(e)]), &[None, None]),
        "traffic-routes" => made(entries, &|e| one(e.route), &[top(25)], |g| {
            let good = g.iter().filter(|entry| !entry.is_error()).count();
            vec![
                n(g),
                errors(g),
                Want::Is(100.0 * good as f64 / g.len() as f64),
                percentile(g, 50),
                percentile(g, 95),
                percentile(g, 99),
                bytes(g),
            ]
        }),
        "traffic-errors" => {
            let failed: Vec<&Entry> = entries.iter().copied().filter(|e| e.is_error()).collect();
            made(
                &failed,
                &|e| of(&[e.route, class(e)]),
                &[top(15), None],
                |g| vec![n(g)],
            )
        }
        "traffic-bytes" => made(
            entries,
            &|e| of(&[&e.site, &auto(e)]),
            &[top(5), None],
            |g| vec![bytes(g)],
        ),
        "traffic-duration" => made(entries, &|e| one(&auto(e)), &[None], |g| {
            vec![percentile(g, 50), percentile(g, 95), percentile(g, 99)]
        }),
        "traffic-clients" => made(entries, &|e| one(&e.client), &[top(25)], |g| {
            vec![
                n(g),
                distinct(g, |e| Some(e.route.to_owned())),
                bytes(g),
                first(g),
                last(g),
            ]
        }),
        "traffic-methods" => counted(&|e| one(&e.method), &[top(10)]),
        "traffic-hosts" => made(
            entries,
            &|e| of(&[&e.site, "web"]),
            &[top(20), top(20)],
            |g| vec![n(g), last(g)],
        ),
        "rate-abuse-line" => made(
            entries,
            &|e| of(&[&half_hour(e), &e.client, e.route]),
            &[steps(250.0), least(50, 250.0), least(3, 250.0)],
            |g| vec![highest_minute(g)],
        ),
        "rate-abuse-over" => made(
            entries,
            &|e| of(&[&hour(e), &e.client, e.route, &minute(e)]),
            &[
                steps(1000.0),
                least(50, 1000.0),
                least(3, 1000.0),
                steps(1000.0),
            ],
            |g| vec![n(g), first(g)],
        ),
        "rate-abuse-near" => made(
            entries,
            &|e| of(&[&half_hour(e), &e.client, e.route, &minute(e)]),
            &[
                steps(250.0),
                least(50, 250.0),
                least(3, 250.0),
                steps(250.0),
            ],
            |g| vec![n(g), first(g)],
        ),
        "rate-abuse-clients" => made(entries, &|e| one(&e.client), &[top(20)], |g| {
            let routes = distinct(g, |e| Some(e.route.to_owned()));
            let agents = distinct(g, |e| e.agent.clone());
            vec![n(g), highest_minute(g), routes, agents, first(g), last(g)]
        }),
        "credential-stuffing-numbers" => made(&logins, &|_| vec![vec![]], &[], |g| {
            vec![
                n(g),
                succeeded(g),
                Want::Is(g.iter().filter(|e| e.login() == Some(false)).count() as f64),
                distinct(g, |e| Some(e.client.clone())),
                distinct(g, |e| e.user.clone()),
            ]
        }),
        "credential-stuffing-attempts" | "credential-stuffing-share" => made(
            &logins,
            &|e| of(&[outcome(e), &auto(e)]),
            &[None, None],
            |g| vec![n(g)],
        ),
        "credential-stuffing-failures" => made(&failed, &|e| one(&e.client), &[top(50)], |g| {
            let users = distinct(g, |e| e.user.clone());
            vec![
                n(g),
                users,
                distinct(g, |e| e.agent.clone()),
                first(g),
                last(g),
            ]
        }),
        "credential-stuffing-users" => made(
            &failed,
            &|e| of(&[e.user.as_deref().unwrap_or(HIDDEN)]),
            &[top(50)],
            |g| {
                vec![
                    n(g),
                    distinct(g, |e| Some(e.client.clone())),
                    first(g),
                    last(g),
                ]
            },
        ),
        "credential-stuffing-agents" => made(&failed, &|e| one(&agent(e)), &[top(20)], |g| {
            let sources = distinct(g, |e| Some(e.client.clone()));
            vec![n(g), sources, distinct(g, |e| e.user.clone())]
        }),
        "client-numbers" => made(entries, &|_| vec![vec![]], &[], |g| {
            let routes = distinct(g, |e| Some(e.route.to_owned()));
            let agents = distinct(g, |e| e.agent.clone());
            vec![n(g), errors(g), routes, agents, bytes(g)]
        }),
        "client-routes-over-time" => counted(&|e| of(&[e.route, &auto(e)]), &[top(10), None]),
        "client-routes" => made(
            entries,
            &|e| of(&[e.route, &e.status.to_string()]),
            &[top(30), top(10)],
            |g| vec![n(g), bytes(g), first(g), last(g)],
        ),
        "client-users" => made(
            &logins,
            &|e| of(&[e.user.as_deref().unwrap_or(HIDDEN)]),
            &[top(50)],
            |g| vec![n(g), succeeded(g)],
        ),
        "visitors-countries" => made(entries, &|e| one(country(e)), &[top(50)], |g| {
            let clients = distinct(g, |e| Some(e.client.clone()));
            vec![n(g), clients, errors(g), bytes(g)]
        }),
        "visitors-networks" => made(entries, &|e| one(network(e)), &[top(50)], |g| {
            let clients = distinct(g, |e| Some(e.client.clone()));
            vec![n(g), clients, errors(g), bytes(g)]
        }),
        "visitors-browsers" => counted(&|e| one(browser(e)), &[top(10)]),
        "visitors-systems" => counted(&|e| one(system(e)), &[top(10)]),
        "visitors-clients-over-time" => made(entries, &|e| one(&auto(e)), &[None], |g| {
            vec![distinct(g, |e| Some(e.client.clone()))]
        }),
        "data-leak-numbers" => made(&sensitive, &|_| vec![vec![]], &[], |g| {
            vec![n(g), distinct(g, |e| Some(e.client.clone())), bytes(g)]
        }),
        "data-leak-bytes" => made(
            &sensitive,
            &|e| of(&[&e.client, &auto(e)]),
            &[top(10), None],
            |g| vec![bytes(g)],
        ),
        "data-leak-who" => {
            let by_bytes = |size| {
                Some(Cut {
                    size,
                    least: 0.0,
                    by: By::Metric(1),
                })
            };
            let cuts = [by_bytes(100), by_bytes(10), by_bytes(10), by_bytes(20)];
            made(
                &sensitive,
                &|e| {
                    let (name, id) = (or_missing(&e.user), or_missing(&e.user_id));
                    of(&[&e.client, &name, &id, e.route])
                },
                &cuts,
                |g| {
                    let largest = g.iter().map(|entry| entry.bytes).max().unwrap();
                    vec![n(g), bytes(g), Want::Is(largest as f64), first(g), last(g)]
                },
            )
        }
        _ => return None,
    })
}

fn made(
    entries: &[&Entry],
    keys: &dyn Fn(&Entry) -> Keys,
    cuts: &[Option<Cut>],
    metrics: impl Fn(&[&Entry]) -> Vec<Want>,
) -> Wanted {
    let mut groups: BTreeMap<Vec<String>, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        for key in keys(entry) {
            groups.entry(key).or_default().push(entry);
        }
    }
    let counts = groups.iter();
    let counts = counts.map(|(key, group)| (key.clone(), group.len() as f64));
    Wanted {
        counts: counts.collect(),
        rows: groups
            .into_iter()
            .map(|(key, group)| (key, metrics(&group)))
            .collect(),
        cuts: cuts.to_vec(),
    }
}

/// By the first metric.
fn top(size: usize) -> Option<Cut> {
    let by = By::Metric(0);
    Some(Cut {
        size,
        least: 0.0,
        by,
    })
}

/// By the documents.
fn least(size: usize, least: f64) -> Option<Cut> {
    let by = By::Count;
    Some(Cut { size, least, by })
}

/// Every step of time with at least so many documents.
fn steps(least: f64) -> Option<Cut> {
    let (size, by) = (usize::MAX, By::CountInTime);
    Some(Cut { size, least, by })
}

/// Of the minutes by the clock with 250 entries or more.
fn highest_minute(group: &[&Entry]) -> Want {
    let minutes = group.iter().fold(BTreeMap::new(), |mut minutes, entry| {
        *minutes.entry(entry.second / 60).or_insert(0.0) += 1.0;
        minutes
    });
    let highest = minutes.values().copied().fold(0.0, f64::max);
    if highest < 250.0 {
        Want::Nothing
    } else {
        Want::Is(highest)
    }
}

/// Of the client, by the databases that the test writes.
fn country(entry: &Entry) -> &'static str {
    match &entry.client {
        client if client.starts_with("198.51.100.") => "Austria",
        client if client.starts_with("203.0.113.") => "Brazil",
        _ => HIDDEN,
    }
}

fn network(entry: &Entry) -> &'static str {
    if entry.client.starts_with("203.0.113.") {
        "Cheap Hosting"
    } else {
        HIDDEN
    }
}

/// Of the user agent, by the definitions of the tests.
fn browser(entry: &Entry) -> &'static str {
    match entry.agent.as_deref() {
        Some(agent) if agent.contains("Firefox/") => "Firefox",
        _ => HIDDEN,
    }
}

fn system(entry: &Entry) -> &'static str {
    match entry.agent.as_deref() {
        Some(agent) if agent.contains("Linux") => "Linux",
        _ => HIDDEN,
    }
}

fn of_class(group: &[&Entry], wanted: &str) -> Want {
    let found = group.iter().filter(|entry| class(entry) == wanted);
    Want::Is(found.count() as f64)
}

fn succeeded(group: &[&Entry]) -> Want {
    let found = group.iter().filter(|entry| entry.login() == Some(true));
    Want::Is(found.count() as f64)
}

fn class(entry: &Entry) -> &'static str {
    match entry.status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// The beginning of the step of time that an entry is in, as Kibana's answer names it.
pub(crate) fn time(entry: &Entry, window: Window, interval: &str) -> String {
    let (step, _) = window.step(interval);
    format!("{}", entry.second / step * step * 1000)
}

fn n(group: &[&Entry]) -> Want {
    Want::Is(group.len() as f64)
}

fn errors(group: &[&Entry]) -> Want {
    Want::Is(group.iter().filter(|entry| entry.is_error()).count() as f64)
}

fn bytes(group: &[&Entry]) -> Want {
    Want::Is(group.iter().map(|entry| entry.bytes).sum::<u64>() as f64)
}

fn distinct(group: &[&Entry], field: impl Fn(&Entry) -> Option<String>) -> Want {
    let values: BTreeSet<String> = group.iter().filter_map(|entry| field(entry)).collect();
    Want::Is(values.len() as f64)
}

fn first(group: &[&Entry]) -> Want {
    Want::Is(group.iter().map(|entry| entry.second).min().unwrap() as f64 * 1000.0)
}

fn last(group: &[&Entry]) -> Want {
    Want::Is(group.iter().map(|entry| entry.second).max().unwrap() as f64 * 1000.0)
}

/// In nanoseconds, within some ranks around it, and one in a hundred of the value: Elasticsearch 9 takes means, which
/// lie beside the value that half of all entries have. The ranks are those of a t-digest of compression 100: a centroid
/// at the quantile q stands for 4 q (1 - q) in a hundred values, and for twice as many where the digests of shards were
/// merged; no less than one in a hundred is allowed for.
fn percentile(group: &[&Entry], percent: usize) -> Want {
    let mut sorted: Vec<u64> = group.iter().map(|entry| entry.millis * 1_000_000).collect();
    sorted.sort_unstable();
    let rank = sorted.len() * percent / 100;
    let merged_centroid = sorted.len() * 8 * percent * (100 - percent) / 1_000_000;
    let slack = merged_centroid.max(sorted.len() / 100) + 1;
    let at = |rank: usize| sorted[rank.min(sorted.len() - 1)] as f64;
    Want::Between(
        at(rank.saturating_sub(slack)) * 0.99,
        at(rank + slack) * 1.01,
    )
}
