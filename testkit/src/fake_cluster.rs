//! A cluster in memory: a durable set of documents with a script of faults, and the management API that setup uses. It
//! does no input or output itself.
//!
//! Used in process by the library's own tests, and behind sockets by `fake_es`.

mod ism;
mod management;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

pub use self::ism::Managed;
pub use self::management::{Family, Management};

/// What happens to one request. "Applied" means that the documents are durable although the client does not
/// hear of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nobody listens.
    Refused,
    /// The connection is reset before the body is read.
    ResetBefore,
    /// Applied, then reset without an answer.
    ResetAfter,
    /// Nothing is applied, and no answer comes.
    HangBefore,
    /// Applied; the answer never comes.
    HangAfter,
    /// Applied; the answer stops after so many bytes, though complete by its own length.
    CutJson(usize),
    /// Applied; the connection ends within the answer's body.
    CutBody(usize),
    /// A proxy's page with status 200; nothing applied.
    Html,
    /// Applied; the answer lacks one item.
    WrongCount,
    /// The whole request is refused.
    Status(u16, Option<&'static str>, &'static str),
    /// Items at these places (modulo) are refused with status and type.
    Items {
        every: usize,
        status: u16,
        kind: &'static str,
    },
    /// Items at these places (modulo) go into the failure store.
    FailureStore { every: usize },
    /// Items at these places (modulo) are dropped by a pipeline.
    Dropped { every: usize },
}

/// What the client gets to see.
#[derive(Debug, Clone, PartialEq)]
pub enum Reaction {
    /// An answer.
    Answer {
        status: u16,
        retry_after: Option<&'static str>,
        body: Vec<u8>,
        html: bool,
    },
    /// An answer whose last bytes are missing.
    Cut { body: Vec<u8>, sent: usize },
    /// A reset.
    Reset,
    /// Nobody listens.
    Refused,
    /// Silence.
    Hang,
}

/// The cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The documents by index and id.
    pub documents: BTreeMap<(String, String), String>,
    /// The documents in its failure store.
    pub diverted: BTreeMap<(String, String), String>,
    /// The documents that its pipeline dropped.
    pub dropped: BTreeSet<(String, String)>,
    /// The faults of the next requests, in order.
    pub script: VecDeque<Fault>,
    /// The fault of every request after those.
    pub always: Option<Fault>,
    /// The number of documents that were present already when they arrived.
    pub conflicts: usize,
    /// Indices that are closed.
    pub closed: BTreeSet<String>,
    /// Bodies over this size are answered 413.
    pub max_bytes: Option<usize>,
    /// Everything but documents: templates, policies, what `/` says.
    pub management: Management,
    /// Names that are data streams.
    pub streams: BTreeSet<String>,
    /// It knows `require_data_stream`.
    pub requires_streams: bool,
    /// It has no API for data streams, or does not let us use it.
    pub no_stream_api: bool,
    /// Bytes of each bulk body, as it came in.
    pub bulks: Vec<usize>,
}

