//! Whether the host's name and the state outlive the container that the agent runs in.
//!
//! Owns the warnings of `run` and `check` about both. Refuses to know how a container is detected (`container`). Invariant: it
//! changes nothing. It guards against a container that is made anew under another name or without its positions, and then
//! indexes a volume of logs a second time.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::container;
use crate::config::Loaded;

/// Lengths of the ids by which Docker and Podman name containers.
const ID_LENGTHS: [usize; 2] = [12, 64];
/// Made by the first start in a state directory. It fixes the host's name.
const IDENTITY: &str = "identity";

/// A warning for each of them that will not last.
pub(crate) fn warnings(loaded: &Loaded) -> Vec<String> {
    let root = Path::new("/");
    let config = &loaded.config;
    let sign = container::sign(root, container::variable);
    let is_fixed = loaded.host_is_set || config.data_dir.join(IDENTITY).exists();
    let name = (!is_fixed).then(|| passing_name(&config.host, sign.as_deref()));
    let is_layered = container::is_layered(root);
    // Who chooses a temporary directory knows that it ends.
    let is_temporary = config.data_dir.starts_with(std::env::temp_dir());
    let state = (sign.is_some() && is_layered && !is_temporary)
        .then(|| passing_state(&config.data_dir, root));
    name.into_iter().chain(state).flatten().collect()
}

/// Why this name, which nothing fixes yet, is not that of the next container; `sign` shows that this is one.
fn passing_name(host: &str, sign: Option<&str>) -> Option<String> {
    let why = if is_container_id(host) {
        format!("the host's name {host} looks like a container's id")
    } else {
        let sign = sign?;
        format!("this is a container ({sign}), and its name {host} may change when it is made anew")
    };
    Some(format!(
        "{why}; the host is part of each line's identity: set host (LOGWEIR_HOST) to a name that outlives the container. In \
         Kubernetes that is the node's name for a DaemonSet, and the pod's for a sidecar"
    ))
}

fn is_container_id(host: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    ID_LENGTHS.contains(&host.len()) && host.bytes().all(is_digit)
}

/// Why the positions end with the container, if they are in its own file system.
fn passing_state(data_dir: &Path, root: &Path) -> Option<String> {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let place = data_dir.ancestors().find(|place| place.exists())?;
    (device(place)? == device(root)?).then(|| {
        format!(
            "data_dir: {} is in the container's own file system and is lost with it: mount a volume there, or the next container \
             reads all logs of its volumes again",
            data_dir.display()
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn container_ids_are_recognised_by_their_form() {
        assert!(is_container_id("3f2a9c0d11be"));
        assert!(is_container_id(&"0a".repeat(32)));
        assert!(!is_container_id("web-07"));
        assert!(!is_container_id("webserver-07"));
        assert!(!is_container_id("3f2a9c0d11b"));
        assert!(!is_container_id("3F2A9C0D11BE"));
    }

    #[test]
    fn a_name_that_may_change_is_reported_with_the_reason() {
        let by_form = passing_name("3f2a9c0d11be", None).unwrap();
        assert!(by_form.contains("3f2a9c0d11be looks like"), "{by_form}");
        let by_sign = passing_name("web-07", Some("/.dockerenv is there")).unwrap();
        assert!(by_sign.contains("(/.dockerenv is there)"), "{by_sign}");
        assert_eq!(passing_name("web-07", None), None);
    }

    #[test]
    fn state_on_the_root_file_system_ends_with_the_container() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("not/made/yet");
        let said = passing_state(&data_dir, folder.path()).unwrap();
        assert!(said.contains("not/made/yet"), "{said}");
        // another file system
        assert_eq!(
            passing_state(Path::new("/proc/logweir"), folder.path()),
            None
        );
    }
}
