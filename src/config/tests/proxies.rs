//! Tests of the choice of proxies and trusted authorities.

#![allow(clippy::unwrap_used)]

use url::Url;

use super::{Machine, cluster, text};

/// The proxy of this node on this machine, as `check` shows it.
fn proxy(machine: &Machine, node: &str) -> Option<String> {
    let config = machine
        .clone()
        .var("LOGWEIR_ELASTICSEARCH_NODES", node)
        .config();
    let proxies = config.elasticsearch.unwrap().proxies;
    let found = proxies.of(&Url::parse(node).unwrap())?;
    Some(format!("{found} {}", found.named_by()))
}

#[test]
fn the_setting_overrides_the_variables_and_none_disables_proxies() {
    let environment = |machine: Machine| {
        machine
            .var("HTTPS_PROXY", "http://big:3128")
            .var("http_proxy", "small")
            .var("HTTP_PROXY", "http://ignored:1")
    };
    let machine = environment(cluster(""));
    let of = |node| proxy(&machine, node);
    assert_eq!(
        of("https://es:9200").unwrap(),
        "http://big:3128 HTTPS_PROXY"
    );
    assert_eq!(of("http://es:9200").unwrap(), "http://small:80 http_proxy");
    for local in [
        "https://localhost:9200",
        "http://127.8.8.8",
        "http://[::1]:9200",
    ] {
        assert_eq!(of(local), None, "{local}");
    }
    let set = environment(cluster("proxy = \"https://me:hunter2@own\"\n"));
    let own = "https://own:443 proxy in [elasticsearch]";
    assert_eq!(proxy(&set, "https://es:9200").unwrap(), own);
    assert_eq!(proxy(&set, "http://es:9200").unwrap(), own);
    assert_eq!(proxy(&set, "http://localhost:9200"), None);
    assert!(!format!("{:?}", set.config()).contains("hunter2"));
    let none = environment(cluster("proxy = \"none\"\n"));
    assert_eq!(proxy(&none, "https://es:9200"), None);
    let all = cluster("")
        .var("ALL_PROXY", "http://all:1")
        .var("https_proxy", "");
    assert_eq!(
        proxy(&all, "https://es:9200").unwrap(),
        "http://all:1 ALL_PROXY"
    );
}

#[test]
fn addresses_in_no_proxy_are_reached_directly() {
    let is_direct = |no_proxy: &str, node: &str| {
        let machine = cluster("")
            .var("ALL_PROXY", "http://all:1")
            .var("NO_PROXY", no_proxy);
        proxy(&machine, node).is_none()
    };
    for (no_proxy, node) in [
        ("*", "https://es:9200"),
        ("es", "https://es:9200"),
        ("a.example, .EXAMPLE.org", "https://es.example.org"),
        (".example.org", "https://example.org"),
        ("*.example.org", "https://es.example.org"),
        ("es:9200", "https://es:9200"),
        ("example.org:443", "https://es.example.org"),
        ("10.0.0.0/8", "http://10.1.2.3:9200"),
        ("10.1.2.3:9200", "http://10.1.2.3:9200"),
        ("fd00::/8", "http://[fd00::1]:9200"),
        ("[fd00::1]", "http://[fd00::1]:9200"),
    ] {
        assert!(is_direct(no_proxy, node), "{no_proxy} {node}");
    }
    for (no_proxy, node) in [
        ("s", "https://es:9200"),
        ("example.org", "https://notexample.org"),
        ("es:9201", "https://es:9200"),
        ("10.0.0.0/8", "http://11.1.2.3:9200"),
        ("", "https://es:9200"),
    ] {
        assert!(!is_direct(no_proxy, node), "{no_proxy} {node}");
    }
}

#[test]
fn an_invalid_proxy_is_reported_without_its_password() {
    for wrong in [
        "socks5://me:hunter2@proxy:1080",
        "ftp://me:hunter2@proxy",
        "http://me:hunter2@proxy/path",
        "http://me:hunter2@proxy:port",
        "",
    ] {
        let said = cluster(&format!("proxy = \"{wrong}\"\n")).errors();
        assert!(said.contains("elasticsearch.proxy: "), "{said}");
        assert!(
            said.contains("write it as in \"http://proxy.example:3128\""),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    let far = "[elasticsearch]\nnodes = [\"https://es:9200\"]\n";
    let socks = |toml: &str| text(toml).var("all_proxy", "socks5://me:hunter2@proxy:1080");
    let said = socks(far).errors();
    assert!(said.contains("environment all_proxy: "), "{said}");
    assert!(
        said.contains("SOCKS") && said.contains("set proxy in [elasticsearch]"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    // a proxy that no node needs is not checked
    socks("[elasticsearch]\nnodes = [\"http://127.0.0.1:9200\"]\n").config();
    socks(&format!("{far}proxy = \"none\"\n")).config();
}

const FINGERPRINT: &str = "a52dd93511e8c6045e21f16654b77c9ee0f34aea26d9f40320b531c474676228";

#[test]
fn a_fingerprint_and_a_file_exclude_each_other() {
    let fingerprint = format!("ca_fingerprint = \"{FINGERPRINT}\"\n");
    let both = cluster(&format!("ca_file = \"/ca.pem\"\n{fingerprint}"))
        .with("/ca.pem", "-----BEGIN CERTIFICATE-----");
    let said = both.errors();
    assert!(
        said.contains("elasticsearch.ca_fingerprint: conflicts with elasticsearch.ca_file"),
        "{said}"
    );
    let said = cluster("ca_fingerprint = \"a52d\"\n").errors();
    assert!(
        said.contains("\"a52d\": has 4 hexadecimal digits; write the SHA-256"),
        "{said}"
    );
}

#[test]
fn kibana_inherits_the_trusted_authorities_of_the_cluster() {
    let kibana = |more: &str| {
        let toml = format!("[kibana]\nurl = \"https://kibana:5601\"\n{more}");
        let toml = format!(
            "[elasticsearch]\nnodes = [\"https://es:9200\"]\nca_fingerprint = \"{FINGERPRINT}\"\n{toml}"
        );
        let machine = text(&toml).with("/ca.pem", "-----BEGIN CERTIFICATE-----");
        let kibana = machine.config().kibana.unwrap();
        (
            kibana.ca_file,
            kibana
                .ca_fingerprint
                .map(|fingerprint| fingerprint.to_string()),
        )
    };
    assert_eq!(kibana(""), (None, Some(FINGERPRINT.to_owned())));
    assert_eq!(
        kibana("ca_file = \"/ca.pem\"\n"),
        (Some("/ca.pem".into()), None)
    );
    let other = FINGERPRINT.replace('a', "b");
    let own = format!("ca_fingerprint = \"{other}\"\n");
    assert_eq!(kibana(&own), (None, Some(other)));
    // a plain address does not use it
    let toml = format!(
        "[elasticsearch]\nnodes = [\"https://es:9200\"]\nca_fingerprint = \"{FINGERPRINT}\"\n\
         [kibana]\nurl = \"http://kibana:5601\"\n"
    );
    let kibana = text(&toml).config().kibana.unwrap();
    assert_eq!((kibana.ca_file, kibana.ca_fingerprint), (None, None));
}
