//! Tests of the precedence of credentials.

use super::*;

/// The agent's file, and the environment of a user that runs `setup` with it.
#[test]
fn credentials_in_the_environment_override_those_of_the_file() {
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
    // The replaced settings are not read.
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
    // The environment can supply a part of a pair whose other part is in the file.
    assert_eq!(auth(other, &[("PASSWORD", "p")]), "agent:p");
    assert_eq!(auth(other, &[("USERNAME", "ops")]), "ops:agent");
    // The settings of [kibana] stay.
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

#[test]
fn a_secret_that_others_can_read_is_noted_with_its_keys_and_a_hint() {
    let open = Readers::Everybody { mode: 0o644 };
    let notes = |machine: &Machine| -> Vec<String> {
        let loaded = machine.load().unwrap();
        loaded.notes.iter().map(ToString::to_string).collect()
    };
    let inline = cluster("username = \"me\"\npassword = \"hunter2\"\n");
    assert_eq!(notes(&inline), [""; 0]);
    let notes_shown = notes(&inline.read_by(FILE, open));
    assert_eq!(
        notes_shown,
        [format!(
            "{FILE}:4: elasticsearch.password: every user of this host can read {FILE} (mode 0644), which holds a \
             secret; let only the agent's user or group read it: chmod 0640 {FILE}"
        )]
    );
    // a file without a secret may be readable by everybody
    let plain = cluster("proxy = \"http://proxy:3128\"\n").read_by(FILE, open);
    assert_eq!(notes(&plain), [""; 0]);
    let proxy = cluster("proxy = \"http://me:hunter2@proxy:3128\"\n").read_by(FILE, open);
    assert!(notes(&proxy)[0].contains("elasticsearch.proxy: every user"));
    let variable = cluster("").var("LOGWEIR_ELASTICSEARCH_API_KEY", "abc=");
    assert_eq!(notes(&variable.read_by(FILE, open)), [""; 0]);
}

#[test]
fn each_kind_of_file_with_a_secret_is_checked() {
    let open = Readers::Everybody { mode: 0o604 };
    let key = "-----BEGIN PRIVATE KEY-----";
    for (name, content) in [
        ("api_key_file", "abc="),
        ("password_file", "hunter2"),
        ("bearer_token_file", "abc="),
        ("client_key", key),
    ] {
        let more = match name {
            "password_file" => "username = \"me\"\n",
            "client_key" => "client_cert = \"/c.pem\"\n",
            _ => "",
        };
        let machine = cluster(&format!("{name} = \"/secret\"\n{more}"))
            .with("/secret", content)
            .with("/c.pem", "-----BEGIN CERTIFICATE-----")
            .read_by("/c.pem", open);
        assert_eq!(machine.load().unwrap().notes, [], "{name}");
        let notes = machine.read_by("/secret", open).load().unwrap().notes;
        let expected = format!("elasticsearch.{name}: every user of this host can read /secret");
        assert!(notes[0].text.starts_with(&expected), "{notes:?}");
        assert!(!notes[0].text.contains(content));
    }
    let group = Readers::Group {
        mode: 0o640,
        group: 100,
    };
    let machine = cluster("")
        .var("LOGWEIR_ELASTICSEARCH_API_KEY_FILE", "/secret")
        .with("/secret", "abc=")
        .read_by("/secret", group);
    let note = machine.load().unwrap().notes.remove(0).to_string();
    assert!(
        note.contains("the group 100 can read /secret (mode 0640)"),
        "{note}"
    );
    assert!(note.contains("chmod g-rwx /secret"), "{note}");
}
