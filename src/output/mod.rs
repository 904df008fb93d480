//! The interface between the pipeline and the outputs that accept its documents.
//!
//! Owns the [`Output`] trait, its gate and the dead letters; one directory below for each kind of output. Refuses to know
//! where lines come from. Invariant: a position moves only over batches that an output acknowledged ([`Ack`]), and it
//! acknowledges a batch only when each of its documents is durable, or kept in the dead-letter file.

pub mod ack;
pub mod console;
pub mod dead_letters;
pub mod elasticsearch;
pub mod gate;
pub mod health;
pub mod store;

use tokio_util::sync::CancellationToken;

pub use ack::{Ack, BatchOutcome};
pub use health::Health;

use crate::event::{Batch, Framing};
use crate::telemetry::MetricSink;

/// Takes batches of documents and acknowledges them.
///
/// An output accepts a batch when it gives the buffer back, and acknowledges it when it is durable. A cluster does both
/// at once; a store that commits in groups accepts many batches and acknowledges them together. The pipeline hands over
/// no more while a thousand are not acknowledged.
pub trait Output: OutputStatus {
    /// How this output frames each document.
    type Framing: Framing;

    /// A framing for one reader.
    fn framing(&self) -> Self::Framing;

    /// Accepts one batch, however long that takes, and returns its buffer, whose body may be empty or not. When `stop` is
    /// cancelled, the batch is given up: dropping `ack` reports that its lines must be read again.
    fn deliver(
        &self,
        batch: Batch,
        ack: Ack,
        stop: &CancellationToken,
    ) -> impl Future<Output = Batch> + Send;

    /// Asks whether the first batch may go.
    fn readiness(&self) -> impl Future<Output = Readiness> + Send;
}

/// The state of an output that others may see.
pub trait OutputStatus: Send + Sync + 'static {
    /// Where documents go, as text for people, such as addresses.
    fn target(&self) -> String;

    /// How delivery is doing now.
    fn health(&self) -> Health;

    /// Whether the other side has responded since the start, with any response.
    fn has_responded(&self) -> bool;

    /// Documents that ended since the start; it grows as soon as that is known, before their batch is acknowledged.
    fn documents_ended(&self) -> u64;

    /// Writes the output's own metrics.
    fn write_metrics(&self, sink: &mut dyn MetricSink) -> std::fmt::Result;
}

/// Whether an output takes documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// Its readiness is unknown, and it counts as ready; the text is the reason.
    Unknown(String),
    /// It does not until an operator acts; the text is the hint.
    Missing(String),
    /// It could not be asked.
    Unreachable(String),
}
