//! The section `[elasticsearch]`: where the cluster is and who we say we are.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use url::Url;

use crate::output::elasticsearch::{Auth, ClientCertificate};

use super::Note;
use super::data_stream::DataStream;
use super::index_pattern::IndexPattern;
use super::ports::Files;
use super::problem::{Fault, Origin, Problem};
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;
use super::target::Target;
use super::units::Bytes;

/// A cluster and how to deliver to it.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    /// Base addresses of its nodes, at least one.
    pub nodes: Vec<Url>,
    /// Who we say we are.
    pub auth: Auth,
    /// A client certificate, for clusters that ask for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The index of a record.
    pub target: Target,
    /// Target size of a bulk body before compression.
    pub batch_bytes: Bytes,
    /// Most records of a bulk body.
    pub batch_count: usize,
    /// Greatest age of a batch's first record.
    pub flush_interval: Duration,
    /// Bulk requests under way at once.
    pub max_in_flight: usize,
    /// Compress requests.
    pub gzip: bool,
    /// Time for one request.
    pub request_timeout: Duration,
}

const MIN_BATCH: Bytes = Bytes::new(64 << 10);
/// Elasticsearch refuses a body over `http.max_content_length`, 100 MB if not set.
const MAX_BATCH: Bytes = Bytes::new(64 << 20);
const MAX_BATCH_COUNT: usize = 1_000_000;
const MAX_IN_FLIGHT: usize = 64;
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn read(
    values: &Values,
    files: &dyn Files,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> Option<Elasticsearch> {
    let mut scope = Scope::new(Section::Elasticsearch, Some(values), problems);
    let nodes = nodes(&mut scope);
    let auth = auth(&mut scope, files);
    let is_plain = |url: &&Url| {
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.scheme() == "http" && !local
    };
    if let Some(url) = nodes
        .iter()
        .find(is_plain)
        .filter(|_| !matches!(auth, Auth::None))
    {
        let origin = scope
            .written("nodes")
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        let text = format!("credentials go to {url} unencrypted; https keeps them secret");
        notes.push(Note { origin, text });
    }
    let client_certificate = client_certificate(&mut scope, files);
    let ca_file = pem(&mut scope, "ca_file", files, &["CERTIFICATE"]);
    let batch_bytes = scope.bytes("batch_bytes", MIN_BATCH..=MAX_BATCH);
    let batch_count = scope.count("batch_count", 1..=MAX_BATCH_COUNT);
    let flush_interval = scope.duration("flush_interval", Duration::from_millis(1)..=HOUR);
    let max_in_flight = scope.count("max_in_flight", 1..=MAX_IN_FLIGHT);
    let request_timeout = scope.duration("request_timeout", Duration::from_secs(1)..=HOUR);
    let target = target(&mut scope)?;
    Some(Elasticsearch {
        nodes,
        auth,
        client_certificate,
        ca_file,
        target,
        batch_bytes,
        batch_count,
        flush_interval: flush_interval?,
        max_in_flight,
        gzip: scope.bool("gzip"),
        request_timeout: request_timeout?,
    })
}

fn target(scope: &mut Scope<'_>) -> Option<Target> {
    scope.conflict(
        "index",
        "data_stream",
        "keep one of them: each record goes to one place",
    );
    if let Some((name, origin)) = scope.text("data_stream") {
        return match DataStream::parse(&name) {
            Ok(stream) => Some(stream.into()),
            Err(error) => {
                scope.bad("data_stream", origin, &name, error.to_string());
                None
            }
        };
    }
    let (pattern, origin) = scope.text("index")?;
    match IndexPattern::parse(&pattern) {
        Ok(index) => Some(index.into()),
        Err(error) => {
            scope.fault("index", origin, Fault::Index { pattern, error });
            None
        }
    }
}

fn nodes(scope: &mut Scope<'_>) -> Vec<Url> {
    let list = scope.list("nodes");
    if list.is_empty() {
        let origin = scope
            .written("nodes")
            .map_or(scope.origin(), |given| given.origin.clone());
        let way_out = "name at least one node, as in nodes = [\"https://es-1:9200\"]";
        scope.fault("nodes", origin, Fault::Missing { way_out });
    }
    let mut seen = HashSet::new();
    let mut nodes = Vec::new();
    for (text, origin) in list {
        let why = match Url::parse(&text) {
            // Also `es-1:9200`, which reads as an address of scheme `es-1`.
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "must begin with http:// or https://".to_owned()
            }
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                "must begin with http:// or https://".to_owned()
            }
            Err(error) => format!("is no address: {error}"),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                // The address is shown in logs and metrics; what is in it is no secret any more.
                let why = "an address must hold no user and password; set username and password"
                    .to_owned();
                scope.fault("nodes", origin, Fault::BadValue { value: None, why });
                continue;
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "must end before ? and #".to_owned()
            }
            Ok(url) if !seen.insert(url.clone()) => "stands here twice".to_owned(),
            Ok(url) => {
                nodes.push(url);
                continue;
            }
        };
        scope.bad("nodes", origin, &text, why);
    }
    nodes
}

