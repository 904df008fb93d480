//! Settings that `[elasticsearch]` and `[kibana]` share: addresses, credentials and trusted authorities.
//!
//! Owns the rules of these settings, which are the same in both sections. Refuses to know which service they are for.
//! Invariant: no message shows a secret.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use url::Url;

use super::Note;
use super::auth::Auth;
use super::fingerprint::Fingerprint;
use super::ports::Files;
use super::problem::{Fault, Origin};
use super::raw::Values;
use super::scope::Scope;

/// The address of a service; None after a reported problem.
pub(super) fn address(
    scope: &mut Scope<'_>,
    name: &str,
    text: &str,
    origin: &Origin,
) -> Option<Url> {
    let why = match Url::parse(text) {
        // This includes `es-1:9200`, which parses as an address of scheme `es-1`.
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "must begin with http:// or https://".to_owned()
        }
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            "must begin with http:// or https://".to_owned()
        }
        Err(error) => format!("is no address: {error}"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            // Logs and metrics show the address, so a secret in it would be exposed.
            let why =
                "an address must hold no user and password; set username and password".to_owned();
            scope.fault(name, origin.clone(), Fault::BadValue { value: None, why });
            return None;
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "must end before ? and #".to_owned()
        }
        Ok(url) => return Some(url),
    };
    scope.bad(name, origin.clone(), text, why);
    None
}

/// Whether credentials would cross a network in plain text.
pub(super) fn in_the_clear(url: &Url, auth: &Auth) -> bool {
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "http" && !local && !matches!(auth, Auth::None)
}

/// The note about such an address.
pub(super) fn note_in_the_clear(url: &Url, origin: Origin) -> Note {
    let text = format!("credentials go to {url} unencrypted; https keeps them secret");
    Note { origin, text }
}

/// The settings of each kind of authentication. Messages name the first one that is set. A section without bearer tokens
/// has no such setting in the table, so it is never set there.
const KINDS: [&[&str]; 3] = [
    &["api_key", "api_key_file"],
    &["username", "password", "password_file"],
    &["bearer_token", "bearer_token_file"],
];

/// Credentials in the environment override those of the file. A single value does so by itself, but credentials have
/// several forms: an administrator's name and password must not conflict with the agent's key, or a password with the
/// file that contains another one.
pub(super) fn environment_first(values: &mut Values) {
    let is_set = |values: &Values, name: &str| {
        let given = values.given.get(name);
        given.is_some_and(|given| matches!(given.origin, Origin::Variable(_)))
    };
    let kinds = KINDS.map(|kind| kind.iter().any(|name| is_set(values, name)));
    if !kinds.contains(&true) {
        return;
    }
    for (kind, is_told) in KINDS.iter().zip(kinds) {
        for name in *kind {
            let secret = name.trim_end_matches("_file");
            let other = if secret == *name {
                format!("{name}_file")
            } else {
                secret.to_owned()
            };
            if !is_set(values, name) && (!is_told || is_set(values, &other)) {
                values.given.remove(name);
            }
        }
    }
}

pub(super) fn auth(scope: &mut Scope<'_>, files: &dyn Files) -> Auth {
    const HINT: &str = "keep one kind of authentication";
    let first = |kind: &&'static [&'static str]| {
        // A password alone is not a kind: the missing user is reported below.
        let mut names = kind
            .iter()
            .copied()
            .filter(|name| !name.starts_with("password"));
        names.find(|name| scope.written(name).is_some())
    };
    let kinds: Vec<&str> = KINDS.iter().filter_map(first).collect();
    for other in kinds.iter().skip(1) {
        scope.conflict(kinds[0], other, HINT);
    }
    let api_key = scope.secret("api_key", files);
    let password = scope.secret("password", files);
    let bearer = scope
        .knows("bearer_token")
        .then(|| scope.secret("bearer_token", files))
        .flatten();
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
            let hint = "set password or password_file beside username";
            scope.fault("password", origin.clone(), Fault::Missing { hint });
        }
        (None, Some(name)) => {
            let origin = scope
                .written(name)
                .map_or(Origin::Nowhere, |given| given.origin.clone());
            let hint = "set username beside the password";
            scope.fault("username", origin, Fault::Missing { hint });
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
            "must not be empty or contain a colon",
        );
    }
    match (api_key, username, password, bearer) {
        (Some(key), ..) => Auth::ApiKey(key),
        (None, Some((username, _)), Some(password), _) => Auth::Basic { username, password },
        (None, _, _, Some(token)) => Auth::Bearer(token),
        _ => Auth::None,
    }
}

/// The trusted authorities: a file of certificates, or the fingerprint of one.
pub(super) fn authority(
    scope: &mut Scope<'_>,
    files: &dyn Files,
) -> (Option<PathBuf>, Option<Fingerprint>) {
    let hint = "keep one of the two: with ca_fingerprint that authority alone is trusted";
    scope.conflict("ca_file", "ca_fingerprint", hint);
    let ca_file = pem(scope, "ca_file", files, &["CERTIFICATE"]);
    let Some((text, origin)) = scope.text("ca_fingerprint") else {
        return (ca_file, None);
    };
    match Fingerprint::parse(&text) {
        Ok(fingerprint) => (ca_file, Some(fingerprint)),
        Err(why) => {
            scope.bad("ca_fingerprint", origin, &text, why);
            (ca_file, None)
        }
    }
}

/// The path of a PEM file that contains one of these labels.
pub(super) fn pem(
    scope: &mut Scope<'_>,
    name: &str,
    files: &dyn Files,
    labels: &[&str],
) -> Option<PathBuf> {
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
