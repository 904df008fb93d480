//! Requests under the configuration: their route, its kind, and further fields.

use super::*;
use crate::config::tests::text;
use crate::config::{Field, FieldValue};

/// Routes of every kind.
pub(super) const SHOP: &str = r#"
[[routes]]
path = "/login"
kind = "login"
success = ["302", "204-206"]
[[routes]]
path = "/api/export/{id}"
kind = "sensitive"
name = "export"
[[routes]]
regex = "^/(de|en)/"
name = "/{language}/\"shop\""
[[routes]]
regex = "^/en/"
name = "never"
[[routes]]
regex = "\\.bak$"
kind = "sensitive"
methods = ["GET"]
[[routes]]
path = "/users/me"
methods = ["GET"]
[[routes]]
path = "/users/{id}"
"#;

/// Fields of every type, and fields that replace the record's own.
pub(super) const FIELDS: &str = r#"
"user.id" = "$http_x_user_id"
"user.roles" = "staff"
"user.name" = "$http_x_user_name"
"source.port" = "$http_x_port"
"client.ip" = "${http_x_ip}"
"event.end" = "$http_x_end"
"event.code" = "access"
"url.domain" = "$http_x_site"
"labels.team.name" = "web"
"labels.team.shift" = "$nowhere"
"#;

pub(super) fn routes(toml: &str) -> Routes {
    text(toml).config().routes
}

pub(super) fn fields(lines: &str) -> Vec<Field> {
    let toml = format!("[[logs]]\npaths = [\"/a\"]\n[logs.fields]\n{lines}");
    let mut log = text(&toml).config().logs.remove(0);
    std::mem::take(&mut log.fields)
}

/// Routes from this configuration beside this document.
fn documented(toml: &str, yaml: &str) -> Routes {
    let toml = format!("openapi = \"/api.yaml\"\n{toml}");
    text(&toml).with("/api.yaml", yaml).config().routes
}

/// The document of a request under routes.
fn document(routes: &Routes, method: &str, path: &str, status: &str) -> Value {
    let mut settings = settings(vec![Format::combined()]);
    settings.routes = routes.clone();
    let line = format!(
        "203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"{method} {path} HTTP/1.1\" {status} 1 \"-\" \"-\""
    );
    let item = item(&mut recorder(settings), 0, line.as_bytes()).unwrap();
    take_apart(&item).unwrap().2
}

