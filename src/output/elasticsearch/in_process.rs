//! The real output with a scripted cluster in this process, for tests of the whole pipeline.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use super::deliver::Deliverer;
use super::transport::{BulkRequest, BulkTransport};
use super::{ActionLines, Settings};
use crate::config::IndexTarget;
use crate::event::Batch;
use crate::fail_points::{FailPoints, Step, StepAction};
use crate::http::{Backoff, HttpError, NodeFault, Nodes, Response, Service};
use crate::output::dead_letters::DeadLetters;
use crate::output::{Ack, Health, Output, OutputStatus, Readiness};
use crate::telemetry::MetricSink;
pub(crate) use testkit::fake_cluster::{Cluster, Fault, Reaction};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Passes requests to the cluster; it waits, in virtual time, before and after the cluster acts.
struct Scripted {
    points: FailPoints,
    cluster: Arc<Mutex<Cluster>>,
    clock: Arc<dyn crate::clock::Clock>,
    nodes: Nodes,
}

impl BulkTransport for Scripted {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    async fn bulk(&self, _: usize, request: BulkRequest) -> Result<Response, HttpError> {
        let failed = |fault| {
            Err(HttpError::Node {
                node: "node-0".to_owned(),
                service: Service::Cluster,
                fault,
            })
        };
        // An agent that dies during one of these waits has sent nothing, or does not get the response.
        let now = self.clock.now().subsec_millis();
        tokio::time::sleep(Duration::from_millis(u64::from(now % 90))).await;
        if !passes(&self.points, Step::Send).await {
            return failed(NodeFault::Refused);
        }
        let reaction = self.cluster.lock().unwrap().bulk(&request.body);
        tokio::time::sleep(Duration::from_millis(40)).await;
        if !passes(&self.points, Step::Answer).await {
            return failed(NodeFault::Broken("reset".into()));
        }
        match reaction {
            Reaction::Answer {
                status,
                retry_after,
                body,
                ..
            } => Ok(Response {
                retry_after: retry_after.map(str::to_owned),
                ..Response::new(status, body)
            }),
            Reaction::Cut { .. } | Reaction::Reset => failed(NodeFault::Broken("reset".into())),
            Reaction::Refused => failed(NodeFault::Refused),
            Reaction::Hang => {
                tokio::time::sleep(TIMEOUT).await;
                failed(NodeFault::Timeout(TIMEOUT))
            }
        }
    }
}

/// An output that delivers into the cluster.
pub(crate) struct InProcess {
    deliverer: Arc<Deliverer<Scripted>>,
    points: FailPoints,
}

/// Waits as long as the fail point requires, for ever if the agent dies there. Returns whether the step succeeds.
async fn passes(points: &FailPoints, step: Step) -> bool {
    match points.pass(step) {
        StepAction::Proceed => true,
        StepAction::Fail => false,
        StepAction::Delay => {
            tokio::time::sleep(2 * TIMEOUT).await;
            true
        }
        StepAction::Stop => std::future::pending().await,
    }
}

impl InProcess {
    pub(crate) fn new(
        cluster: Arc<Mutex<Cluster>>,
        data_dir: &Path,
        clock: Arc<dyn crate::clock::Clock>,
        points: &FailPoints,
    ) -> Arc<Self> {
        let node = Url::parse("http://es:9200").unwrap();
        let mut settings = Settings {
            max_in_flight: 2,
            batch_bytes: 2048,
            ..Settings::new(vec![node], data_dir.to_owned())
        };
        settings.connection.gzip = false;
        let transport = Scripted {
            points: points.clone(),
            cluster,
            clock: Arc::clone(&clock),
            nodes: Nodes::new(1, Backoff::default()),
        };
        let mut deliverer = Deliverer::new(transport, &settings, None, clock);
        let letters = DeadLetters::new(data_dir, settings.dead_letter_bytes);
        deliverer.dead_letters = Arc::new(letters.counted(points));
        Arc::new(Self {
            deliverer: Arc::new(deliverer),
            points: points.clone(),
        })
    }

    /// Resends parked documents.
    pub(crate) async fn resend_parked(&self) {
        self.deliverer.resend_parked().await;
    }

    pub(crate) fn dead_letters(&self) -> &DeadLetters {
        &self.deliverer.dead_letters
    }
}

impl OutputStatus for InProcess {
    fn target(&self) -> String {
        "a test".to_owned()
    }

    fn health(&self) -> Health {
        self.deliverer.health()
    }

    fn has_responded(&self) -> bool {
        true
    }

    fn documents_ended(&self) -> u64 {
        self.deliverer.sender.stats.settled()
    }

    fn write_metrics(&self, _: &mut dyn MetricSink) -> std::fmt::Result {
        Ok(())
    }
}

impl Output for InProcess {
    type Framing = ActionLines;

    fn framing(&self) -> ActionLines {
        ActionLines::new(IndexTarget::default_target().unwrap())
    }

    async fn deliver(&self, batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        let asked = "as the test asked";
        assert!(passes(&self.points, Step::Seal).await, "{asked}");
        let delivery = self.deliverer.deliver(batch, stop).await;
        if delivery.settled {
            assert!(passes(&self.points, Step::Settle).await, "{asked}");
            ack.durable(delivery.counts);
        }
        delivery.batch
    }

    async fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}
