//! The pages and the log of a running agent.

use serde_json::Value;

use super::cluster_down;
use crate::support::agent::{Home, section_cluster, section_log};
use testkit::fake_cluster::Fault;
use testkit::metrics::{self, Samples};
use testkit::stage::Stage;

#[test]
fn the_agent_is_alive_and_ready_while_the_cluster_is_down() {
    let home = Home::new();
    let sections = section_log(&home.log(), "combined") + &section_cluster(&cluster_down());
    home.configure("shutdown_timeout = \"0s\"\n", &sections);
    home.append(0..10);
    let mut agent = home.run();
    agent.until_said("gives no usable answer");
    for path in ["/livez", "/readyz"] {
        let page = agent.page(path).unwrap();
        assert_eq!((page.status, &*page.body), (200, "ok\n"), "{path}");
    }
    let status = agent.status().unwrap();
    let reason = status["delivery"]["reason"].as_str().unwrap();
    assert!(reason.contains("gives no usable answer"), "{status}");
    agent.stop();
}

#[test]
fn refusals_of_the_cluster_and_their_end_show_in_the_status() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    stage.cluster().always = Some(Fault::Status(503, None, "unavailable"));
    home.append(0..10);
    let mut agent = home.run();
    agent.until("the retries in /status", |agent| {
        let status = agent.status()?;
        let delivery = &status["delivery"];
        (delivery["state"] == "retrying" && delivery["reason"].as_str()?.contains("503"))
            .then_some(())
    });
    assert_eq!(agent.page("/readyz").unwrap().status, 200);
    stage.cluster().always = None;
    agent.until("delivery in /status", |agent| {
        let status = agent.status()?;
        (status["delivery"]["state"] == "delivering" && status["lines"]["indexed"] == 10)
            .then_some(())
    });
    let status = agent.status().unwrap();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["host"], "web");
    assert_eq!(status["parsing"]["parsed"]["combined"], 10);
    assert_eq!(status["files"]["open"], 1);
    assert_eq!(status["problems"], Value::Array(vec![]));
    agent.stop();
}

#[test]
fn the_agent_is_not_ready_if_its_log_is_not_a_file() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    // as in nginx's own container image
    std::os::unix::fs::symlink("/dev/stdout", home.log()).unwrap();
    let mut agent = home.run();
    agent.until("the page with the reason", |agent| {
        let page = agent.page("/readyz")?;
        (page.status == 503 && page.body.contains("access.log")).then_some(())
    });
    assert_eq!(agent.page("/livez").unwrap().status, 200);
    agent.stop();
}

const OUTCOMES: [&str; 8] = [
    "indexed",
    "duplicate",
    "diverted",
    "dead_lettered",
    "parked",
    "filtered",
    "expired",
    "released",
];

fn outcome(samples: &Samples, outcome: &str) -> f64 {
    samples[&format!("logweir_documents_total{{outcome=\"{outcome}\"}}")]
}

/// Every line that was read is counted in exactly one place at any time.
#[track_caller]
fn assert_balance(samples: &Samples) -> f64 {
    let read = samples["logweir_lines_read_total"];
    let placed: f64 = OUTCOMES.iter().map(|name| outcome(samples, name)).sum();
    let in_flight = samples["logweir_in_flight_lines"];
    // counts far below 2^53 are exact
    assert_eq!(read, placed + in_flight, "{samples:#?}");
    read
}

#[test]
fn the_metrics_are_well_formed_and_add_up_at_every_scrape_under_load() {
    let (home, stage) = (Home::new(), Stage::new());
    let cluster = section_cluster(&stage.address()) + "batch_count = 50\n";
    home.configure("", &(section_log(&home.log(), "combined") + &cluster));
    {
        let mut cluster = stage.cluster();
        // problems of all kinds, which move lines between the counts
        let bad_days = [
            Fault::ResetAfter,
            Fault::Items {
                every: 7,
                status: 429,
                kind: "es_rejected_execution_exception",
            },
            Fault::FailureStore { every: 5 },
            Fault::Dropped { every: 9 },
            Fault::Status(429, None, "circuit_breaking_exception"),
        ];
        for fault in bad_days.iter().cycle().take(4 * bad_days.len()) {
            // refused lines are delivered before the next problem
            cluster
                .script
                .extend([fault.clone(), Fault::None, Fault::None, Fault::None]);
        }
    }
    let mut agent = home.run();
    let (mut scrapes, mut before, mut next) = (0, 0.0, 0);
    let last = agent.until("all lines settled", |agent| {
        if next < 10_000 {
            home.append(next..next + 100);
            next += 100;
        }
        let page = agent.page("/metrics")?;
        let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(page.head.contains(kind), "{}", page.head);
        let samples = metrics::parse(&page.body);
        let read = assert_balance(&samples);
        assert!(read >= before, "a counter never goes back");
        (scrapes, before) = (scrapes + 1, read);
        let done = next == 10_000 && read == 10_000.0 && samples["logweir_in_flight_lines"] == 0.0;
        done.then_some(samples)
    });
    assert!(scrapes >= 100, "{scrapes}");
    let cluster = stage.cluster();
    for (name, places) in [
        ("indexed", cluster.documents.len() - cluster.conflicts),
        ("duplicate", cluster.conflicts),
        ("diverted", cluster.diverted.len()),
        ("filtered", cluster.dropped.len()),
    ] {
        assert_ne!(places, 0, "{name}: the script did not play");
        assert_eq!(outcome(&last, name), places as f64, "{name}");
    }
    drop(cluster);
    assert_eq!(
        last["logweir_lines_parsed_total{format=\"combined\"}"],
        10_000.0
    );
    agent.stop();
}

#[test]
fn the_agents_own_log_can_be_json() {
    let (home, stage) = (Home::new(), Stage::of(Default::default()));
    let sections = section_log(&home.log(), "combined")
        + &section_cluster(&stage.address())
        + "\n[log]\nformat = \"json\"\n";
    home.configure("shutdown_timeout = \"0s\"\n", &sections);
    let mut agent = home.run();
    agent.until_said("`logweir setup`");
    let ended = agent.stop();
    let lines: Vec<Value> = ended
        .words
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let said = |level: &str, text: &str| {
        lines.iter().any(|line| {
            let message = line["fields"]["message"].as_str().unwrap_or_default();
            line["level"] == level && message.contains(text) && line["timestamp"].is_string()
        })
    };
    assert!(said("INFO", "started"), "{}", ended.words);
    assert!(said("WARN", "`logweir setup`"), "{}", ended.words);
}
