//! Which certificate of a server is trusted: by the file of an authority, as exactly that certificate, or by an
//! authority's fingerprint; and the messages about others.

use std::sync::Arc;

use logweir::config::{Auth, Fingerprint, Kibana};
use logweir::http::{Backoff, ConnectionSettings, HttpClient, Method, Service, Transport as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tempfile::TempDir;

use crate::support::agent::{Home, section_log};
use crate::support::tls::tls;
use testkit::fake_cluster::Cluster;
use testkit::fake_es::FakeEs;

/// A certificate and its key.
struct Own {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

/// How a certificate differs from a correct one.
#[derive(Default, Clone, Copy)]
struct Flaws {
    name: Option<&'static str>,
    expired: bool,
    /// As `openssl req -x509` makes them.
    is_authority: bool,
}

fn params(flaws: Flaws) -> CertificateParams {
    let names = vec![flaws.name.unwrap_or("localhost").to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "node");
    if flaws.expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    }
    if flaws.is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

fn self_signed(flaws: Flaws) -> Own {
    let key = KeyPair::generate().unwrap();
    let certificate = params(flaws).self_signed(&key).unwrap();
    Own {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key,
    }
}

fn authority(expired: bool) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(Flaws {
        expired,
        is_authority: true,
        ..Flaws::default()
    });
    params.subject_alt_names.clear();
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(by: &Issuer<'static, KeyPair>, flaws: Flaws) -> Own {
    let key = KeyPair::generate().unwrap();
    let certificate = params(flaws).signed_by(&key, by).unwrap();
    Own {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key,
    }
}

/// A server that sends this chain.
async fn server(own: &Own, above: &[&CertificateDer<'static>]) -> FakeEs {
    let mut chain = vec![own.certificate.clone()];
    chain.extend(above.iter().map(|certificate| (*certificate).clone()));
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key.serialize_der()));
    let builder = ServerConfig::builder().with_no_client_auth();
    let config = builder.with_single_cert(chain, key).unwrap();
    FakeEs::start_tls(Cluster::default(), tls(config))
}

fn sha256(certificate: &CertificateDer<'static>) -> Fingerprint {
    let hash = default_provider()
        .cipher_suites
        .iter()
        .find_map(|suite| {
            let suite = suite.tls13()?;
            let hashes = suite.common.hash_provider;
            (hashes.output_len() == 32).then(|| hashes.hash(certificate))
        })
        .unwrap();
    Fingerprint::of(hash.as_ref().try_into().unwrap())
}

/// The result of a request to the server; `change` sets what is trusted.
async fn ask(es: &FakeEs, change: impl FnOnce(&mut ConnectionSettings)) -> Result<(), String> {
    let mut settings = ConnectionSettings::new(vec![es.url()]);
    change(&mut settings);
    let client = HttpClient::new(&settings, Service::Cluster, Backoff::default());
    let client = client.map_err(|error| error.to_string())?;
    let answer = client.request(Method::Get, "/", &[], None).await;
    answer.map(drop).map_err(|error| error.to_string())
}

async fn ask_by_fingerprint(es: &FakeEs, fingerprint: Fingerprint) -> Result<(), String> {
    ask(es, |settings| settings.ca_fingerprint = Some(fingerprint)).await
}

async fn ask_by_file(es: &FakeEs, pem: &str) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    ask(es, |settings| settings.ca_file = Some(path)).await
}

