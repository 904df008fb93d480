//! Setup's errors: each message names the request, the reason and the fix.

use thiserror::Error;

use super::ServerInfo;

/// Setup stopped. `E` is the client's transport error.
#[derive(Debug, Error)]
pub enum SetupError<E> {
    /// No usable response.
    #[error(
        "{request}: no usable answer from the cluster: {source}; check `nodes` and that the cluster is up"
    )]
    Unreachable {
        /// Method and path.
        request: String,
        /// Why.
        source: E,
    },
    /// The cluster refused a request.
    #[error("{request} was refused with status {status}: {reason}; {}", advice(*.status, reason))]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// The innermost cause in the response.
        reason: String,
    },
    /// A 2xx response whose body is not that of a cluster.
    #[error(
        "{request}: the response is not one of Elasticsearch or OpenSearch: {body}; \
         check that `nodes` names the cluster itself and not another service before it"
    )]
    Incomprehensible {
        /// Method and path.
        request: String,
        /// The beginning of the response.
        body: String,
    },
    /// Neither Elasticsearch nor OpenSearch.
    #[error(
        "it is unknown whether the cluster is Elasticsearch or OpenSearch: GET / returns no version, and \
         GET /_nodes no known version; check that `nodes` names the cluster itself"
    )]
    Unknown,
    /// Objects of the same name that logweir did not put.
    #[error(
        "not overwritten, because they were not put by logweir (no \"managed_by\": \"logweir\" in them): {}; choose \
         another `index` or `data_stream`, or run setup with --force to replace them; nothing was changed",
        objects.join(", ")
    )]
    Foreign {
        /// Kind and name of each object.
        objects: Vec<String>,
    },
    /// The cluster does not support the logsdb index mode.
    #[error(
        "index_mode = \"logsdb\" needs Elasticsearch 8.17 or later, and this cluster is {} {}; take index_mode out of \
         [elasticsearch]; nothing was changed",
        server.family, server.version
    )]
    NoLogsdb {
        /// The cluster.
        server: ServerInfo,
    },
    /// `retention` is set, but the credentials may not see whether a policy can be put.
    #[error(
        "`retention` is set, but these credentials may not see the cluster's life cycles: they need manage_ilm \
         (OpenSearch: cluster:admin/opendistro/ism/*); `logweir setup --print roles` prints the role; \
         --only templates,kibana does without; nothing was changed"
    )]
    LifecycleHidden,
}

/// The fix for a refusal, by status and reason.
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
