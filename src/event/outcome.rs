//! How documents ended.

/// Counts of documents by their end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Newly in the output.
    pub indexed: u64,
    /// Already in the output (409 on `create`): delivered before.
    pub duplicate: u64,
    /// Taken by Elasticsearch's failure store.
    pub diverted: u64,
    /// Refused for the document's own fault and kept in the dead-letter file.
    pub dead_lettered: u64,
    /// Kept in the dead-letter file because their index refuses while others accept.
    pub parked: u64,
    /// Dropped by an ingest pipeline of the cluster (`result: noop`). The telemetry counts blank lines here too, which
    /// are never sent.
    pub filtered: u64,
    /// Of a day that the output has dropped for its age or size.
    pub expired: u64,
}

impl OutcomeCounts {
    /// Documents that ended in any way.
    pub fn total(&self) -> u64 {
        let Self {
            indexed,
            duplicate,
            diverted,
            dead_lettered,
            parked,
            filtered,
            expired,
        } = self;
        indexed + duplicate + diverted + dead_lettered + parked + filtered + expired
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.indexed += other.indexed;
        self.duplicate += other.duplicate;
        self.diverted += other.diverted;
        self.dead_lettered += other.dead_lettered;
        self.parked += other.parked;
        self.filtered += other.filtered;
        self.expired += other.expired;
    }
}
