//! Real clusters with TLS and users: `check --connect`, `setup` and `run` report each fault of the connection, the user or
//! the privileges with the setting to change. The roles that `logweir setup --print roles` prints are enough.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use logweir::config::Auth;
use logweir::http::{Backoff, ConnectionSettings, HttpClient, Method, Service, Transport as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::{Secured, servers, unique};
use crate::support::agent::{Home, section_log};

const ADMIN: &str = "admin";
const ADMINS_PASSWORD: &str = "changeme";
/// The password of the created users; OpenSearch refuses simple ones.
const PASSWORD: &str = "Seven-Weirs-Upstream-42";
const LINES: u32 = 500;

/// How a host connects to a cluster.
#[derive(Clone)]
struct Access {
    node: String,
    ca: Option<PathBuf>,
    /// Settings of `[elasticsearch]`.
    credentials: String,
}

impl Access {
    /// The correct settings.
    fn to(cluster: &Secured<'_>) -> Self {
        Self {
            node: cluster.address.to_owned(),
            ca: Some(cluster.ca.to_owned()),
            credentials: user(ADMIN, ADMINS_PASSWORD),
        }
    }

    fn with(&self, credentials: String) -> Self {
        Self {
            credentials,
            ..self.clone()
        }
    }
}

fn user(name: &str, password: &str) -> String {
    format!("username = \"{name}\"\npassword = \"{password}\"\n")
}

fn key(encoded: &str) -> String {
    format!("api_key = \"{encoded}\"\n")
}

/// A host with one log of [`LINES`] lines and indices of its own.
struct Host {
    home: Home,
    /// The prefix of their names.
    index: String,
    /// The setting that names them.
    target: String,
    /// Settings before the sections.
    top: &'static str,
}

impl Host {
    fn new() -> Self {
        let home = Home::new();
        home.append(0..LINES);
        let index = unique("secured");
        let target = format!("index = \"{index}-%Y.%m.%d\"\n");
        Self {
            home,
            index,
            target,
            top: "",
        }
    }

    /// A host that writes to its own data stream.
    fn of_stream() -> Self {
        let index = format!("logs-{}", unique("secured").replace('-', "_"));
        let target = format!("data_stream = \"{index}-default\"\n");
        Self {
            index,
            target,
            ..Self::new()
        }
    }

    fn comes_by(&self, access: &Access) {
        let ca = access.ca.as_ref();
        let ca = ca.map_or(String::new(), |ca| {
            format!("ca_file = '{}'\n", ca.display())
        });
        let cluster = format!(
            "[elasticsearch]\nnodes = [\"{}\"]\n{}flush_interval = \"20ms\"\n{ca}{}",
            access.node, self.target, access.credentials
        );
        let log = section_log(&self.home.log(), "combined");
        self.home.configure(self.top, &(log + &cluster));
        // It holds a password.
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.home.config(), mode).unwrap();
    }

    /// Runs a command that must succeed.
    fn does(&self, arguments: &[&str]) -> String {
        let ended = self.home.end_of(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.words);
        ended.words
    }

    /// Runs a command that must fail with all of these words.
    fn fails(&self, arguments: &[&str], words: &[&str]) {
        let ended = self.home.end_of(arguments);
        assert_ne!(ended.code, Some(0), "{arguments:?}: {}", ended.words);
        for word in words {
            let said = &ended.words;
            assert!(
                said.contains(word),
                "{arguments:?} does not print {word}: {said}"
            );
        }
    }

    /// `run` must log all of these words, and send nothing.
    fn holds(&self, words: &[&str]) {
        let mut agent = self.home.run();
        for word in words {
            agent.until_said(word);
        }
        assert_eq!(agent.number("/lines/indexed"), Some(0));
        agent.kill();
    }

    /// Each of the three commands must print all of these words.
    fn reports(&self, access: &Access, words: &[&str]) {
        self.comes_by(access);
        self.fails(&["check", "--connect"], words);
        self.fails(&["setup"], words);
        self.holds(words);
    }
}

