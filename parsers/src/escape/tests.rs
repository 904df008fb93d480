use super::*;
use crate::line::tests_support::write_escaped;
use proptest::prelude::*;

fn decoded(escape: Escape, raw: &[u8]) -> String {
    let mut out = b"before".to_vec();
    escape.decode(raw, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("before").unwrap().to_owned()
}

#[test]
fn default_undoes_hex() {
    assert_eq!(decoded(Escape::Default, br"a\x22b\x5Cc"), "a\"b\\c");
    assert_eq!(
        decoded(Escape::Default, br"\x16\x03\x01"),
        "\u{16}\u{3}\u{1}"
    );
    assert_eq!(decoded(Escape::Default, br"\xE2\x82\xAC"), "€");
    assert_eq!(decoded(Escape::Default, br"\xe2\x82\xac"), "€");
}

#[test]
fn text_without_an_escape_is_kept() {
    for text in [r"\", r"\x", r"\x2", r"\xG0", r"\q", r"\\", r"\u0041"] {
        assert_eq!(decoded(Escape::Default, text.as_bytes()), text);
    }
    for text in [r"\", r"\u", r"\u00", r"\u00G0", r"\q", r"\ud800"] {
        assert_eq!(decoded(Escape::Json, text.as_bytes()), text);
    }
    assert_eq!(decoded(Escape::None, br"\x22"), r"\x22");
}

#[test]
fn json_undoes_its_escapes() {
    assert_eq!(
        decoded(Escape::Json, br#"\"\\\/\n\r\t\b\f\u001F"#),
        "\"\\/\n\r\t\u{8}\u{c}\u{1f}"
    );
    assert_eq!(decoded(Escape::Json, "ä".as_bytes()), "ä");
}

#[test]
fn bytes_that_are_not_utf8_stay_readable() {
    assert_eq!(decoded(Escape::Default, br"a\xFF\xC3\x28"), r"a\xFF\xC3(");
    assert_eq!(decoded(Escape::Json, b"a\xFFb"), r"a\xFFb");
    // Cut in the middle of a character.
    assert_eq!(decoded(Escape::None, b"a\xE2\x82"), r"a\xE2\x82");
    assert_eq!(decoded(Escape::None, "ä\u{20AC}".as_bytes()), "ä€");
}

#[test]
fn plain_text_needs_no_escape() {
    assert!(Escape::is_plain(b""));
    for byte in 0..=u8::MAX {
        let plain = (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
        let mut text = [b'a'; 70];
        text[50] = byte;
        assert_eq!(Escape::is_plain(&text), plain, "{byte:#x}");
    }
}

proptest! {
    #[test]
    fn text_escaped_by_nginx_is_decoded(text in any::<String>()) {
        for escape in [Escape::Default, Escape::Json, Escape::None] {
            let mut raw = Vec::new();
            write_escaped(escape, text.as_bytes(), &mut raw);
            prop_assert_eq!(decoded(escape, &raw), text.clone());
        }
    }

    #[test]
    fn decoded_text_is_always_utf8(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
        for escape in [Escape::Default, Escape::Json, Escape::None] {
            let mut escaped = Vec::new();
            write_escaped(escape, &raw, &mut escaped);
            decoded(escape, &escaped);
            let plain = decoded(escape, &raw);
            if Escape::is_plain(&raw) {
                prop_assert_eq!(plain.as_bytes(), &raw[..]);
            }
        }
    }
}
