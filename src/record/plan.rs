//! The plan of a format: which capture feeds which field of the record.
//!
//! Owns the table from nginx variables to ECS fields (ECS 8.11, and the nginx integration's own `nginx.access.*`). A plan is
//! made once per format; it never sees a line. Invariant: a variable without an ECS field becomes
//! `nginx.access.<variable>`, and no two variables feed the same member. If two variables hold the same fact (`$host` and
//! `$http_host`, `$request` and `$request_method`), the more complete one is used.

use logweir_parsers::client::ClientFields;
use logweir_parsers::event_time::TimeFields;
use logweir_parsers::variable::Role;
use logweir_parsers::{Escape, Format};

use super::extra::{Ending, Extras};
use super::privacy::{Redactor, Watch};
use super::roles::Roles;
use crate::config::{Field, FieldValue, variable_of};
use crate::json;

/// The form of the elements of an upstream list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpstreamForm {
    Text,
    /// A text about our own servers; its addresses belong to no person.
    Address,
    Number,
    /// Decimal seconds, written as milliseconds.
    Milliseconds,
}

/// One upstream list.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    /// `"addr":[`
    pub(super) key: String,
    pub(super) capture: usize,
    pub(super) form: UpstreamForm,
}

/// The secrecy of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Secrecy {
    /// The text is written without the secrets in it.
    #[default]
    Text,
    /// The text is written, or only a mark if anything in the line may be secret. This is for several variables side by
    /// side, where neither a key nor an address needs to have an end.
    Unbounded,
    /// Only a mark is written.
    Redacted,
    /// The hash is written.
    Hashed,
}

/// The captures by the field that they feed; `None` if the format has no such variable.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    pub(super) times: TimeFields,
    pub(super) clients: ClientFields,
    pub(super) roles: Roles,
    pub(super) request: Option<usize>,
    pub(super) request_method: Option<usize>,
    pub(super) request_uri: Option<usize>,
    pub(super) uri: Option<usize>,
    pub(super) args: Option<usize>,
    pub(super) server_protocol: Option<usize>,
    pub(super) bytes_sent: Option<usize>,
    pub(super) request_length: Option<usize>,
    pub(super) request_time: Option<usize>,
    pub(super) referrer: Option<usize>,
    pub(super) user_agent: Option<usize>,
    pub(super) request_id: Option<usize>,
    pub(super) host: Option<usize>,
    pub(super) http_host: Option<usize>,
    pub(super) server_name: Option<usize>,
    pub(super) server_addr: Option<usize>,
    pub(super) server_port: Option<usize>,
    pub(super) scheme: Option<usize>,
    pub(super) https: Option<usize>,
    pub(super) ssl_protocol: Option<usize>,
    pub(super) ssl_cipher: Option<usize>,
    /// Variables that the configuration names for `url.domain`, `http.request.id` and `url.original`; they take precedence.
    pub(super) own_domain: Option<usize>,
    pub(super) own_request_id: Option<usize>,
    pub(super) own_target: Option<usize>,
    /// The request's target from a variable that is not nginx's own.
    pub(super) other_target: Option<usize>,
    /// The configuration replaces a member of the record, and the type of a value may not fit it.
    pub(super) may_mismatch: bool,
    pub(super) upstreams: Vec<Upstream>,
    /// `"pipe":"` and the capture, for variables without an ECS field.
    pub(super) others: Vec<(String, usize)>,
    /// The secrecy of each capture, in all fields.
    pub(super) secrecy: Vec<Secrecy>,
    /// Members from the configuration, and members of every record.
    pub(super) extras: Extras,
    pub(super) escape: Escape,
    /// The format has variables of `destination`, of `tls`, of `nginx.access`.
    pub(super) names_server: bool,
    pub(super) tells_tls: bool,
    pub(super) tells_more: bool,
    /// The parts of a line that may hold a secret.
    pub(super) watch: Watch,
}

