//! The embedded store on the host's disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logweir_store::{HostDisk, Limits, Reader, Sources};

use super::Contract;
use crate::clock::SystemClock;
use crate::output::store::{Settings, Store};

pub(super) struct Storage {
    path: PathBuf,
}

impl Contract for Storage {
    type Output = Store;

    const POSITIONS: &'static str = "store /storage";

    fn empty(folder: &Path) -> Self {
        Self {
            path: folder.join("store"),
        }
    }

    fn start(&self) -> Arc<Store> {
        let limits = Limits {
            retention: None,
            disk_budget: None,
            memory: 1 << 24,
        };
        let settings = Settings {
            path: self.path.clone(),
            limits,
        };
        Store::open_after(HostDisk, settings, Arc::new(SystemClock::new()), None).unwrap()
    }

    fn documents(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let Ok(reader) = Reader::open(&self.path) else {
            return counts;
        };
        for day in reader.days().unwrap() {
            for segment in reader.segments(day.index, i64::MIN, i64::MAX).unwrap() {
                let sources = Sources::of(&segment).unwrap();
                for row in 0..segment.rows() {
                    let document = sources.get(row).unwrap();
                    let id = format!("{} {}", document["@timestamp"], document["log"]["offset"]);
                    *counts.entry(id).or_default() += 1;
                }
            }
        }
        counts
    }
}
