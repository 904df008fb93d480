//! The scripted cluster beside a test that runs an agent as a process.

use std::sync::MutexGuard;

use serde_json::Value;

use crate::fake_cluster::Cluster;
use crate::fake_es::FakeEs;

/// The template's name under the default index.
pub const TEMPLATE: &str = "nginx-access";

/// A running cluster.
pub struct Stage {
    pub es: FakeEs,
}

impl Stage {
    /// A good cluster with the template.
    pub fn new() -> Self {
        let mut cluster = Cluster::default();
        cluster.put_template(TEMPLATE);
        Self::of(cluster)
    }

    pub fn of(cluster: Cluster) -> Self {
        Self {
            es: FakeEs::start(cluster),
        }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.es.address)
    }

    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.es.cluster()
    }

    /// The first lines of all requests, as they came.
    pub fn requests(&self) -> Vec<String> {
        let seen = self.es.seen();
        seen.into_iter().map(|request| request.line).collect()
    }

    /// How many requests begin like this.
    pub fn asked(&self, beginning: &str) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }

    /// The documents that it holds.
    pub fn documents(&self) -> Vec<Value> {
        let cluster = self.cluster();
        let texts = cluster.documents.values();
        texts
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// The numbers of the lines that it holds, in order, with repeats.
    pub fn numbers(&self) -> Vec<u32> {
        let documents = self.documents();
        let numbers = documents.iter().map(|document| {
            let path = document["url"]["path"].as_str().unwrap();
            path.strip_prefix("/item/").unwrap().parse().unwrap()
        });
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    /// How many documents it holds.
    pub fn count(&self) -> usize {
        self.cluster().documents.len()
    }

    /// Holds each of these lines exactly once, and nothing else.
    #[track_caller]
    pub fn assert_exactly(&self, wanted: std::ops::Range<u32>) {
        let numbers = self.numbers();
        let first = numbers
            .iter()
            .copied()
            .zip(wanted.clone())
            .find(|(found, wanted)| found != wanted);
        assert_eq!(first, None, "the first that is (not what is wanted)");
        assert_eq!(numbers.len(), wanted.len());
    }
}