/// Targets with a field of their own in the plan.
const NGINX_TARGETS: [&str; 3] = ["request_uri", "uri", "document_uri"];

/// Members of `nginx.access` that are made from other variables. A custom variable `$upstream` is written as
/// `nginx.access.upstream-variable`: the index refuses a document with a duplicate key.
const TAKEN: [&str; 3] = ["remote_ip_list", "response_time", "upstream"];

impl Plan {
    /// A variable without an ECS field is written only once if `fields` names it.
    pub(super) fn new(
        format: &Format,
        fields: &[Field],
        ending: Ending<'_>,
        redactor: &Redactor,
    ) -> Self {
        let mut plan = Self {
            escape: format.escape(),
            watch: Watch::new(format, redactor),
            extras: Extras::new(fields, format, ending),
            ..Self::default()
        };
        for (capture, field) in format.fields().iter().enumerate() {
            let name = field.name();
            let mut taken = false;
            for field in fields {
                if matches!(&field.value, FieldValue::Variable(variable) if variable == name) {
                    taken = true;
                    plan.give_way(&field.name, capture);
                }
            }
            plan.place(name, capture, taken);
        }
        let targets = Role::Target.variables().iter();
        plan.other_target = targets
            .filter(|name| !NGINX_TARGETS.contains(name))
            .find_map(|name| {
                format
                    .fields()
                    .iter()
                    .position(|field| field.name() == *name)
            });
        plan.clients = ClientFields::of(format, variable_of(fields, "source.ip"));
        plan.roles = Roles::of(format, fields);
        plan.may_mismatch = fields.iter().any(Field::replaces);
        plan.names_server = plan
            .host
            .or(plan.server_addr)
            .or(plan.server_port)
            .is_some()
            || !plan.extras.destination.is_empty();
        plan.tells_tls =
            plan.ssl_protocol.or(plan.ssl_cipher).is_some() || !plan.extras.tls.is_empty();
        plan.tells_more = plan.clients.forwarded.or(plan.request_time).is_some()
            || !(plan.upstreams.is_empty() && plan.others.is_empty());
        plan.times = TimeFields::of(format, variable_of(fields, "@timestamp"));
        plan.secrecy = format
            .fields()
            .iter()
            .map(|field| secrecy(field.name(), fields, redactor))
            .collect();
        plan
    }

    /// The variable that the configuration names for a member of the record.
    fn give_way(&mut self, field: &str, capture: usize) {
        let slot = match field {
            "url.domain" => &mut self.own_domain,
            "http.request.id" => &mut self.own_request_id,
            "url.original" => &mut self.own_target,
            _ => return,
        };
        slot.get_or_insert(capture);
    }

    /// Assigns a variable to its field. A variable that occurs twice is used once, at its first occurrence. `taken`: a
    /// field of the configuration uses it.
    fn place(&mut self, name: &str, capture: usize, taken: bool) {
        let slot = match name {
            // see `event_time`, `clients` and `roles`
            "time_local" | "time_iso8601" | "msec" => return,
            "remote_addr" | "realip_remote_addr" | "remote_user" => return,
            "http_x_forwarded_for" | "proxy_add_x_forwarded_for" => return,
            "status" | "body_bytes_sent" => return,
            "request" => &mut self.request,
            "request_method" => &mut self.request_method,
            "request_uri" => &mut self.request_uri,
            "uri" | "document_uri" => &mut self.uri,
            "args" | "query_string" => &mut self.args,
            "server_protocol" => &mut self.server_protocol,
            "bytes_sent" => &mut self.bytes_sent,
            "request_length" => &mut self.request_length,
            "request_time" => &mut self.request_time,
            "http_referer" => &mut self.referrer,
            "http_user_agent" => &mut self.user_agent,
            "request_id" | "req_id" => &mut self.request_id,
            "host" => &mut self.host,
            "http_host" => &mut self.http_host,
            "server_name" => &mut self.server_name,
            "server_addr" => &mut self.server_addr,
            "server_port" => &mut self.server_port,
            "scheme" => &mut self.scheme,
            "https" => &mut self.https,
            "ssl_protocol" => &mut self.ssl_protocol,
            "ssl_cipher" => &mut self.ssl_cipher,
            other => return self.place_elsewhere(other, capture, taken),
        };
        slot.get_or_insert(capture);
    }

