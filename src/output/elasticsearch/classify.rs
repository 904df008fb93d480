//! Classifies responses: what they mean for the documents of a request.
//!
//! Owns the one table of outcomes, for items and for whole requests; refuses to know how documents wait, are resent
//! or are kept. Invariant: [`ItemOutcome::DeadLetter`] is used only where the document itself can never be accepted;
//! every refusal that is not understood counts as the cluster's state, so that nothing is given up. It guards against
//! lines that are dropped because an index was closed or a disk was full for an hour.

use super::bulk::BulkItem;
use super::stream;
use crate::http::error_body::ServerError;
use crate::http::{HttpError, NodeFault};
use crate::output::dead_letters::Rejection;
use crate::text;

/// The longest reason that is kept, in bytes; servers put whole stack traces into it.
const REASON_BYTES: usize = 1024;
/// The longest name of an exception, in bytes; the longest of Elasticsearch has 60.
const KIND_BYTES: usize = 128;

/// The rejection for an error of a response.
pub(crate) fn rejection(status: u16, error: &ServerError<'_>) -> Rejection {
    let mut text = error.reason.to_string();
    let cause = error.cause_reason();
    if !cause.is_empty() && !text.contains(cause) {
        text.push_str(": ");
        text.push_str(cause);
    }
    // They go into logs and lists: one line of bounded length, whatever the server quotes.
    Rejection::new(
        status,
        &text::excerpt(error.kind.as_bytes(), KIND_BYTES),
        text::excerpt(text.as_bytes(), REASON_BYTES),
    )
}

/// Why documents are resent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryReason {
    /// 429: the cluster has too much to do.
    Overloaded,
    /// 5xx: a shard, a node or a proxy is away for now.
    Unavailable,
    /// No connection.
    Unreachable,
    /// There was no response in time; the request may have been applied.
    Timeout,
    /// The connection ended before the complete response; the request may have been applied.
    Broken,
    /// The response is not one of `_bulk`; the request may have been applied.
    Malformed,
    /// 413: the documents are resent in halves.
    TooLarge,
    /// The cluster's state does not allow it.
    Held,
}

impl RetryReason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Overloaded,
        Self::Unavailable,
        Self::Unreachable,
        Self::Timeout,
        Self::Broken,
        Self::Malformed,
        Self::TooLarge,
        Self::Held,
    ];

    /// A label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Broken => "connection_broken",
            Self::Malformed => "malformed_answer",
            Self::TooLarge => "too_large",
            Self::Held => "held",
        }
    }

    /// The reason for a retry after a request without a response.
    pub(crate) fn of(error: &HttpError) -> Self {
        let HttpError::Node { fault, .. } = error else {
            return Self::Unreachable;
        };
        match fault {
            NodeFault::Timeout(_) => Self::Timeout,
            NodeFault::Broken(_) => Self::Broken,
            NodeFault::TooLong { .. } => Self::Malformed,
            NodeFault::Redirected(_) => Self::Held,
            _ => Self::Unreachable,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// The outcome of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ItemOutcome {
    /// Newly in the index.
    Indexed,
    /// There already.
    Duplicate,
    /// In Elasticsearch's failure store.
    Diverted,
    /// Dropped by an ingest pipeline.
    Filtered,
    /// Send this item again.
    Retry(RetryReason),
    /// The document itself can never be accepted.
    DeadLetter(Rejection),
    /// The cluster's state does not allow it: keep the item and try again.
    Hold(Rejection),
}

/// Classifies one item of a response.
pub(crate) fn classify(item: &BulkItem<'_>) -> ItemOutcome {
    let Some(error) = &item.error else {
        return match item.status {
            _ if &*item.failure_store == "used" => ItemOutcome::Diverted,
            // On `create` only a pipeline's drop answers 200 (see `bulk::FILTER_PATH`).
            200 => ItemOutcome::Filtered,
            201..=299 => ItemOutcome::Indexed,
            409 => ItemOutcome::Duplicate,
            429 => ItemOutcome::Retry(RetryReason::Overloaded),
            500..=599 => ItemOutcome::Retry(RetryReason::Unavailable),
            status => ItemOutcome::Hold(rejection(status, &ServerError::default())),
        };
    };
    let kind = &*error.kind;
    let reason = || rejection(item.status, error);
    match item.status {
        409 if kind == "version_conflict_engine_exception" => ItemOutcome::Duplicate,
        // A full disk causes 429 too (`read_only_allow_delete`), but retrying soon does not help.
        429 if kind == "cluster_block_exception" => ItemOutcome::Hold(reason()),
        429 => ItemOutcome::Retry(RetryReason::Overloaded),
        500..=599 => ItemOutcome::Retry(RetryReason::Unavailable),
        413 => ItemOutcome::DeadLetter(reason()),
        400 if documents_own_fault(error) => ItemOutcome::DeadLetter(reason()),
        _ => ItemOutcome::Hold(reason()),
    }
}

/// True when the cluster could take this document only with another mapping.
fn documents_own_fault(error: &ServerError<'_>) -> bool {
    match &*error.kind {
        "document_parsing_exception" | "strict_dynamic_mapping_exception" => true,
        "mapper_parsing_exception" => !is_about_a_mapping(&error.reason),
        "illegal_argument_exception" => {
            !is_about_a_mapping(&error.reason) && names_a_field(&error.reason)
        }
        _ => false,
    }
}

/// A template or mapping that cannot be compiled when the day's index is created also causes a
/// `mapper_parsing_exception`; that is the cluster's state, not the document's fault.
fn is_about_a_mapping(reason: &str) -> bool {
    const SIGNS: [&str; 5] = [
        "Failed to parse mapping",
        "declared on field",
        "Root mapping definition",
        "unsupported parameters",
        "composable template",
    ];
    SIGNS.iter().any(|sign| reason.contains(sign))
}

/// How Elasticsearch, Lucene and OpenSearch name a field that they cannot take.
fn names_a_field(reason: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "field [",
        "fields [",
        "field=\"",
        "Field [",
        "DocValuesField \"",
        "mapper [",
        "object mapping [",
        "non-nested mapping [",
        "object field",
    ];
    SIGNS.iter().any(|sign| reason.contains(sign))
}

