//! Paths that no route matches: what stays, what becomes a placeholder, and how few routes come of it.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use testkit::route_kinds;

use super::{DECODED_AGAIN, name, path};

/// Paths of public APIs and common sites; `{…}` is a value.
const WORDS: &str = include_str!("../../../tests/fixtures/route_words.txt");

/// The name of a path, and whether it holds a value.
fn named(path: &str) -> (String, bool) {
    let mut at = path.as_bytes().to_vec();
    for _ in 0..=DECODED_AGAIN {
        if path::is_resolved(&at) {
            break;
        }
        let mut resolved = Vec::new();
        path::resolve(&mut resolved, &at);
        at = resolved;
    }
    let mut out = Vec::new();
    let identified = name::name(&mut out, &at);
    (String::from_utf8(out).unwrap(), identified)
}

fn route(path: &str) -> String {
    named(path).0
}

#[test]
fn each_kind_of_value_is_one_route() {
    let rows = route_kinds::rows(|path, status| match named(path) {
        (_, false) if status == 404 => "{not found}".to_owned(),
        (name, _) => name,
    });
    let bad: Vec<String> = rows
        .iter()
        .filter(|row| !row.is_good())
        .map(|row| {
            format!(
                "{}: {} strays, such as {:?}",
                row.name, row.strays, row.examples
            )
        })
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(rows.len() > 60);
}

#[test]
fn words_of_real_paths_stay() {
    let mut count = 0;
    let mut lost = Vec::new();
    for line in WORDS.lines().filter(|line| line.starts_with('/')) {
        let (path, wanted) = (filled(line, "17"), filled(line, "{id}"));
        let found = route(&path);
        if found != wanted {
            lost.push(format!("{line}: {found}"));
        }
        count += 1;
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(count >= 1_000, "{count}");
}

/// A path of the corpus with `value` for each parameter.
fn filled(path: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str(value);
        rest = after.split_once('}').unwrap().1;
    }
    out + rest
}

