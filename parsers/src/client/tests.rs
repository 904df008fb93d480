use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn addresses_in_every_notation() {
    for (raw, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("::", "::"),
    ] {
        assert_eq!(address(raw.as_bytes()), ip(expected), "{raw}");
    }
    for raw in [
        "",
        "-",
        "unix:",
        "unix:/run/a.sock",
        "unknown",
        "example.com",
        "example.com:80",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4:",
        "1.2.3.4:99999",
        "1.2.3.4:x",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[]",
        "256.1.1.1",
        "01.2.3.4",
        "_hidden",
        "::ffff:1.2.3.4:80",
        "1.2.3.4 ",
        "\u{e4}",
    ] {
        assert_eq!(address(raw.as_bytes()), None, "{raw}");
    }
}

fn chosen(remote: &str, forwarded: Option<&str>) -> String {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
        .iter()
        .map(|net| net.parse().unwrap())
        .collect();
    let chosen = choose(remote.as_bytes(), forwarded.map(str::as_bytes), &trusted);
    assert_eq!(chosen.ip, address(chosen.text), "text and address differ");
    String::from_utf8(chosen.text.to_vec()).unwrap()
}

#[test]
fn an_untrusted_peer_cannot_forward_an_address() {
    assert_eq!(chosen("203.0.113.9", Some("10.0.0.1")), "203.0.113.9");
    assert_eq!(chosen("203.0.113.9", None), "203.0.113.9");
    assert_eq!(chosen("unix:", Some("203.0.113.9")), "unix:");
}

#[test]
fn trusted_hops_are_skipped_from_the_right() {
    assert_eq!(chosen("10.0.0.1", None), "10.0.0.1");
    assert_eq!(chosen("10.0.0.1", Some("203.0.113.9")), "203.0.113.9");
    assert_eq!(
        chosen("10.0.0.1", Some("6.6.6.6, 203.0.113.9")),
        "203.0.113.9"
    );
    assert_eq!(
        chosen("10.0.0.1", Some("6.6.6.6,203.0.113.9 ,\t10.1.1.1")),
        "203.0.113.9"
    );
    assert_eq!(
        chosen("fd00::1", Some("2001:db8::7, [fd00::2]:80")),
        "2001:db8::7"
    );
    assert_eq!(chosen("10.0.0.1", Some("203.0.113.9:55555")), "203.0.113.9");
    // All addresses are internal: the leftmost trusted one is the nearest to the client that is known.
    assert_eq!(chosen("10.0.0.1", Some("10.3.3.3, 10.2.2.2")), "10.3.3.3");
}

#[test]
fn an_invalid_entry_ends_the_search() {
    assert_eq!(chosen("10.0.0.1", Some("unknown")), "10.0.0.1");
    assert_eq!(
        chosen("10.0.0.1", Some("6.6.6.6, unknown, 10.0.0.2")),
        "10.0.0.2"
    );
    assert_eq!(
        chosen("10.0.0.1", Some("6.6.6.6, evil.example")),
        "10.0.0.1"
    );
    assert_eq!(chosen("10.0.0.1", Some("6.6.6.6,")), "10.0.0.1");
    assert_eq!(chosen("10.0.0.1", Some("")), "10.0.0.1");
    assert_eq!(chosen("10.0.0.1", Some(r"6.6.6.6\x22, \x00")), "10.0.0.1");
}

#[test]
fn a_claim_is_read_from_the_right() {
    let claim = |list: &str, trusted: &[IpNet]| {
        let chosen = claimed(list.as_bytes(), trusted)?;
        assert_eq!(chosen.ip, address(chosen.text), "text and address differ");
        Some(String::from_utf8(chosen.text.to_vec()).unwrap())
    };
    let nobody = |list: &str| claim(list, &[]).unwrap_or_default();
    assert_eq!(nobody("203.0.113.9"), "203.0.113.9");
    assert_eq!(nobody("203.0.113.9:4711"), "203.0.113.9");
    assert_eq!(nobody("[2001:db8::7]:80"), "2001:db8::7");
    assert_eq!(nobody("6.6.6.6, 203.0.113.9"), "203.0.113.9");
    // an internal address is not the client while the list has an external one
    assert_eq!(nobody("203.0.113.9, 10.0.0.2, fd00::1"), "203.0.113.9");
    assert_eq!(nobody("10.0.0.3, 10.0.0.2"), "10.0.0.3");
    assert_eq!(nobody("10.0.0.3"), "10.0.0.3");
    assert_eq!(nobody("unknown, 10.0.0.2"), "10.0.0.2");
    for none in [
        "",
        "-",
        "unix:",
        "unknown",
        "203.0.113.9, unknown",
        "203.0.113.9,",
    ] {
        assert_eq!(claim(none, &[]), None, "{none}");
    }
    // a setting that lists proxies lists all of them
    let trusted: [IpNet; 1] = ["192.0.2.0/24".parse().unwrap()];
    assert_eq!(
        claim("203.0.113.9, 10.0.0.2", &trusted).unwrap(),
        "10.0.0.2"
    );
    assert_eq!(
        claim("203.0.113.9, 192.0.2.2", &trusted).unwrap(),
        "203.0.113.9"
    );
}

#[test]
fn mapped_addresses_are_the_ipv4_ones() {
    assert_eq!(
        chosen("::ffff:10.0.0.1", Some("::ffff:203.0.113.9")),
        "203.0.113.9"
    );
    assert_eq!(chosen("::ffff:203.0.113.9", Some("6.6.6.6")), "203.0.113.9");
    let wide = ["::ffff:10.0.0.0/104".parse().unwrap()];
    assert_eq!(
        choose(b"10.0.0.1", Some(b"203.0.113.9"), &wide).text,
        b"203.0.113.9"
    );
}

proptest! {
    /// Whatever a client writes at the left, the address that the trusted proxy saw is chosen.
    #[test]
    fn a_client_cannot_choose_its_address(forged in "[^,]{0,12}(, ?[0-9.:a-f]{0,12}){0,4}") {
        let list = format!("{forged}, 203.0.113.9, 10.0.0.7");
        prop_assert_eq!(chosen("10.0.0.1", Some(&list)), "203.0.113.9");
    }
}

proptest::proptest! {
    #[test]
    fn a_dotted_address_is_read_as_by_the_standard_library(text in "[0-9.]{1,16}|[0-9]{1,3}(\\.[0-9]{1,3}){3}") {
        proptest::prop_assert_eq!(dotted(text.as_bytes()), text.parse().ok());
    }
}
