//! Delivery over real sockets, which the tests of the state machine do not use.
//!
//! Time is real here, so waits are milliseconds, and no test's outcome depends on one being long or short.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use logweir::config::{Auth, ClientCertificate};
use logweir::event::{Batch, Item, OutcomeCounts};
use logweir::http::{Backoff, HttpError, Method, Transport as _};
use logweir::output::elasticsearch::{Elasticsearch, Settings, TemplateState};
use logweir::output::{Health, OutputStatus as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::delivery::{self, Delivery, daily};
use crate::support::tls::tls;
use testkit::fake_cluster::{Cluster, Fault};
use testkit::fake_es::FakeEs;

struct Lab {
    output: Arc<Elasticsearch>,
    _directory: TempDir,
}

fn settings(nodes: Vec<Url>, directory: &TempDir) -> Settings {
    let backoff = Backoff::try_new(Duration::from_millis(1), Duration::from_millis(5)).unwrap();
    let mut settings = Settings {
        backoff,
        ..Settings::new(nodes, directory.path().to_owned())
    };
    settings.connection.gzip = false;
    settings
}

fn lab(nodes: Vec<Url>, change: impl FnOnce(&mut Settings)) -> Lab {
    let directory = TempDir::new().unwrap();
    let mut settings = settings(nodes, &directory);
    change(&mut settings);
    Lab {
        output: Elasticsearch::connect(settings, daily()).unwrap(),
        _directory: directory,
    }
}

impl Lab {
    async fn deliver(&self, batch: Batch) -> Delivery {
        delivery::deliver(&*self.output, batch, &CancellationToken::new()).await
    }
}

fn batch(ids: std::ops::Range<usize>) -> Batch {
    let mut batch = Batch::default();
    for id in ids {
        let start = u32::try_from(batch.body.len()).unwrap();
        let action = format!("{{\"create\":{{\"_index\":\"day\",\"_id\":\"id-{id}\"}}}}\n");
        batch.body.extend_from_slice(action.as_bytes());
        let document = u32::try_from(batch.body.len()).unwrap();
        batch.items.push(Item { start, document });
        batch
            .body
            .extend_from_slice(format!("{{\"n\":{id}}}\n").as_bytes());
    }
    batch
}

fn held(es: &FakeEs) -> BTreeSet<String> {
    es.cluster()
        .documents
        .keys()
        .map(|(_, id)| id.clone())
        .collect()
}

fn ids(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|id| format!("id-{id}")).collect()
}

/// An address without a listener.
async fn nobody() -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

#[tokio::test]
async fn batches_go_over_one_connection_and_give_their_memory_back() {
    let es = FakeEs::start(Cluster::default());
    let lab = lab(vec![es.url()], |_| {});
    for round in 0..3 {
        let batch = batch(round * 100..round * 100 + 100);
        let memory = batch.body.as_ptr();
        let delivery = lab.deliver(batch).await;
        assert!(delivery.settled);
        assert_eq!(
            delivery.counts,
            OutcomeCounts {
                indexed: 100,
                ..OutcomeCounts::default()
            }
        );
        assert_eq!(delivery.batch.body.as_ptr(), memory, "no copy was made");
    }
    assert_eq!(held(&es), ids(0..300));
    let seen = es.seen();
    assert!(
        seen.iter().all(|request| request.connection == 0),
        "{seen:#?}"
    );
    let request = &seen[0];
    assert!(
        request
            .line
            .starts_with("POST /_bulk?timeout=30000ms&filter_path=items."),
        "{request:?}"
    );
    assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("transfer-encoding"), None);
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("logweir/")
    );
    assert_eq!(
        lab.output.stats().requests().collect::<Vec<_>>(),
        [(200, 3)]
    );
    assert_eq!(lab.output.health(), Health::Delivering);
}

#[tokio::test]
async fn gzip_is_made_once_and_read_by_the_server() {
    let refused = Fault::Status(503, None, "x");
    let es = FakeEs::start(Cluster::with([refused]));
    let lab = lab(vec![es.url()], |settings| settings.connection.gzip = true);
    let batch = batch(0..500);
    let plain = batch.body.len();
    assert_eq!(lab.deliver(batch).await.counts.indexed, 500);
    let seen = es.seen();
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|one| one.header("content-encoding") == Some("gzip"))
    );
    assert!(seen[0].body_bytes < plain / 4 && seen[0].body_bytes == seen[1].body_bytes);
    assert_eq!(held(&es), ids(0..500));
}

