//! Explains why a server's certificate is refused, and what to change.
//!
//! Owns the messages for what rustls and `trust` find. Refuses to decide. Invariant: a message shows data of the
//! certificate only as a fingerprint, a time or a name.

use chrono::DateTime;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error as TlsError};

use super::error::NodeFault;
use super::trust::{FingerprintError, is_authority_in_servers_place, is_of_old_version};

/// Names of a certificate that a message shows.
const NAMES: usize = 5;
/// Characters of such a name.
const NAME_CHARS: usize = 100;

/// The fault behind a certificate that was refused; `None` when the error is about something else.
pub(super) fn fault(error: &TlsError, trusted: impl FnOnce() -> String) -> Option<NodeFault> {
    use CertificateError as Of;
    let TlsError::InvalidCertificate(why) = error else {
        return None;
    };
    Some(match why {
        Of::UnknownIssuer => NodeFault::UnknownIssuer { trusted: trusted() },
        Of::NotValidForName => NodeFault::WrongName("it does not show which".to_owned()),
        Of::NotValidForNameContext { presented, .. } => NodeFault::WrongName(names(presented)),
        Of::Other(other) => match other.0.downcast_ref::<FingerprintError>() {
            Some(error) => NodeFault::Certificate(error.to_string()),
            None => NodeFault::Certificate(other_flaw(error)),
        },
        Of::ExpiredContext { not_after, .. } => NodeFault::Certificate(format!(
            "it was valid until {}; renew it, or correct this host's clock",
            shown(*not_after)
        )),
        Of::NotValidYetContext { not_before, .. } => NodeFault::Certificate(format!(
            "it is valid from {} on only; correct the clock of this host, or of whoever made it",
            shown(*not_before)
        )),
        Of::InvalidPurpose | Of::InvalidPurposeContext { .. } => NodeFault::Certificate(
            "it is not made for servers (extended key usage); make one with serverAuth".to_owned(),
        ),
        Of::BadEncoding => NodeFault::Certificate("it cannot be read; make a new one".to_owned()),
        why => NodeFault::Certificate(format!("{why}; make another one for the node")),
    })
}

fn other_flaw(error: &TlsError) -> String {
    if is_authority_in_servers_place(error) {
        "it is an authority's own or a self-signed one; put it into ca_file, which accepts it as exactly that \
         certificate, or set ca_fingerprint to its fingerprint"
            .to_owned()
    } else if is_of_old_version(error) {
        "it is of X.509 version 1, which has no names of hosts; make one of version 3 with a subjectAltName".to_owned()
    } else {
        format!("{error}; make another one for the node")
    }
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "it has no subjectAltName, and a common name does not count".to_owned();
    }
    let shown: Vec<String> = presented
        .iter()
        .take(NAMES)
        .map(|name| {
            // rustls gives them with their kind, as in `DnsName("es-1")`
            let inner = name
                .split_once('(')
                .and_then(|(_, inner)| inner.strip_suffix(')'));
            let plain = inner.map_or(name.as_str(), |inner| inner.trim_matches('"'));
            let plain = plain.chars().filter(|char| !char.is_control());
            plain.take(NAME_CHARS).collect()
        })
        .collect();
    let more = presented.len().saturating_sub(NAMES);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it is for {}{more}", shown.join(", "))
}

fn shown(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(
        || "an impossible time".to_owned(),
        |time| time.format("%F %T UTC").to_string(),
    )
}
