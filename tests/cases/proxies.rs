//! A cluster behind an HTTP proxy: by the setting and by the environment, with credentials, which no command shows.

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::agent::{Ended, Home, section_log};
use crate::support::tls::tls;
use testkit::fake_cluster::Cluster;
use testkit::fake_es::FakeEs;
use testkit::ports::free_port;
use testkit::proxy::{Proxy, Rule};

/// `logweir:hunter2`.
const BASIC: &str = "Basic bG9nd2VpcjpodW50ZXIy";

/// A cluster with TLS under a name that only the proxy knows.
struct Network {
    es: FakeEs,
    home: Home,
}

impl Network {
    async fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["es.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let home = Home::new();
        std::fs::write(home.path("ca.pem"), certificate.pem()).unwrap();
        home.append(0..10);
        let es = FakeEs::start_tls(Cluster::default(), tls(config));
        Self { es, home }
    }

    fn proxy(&self, wants: Option<&'static str>) -> Proxy {
        let target = Some(self.es.address);
        Proxy::start(Rule { target, wants })
    }

    fn configure(&self, setting: &str) {
        let cluster = format!(
            "[elasticsearch]\nnodes = [\"https://es.test:9200\"]\nflush_interval = \"20ms\"\nca_file = '{}'\n{setting}\n",
            self.home.path("ca.pem").display()
        );
        self.home
            .configure("", &(section_log(&self.home.log(), "combined") + &cluster));
    }

    fn ends(&self, variables: &[&str], arguments: &[&str]) -> Ended {
        let ended =
            tokio::task::block_in_place(|| self.home.end_with_variables(variables, arguments));
        assert!(
            !ended.words.contains("hunter2"),
            "{arguments:?}: {}",
            ended.words
        );
        ended
    }

    /// `run --once` delivers all lines.
    fn delivers(&self, variables: &[&str]) {
        let ended = self.ends(variables, &["run", "--once", "--no-template-check"]);
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        assert_eq!(self.es.cluster().documents.len(), 10);
    }

    /// `check --connect` prints all of these words.
    fn check_says(&self, variables: &[&str], words: &[&str]) {
        let ended = self.ends(variables, &["check", "--connect"]);
        for word in words {
            assert!(
                ended.words.contains(word),
                "{word} is not in: {}",
                ended.words
            );
        }
    }
}

const TUNNEL: &str = "CONNECT es.test:9200 HTTP/1.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setting_names_a_proxy_with_credentials() {
    let network = Network::new().await;
    let proxy = network.proxy(Some(BASIC));
    let address = proxy.address();
    network.configure(&format!("proxy = \"http://logweir:hunter2@{address}\""));
    // the setting takes precedence over the environment
    let other = format!("HTTPS_PROXY=http://127.0.0.1:{}", free_port());
    network.delivers(&[&other]);
    assert!(
        proxy.seen().iter().all(|line| line == TUNNEL),
        "{:?}",
        proxy.seen()
    );
    assert!(!proxy.seen().is_empty());
    network.check_says(
        &[&other],
        &[&format!(
            "proxy       http://{address} (proxy in [elasticsearch])\n  answers"
        )],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_variables_name_a_proxy() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let network = Network::new().await;
        let proxy = network.proxy(Some(BASIC));
        let address = proxy.address();
        network.configure("");
        let variable = format!("{name}=http://logweir:hunter2@{address}");
        network.delivers(&[&variable, "NO_PROXY=example.org,10.0.0.0/8"]);
        assert!(
            proxy.seen().iter().all(|line| line == TUNNEL),
            "{:?}",
            proxy.seen()
        );
        network.check_says(
            &[&variable],
            &[&format!("http://{address} ({name})\n  answers")],
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_is_used_if_none_is_configured() {
    let network = Network::new().await;
    let proxy = network.proxy(None);
    let variable = format!("HTTPS_PROXY={}", proxy.address());
    network.configure("");
    for direct in ["NO_PROXY=.test", "no_proxy=es.test:9200", "NO_PROXY=*"] {
        network.check_says(
            &[&variable, direct],
            &["proxy       none", "the name cannot be resolved"],
        );
    }
    network.configure("proxy = \"none\"");
    network.check_says(
        &[&variable],
        &["proxy       none", "the name cannot be resolved"],
    );
    assert_eq!(proxy.seen(), [""; 0]);
    network.configure("");
    network.delivers(&[&variable]);
    assert!(!proxy.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_is_reached_without_the_proxy() {
    let es = FakeEs::start(Cluster::default());
    let proxy = Proxy::start(Rule {
        target: None,
        wants: None,
    });
    let home = Home::new();
    home.append(0..10);
    for (setting, variable) in [
        (
            format!("proxy = \"http://{}\"\n", proxy.address()),
            "X=".to_owned(),
        ),
        (
            String::new(),
            format!("HTTP_PROXY=http://{}", proxy.address()),
        ),
    ] {
        let cluster = format!(
            "[elasticsearch]\nnodes = [\"{}\"]\n{setting}",
            es.url::<String>().trim_end_matches('/')
        );
        home.configure("", &(section_log(&home.log(), "combined") + &cluster));
        let arguments = ["run", "--once", "--no-template-check"];
        let ended =
            tokio::task::block_in_place(|| home.end_with_variables(&[&variable], &arguments));
        assert_eq!(ended.code, Some(0), "{}", ended.words);
    }
    assert_eq!(es.cluster().documents.len(), 10);
    assert_eq!(proxy.seen(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unusable_proxy_is_reported_with_its_setting() {
    let network = Network::new().await;
    let strict = network.proxy(Some(BASIC));
    network.configure(&format!(
        "proxy = \"http://logweir:wrong@{}\"",
        strict.address()
    ));
    let named = format!("by the proxy http://{}", strict.address());
    network.check_says(&[], &[&named, "(407)", "check proxy in [elasticsearch]"]);

    let closed = Proxy::start(Rule {
        target: None,
        wants: None,
    });
    network.configure("");
    let variable = format!("https_proxy=http://{}", closed.address());
    network.check_says(
        &[&variable],
        &["opens no tunnel to the node", "check https_proxy"],
    );

    let nobody = format!("https_proxy=http://127.0.0.1:{}", free_port());
    network.check_says(
        &[&nobody],
        &[
            "by the proxy",
            "refuses the connection",
            "check https_proxy",
        ],
    );
}

/// Requests to a plain node go through a proxy without a tunnel, so a refusal of the proxy looks like a response of the
/// node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_node_is_requested_through_the_proxy() {
    let network = Network::new().await;
    let strict = network.proxy(Some(BASIC));
    let configure = |user: &str| {
        let cluster = format!(
            "[elasticsearch]\nnodes = [\"http://es.test:9200\"]\nproxy = \"http://{user}@{}\"\n",
            strict.address()
        );
        network.home.configure(
            "",
            &(section_log(&network.home.log(), "combined") + &cluster),
        );
    };
    configure("logweir:hunter2");
    network.check_says(&[], &["answers"]);
    assert_eq!(strict.seen()[0], "GET http://es.test:9200/ HTTP/1.1");
    configure("logweir:wrong");
    network.check_says(&[], &["by the proxy", "(407)"]);
}
