//! Why setup stopped: each message names the request, the reason and what to do.

use thiserror::Error;

/// Setup stopped. `E` is the error of the way to the cluster.
#[derive(Debug, Error)]
pub enum SetupError<E> {
    /// No answer.
    #[error(
        "{request}: no answer from the cluster: {source}; check `nodes` and that the cluster is up"
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
        "not overwritten, because they were not put by logweir (no \"_meta\": {{\"managed_by\": \"logweir\"}}): \
         {}; choose another `index` or `data_stream`, or run setup with --force to replace them; nothing was changed",
        names.join(", ")
    )]
    Foreign {
        /// The names.
        names: Vec<String>,
    },
}

/// What to do about a refusal.
fn advice(status: u16, reason: &str) -> &'static str {
    match status {
        401 => "check the user name and password or the API key of [elasticsearch]",
        403 if reason.contains("cluster_block") => {
            "the cluster is read-only: remove its block (often a full disk) and run setup again"
        }
        403 => {
            "these credentials need the cluster privileges `monitor` and `manage_index_templates` (OpenSearch: \
             cluster_monitor, cluster_manage_index_templates); give setup a key of its own that has them"
        }
        400 if reason.contains("same priority") => {
            "change the priority or the pattern of the template it names, or choose another `index` or `data_stream`"
        }
        400 => {
            "the cluster cannot take this template; is its version supported (Elasticsearch 8 or 9, OpenSearch)?"
        }
        429 | 500.. => {
            "the cluster is busy or unwell: run setup again, it goes on where it stopped"
        }
        _ => "check that `nodes` names the cluster itself and not another service before it",
    }
}
