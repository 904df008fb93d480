//! `[http]`: the agent's own HTTP port.

use std::net::SocketAddr;

use super::scope::Scope;

/// The address of the port.
pub(super) fn listen(http: &mut Scope<'_>) -> Option<SocketAddr> {
    let (text, origin) = http.text("listen")?;
    let address = text.parse().ok();
    if address.is_none() {
        let why = "is no address and port; write them as in \"127.0.0.1:9280\" or \"[::]:9280\"";
        http.bad("listen", origin, &text, why);
    }
    address
}

/// The names by which requests may call this host.
pub(super) fn allowed_hosts(http: &mut Scope<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (text, origin) in http.list("allowed_hosts") {
        let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
        if text.is_empty() || !text.chars().all(is_name) {
            let why = "is no name of a host; write it without scheme, port and wildcards, as in \"logweir.example.org\"";
            http.bad("allowed_hosts", origin, &text, why);
        } else {
            names.push(text);
        }
    }
    names
}
