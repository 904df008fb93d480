//! Whom we trust, and who we are, on the TLS level.
//!
//! Owns the reading of certificate files; refuses to know the protocol. Invariant: the public authorities
//! built into the client, the operating system's and the operator's own are all trusted, and one certificate
//! that the client cannot read never takes the others with it. Guards against "unknown issuer" where the
//! operating system trusts the cluster's authority.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{Certificate, Identity};

use super::error::OutputError;
use super::settings::Settings;
use crate::config::ClientCertificate;

const CA_FILE: &str = "ca_file";
const CLIENT_CERT: &str = "client_cert";
const CLIENT_KEY: &str = "client_key";

/// Authorities to trust, and how many the operating system gave.
pub(crate) struct Roots {
    pub(crate) pem: String,
    pub(crate) from_system: usize,
}

impl Roots {
    /// Reads the operating system's authorities and the operator's file.
    pub(crate) fn read(settings: &Settings) -> Result<Self, OutputError> {
        let mut pem = String::new();
        if let Some(path) = &settings.ca_file {
            let file = read(CA_FILE, path)?;
            let bad = |message: &str| OutputError::Pem {
                setting: CA_FILE,
                path: path.clone(),
                message: message.to_owned(),
            };
            let text = String::from_utf8(file).map_err(|_| {
                bad("is not PEM text (DER? convert it with openssl x509 -inform der)")
            })?;
            // The client knows a line only when nothing else stands on it.
            for line in text.lines() {
                pem.push_str(line.trim());
                pem.push('\n');
            }
            if !usable(&pem) {
                return Err(bad(
                    "holds no certificate that can be read (-----BEGIN CERTIFICATE-----)",
                ));
            }
        }
        let mut from_system = 0;
        let mut system = String::new();
        let loaded = rustls_native_certs::load_native_certs();
        for certificate in &loaded.certs {
            push_pem(&mut system, certificate);
            from_system += 1;
        }
        // Stores of operating systems may hold relics that the client refuses, and it refuses all of them then.
        if from_system > 0 && !usable(&system) {
            system.clear();
            from_system = 0;
            for certificate in &loaded.certs {
                let mut one = String::new();
                push_pem(&mut one, certificate);
                if usable(&one) {
                    system.push_str(&one);
                    from_system += 1;
                }
            }
        }
        pem.push_str(&system);
        Ok(Self { pem, from_system })
    }

    /// All of them, as the client takes them.
    pub(crate) fn certificates(&self) -> Result<Vec<Certificate>, OutputError> {
        Certificate::from_pem_bundle(self.pem.as_bytes())
            .map_err(|error| OutputError::Client(error.to_string()))
    }
}

/// The client certificate with its key.
pub(crate) fn identity(client: &ClientCertificate) -> Result<Identity, OutputError> {
    let mut pem = read(CLIENT_CERT, &client.certificate)?;
    let key = read(CLIENT_KEY, &client.key)?;
    let lacks = |text: &[u8], sign: &[u8]| memchr::memmem::find(text, sign).is_none();
    if lacks(&pem, b"-----BEGIN CERTIFICATE-----") {
        return Err(OutputError::Pem {
            setting: CLIENT_CERT,
            path: client.certificate.clone(),
            message: "holds no PEM certificate".to_owned(),
        });
    }
    if lacks(&key, b"PRIVATE KEY-----") || !lacks(&key, b"ENCRYPTED") {
        return Err(OutputError::Pem {
            setting: CLIENT_KEY,
            path: client.key.clone(),
            message: "holds no plain PEM private key (an encrypted one must be decrypted first: openssl pkey)"
                .to_owned(),
        });
    }
    pem.push(b'\n');
    pem.extend_from_slice(&key);
    Identity::from_pem(&pem).map_err(|error| OutputError::Client(error.to_string()))
}

/// True when the client takes all of these certificates: it says so only when it is built.
fn usable(pem: &str) -> bool {
    let Ok(certificates) = Certificate::from_pem_bundle(pem.as_bytes()) else {
        return false;
    };
    let any = !certificates.is_empty();
    let builder = reqwest::Client::builder();
    let builder = certificates
        .into_iter()
        .fold(builder, reqwest::ClientBuilder::add_root_certificate);
    any && builder.build().is_ok()
}

fn push_pem(pem: &mut String, der: &[u8]) {
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    pem.push_str(&BASE64.encode(der));
    pem.push_str("\n-----END CERTIFICATE-----\n");
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, OutputError> {
    std::fs::read(path).map_err(|error| OutputError::File {
        setting,
        path: path.to_owned(),
        message: error.to_string(),
    })
}