impl Cluster {
    /// A cluster with these faults, one for each request.
    pub fn with(script: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            script: script.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Puts an index template with this name.
    pub fn put_template(&mut self, name: &str) {
        let path = format!("/_index_template/{name}");
        self.management
            .held
            .get_mut()
            .unwrap()
            .insert(path, json!({}));
    }

    /// Puts an index template that makes a data stream of every name that begins with its own.
    pub fn put_stream_template(&mut self, name: &str) {
        let (path, template) = (
            format!("/_index_template/{name}"),
            json!({"data_stream": {}}),
        );
        self.management
            .held
            .get_mut()
            .unwrap()
            .insert(path, template);
    }

    /// Refuses this request, which needs a right.
    pub fn forbid(&mut self, request: &'static str) {
        let refusal = r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#;
        self.management.fixed.insert(request, (403, refusal));
    }

    /// Whether a name is a data stream, or becomes one with its first document.
    pub fn makes_stream(&self, name: &str) -> bool {
        let held = self.management.held.lock().unwrap();
        let mut templates = held.iter().filter_map(|(path, template)| {
            let template = template.get("data_stream").and(Some(path))?;
            template.strip_prefix("/_index_template/")
        });
        self.streams.contains(name) || templates.any(|template| name.starts_with(template))
    }

    /// Takes a bulk body with `require_data_stream=true`.
    pub fn stream_bulk(&mut self, body: &[u8]) -> Reaction {
        if !self.requires_streams {
            let reason = "request [/_bulk] contains unrecognized parameter: [require_data_stream] -> did you \
                          mean [require_alias]?";
            let error = json!({"type": "illegal_argument_exception", "reason": reason});
            return Reaction::Answer {
                status: 400,
                retry_after: None,
                body: json!({"error": error, "status": 400})
                    .to_string()
                    .into_bytes(),
                html: false,
            };
        }
        let text = std::str::from_utf8(body).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        if !self.makes_stream(first["create"]["_index"].as_str().unwrap()) {
            self.script.push_front(Fault::Items {
                every: 1,
                status: 404,
                kind: "index_not_found_exception",
            });
        }
        self.bulk(body)
    }

    /// Takes a plain bulk body.
    pub fn bulk(&mut self, body: &[u8]) -> Reaction {
        self.bulks.push(body.len());
        let fault = self.script.pop_front().or_else(|| self.always.clone());
        let fault = fault.unwrap_or(Fault::None);
        match &fault {
            Fault::Refused => return Reaction::Refused,
            Fault::ResetBefore => return Reaction::Reset,
            Fault::HangBefore => return Reaction::Hang,
            Fault::Html => {
                let body = b"<html><body>Sign in to continue</body></html>".to_vec();
                return Reaction::Answer {
                    status: 200,
                    retry_after: None,
                    body,
                    html: true,
                };
            }
            Fault::Status(status, retry_after, kind) => {
                let error = json!({"type": kind, "reason": "as the script says"});
                let body = json!({"error": error, "status": status})
                    .to_string()
                    .into_bytes();
                return Reaction::Answer {
                    status: *status,
                    retry_after: *retry_after,
                    body,
                    html: false,
                };
            }
            _ => {}
        }
        if self.max_bytes.is_some_and(|max| body.len() > max) {
            return Reaction::Answer {
                status: 413,
                retry_after: None,
                body: vec![],
                html: false,
            };
        }
        let mut items = self.apply(body, &fault);
        if fault == Fault::WrongCount {
            items.pop();
        }
        let errors = items.iter().any(|item| item["create"]["error"].is_object());
        let answer = json!({"errors": errors, "took": 1, "items": items})
            .to_string()
            .into_bytes();
        match fault {
            Fault::ResetAfter => Reaction::Reset,
            Fault::HangAfter => Reaction::Hang,
            Fault::CutJson(at) => {
                let body = answer[..at.min(answer.len() - 1)].to_vec();
                Reaction::Answer {
                    status: 200,
                    retry_after: None,
                    body,
                    html: false,
                }
            }
            Fault::CutBody(at) => Reaction::Cut {
                sent: at.min(answer.len() - 1),
                body: answer,
            },
            _ => Reaction::Answer {
                status: 200,
                retry_after: None,
                body: answer,
                html: false,
            },
        }
    }

    fn apply(&mut self, body: &[u8], fault: &Fault) -> Vec<Value> {
        let body = std::str::from_utf8(body).unwrap();
        assert!(body.ends_with('\n'), "a bulk body ends with a line end");
        let lines: Vec<&str> = body.lines().collect();
        assert!(
            lines.len().is_multiple_of(2),
            "a bulk body is pairs of lines"
        );
        let pairs = lines.chunks(2).enumerate();
        pairs
            .map(|(at, pair)| json!({"create": self.create(at, pair[0], pair[1], fault)}))
            .collect()
    }

    fn create(&mut self, at: usize, action: &str, document: &str, fault: &Fault) -> Value {
        let action: Value = serde_json::from_str(action).unwrap();
        let index = action["create"]["_index"].as_str().unwrap().to_owned();
        let id = action["create"]["_id"].as_str().unwrap().to_owned();
        if self.makes_stream(&index) {
            self.streams.insert(index.clone());
        }
        let place = (index.clone(), id);
        let parsed: Value = serde_json::from_str(document).unwrap();
        let refuse = |status: u16, kind: &str, reason: &str| json!({"status": status, "error": {"type": kind, "reason": reason}});
        if let Fault::Items {
            every,
            status,
            kind,
        } = fault
            && at.is_multiple_of(*every)
        {
            return refuse(*status, kind, "as the script says");
        }
        if self.closed.contains(&index) {
            return refuse(400, "index_closed_exception", "closed");
        }
        if self.documents.contains_key(&place) {
            self.conflicts += 1;
            let reason = "[x]: version conflict, document already exists";
            return refuse(409, "version_conflict_engine_exception", reason);
        }
        if parsed["bad"] == json!(true) {
            return refuse(
                400,
                "document_parsing_exception",
                "failed to parse field [bad]",
            );
        }
        match fault {
            Fault::FailureStore { every } if at.is_multiple_of(*every) => {
                self.diverted.insert(place, document.to_owned());
                json!({"status": 201, "failure_store": "used"})
            }
            Fault::Dropped { every } if at.is_multiple_of(*every) => {
                self.dropped.insert(place);
                json!({"status": 200})
            }
            _ => {
                self.documents.insert(place, document.to_owned());
                json!({"status": 201})
            }
        }
    }
}
