//! `logweir setup` as an operator types it: on real clusters, and with a strict Kibana.

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::prune::{ask, home};
use super::{cluster_down, servers, unique};
use crate::support::agent::Home;
use testkit::fake_kibana::FakeKibana;

/// On a fresh cluster, on one that is set up, and on one with a template of somebody else.
#[tokio::test]
async fn a_dry_run_of_setup_reports_and_changes_nothing() {
    for (family, address) in servers().clusters() {
        let name = unique("dry");
        let home = home(address, &format!("{name}-%Y.%m.%d"));
        let dry = || {
            let ended = home.end_of(&["setup", "--dry-run"]);
            assert_eq!(ended.code, Some(0), "{family}: {}", ended.words);
            ended.words
        };
        let line = |word: &str| format!("  {word:<17} index template {name}");
        assert!(
            dry().contains(&line("would be created")),
            "{family}: {}",
            dry()
        );
        let path = format!("/_index_template/{name}*");
        let list = ask(address, Method::Get, "/_index_template", None).await;
        assert!(!list.to_string().contains(&name), "{family}");

        assert_eq!(home.end_of(&["setup"]).code, Some(0), "{family}");
        assert!(dry().contains(&line("unchanged")), "{family}: {}", dry());
        let checked = home.end_of(&["check", "--connect"]);
        let said = format!("template    {name}, there\n");
        assert!(checked.words.contains(&said), "{family}: {}", checked.words);

        let before = ask(address, Method::Get, &path, None).await;
        let mut theirs = before["index_templates"][0]["index_template"].clone();
        theirs["_meta"] = json!({"managed_by": "them"});
        // Elasticsearch 9 returns the time of creation, but does not accept it
        theirs
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !key.contains("_date"));
        let own = format!("/_index_template/{name}");
        ask(address, Method::Put, &own, Some(theirs)).await;
        let foreign = dry();
        assert!(
            foreign.contains(&line("not logweir's")),
            "{family}: {foreign}"
        );
        assert!(
            foreign.contains("- _meta.managed_by: \"them\""),
            "{family}: {foreign}"
        );
        let refused = home.end_of(&["setup"]);
        assert_eq!(refused.code, Some(78), "{family}: {}", refused.words);
        let held = ask(address, Method::Get, &own, None).await;
        let owner = &held["index_templates"][0]["index_template"]["_meta"]["managed_by"];
        assert_eq!(owner, "them", "{family}");
        assert_eq!(home.end_of(&["setup", "--force"]).code, Some(0), "{family}");
        assert!(dry().contains(&line("unchanged")), "{family}: {}", dry());
    }
}