/// The error must contain all of these words.
fn says(answer: Result<(), String>, words: &[&str]) {
    let error = answer.unwrap_err();
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

#[tokio::test]
async fn an_authority_is_trusted_by_the_fingerprint_of_a_sent_certificate() {
    let authority = authority(false);
    let own = signed(&authority, Flaws::default());
    let es = server(&own, &[authority.der()]).await;
    assert_eq!(
        ask_by_fingerprint(&es, sha256(authority.der())).await,
        Ok(())
    );
    assert_eq!(es.seen().len(), 1);
}

#[tokio::test]
async fn a_fingerprint_that_no_sent_certificate_has_is_refused_with_those_that_were_sent() {
    let (authority, other) = (authority(false), authority(false));
    let own = signed(&authority, Flaws::default());
    let wanted = sha256(other.der());
    let es = server(&own, &[authority.der()]).await;
    let words = [
        format!("none of the certificates that it sends has the ca_fingerprint {wanted}"),
        format!(
            "it sends {}, {}",
            sha256(&own.certificate),
            sha256(authority.der())
        ),
    ];
    says(
        ask_by_fingerprint(&es, wanted).await,
        &words.each_ref().map(String::as_str),
    );
    // the right authority, which does not come with the chain
    let alone = server(&own, &[]).await;
    says(
        ask_by_fingerprint(&alone, sha256(authority.der())).await,
        &["none of the certificates that it sends"],
    );
    assert!(es.seen().is_empty() && alone.seen().is_empty());
}

#[tokio::test]
async fn a_fingerprint_replaces_no_other_check() {
    let authority = authority(false);
    let wanted = sha256(authority.der());
    let mallory = self_signed(Flaws::default());
    let es = server(&mallory, &[authority.der()]).await;
    says(
        ask_by_fingerprint(&es, wanted).await,
        &["authority that is not trusted"],
    );

    let elsewhere = signed(
        &authority,
        Flaws {
            name: Some("es-9"),
            ..Flaws::default()
        },
    );
    let es = server(&elsewhere, &[authority.der()]).await;
    says(
        ask_by_fingerprint(&es, wanted).await,
        &["not for this name (it is for es-9)"],
    );

    let old = signed(
        &authority,
        Flaws {
            expired: true,
            ..Flaws::default()
        },
    );
    let es = server(&old, &[authority.der()]).await;
    says(
        ask_by_fingerprint(&es, wanted).await,
        &["valid until 2021-02-03", "renew it"],
    );
}

#[tokio::test]
async fn an_expired_authority_or_a_certificate_of_no_authority_is_refused() {
    let old = authority(true);
    let own = signed(&old, Flaws::default());
    let es = server(&own, &[old.der()]).await;
    says(
        ask_by_fingerprint(&es, sha256(old.der())).await,
        &["valid until 2021-02-03"],
    );

    // the owner of a server's key must not be able to issue certificates for other servers
    let servers = self_signed(Flaws::default());
    let issuer = Issuer::new(params(Flaws::default()), servers.key);
    let made = signed(&issuer, Flaws::default());
    let es = server(&made, &[&servers.certificate]).await;
    says(
        ask_by_fingerprint(&es, sha256(&servers.certificate)).await,
        &["is no authority's"],
    );
}

#[tokio::test]
async fn the_fingerprint_may_be_that_of_the_servers_own_certificate() {
    for is_authority in [false, true] {
        let flaws = Flaws {
            is_authority,
            ..Flaws::default()
        };
        let own = self_signed(flaws);
        let es = server(&own, &[]).await;
        assert_eq!(
            ask_by_fingerprint(&es, sha256(&own.certificate)).await,
            Ok(())
        );
        let elsewhere = self_signed(Flaws {
            name: Some("es-9"),
            ..flaws
        });
        let es = server(&elsewhere, &[]).await;
        let answer = ask_by_fingerprint(&es, sha256(&elsewhere.certificate)).await;
        says(answer, &["not for this name"]);
    }
}

#[tokio::test]
async fn a_self_signed_certificate_in_ca_file_is_accepted_as_exactly_that() {
    for is_authority in [false, true] {
        let flaws = Flaws {
            is_authority,
            ..Flaws::default()
        };
        let own = self_signed(flaws);
        let es = server(&own, &[]).await;
        assert_eq!(ask_by_file(&es, &own.pem).await, Ok(()));

        // a certificate with the same names and another key
        let twin = self_signed(flaws);
        says(
            ask_by_file(&es, &twin.pem).await,
            &["TLS: its certificate is"],
        );

        let elsewhere = self_signed(Flaws {
            name: Some("es-9"),
            ..flaws
        });
        let es = server(&elsewhere, &[]).await;
        says(
            ask_by_file(&es, &elsewhere.pem).await,
            &["not for this name", "es-9"],
        );

        let old = self_signed(Flaws {
            expired: true,
            ..flaws
        });
        let es = server(&old, &[]).await;
        says(
            ask_by_file(&es, &old.pem).await,
            &["valid until 2021-02-03 00:00:00 UTC"],
        );
    }
}

/// The file may name the node's certificate instead of the authority that signed it.
#[tokio::test]
async fn a_signed_certificate_in_ca_file_is_accepted_as_exactly_that() {
    let authority = authority(false);
    let own = signed(&authority, Flaws::default());
    let es = server(&own, &[]).await;
    assert_eq!(ask_by_file(&es, &own.pem).await, Ok(()));
    let sister = signed(&authority, Flaws::default());
    let es = server(&sister, &[]).await;
    says(
        ask_by_file(&es, &own.pem).await,
        &["authority that is not trusted"],
    );
}

#[tokio::test]
async fn an_unusable_certificate_is_reported_with_the_reason() {
    let own = self_signed(Flaws {
        is_authority: true,
        ..Flaws::default()
    });
    let es = server(&own, &[]).await;
    says(
        ask(&es, |_| {}).await,
        &["self-signed", "put it into ca_file"],
    );

    let mut nameless = params(Flaws::default());
    nameless.subject_alt_names.clear();
    let key = KeyPair::generate().unwrap();
    let certificate = nameless.self_signed(&key).unwrap();
    let own = Own {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key,
    };
    let es = server(&own, &[]).await;
    says(ask_by_file(&es, &own.pem).await, &["no subjectAltName"]);

    let certificate = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(VERSION_1_KEY.as_bytes()).unwrap();
    let key = sign::any_supported_type(&key).unwrap();
    let certified = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let builder = ServerConfig::builder().with_no_client_auth();
    let config = builder.with_cert_resolver(Arc::new(certified));
    let es = FakeEs::start_tls(Cluster::default(), tls(config));
    says(
        ask_by_file(&es, VERSION_1).await,
        &["X.509 version 1", "subjectAltName"],
    );
}

/// `run`, `check --connect`, `setup`, `prune` and `replay` take the cluster's settings from one place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_uses_the_fingerprint() {
    let authority = authority(false);
    let own = signed(&authority, Flaws::default());
    let es = server(&own, &[authority.der()]).await;
    let home = Home::new();
    home.append(0..10);
    let colons = |fingerprint: Fingerprint| {
        let digits = fingerprint.to_string().to_uppercase();
        let pairs: Vec<&str> = (0..32).map(|at| &digits[at * 2..at * 2 + 2]).collect();
        pairs.join(":")
    };
    let configure = |fingerprint: Fingerprint| {
        let cluster = format!(
            "[elasticsearch]\nnodes = [\"{}\"]\nflush_interval = \"20ms\"\nca_fingerprint = \"{}\"\n",
            es.url::<String>().trim_end_matches('/'),
            colons(fingerprint)
        );
        home.configure(
            "retention = \"30000d\"",
            &(section_log(&home.log(), "combined") + &cluster),
        );
    };
    configure(sha256(authority.der()));
    let ended =
        tokio::task::block_in_place(|| home.end_of(&["run", "--once", "--no-template-check"]));
    assert_eq!(ended.code, Some(0), "{}", ended.words);
    assert_eq!(es.cluster().documents.len(), 10);
    let before = es.seen().len();
    let right: [&[&str]; 3] = [
        &["check", "--connect"],
        &["setup", "--only", "templates"],
        &["prune"],
    ];
    for arguments in right {
        let ended = tokio::task::block_in_place(|| home.end_of(arguments));
        assert!(
            !ended.words.contains("TLS"),
            "{arguments:?}: {}",
            ended.words
        );
        assert!(es.seen().len() > before, "{arguments:?}: {}", ended.words);
    }
    configure(sha256(&self_signed(Flaws::default()).certificate));
    let before = es.seen().len();
    for arguments in right {
        let ended = tokio::task::block_in_place(|| home.end_of(arguments));
        assert!(
            ended.words.contains("has the ca_fingerprint"),
            "{arguments:?}: {}",
            ended.words
        );
    }
    assert_eq!(es.seen().len(), before);
}

