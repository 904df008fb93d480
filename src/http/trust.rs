//! Whether the certificate that a server shows is to be trusted.
//!
//! Owns the decision; refuses to know where the authorities come from. Invariant: every trusted certificate is valid
//! now, is issued for the requested name, and the server has its key. It guards against a pinned certificate that is
//! accepted for any host, and against a fingerprint that any certificate of a chain may have.

use std::fmt;

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::config::Fingerprint;

/// Certificates of a chain that a message shows; servers send two or three.
const SHOWN: usize = 4;

/// What is trusted.
#[derive(Debug)]
pub(crate) enum Trust {
    /// These authorities, and these very certificates.
    Authorities {
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
    },
    /// The one authority whose certificate has this fingerprint; the server sends it (as Beats'
    /// `ca_trusted_fingerprint` has it).
    Fingerprint(Fingerprint),
}

/// Verifies by [`Trust`].
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why a fingerprint establishes no trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FingerprintError {
    /// No certificate of the chain has it.
    NotSent {
        wanted: Fingerprint,
        sent: Vec<Fingerprint>,
    },
    /// The certificate that has it is neither the server's own nor an authority's.
    NoAuthority,
}

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { wanted, sent } => {
                let sent: Vec<String> = sent.iter().map(Fingerprint::to_string).collect();
                write!(
                    f,
                    "none of the certificates that it sends has the ca_fingerprint {wanted}; it sends {}",
                    sent.join(", ")
                )
            }
            Self::NoAuthority => f.write_str(
                "the certificate with the ca_fingerprint is no authority's; set that of the authority",
            ),
        }
    }
}

impl std::error::Error for FingerprintError {}

impl Verifier {
    pub(crate) fn new(trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { trust, algorithms }
    }

    fn chains_to(
        &self,
        certificate: &ParsedCertificate<'_>,
        roots: &RootCertStore,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            certificate,
            roots,
            intermediates,
            now,
            algorithms,
        )
    }

    /// Whether the authority's certificate can be an anchor, and which anchor it is.
    fn anchor(
        &self,
        authority: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        // webpki uses only the name and key of an anchor. Verified as a server's certificate, an authority's own one is
        // refused as an authority's, but only after its validity was checked.
        match self.chains_to(&ParsedCertificate::try_from(authority)?, &roots, &[], now) {
            Err(error) if is_authority_in_servers_place(&error) => Ok(roots),
            Err(error) if is_about_time(&error) => Err(error),
            _ => Err(fingerprint_error(FingerprintError::NoAuthority)),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let own = ParsedCertificate::try_from(end_entity)?;
        let (outcome, is_pinned) = match &self.trust {
            Trust::Authorities { roots, pinned } => (
                self.chains_to(&own, roots, intermediates, now),
                pinned.contains(end_entity),
            ),
            Trust::Fingerprint(wanted) if fingerprint(end_entity) == *wanted => (
                self.chains_to(&own, &RootCertStore::empty(), &[], now),
                true,
            ),
            Trust::Fingerprint(wanted) => {
                let mut sent = intermediates.iter();
                let Some(authority) = sent.find(|sent| fingerprint(sent) == *wanted) else {
                    let sent = std::iter::once(end_entity).chain(intermediates);
                    return Err(fingerprint_error(FingerprintError::NotSent {
                        wanted: *wanted,
                        sent: sent.take(SHOWN).map(fingerprint).collect(),
                    }));
                };
                let roots = self.anchor(authority, now)?;
                (self.chains_to(&own, &roots, intermediates, now), false)
            }
        };
        match outcome {
            // The issuer of a pinned certificate does not matter; webpki checks the time before it looks for an issuer.
            Err(error) if is_pinned && !is_about_time(&error) => {}
            outcome => outcome?,
        }
        verify_server_name(&own, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, certificate).as_ref());
    Fingerprint::of(hash)
}

fn fingerprint_error(why: FingerprintError) -> Error {
    let why: std::sync::Arc<dyn std::error::Error + Send + Sync> = std::sync::Arc::new(why);
    CertificateError::Other(OtherError(why)).into()
}

/// Whether a certificate is not valid yet or any more, or never.
fn is_about_time(error: &Error) -> bool {
    use CertificateError as Of;
    match error {
        Error::InvalidCertificate(
            Of::Expired
            | Of::ExpiredContext { .. }
            | Of::NotValidYet
            | Of::NotValidYetContext { .. },
        ) => true,
        error => says(error, "InvalidCertValidity"),
    }
}

/// Whether the server sent an authority's own certificate in place of its own.
pub(crate) fn is_authority_in_servers_place(error: &Error) -> bool {
    says(error, "CaUsedAsEndEntity")
}

/// Whether the certificate is of X.509 version 1 or 2.
pub(crate) fn is_of_old_version(error: &Error) -> bool {
    says(error, "UnsupportedCertVersion")
}

/// webpki's own errors come without their type.
fn says(error: &Error, word: &str) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other)) if other.0.to_string() == word)
}