#[test]
fn print_needs_no_cluster_and_no_configured_cluster() {
    let home = Home::new();
    home.configure("", "");
    let printed = |what: &[&str]| {
        let ended = home.end_of(&[&["setup", "--print"], what].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        ended.words
    };
    assert!(printed(&[]).contains("PUT /_index_template/nginx-access\n"));
    assert!(!printed(&["opensearch"]).contains("ignore_missing_component_templates"));
    assert!(printed(&["roles"]).contains("create_doc"));
    for line in printed(&["kibana"]).lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    let kibana = home.end_of(&["setup", "--only", "kibana"]);
    assert_eq!(kibana.code, Some(78), "{}", kibana.words);
    assert!(kibana.words.contains("[kibana]"), "{}", kibana.words);
}

#[test]
fn dashboards_are_imported_into_the_configured_kibana_and_foreign_objects_stay() {
    for (fake, product) in [
        (FakeKibana::kibana(), "Kibana"),
        (FakeKibana::dashboards(), "OpenSearch Dashboards"),
    ] {
        let home = Home::new();
        let section = format!("[kibana]\nurl = \"http://{}\"\n", fake.address);
        home.configure("", &section);
        let only = |more: &[&str]| home.end_of(&[&["setup", "--only", "kibana"], more].concat());
        let dry = only(&["--dry-run"]);
        assert_eq!(dry.code, Some(0), "{}", dry.words);
        assert!(dry.words.starts_with(product), "{}", dry.words);
        assert!(
            dry.words.contains("would be created  dashboard: "),
            "{}",
            dry.words
        );
        assert!(
            dry.words.ends_with("Nothing was changed.\n"),
            "{}",
            dry.words
        );
        assert!(fake.held("").is_empty());

        let put = only(&[]);
        assert_eq!(put.code, Some(0), "{}", put.words);
        assert!(
            put.words.contains("created           dashboard: "),
            "{}",
            put.words
        );
        let there = format!(
            "http://{}/app/dashboards#/view/logweir-rate-abuse  Rate abuse",
            fake.address
        );
        assert!(put.words.contains(&there), "{}", put.words);
        let again = only(&[]);
        assert!(!again.words.contains("created "), "{}", again.words);

        let mut changed = fake.inside().objects.clone();
        let panel = changed.iter_mut().find(|(key, _)| key.2 == "logweir-sites");
        panel.unwrap().1["attributes"]["title"] = json!("Mine");
        fake.inside().objects = changed.clone();
        let dry = only(&["--dry-run"]).words;
        let told = "  changed           visualization: Site: click one to see it alone [logweir]\n";
        assert!(dry.contains(told), "{dry}");
        let told = "visualization logweir-sites: title: \"Mine\" instead of \"Site: click one";
        assert!(dry.contains(told), "{dry}");
        let checked = home.end_of(&["check", "--connect"]);
        let told = "warning: 1 object is changed in Kibana: logweir setup --dry-run shows what";
        assert!(checked.words.contains(told), "{}", checked.words);
        let kept = only(&[]);
        assert_eq!(kept.code, Some(0), "{}", kept.words);
        assert!(
            kept.words.contains("  changed, kept     visualization: "),
            "{}",
            kept.words
        );
        assert!(kept.words.contains("--force restores it"), "{}", kept.words);
        assert_eq!(fake.inside().objects, changed);
        let restored = only(&["--force"]);
        assert!(
            restored
                .words
                .contains("  restored          visualization: "),
            "{}",
            restored.words
        );
        let checked = home.end_of(&["check", "--connect"]);
        assert!(
            checked.words.contains("62 of 62 objects as they were put"),
            "{}",
            checked.words
        );

        let (key, dashboard) = {
            let inside = fake.inside();
            let is_dashboard = |object: &&Value| object["type"] == "dashboard";
            let found = inside
                .objects
                .iter()
                .find(|(_, object)| is_dashboard(object));
            found
                .map(|(key, object)| (key.clone(), object.clone()))
                .unwrap()
        };
        let mut theirs = dashboard;
        theirs["attributes"]["description"] = json!("ours now");
        fake.inside().objects.insert(key.clone(), theirs.clone());
        let refused = only(&[]);
        assert_eq!(refused.code, Some(78), "{}", refused.words);
        assert!(refused.words.contains("--force"), "{}", refused.words);
        assert_eq!(fake.inside().objects[&key], theirs);
        assert_eq!(only(&["--force"]).code, Some(0));
    }
}

/// The first steps of the README, copied: its configuration is complete, and its environment variables let an
/// administrator run setup before the agent has a key.
#[test]
fn the_commands_of_the_readme_work() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("<<'TOML'\n").unwrap();
    let (file, rest) = rest.split_once("TOML\n").unwrap();
    let (_, rest) = rest.split_once("\nexport ").unwrap();
    let (variables, rest) = rest.split_once('\n').unwrap();
    let variables: Vec<&str> = variables.split(' ').collect();
    let (commands, _) = rest.split_once("unset ").unwrap();
    let commands: Vec<Vec<&str>> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("logweir "))
        .map(|line| line.split('#').next().unwrap().split_whitespace().collect())
        .collect();
    let wanted = [
        &["setup", "--dry-run"][..],
        &["setup"],
        &["setup", "--print", "roles"],
    ];
    assert_eq!(commands, wanted);

    let home = Home::new();
    let fake = FakeKibana::kibana();
    // elastic:changeme
    fake.inside().authorization = Some("Basic ZWxhc3RpYzpjaGFuZ2VtZQ==");
    let here = format!("http://{}", fake.address);
    let file = file.replace("https://kibana:5601", &here);
    assert!(file.contains(&here), "{file}");
    std::fs::write(home.config(), file).unwrap();
    for command in &commands {
        // The cluster of the README does not exist here; the life cycle is checked below.
        let is_print = command.contains(&"--print");
        let only: &[&str] = if is_print { &[] } else { &["--only", "kibana"] };
        let ended = home.end_with_variables(&variables, &[command, only].concat());
        assert_eq!(ended.code, Some(0), "{command:?}: {}", ended.words);
        assert!(!ended.words.contains("No dashboards"), "{}", ended.words);
        if is_print {
            assert!(ended.words.contains("feature_savedObjectsManagement.all"));
            assert!(ended.words.contains("POST /_security/api_key"));
        }
    }
    assert!(!fake.held("").is_empty());
    let printed = home.end_with_variables(&variables, &["setup", "--print"]);
    assert!(printed.words.contains("PUT /_ilm/policy/nginx-access\n"));
    assert!(
        !printed.words.contains("No life cycle"),
        "{}",
        printed.words
    );
    // Afterwards the agent's own key is used again, which does not exist yet.
    let later = home.end_of(&["setup"]);
    assert_eq!(later.code, Some(78), "{}", later.words);
    assert!(later.words.contains("api_key_file"), "{}", later.words);
}

