//! How long a delivery waits between retries, in virtual time.

use super::*;

/// Takes the scripted number of items of each request and refuses the others for now.
struct Refusing {
    taken: Vec<usize>,
    at: Mutex<Vec<Instant>>,
    nodes: Nodes,
}

impl BulkTransport for Refusing {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    async fn bulk(&self, _: usize, request: BulkRequest) -> Result<Response, HttpError> {
        let count = request.body.iter().filter(|byte| **byte == b'\n').count() / 2;
        let mut at = self.at.lock().unwrap();
        let taken = self.taken.get(at.len()).copied().unwrap_or(count);
        at.push(Instant::now());
        let items = (0..count).map(|item| {
            if item < taken {
                r#"{"create":{"status":201}}"#
            } else {
                r#"{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":""}}}"#
            }
        });
        let items = items.collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"errors":true,"items":[{items}]}}"#);
        Ok(Response::new(200, body))
    }
}

/// The longest wait before each retry, over many deliveries.
async fn longest_waits(taken: &[usize]) -> Vec<Duration> {
    let directory = TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let mut longest = vec![Duration::ZERO; taken.len()];
    for _ in 0..300 {
        let transport = Refusing {
            taken: taken.to_vec(),
            at: Mutex::default(),
            nodes: nodes_of(1),
        };
        let clock = Arc::new(SystemClock::new());
        let deliverer = Deliverer::new(transport, &settings(directory.path()), None, clock);
        assert!(deliverer.deliver(good(9), &stop).await.settled);
        let at = deliverer.sender.transport.at.lock().unwrap();
        assert_eq!(at.len(), taken.len() + 1);
        for (longest, pair) in longest.iter_mut().zip(at.windows(2)) {
            *longest = (*longest).max(pair[1] - pair[0]);
        }
    }
    longest
}

/// The longest of three hundred waits with full jitter is close to the bound, and none is above it.
#[tokio::test(start_paused = true)]
async fn each_retry_without_progress_doubles_the_longest_wait_and_progress_resets_it() {
    let fruitless = [0; 9];
    let some_fruit = [0, 0, 0, 4, 0, 0, 1, 1];
    for (taken, bounds) in [
        (
            &fruitless[..],
            &[500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000][..],
        ),
        (&some_fruit, &[500, 1000, 2000, 500, 1000, 2000, 500, 500]),
    ] {
        for (longest, bound) in longest_waits(taken).await.into_iter().zip(bounds) {
            let bound = Duration::from_millis(*bound);
            // the timer is exact to a millisecond
            assert!(
                longest <= bound + Duration::from_millis(1),
                "{longest:?} of {bound:?}"
            );
            assert!(longest > bound.mul_f64(0.8), "{longest:?} of {bound:?}");
        }
    }
}
