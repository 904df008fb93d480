//! Tests of the store as a whole.

#![allow(clippy::unwrap_used)]

mod documents;
mod limits;
mod model;
mod sim_disk;

use std::path::Path;
use std::sync::Arc;

use crate::{Disk, DocumentKey, Index, Limits, Schema, Sources, Writer};

const STORE: &str = "/data/store";
const DAY: u32 = 20_780;

const NO_LIMITS: Limits = Limits {
    retention: None,
    disk_budget: None,
    memory: 1 << 20,
};

fn schema() -> Arc<Schema> {
    let component = include_str!("../../../mappings/elasticsearch/component-mappings.json");
    Arc::new(Schema::parse(component).unwrap())
}

fn open<D: Disk>(disk: &D, limits: Limits) -> Writer<D> {
    Writer::open(disk.clone(), Path::new(STORE), schema(), limits).unwrap()
}

/// The key of a line in second `second` of day `day`.
fn key(day: u32, second: u32, stream: u64, offset: u64) -> DocumentKey {
    let second = day * 86_400 + second;
    DocumentKey {
        second,
        stream,
        offset,
    }
}

/// A document that says its key.
fn document(key: &DocumentKey) -> Vec<u8> {
    let time = crate::time::text(i64::from(key.second) * 1000).unwrap();
    format!(
        r#"{{"@timestamp":"{time}","http":{{"route":"/a/{}"}},"log":{{"file":{{"path":"{}"}},"offset":{}}}}}"#,
        key.second % 3,
        key.stream,
        key.offset
    )
    .into_bytes()
}

fn add<D: Disk>(
    writer: &mut Writer<D>,
    keys: &[DocumentKey],
) -> Result<crate::Added, crate::StoreError> {
    let documents: Vec<Vec<u8>> = keys.iter().map(document).collect();
    let batch: Vec<_> = keys
        .iter()
        .zip(&documents)
        .map(|(key, document)| (*key, &**document))
        .collect();
    writer.add(&batch)
}

/// The keys of all documents on disk, as their documents say them.
fn stored<D: Disk>(disk: &D) -> Vec<DocumentKey> {
    let mut keys = Vec::new();
    for name in disk.list(Path::new(STORE)).unwrap() {
        if Index::parse(&name).is_none() {
            continue;
        }
        let directory = Path::new(STORE).join(&name);
        let Ok(bytes) = disk.read(&directory.join(crate::manifest::FILE)) else {
            continue;
        };
        for entry in crate::manifest::Manifest::parse(&bytes).unwrap().segments {
            let segment = disk.open(&directory.join(entry.file())).unwrap();
            assert_eq!(segment.rows(), entry.documents);
            let sources = Sources::of(&segment).unwrap();
            for row in 0..segment.rows() {
                let document = sources.get(row).unwrap();
                let time = document["@timestamp"].as_str().unwrap();
                let path = document["log"]["file"]["path"].as_str().unwrap();
                keys.push(DocumentKey {
                    second: u32::try_from(crate::time::parse(time).unwrap() / 1000).unwrap(),
                    stream: path.parse().unwrap(),
                    offset: document["log"]["offset"].as_u64().unwrap(),
                });
            }
        }
    }
    keys.sort_unstable();
    keys
}
