//! The section `[kibana]`: the Kibana that gets the dashboards.
//!
//! Owns the rule that `[elasticsearch]` provides the settings that are missing here. Refuses to know what is imported.

use std::path::PathBuf;

use url::Url;

use super::Note;
use super::auth::Auth;
use super::credentials::{address, auth, authority, in_the_clear, note_in_the_clear};
use super::elasticsearch::Elasticsearch;
use super::fingerprint::Fingerprint;
use super::ports::{Env, Files};
use super::problem::{Fault, Origin, Problem};
use super::proxy::{self, Proxies};
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;

/// Kibana or OpenSearch Dashboards.
#[derive(Debug, Clone)]
pub struct Kibana {
    /// Its address, with the base path if it has one.
    pub url: Url,
    /// The Kibana space; None: the default one.
    pub space: Option<String>,
    /// Credentials.
    pub auth: Auth,
    /// Trusted authorities in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The only trusted authority, by its certificate's fingerprint.
    pub ca_fingerprint: Option<Fingerprint>,
    /// The HTTP proxy for it.
    pub proxies: Proxies,
}

/// Reads the section; `cluster` provides the settings that are missing here.
pub(super) fn read(
    values: &Values,
    cluster: Option<&Elasticsearch>,
    env: &dyn Env,
    files: &dyn Files,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> Option<Kibana> {
    let mut scope = Scope::new(Section::Kibana, Some(values), problems);
    let url = match scope.text("url") {
        Some((text, origin)) => address(&mut scope, "url", &text, &origin),
        None => {
            let (origin, hint) = (
                scope.origin(),
                "name its address, as in url = \"https://kibana:5601\"",
            );
            scope.fault("url", origin, Fault::Missing { hint });
            None
        }
    };
    let space = scope.text("space").map(|(space, origin)| {
        // Kibana, "Spaces", "Create a space": the URL identifier.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if space.is_empty() || !space.chars().all(plain) {
            let why = "is no identifier of a space: it is the part after /s/ in Kibana's addresses, of lower-case \
                       letters, digits, - and _";
            scope.bad("space", origin, &space, why);
        }
        space
    });
    let auth = match (auth(&mut scope, files), cluster) {
        (Auth::None, Some(cluster)) => cluster.auth.clone(),
        (own, _) => own,
    };
    if let Some(url) = url.as_ref().filter(|url| in_the_clear(url, &auth)) {
        let origin = scope
            .written("url")
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        notes.push(note_in_the_clear(url, origin));
    }
    let (ca_file, ca_fingerprint) = match (authority(&mut scope, files), cluster) {
        // A plain http address does not use them; if they are set for it, that is reported.
        ((None, None), Some(cluster))
            if url.as_ref().is_some_and(|url| url.scheme() == "https") =>
        {
            (cluster.ca_file.clone(), cluster.ca_fingerprint)
        }
        (own, _) => own,
    };
    let proxies = proxy::read(&mut scope, url.as_slice(), env);
    Some(Kibana {
        url: url?,
        space,
        auth,
        ca_file,
        ca_fingerprint,
        proxies,
    })
}