#[tokio::test]
async fn kibana_is_trusted_by_its_fingerprint_too() {
    let authority = authority(false);
    let own = signed(&authority, Flaws::default());
    let es = server(&own, &[authority.der()]).await;
    let transport = |fingerprint| {
        HttpClient::of_kibana(&Kibana {
            url: es.url(),
            space: None,
            auth: Auth::None,
            ca_file: None,
            ca_fingerprint: fingerprint,
            proxies: Default::default(),
        })
        .unwrap()
    };
    let known = transport(Some(sha256(authority.der())));
    assert!(known.request(Method::Get, "/", &[], None).await.is_ok());
    let other = transport(None).request(Method::Get, "/", &[], None).await;
    assert!(other.unwrap_err().to_string().contains("not trusted"));
}

/// Of X.509 version 1, for `CN=localhost`, as `openssl x509 -req -signkey` makes it.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBJDCBywIUQjwz8JTy2N/8BHzUsHox2ZX8sncwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzIwNTcxNloYDzIxMjYxMTAzMjA1NzE2
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAROZJy6rx0v5YS+jl6V3lyEum9uiM33x2XiPf2s9gsgxDB+Pn4TqxdVNkQk5s91
GPexVj9s99nw+e1/i1t7tyqJMAoGCCqGSM49BAMCA0gAMEUCIGStAk4Nh36NbZCw
E/nUI1xcQ7ePTNahxC1wEdP3cwZqAiEAlJZR7E/8OWpDs5euR+jbaPzxExyfnqAR
YvXnWIBtUhw=
-----END CERTIFICATE-----\n";

const VERSION_1_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgG2WoOxh0lM6slTMC
J8fyIX8mU0Sc1FYLGFIAaS7WYq6hRANCAAROZJy6rx0v5YS+jl6V3lyEum9uiM33
x2XiPf2s9gsgxDB+Pn4TqxdVNkQk5s91GPexVj9s99nw+e1/i1t7tyqJ
-----END PRIVATE KEY-----\n";