/// What the status of a whole request means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    /// The body has an outcome for each item.
    Items,
    /// Send it in halves.
    TooLarge,
    /// Send it again.
    Retry(RetryReason, Rejection),
    /// The cluster's state, the credentials or the address do not allow it: retry slowly.
    Hold(Rejection),
}

/// Classifies a whole response by its status and, where it is a refusal, its body.
pub(crate) fn classify_request(status: u16, body: &[u8]) -> RequestOutcome {
    let reason = || rejection(status, &ServerError::read(body));
    match status {
        200..=299 => RequestOutcome::Items,
        413 => RequestOutcome::TooLarge,
        429 => match reason() {
            block if block.kind == "cluster_block_exception" => RequestOutcome::Hold(block),
            busy => RequestOutcome::Retry(RetryReason::Overloaded, busy),
        },
        // Proxies report a timeout as 408.
        408 | 500..=599 => RequestOutcome::Retry(RetryReason::Unavailable, reason()),
        _ => RequestOutcome::Hold(reason()),
    }
}

/// The hint for an operator whose cluster holds delivery.
pub(crate) fn hint(reason: &Rejection, credentials: &str) -> String {
    let text = match (reason.status, &*reason.kind) {
        (401, _) => {
            return format!(
                "check {credentials} in [elasticsearch]: the cluster does not accept it"
            );
        }
        (_, "security_exception") | (403, "" | "exception") => {
            return format!(
                "the user or key that {credentials} names may not write there: it needs create_doc and auto_configure \
                 on the indices, in OpenSearch indices:data/write/bulk*, indices:data/write/index, \
                 indices:admin/create and indices:admin/mapping/put; `logweir setup --print roles` prints the role"
            );
        }
        (_, "cluster_block_exception") => {
            "free disk space, or lift the block (index.blocks.* or cluster.blocks.* in the settings)"
        }
        (_, "index_closed_exception") => "open the index again (POST INDEX/_open)",
        (_, "validation_exception") => "delete old indices, or raise cluster.max_shards_per_node",
        (_, "index_not_found_exception") if reason.text.contains("requires a data stream") => {
            "put an index template that makes data streams: `logweir setup` with the same configuration"
        }
        (_, "resource_not_found_exception") if reason.text.contains(stream::PARAMETER) => {
            "a plain index or an alias has the name of the data stream: delete or rename it"
        }
        (_, stream::NO_STREAM) => {
            "run `logweir setup` with the same configuration; where an index has the name of the data stream, \
             delete or rename it; where it cannot be found out, give the key the privileges \
             view_index_metadata and auto_configure on it"
        }
        (_, "index_not_found_exception") => {
            "allow the index to be created (action.auto_create_index), or create it"
        }
        (_, "invalid_index_name_exception") => "correct index in [elasticsearch]",
        (_, "illegal_argument_exception") if reason.text.contains("pipeline") => {
            "create the ingest pipeline, or remove index.default_pipeline from the template"
        }
        (_, "mapper_parsing_exception") => "correct the index template; `logweir setup` puts ours",
        (404..=406, "") => {
            "check nodes in [elasticsearch]: what answers there is not Elasticsearch or OpenSearch"
        }
        _ => "see the cluster's own log; delivery goes on by itself once it accepts",
    };
    text.to_owned()
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