/// The table of docs/ROUTES.md.
#[test]
fn values_become_their_placeholder() {
    for (path, wanted) in [
        ("/users/17/orders", "/users/{id}/orders"),
        ("/users/17", "/users/{id}"),
        ("/17/", "/{id}/"),
        ("/1/2/3", "/{id}/{id}/{id}"),
        ("/a/-17", "/a/{id}"),
        ("/a/12.5", "/a/{id}"),
        ("/a/00:1a:2b:3c:4d:5e", "/a/{id}"),
        ("/a/fe:ed:fa:ce:be:ef", "/a/{id}"),
        ("/a/001a.2b3c.4d5e", "/a/{id}"),
        ("/a/06zg-zce8-vaw7", "/a/{id}"),
        ("/a/ip-10-20-30-40", "/a/{id}"),
        (
            "/a/7.2.0.192.in-addr.arpa",
            "/a/{id}.{id}.{id}.{id}.in-addr.arpa",
        ),
        ("/a/tNAv29VyV50+UJcvytDI+g==", "/a/{id}"),
        (
            "/a/eAoK2q2ULF-JLVwKvZRD.U_GpMB.NaV6iT9PS4dFkP81wJXBWHjghFX",
            "/a/{id}",
        ),
        ("/js/chunk.17.8f3a.js", "/js/chunk.{id}.{hash}.js"),
        ("/js/chunk.17.bdc3.js", "/js/chunk.{id}.{hash}.js"),
        ("/js/main.cbbbee46.js", "/js/main.{hash}.js"),
        ("/assets/index-RL-AyyiK.js", "/assets/{slug}.js"),
        ("/assets/index-BzKL8x2q.js", "/assets/{slug}.js"),
        ("/a/red-shoes,18841", "/a/{slug}"),
        ("/a/red-shoes.18841.html", "/a/{slug}.html"),
        ("/a/%D1%82%D1%83%D1%84%D0%BB%D0%B8-18841", "/a/{slug}"),
        ("/a/0x1F", "/a/{id}"),
        ("/a/3f2a1b", "/a/{id}"),
        ("/a/dQw4w9WgXcQ", "/a/{id}"),
        ("/a/sk_live_51HxYz8aBcDeFgHiJk", "/a/{id}"),
        ("/a/user12345", "/a/{id}"),
        ("/a/DSC_0042.JPG", "/a/{id}.JPG"),
        ("/a/300x250", "/a/{id}"),
        ("/a/user:17", "/a/user:{id}"),
        ("/a/17:undelete", "/a/{id}:undelete"),
        ("/a/1|2", "/a/{id}"),
        ("/a/1+2+3", "/a/{id}"),
        ("/a/Orders(OrderID=1,ProductID=2)", "/a/Orders({id})"),
        ("/a/photo%20(1).jpg", "/a/photo ({id}).jpg"),
        ("/d/550e8400-e29b-41d4-a716-446655440000", "/d/{uuid}"),
        ("/d/%7B550e8400-e29b-41d4-a716-446655440000%7D", "/d/{uuid}"),
        (
            "/blob/d41d8cd98f00b204e9800998ecf8427e/raw",
            "/blob/{hash}/raw",
        ),
        (
            "/v2/x/blobs/sha256:d41d8cd98f00b204e9800998ecf8427e",
            "/v2/x/blobs/sha256:{hash}",
        ),
        ("/js/main.8f3a91c2.js", "/js/main.{hash}.js"),
        ("/js/2.8f3a91c2.chunk.js", "/js/{id}.{hash}.chunk.js"),
        ("/12/2200/1343@2x.png", "/{id}/{id}/{id}@2x.png"),
        ("/a/2026-11-27", "/a/{date}"),
        ("/a/2026-11", "/a/{date}"),
        ("/a/20261127T100000Z", "/a/{date}"),
        ("/a/2026-11-27T10:00:00+01:00", "/a/{date}"),
        ("/a/2026-W48", "/a/{date}"),
        ("/a/27.11.2026", "/a/{date}"),
        ("/a/2026-11-01,2026-11-30", "/a/{date}"),
        ("/a/anna@shop.example", "/a/{email}"),
        ("/a/anna%40shop.example.json", "/a/{email}"),
        ("/a/anna%2540shop.example", "/a/{email}"),
        ("/a/+49-151-1234567", "/a/{phone}"),
        ("/a/555-123-4567", "/a/{phone}"),
        ("/a/(555)%20123-4567", "/a/{phone}"),
        ("/a/10.0.0.1:8080", "/a/{ip}"),
        ("/a/fe80::1%25eth0", "/a/{ip}"),
        ("/a/[::1]", "/a/{ip}"),
        ("/@48.137,11.575,15z", "/{coordinates}"),
        ("/a/1.2.3", "/a/{version}"),
        ("/a/v1.2.3-rc.1", "/a/{version}"),
        ("/npm/react@18.2.0", "/npm/react@{version}"),
        ("/a/logs-2026.11.27", "/a/logs-{date}"),
        ("/p/red-shoes-18841", "/p/{slug}"),
        ("/p/18841-red-shoes", "/p/{slug}"),
        ("/p/Red-Shoes-18841.html", "/p/{slug}.html"),
        ("/p/grüne-schuhe-18841", "/p/{slug}"),
        ("/2026-11-27-my-post", "/{slug}"),
        (
            "/posts/seven-simple-steps-towards-better-sleep-tonight",
            "/posts/{slug}",
        ),
        ("/a/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "/a/{token}"),
        ("/a/%FF%FE", "/a/{text}"),
        ("/a/<script>", "/a/{text}"),
        ("/a/x%0Ay", "/a/{text}"),
        ("/a/x%1B[31m", "/a/{text}"),
    ] {
        assert_eq!(route(path), wanted, "{path}");
    }
}

#[test]
fn words_stay() {
    for path in [
        "/",
        "/cafe",
        "/deadbeefdeadbeef/x",
        "/feed",
        "/v1/users",
        "/v3/x",
        "/v1.41/info",
        "/v19.0/me",
        "/1.1/x",
        "/a1",
        "/en-us/x",
        "/zh-Hant-TW",
        "/es-419",
        "/about-us",
        "/wp-login.php",
        "/index.php",
        "/robots.txt",
        "/2fa",
        "/oauth2",
        "/oauth2.0",
        "/s3",
        "/base64",
        "/web3",
        "/h264",
        "/utf-8",
        "/UTF-8",
        "/covid-19",
        "/top-10",
        "/sha256sum",
        "/v1beta1",
        "/404.html",
        "/icon-32x32.png",
        "/@babel",
        "/~anna",
        "/$metadata",
        "/_search",
        "/a/-/b",
        "/HelloWorld",
        "/getUserById",
        "/README.md",
        "/.well-known/x",
        "/über-uns",
        "/中文",
        "/дом-книга",
        "/Санкт-Петербург",
        "/летние-туфли-книга",
        "/한국어-위키",
        "/jquery.slim.js",
        "/app-my-forms.js",
        "/assets/user-ProfileCard.js",
        "/static/vendors-Node_Modules.css",
        "/a.mp4.html",
        "/en-us,de-de",
        "/O'Reilly",
        "/do-not-sell-my-personal-information",
        "/phpMyAdmin",
        "/iPhone-15-Pro-Max",
    ] {
        assert_eq!(named(path), (path.to_owned(), false));
    }
}

/// What a back end sees of a path: as nginx resolves it, without parameters, and as far as a NUL.
#[test]
fn a_path_counts_as_a_back_end_sees_it() {
    for (path, wanted) in [
        ("/api/%65xport", "/api/export"),
        ("//api///export", "/api/export"),
        ("/api/./x/../export", "/api/export"),
        ("/api/x/..", "/api/"),
        ("/../..", "/"),
        ("/users/%31%37", "/users/{id}"),
        ("/100%", "/{id}"),
        ("/a%", "/a%"),
        ("/%2e%2e/a", "/a"),
        ("/login;jsessionid=1A2B", "/login"),
        ("/login%3Bx", "/login"),
        ("/a;b=c/d;e/f", "/a/d/f"),
        ("/;x/login", "/login"),
        ("/a/..;/login", "/login"),
        ("/login%20", "/login"),
        ("/login%09%20/x", "/login/x"),
        ("/login%00", "/login"),
        ("/login%00.php", "/login"),
        ("/a%20b", "/a b"),
    ] {
        assert_eq!(route(path), wanted, "{path}");
    }
}

/// Programs, markup and bytes that are no text are no sign that somebody asked for something by its value.
#[test]
fn paths_of_scanners_hold_no_value() {
    for path in [
        "/a8f3k2.php",
        "/x/18841.aspx",
        "/%FF%FE",
        "/<x>",
        "/wp-login.php",
        "/backup",
    ] {
        assert!(!named(path).1, "{path}");
    }
    for path in [
        "/users/17",
        "/a/anna@shop.example",
        "/17/x.php",
        "/9368027.png",
    ] {
        assert!(named(path).1, "{path}");
    }
}

#[test]
fn a_name_is_short_whatever_the_path() {
    let deep = "/a".repeat(40);
    assert_eq!(route(&deep), "/a".repeat(16) + "/{rest}");
    assert_eq!(route(&"/a".repeat(16)), "/a".repeat(16));
    assert_eq!(
        route(&format!("/x/{}", "word ".repeat(50_000))),
        "/x/{text}"
    );
    assert_eq!(route(&format!("/x/{}", "a-".repeat(100_000))), "/x/{text}");
    assert_eq!(route(&format!("/x/{}", "Zx9".repeat(80_000))), "/x/{id}");
    let long = format!("/{}", "é".repeat(40));
    assert_eq!(route(&long), "/{text}");
    let words = format!("/{}", "customer_account.".repeat(3)).repeat(12);
    let found = route(&words);
    assert!(found.len() <= 512 && found.ends_with("/{rest}"), "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_path_gives_a_short_text_without_control_characters(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "[-_.,;:@%()/a-zA-Z0-9 ]{0,80}".prop_map(String::into_bytes),
            "(/[a-z0-9.-]{1,40}){0,40}".prop_map(String::into_bytes),
            "[é☃/0-9a-z]{0,20}".prop_map(String::into_bytes),
        ],
        has_slash in any::<bool>(),
    ) {
        let path = if has_slash { [b"/".as_slice(), &bytes].concat() } else { bytes };
        let mut resolved = Vec::new();
        path::resolve(&mut resolved, &path);
        if !path.is_empty() && path::is_resolved(&path) && std::str::from_utf8(&path).is_ok() {
            prop_assert_eq!(&resolved, &path);
        }
        let mut out = Vec::new();
        name::name(&mut out, &resolved);
        let name = String::from_utf8(out).unwrap();
        prop_assert!(name.len() <= 512);
        prop_assert!(!name.chars().any(char::is_control));
        let mut again = Vec::new();
        name::name(&mut again, &resolved);
        prop_assert_eq!(again, name.into_bytes());
    }
}
