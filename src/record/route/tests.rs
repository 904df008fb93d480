//! Paths get names: by rules, or by routes.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn route(path: &str) -> String {
    let (mut out, mut resolved) = (Vec::new(), Vec::new());
    resolve(&mut resolved, path.as_bytes());
    if !needs_resolving(path.as_bytes()) {
        assert_eq!(resolved, path.as_bytes());
    }
    segments(&mut out, &resolved);
    String::from_utf8(out).unwrap()
}

#[test]
fn identifiers_become_their_kind() {
    assert_eq!(route("/users/17/orders"), "/users/{id}/orders");
    assert_eq!(route("/users/17"), "/users/{id}");
    assert_eq!(route("/17/"), "/{id}/");
    assert_eq!(
        route("/d/550e8400-e29b-41d4-a716-446655440000"),
        "/d/{uuid}"
    );
    assert_eq!(
        route("/blob/d41d8cd98f00b204e9800998ecf8427e/raw"),
        "/blob/{hash}/raw"
    );
    assert_eq!(route("/1/2/3"), "/{id}/{id}/{id}");
}

#[test]
fn words_stay() {
    for path in [
        "/",
        "/cafe",
        "/deadbeefdeadbeef/x",
        "/v1/users",
        "/a1",
        "/img/17.png",
        "/feed",
    ] {
        assert_eq!(route(path), path);
    }
}

#[test]
fn a_path_counts_as_nginx_routes_it() {
    assert_eq!(route("/api/%65xport"), "/api/export");
    assert_eq!(route("//api///export"), "/api/export");
    assert_eq!(route("/api/./x/../export"), "/api/export");
    assert_eq!(route("/api/x/.."), "/api/");
    assert_eq!(route("/../.."), "/");
    assert_eq!(route("/users/%31%37"), "/users/{id}");
    assert_eq!(route("/a/.well-known/b"), "/a/.well-known/b");
    assert_eq!(route("/100%"), "/100%");
    assert_eq!(route("/%2e%2e/a"), "/a");
}

proptest! {
    #[test]
    fn any_path_gives_text_and_never_fails(path in "/[ -~]{0,40}") {
        let once = route(&path);
        prop_assert!(once.starts_with('/'));
    }
}
