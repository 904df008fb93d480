#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::io;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

mod bounds;
mod credentials;
mod discovery;
mod formats;
mod lacks;
mod people;
mod proxies;
mod routes;

use super::ports::Readers;
use super::reference::{reference, sample};
use super::settings::{SETTINGS, Setting};
use super::*;
use testkit::mmdb;

const FILE: &str = "/etc/logweir/logweir.toml";

/// A machine in memory.
#[derive(Default, Clone)]
pub(crate) struct Machine {
    files: BTreeMap<String, Result<Vec<u8>, io::ErrorKind>>,
    variables: Vec<(String, String)>,
    readers: BTreeMap<String, Readers>,
}

impl Machine {
    pub(crate) fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.files
            .insert(path.to_owned(), Ok(text.as_ref().to_vec()));
        self
    }

    /// Lets others read a file.
    fn read_by(mut self, path: &str, readers: Readers) -> Self {
        self.readers.insert(path.to_owned(), readers);
        self
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(None, self, self)
    }

    fn errors(&self) -> String {
        self.load().unwrap_err().to_string()
    }

    pub(crate) fn config(&self) -> Config {
        self.load()
            .unwrap_or_else(|errors| panic!("{errors}"))
            .config
    }
}

impl Env for Machine {
    fn variables(&self) -> Vec<(String, String)> {
        self.variables.clone()
    }

    fn host_name(&self) -> String {
        "web-07".to_owned()
    }
}

