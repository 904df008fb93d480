#![allow(clippy::unwrap_used, clippy::panic)]
//! The table of outcomes over responses of real servers (`tests/fixtures/bulk/`).

use super::super::bulk::walk;
use super::*;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Captured {
    server: String,
    call: String,
    item: Box<RawValue>,
}

#[derive(Deserialize)]
struct CapturedRequest {
    server: String,
    call: String,
    status: u16,
    body: String,
}

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/bulk/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn outcome(item: &str) -> ItemOutcome {
    let response = format!(r#"{{"errors":true,"items":[{item}]}}"#);
    let mut outcome = None;
    walk(response.as_bytes(), 1, |_, item| {
        outcome = Some(classify(&item))
    })
    .unwrap();
    outcome.unwrap()
}

fn short(text: &str) -> String {
    text.chars().take(110).collect()
}

#[test]
fn items_that_real_servers_answered() {
    let mut table = String::new();
    for line in fixture("items.ndjson").lines() {
        let captured: Captured = serde_json::from_str(line).unwrap();
        let result = match outcome(captured.item.get()) {
            ItemOutcome::DeadLetter(reason) => format!("dead letter   {reason}"),
            ItemOutcome::Hold(reason) => format!("hold          {reason}"),
            ItemOutcome::Retry(why) => format!("retry         {}", why.label()),
            other => format!("{other:?}").to_lowercase(),
        };
        let line = format!("{:32} {:42} {result}", captured.server, captured.call);
        table.push_str(&format!("{:.180}\n", line));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn requests_that_real_servers_refused() {
    let mut table = String::new();
    for line in fixture("requests.ndjson").lines() {
        let captured: CapturedRequest = serde_json::from_str(line).unwrap();
        let result = match classify_request(captured.status, captured.body.as_bytes()) {
            RequestOutcome::Items => "items".to_owned(),
            RequestOutcome::TooLarge => "too large".to_owned(),
            RequestOutcome::Retry(why, reason) => {
                format!("retry {}: {}", why.label(), short(&reason.to_string()))
            }
            RequestOutcome::Hold(reason) => format!(
                "hold: {}\n{:60} → {}",
                short(&reason.to_string()),
                "",
                hint(&reason, "api_key")
            ),
        };
        table.push_str(&format!(
            "{:32} {:48} {result}\n",
            captured.server, captured.call
        ));
    }
    insta::assert_snapshot!(table);
}

/// Errors that the captured servers did not report, from Elasticsearch's and Lucene's sources.
#[test]
fn items_known_from_the_sources() {
    let refused = |kind: &str, reason: &str| {
        let error = serde_json::json!({"type": kind, "reason": reason});
        outcome(&format!(r#"{{"create":{{"status":400,"error":{error}}}}}"#))
    };
    for (kind, reason) in [
        (
            "illegal_argument_exception",
            "Document contains at least one immense term in field=\"a\" (whose UTF8 encoding is longer than the max length 32766)",
        ),
        (
            "illegal_argument_exception",
            "Limit of total fields [1000] has been exceeded",
        ),
        (
            "illegal_argument_exception",
            "mapper [a] cannot be changed from type [long] to [text]",
        ),
        (
            "illegal_argument_exception",
            "Can't merge a non object mapping [a] with an object mapping [a]",
        ),
        (
            "illegal_argument_exception",
            "DocValuesField \"a\" is too large, must be <= 32766",
        ),
        (
            "mapper_parsing_exception",
            "failed to parse field [a] of type [date]",
        ),
        ("strict_dynamic_mapping_exception", "mapping set to strict"),
    ] {
        let result = refused(kind, reason);
        assert!(
            matches!(result, ItemOutcome::DeadLetter(_)),
            "{kind}: {reason}: {result:?}"
        );
    }
    for (kind, reason) in [
        (
            "mapper_parsing_exception",
            "Failed to parse mapping [_doc]: No handler for type [wildcard] declared on field [a]",
        ),
        (
            "mapper_parsing_exception",
            "The mapper type [scaled_float] declared on field [a] does not exist.",
        ),
        (
            "illegal_argument_exception",
            "pipeline with id [x] does not exist",
        ),
        (
            "illegal_argument_exception",
            "no write index is defined for alias [x]",
        ),
        (
            "illegal_argument_exception",
            "composable template [t] template after composition is invalid",
        ),
        (
            "resource_already_exists_exception",
            "index [x] already exists",
        ),
        (
            "action_request_validation_exception",
            "Validation Failed: 1: index is missing;",
        ),
        ("", ""),
    ] {
        let result = refused(kind, reason);
        assert!(
            matches!(result, ItemOutcome::Hold(_)),
            "{kind}: {reason}: {result:?}"
        );
    }
}

#[test]
fn every_status_without_a_reason() {
    for status in 100..=599 {
        let result = outcome(&format!(r#"{{"create":{{"status":{status}}}}}"#));
        let right = match status {
            200 => result == ItemOutcome::Filtered,
            201..=299 => result == ItemOutcome::Indexed,
            409 => result == ItemOutcome::Duplicate,
            429 => result == ItemOutcome::Retry(RetryReason::Overloaded),
            500..=599 => result == ItemOutcome::Retry(RetryReason::Unavailable),
            _ => matches!(result, ItemOutcome::Hold(_)),
        };
        assert!(right, "{status}: {result:?}");
    }
}

/// Only 400 and 413 may send a document to the dead-letter file, whatever the error.
#[test]
fn only_a_bad_request_makes_a_dead_letter() {
    for status in (100..=599).filter(|status| ![400, 413].contains(status)) {
        let result = outcome(&format!(
            r#"{{"create":{{"status":{status},"error":{{"type":"document_parsing_exception","reason":"field [a]"}}}}}}"#
        ));
        assert!(
            !matches!(result, ItemOutcome::DeadLetter(_)),
            "{status}: {result:?}"
        );
    }
}

#[test]
fn the_failure_store_and_a_foreign_conflict() {
    let diverted = r#"{"create":{"status":201,"failure_store":"used"}}"#;
    assert_eq!(outcome(diverted), ItemOutcome::Diverted);
    let not = r#"{"create":{"status":201,"failure_store":"not_applicable_or_unknown"}}"#;
    assert_eq!(outcome(not), ItemOutcome::Indexed);
    let failed =
        r#"{"create":{"status":503,"failure_store":"failed","error":{"type":"x","reason":"y"}}}"#;
    assert_eq!(
        outcome(failed),
        ItemOutcome::Retry(RetryReason::Unavailable)
    );
    let conflict = r#"{"create":{"status":409,"error":{"type":"snapshot_in_progress_exception","reason":"y"}}}"#;
    assert!(matches!(outcome(conflict), ItemOutcome::Hold(_)));
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let body = format!(r#"{{"error":"{}"}}"#, "ß".repeat(5000));
    let reason = rejection(400, &ServerError::read(body.as_bytes()));
    assert!(reason.text.len() <= REASON_BYTES + 3 && reason.text.ends_with('…'));
}
