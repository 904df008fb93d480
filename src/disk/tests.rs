#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::io::Errno;

use super::sim::{Op, SimDisk};
use super::*;

const FILE: &str = "/state/file";
const PREVIOUS: &str = "/state/file.previous";

fn replace_with(disk: &dyn Disk, keeping: bool, content: &[u8]) -> Result<(), DiskError> {
    let file = Replaced::state(Path::new(FILE));
    let file = match keeping {
        true => file.keeping(".previous"),
        false => file,
    };
    replace(disk, file, |out| out.write_all(content))
}

#[test]
fn a_power_cut_at_every_step_leaves_the_old_content_or_the_new_one() {
    let mut left = BTreeSet::new();
    for keeping in [false, true] {
        for (steps, kept, torn) in every_cut() {
            let disk = SimDisk::new("/state");
            replace_with(&disk, keeping, b"old").unwrap();
            disk.die_after(steps);
            let replaced = replace_with(&disk, keeping, b"new").is_ok();
            assert_eq!(replaced, steps > 5 || (steps == 5 && !keeping));
            disk.heal();
            disk.power_cut(kept, torn);
            let names = [FILE, PREVIOUS].into_iter().find(|name| disk.exists(name));
            let content = disk.content(names.unwrap());
            let case = format!("{keeping} {steps} {kept} {torn}");
            match replaced {
                true => assert_eq!(content, b"new", "{case}"),
                false => assert!(content == b"old" || content == b"new", "{case}"),
            }
            left.insert(content);
        }
    }
    assert_eq!(left.len(), 2, "both outcomes are reached");
}

fn every_cut() -> impl Iterator<Item = (usize, usize, u8)> {
    let cuts = (0..8).flat_map(|steps| (0..4).map(move |kept| (steps, kept)));
    cuts.flat_map(|(steps, kept)| [0, 100, 255].map(|torn| (steps, kept, torn)))
}

#[test]
fn every_call_that_fails_is_named_and_leaves_the_old_content() {
    for (op, action, path) in [
        (Op::Create, "create", "/state/file.new"),
        (Op::Write, "write", "/state/file.new"),
        (Op::Sync, "fsync", "/state/file.new"),
        (Op::Rename, "rename", "/state/file.new"),
        (Op::SyncDir, "fsync", "/state"),
    ] {
        let disk = SimDisk::new("/state");
        replace_with(&disk, false, b"old").unwrap();
        disk.faults().add(op, "/state", Errno::NOSPC, 0, 1);
        let error = replace_with(&disk, false, b"new").unwrap_err();
        assert_eq!((error.action, &*error.path), (action, Path::new(path)));
        disk.power_cut(0, 0);
        assert_eq!(disk.content(FILE), b"old", "{op:?}");
        replace_with(&disk, false, b"newer").unwrap();
        assert_eq!(disk.content(FILE), b"newer", "{op:?}");
    }
}

/// The simulated disk does as the host's does, as far as no fault is ordered.
#[test]
fn the_host_and_the_simulation_agree() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    let sim = SimDisk::new(root.to_str().unwrap());
    for disk in [&HostDisk as &dyn Disk, &sim] {
        let inner = root.join("a/b");
        let path = inner.join("file");
        assert_eq!(
            disk.read(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(disk.append(&path, None).is_err());
        assert!(disk.create(&path, Rights::STATE).is_err());
        disk.create_dir_all(&inner, 0o700).unwrap();
        disk.create_dir_all(&inner, 0o700).unwrap();
        let file = disk.append(&path, Some(Rights::STATE)).unwrap();
        file.write_all(b"one two").unwrap();
        file.truncate(4).unwrap();
        file.write_all(b"three").unwrap();
        file.sync().unwrap();
        assert_eq!((disk.size(&path).unwrap(), file.size().unwrap()), (9, 9));
        let mut text = String::new();
        let mut read = reader(disk.open(&path).unwrap()).unwrap();
        file.write_all(b" later").unwrap();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one three");
        let mut two = [0; 2];
        assert_eq!(file.read_at(&mut two, 14).unwrap(), 1);
        replace(disk, Replaced::state(&path).keeping(".old"), |out| {
            out.write_all(b"new")
        })
        .unwrap();
        assert_eq!(disk.read(&path).unwrap(), b"new");
        assert_eq!(
            disk.read(&inner.join("file.old")).unwrap(),
            b"one three later"
        );
        assert!(disk.read(&inner.join("file.new")).is_err());

        let lock = inner.join("lock");
        let held = disk.lock(&lock, Rights::STATE).unwrap();
        assert!(disk.try_lock(&lock, Rights::STATE).unwrap().is_none());
        drop(held);
        assert!(disk.try_lock(&lock, Rights::STATE).unwrap().is_some());
    }
    let metadata = std::fs::metadata(root.join("a/b/file")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777 & !0o640, 0);
    assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw());
}