impl Files for Machine {
    fn read_up_to(&self, path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        match self.files.get(path.to_str().unwrap()) {
            Some(Ok(content)) => Ok(content.clone()),
            Some(Err(kind)) => Err((*kind).into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let (before, after) = pattern.split_once('*').unwrap();
        let matches = |path: &&String| {
            path.strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|star| !star.contains('/'))
        };
        Ok(self
            .files
            .keys()
            .filter(matches)
            .map(PathBuf::from)
            .collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path.to_str().unwrap())
    }

    fn readers(&self, path: &Path) -> io::Result<Readers> {
        let readers = self.readers.get(path.to_str().unwrap());
        Ok(readers.copied().unwrap_or(Readers::Own))
    }
}

/// One with this configuration.
pub(crate) fn text(toml: &str) -> Machine {
    Machine::default().with(FILE, toml)
}

const CLUSTER: &str = "[elasticsearch]\nnodes = [\"http://127.0.0.1:9200\"]\n";

fn cluster(settings: &str) -> Machine {
    text(&format!("{CLUSTER}{settings}"))
}

#[test]
fn nothing_set_gives_the_defaults() {
    let config = Machine::default().config();
    assert_eq!(config.host, "web-07");
    assert_eq!(config.data_dir, Path::new("/var/lib/logweir"));
    assert_eq!((config.history, config.retention), (Duration::ZERO, None));
    assert_eq!(config.max_line_bytes.get(), 1 << 20);
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:9280");
    assert!(config.logs.is_empty() && config.elasticsearch.is_none());
    insta::assert_snapshot!(config.ready_to_run().unwrap_err());
}

#[test]
fn records_go_to_the_store_unless_a_cluster_is_configured() {
    let path = |toml: &str| match text(toml).config().destination() {
        Destination::Store(store) => Some((store.path.clone(), store.is_chosen)),
        Destination::Cluster(_) => None,
    };
    let default = Path::new("/var/lib/logweir/store").to_owned();
    assert_eq!(path(""), Some((default.clone(), false)));
    assert_eq!(path("[store]\n"), Some((default, true)));
    let other = Path::new("/srv/store").to_owned();
    assert_eq!(path("[store]\npath = '/srv/store'\n"), Some((other, true)));
    assert_eq!(path(CLUSTER), None);
    let both = text(&format!("[store]\n{CLUSTER}")).load().unwrap_err();
    insta::assert_snapshot!(both);
}

#[test]
fn ten_mistakes_are_reported_at_once() {
    let toml = r##"# line 1
host = "web 07"
retension = "30d"
data_dir = "var/lib/logweir"
max_line_bytes = "2 megs"
trusted_proxies = [
  "10.0.0.0/8",
  "10.0.0.0/33",
]
flush_interval = "1s"
poll = 3

[[logs]]
paths = ["/var/log/nginx/[access.log", "access.log"]
format = [
  "auto",
  '$remote_addr "$request" $status "$" "$http_referer" "$http_user_agent" $request_time',
]
fields = { "url.domain" = 5 }

[[logs]]
format = "combind"

[elasticserch]
nodes = []

[elasticsearch]
nodes = ["es-1:9200", "https://elastic:secret@es-2:9200"]
api_key = "id:key"
api_key_file = "/absent"
username = "logweir"
password_file = "/etc/logweir/password"
ca_file = "/etc/logweir/ca.der"
index = "Nginx-%Y.%m.%d"
batch_count = 0
flush_interval = "1 fortnight"
gzip = "yes"

[http]
listen = "localhost:9280"

[grafana]
url = "https://grafana:3000"

[log]
level = "verbose"
"##;
    let machine = text(toml)
        .with("/etc/logweir/ca.der", [0x30, 0x82])
        .var("LOGWEIR_ELASTICSEARCH_PASWORD", "hunter2")
        .var("LOGWEIR_SHUTDOWN_TIMEOUT", "soon");
    insta::assert_snapshot!(machine.errors());
}

#[test]
fn broken_toml_is_reported_without_consequential_errors() {
    let toml = "host = web-07\nretention = 30d\ndata_dir = \"/a\"\ndata_dir = \"/b\"\n\
                [elasticsearch]\nnodes [\"x\"]\ngzipp = true\nindex = \"a\n[log]\nlevel = \"info\"\n[log]\n";
    insta::assert_snapshot!(text(toml).errors());
}

#[test]
fn a_named_file_must_be_there_and_the_default_need_not() {
    let machine = Machine::default();
    let errors = load(Some(Path::new("/mnt/logweir.toml")), &machine, &machine).unwrap_err();
    insta::assert_snapshot!(errors);
    let mut unreadable = Machine::default();
    unreadable
        .files
        .insert(FILE.to_owned(), Err(io::ErrorKind::PermissionDenied));
    assert!(unreadable.load().is_err());
}

#[test]
fn every_setting_can_be_written_in_the_file_and_in_the_environment() {
    for setting in SETTINGS {
        let literal = if setting.example.is_empty() {
            setting.default
        } else {
            setting.example
        };
        assert!(
            raw::of_literal(setting, literal).is_some(),
            "{}: {literal}",
            setting.key()
        );
        if !setting.default.is_empty() {
            assert!(
                raw::of_literal(setting, setting.default).is_some(),
                "{}",
                setting.key()
            );
        }
    }
    let variables: HashSet<String> = SETTINGS.iter().map(Setting::variable).collect();
    assert_eq!(
        variables.len(),
        SETTINGS.len(),
        "two settings share a variable"
    );
    assert!(variables.contains("LOGWEIR_ELASTICSEARCH_API_KEY"));
}

/// The sample with every setting enabled, except those that exclude each other.
fn whole_sample() -> Machine {
    let off = [
        "#api_key = ",
        "#password = ",
        "#bearer_token = ",
        "#bearer_token_file",
        "#username",
        "#password_file",
        "#data_stream = ",
        "#regex = ",
        "#hash_key = ",
        "#ca_fingerprint = ",
        "#[store]",
        "#path = \"/srv/logweir/store",
        "#retention = \"90d\"",
        "#disk_budget = ",
        "#memory = ",
    ];
    let toml: Vec<String> = sample()
        .lines()
        .filter(|line| !off.iter().any(|name| line.starts_with(name)))
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    text(&toml.join("\n"))
        .with("/etc/logweir/api-key", "abc=\n")
        .with("/etc/logweir/kibana-key", "abc=\n")
        .with("/etc/logweir/hash-key", "kJ8s0mVx2Qp7Lw4Zt9")
        .with("/etc/logweir/regexes.yaml", people::DEFINITIONS)
        .with("/var/lib/GeoIP/GeoLite2-City.mmdb", mmdb::city())
        .with("/var/lib/GeoIP/GeoLite2-ASN.mmdb", mmdb::asn())
        .with("/etc/logweir/ca.pem", "-----BEGIN CERTIFICATE-----")
        .with("/etc/logweir/kibana-ca.pem", "-----BEGIN CERTIFICATE-----")
        .with("/etc/logweir/client.pem", "-----BEGIN CERTIFICATE-----")
        .with("/etc/logweir/client.key", "-----BEGIN EC PRIVATE KEY-----")
        .with("/etc/nginx/nginx.conf", "events {} http {}")
        .with(
            "/etc/logweir/openapi.yaml",
            "openapi: 3.1.0\npaths:\n  /pets/{id}:\n    get: {}\n",
        )
}

#[test]
fn the_sample_is_a_valid_configuration() {
    let loaded = whole_sample()
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.notes, []);
    let Config { logs, .. } = &loaded.config;
    let logs = format!(
        "{} rotated_dirs {:?}",
        show(&loaded.config),
        logs[0].rotated_dirs
    );
    insta::assert_snapshot!(format!(
        "{:#?}\n{logs}",
        Config {
            logs: Vec::new(),
            ..loaded.config
        }
    ));
}

