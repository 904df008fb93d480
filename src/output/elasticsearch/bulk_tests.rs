#![allow(clippy::unwrap_used)]
use std::borrow::Cow;

use proptest::prelude::*;

use super::*;

const ANSWER: &str = r#"{"took":3,"errors":true,"items":[{"create":{"status":201}},{"index":{"_id":"x","status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: \"version\" conflict","index":"i"}}},{"create":{"status":400,"failure_store":"not_enabled","error":{"type":"document_parsing_exception","reason":null,"caused_by":{"type":"number_format_exception","reason":"For input string: \"a\"","caused_by":{"type":"deep","reason":"deeper"}}}}}],"ingest_took":1}"#;

fn seen(response: &str, sent: usize) -> Result<Vec<(usize, u16, String, String)>, Malformed> {
    let mut seen = Vec::new();
    walk(response.as_bytes(), sent, |at, item| {
        let error = item.error.unwrap_or_default();
        seen.push((
            at,
            item.status,
            error.kind.to_string(),
            error.cause_reason().to_owned(),
        ));
    })?;
    Ok(seen)
}

#[test]
fn items_come_in_order_with_their_errors() {
    let seen = seen(ANSWER, 3).unwrap();
    assert_eq!(seen[0], (0, 201, String::new(), String::new()));
    assert_eq!(seen[1].2, "version_conflict_engine_exception");
    assert_eq!(seen[2].3, "For input string: \"a\"");
}

#[test]
fn names_without_escapes_are_borrowed() {
    walk(ANSWER.as_bytes(), 3, |_, item| {
        if let Some(error) = item.error {
            assert!(matches!(error.kind.0, Cow::Borrowed(_)));
        }
    })
    .unwrap();
}

#[test]
fn another_number_of_items_is_malformed() {
    assert_eq!(seen(ANSWER, 2), Err(Malformed::Count { got: 3, sent: 2 }));
    assert_eq!(seen(ANSWER, 4), Err(Malformed::Count { got: 3, sent: 4 }));
    assert_eq!(
        seen(r#"{"items":[]}"#, 1),
        Err(Malformed::Count { got: 0, sent: 1 })
    );
}

#[test]
fn an_error_about_another_shape_is_short() {
    for rubbish in [
        "",
        "null",
        "[]",
        "{}",
        "<html>\n<head><title>502\x07 Bad</title>",
        r#"{"errors":false}"#,
        r#"{"items":[{}]}"#,
        r#"{"items":[{"create":{"status":201},"index":{"status":201}}]}"#,
        r#"{"items":[{"create":{}}]}"#,
        r#"{"items":[{"create":{"status":99999}}]}"#,
        r#"{"items":[{"create":{"status":201}}],"items":[]}"#,
        r#"{"items":[{"create":{"status":201}}]} trailing"#,
    ] {
        let message = seen(rubbish, 1).unwrap_err().to_string();
        assert!(
            message.len() < 400 && !message.contains('\x07') && !message.contains('\n'),
            "{message}"
        );
    }
}

proptest! {
    /// A prefix of a response is malformed.
    #[test]
    fn a_cut_response_is_malformed(cut in 0..ANSWER.len()) {
        prop_assert!(seen(&ANSWER[..cut], 3).is_err());
    }

    /// The comparison of bytes accepts the usual response, and a changed one only if the parser accepts it too.
    #[test]
    fn all_created_agrees_with_the_parser(
        items in 1..20_usize, sent in 0..22_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut response =
            format!("{{\"items\":[{}]}}", vec![r#"{"create":{"status":201}}"#; items].join(",")).into_bytes();
        prop_assert_eq!(all_created(&response, sent), items == sent);
        let position = at.index(response.len());
        response[position] = byte;
        if all_created(&response, items) {
            let mut created = 0;
            walk(&response, items, |_, item| created += usize::from(item.status == 201)).unwrap();
            prop_assert_eq!(created, items);
        }
    }

    #[test]
    fn rubbish_never_panics(rubbish in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = walk(&rubbish, 1, |_, _| {});
    }
}
