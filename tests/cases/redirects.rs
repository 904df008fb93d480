//! Redirects: a proxy before the cluster, or before Kibana, that redirects requests to another address.
//!
//! Each case asserts that the address in `Location` got no connection at all.

use std::path::PathBuf;
use std::time::Duration;

use logweir::event::{Batch, Item, OutcomeCounts};
use logweir::http::Backoff;
use logweir::output::dead_letters::Rejection;
use logweir::output::dead_letters::{DeadLetters, Entry, EntryKind};
use logweir::output::elasticsearch::{Elasticsearch, Settings};
use logweir::output::{Health, OutputStatus as _};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::agent::Home;
use crate::support::delivery::{self, daily};
use testkit::fake_cluster::Cluster;
use testkit::fake_es::FakeEs;
use testkit::fake_kibana::FakeKibana;
use testkit::redirector::{Forbidden, Redirector};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// A proxy that redirects everything to `target`, by https.
fn to_https(status: u16, target: &Forbidden) -> Redirector {
    let to = target.address();
    Redirector::start(status, move |path| {
        Some(format!("https://elastic:hunter2@{to}{path}"))
    })
}

fn advice(status: u16, target: &Forbidden, setting: &str) -> String {
    format!(
        "answered {status} to https://{}; use that address in {setting}",
        target.address()
    )
}

fn output(nodes: &[&str]) -> (std::sync::Arc<Elasticsearch>, TempDir) {
    let folder = TempDir::new().unwrap();
    let nodes = nodes.iter().map(|node| Url::parse(node).unwrap()).collect();
    let backoff = Backoff::try_new(Duration::from_millis(1), Duration::from_millis(5)).unwrap();
    let settings = Settings {
        backoff,
        ..Settings::new(nodes, PathBuf::from(folder.path()))
    };
    (Elasticsearch::connect(settings, daily()).unwrap(), folder)
}

