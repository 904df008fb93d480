//! Detects a container by the signs that container managers leave.
//!
//! Owns the list of signs. Refuses to know the consequences. Invariant: one sign is enough, and an unreadable file counts as
//! no sign.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// Files whose presence shows a container: Docker; Podman; systemd for whatever manager started it (container interface,
/// systemd.io/CONTAINER_INTERFACE); the credentials that Kubernetes mounts; LXC.
const FILES: [&str; 5] = [
    ".dockerenv",
    "run/.containerenv",
    "run/systemd/container",
    "var/run/secrets/kubernetes.io",
    "dev/.lxc-boot-id",
];
/// Variables that show a container: Kubernetes; systemd-nspawn, Podman and LXC; Amazon ECS.
const VARIABLES: [&str; 3] = [
    "KUBERNETES_SERVICE_HOST",
    "container",
    "ECS_CONTAINER_METADATA_URI",
];
/// Parts of a container's control group (cgroups(7), version 1; with version 2 it is often hidden).
const GROUPS: [&str; 8] = [
    "docker",
    "kubepods",
    "containerd",
    "libpod",
    "/lxc/",
    "lxc.payload",
    "machine.slice",
    "/ecs/",
];
/// File systems by which managers combine the layers of an image.
const LAYERS: [&str; 3] = ["overlay", "aufs", "fuse.fuse-overlayfs"];

/// The sign that this is a container; `root` is `/`.
pub(super) fn sign(root: &Path, variable: impl Fn(&str) -> bool) -> Option<String> {
    let file = FILES.iter().find(|file| root.join(file).exists());
    if let Some(file) = file {
        return Some(format!("/{file} is there"));
    }
    if let Some(name) = VARIABLES.iter().find(|name| variable(name)) {
        return Some(format!("the variable {name} is set"));
    }
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    for file in ["proc/self/cgroup", "proc/1/cgroup"] {
        let groups = read(file);
        if let Some(group) = GROUPS.iter().find(|group| groups.contains(*group)) {
            return Some(format!("/{file} has {group:?}"));
        }
    }
    // The environment that PID 1 was started with, if it is readable.
    let init = fs::read(root.join("proc/1/environ")).unwrap_or_default();
    if init
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(b"container="))
    {
        return Some("the variable container is set for process 1".to_owned());
    }
    let layer = layer(root)?;
    Some(format!("the root file system is of type {layer}"))
}

/// Whether the root file system consists of layers, the last of which ends with the container.
pub(super) fn is_layered(root: &Path) -> bool {
    layer(root).is_some()
}

/// The type of the root file system, if it is one of [`LAYERS`].
fn layer(root: &Path) -> Option<String> {
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    root_file_system(&mounts).filter(|of| LAYERS.contains(&of.as_str()))
}

/// Whether a variable of this process is set and not empty.
pub(super) fn variable(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value.as_os_str() != OsStr::new(""))
}

/// The type of what is mounted last on `/` (proc(5), mountinfo: the fifth field, and the first behind the hyphen).
fn root_file_system(mounts: &str) -> Option<String> {
    let of_root = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let (_, behind) = of_root.split_once(" - ")?;
    behind.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A machine with these files, and a path under which they lie.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn sign_of(files: &[(&str, &str)]) -> Option<String> {
        sign(machine(files).path(), |_| false)
    }

    const DISK: &str = "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";

    #[test]
    fn a_host_has_no_sign() {
        let host = [
            ("proc/self/cgroup", "0::/system.slice/logweir.service\n"),
            ("proc/1/cgroup", "0::/init.scope\n"),
            ("proc/1/environ", "HOME=/\0TERM=linux\0"),
            (
                "proc/self/mountinfo",
                "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                 90 25 0:50 / /var/lib/docker/overlay2/ab/merged rw - overlay overlay rw\n",
            ),
        ];
        assert_eq!(sign_of(&host), None);
        assert_eq!(sign_of(&[]), None);
    }

    #[test]
    fn each_file_is_a_sign() {
        for file in FILES {
            let found = sign_of(&[(file, ""), ("proc/self/mountinfo", DISK)]);
            assert_eq!(found, Some(format!("/{file} is there")));
        }
    }

    #[test]
    fn each_variable_is_a_sign() {
        let root = machine(&[]);
        for name in VARIABLES {
            let found = sign(root.path(), |asked| asked == name);
            assert_eq!(found, Some(format!("the variable {name} is set")));
        }
    }

    #[test]
    fn control_groups_of_each_manager_are_a_sign() {
        for group in [
            "12:pids:/docker/3f2a9c0d11be",
            "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-3f2a.scope",
            "0::/system.slice/containerd.service/kubepods-besteffort",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-3f2a.scope",
            "1:name=systemd:/lxc/web",
            "0::/lxc.payload.web/init.scope",
            "0::/machine.slice/systemd-nspawn@web.service/payload",
            "9:cpu:/ecs/task-1/3f2a",
        ] {
            for file in ["proc/self/cgroup", "proc/1/cgroup"] {
                assert!(sign_of(&[(file, group)]).is_some(), "{group}");
            }
        }
    }

    #[test]
    fn the_first_process_and_the_root_file_system_are_signs() {
        let init = sign_of(&[("proc/1/environ", "A=b\0container=systemd-nspawn\0")]);
        assert!(init.unwrap().contains("process 1"));
        assert_eq!(sign_of(&[("proc/1/environ", "mycontainer=1\0")]), None);
        for layer in LAYERS {
            let mounts = format!(
                "1 0 0:2 / / rw - {layer} {layer} rw,lowerdir=/a\n{}",
                DISK.replace(" / / ", " / /data ")
            );
            let found = sign_of(&[("proc/self/mountinfo", &mounts)]);
            assert_eq!(
                found,
                Some(format!("the root file system is of type {layer}"))
            );
        }
    }
}