    fn place_elsewhere(&mut self, name: &str, capture: usize, taken: bool) {
        let upstream = match name {
            "upstream_addr" => Some(("addr", UpstreamForm::Address)),
            "upstream_cache_status" => Some(("cache_status", UpstreamForm::Text)),
            "upstream_status" => Some(("status", UpstreamForm::Number)),
            "upstream_response_length" => Some(("response_length", UpstreamForm::Number)),
            "upstream_bytes_received" => Some(("bytes_received", UpstreamForm::Number)),
            "upstream_bytes_sent" => Some(("bytes_sent", UpstreamForm::Number)),
            "upstream_connect_time" => Some(("connect_time_ms", UpstreamForm::Milliseconds)),
            "upstream_header_time" => Some(("header_time_ms", UpstreamForm::Milliseconds)),
            "upstream_response_time" => Some(("response_time_ms", UpstreamForm::Milliseconds)),
            "upstream_queue_time" => Some(("queue_time_ms", UpstreamForm::Milliseconds)),
            _ => None,
        };
        match upstream {
            Some((key, form)) => {
                let key = format!("\"{key}\":[");
                if self.upstreams.iter().all(|known| known.key != key) {
                    self.upstreams.push(Upstream { key, capture, form });
                }
            }
            None if taken => {}
            None => {
                // no name of a variable has a `-`
                let suffix = if TAKEN.contains(&name) {
                    "-variable"
                } else {
                    ""
                };
                // variables that a format does not separate have one text, under all their names
                let name = name.replace('$', "-");
                let key = format!("\"{}{suffix}\":\"", json::constant(&name));
                if self.others.iter().all(|(known, _)| *known != key) {
                    self.others.push((key, capture));
                }
            }
        }
    }
}

/// The secrecy of a text of several variables is that of the strictest of them.
fn secrecy(name: &str, fields: &[Field], redactor: &Redactor) -> Secrecy {
    if !name.contains('$') {
        return of_one(name, fields, redactor);
    }
    let among = |secrecy| {
        let mut variables = name.split('$');
        variables.any(|variable| of_one(variable, fields, redactor) == secrecy)
    };
    if among(Secrecy::Redacted) {
        Secrecy::Redacted
    } else if among(Secrecy::Hashed) {
        Secrecy::Hashed
    } else {
        Secrecy::Unbounded
    }
}

/// The secrecy of a variable is the strictest that one of its fields needs: it must not be hashed in one field and
/// readable in another, or in `event.original`.
fn of_one(variable: &str, fields: &[Field], redactor: &Redactor) -> Secrecy {
    let own = match variable {
        user if Role::User.variables().contains(&user) => "user.name",
        "http_user_agent" => "user_agent.original",
        "http_referer" => "http.request.referrer",
        "request_id" | "req_id" => "http.request.id",
        _ => "",
    };
    let mapped = fields
        .iter()
        .filter(|field| matches!(&field.value, FieldValue::Variable(name) if name == variable));
    let mut names = mapped.map(|field| field.name.as_str()).chain([own]);
    let other = redactor.hashes(&format!("nginx.access.{variable}"));
    if other || names.any(|name| redactor.hashes(name)) {
        Secrecy::Hashed
    } else if redactor.is_secret(variable)
        // four or sixteen raw bytes, which no scan of a text recognises
        || variable == "binary_remote_addr" && !redactor.shows_addresses()
    {
        Secrecy::Redacted
    } else {
        Secrecy::Text
    }
}
