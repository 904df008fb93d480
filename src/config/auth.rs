//! Credentials for a cluster or Kibana.
//!
//! Owns the kinds of credentials and their `Authorization` headers. Refuses to know where they come from and which
//! service gets them. Invariant: their Debug output contains no secret.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};

/// Credentials of one service.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// No credentials, or only the client certificate.
    #[default]
    None,
    /// An API key: `id:key`, or its base64 as Elasticsearch and Kibana show it ("encoded").
    ApiKey(SecretString),
    /// User name and password.
    Basic {
        /// The user.
        username: String,
        /// Their password.
        password: SecretString,
    },
    /// A bearer token (a service account, OAuth, OpenSearch JWT).
    Bearer(SecretString),
}

impl Auth {
    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Option<SecretString> {
        let value = match self {
            Self::None => return None,
            Self::ApiKey(key) => {
                let key = key.expose_secret();
                if key.contains(':') {
                    format!("ApiKey {}", BASE64.encode(key))
                } else {
                    format!("ApiKey {key}")
                }
            }
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose_secret());
                format!("Basic {}", BASE64.encode(pair))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose_secret()),
        };
        Some(SecretString::from(value))
    }

    /// The setting to check after status 401 or 403.
    pub(crate) fn setting(&self) -> &'static str {
        match self {
            Self::None => "api_key (none of api_key, username or bearer_token is set)",
            Self::ApiKey(_) => "api_key",
            Self::Basic { .. } => "username and password",
            Self::Bearer(_) => "bearer_token",
        }
    }
}

/// A client certificate and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, with intermediates if there are any.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_api_key_is_accepted_in_both_forms() {
        let header = |key: &str| {
            Auth::ApiKey(SecretString::from(key))
                .header()
                .unwrap()
                .expose_secret()
                .to_owned()
        };
        assert_eq!(header("id:key"), "ApiKey aWQ6a2V5");
        assert_eq!(header("aWQ6a2V5"), "ApiKey aWQ6a2V5");
        let basic = Auth::Basic {
            username: "elastic".into(),
            password: "p:w".into(),
        };
        assert_eq!(
            basic.header().unwrap().expose_secret(),
            "Basic ZWxhc3RpYzpwOnc="
        );
    }
}