#[test]
fn a_kibana_that_is_down_is_named_by_its_own_setting() {
    let home = Home::new();
    home.configure("", &format!("[kibana]\nurl = \"{}\"\n", cluster_down()));
    for arguments in [&["setup", "--only", "kibana"][..], &["check", "--connect"]] {
        let ended = home.end_of(arguments);
        assert_ne!(ended.code, Some(0), "{}", ended.words);
        let told = "connection refused; is it running, and is its port the one in `[kibana] url`?";
        assert!(ended.words.contains(told), "{}", ended.words);
        let line = ended.words.lines().find(|line| line.contains(told));
        assert!(!line.unwrap().contains("nodes"), "{}", ended.words);
    }
}

/// A dashboard that would be refused is detected before the templates are put.
#[tokio::test]
async fn without_kibana_nothing_is_put_into_the_cluster() {
    for (family, address) in servers().clusters() {
        let name = unique("nokibana");
        let home = Home::new();
        let sections = format!(
            "[elasticsearch]\nnodes = [\"{address}\"]\nindex = \"{name}-%Y\"\n[kibana]\nurl = \"{}\"\n",
            cluster_down()
        );
        home.configure("", &sections);
        let ended = home.end_of(&["setup"]);
        assert_eq!(ended.code, Some(69), "{family}: {}", ended.words);
        assert!(
            ended.words.contains("[kibana]"),
            "{family}: {}",
            ended.words
        );
        let list = ask(address, Method::Get, "/_index_template", None).await;
        assert!(!list.to_string().contains(&name), "{family}");
    }
}

/// The printed role, the help and the documentation each list the required privileges.
#[test]
fn the_help_and_the_documentation_name_each_right_of_the_printed_role() {
    let home = Home::new();
    home.configure("", "");
    let help = home.end_of(&["setup", "--help"]).words;
    let documentation = include_str!("../../docs/SETUP.md");
    let printed = home.end_of(&["setup", "--print", "roles"]).words;
    let mut seen = 0;
    for request in printed
        .split("\nPUT ")
        .filter(|r| r.contains("/logweir_setup\n"))
    {
        let (_, body) = request.split_once('\n').unwrap();
        let mut bodies = serde_json::Deserializer::from_str(body).into_iter::<Value>();
        let role = bodies.next().unwrap().unwrap();
        for rights in [
            "/cluster",
            "/indices/0/privileges",
            "/cluster_permissions",
            "/index_permissions/0/allowed_actions",
        ] {
            for right in role
                .pointer(rights)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let right = right.as_str().unwrap();
                assert!(help.contains(right), "{right}: {help}");
                assert!(documentation.contains(&format!("`{right}`")), "{right}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4 + 5);
}