#[test]
fn the_committed_sample_and_reference_are_those_of_the_table() {
    for (path, text) in [
        ("docs/logweir.toml", sample()),
        ("docs/CONFIGURATION.md", reference()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{path:?} is stale: run UPDATE=1 cargo test --lib config"
        );
    }
}

#[test]
fn a_data_stream_replaces_the_index() {
    let target = |more: &str| cluster(more).config().elasticsearch.unwrap().target;
    let daily = target("");
    assert_eq!(daily.output(), "elasticsearch:nginx-access-%Y.%m.%d");
    let stream = target("data_stream = \"logs-nginx.access-default\"\n");
    assert_eq!(stream.template(), "logs-nginx.access");
    assert_eq!(stream.wildcard(), "logs-nginx.access-*");
    assert_eq!(stream.example(), "logs-nginx.access-default");
    // the checkpoint of one does not count for the other, even under the same name
    let one = IndexTarget::from(IndexPattern::parse("logs-%Y-a").unwrap());
    let other = IndexTarget::from(DataStream::parse("logs-%y-a").unwrap());
    assert_ne!(
        one.output().split(':').next(),
        other.output().split(':').next()
    );
}

#[test]
fn index_and_data_stream_exclude_each_other_and_a_wrong_name_is_reported() {
    let both = "index = \"web-%Y\"\ndata_stream = \"logs-nginx.access-default\"\n";
    let wrong = "data_stream = \"logs-nginx-access-default\"\n";
    insta::assert_snapshot!(format!(
        "{}\n{}",
        cluster(both).errors(),
        cluster(wrong).errors()
    ));
}

#[test]
fn the_environment_overrides_the_file() {
    let config = cluster("gzip = true\nbatch_count = 5\n")
        .var("LOGWEIR_HOST", "other")
        .var("LOGWEIR_ELASTICSEARCH_GZIP", "false")
        .var(
            "LOGWEIR_ELASTICSEARCH_NODES",
            "https://a:9200, https://b:9200/es",
        )
        .var("LOGWEIR_ELASTICSEARCH_BATCH_COUNT", "")
        .var("LOGWEIR_POLL", "true")
        .var("LOGWEIR_KEEP_ORIGINAL", "true")
        .config();
    let cluster = config.elasticsearch.unwrap();
    assert_eq!(config.host, "other");
    assert_eq!(config.poll, Poll::Always);
    assert!(!cluster.gzip && config.keep_original);
    assert_eq!(cluster.nodes[1].as_str(), "https://b:9200/es");
    assert_eq!(config.batches.batch_count, 5);
}

