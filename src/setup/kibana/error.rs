//! Errors of the import of saved objects: each message names the request, the reason and the fix.

use std::fmt;

use thiserror::Error;

/// The import stopped. `E` is the transport error.
#[derive(Debug, Error)]
pub enum KibanaError<E> {
    /// No usable response.
    #[error("{request}: no usable answer from Kibana: {source}")]
    Unreachable {
        /// Method and path.
        request: String,
        /// Why.
        source: E,
    },
    /// Kibana refused a whole request.
    #[error("{request} was refused with status {status}: {reason}; {}", advice(*.status, reason))]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// Kibana's message.
        reason: String,
    },
    /// Another service responded.
    #[error(
        "{request}: the response is not one of Kibana or OpenSearch Dashboards: {body}; check that `url` in \
         [kibana] names it, with its base path if it has one (server.basePath), and not the cluster"
    )]
    Incomprehensible {
        /// Method and path.
        request: String,
        /// The beginning of the response.
        body: String,
    },
    /// `space` is set for OpenSearch Dashboards, which has no spaces.
    #[error(
        "OpenSearch Dashboards has no spaces, but `space` in [kibana] is {space:?}: remove it; a tenant of the \
         security plugin is chosen by the user's default tenant"
    )]
    NoSpaces {
        /// The configured space.
        space: String,
    },
    /// Objects of the same name that logweir did not put.
    #[error(
        "not overwritten, because their description has no mark of logweir ([logweir …]): {}; \
         rename or remove them in Kibana, or run setup with --force to replace them; nothing was imported",
        names.join(", ")
    )]
    Foreign {
        /// Type and id of each.
        names: Vec<String>,
    },
    /// Some objects were refused.
    #[error("{} of {sent} objects were not imported: {}", refused.len(), Joined(refused))]
    Objects {
        /// How many were sent.
        sent: usize,
        /// Those that were refused.
        refused: Vec<RefusedObject>,
    },
    /// Kibana imported objects under other ids.
    #[error(
        "imported, but under other ids, since another space has objects of these: {}; setup will not find them \
         again: remove them, and those of the other space (Stack Management, Saved Objects), and run setup again",
        some(objects)
    )]
    Elsewhere {
        /// Type and id of each, and the id that Kibana gave it.
        objects: Vec<String>,
    },
}

/// One object that Kibana refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedObject {
    /// Type and id.
    pub name: String,
    /// The reason; our own text where the kind of error is known.
    pub reason: String,
}

impl fmt::Display for RefusedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

struct Joined<'r>(&'r [RefusedObject]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Most objects that are named; logweir has fewer.
        const NAMED: usize = 200;
        for (at, object) in self.0.iter().take(NAMED).enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{object}")?;
        }
        Ok(())
    }
}

/// The first names and the number of the others.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The fix for a refusal, by status and reason.
fn advice(status: u16, reason: &str) -> &'static str {
    match status {
        401 => {
            "check the credentials of [kibana], which are those of [elasticsearch] unless it has its own"
        }
        403 => {
            "these credentials need the Kibana privilege Management > Saved Objects Management: All (in that space); \
             in OpenSearch Dashboards a role that may write to the tenant, such as kibana_user; `logweir setup --print \
             roles` prints both"
        }
        404 if reason.contains("space") => {
            "create that space in Kibana, or change `space` in [kibana]"
        }
        404 => {
            "check that `url` in [kibana] has Kibana's base path (server.basePath), and that `space` is there"
        }
        413 => "raise savedObjects.maxImportPayloadBytes in Kibana's settings",
        422 => "this Kibana is older than 7.10, the oldest that is supported",
        429 | 500.. => "Kibana is starting, busy or unwell: run setup again",
        _ => "is its version supported (Kibana 7.10 to 9, OpenSearch Dashboards)?",
    }
}
