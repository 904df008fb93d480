//! The section `[store]`: the embedded store, which is the output where no cluster is configured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::{Fault, Problem};
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;
use super::units::Bytes;

/// The store's place and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Store {
    /// The directory.
    pub path: PathBuf,
    /// Days older than this are removed.
    pub retention: Duration,
    /// Space on disk, beyond which the oldest days are removed.
    pub disk_budget: Bytes,
    /// Memory of documents that are not on disk.
    pub memory: Bytes,
    /// The section is present: the operator chose the store, it is not a fallback.
    pub is_chosen: bool,
}

/// Reads the section; without it, it uses the defaults. `cluster` is the section of a cluster, which excludes it.
pub(super) fn read(
    values: Option<&Values>,
    cluster: Option<&Values>,
    data_dir: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> Option<Store> {
    let mut scope = Scope::new(Section::Store, values, problems);
    if let (Some(_), Some(cluster)) = (values, cluster) {
        let fault = Fault::Conflict {
            other: format!("[elasticsearch] ({})", cluster.origin),
            hint: "records go to one of them; remove the other section",
        };
        let origin = scope.origin();
        let key = Section::Store.name().to_owned();
        scope.problems().push(Problem { origin, key, fault });
    }
    let path = match scope.written("path") {
        Some(_) => scope.path("path"),
        None => data_dir.map(|data_dir| data_dir.join("store")),
    };
    let retention = scope.duration("retention");
    let disk_budget = scope.bytes("disk_budget");
    let memory = scope.bytes("memory");
    Some(Store {
        path: path?,
        retention: retention?,
        disk_budget: disk_budget?,
        memory: memory?,
        is_chosen: values.is_some(),
    })
}
