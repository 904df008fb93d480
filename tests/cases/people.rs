//! Privacy and enrichment, from the configuration to the cluster.

use std::fs;

use serde_json::Value;

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::lines::append_text;
use testkit::mmdb;
use testkit::stage::Stage;

const KEY: &str = "kJ8s0mVx2Qp7Lw4Zt9";

fn configure(home: &Home, stage: &Stage, more: &str) {
    let sections = section_log(&home.log(), "combined") + &section_cluster(&stage.address());
    home.configure("", &(sections + more));
}

fn request(path: &str) -> String {
    format!(
        "203.0.113.77 - bob [12/Mar/2026:10:00:00 +0000] \"GET {path}?token=s3cr3t HTTP/1.1\" 200 1 \"-\" \"curl/8.5.0\"\n"
    )
}

/// The value of a record at `pointer`, by path.
fn values_at(stage: &Stage, pointer: &str) -> Vec<Value> {
    let mut documents = stage.documents();
    documents.sort_by_key(|document| document["url"]["path"].to_string());
    let value = |document: &Value| document.pointer(pointer).cloned().unwrap_or_default();
    documents.iter().map(value).collect()
}

const DEFINITIONS: &str = testkit::USER_AGENTS;

/// One line with each of three files: the first, a new one, and a broken one. Programs such as geoipupdate rename a new
/// file into place without a signal.
fn values_with_each_file(setting: &str, pointer: &str, first: &[u8], second: &[u8]) -> Vec<Value> {
    let (home, stage) = (Home::new(), Stage::new());
    let (file, new) = (home.path("file"), home.path("file.new"));
    let replace = |content: &[u8]| {
        fs::write(&new, content).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    replace(first);
    configure(
        &home,
        &stage,
        &format!("[enrich]\n{setting} = '{}'\n", file.display()),
    );
    append_text(&home.log(), &request("/a"));
    let mut agent = home.run();
    agent.until_so("the first line", || stage.count() == 1);

    replace(second);
    agent.until_said("a file of [enrich] has changed: continuing");
    agent.until("the new start", |agent| {
        (agent.words().matches("started").count() == 2).then_some(())
    });
    append_text(&home.log(), &request("/b"));
    agent.until_so("the second line", || stage.count() == 2);

    replace(b"<html>sign in</html>");
    agent.until_said("the old one stays");
    let key = format!("enrich.{setting}");
    assert!(agent.words().contains(&key), "{}", agent.words());
    append_text(&home.log(), &request("/c"));
    agent.until_so("the third line", || stage.count() == 3);
    agent.stop();
    values_at(&stage, pointer)
}

#[test]
fn a_new_database_is_loaded_without_a_signal_and_a_broken_one_is_not() {
    let elsewhere = serde_json::json!({"city": {"names": {"en": "Lyon"}}});
    let elsewhere = mmdb::write("GeoLite2-City", &[("203.0.113.0/24", elsewhere)]);
    let cities = values_with_each_file("geoip", "/source/geo/city_name", &mmdb::city(), &elsewhere);
    assert_eq!(cities, ["Grenoble", "Lyon", "Lyon"]);
}

#[test]
fn new_definitions_of_user_agents_are_loaded_while_running() {
    let other = DEFINITIONS.replace("(curl)", "(cur)l");
    let names = values_with_each_file(
        "user_agent",
        "/user_agent/name",
        DEFINITIONS.as_bytes(),
        other.as_bytes(),
    );
    assert_eq!(names, ["curl", "cur", "cur"]);
}

#[test]
fn hidden_values_are_hidden_in_the_cluster_and_by_check() {
    let (home, stage) = (Home::new(), Stage::new());
    let (key, definitions) = (home.path("hash-key"), home.path("regexes.yaml"));
    fs::write(&definitions, DEFINITIONS).unwrap();
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let privacy = format!(
        "[privacy]\nip = \"hash\"\nhash_key_file = '{}'\n[enrich]\nuser_agent = '{}'\n",
        key.display(),
        definitions.display()
    );
    configure(&home, &stage, &privacy);
    let odd = "203.0.113.77 no \"GET /?password=s3cr3t HTTP/1.1\" format takes this\n";
    append_text(&home.log(), &(request("/a") + odd));
    let mut agent = home.run();
    agent.until_so("both lines", || stage.count() == 2);
    let ended = agent.stop();
    let log = home.log();
    let check = |arguments: &[&str]| home.end_of(arguments).words;
    let parsed = check(&["check", "--parse", log.to_str().unwrap()]);
    let shown = [parsed, check(&["check"]), ended.words];
    let documents = serde_json::to_string(&stage.documents()).unwrap();
    assert!(
        documents.contains("REDACTED") && documents.contains("\"curl\""),
        "{documents}"
    );
    for text in shown.iter().chain([&documents]) {
        for hidden in ["s3cr3t", "203.0.113.77", KEY] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
    assert!(shown[0].contains("password=REDACTED"), "{}", shown[0]);
    assert!(
        shown[1].contains("source.address holds the hash"),
        "{}",
        shown[1]
    );
    assert!(shown[1].contains("10 expressions"), "{}", shown[1]);
}

/// Checks every place where an agent shows parts of lines: documents, dead letters and their list, `check --parse`, its
/// pages and its log.
#[test]
fn secrets_of_lines_appear_nowhere() {
    const HIDDEN: [&str; 6] = [
        "s3cr3t",
        "IOSFODNN7EXAMPLE",
        "aB3dE6gH9jK2",
        "dBjftJeZ4CVP",
        "bob",
        "pvcGVuIHNlc2FtZQ",
    ];
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage, "");
    let targets = [
        "/a?user%5Bpassword%5D%5Bx%5D=s3cr3t&pin=s3cr3t",
        "/r/AKIAIOSFODNN7EXAMPLE/x",
        "/r/%67hp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6",
        "/v/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K",
        "http://bob:s3cr3t@shop.example/x",
        "/a?h=Basic%20QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    ];
    for target in targets {
        let line = request(target)
            .replace("- bob", "- -")
            .replace("?token=s3cr3t", "");
        // no format matches the second
        let odd = line.replacen(" - - [", " no [", 1);
        append_text(&home.log(), &(line + &odd));
    }
    let mut agent = home.run();
    agent.until_so("all lines", || stage.count() == 2 * targets.len());
    let page = |path| {
        agent
            .page(path)
            .map(|answer| answer.body)
            .unwrap_or_default()
    };
    let pages = ["/metrics", "/status"].map(page).join("\n");
    assert!(pages.contains("logweir_"), "{pages}");
    let ended = agent.stop();
    let log = home.log();
    let parsed = home.end_of(&["check", "--parse", log.to_str().unwrap(), "--lines", "20"]);
    assert!(parsed.words.contains("REDACTED"), "{}", parsed.words);
    let documents = serde_json::to_string(&stage.documents()).unwrap();
    for text in [&documents, &parsed.words, &ended.words, &pages] {
        for hidden in HIDDEN {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
}
