//! The faults of one bulk request, and their visible effects on the agent.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::random::Dice;
use super::wire::Message;

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    ResetBeforeApplied,
    ResetAfterApplied,
    ResetHalfApplied,
    StallAfterApplied,
    CutJson,
    CutConnection,
    Rubbish,
    Html200,
    Html502,
    Html504Applied,
    TooLarge,
    Busy,
    BusyRetryAfter,
    BusyItems,
    FailedItems,
    FewerItems,
    Unavailable,
    Unauthorized,
    SlowDrip,
}

/// The weight of each among the requests that are hit.
const WEIGHTS: [(u64, Fault); 19] = [
    (6, Fault::ResetBeforeApplied),
    (10, Fault::ResetAfterApplied),
    (6, Fault::ResetHalfApplied),
    (3, Fault::StallAfterApplied),
    (7, Fault::CutJson),
    (6, Fault::CutConnection),
    (6, Fault::Rubbish),
    (5, Fault::Html200),
    (5, Fault::Html502),
    (5, Fault::Html504Applied),
    (6, Fault::TooLarge),
    (6, Fault::Busy),
    (5, Fault::BusyRetryAfter),
    (12, Fault::BusyItems),
    (6, Fault::FailedItems),
    (4, Fault::FewerItems),
    (6, Fault::Unavailable),
    (1, Fault::Unauthorized),
    (5, Fault::SlowDrip),
];

impl Fault {
    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ResetBeforeApplied => "reset before it was applied",
            Self::ResetAfterApplied => "reset after it was applied",
            Self::ResetHalfApplied => "half of it applied, then reset",
            Self::StallAfterApplied => "applied, then no answer in time",
            Self::CutJson => "answer cut: not JSON",
            Self::CutConnection => "answer cut by the connection's end",
            Self::Rubbish => "answer is rubbish",
            Self::Html200 => "200 with HTML, not applied",
            Self::Html502 => "502 with HTML",
            Self::Html504Applied => "504 with HTML, applied",
            Self::TooLarge => "413",
            Self::Busy => "429",
            Self::BusyRetryAfter => "429 with Retry-After",
            Self::BusyItems => "429 for some items",
            Self::FailedItems => "500 for some items, applied or not",
            Self::FewerItems => "answer lacks an item",
            Self::Unavailable => "503",
            Self::Unauthorized => "401",
            Self::SlowDrip => "answer drips in slowly",
        }
    }

    /// What happens to the next request, if anything.
    pub(super) fn draw(dice: &mut Dice, percent: u64) -> Option<Self> {
        dice.percent(percent)
            .then(|| dice.weighted(&WEIGHTS))
            .flatten()
    }
}

/// The items of a bulk body: each an action line and a document line.
pub(super) fn items(request: &Message) -> Result<Vec<Vec<u8>>> {
    let plain = match request.header("content-encoding") {
        None => request.body.clone(),
        Some(_) => {
            let mut plain = Vec::new();
            MultiGzDecoder::new(&request.body[..]).read_to_end(&mut plain)?;
            plain
        }
    };
    let mut lines = plain.split_inclusive(|byte| *byte == b'\n');
    let mut items = Vec::new();
    while let Some(action) = lines.next() {
        let document = lines.next().context("an action without a document")?;
        items.push([action, document].concat());
    }
    Ok(items)
}

/// The same request with these items only, and an answer that can be read.
pub(super) fn with_items(request: &Message, items: &[Vec<u8>]) -> Message {
    let mut smaller = request
        .clone()
        .without("content-encoding")
        .without("content-length")
        .without("accept-encoding");
    smaller.body = items.concat();
    smaller
}

/// Puts the items that were kept back into the answer, at their places.
pub(super) fn merge(answer: &[u8], kept_back: &[bool], outcome: &Value) -> Result<Vec<u8>> {
    let mut answer: Value = serde_json::from_slice(answer)?;
    let items = answer.get_mut("items").and_then(Value::as_array_mut);
    let mut judged = items.context("no items")?.drain(..);
    let mut merged = Vec::with_capacity(kept_back.len());
    for kept in kept_back {
        merged.push(match kept {
            true => outcome.clone(),
            false => judged.next().context("fewer items than were sent")?,
        });
    }
    drop(judged);
    answer["items"] = Value::Array(merged);
    Ok(serde_json::to_vec(&answer)?)
}

/// The response of Elasticsearch for an item when its write queue is full.
pub(super) fn busy_item() -> Value {
    json!({"create": {"status": 429, "error": {
        "type": "es_rejected_execution_exception",
        "reason": "rejected execution of primary operation [coordinating_and_primary_bytes=1]"}}})
}

/// The response when a shard fails meanwhile; the item may have been written.
pub(super) fn failed_item(dice: &mut Dice) -> Value {
    let (status, kind) = *[
        (503, "unavailable_shards_exception"),
        (500, "illegal_state_exception"),
        (503, "process_cluster_event_timeout_exception"),
    ]
    .get(dice.place(3))
    .unwrap_or(&(503, "unavailable_shards_exception"));
    json!({"create": {"status": status, "error": {"type": kind, "reason": "primary shard is not active"}}})
}

/// The page of a proxy.
pub(super) fn html(status: &str) -> Message {
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    Message::answer(status, "text/html", page.as_bytes())
}

/// Compressed as a busy server would.
pub(super) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes)?;
    out.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn items_keep_their_order_around_those_that_were_kept_back() {
        let answer = br#"{"took":1,"items":[{"create":{"status":201}},{"create":{"status":409}}]}"#;
        let merged = merge(answer, &[true, false, true, false], &busy_item()).unwrap();
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        let statuses: Vec<_> = merged["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["create"]["status"].as_u64().unwrap())
            .collect();
        assert_eq!(statuses, [429, 201, 429, 409]);
        assert!(merge(answer, &[false; 3], &busy_item()).is_err());
    }

    #[test]
    fn a_compressed_body_is_taken_apart_too() {
        let plain = b"{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"a\":2}\n";
        let request = Message {
            body: gzip(plain).unwrap(),
            ..Message::default()
        }
        .with("content-encoding", "gzip");
        let items = items(&request).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(with_items(&request, &items).body, plain);
    }
}
