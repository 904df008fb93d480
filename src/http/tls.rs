//! The trusted authorities and the client certificate.
//!
//! Owns the reading of certificate files; refuses to decide about a server's certificate (`trust` does). Invariant:
//! without a fingerprint the public authorities built into the program, the operating system's and the operator's
//! own are all trusted, and one certificate that cannot be read does not exclude the others. It guards against
//! "unknown issuer" where the operating system trusts the cluster's authority.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Service;
use super::error::HttpError;
use super::settings::ConnectionSettings;
use super::trust::{Trust, Verifier};

/// The TLS configuration of the client.
pub(crate) struct Tls {
    pub(crate) config: ClientConfig,
    /// The trusted authorities, for the message about an unknown issuer.
    pub(crate) trusted: String,
}

impl Tls {
    /// Reads what the settings name.
    pub(crate) fn read(settings: &ConnectionSettings, service: Service) -> Result<Self, HttpError> {
        let file = |setting, path| PemFile {
            service,
            setting,
            path,
        };
        let (trust, trusted) = match settings.ca_fingerprint {
            Some(fingerprint) => (
                Trust::Fingerprint(fingerprint),
                format!("ca_fingerprint {fingerprint} alone"),
            ),
            None => authorities(
                settings
                    .ca_file
                    .as_deref()
                    .map(|path| file("ca_file", path)),
            )?,
        };
        let provider = Arc::new(default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let client = |error: rustls::Error| HttpError::Client(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(client)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(trust, algorithms)));
        let mut config = match &settings.client_certificate {
            None => builder.with_no_client_auth(),
            Some(paths) => {
                let key_file = file("client_key", &paths.key);
                let key = key_file.private_key()?;
                let chain = file("client_cert", &paths.certificate).certificates()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    key_file.invalid(format!("cannot be used with client_cert: {error}"))
                })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config, trusted })
    }
}

/// The built-in authorities, the operating system's and those of `ca_file`.
fn authorities(ca_file: Option<PemFile<'_>>) -> Result<(Trust, String), HttpError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // Stores of operating systems may hold old certificates that webpki refuses.
    let (from_system, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut trusted = format!("{from_system} of the operating system");
    let pinned = match ca_file {
        None => {
            trusted.push_str(", no ca_file");
            Vec::new()
        }
        Some(file) => {
            trusted.push_str(&format!(" and ca_file {}", file.path.display()));
            let pinned = file.certificates()?;
            for (at, certificate) in pinned.iter().enumerate() {
                roots.add(certificate.clone()).map_err(|error| {
                    let which = match pinned.len() {
                        1 => "holds a certificate".to_owned(),
                        _ => format!("holds as number {} a certificate", at + 1),
                    };
                    file.invalid(format!("{which} that cannot be used: {error}"))
                })?;
            }
            pinned
        }
    };
    Ok((Trust::Authorities { roots, pinned }, trusted))
}

/// A PEM file, and the setting that names it.
struct PemFile<'s> {
    service: Service,
    setting: &'static str,
    path: &'s Path,
}

impl PemFile<'_> {
    fn private_key(&self) -> Result<PrivateKeyDer<'static>, HttpError> {
        let key = self.read()?;
        let is_encrypted = memchr::memmem::find(&key, b"ENCRYPTED").is_some();
        let key = PrivateKeyDer::from_pem_slice(&key)
            .ok()
            .filter(|_| !is_encrypted);
        key.ok_or_else(|| {
            let message = "holds no plain PEM private key (an encrypted one must be decrypted first: openssl pkey)";
            self.invalid(message.to_owned())
        })
    }

    /// The certificates of the file, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, HttpError> {
        let text = String::from_utf8(self.read()?).map_err(|_| {
            let message = "is not PEM text (DER? convert it with openssl x509 -inform der)";
            self.invalid(message.to_owned())
        })?;
        // A marker counts only when it is alone on its line.
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let text = lines.join("\n");
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            _ => {
                let message = "holds no certificate that can be read (-----BEGIN CERTIFICATE-----)";
                Err(self.invalid(message.to_owned()))
            }
        }
    }

    fn read(&self) -> Result<Vec<u8>, HttpError> {
        std::fs::read(self.path).map_err(|error| HttpError::File {
            service: self.service,
            setting: self.setting,
            path: self.path.to_owned(),
            message: error.to_string(),
        })
    }

    fn invalid(&self, message: String) -> HttpError {
        HttpError::Pem {
            service: self.service,
            setting: self.setting,
            path: self.path.to_owned(),
            message,
        }
    }
}
