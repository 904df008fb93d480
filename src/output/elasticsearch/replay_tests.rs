//! Replays against the scripted cluster, in virtual time.

use super::super::super::replay::Replayed;
use super::*;
use crate::output::dead_letters::Choice;

const FIVE: Duration = Duration::from_secs(300);

/// Writes the items of a batch into the dead-letter file.
fn append_entries(lab: &Lab, kind: EntryKind, items: &[(&str, usize, bool)]) {
    let batch = batch_of(items);
    let entries: Vec<Entry> = (0..items.len())
        .map(|at| {
            let item = batch.items[at];
            let split = (item.document - item.start) as usize;
            let (action, document) = batch.item(at).unwrap().split_at(split);
            let reason = Rejection::new(400, "first_reason", "as it was");
            entry_of(kind, action, document, reason)
        })
        .collect();
    lab.deliverer.dead_letters.append(&entries).unwrap();
}

async fn replay(lab: &Lab) -> Replayed {
    let all = Choice::default();
    lab.deliverer.replay(&all, FIVE).await.unwrap()
}

/// The remaining entries: id, kind and reason.
fn left(lab: &Lab) -> Vec<(String, EntryKind, String)> {
    lab.entries()
        .into_iter()
        .map(|entry| (entry.id, entry.kind, entry.reason.kind))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn accepted_entries_leave_the_file_and_others_get_the_new_reason() {
    let lab = Lab::new(Cluster {
        closed: BTreeSet::from(["shut".to_owned()]),
        ..Cluster::default()
    });
    lab.deliver(batch_of(&[("day", 1, false)])).await;
    append_entries(
        &lab,
        EntryKind::Dead,
        &[("day", 1, false), ("day", 2, false)],
    );
    append_entries(
        &lab,
        EntryKind::Parked,
        &[("day", 3, true), ("shut", 4, false)],
    );
    append_entries(&lab, EntryKind::Dead, &[("shut", 5, false)]);
    let done = replay(&lab).await;
    assert_eq!(done.chosen, 5);
    assert_eq!((done.taken.indexed, done.taken.duplicate), (1, 1));
    assert_eq!((done.refused(), done.left()), (1, 2));
    assert_eq!(done.refused["document_parsing_exception"], 1);
    let (message, hint) = done.waiting.keys().next().unwrap();
    assert!(
        message.contains("shut") && hint.contains("_open"),
        "{message} {hint}"
    );
    let closed = || "index_closed_exception".to_owned();
    assert_eq!(
        left(&lab),
        [
            (
                "id-3".into(),
                EntryKind::Dead,
                "document_parsing_exception".into()
            ),
            ("id-4".into(), EntryKind::Parked, closed()),
            ("id-5".into(), EntryKind::Dead, closed()),
        ]
    );
    assert_eq!(lab.held_ids(), ids(1..3));
}

#[tokio::test(start_paused = true)]
async fn only_chosen_entries_are_sent_and_changed() {
    let lab = Lab::new(Cluster::default());
    append_entries(&lab, EntryKind::Dead, &[("day", 1, true)]);
    append_entries(&lab, EntryKind::Parked, &[("day", 2, false)]);
    let none = Choice::of(None, Some("no such reason"));
    let done = lab.deliverer.replay(&none, FIVE).await.unwrap();
    assert_eq!(done, Replayed::default());
    assert!(lab.cluster().bulks.is_empty());
    let parked = Choice::of(Some(EntryKind::Parked), Some("FIRST_reason"));
    let done = lab.deliverer.replay(&parked, FIVE).await.unwrap();
    assert_eq!((done.chosen, done.taken.indexed), (1, 1));
    assert_eq!(
        left(&lab),
        [("id-1".into(), EntryKind::Dead, "first_reason".into())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_replay_waits_for_a_cluster_that_recovers() {
    let lab = Lab::new(Cluster::with([
        Fault::Refused,
        Fault::Status(503, None, "x"),
        Fault::ResetAfter,
        Fault::Items {
            every: 2,
            status: 429,
            kind: "busy",
        },
        Fault::CutJson(20),
        Fault::Status(413, None, "x"),
    ]));
    let items: Vec<_> = (0..9).map(|id| ("day", id, false)).collect();
    append_entries(&lab, EntryKind::Dead, &items);
    let done = replay(&lab).await;
    assert_eq!((done.taken.total(), done.left()), (9, 0), "{done:?}");
    assert!(lab.entries().is_empty());
    assert_eq!(lab.held_ids(), ids(0..9));
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_in_time_without_a_cluster_and_loses_nothing() {
    let lab = Lab::with(Cluster::default(), 1, Some(0), |_| {});
    append_entries(
        &lab,
        EntryKind::Dead,
        &[("day", 1, false), ("day", 2, false)],
    );
    let began = Instant::now();
    let done = replay(&lab).await;
    assert!(began.elapsed() >= FIVE && began.elapsed() < 2 * FIVE);
    assert_eq!((done.taken.total(), done.late), (0, 2));
    assert!(done.busy.unwrap().contains("refused"));
    assert_eq!(left(&lab).len(), 2);
    assert_eq!(left(&lab)[0].2, "first_reason");
}

#[tokio::test(start_paused = true)]
async fn missing_privileges_are_reported_at_once() {
    let lab = Lab::new(Cluster::with(
        (0..9).map(|_| Fault::Status(401, None, "security_exception")),
    ));
    append_entries(&lab, EntryKind::Dead, &[("a", 1, false), ("b", 2, false)]);
    let began = Instant::now();
    let done = replay(&lab).await;
    assert!(began.elapsed() < MINUTE);
    assert_eq!(done.left(), 2);
    assert_eq!(lab.cluster().bulks.len(), 1);
    assert!(
        done.waiting
            .keys()
            .all(|(_, hint)| hint.contains("api_key"))
    );
    assert_eq!(
        left(&lab)[0].2,
        "first_reason",
        "nothing judged the document"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_file_is_sent_in_bounded_requests_and_invalid_lines_stay() {
    let lab = Lab::with(Cluster::default(), 1, None, |settings| {
        settings.batch_bytes = 1024;
    });
    let items: Vec<_> = (0..500).map(|id| ("day", id, id % 100 == 0)).collect();
    append_entries(&lab, EntryKind::Dead, &items);
    let path = lab.deliverer.dead_letters.path();
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.insert_str(0, "rubbish\n");
    std::fs::write(&path, text).unwrap();
    let done = replay(&lab).await;
    assert_eq!((done.taken.indexed, done.refused()), (495, 5));
    assert!(lab.cluster().bulks.iter().all(|bytes| *bytes < 16 * 1024));
    assert!(lab.cluster().bulks.len() > 10);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 6);
    assert!(text.starts_with("rubbish\n"));
}

#[tokio::test(start_paused = true)]
async fn a_replay_beside_the_agents_own_retries_loses_and_duplicates_nothing() {
    let lab = Lab::new(Cluster::default());
    let items: Vec<_> = (0..300).map(|id| ("day", id, id == 7)).collect();
    append_entries(&lab, EntryKind::Parked, &items);
    // another process with its own file handle and its own view of the cluster
    let settings = settings(lab.directory.path());
    let transport = InProcess {
        cluster: lab.cluster.clone(),
        nodes: nodes_of(1),
        dead: None,
        latency: Duration::from_millis(3),
    };
    let other = Deliverer::new(transport, &settings, None, Arc::new(SystemClock::new()));
    let all = Choice::default();
    let (done, ()) = tokio::join!(other.replay(&all, FIVE), lab.deliverer.resend_parked());
    let done = done.unwrap();
    assert_eq!(done.chosen, 300);
    assert_eq!(done.taken.total() + done.refused(), 300);
    assert_eq!(lab.cluster().documents.len(), 299);
    assert_eq!(left(&lab).len(), 1);
    assert_eq!(left(&lab)[0].0, "id-7");
}
