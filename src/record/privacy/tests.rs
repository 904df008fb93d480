//! Texts in, texts without what must not be seen out.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{HashKey, Privacy};
use proptest::prelude::*;

pub(in crate::record) fn privacy(ip: AddressRule) -> Privacy {
    Privacy {
        ip,
        hash_key: Some(HashKey::new("0123456789abcdef of a test")),
        ..Privacy::default()
    }
}

fn clean(ip: AddressRule, text: &str) -> String {
    let mut cleaned = Cleaned::default();
    Redactor::new(&privacy(ip)).clean(text.as_bytes(), Scope::Value, &mut cleaned);
    String::from_utf8(cleaned.text).unwrap()
}

#[test]
fn addresses_are_kept_truncated_or_hashed() {
    let text = "a 203.0.113.9 ?token=203.0.113.9&b [2001:db8:a:b::1] c";
    assert_eq!(
        clean(AddressRule::Keep, text),
        "a 203.0.113.9 ?token=REDACTED&b [2001:db8:a:b::1] c"
    );
    assert_eq!(
        clean(AddressRule::Truncate, text),
        "a 203.0.113.0 ?token=REDACTED&b [2001:db8:a::] c"
    );
    let hashed = clean(AddressRule::Hash, text);
    assert!(
        !hashed.contains("203.0") && !hashed.contains("2001:"),
        "{hashed}"
    );
    let hash = clean(AddressRule::Hash, "203.0.113.9");
    assert_eq!(hash.len(), HASH_LEN);
    assert!(
        hashed.starts_with(&format!("a {hash} ?token=REDACTED&b [")),
        "{hashed}"
    );
    assert_eq!(clean(AddressRule::Hash, "::ffff:203.0.113.9"), hash);
    assert_ne!(clean(AddressRule::Hash, "203.0.113.8"), hash);
}

/// Another version that hashes otherwise would make every client a new one.
#[test]
fn a_hash_is_the_same_for_ever() {
    assert_eq!(
        clean(AddressRule::Hash, "203.0.113.9"),
        "Voq5q1bMgLCQXuIYO99CrA"
    );
    let mut other = privacy(AddressRule::Hash);
    other.hash_key = Some(HashKey::new("another key of a test"));
    let hash = Redactor::new(&other).hash(b"203.0.113.9");
    assert_ne!(
        &hash[..],
        clean(AddressRule::Hash, "203.0.113.9").as_bytes()
    );
}

#[test]
fn an_unreadable_address_is_hidden_as_a_whole() {
    assert_eq!(
        clean(AddressRule::Hash, "x 2001:db8::12345:1 y"),
        "x REDACTED y"
    );
}

#[test]
fn variables_of_secret_names_are_secrets() {
    let redactor = Redactor::new(&Privacy::default());
    for secret in [
        "arg_token",
        "cookie_sessionid",
        "http_authorization",
        "http_x_api_key",
        "sent_http_x_auth_token",
    ] {
        assert!(redactor.is_secret(secret), "{secret}");
    }
    for other in [
        "ssl_session_id",
        "http_user_agent",
        "remote_user",
        "arg_q",
        "http_cookie",
    ] {
        assert!(!redactor.is_secret(other), "{other}");
    }
}

#[test]
fn a_position_is_found_again() {
    let mut cleaned = Cleaned::default();
    let text = "x?token=abcdefghijklmnopq&y=1 z";
    let redactor = Redactor::new(&Privacy::default());
    redactor.clean(text.as_bytes(), Scope::Value, &mut cleaned);
    let at = |byte: char| cleaned.new_offset(text.find(byte).unwrap());
    let of = |byte: u8| {
        cleaned
            .text
            .iter()
            .position(|known| *known == byte)
            .unwrap()
    };
    assert_eq!(at('y'), of(b'y'));
    assert_eq!(at('x'), 0);
    assert_eq!(at('g'), of(b'R'));
    assert_eq!(cleaned.new_offset(text.len()), cleaned.text.len());
}

proptest! {
    /// Cleaning never fails, and once is enough.
    #[test]
    fn cleaning_a_text_twice_changes_nothing(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![
                "token", "=", "&", "%3D", "%253d", "%", "\\x22", "\"", ":", "password", "203.0.113.9",
                "2001:db8::1", "::", ".", "1", "[", "]", " ", "%3A", "\\", "ffff", "HTTP/",
            ]).prop_map(str::to_owned),
            ".{0,3}",
        ], 0..12),
        ip in prop::sample::select(vec![AddressRule::Keep, AddressRule::Truncate, AddressRule::Hash]),
        scope in prop::sample::select(vec![Scope::Value, Scope::Line]),
    ) {
        let text = parts.concat();
        let redactor = Redactor::new(&privacy(ip));
        let (mut once, mut twice) = (Cleaned::default(), Cleaned::default());
        redactor.clean(text.as_bytes(), scope, &mut once);
        redactor.clean(&once.text, scope, &mut twice);
        // a hash may extend an adjacent text so that it looks like another address
        if ip == AddressRule::Keep {
            prop_assert_eq!(&once.text, &twice.text);
        }
        // a line that no format takes is cleaned unasked: in it `Name: value` counts, too
        if scope == Scope::Value && once.text != text.as_bytes() && !text.contains(['"', '\\']) {
            prop_assert!(redactor.watches(text.as_bytes()), "{}", text);
        }
        for at in 0..=text.len() {
            prop_assert!(once.new_offset(at) <= once.text.len());
        }
    }
}
