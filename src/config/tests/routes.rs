//! Tests of routes and fields, valid and invalid.

use super::*;

const PETS: &str = "openapi: 3.1.0\nservers:\n  - url: https://{host}/{base}\n    variables:\n      \
                    host: { default: a.example }\n      base: { default: v2 }\npaths:\n  /pets/{id}:\n    \
                    get: {}\n    delete: {}\n  /pets:\n    get: {}\n  /odd}:\n    get: {}\n";

#[test]
fn invalid_routes_are_reported() {
    let routes = |text_: &str| text(&format!("[[routes]]\n{text_}\n")).errors();
    let told = [
        routes("kind = \"login\""),
        routes("path = \"/a\"\nregex = \"b\""),
        routes("path = \"users/{id}\""),
        routes("path = \"/users/{id\""),
        routes("path = \"/users/{}\""),
        routes("path = \"/users/:id\""),
        routes("regex = \"^/(a\""),
        routes("regex = \"(a{1000}){1000}\""),
        routes("path = \"/a\"\nname = \"\""),
        routes("path = \"/a\"\nmethods = [\"PSOT\", \"\"]"),
        routes("path = \"/a\"\nkind = \"logn\"\nsuccess = [\"200\"]"),
        routes("path = \"/a\"\nkind = \"login\""),
        routes("path = \"/a\"\nkind = \"login\"\nsuccess = []"),
        routes(
            "path = \"/a\"\nkind = \"login\"\nsuccess = [\"2xx\", \"204-200\", \"99\", \"200-\"]",
        ),
        routes("path = \"/a\"\nkind = \"login\"\nsuccess = 302"),
        routes("path = \"/a\"\nsuccess = [\"200\"]"),
        routes("path = \"/a\"\nkind = \"sensitive\"\nsuccess = [\"200\"]"),
        routes("paht = \"/a\""),
        routes("path = \"/a/{b}\"\n[[routes]]\npath = \"/a/{c}/\""),
        routes(
            "path = \"/a\"\nmethods = [\"get\"]\n[[routes]]\npath = \"/a\"\nmethods = [\"PUT\", \"GET\"]",
        ),
        routes("regex = \"a\"\n[[routes]]\nregex = \"a\"\nmethods = [\"GET\"]"),
        text("[routes]\npath = \"/a\"").errors(),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn routes_that_share_a_template_by_method_are_right() {
    let config = text(
        "[[routes]]\npath = \"/login\"\n\
         [[routes]]\npath = \"/login\"\nkind = \"login\"\nsuccess = [\"302\"]\n\
         [[routes]]\npath = \"/login\"\nmethods = [\"GET\", \"OPTIONS\"]\n\
         [[routes]]\nregex = \"a\"\nmethods = [\"GET\"]\n[[routes]]\nregex = \"a\"\n",
    )
    .config();
    assert_eq!(config.routes.templates.len(), 3);
    assert_eq!(config.routes.regexes.len(), 2);
}

#[test]
fn invalid_documents_are_reported() {
    let openapi = |content: &str| {
        let machine = text("openapi = \"/api.yaml\"").with("/api.yaml", content);
        machine.errors()
    };
    let told = [
        text("openapi = \"/absent.yaml\"").errors(),
        text("openapi = [\"api.yaml\", 5]").errors(),
        text("openapi = [\"api.yaml\"]").errors(),
        openapi("swagger: \"2.0\"\npaths:\n  /a: {}\n"),
        openapi("openapi: 3.1.0\npaths: {}\n"),
        openapi("openapi: 3.1.0\npaths:\n  /a: [\n"),
        openapi("{\"openapi\": \"3.1.0\", \"paths\": {\"/a\": }}"),
        openapi("hello"),
        openapi(""),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn routes_of_documents_follow_configured_ones() {
    let loaded = text(
        "openapi = [\"/pets.yaml\", \"/twice.json\"]\n\
         [[routes]]\npath = \"/v2/pets/{pet}\"\nmethods = [\"DELETE\"]\nkind = \"sensitive\"\n",
    )
    .with("/pets.yaml", PETS)
    .with(
        "/twice.json",
        "{\"openapi\": \"3.0.0\", \"paths\": {\"/v2/pets\": {\"get\": {}, \"put\": {}}, \"/v2/pets/{a}\": {\"get\": {}}}}",
    )
    .load()
    .unwrap();
    let notes: Vec<String> = loaded.notes.iter().map(Note::to_string).collect();
    insta::assert_snapshot!(format!(
        "{:#?}\n{}\n{:?}",
        loaded.config.routes,
        notes.join("\n"),
        loaded.files
    ));
}

#[test]
fn documents_and_a_route_can_come_from_the_environment() {
    let machine = Machine::default()
        .with("/pets.yaml", PETS)
        .var("LOGWEIR_OPENAPI", "/pets.yaml")
        .var("LOGWEIR_ROUTES_PATH", "/login")
        .var("LOGWEIR_ROUTES_KIND", "login")
        .var("LOGWEIR_ROUTES_SUCCESS", "302, 200-204");
    let routes = machine.config().routes;
    assert_eq!(routes.templates.len(), 3);
    assert_eq!(
        routes.templates[0].1.kind,
        RouteKind::Login {
            success: vec![302..=302, 200..=204]
        }
    );
}

#[test]
fn invalid_fields_are_reported() {
    let fields = |fields: &str| {
        text(&format!(
            "[[logs]]\npaths = [\"/a\"]\n[logs.fields]\n{fields}\n"
        ))
        .errors()
    };
    let told = [
        fields(
            "\"http.route\" = \"$uri\"\n\"source.address\" = \"$http_x_real_ip\"\n\"data_stream.type\" = \"x\"",
        ),
        fields("\"@timestamp\" = \"$date.$millis\"\n\"source.ip\" = \"1.2.3.4\""),
        fields("\"user.name\" = \"anna\""),
        fields("\"user.id\" = \"$\"\n\"labels.a\" = \"$a-$b\"\n\"labels.b\" = \"${a\""),
        fields("\"source.port\" = \"many\"\n\"client.ip\" = \"here\"\n\"event.end\" = \"soon\""),
        fields(
            "\"source.geo.location\" = \"$x\"\n\"tls.resumed\" = \"$y\"\n\"event.risk_score\" = \"1\"",
        ),
        fields("\"user.id\" = \"$a\"\n\"user.id.b\" = \"$b\"\n\"a.b.c.d.e.f.g.h.i\" = \"x\""),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_variable_that_no_format_has_is_noted_with_the_formats() {
    let notes = |toml: &str| {
        let loaded = nginx(toml).load().unwrap();
        let notes = loaded.notes.iter().map(Note::to_string);
        let notes = notes.filter(|note| note.contains("fields: "));
        notes.collect::<Vec<_>>().join("\n")
    };
    let told = [
        // the log's own format counts, although another one has $host
        notes(
            "[[logs]]\npaths = [\"/var/log/nginx/shop-access.log\"]\n[logs.fields]\n\"labels.host\" = \"$host\"",
        ),
        notes(
            "[[logs]]\npaths = [\"/var/log/nginx/*-access.log\"]\n[logs.fields]\n\"labels.id\" = \"$http_x\"",
        ),
        notes(
            "[[logs]]\npaths = [\"/a\"]\nformat = \"$host $status\"\nfields = { \"user.id\" = \"$http_x\" }",
        ),
        notes(
            "[[logs]]\npaths = [\"/a\"]\nformat = \"$host $http_x\"\nfields = { \"user.id\" = \"$http_x\" }",
        ),
        // it has the variable, but as a part of a longer text
        notes(
            "[[logs]]\npaths = [\"/a\"]\nformat = \"$msec $my_ip$request_uri\"\nfields = { \"source.ip\" = \"$my_ip\" }",
        ),
    ];
    insta::assert_snapshot!(told.join("\n---\n"));
}

#[test]
fn a_variable_for_the_site_takes_precedence_over_the_site_of_the_server() {
    let config = nginx(
        "[[logs]]\npaths = [\"/var/log/nginx/shop-access.log\"]\n[logs.fields]\nurl.domain = \"$status\"\n",
    )
    .config();
    let fields: Vec<String> = config.logs[0].fields.iter().map(Field::to_string).collect();
    assert_eq!(
        fields,
        ["url.domain = $status", "url.domain = \"shop.example\""]
    );
}

proptest! {
    /// Any document is accepted, or refused with a reason.
    #[test]
    fn no_document_causes_a_panic(
        lines in prop::collection::vec("(openapi: 3\\.1|paths:|  /[a-z{}*?/]{0,6}:|    (get|put|\\$ref|servers): ?[{}\\[\\]#&*a-z/\"]{0,6}|servers:|- url: [a-z:/{}]{0,8})", 0..10),
        head in any::<bool>(),
    ) {
        let head = if head { "openapi: 3.1.0\npaths:\n" } else { "" };
        let machine = text("openapi = \"/api.yaml\"").with("/api.yaml", format!("{head}{}", lines.join("\n")));
        match machine.load() {
            Ok(loaded) => {
                let told = !loaded.notes.is_empty();
                prop_assert!(told || !loaded.config.routes.templates.is_empty());
            }
            Err(errors) => prop_assert_eq!(errors.0.len(), 1),
        }
    }
}

#[test]
fn marked_routes_ignore_case_unless_configured_otherwise() {
    let config = text(
        "[[routes]]\npath = \"/a\"\n\
         [[routes]]\npath = \"/Login\"\nkind = \"login\"\nsuccess = [\"302\"]\n\
         [[routes]]\npath = \"/b\"\nkind = \"sensitive\"\nignore_case = false\n\
         [[routes]]\npath = \"/c\"\nignore_case = true\n\
         [[routes]]\npath = \"/A\"\n\
         [[routes]]\nregex = \"^/d\"\nkind = \"sensitive\"\n",
    )
    .config();
    let routes = config.routes.templates.iter();
    let ignoring: Vec<bool> = routes.map(|(_, route)| route.ignore_case).collect();
    assert_eq!(ignoring, [false, true, false, true, false]);
    let (regex, route) = &config.routes.regexes[0];
    assert!(regex.is_match(b"/D") && route.name == "^/d");
}

#[test]
fn routes_that_differ_only_in_ignored_case_are_reported() {
    let twice = |second: &str| {
        text(&format!(
            "[[routes]]\npath = \"/Login\"\nignore_case = true\n[[routes]]\npath = \"/login\"\n{second}\n"
        ))
        .load()
        .is_err()
    };
    assert!(twice("ignore_case = true"));
    assert!(!twice("ignore_case = false"));
}

/// A login that ignores case has precedence over a document's paths in any case.
#[test]
fn a_login_has_precedence_over_a_document_in_any_case() {
    let routes = text(
        "openapi = \"/api.yaml\"\n[[routes]]\npath = \"/v1/LogIn\"\nkind = \"login\"\nsuccess = [\"200\"]\n",
    )
    .with("/api.yaml", "openapi: 3.0.3\npaths:\n  /v1/login:\n    get: {}\n    post: {}\n")
    .config()
    .routes;
    let names: Vec<String> = routes
        .templates
        .iter()
        .map(|(_, route)| format!("{} {}", route.name, route.methods.shown()))
        .collect();
    assert_eq!(names, ["/v1/LogIn POST", "/v1/login GET"]);
}