fn route(routes: &Routes, method: &str, path: &str) -> String {
    let document = document(routes, method, path, "200");
    document["http"]["route"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_has_the_name_of_its_route() {
    let routes = routes(SHOP);
    let route = |method, path| route(&routes, method, path);
    assert_eq!(route("POST", "/login"), "/login");
    assert_eq!(route("GET", "/api/%65xport/7/?x=y"), "export");
    assert_eq!(route("GET", "//api/./x/../export/\\xC3\\xA4"), "export");
    assert_eq!(route("GET", "/en/17"), "/{language}/\"shop\"");
    assert_eq!(route("GET", "/users/me"), "/users/me");
    assert_eq!(route("PUT", "/users/me"), "/users/{id}");
    assert_eq!(route("GET", "/db.sql.bak"), "\\.bak$");
    assert_eq!(route("POST", "/db.sql.bak"), "/db.sql.bak");
    assert_eq!(route("GET", "/orders/17"), "/orders/{id}");
}

#[test]
fn a_login_succeeds_by_the_statuses_of_its_route() {
    let routes = routes(SHOP);
    let event = |method, status| {
        let document = document(&routes, method, "/login/", status);
        let event = &document["event"];
        let category = event["category"].as_array().unwrap().len();
        (category, event["outcome"].as_str().unwrap().to_owned())
    };
    for (status, outcome) in [
        ("302", "success"),
        ("204", "success"),
        ("206", "success"),
        ("207", "failure"),
        ("200", "failure"),
        ("429", "failure"),
        ("000", "unknown"),
    ] {
        assert_eq!(event("POST", status), (2, outcome.to_owned()), "{status}");
    }
    // a request for the form is not a login
    assert_eq!(event("GET", "200"), (1, "success".to_owned()));
}

#[test]
fn a_sensitive_request_has_its_tag_beside_others() {
    let routes = routes(SHOP);
    let tags = |path| document(&routes, "GET", path, "200")["tags"].clone();
    assert_eq!(tags("/api/export/1"), serde_json::json!(["sensitive"]));
    assert_eq!(tags("/a.bak"), serde_json::json!(["sensitive"]));
    assert_eq!(tags("/a"), Value::Null);
    let mut settings = settings(vec![Format::combined()]);
    settings.routes = routes;
    let line =
        b"203.0.113.9 - - [29/Nov/2026:05:41:14 +0000] \"GET /a.bak HTTP/1.1\" 200 1 \"-\" \"-\"";
    let item = item(&mut recorder(settings), 0, line).unwrap();
    assert_eq!(
        take_apart(&item).unwrap().2["tags"],
        serde_json::json!(["sensitive", "clock_skew"])
    );
}

#[test]
fn configured_routes_take_precedence_over_documents() {
    let yaml = "openapi: 3.0.3\nservers: [{ url: /v1 }]\npaths:\n  /users/{userId}:\n    get: {}\n    put: {}\n  \
                /export:\n    get: {}\n  /login:\n    get: {}\n    post: {}\n";
    let toml = "[[routes]]\npath = \"/v1/users/{id}\"\nmethods = [\"GET\"]\n\
                [[routes]]\nregex = \"/export$\"\nkind = \"sensitive\"\nname = \"any export\"\n\
                [[routes]]\npath = \"/v1/login\"\nkind = \"login\"\nsuccess = [\"200\"]\nname = \"login\"\n";
    let routes = documented(toml, yaml);
    let named = |method, path| route(&routes, method, path);
    assert_eq!(named("GET", "/v1/users/7"), "/v1/users/{id}");
    assert_eq!(named("PUT", "/v1/users/7"), "/v1/users/{userId}");
    assert_eq!(named("GET", "/v1/export"), "any export");
    assert_eq!(named("POST", "/v1/login"), "login");
    assert_eq!(named("GET", "/v1/login"), "/v1/login");
    assert_eq!(named("DELETE", "/v1/users/7"), "/v1/users/{id}");
    let plain = documented("", yaml);
    assert_eq!(route(&plain, "HEAD", "/v1/users/7"), "/v1/users/{userId}");
    assert_eq!(route(&plain, "GET", "/v1/export"), "/v1/export");
    assert_eq!(route(&plain, "GET", "/users/7"), "/users/{id}");
}

#[test]
fn a_variable_takes_precedence_over_another_source() {
    let format = Format::compile(
        "[$time_local] $host $remote_user $request_id \"$http_x_site\" \"$http_x_user\" \"$http_x_id\"",
        Escape::Default,
    )
    .unwrap();
    let mut settings = settings(vec![format]);
    settings.logs[0].fields = fields(
        "\"url.domain\" = \"$http_x_site\"\n\"user.name\" = \"$http_x_user\"\n\"http.request.id\" = \"$http_x_id\"",
    );
    let constant = Field::constant("url.domain", "of.the.server");
    settings.logs[0].fields.push(constant);
    let mut recorder = recorder(settings);
    let mut told = |line: &str| {
        let line = format!("[23/Nov/2026:05:41:14 +0000] {line}");
        let document = take_apart(&item(&mut recorder, 0, line.as_bytes()).unwrap())
            .unwrap()
            .2;
        let members = [
            "/url/domain",
            "/user/name",
            "/related/user/0",
            "/http/request/id",
        ];
        let texts = members.map(|pointer| document.pointer(pointer).cloned().unwrap_or_default());
        assert!(document.get("nginx").is_none(), "{document}");
        texts
            .map(|text| text.as_str().unwrap_or("-").to_owned())
            .join(" ")
    };
    assert_eq!(told("h u r \"s\" \"n\" \"i\""), "s n n i");
    assert_eq!(told("h u r \"-\" \"-\" \"-\""), "h u u r");
    assert_eq!(told("- - - \"-\" \"-\" \"-\""), "of.the.server - - -");
}

#[test]
fn a_variable_of_another_format_of_the_log_is_absent() {
    let other = Format::compile("$time_iso8601 $http_x_user_id", Escape::Default).unwrap();
    let mut settings = settings(vec![Format::combined(), other]);
    settings.logs[0].fields = fields("\"user.id\" = \"$http_x_user_id\"");
    let mut recorder = recorder(settings);
    let mut user = |line: &str| {
        let item = item(&mut recorder, 0, line.as_bytes()).unwrap();
        take_apart(&item).unwrap().2["user"].clone()
    };
    let combined =
        "203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"";
    assert_eq!(user(combined), Value::Null);
    assert_eq!(
        user("2026-11-23T05:41:14+00:00 7"),
        serde_json::json!({"id": "7"})
    );
}

/// Names that collide with each other and with the record in every way, with any variable.
pub(super) fn any_fields() -> impl proptest::strategy::Strategy<Value = Vec<Field>> {
    use proptest::prelude::*;

    const NAMES: &[&str] = &[
        "user.id",
        "user.name",
        "url.domain",
        "source.port",
        "source.nat.ip",
        "client.ip",
        "client.port",
        "event.end",
        "event.code",
        "event.sequence",
        "labels.a.b",
        "labels.a.c",
        "service.name",
        "host.id",
        "host.ip",
        "agent.id",
        "tls.client.subject",
        "destination.bytes",
        "related.hosts",
        "user_agent.x",
        "http.request.id",
        "trace.id",
        "network.bytes",
        "@timestamp",
        "source.ip",
        "event.duration",
        "http.response.status_code",
        "http.response.body.bytes",
    ];
    let value = prop_oneof![
        3 => prop::sample::select(super::properties::TEXTS),
        3 => prop::sample::select(super::properties::OTHERS),
        1 => Just(""),
    ];
    prop::collection::btree_map(
        prop::sample::select(NAMES).prop_map(str::to_owned),
        value,
        0..8,
    )
    .prop_map(|given| {
        let lines = given.iter().map(|(name, variable)| match *variable {
            "" => String::new(),
            variable => format!("{name:?} = \"${variable}\"\n"),
        });
        let mut fields = fields(&lines.collect::<String>());
        let constants = given.iter().filter(|(_, variable)| variable.is_empty());
        let free = constants.filter(|(name, _)| name.starts_with("labels") || name.ends_with("id"));
        fields.extend(free.map(|(name, _)| Field::constant(name, "\"x\\")));
        // a constant is refused for these
        fields
            .retain(|field| !(field.replaces() && matches!(field.value, FieldValue::Constant(_))));
        fields
    })
}

/// Scanners request thousands of paths that do not exist. A request with a value is probably meant.
#[test]
fn requests_not_found_share_a_route_unless_they_hold_a_value() {
    let none = Routes::default();
    let named = |path: &str, status: &str| {
        let document = document(&none, "GET", path, status);
        document["http"]["route"].as_str().unwrap().to_owned()
    };
    for path in [
        "/backup",
        "/old/x7d9k2.php",
        "/%FF%FE",
        "/",
        "/wp-login.php",
    ] {
        assert_eq!(named(path, "404"), "{not found}", "{path}");
    }
    assert_eq!(named("/wp-login.php", "200"), "/wp-login.php");
    assert_eq!(named("/wp-login.php", "403"), "/wp-login.php");
    assert_eq!(named("/users/17", "404"), "/users/{id}");
    let routes = routes(SHOP);
    let of = |path, status| document(&routes, "POST", path, status)["http"]["route"].clone();
    assert_eq!(of("/login", "404"), "/login");
    assert_eq!(of("/logon", "404"), "{not found}");
    // a line without a status
    let format = Format::compile("[$time_local] $request", Escape::Default).unwrap();
    let mut recorder = recorder(settings(vec![format]));
    let line = b"[23/Nov/2026:05:41:14 +0000] GET /backup HTTP/1.1";
    let document = take_apart(&item(&mut recorder, 0, line).unwrap())
        .unwrap()
        .2;
    assert_eq!(document["http"]["route"], "/backup");
}

/// Every spelling of the path that a back end accepts is recognised.
#[test]
fn logins_and_sensitive_routes_are_recognised_in_every_spelling() {
    let routes = routes(SHOP);
    for path in [
        "/login",
        "/LOGIN",
        "/login;jsessionid=1A2B",
        "/login;x=1/",
        "/login%3Bx",
        "/login%20",
        "/login%00",
        "/login%09",
        "/login%20;x",
        "/x/..;/Login",
        "/%4cogin",
    ] {
        let document = document(&routes, "POST", path, "302");
        assert_eq!(document["http"]["route"], "/login", "{path}");
        let category = &document["event"]["category"];
        assert_eq!(
            *category,
            serde_json::json!(["web", "authentication"]),
            "{path}"
        );
    }
    for path in ["/API/Export/7;x=1", "/a.BAK", "/a.bak;v=1", "/a.bak%20"] {
        let tags = &document(&routes, "GET", path, "200")["tags"];
        assert_eq!(*tags, serde_json::json!(["sensitive"]), "{path}");
    }
    // an ordinary route is sensitive to case, and a marked one only if it is configured so
    assert_eq!(route(&routes, "GET", "/Users/me"), "/Users/me");
    let exact = self::routes(&SHOP.replacen(
        "kind = \"login\"",
        "kind = \"login\"\nignore_case = false",
        1,
    ));
    assert_eq!(route(&exact, "POST", "/login;x"), "/login");
    assert_eq!(route(&exact, "POST", "/LOGIN"), "/LOGIN");
}

#[test]
fn each_document_carries_the_version_of_the_rule_for_names() {
    let mut recorder = recorder(settings(vec![Format::combined()]));
    for line in [
        &b"203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\""[..],
        b"no line of any format",
    ] {
        let document = take_apart(&item(&mut recorder, 0, line).unwrap())
            .unwrap()
            .2;
        assert_eq!(document["logweir"]["route_rule"], 2);
    }
}