/// Each kind of authentication, by the settings that begin it.
const KINDS: [[&str; 2]; 3] = [
    ["api_key", "api_key_file"],
    ["username", "username"],
    ["bearer_token", "bearer_token_file"],
];

fn auth(scope: &mut Scope<'_>, files: &dyn Files) -> Auth {
    const WAY_OUT: &str = "keep one kind of authentication";
    let kinds: Vec<&str> = KINDS
        .iter()
        .filter_map(|names| {
            names
                .iter()
                .copied()
                .find(|name| scope.written(name).is_some())
        })
        .collect();
    for other in kinds.iter().skip(1) {
        scope.conflict(kinds[0], other, WAY_OUT);
    }
    let api_key = scope.secret("api_key", files);
    let password = scope.secret("password", files);
    let bearer = scope.secret("bearer_token", files);
    for (name, secret) in [("api_key", &api_key), ("bearer_token", &bearer)] {
        let Some(secret) = secret else { continue };
        let visible = |byte: u8| (0x21..0x7F).contains(&byte);
        if !secret.expose_secret().bytes().all(visible) {
            let file = format!("{name}_file");
            let name = if scope.written(name).is_some() {
                name
            } else {
                &file
            };
            let origin = scope
                .written(name)
                .map_or(Origin::Nowhere, |given| given.origin.clone());
            let why =
                "holds a blank or a special character; write the key alone, without \"ApiKey\" \
                       or \"Bearer\""
                    .to_owned();
            scope.fault(name, origin, Fault::BadValue { value: None, why });
        }
    }
    let username = scope.text("username");
    let password_name = ["password", "password_file"]
        .into_iter()
        .find(|name| scope.written(name).is_some());
    match (&username, password_name) {
        (Some((_, origin)), None) => {
            let way_out = "set password or password_file beside username";
            scope.fault("password", origin.clone(), Fault::Missing { way_out });
        }
        (None, Some(name)) => {
            let origin = scope
                .written(name)
                .map_or(Origin::Nowhere, |given| given.origin.clone());
            let way_out = "set username beside the password";
            scope.fault("username", origin, Fault::Missing { way_out });
        }
        _ => {}
    }
    if let Some((username, origin)) = &username
        && (username.is_empty() || username.contains(':'))
    {
        scope.bad(
            "username",
            origin.clone(),
            username,
            "must not be empty nor hold a colon",
        );
    }
    match (api_key, username, password, bearer) {
        (Some(key), ..) => Auth::ApiKey(key),
        (None, Some((username, _)), Some(password), _) => Auth::Basic { username, password },
        (None, _, _, Some(token)) => Auth::Bearer(token),
        _ => Auth::None,
    }
}

fn client_certificate(scope: &mut Scope<'_>, files: &dyn Files) -> Option<ClientCertificate> {
    for (one, other, way_out) in [
        (
            "client_cert",
            "client_key",
            "set client_key beside client_cert",
        ),
        (
            "client_key",
            "client_cert",
            "set client_cert beside client_key",
        ),
    ] {
        if let Some(given) = scope.written(one)
            && scope.written(other).is_none()
        {
            scope.fault(other, given.origin.clone(), Fault::Missing { way_out });
        }
    }
    let certificate = pem(scope, "client_cert", files, &["CERTIFICATE"]);
    let key = pem(
        scope,
        "client_key",
        files,
        &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"],
    );
    Some(ClientCertificate {
        certificate: certificate?,
        key: key?,
    })
}

/// The path of a file in PEM form that holds one of these things.
fn pem(scope: &mut Scope<'_>, name: &str, files: &dyn Files, labels: &[&str]) -> Option<PathBuf> {
    let (path, content) = scope.file(name, files)?;
    let text = String::from_utf8_lossy(&content);
    if !labels
        .iter()
        .any(|label| text.contains(&format!("-----BEGIN {label}-----")))
    {
        let origin = scope
            .written(name)
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        let why = format!(
            "the file holds no \"-----BEGIN {}-----\"; it must be in PEM form",
            labels[0]
        );
        scope.bad(name, origin, &path.display().to_string(), why);
    }
    Some(path)
}