/// The cluster as its administrator sees it.
struct Admin<'c> {
    cluster: &'c Secured<'c>,
    client: HttpClient,
}

impl<'c> Admin<'c> {
    fn of(cluster: &'c Secured<'c>) -> Self {
        let node = Url::parse(cluster.address).unwrap();
        let settings = ConnectionSettings {
            auth: Auth::Basic {
                username: ADMIN.to_owned(),
                password: SecretString::from(ADMINS_PASSWORD),
            },
            ca_file: Some(cluster.ca.to_owned()),
            ..ConnectionSettings::new(vec![node])
        };
        let client = HttpClient::new(&settings, Service::Cluster, Backoff::default());
        Self {
            cluster,
            client: client.unwrap(),
        }
    }

    fn is_opensearch(&self) -> bool {
        self.cluster.family == "OpenSearch"
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then(|| body.to_string().into());
        let sent = self.client.request(method, path, &[], body).await;
        let answer = sent.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        let status = answer.status;
        assert!((200..300).contains(&status), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Creates a user with only this role. One at a time: OpenSearch keeps all users in one document, and refuses
    /// concurrent changes of it.
    async fn user(&self, role: &Value) -> String {
        static CHANGES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _alone = CHANGES.lock().await;
        let name = unique("user");
        let put = |path: String, body| async move { self.ask(Method::Put, &path, body).await };
        if self.is_opensearch() {
            let api = "/_plugins/_security/api";
            put(format!("{api}/roles/{name}"), role.clone()).await;
            let user = json!({"password": PASSWORD});
            put(format!("{api}/internalusers/{name}"), user).await;
            put(
                format!("{api}/rolesmapping/{name}"),
                json!({"users": [name]}),
            )
            .await;
        } else {
            put(format!("/_security/role/{name}"), role.clone()).await;
            let user = json!({"password": PASSWORD, "roles": [name]});
            put(format!("/_security/user/{name}"), user).await;
        }
        user(&name, PASSWORD)
    }

    /// The part of a role with its privileges on indices.
    fn rights(&self) -> &'static str {
        if self.is_opensearch() {
            "/index_permissions/0/allowed_actions"
        } else {
            "/indices/0/privileges"
        }
    }

    /// The encoded API key, with all rights.
    async fn key(&self, expiration: &str) -> Value {
        let body = json!({"name": unique("key"), "expiration": expiration});
        self.ask(Method::Post, "/_security/api_key", body).await
    }

    /// A role as `logweir setup --print roles` prints it for this family.
    fn printed(&self, host: &Host, role: &str) -> Value {
        let printed = host.does(&["setup", "--print", "roles"]);
        let path = if self.is_opensearch() {
            "/_plugins/_security/api/roles"
        } else {
            "/_security/role"
        };
        let request = format!("PUT {path}/{role}\n");
        let (_, body) = printed.split_once(&request).unwrap();
        let mut values = serde_json::Deserializer::from_str(body).into_iter();
        values.next().unwrap().unwrap()
    }

    /// With the positions lost, every line is sent again, and the cluster reports duplicates.
    async fn has_every_line_once_still(&self, host: &Host) {
        std::fs::remove_dir_all(host.home.data()).unwrap();
        host.does(&["run", "--once"]);
        self.has_every_line(host).await;
    }

    /// Each line of the host is there, once.
    async fn has_every_line(&self, host: &Host) {
        let indices = format!("/{}-*", host.index);
        self.ask(Method::Post, &format!("{indices}/_refresh"), Value::Null)
            .await;
        let search = json!({"size": 10_000, "_source": ["url.path"]});
        let path = format!("{indices}/_search");
        let found = self.ask(Method::Post, &path, search).await;
        let hits = found["hits"]["hits"].as_array().unwrap();
        let path = |hit: &Value| hit["_source"]["url"]["path"].as_str().unwrap().to_owned();
        let mut there: Vec<String> = hits.iter().map(path).collect();
        let mut written: Vec<String> = (0..LINES).map(|number| format!("/item/{number}")).collect();
        there.sort();
        written.sort();
        assert_eq!(there, written);
    }
}

#[test]
fn a_connection_fault_is_reported_with_the_setting() {
    for cluster in servers().secured() {
        let (host, right) = (Host::new(), Access::to(&cluster));
        let stranger = host.home.path("stranger.pem");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        std::fs::write(&stranger, certificate.pem()).unwrap();

        let untrusted = "signed by an authority that is not trusted";
        let unknown = Access {
            ca: None,
            ..right.clone()
        };
        host.reports(&unknown, &[untrusted, "set ca_file"]);
        let wrong = Access {
            ca: Some(stranger),
            ..right.clone()
        };
        host.reports(&wrong, &[untrusted, "set ca_file", "stranger.pem"]);
        let by_address = Access {
            node: cluster.address.replace("localhost", "127.0.0.1"),
            ..right.clone()
        };
        host.reports(&by_address, &["not for this name", "localhost", "nodes"]);
        let plain = Access {
            node: cluster.address.replace("https:", "http:"),
            // it has no effect with http, and the configuration reports that
            ca: None,
            ..right
        };
        host.reports(&plain, &["use https:// in nodes"]);
    }
}

#[test]
fn tls_to_a_plain_cluster_is_reported() {
    for (_, address) in servers().clusters() {
        let host = Host::new();
        let tls = Access {
            node: address.replace("http:", "https:"),
            ca: None,
            credentials: String::new(),
        };
        host.reports(&tls, &["it does not speak TLS", "use http:// in nodes"]);
    }
}

#[test]
fn a_user_unknown_to_the_cluster_is_reported_with_the_setting() {
    for cluster in servers().secured() {
        let (host, right) = (Host::new(), Access::to(&cluster));
        let password = right.with(user(ADMIN, "wrong"));
        host.reports(&password, &["401", "username", "password"]);
        let nobody = right.with(String::new());
        host.reports(&nobody, &["401", "api_key", "username"]);
        let key = right.with(key("d3Jvbmc6d3Jvbmc="));
        host.reports(&key, &["401", "api_key"]);
    }
}

/// OpenSearch has no API keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_is_accepted_until_it_expires() {
    for cluster in servers().secured() {
        let admin = Admin::of(&cluster);
        if admin.is_opensearch() {
            continue;
        }
        let (host, right) = (Host::new(), Access::to(&cluster));
        let expired = admin.key("1ms").await;
        let expired = right.with(key(expired["encoded"].as_str().unwrap()));
        host.reports(&expired, &["401", "expired", "api_key"]);

        let made = admin.key("1h").await;
        let access = right.with(key(made["encoded"].as_str().unwrap()));
        host.comes_by(&access);
        host.does(&["setup"]);
        host.does(&["check", "--connect"]);
        host.does(&["run", "--once"]);
        admin.has_every_line(&host).await;
    }
}

