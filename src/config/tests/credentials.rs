//! Who we say we are: which of several places counts.

use super::*;

/// The file of an agent, and the environment of whoever runs `setup` with it.
#[test]
fn credentials_in_the_environment_go_before_those_of_the_file() {
    let auth = |file: &str, variables: &[(&str, &str)]| {
        let mut machine = cluster(file).with("/key", "agent");
        for (name, value) in variables {
            machine = machine.var(&format!("LOGWEIR_ELASTICSEARCH_{name}"), value);
        }
        match machine.config().elasticsearch.unwrap().auth {
            Auth::None => "none".to_owned(),
            Auth::ApiKey(key) => format!("key {}", key.expose_secret()),
            Auth::Basic { username, password } => {
                format!("{username}:{}", password.expose_secret())
            }
            Auth::Bearer(token) => format!("token {}", token.expose_secret()),
        }
    };
    let user = [("USERNAME", "ops"), ("PASSWORD", "p")];
    let other = "username = \"agent\"\npassword_file = \"/key\"\n";
    // What they replace is not even read.
    for file in [
        "",
        "api_key_file = \"/absent\"\n",
        "bearer_token = \"t\"\n",
        "username = \"agent\"\npassword_file = \"/absent\"\n",
    ] {
        assert_eq!(auth(file, &user), "ops:p", "{file}");
        assert_eq!(auth(file, &[("API_KEY", "k")]), "key k", "{file}");
        assert_eq!(auth(file, &[("BEARER_TOKEN", "k")]), "token k", "{file}");
    }
    assert_eq!(
        auth("api_key = \"k\"\n", &[("API_KEY_FILE", "/key")]),
        "key agent"
    );
    // A part of a kind goes with the file's other part.
    assert_eq!(auth(other, &[("PASSWORD", "p")]), "agent:p");
    assert_eq!(auth(other, &[("USERNAME", "ops")]), "ops:agent");
    // Of [kibana] nothing is taken away.
    let toml = format!(
        "{CLUSTER}api_key = \"k\"\n[kibana]\nurl = \"https://kibana:5601\"\napi_key = \"k\"\n"
    );
    let machine = text(&toml)
        .var("LOGWEIR_ELASTICSEARCH_USERNAME", "ops")
        .var("LOGWEIR_ELASTICSEARCH_PASSWORD", "p");
    let kibana = machine.config().kibana.unwrap().auth;
    assert!(matches!(kibana, Auth::ApiKey(_)));
    let machine = machine
        .var("LOGWEIR_KIBANA_USERNAME", "ops")
        .var("LOGWEIR_KIBANA_PASSWORD", "p");
    let kibana = machine.config().kibana.unwrap().auth;
    assert!(matches!(kibana, Auth::Basic { .. }));
}

#[test]
fn kibana_has_the_clusters_credentials_unless_it_has_its_own() {
    let pem = "-----BEGIN CERTIFICATE-----";
    let kibana = |cluster: &str, more: &str| {
        let toml = format!("{cluster}[kibana]\nurl = \"https://kibana:5601/base\"\n{more}");
        let machine = text(&toml).with("/es.pem", pem).with("/kibana.pem", pem);
        machine.config().kibana.unwrap()
    };
    let with_key = format!("{CLUSTER}api_key = \"k\"\nca_file = \"/es.pem\"\n");
    let lent = kibana(&with_key, "space = \"ops\"\n");
    assert!(matches!(lent.auth, Auth::ApiKey(_)));
    assert_eq!(lent.ca_file.as_deref(), Some(Path::new("/es.pem")));
    assert_eq!(
        (lent.url.as_str(), lent.space.as_deref()),
        ("https://kibana:5601/base", Some("ops"))
    );
    let own = kibana(
        &with_key,
        "username = \"u\"\npassword = \"p\"\nca_file = \"/kibana.pem\"\n",
    );
    assert!(matches!(own.auth, Auth::Basic { .. }));
    assert_eq!(own.ca_file.as_deref(), Some(Path::new("/kibana.pem")));
    assert!(matches!(kibana("", "").auth, Auth::None));
    let plain = text(&format!(
        "{CLUSTER}api_key = \"k\"\n[kibana]\nurl = \"http://kibana:5601\"\n"
    ));
    assert_eq!(plain.load().unwrap().notes.len(), 1);
}
