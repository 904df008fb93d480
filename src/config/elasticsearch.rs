//! The section `[elasticsearch]`: the cluster's addresses, credentials, index names and request options.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Note;
use super::auth::{Auth, ClientCertificate};
use super::credentials::{address, auth, authority, in_the_clear, note_in_the_clear, pem};
use super::data_stream::DataStream;
use super::fingerprint::Fingerprint;
use super::index_pattern::IndexPattern;
use super::index_target::IndexTarget;
use super::ports::{Env, Files};
use super::problem::{Fault, Origin, Problem};
use super::proxy::{self, Proxies};
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;

/// A cluster and the options for delivery.
#[derive(Debug, Clone)]
pub(crate) struct Elasticsearch {
    /// Base addresses of its nodes, at least one.
    pub nodes: Vec<Url>,
    /// Credentials.
    pub auth: Auth,
    /// A client certificate, for clusters that ask for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Trusted authorities in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The only trusted authority, by its certificate's fingerprint.
    pub ca_fingerprint: Option<Fingerprint>,
    /// The HTTP proxies for the nodes.
    pub proxies: Proxies,
    /// The index of a record.
    pub target: IndexTarget,
    /// Storage mode of new indices; None: the cluster's default.
    pub index_mode: Option<IndexMode>,
    /// Compress requests.
    pub gzip: bool,
    /// Time for one request.
    pub request_timeout: Duration,
}

/// Storage mode of new indices (Elasticsearch, "Index modules", `index.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexMode {
    /// The mode of ordinary indices.
    Standard,
    /// For logs: sorted by host and time, with a smaller codec; from Elasticsearch 8.17 on.
    Logsdb,
}

pub(super) fn read(
    values: &Values,
    env: &dyn Env,
    files: &dyn Files,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> Option<Elasticsearch> {
    let mut scope = Scope::new(Section::Elasticsearch, Some(values), problems);
    let nodes = nodes(&mut scope);
    let auth = auth(&mut scope, files);
    if let Some(url) = nodes.iter().find(|url| in_the_clear(url, &auth)) {
        let origin = scope
            .written("nodes")
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        notes.push(note_in_the_clear(url, origin));
    }
    let client_certificate = client_certificate(&mut scope, files);
    let (ca_file, ca_fingerprint) = authority(&mut scope, files);
    let proxies = proxy::read(&mut scope, &nodes, env);
    let request_timeout = scope.duration("request_timeout");
    let index_mode = scope.one_of("index_mode", &[IndexMode::Standard, IndexMode::Logsdb]);
    let target = target(&mut scope, notes)?;
    Some(Elasticsearch {
        nodes,
        auth,
        client_certificate,
        ca_file,
        ca_fingerprint,
        proxies,
        target,
        index_mode,
        gzip: scope.bool("gzip"),
        request_timeout: request_timeout?,
    })
}

fn target(scope: &mut Scope<'_>, notes: &mut Vec<Note>) -> Option<IndexTarget> {
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
        Ok(index) => {
            if let Some(pattern) = index.collides() {
                let text = format!(
                    "elasticsearch.index: {index} gives names that match {pattern}, for which Elasticsearch has a \
                     template of its own that makes data streams: write data_stream = \"logs-nginx.access-default\" \
                     instead, or let the name begin otherwise, as in nginx-access-%Y.%m.%d"
                );
                notes.push(Note { origin, text });
            }
            Some(index.into())
        }
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
        let hint = "name at least one node, as in nodes = [\"https://es-1:9200\"]";
        scope.fault("nodes", origin, Fault::Missing { hint });
    }
    let mut seen = HashSet::new();
    let mut nodes = Vec::new();
    for (text, origin) in list {
        let Some(url) = address(scope, "nodes", &text, &origin) else {
            continue;
        };
        if seen.insert(url.clone()) {
            nodes.push(url);
        } else {
            scope.bad("nodes", origin, &text, "is listed twice");
        }
    }
    nodes
}

fn client_certificate(scope: &mut Scope<'_>, files: &dyn Files) -> Option<ClientCertificate> {
    for (one, other, hint) in [
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
            scope.fault(other, given.origin.clone(), Fault::Missing { hint });
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
