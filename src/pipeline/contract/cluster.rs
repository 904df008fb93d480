//! The Elasticsearch output with a cluster in this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Contract;
use crate::clock::SystemClock;
use crate::fail_points::FailPoints;
use crate::output::elasticsearch::in_process::{Cluster, InProcess};

pub(super) struct Storage {
    cluster: Arc<Mutex<Cluster>>,
    data_dir: PathBuf,
}

impl Contract for Storage {
    type Output = InProcess;

    const POSITIONS: &'static str = "elasticsearch:nginx-access-%Y.%m.%d";

    fn empty(folder: &Path) -> Self {
        Self {
            cluster: Arc::default(),
            data_dir: folder.to_owned(),
        }
    }

    fn start(&self) -> Arc<InProcess> {
        let clock = Arc::new(SystemClock::new());
        let points = FailPoints::default();
        InProcess::new(Arc::clone(&self.cluster), &self.data_dir, clock, &points)
    }

    fn documents(&self) -> BTreeMap<String, usize> {
        let cluster = self.cluster.lock().unwrap();
        let ids = cluster.documents.keys().map(|(_, id)| id.clone());
        ids.fold(BTreeMap::new(), |mut counts, id| {
            *counts.entry(id).or_default() += 1;
            counts
        })
    }
}
