//! Parses the response of `_bulk`.
//!
//! Owns the shape of the response; refuses to know what an item means (that is `classify`). Invariant: a caller gets the
//! items of a *complete* response with exactly the expected number of them, in request order, or nothing. A response
//! that is cut, of another shape or of another length is [`Malformed`], and its outcome is unknown. It guards against an
//! item that is lost in a partly read response.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::http::error_body::{ServerError, Text, excerpt};
use crate::text;

/// The smallest response with an outcome for every item. It leaves out `result`: a `create` that succeeds has the
/// status 201, and only a document that an ingest pipeline drops has 200 (`result: noop`;
/// `BulkRequestModifier.markItemAsDropped` and `UpdateResponse.status` in Elasticsearch's source).
pub(crate) const FILTER_PATH: &str = "items.*.status,items.*.error,items.*.failure_store";

/// One item of the response.
#[derive(Debug, Deserialize)]
pub(crate) struct BulkItem<'a> {
    /// HTTP status of this item alone.
    pub(crate) status: u16,
    /// Why the item was refused.
    #[serde(borrow, default)]
    pub(crate) error: Option<ServerError<'a>>,
    /// `used`, `not_enabled`, `failed`; absent where there is no failure store.
    #[serde(borrow, default)]
    pub(crate) failure_store: Text<'a>,
}

/// The response does not belong to this request: it is unknown whether the request was applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Not JSON, cut, or JSON of another shape.
    #[error("it is not an answer of _bulk ({0}): {1}")]
    Shape(String, String),
    /// Another number of items than was sent.
    #[error("it has outcomes for {got} of {sent} items")]
    Count {
        /// Items in the response.
        got: usize,
        /// Items in the request.
        sent: usize,
    },
}

/// Walks the response to a request of `sent` items and calls `each` with the position and the item. The caller must
/// discard what `each` collected when this fails.
pub(crate) fn walk<'a>(
    response: &'a [u8],
    sent: usize,
    each: impl FnMut(usize, BulkItem<'a>),
) -> Result<(), Malformed> {
    // The parser's error quotes strings of the response at full length.
    let malformed = |error: serde_json::Error| {
        let why = text::excerpt(error.to_string().as_bytes(), text::EXCERPT_BYTES);
        Malformed::Shape(why, excerpt(response))
    };
    let mut json = serde_json::Deserializer::from_slice(response);
    let got = ResponseVisitor(each, PhantomData)
        .deserialize(&mut json)
        .map_err(malformed)?;
    json.end().map_err(malformed)?;
    if got == sent {
        Ok(())
    } else {
        Err(Malformed::Count { got, sent })
    }
}

/// Whether all `sent` items were created, by a comparison with the bytes that Elasticsearch and OpenSearch write. Most
/// responses match, and this costs a fortieth of parsing JSON; any other goes to [`walk`].
pub(crate) fn all_created(response: &[u8], sent: usize) -> bool {
    const CREATED: &[u8] = b"{\"create\":{\"status\":201}}";
    const STEP: usize = CREATED.len() + 1;
    let items = response
        .strip_prefix(b"{\"items\":[")
        .and_then(|rest| rest.strip_suffix(b"]}"));
    let Some(items) = items else { return false };
    // each item with the comma after it, and the last without
    let mut steps = items.chunks_exact(STEP);
    items.len() + 1 == sent * STEP
        && steps
            .by_ref()
            .all(|step| step.starts_with(CREATED) && step[CREATED.len()] == b',')
        && steps.remainder() == CREATED
}

/// `{"items":[…], …}`; returns the number of items.
struct ResponseVisitor<'a, F>(F, PhantomData<&'a ()>);

impl<'a, F: FnMut(usize, BulkItem<'a>)> DeserializeSeed<'a> for ResponseVisitor<'a, F> {
    type Value = usize;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a, F: FnMut(usize, BulkItem<'a>)> Visitor<'a> for ResponseVisitor<'a, F> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with items")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<usize, M::Error> {
        let mut got = None;
        while let Some(key) = map.next_key::<Text<'a>>()? {
            if &*key != "items" {
                map.next_value::<IgnoredAny>()?;
            } else if got
                .replace(map.next_value_seed(ItemsVisitor(&mut self.0, PhantomData))?)
                .is_some()
            {
                return Err(de::Error::duplicate_field("items"));
            }
        }
        got.ok_or_else(|| de::Error::missing_field("items"))
    }
}

/// `[{"create":{…}}, …]`.
struct ItemsVisitor<'f, 'a, F>(&'f mut F, PhantomData<&'a ()>);

impl<'a, F: FnMut(usize, BulkItem<'a>)> DeserializeSeed<'a> for ItemsVisitor<'_, 'a, F> {
    type Value = usize;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'a, F: FnMut(usize, BulkItem<'a>)> Visitor<'a> for ItemsVisitor<'_, 'a, F> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<usize, S::Error> {
        let mut position = 0;
        while let Some(Keyed(item)) = items.next_element::<Keyed<'a>>()? {
            (self.0)(position, item);
            position += 1;
        }
        Ok(position)
    }
}

/// `{"create":{…}}` with exactly one key, which may be any operation.
struct Keyed<'a>(BulkItem<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Keyed<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = BulkItem<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item with one operation")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<BulkItem<'de>, M::Error> {
                let Some((IgnoredAny, item)) = map.next_entry::<IgnoredAny, BulkItem<'de>>()?
                else {
                    return Err(de::Error::invalid_length(0, &self));
                };
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(item),
                    Some(_) => Err(de::Error::invalid_length(2, &self)),
                }
            }
        }
        json.deserialize_map(One).map(Keyed)
    }
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
