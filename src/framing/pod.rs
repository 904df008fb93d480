//! The pod and the container that wrote a file, by its path.
//!
//! Owns the shape of kubelet's paths: `<namespace>_<pod>_<uid>/<container>/<restarts>.log` (`pkg/kubelet/kuberuntime`,
//! `BuildPodLogsDirectory` and `BuildContainerLogsDirectory`). Refuses to know where these directories are. Invariant:
//! only names that Kubernetes allows count, so that directories of other users can neither bring long texts into each
//! document nor stand for another pod.

use std::path::Path;

/// A label by RFC 1123, which names of namespaces and containers are.
const MAX_LABEL: usize = 63;
/// A subdomain by RFC 1123, which names of pods are.
const MAX_SUBDOMAIN: usize = 253;
/// A UUID has 36 characters, the hash that stands for it in a static pod 32.
const MAX_UID: usize = 64;

/// The names in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pod<'p> {
    /// The namespace of the pod.
    pub(crate) namespace: &'p str,
    /// The name of the pod.
    pub(crate) name: &'p str,
    /// The pod's unique id.
    pub(crate) uid: &'p str,
    /// The name of the container.
    pub(crate) container: &'p str,
}

impl<'p> Pod<'p> {
    /// The pod whose container writes this file, rotated or not; `None` if the path has another shape.
    pub(crate) fn of(path: &'p Path) -> Option<Self> {
        let file = path.file_name()?.to_str()?;
        let (restarts, rest) = file.split_once('.')?;
        let is_log = rest == "log" || rest.starts_with("log.");
        let is_number = !restarts.is_empty() && restarts.bytes().all(|byte| byte.is_ascii_digit());
        if !is_log || !is_number {
            return None;
        }
        let folder = path.parent()?;
        let container = folder.file_name()?.to_str()?;
        let pod = folder.parent()?.file_name()?.to_str()?;
        let mut parts = pod.split('_');
        let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
        let are_names = is_name(namespace, MAX_LABEL, "-")
            && is_name(name, MAX_SUBDOMAIN, "-.")
            && is_name(uid, MAX_UID, "-")
            && is_name(container, MAX_LABEL, "-");
        (are_names && parts.next().is_none()).then_some(Self {
            namespace,
            name,
            uid,
            container,
        })
    }
}

fn is_name(text: &str, longest: usize, others: &str) -> bool {
    let is_allowed = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || others.contains(letter)
    };
    !text.is_empty() && text.len() <= longest && text.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "8e1f7a3c-2b64-4d9a-9c55-0d1f2a3b4c5d";

    #[test]
    fn a_path_of_kubelet_names_the_pod() {
        for file in [
            "0.log",
            "12.log",
            "0.log.20261127-120000",
            "0.log.20261127-120000.gz",
        ] {
            let path =
                format!("/host/log/pods/ingress-nginx_controller-6d.x_{UID}/controller/{file}");
            let pod = Pod {
                namespace: "ingress-nginx",
                name: "controller-6d.x",
                uid: UID,
                container: "controller",
            };
            assert_eq!(Pod::of(Path::new(&path)), Some(pod), "{file}");
        }
    }

    #[test]
    fn other_paths_and_names_that_kubernetes_does_not_allow_name_none() {
        let long = "a".repeat(64);
        for path in [
            "/var/log/nginx/access.log".to_owned(),
            "0.log".to_owned(),
            format!("/pods/shop_web_{UID}/nginx/access.log"),
            format!("/pods/shop_web_{UID}/nginx/0.logs"),
            format!("/pods/shop_web_{UID}/nginx/.log"),
            "/pods/shop_web/nginx/0.log".to_owned(),
            format!("/pods/shop_web_{UID}_x/nginx/0.log"),
            format!("/pods/shop__{UID}/nginx/0.log"),
            format!("/pods/Shop_web_{UID}/nginx/0.log"),
            format!("/pods/shop_we\"b_{UID}/nginx/0.log"),
            format!("/pods/{long}_web_{UID}/nginx/0.log"),
            format!("/pods/shop_web_{UID}/{long}/0.log"),
            "/pods/shop_web_\u{e9}/nginx/0.log".to_owned(),
        ] {
            assert_eq!(Pod::of(Path::new(&path)), None, "{path}");
        }
    }
}