/// The warnings of `check`, except the one about root: the tests may run as root with logs that anybody may read.
fn warnings(said: &str) -> Vec<&str> {
    let warnings = said.lines().filter(|line| line.contains("warning:"));
    let of_root = |line: &&str| line.contains("runs as root and need not");
    warnings.filter(|line| !of_root(line)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_roles_are_enough_and_every_line_is_there_once() {
    for cluster in servers().secured() {
        let (host, right) = (Host::new(), Access::to(&cluster));
        let admin = Admin::of(&cluster);
        host.comes_by(&right);
        let setup = admin.printed(&host, "logweir_setup");
        let agent = admin.printed(&host, "logweir_agent");
        host.comes_by(&right.with(admin.user(&setup).await));
        host.does(&["setup"]);
        host.does(&["setup"]);

        host.comes_by(&right.with(admin.user(&agent).await));
        let said = host.does(&["check", "--connect"]);
        assert_eq!(warnings(&said), [""; 0], "{said}");
        host.does(&["run", "--once"]);
        admin.has_every_line(&host).await;
        admin.has_every_line_once_still(&host).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rights_of_a_role_are_reported() {
    for cluster in servers().secured() {
        let (host, right) = (Host::new(), Access::to(&cluster));
        let admin = Admin::of(&cluster);
        host.comes_by(&right);
        host.does(&["setup"]);
        let agent = admin.printed(&host, "logweir_agent");
        let (begins_a_day, writes) = if admin.is_opensearch() {
            ("indices:admin/create", "indices:data/write")
        } else {
            ("auto_configure", "create_doc")
        };
        for lacking in [begins_a_day, writes] {
            let mut role = agent.clone();
            let list = role.pointer_mut(admin.rights());
            let list = list.and_then(Value::as_array_mut).unwrap();
            list.retain(|privilege| !privilege.as_str().unwrap().starts_with(lacking));
            let access = right.with(admin.user(&role).await);
            host.comes_by(&access);
            let words = ["403", lacking, "logweir setup --print roles"];
            host.holds(&words);
            if !admin.is_opensearch() {
                // OpenSearch does not show users their privileges
                host.fails(&["check", "--connect"], &words[1..]);
            }
            // an agent never has the privilege to put templates
            let new = Host::new();
            new.comes_by(&access);
            new.fails(&["setup"], &["403", words[2]]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_roles_are_enough_for_a_data_stream() {
    for cluster in servers().secured() {
        let (host, right) = (Host::of_stream(), Access::to(&cluster));
        let admin = Admin::of(&cluster);
        host.comes_by(&right);
        let setup = admin.printed(&host, "logweir_setup");
        let mut agent = admin.printed(&host, "logweir_agent");
        if !admin.is_opensearch() {
            // these servers are newer than 8.13 and know `require_data_stream`; the other privileges are for older ones
            let rights = agent.pointer_mut(admin.rights());
            let rights = rights.and_then(Value::as_array_mut).unwrap();
            let older = rights.split_off(2);
            assert_eq!(older, ["create_index", "view_index_metadata"]);
        }
        host.comes_by(&right.with(admin.user(&setup).await));
        host.does(&["setup"]);
        host.does(&["setup"]);

        host.comes_by(&right.with(admin.user(&agent).await));
        let said = host.does(&["check", "--connect"]);
        assert_eq!(warnings(&said), [""; 0], "{said}");
        host.does(&["run", "--once"]);
        admin.has_every_line(&host).await;
        let path = format!("/{}-default/_search?size=1", host.index);
        let found = admin.ask(Method::Post, &path, json!({})).await;
        let index = found["hits"]["hits"][0]["_index"].as_str().unwrap();
        assert!(index.starts_with(".ds-"), "{index}");
        admin.has_every_line_once_still(&host).await;
    }
}

/// These servers have no ILM and no ISM. The test shows that the role may ask for them, and that the servers know all its
/// privileges.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_role_sets_up_with_a_retention() {
    for cluster in servers().secured() {
        for mut host in [Host::new(), Host::of_stream()] {
            let right = Access::to(&cluster);
            let admin = Admin::of(&cluster);
            host.top = "retention = \"30d\"\n";
            host.comes_by(&right);
            let role = admin.printed(&host, "logweir_setup");
            host.comes_by(&right.with(admin.user(&role).await));
            let said = host.does(&["setup"]);
            assert!(
                said.contains("No life cycle: this cluster has no"),
                "{said}"
            );
            host.does(&["setup", "--only", "templates"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_role_is_enough_to_prune() {
    for cluster in servers().secured() {
        let (host, right) = (Host::new(), Access::to(&cluster));
        let admin = Admin::of(&cluster);
        host.comes_by(&right);
        let role = admin.printed(&host, "logweir_prune");
        let unparsed = format!("{}-unparsed", host.index);
        let old = format!("{}-2020.02.29", host.index);
        let young = format!("{}-2999.01.01", host.index);
        let documents = [
            (&old, "1", "2020-02-29T00:00:00Z"),
            (&young, "1", "2020-02-29T00:00:00Z"),
            (&unparsed, "old", "2020-02-29T00:00:00Z"),
            (&unparsed, "young", "2999-01-01T00:00:00Z"),
        ];
        for (index, id, read) in documents {
            let path = format!("/{index}/_doc/{id}?refresh=true");
            let document = json!({"event": {"created": read}});
            admin.ask(Method::Put, &path, document).await;
        }
        host.comes_by(&right.with(admin.user(&role).await));
        let prune = ["prune", "--older-than", "30d"];
        let dry = host.does(&["prune", "--older-than", "30d", "--dry-run"]);
        for what in [&old, &format!("documents of {unparsed}: 1")] {
            assert!(dry.contains(what), "{dry}");
        }
        let mut left = vec![(young, "1"), (unparsed, "young")];
        let ended = host.home.end_of(&prune);
        if ended.words.contains("no handler found") {
            // a server without the module for delete by query
            assert_eq!(ended.code, Some(69), "{}", ended.words);
            assert!(!admin.is_opensearch(), "{}", ended.words);
            left.push((left[1].0.clone(), "old"));
        } else {
            assert_eq!(ended.code, Some(0), "{}", ended.words);
        }
        let indices = format!("/{}-*", host.index);
        let path = format!("{indices}/_refresh");
        admin.ask(Method::Post, &path, Value::Null).await;
        let path = format!("{indices}/_search");
        let found = admin.ask(Method::Post, &path, json!({})).await;
        let hits = found["hits"]["hits"].as_array().unwrap();
        let text = |hit: &Value, key| hit[key].as_str().unwrap().to_owned();
        let mut found: Vec<_> = hits
            .iter()
            .map(|hit| (text(hit, "_index"), text(hit, "_id")))
            .collect();
        let mut left: Vec<_> = left
            .into_iter()
            .map(|(index, id)| (index, id.to_owned()))
            .collect();
        found.sort();
        left.sort();
        assert_eq!(found, left);
    }
}

/// The agent may not and need not see settings. With the privilege that `check` names, `check` shows the durability.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_privilege_that_check_names_shows_the_durability_of_the_indices() {
    for cluster in servers().secured() {
        let (host, right) = (Host::new(), Access::to(&cluster));
        let admin = Admin::of(&cluster);
        let shows = if admin.is_opensearch() {
            "indices:monitor/settings/get"
        } else {
            "view_index_metadata"
        };
        host.comes_by(&right);
        host.does(&["setup"]);
        let mut role = admin.printed(&host, "logweir_agent");
        host.comes_by(&right.with(admin.user(&role).await));
        host.does(&["run", "--once"]);
        let said = host.does(&["check", "--connect"]);
        assert!(said.contains("durability  unknown: "), "{said}");
        assert!(said.contains(shows), "{said}");

        let rights = role.pointer_mut(admin.rights());
        rights
            .and_then(Value::as_array_mut)
            .unwrap()
            .push(shows.into());
        host.comes_by(&right.with(admin.user(&role).await));
        let said = host.does(&["check", "--connect"]);
        assert!(said.contains("durability  no index of"), "{said}");
        let path = format!("/{}-2999.01.01", host.index);
        let settings = json!({"settings": {"index.translog.durability": "async"}});
        admin.ask(Method::Put, &path, settings).await;
        let said = host.does(&["check", "--connect"]);
        assert!(said.contains("durability = async: 1"), "{said}");
    }
}
