//! Requests get the names of their APIs, from the configuration to the cluster.

use std::fs;

use serde_json::{Value, json};

use crate::support::agent::{Home, section_cluster};
use testkit::lines::append_text;
use testkit::stage::Stage;

/// The application's document.
const API: &str = "openapi: 3.0.3\nservers:\n  - url: https://shop.example/api\npaths:\n  /users/{userId}:\n    get: {}\n  \
                   /users/{userId}/export:\n    get: {}\n";

/// The configured routes.
const ROUTES: &str = r#"
[[routes]]
path = "/login"
kind = "login"
success = ["302"]
[[routes]]
path = "/api/users/{id}/export"
kind = "sensitive"
"#;

const FORMAT: &str =
    r#"$remote_addr [$time_local] "$request" $status "$http_x_user_id" "$http_x_port""#;

/// A log, routes, a document, and the callers.
fn configure(home: &Home, stage: &Stage) {
    let document = home.path("openapi.yaml");
    if !document.exists() {
        fs::write(&document, API).unwrap();
    }
    let log = format!(
        "[[logs]]\npaths = ['{}']\nformat = '{FORMAT}'\n\
         fields = {{ \"user.id\" = \"$http_x_user_id\", \"source.port\" = \"$http_x_port\", \"user.roles\" = \"customer\" }}\n",
        home.log().display()
    );
    let top = format!("openapi = '{}'\n", document.display());
    home.configure(&top, &(log + ROUTES + &section_cluster(&stage.address())));
}

fn request(method: &str, path: &str, status: u16, user: &str, port: &str) -> String {
    format!(
        "192.0.2.1 [12/Mar/2026:10:00:00 +0000] \"{method} {path} HTTP/1.1\" {status} \"{user}\" \"{port}\"\n"
    )
}

/// The documents, by path and status.
fn documents(stage: &Stage) -> Vec<Value> {
    let mut documents = stage.documents();
    documents.sort_by_key(|document| {
        let status = document["http"]["response"]["status_code"].as_u64();
        (document["url"]["path"].to_string(), status)
    });
    documents
}

#[test]
fn logins_exports_and_clients_are_marked_in_the_cluster() {
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage);
    let lines = [
        request("GET", "/api/users/7", 200, "anna", "4711"),
        request("GET", "/api/%75sers/7/export?all", 200, "eve", "none"),
        request("POST", "/login", 200, "-", "-"),
        request("POST", "/login", 302, "-", "-"),
    ];
    append_text(&home.log(), &lines.concat());
    home.once();
    let found: Vec<Value> = documents(&stage)
        .iter()
        .map(|document| {
            json!([
                document["http"]["route"],
                document["event"]["category"],
                document["event"]["outcome"],
                document["tags"],
                document["user"],
                document["source"]["port"],
            ])
        })
        .collect();
    let login = ["web", "authentication"];
    let unknown = json!({"roles": "customer"});
    assert_eq!(
        found,
        [
            json!(["/api/users/{id}/export", ["web"], "success", ["sensitive", "field_misfit"],
                   {"id": "eve", "roles": "customer"}, null]),
            json!(["/api/users/{userId}", ["web"], "success", null, {"id": "anna", "roles": "customer"}, 4711]),
            json!(["/login", login, "failure", null, unknown, null]),
            json!(["/login", login, "success", null, unknown, null]),
        ]
    );
}

/// The document is deployed with the application: a new API must not need an operator.
#[test]
fn a_changed_document_is_loaded_without_a_signal_and_a_broken_one_is_not() {
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage);
    append_text(&home.log(), &request("GET", "/api/carts/a", 200, "-", "-"));
    let mut agent = home.run();
    agent.until_so("the first line", || stage.count() == 1);

    let document = home.path("openapi.yaml");
    fs::write(
        &document,
        format!("{API}  /carts/{{cart}}:\n    get: {{}}\n"),
    )
    .unwrap();
    agent.until_said("an OpenAPI document has changed: continuing");
    agent.until("the new start", |agent| {
        (agent.words().matches("started").count() == 2).then_some(())
    });
    append_text(&home.log(), &request("GET", "/api/carts/b", 200, "-", "-"));
    agent.until_so("the second line", || stage.count() == 2);

    fs::write(&document, "openapi: [").unwrap();
    agent.until_said("the old one stays");
    append_text(&home.log(), &request("GET", "/api/carts/c", 200, "-", "-"));
    agent.until_so("the third line", || stage.count() == 3);
    agent.stop();
    let routes: Vec<Value> = documents(&stage)
        .iter()
        .map(|document| document["http"]["route"].clone())
        .collect();
    assert_eq!(
        routes,
        ["/api/carts/a", "/api/carts/{cart}", "/api/carts/{cart}"]
    );
}

#[test]
fn check_lists_the_routes_and_shows_the_meaning_of_lines() {
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage);
    let lines = [
        request("POST", "/login", 200, "-", "-"),
        request("GET", "/api/users/7/export", 200, "eve", "none"),
    ];
    append_text(&home.log(), &lines.concat());
    let said = home.end_of(&["check"]).words;
    let section = said.split("\n\n").find(|part| part.starts_with("routes"));
    let folder = home.path("").display().to_string();
    insta::assert_snapshot!(section.unwrap_or(&said).replace(&folder, "DIR/"));

    let log = home.log().display().to_string();
    let said = home
        .end_of(&["check", "--parse", &log, "--lines", "2"])
        .words;
    let meanings: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("    > "))
        .collect();
    insta::assert_snapshot!(meanings.join("\n"));
}

/// Paths without a configured route, and segments that still look like values, are reported with sections to paste.
#[test]
fn check_counts_the_routes_of_a_file_and_prints_sections_to_paste() {
    let (home, stage) = (Home::new(), Stage::new());
    configure(&home, &stage);
    let names = ["anna", "bert", "cleo", "dora", "emil"];
    let shops = (0..25).map(|at| {
        let name = format!("{}{}", names[at % 5], names[at / 5]);
        request("GET", &format!("/shops/{name}/reviews"), 200, "-", "-")
    });
    let others = (0..10).map(|at| request("GET", &format!("/x{at}y.php"), 404, "-", "-"));
    let users = (0..30).map(|at| request("GET", &format!("/api/users/{at}"), 200, "-", "-"));
    let lines: Vec<String> = shops.chain(others).chain(users).collect();
    append_text(&home.log(), &lines.concat());
    let log = home.log().display().to_string();
    let said = home.end_of(&["check", "--parse", &log]).words;
    for wanted in [
        "routes (27)\n",
        "       30   46.1 %  /api/users/{userId}\n",
        "       10   15.3 %  {not found}\n",
        "/shops/{value}/reviews: 25 different texts in 25 lines",
        "    [[routes]]\n    path = \"/shops/{value}/reviews\"\n",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}

#[test]
fn check_warns_of_templates_that_cross() {
    let (home, stage) = (Home::new(), Stage::new());
    let route = |bits: u32| {
        let segment = |at: u32| if bits >> at & 1 == 0 { "/a" } else { "/{x}" };
        let path: String = (0..7).map(segment).collect();
        format!("[[routes]]\npath = \"{path}\"\n")
    };
    let routes: String = (0..128).map(route).collect();
    home.configure("", &(routes + &section_cluster(&stage.address())));
    let said = home.end_of(&["check"]).words;
    assert!(said.contains("warning: templates cross so much"), "{said}");
    assert!(said.contains("255 ways"), "{said}");
}