fn batch(id: usize) -> Batch {
    let action = format!("{{\"create\":{{\"_index\":\"day\",\"_id\":\"id-{id}\"}}}}\n");
    let document = u32::try_from(action.len()).unwrap();
    let mut batch = Batch::default();
    batch.body.extend_from_slice(action.as_bytes());
    batch.body.extend_from_slice(b"{}\n");
    batch.items.push(Item { start: 0, document });
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_holds_at_a_redirect_and_follows_none() {
    for status in STATUSES {
        let target = Forbidden::start();
        let proxy = to_https(status, &target);
        let (output, _folder) = output(&[&proxy.url()]);
        let stop = CancellationToken::new();
        let delivery = tokio::spawn({
            let (output, stop) = (output.clone(), stop.clone());
            async move { delivery::deliver(&*output, batch(1), &stop).await }
        });
        let held = async {
            loop {
                // it is sent again, so delivery holds and does not give up
                if let Health::Holding { reason, .. } = output.health()
                    && proxy.seen().len() > 2
                {
                    return reason;
                }
                tokio::task::yield_now().await;
            }
        };
        let reason = tokio::time::timeout(Duration::from_secs(60), held)
            .await
            .unwrap();
        assert_eq!(
            reason,
            format!("{}: {}", proxy.url(), advice(status, &target, "`nodes`"))
        );
        stop.cancel();
        let delivery = delivery.await.unwrap();
        assert!(!delivery.settled);
        assert_eq!(delivery.counts, OutcomeCounts::default());
        assert_eq!(delivery.batch.items.len(), 1, "nothing is given up");
        assert!(
            proxy
                .seen()
                .iter()
                .all(|line| line.starts_with("POST /_bulk?")),
            "{:?}",
            proxy.seen()
        );
        target.assert_unvisited();
    }
}

#[tokio::test]
async fn a_node_that_redirects_is_skipped_while_another_responds() {
    let target = Forbidden::start();
    let proxy = to_https(307, &target);
    let es = FakeEs::start(Cluster::default());
    let (output, _folder) = output(&[&proxy.url(), &es.url::<String>()]);
    for id in 0..20 {
        let delivery = delivery::deliver(&*output, batch(id), &CancellationToken::new()).await;
        assert!(delivery.settled);
    }
    assert_eq!(es.cluster().documents.len(), 20);
    assert!(!proxy.seen().is_empty());
    target.assert_unvisited();
}

/// The output and the exit code of every command; `more` are sections of the configuration.
fn said(home: &Home, proxy: &str, more: &str, arguments: &[&str]) -> (i32, String) {
    let log = home.log();
    home.configure(
        "",
        &format!(
            "[[logs]]\npaths = ['{}']\nformat = \"combined\"\n[elasticsearch]\nnodes = [\"{proxy}\"]\n{more}",
            log.display()
        ),
    );
    let ended = home.end_of(arguments);
    (ended.code.unwrap(), ended.words)
}

#[test]
fn every_command_names_the_address_and_sends_nothing_there() {
    let target = Forbidden::start();
    let home = Home::new();
    home.append(0..3);
    let reason = Rejection {
        kind: "x_exception".to_owned(),
        text: "x".to_owned(),
        status: 400,
    };
    let entry = Entry::new(
        EntryKind::Dead,
        1_795_397_256_789,
        ("day", "1"),
        b"{}",
        None,
        reason,
    );
    let proxy = to_https(307, &target);
    let expected = advice(307, &target, "`nodes`");
    for (arguments, code) in [
        (&["run", "--once", "--timeout", "1s"][..], 69),
        (
            &["run", "--once", "--timeout", "1s", "--no-template-check"],
            69,
        ),
        (&["setup"], 69),
        (&["setup", "--dry-run"], 69),
        (&["check", "--connect"], 69),
        (&["prune", "--older-than", "30d"], 69),
        (&["dead-letters", "replay", "--timeout", "1s"], 69),
    ] {
        if arguments[0] == "dead-letters" {
            let file = DeadLetters::new(&home.data(), 1 << 20);
            file.append(std::slice::from_ref(&entry)).unwrap();
        }
        let (ended, words) = said(&home, &proxy.url(), "", arguments);
        assert!(words.contains(&expected), "{arguments:?}: {words}");
        assert!(!words.contains("hunter2"), "{arguments:?}: {words}");
        assert_eq!(ended, code, "{arguments:?}: {words}");
    }
    let warnings = said(
        &home,
        &proxy.url(),
        "",
        &["run", "--once", "--timeout", "1s", "--no-template-check"],
    )
    .1;
    assert!(warnings.contains("WARN"), "{warnings}");
    assert!(!warnings.contains("ERROR"), "{warnings}");
    assert!(proxy.seen().len() > 7, "{:?}", proxy.seen());
    target.assert_unvisited();
    // When the address is corrected, every line arrives.
    let es = FakeEs::start(Cluster::default());
    let (code, words) = said(
        &home,
        &es.url::<String>(),
        "",
        &["run", "--once", "--no-template-check"],
    );
    assert_eq!(code, 0, "{words}");
    assert_eq!(es.cluster().documents.len(), 3);
}

#[test]
fn kibana_behind_a_redirect_is_reported_with_its_own_setting() {
    let target = Forbidden::start();
    let kibana = FakeKibana::kibana();
    let proxy = to_https(302, &target);
    let home = Home::new();
    let section = format!("[kibana]\nurl = \"{}\"\n", proxy.url());
    let arguments = ["setup", "--only", "kibana"];
    let (code, words) = said(&home, "http://127.0.0.1:1", &section, &arguments);
    assert!(
        words.contains(&advice(302, &target, "`[kibana] url`")),
        "{words}"
    );
    assert_eq!(code, 69, "{words}");
    target.assert_unvisited();
    // The base path of a Kibana behind a proxy is part of its address.
    let to = kibana.address;
    let proxy = Redirector::start(308, move |path| Some(format!("http://{to}/base{path}")));
    let section = format!("[kibana]\nurl = \"{}\"\n", proxy.url());
    let (_, words) = said(&home, "http://127.0.0.1:1", &section, &arguments);
    let expected = format!("answered 308 to http://{to}/base; use that address in `[kibana] url`");
    assert!(words.contains(&expected), "{words}");
    assert!(
        kibana.inside().seen.is_empty(),
        "{:?}",
        kibana.inside().seen
    );
}

#[test]
fn a_redirect_to_nowhere_or_to_a_page_is_reported_too() {
    let home = Home::new();
    let said_at = |location: Option<&'static str>| {
        let proxy = Redirector::start(302, move |_| location.map(str::to_owned));
        let (code, words) = said(&home, &proxy.url(), "", &["check", "--connect"]);
        assert_eq!(code, 69, "{words}");
        words
    };
    assert!(said_at(None).contains("answered 302 without an address"));
    let page = said_at(Some("https://sso.example/login?rd=%2F"));
    assert!(
        page.contains("answered 302 to https://sso.example/login, which is not the path"),
        "{page}"
    );
    let hostile = said_at(Some("ftp://a:hunter2@x\u{202e}/"));
    assert!(
        hostile.contains("which is no http:// or https:// address"),
        "{hostile}"
    );
    assert!(
        !hostile.contains("hunter2") && !hostile.contains('\u{202e}'),
        "{hostile}"
    );
}
