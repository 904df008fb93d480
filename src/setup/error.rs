//! Why setup stopped: each message names the request, the reason and what to do.

use thiserror::Error;

use super::Target;

/// Setup stopped. `E` is the error of the way to the cluster.
#[derive(Debug, Error)]
pub enum SetupError<E> {
    /// No answer.
    #[error(
        "{request}: no usable answer from the cluster: {source}; check `nodes` and that the cluster is up"
    )]
    Unreachable {
        /// Method and path.
        request: String,
        /// Why.
        source: E,
    },
    /// The cluster said no.
    #[error("{request} was refused with status {status}: {reason}; {}", advice(*.status, reason))]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// The innermost cause that the cluster gives.
        reason: String,
    },
    /// A success that is none.
    #[error(
        "{request}: the answer is not what Elasticsearch or OpenSearch would say: {body}; \
         check that `nodes` names the cluster itself and not another service before it"
    )]
    Incomprehensible {
        /// Method and path.
        request: String,
        /// The beginning of the answer.
        body: String,
    },
    /// Neither family.
    #[error(
        "the cluster does not say whether it is Elasticsearch or OpenSearch: GET / has no version and \
         GET /_nodes no version that is known; check that `nodes` names the cluster itself"
    )]
    Unknown,
    /// Something of the same name that is not ours.
    #[error(
        "not overwritten, because they were not put by logweir (no \"managed_by\": \"logweir\" in them): {}; choose \
         another `index` or `data_stream`, or run setup with --force to replace them; nothing was changed",
        objects.join(", ")
    )]
    Foreign {
        /// What they are.
        objects: Vec<String>,
    },
    /// A setting that this cluster cannot follow.
    #[error(
        "index_mode = \"logsdb\" needs Elasticsearch 8.17 or later, and this cluster is {} {}; take index_mode out of \
         [elasticsearch]; nothing was changed",
        target.family, target.version
    )]
    NoLogsdb {
        /// The cluster.
        target: Target,
    },
    /// `retention` is set, and it cannot be known whether a policy can be put.
    #[error(
        "`retention` is set, but these credentials may not see the cluster's life cycles: they need manage_ilm \
         (OpenSearch: cluster:admin/opendistro/ism/*); `logweir setup --print roles` prints the role; \
         --only templates,kibana does without; nothing was changed"
    )]
    LifecycleNotTold,
}

/// What to do about a refusal.
fn advice(status: u16, reason: &str) -> &'static str {
    match status {
        401 => "check api_key, or username and password, in [elasticsearch]",
        403 if reason.contains("cluster_block") => {
            "the cluster is read-only: remove its block (often a full disk) and try again"
        }
        403 => {
            "these credentials may not do that: `logweir setup --print roles` prints the role that may"
        }
        400 if reason.contains("same priority") => {
            "change the priority or the pattern of the template it names, or choose another `index` or `data_stream`"
        }
        400 if reason.contains("unknown field [data_stream]") => {
            "this cluster has no data streams: set `index` instead of `data_stream`"
        }
        400 => {
            "the cluster cannot take it; is its version supported (Elasticsearch from 7.17, OpenSearch from 2)?"
        }
        409 => "somebody changed it meanwhile: run setup again",
        429 | 500.. => "the cluster is busy or unwell: try again, it goes on where it stopped",
        _ => "check that `nodes` names the cluster itself and not another service before it",
    }
}