#[test]
fn the_environment_alone_is_enough() {
    let config = Machine::default()
        .var("LOGWEIR_ELASTICSEARCH_NODES", "http://es:9200")
        .var("LOGWEIR_LOGS_PATHS", "/logs/{a,b}.log,/logs/c.log")
        .var(
            "LOGWEIR_LOGS_FIELDS",
            "url.domain=shop.example,service.name=shop",
        )
        .var("LOGWEIR_LOGS_FORMAT", "$remote_addr, $status")
        .config();
    assert!(config.ready_to_run().is_ok());
    assert_eq!(config.logs[0].paths, ["/logs/{a,b}.log", "/logs/c.log"]);
    assert_eq!(
        config.logs[0].fields[1],
        Field::constant("service.name", "shop")
    );
    assert_eq!(
        config.logs[0].formats.get(0).unwrap().format.source(),
        "$remote_addr, $status"
    );
}

#[test]
fn a_variable_for_one_of_several_logs_is_an_error() {
    let machine = text("[[logs]]\npaths = [\"/a\"]\n[[logs]]\npaths = [\"/b\"]\n");
    insta::assert_snapshot!(machine.var("LOGWEIR_LOGS_FORMAT", "combined").errors());
}

#[test]
fn variables_of_a_kubernetes_service_are_ignored() {
    let machine = Machine::default()
        .var("LOGWEIR_SERVICE_HOST", "10.0.0.1")
        .var("LOGWEIR_SERVICE_PORT", "9280")
        .var("LOGWEIR_SERVICE_PORT_HTTP", "9280")
        .var("LOGWEIR_PORT", "tcp://10.0.0.1:9280")
        .var("LOGWEIR_PORT_9280_TCP", "tcp://10.0.0.1:9280")
        .var("LOGWEIR_PORT_9280_TCP_ADDR", "10.0.0.1")
        .var("LOGWEIR_HTTP_PORT", "tcp://10.0.0.1:9280");
    machine.config();
    assert!(machine.var("LOGWEIR_PORTS", "1").load().is_err());
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let machine = cluster("username = \"u\"\npassword_file = \"/run/secrets/p\"\n")
        .with("/run/secrets/p", "hunter2\r\n");
    let config = machine.config();
    let Some(Auth::Basic { username, password }) = config.elasticsearch.as_ref().map(|it| &it.auth)
    else {
        panic!("no user")
    };
    assert_eq!(
        (username.as_str(), password.expose_secret()),
        ("u", "hunter2")
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn invalid_secrets_are_reported_without_their_values() {
    let errors = [
        cluster("api_key_file = \"/absent\"\n").errors(),
        cluster("api_key_file = \"/empty\"\n")
            .with("/empty", "\n")
            .errors(),
        cluster("api_key_file = \"/binary\"\n")
            .with("/binary", [0xFF])
            .errors(),
        cluster("api_key = \"ApiKey hunter2\"\n").errors(),
        cluster("bearer_token_file = \"/token\"\n")
            .with("/token", "hunter2 \n")
            .errors(),
        cluster("password = \"hunter2\"\n").errors(),
        cluster("username = \"u\"\n").errors(),
        cluster("username = \"u:v\"\npassword = \"hunter2\"\n").errors(),
        cluster("api_key = 5\n").errors(),
        cluster("client_cert = \"/c\"\n")
            .with("/c", "-----BEGIN CERTIFICATE-----")
            .errors(),
    ];
    let errors = errors.join("\n");
    assert!(!errors.contains("hunter2"));
    insta::assert_snapshot!(errors);
}

#[test]
fn each_pair_of_authentications_is_a_conflict() {
    let errors = [
        cluster("api_key = \"k\"\nbearer_token = \"t\"\n").errors(),
        cluster("api_key = \"k\"\nusername = \"u\"\npassword = \"p\"\n").errors(),
        cluster("")
            .var("LOGWEIR_ELASTICSEARCH_BEARER_TOKEN", "t")
            .var("LOGWEIR_ELASTICSEARCH_API_KEY", "k")
            .errors(),
        cluster("password = \"p\"\nusername = \"u\"\npassword_file = \"/p\"\n").errors(),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn addresses_of_nodes() {
    let nodes = |list: &str| text(&format!("[elasticsearch]\nnodes = [{list}]\n"));
    for bad in [
        "",
        "\"localhost:9200\"",
        "\"es\"",
        "\"ftp://es\"",
        "\"http://\"",
        "\"http://es?x\"",
        "\"http://a\", \"http://a/\"",
    ] {
        assert_eq!(nodes(bad).load().unwrap_err().0.len(), 1, "{bad}");
    }
    let secret = nodes("\"https://u:hunter2@es:9200\"").errors();
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn credentials_in_the_clear_are_noted() {
    let notes = |node: &str| {
        let machine = text(&format!(
            "[elasticsearch]\nnodes = [\"{node}\"]\napi_key = \"k\"\n"
        ));
        machine.load().unwrap().notes.len()
    };
    assert_eq!(notes("http://es:9200"), 1);
    assert_eq!(notes("https://es:9200"), 0);
    assert_eq!(notes("http://localhost:9200"), 0);
}

#[test]
fn mistakes_about_kibana_are_reported() {
    let errors = [
        text("[kibana]\nspace = \"ops\"\n").errors(),
        text("[kibana]\nurl = \"kibana:5601\"\nspace = \"My Space\"\n").errors(),
        text("[kibana]\nurl = \"https://u:hunter2@kibana:5601\"\n").errors(),
        text("[kibana]\nurl = \"https://k\"\nbearer_token = \"t\"\n").errors(),
        text("[kibana]\nurl = \"https://k\"\nusername = \"u\"\n").errors(),
        text("kibana = \"https://k\"\n").errors(),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_line_must_fit_into_a_batch() {
    let machine = text(&format!(
        "max_line_bytes = \"4MiB\"\n{CLUSTER}batch_bytes = 2097152\n"
    ));
    insta::assert_snapshot!(machine.errors());
}

#[test]
fn bounds_are_kept() {
    for bad in [
        "max_line_bytes = \"1B\"",
        "max_line_bytes = \"17MiB\"",
        "retention = \"0d\"",
        "history = \"1d2\"",
        "reconcile_interval = \"1ms\"",
        "[elasticsearch]\nnodes = [\"http://a\"]\nbatch_count = -1",
        "[elasticsearch]\nnodes = [\"http://a\"]\nmax_in_flight = 65",
        "[elasticsearch]\nnodes = [\"http://a\"]\nmax_in_flight = 99999999999999999999",
        "[elasticsearch]\nnodes = [\"http://a\"]\nbatch_bytes = -1",
    ] {
        assert_eq!(text(bad).load().unwrap_err().0.len(), 1, "{bad}");
    }
}

#[test]
fn proxies_are_addresses_or_nets() {
    let config = text("trusted_proxies = [\"10.1.2.3/8\", \"::1\", \"192.0.2.1\"]").config();
    let nets: Vec<String> = config
        .trusted_proxies
        .iter()
        .map(IpNet::to_string)
        .collect();
    assert_eq!(nets, ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]);
}

const NGINX: &str = r#"events {} http {
    log_format main '$remote_addr "$request" $status';
    log_format vhost '$host $remote_addr "$request" $status';
    log_format torn '$uri$args';
    server { server_name shop.example; access_log /var/log/nginx/shop-access.log main; }
    server { server_name api.example; access_log /var/log/nginx/api-access.log; }
    server { server_name any.example; access_log /var/log/nginx/any-access.log vhost; }
    server { server_name log.example; access_log /var/log/nginx/$host.log main; access_log syslog:server=a; }
    server { server_name zip.example; access_log logs/zip.gz main gzip; access_log logs/own.log nosuch; }
    include conf.d/*.conf;
}
stream { access_log /var/log/nginx/stream.log basic; }
"#;

fn nginx(toml: &str) -> Machine {
    text(toml)
        .with("/etc/nginx/nginx.conf", NGINX)
        .with("/etc/nginx/logs/own.log", "")
}

/// The logs, a line each.
fn show(config: &Config) -> String {
    let lines = config.logs.iter().map(|log| {
        let formats: Vec<&str> = log.formats.iter().map(|format| format.name.as_str()).collect();
        let Log { name, paths, exclude, fields, auto, .. } = log;
        let fields: Vec<String> = fields.iter().map(Field::to_string).collect();
        let fields = format!("[{}]", fields.join(", "));
        format!("{paths:?} but {exclude:?} name {name:?} formats {formats:?} auto {auto} fields {fields}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_logs_those_of_nginx_are_followed() {
    let loaded = nginx("").load().unwrap();
    let notes: Vec<String> = loaded.notes.iter().map(Note::to_string).collect();
    let files = format!("{:?} {:?}", loaded.files, loaded.patterns);
    insta::assert_snapshot!([show(&loaded.config), notes.join("\n"), files].join("\n\n"));
}

#[test]
fn a_glob_is_split_where_nginx_knows_more() {
    let config = nginx(
        "[[logs]]\npaths = [\"/var/log/nginx/*access.log\", \"/srv/*.log\"]\n\
         exclude = [\"any-*.log\"]\n\
         [[logs]]\npaths = [\"/var/log/nginx/any-access.log\"]\nformat = [\"combined\", \"auto\"]\n\
         [[logs]]\npaths = [\"/other.log\"]\nname = \"other\"\nformat = '$status $request_time'\n",
    )
    .config();
    insta::assert_snapshot!(show(&config));
}

#[test]
fn files_of_one_name_stay_together() {
    let config =
        nginx("[[logs]]\nname = \"web\"\npaths = [\"/var/log/nginx/*-access.log\"]\n").config();
    insta::assert_snapshot!(show(&config));
}

#[test]
fn a_configured_domain_takes_precedence_over_that_of_the_server() {
    let config = nginx(
        "[[logs]]\npaths = [\"/var/log/nginx/shop-access.log\"]\n[logs.fields]\nurl.domain = \"mine\"\n",
    )
    .config();
    assert_eq!(
        config.logs[0].fields,
        [Field::constant("url.domain", "mine")]
    );
    assert_eq!(config.logs.len(), 1);
}

#[test]
fn a_named_nginx_conf_must_be_readable() {
    insta::assert_snapshot!(text("nginx_conf = \"/absent/nginx.conf\"").errors());
    let mut machine = Machine::default();
    machine.files.insert(
        "/etc/nginx/nginx.conf".to_owned(),
        Err(io::ErrorKind::PermissionDenied),
    );
    assert_eq!(machine.load().unwrap().notes.len(), 1);
}

#[test]
fn a_custom_build_of_nginx_logs_beside_its_conf_folder() {
    let config = text("nginx_conf = \"/opt/openresty/nginx/conf/nginx.conf\"")
        .with(
            "/opt/openresty/nginx/conf/nginx.conf",
            "http { server {} include a/*.conf; }",
        )
        .with(
            "/opt/openresty/nginx/conf/a/a.conf",
            "server { access_log logs/a.log; }",
        )
        .config();
    let paths: Vec<&str> = config
        .logs
        .iter()
        .map(|log| log.paths[0].as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/opt/openresty/nginx/logs/a.log",
            "/opt/openresty/nginx/logs/access.log"
        ]
    );
}

#[test]
fn formats_seen_before_are_tried_where_they_are_specific_enough() {
    let mut config =
        nginx("[[logs]]\npaths = [\"/a.log\"]\n[[logs]]\npaths = [\"/b\"]\nformat=\"combined\"\n")
            .config();
    let named = |name: &str, source: &str| NamedFormat {
        name: name.to_owned(),
        format: logweir_parsers::Format::compile(source, logweir_parsers::Escape::Json).unwrap(),
    };
    let old = named("old style", "$time_local $msec $status '\\ \"$uri\"");
    let general = named("general", "\"$http_a\"");
    let known = config.logs[0].formats.get(0).unwrap().directive();
    let notes = config.add_formats(&[
        general.directive(),
        old.directive(),
        known,
        "log_format bad '$';".to_owned(),
    ]);
    assert_eq!(notes.len(), 1);
    insta::assert_snapshot!(show(&config));
    assert!(
        config.logs[0]
            .formats
            .iter()
            .any(|named| named.is_same(&old))
    );
    assert!(
        !config.logs[0]
            .formats
            .iter()
            .any(|named| named.is_same(&general))
    );
}

#[test]
fn invalid_logs_are_reported() {
    let logs = |text_: &str| text(&format!("[[logs]]\n{text_}\n")).errors();
    let errors = [
        logs("paths = []"),
        logs("path = [\"/a\"]"),
        logs("paths = \"/a\""),
        logs("paths = [\"/var/log/nginx/\"]"),
        logs("paths = [\"/var/log/../a\"]"),
        logs("paths = [\"/dev/stdout\"]"),
        logs("paths = [\"/a\"]\nformat = \"main\""),
        logs("paths = [\"/a\"]\nformat = []"),
        logs("paths = [\"/a\"]\nescape = \"jsn\""),
        logs("paths = [\"/a\"]\nfields = { \"@timestamp\" = \"x\", \"a b\" = \"y\" }"),
        logs(
            "paths = [\"/a\"]\nfields = { tags = \"x\", host = \"y\", \"url.path.x\" = \"z\", labels = \"a\", \"labels.b\" = \"c\" }",
        ),
        logs("paths = [\"/a\"]\nrotated_dirs = [\"old\"]"),
        logs("paths = [\"/a\"]\nname = \"\""),
        logs("paths = [\"/a\"]\n[[logs]]\npaths = [\"/a\"]"),
        text("[logs]\npaths = [\"/a\"]").errors(),
        text("logs = [\"/a\"]\nelasticsearch = 5").errors(),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_format_that_a_client_can_forge_is_noted() {
    let machine = text(
        "[[logs]]\npaths = [\"/a\"]\nformat = '$http_user_agent $request_uri x'\nescape = \"none\"",
    );
    let notes = machine.load().unwrap().notes;
    let forged = notes.iter().filter(|note| note.text.contains("forged"));
    assert_eq!(forged.count(), 1);
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(
        lines in prop::collection::vec(
            ("(\\[\\[?[a-z]{0,6}\\]?\\]|host|logs|paths|nodes|index|api_key|fields|x)?",
             "( = )?", "([\"'\\[{][ -~é]{0,9}[\"'\\]}]?|[0-9tf.-]{0,5})"), 0..12),
    ) {
        let toml: String =
            lines.iter().map(|(key, is, value)| format!("{key}{is}{value}\n")).collect();
        if let Err(errors) = text(&toml).load() {
            prop_assert!(!errors.0.is_empty());
            let last = toml.lines().count() + 1;
            for problem in errors.0 {
                if let Origin::File { line, .. } = problem.origin {
                    prop_assert!(line <= last);
                }
            }
        }
    }

    #[test]
    fn an_unknown_key_is_never_passed_over(key in "[a-z_]{1,12}", section in 0..Section::ALL.len()) {
        let section = Section::ALL[section];
        prop_assume!(settings::find(section, &key).is_none());
        prop_assume!(!Section::ALL.iter().any(|section| section.name() == key));
        let header = match section {
            Section::Top => String::new(),
            Section::Logs => "[[logs]]\npaths = [\"/a\"]\n".to_owned(),
            Section::Routes => "[[routes]]\npath = \"/a\"\n".to_owned(),
            Section::Elasticsearch => CLUSTER.to_owned(),
            Section::Kibana => "[kibana]\nurl = \"http://localhost\"\n".to_owned(),
            section => format!("[{}]\n", section.name()),
        };
        let errors = text(&format!("{header}{key} = 1\n")).load().unwrap_err();
        prop_assert_eq!(errors.0.len(), 1);
        let unknown = matches!(errors.0[0].fault, Fault::UnknownKey { .. });
        prop_assert!(unknown);
    }
}