#[tokio::test]
async fn every_fault_of_a_socket_is_survived() {
    for fault in [
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::CutJson(30),
        Fault::CutBody(30),
        Fault::Html,
        Fault::WrongCount,
        Fault::Status(429, Some("0"), "busy"),
        Fault::Status(503, None, "x"),
        Fault::Items {
            every: 2,
            status: 429,
            kind: "busy",
        },
    ] {
        let es = FakeEs::start(Cluster::with([fault.clone(), fault.clone()]));
        let lab = lab(vec![es.url()], |_| {});
        let delivery = lab.deliver(batch(0..10)).await;
        assert!(delivery.settled, "{fault:?}");
        assert_eq!(
            delivery.counts.indexed + delivery.counts.duplicate,
            10,
            "{fault:?}"
        );
        assert_eq!(held(&es), ids(0..10), "{fault:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_response_is_given_up_and_sent_again() {
    let es = FakeEs::start(Cluster::with([Fault::HangAfter]));
    let lab = lab(vec![es.url()], |settings| {
        settings.connection.request_timeout = Duration::from_secs(1)
    });
    let delivery = lab.deliver(batch(0..10)).await;
    assert_eq!(
        delivery.counts,
        OutcomeCounts {
            duplicate: 10,
            ..OutcomeCounts::default()
        }
    );
    let reasons: Vec<_> = lab
        .output
        .stats()
        .retries()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(reasons.len(), 1);
    assert_eq!((reasons[0].0.label(), reasons[0].1), ("timeout", 10));
}

#[tokio::test]
async fn the_next_node_takes_over_from_a_dead_one() {
    let es = FakeEs::start(Cluster::default());
    let lab = lab(vec![nobody().await, es.url(), nobody().await], |_| {});
    for round in 0..5 {
        assert!(
            lab.deliver(batch(round * 10..round * 10 + 10))
                .await
                .settled
        );
    }
    assert_eq!(held(&es), ids(0..50));
    let answer = lab
        .output
        .http()
        .request(Method::Get, "/_index_template/x", &[], None)
        .await
        .unwrap();
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn an_absent_cluster_is_named_and_a_stop_gives_the_batch_back() {
    let absent = nobody().await;
    let lab = lab(vec![absent.clone()], |_| {});
    let stop = CancellationToken::new();
    let output = lab.output.clone();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { delivery::deliver(&*output, batch(0..3), &stop).await }
    });
    while lab.output.health() == Health::Delivering {
        tokio::task::yield_now().await;
    }
    let Health::Retrying { reason, .. } = lab.output.health() else {
        panic!()
    };
    assert!(
        reason.contains("connection refused")
            && reason.contains(absent.as_str().trim_end_matches('/')),
        "{reason}"
    );
    stop.cancel();
    let delivery = running.await.unwrap();
    assert!(!delivery.settled);
}

#[tokio::test]
async fn credentials_are_sent_in_the_authorization_header() {
    for (auth, expected) in [
        (
            Auth::ApiKey(SecretString::from("id:key")),
            "ApiKey aWQ6a2V5",
        ),
        (Auth::Bearer(SecretString::from("token")), "Bearer token"),
        (
            Auth::Basic {
                username: "elastic".into(),
                password: SecretString::from("pw"),
            },
            "Basic ZWxhc3RpYzpwdw==",
        ),
    ] {
        let es = FakeEs::start(Cluster::default());
        let lab = lab(vec![es.url()], |settings| settings.connection.auth = auth);
        lab.deliver(batch(0..1)).await;
        lab.output.check_template("x", false).await;
        for request in es.seen() {
            assert_eq!(request.header("authorization"), Some(expected));
        }
    }
}

#[tokio::test]
async fn the_template_check_reports_present_absent_or_unknown() {
    let es = FakeEs::start(Cluster::default());
    es.cluster().forbid("GET /_index_template/secret");
    let lab = self::lab(vec![es.url()], |_| {});
    assert_eq!(
        lab.output.check_template("ours", false).await,
        TemplateState::Missing
    );
    let put = lab
        .output
        .http()
        .request(Method::Put, "/_index_template/ours", &[], Some("{}".into()))
        .await;
    assert_eq!(put.unwrap().status, 200);
    assert_eq!(
        lab.output.check_template("ours", false).await,
        TemplateState::Present
    );
    let TemplateState::Unknown(why) = lab.output.check_template("secret", false).await else {
        panic!()
    };
    assert!(why.contains("403"), "{why}");
    let absent = self::lab(vec![nobody().await], |_| {});
    let TemplateState::Unreachable(why) = absent.output.check_template("ours", false).await else {
        panic!()
    };
    assert!(why.contains("connection refused"), "{why}");
}

#[tokio::test]
async fn an_unknown_host_name_is_reported() {
    let node = Url::parse("http://no-such-host.invalid:9200").unwrap();
    let lab = lab(vec![node], |_| {});
    let error = lab
        .output
        .http()
        .request(Method::Get, "/", &[], None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("http://no-such-host.invalid:9200: the name cannot be resolved"),
        "{error}"
    );
}

/// An authority, and the certificates that it issues to a server and a client.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn server(&self, name: &str, clients: Option<&Self>) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let builder = ServerConfig::builder();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                    .build()
                    .unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    fn ca_file(&self, directory: &TempDir) -> PathBuf {
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    fn client(&self, directory: &TempDir) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["logweir".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate, key_path) = (
            directory.path().join("client.pem"),
            directory.path().join("client.key"),
        );
        std::fs::write(&certificate, signed.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        ClientCertificate {
            certificate,
            key: key_path,
        }
    }
}

async fn said(output: &Elasticsearch) -> String {
    output
        .http()
        .request(Method::Get, "/", &[], None)
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_its_file_only() {
    let authority = Authority::new("cluster");
    let es = FakeEs::start_tls(Cluster::default(), tls(authority.server("localhost", None)));
    let files = TempDir::new().unwrap();
    let trusting = lab(vec![es.url()], |settings| {
        settings.connection.ca_file = Some(authority.ca_file(&files));
    });
    assert_eq!(trusting.deliver(batch(0..10)).await.counts.indexed, 10);

    let strange = lab(vec![es.url()], |_| {});
    let error = said(&strange.output).await;
    assert!(
        error.contains("authority that is not trusted") && error.contains("set ca_file"),
        "{error}"
    );

    let other = TempDir::new().unwrap();
    let wrong = lab(vec![es.url()], |settings| {
        settings.connection.ca_file = Some(Authority::new("another").ca_file(&other));
    });
    let error = said(&wrong.output).await;
    assert!(
        error.contains("not trusted") && error.contains("ca.pem"),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_reported() {
    let authority = Authority::new("cluster");
    let es = FakeEs::start_tls(Cluster::default(), tls(authority.server("es-1", None)));
    let files = TempDir::new().unwrap();
    let lab = lab(vec![es.url()], |settings| {
        settings.connection.ca_file = Some(authority.ca_file(&files))
    });
    let error = said(&lab.output).await;
    assert!(
        error.contains("not for this name") && error.contains("es-1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_certificate_is_sent_together_with_an_api_key() {
    let authority = Authority::new("cluster");
    let config = authority.server("localhost", Some(&authority));
    let es = FakeEs::start_tls(Cluster::default(), tls(config));
    let files = TempDir::new().unwrap();
    let known = lab(vec![es.url()], |settings| {
        settings.connection.ca_file = Some(authority.ca_file(&files));
        settings.connection.client_certificate = Some(authority.client(&files));
        settings.connection.auth = Auth::ApiKey(SecretString::from("id:key"));
    });
    assert_eq!(known.deliver(batch(0..10)).await.counts.indexed, 10);
    assert_eq!(
        es.seen()[0].header("authorization"),
        Some("ApiKey aWQ6a2V5")
    );

    let unknown = lab(vec![es.url()], |settings| {
        settings.connection.ca_file = Some(authority.ca_file(&files));
    });
    let error = said(&unknown.output).await;
    assert!(error.contains("client_cert"), "{error}");
}

#[tokio::test]
async fn tls_and_plain_text_are_distinguished() {
    let plain = FakeEs::start(Cluster::default());
    let mut url: Url = plain.url();
    url.set_scheme("https").unwrap();
    let error = said(&lab(vec![url], |_| {}).output).await;
    assert!(
        error.contains("http://") || error.contains("does not speak TLS"),
        "{error}"
    );

    let authority = Authority::new("cluster");
    let tls = FakeEs::start_tls(Cluster::default(), tls(authority.server("localhost", None)));
    let mut url: Url = tls.url();
    url.set_scheme("http").unwrap();
    let error = said(&lab(vec![url], |_| {}).output).await;
    assert!(error.contains("use https://"), "{error}");
}

#[test]
fn files_with_wrong_content_are_named() {
    let directory = TempDir::new().unwrap();
    let node = || vec![Url::parse("https://localhost:9200").unwrap()];
    let mut wrong = settings(node(), &directory);
    wrong.connection.ca_file = Some(directory.path().join("absent.pem"));
    let error = Elasticsearch::connect(wrong.clone(), daily()).unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::File {
                setting: "ca_file",
                ..
            }
        ),
        "{error}"
    );
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    wrong.connection.ca_file = Some(garbage.clone());
    let error = Elasticsearch::connect(wrong.clone(), daily()).unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::Pem {
                setting: "ca_file",
                ..
            }
        ),
        "{error}"
    );
    wrong.connection.ca_file = None;
    wrong.connection.client_certificate = Some(ClientCertificate {
        certificate: garbage.clone(),
        key: garbage,
    });
    let error = Elasticsearch::connect(wrong.clone(), daily()).unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::Pem {
                setting: "client_key",
                ..
            }
        ),
        "{error}"
    );
    wrong.connection.nodes.clear();
    let error = Elasticsearch::connect(wrong, daily()).unwrap_err();
    assert!(error.to_string().contains("nodes is empty"), "{error}");
}
