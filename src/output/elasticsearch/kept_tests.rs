//! Dead letters and parked documents, in virtual time.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_bad_document_is_kept_and_the_others_are_indexed() {
    let lab = Lab::new(Cluster::default());
    let mut items: Vec<_> = (0..100).map(|id| ("today", id, false)).collect();
    items[17].2 = true;
    let delivery = lab.deliver(batch_of(&items)).await;
    assert_eq!(
        delivery.counts,
        OutcomeCounts {
            indexed: 99,
            dead_lettered: 1,
            ..OutcomeCounts::default()
        }
    );
    let entries = lab.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].kind, entries[0].id.as_str()),
        (EntryKind::Dead, "id-17")
    );
    assert_eq!(entries[0].reason.kind, "document_parsing_exception");
    assert!(
        entries[0]
            .document
            .as_ref()
            .unwrap()
            .get()
            .contains("\"n\":17")
    );
}

#[tokio::test(start_paused = true)]
async fn too_many_bad_documents_hold_until_the_mapping_is_corrected() {
    let lab = Lab::new(Cluster::default());
    let items: Vec<_> = (0..100).map(|id| ("today", id, id < 10)).collect();
    let stop = CancellationToken::new();
    let delivery = lab.start(batch_of(&items), &stop);
    tokio::time::sleep(10 * MINUTE).await;
    assert!(!delivery.is_finished());
    assert!(lab.entries().is_empty());
    let Health::Holding { reason, hint, .. } = lab.deliverer.health() else {
        panic!("{:?}", lab.deliverer.health())
    };
    assert!(
        reason.contains("10 of 100") && hint.contains("setup"),
        "{reason} {hint}"
    );
    assert_eq!(lab.held_ids(), ids(10..100), "the others are in");
    // The mapping is corrected, so they are accepted unchanged.
    for id in 0..10 {
        lab.cluster()
            .documents
            .insert(("today".into(), format!("id-{id}")), String::new());
    }
    let delivery = delivery.await.unwrap();
    assert!(delivery.settled);
    assert_eq!(
        delivery.counts,
        OutcomeCounts {
            indexed: 90,
            duplicate: 10,
            ..OutcomeCounts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_dead_letter_file_holds() {
    let lab = Lab::with(Cluster::default(), 1, None, |settings| {
        settings.dead_letter_bytes = 10
    });
    let stop = CancellationToken::new();
    let delivery = lab.start(batch_of(&[("today", 1, true), ("today", 2, false)]), &stop);
    tokio::time::sleep(10 * MINUTE).await;
    let Health::Holding { hint, .. } = lab.deliverer.health() else {
        panic!()
    };
    assert!(hint.contains("dead-letters list"), "{hint}");
    stop.cancel();
    let delivery = delivery.await.unwrap();
    assert!(!delivery.settled);
    assert_eq!(delivery.counts.dead_lettered, 0);
    assert!(lab.entries().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closed_old_index_is_parked_after_ten_minutes_and_its_lines_are_resent() {
    let closed = BTreeSet::from(["old".to_owned()]);
    let lab = Lab::new(Cluster {
        closed,
        ..Cluster::default()
    });
    let items: Vec<_> = (0..20)
        .map(|id| (if id % 2 == 0 { "old" } else { "today" }, id, false))
        .collect();
    let began = Instant::now();
    let delivery = lab.deliver(batch_of(&items)).await;
    assert!(began.elapsed() >= 10 * MINUTE && began.elapsed() < 12 * MINUTE);
    assert!(delivery.settled);
    assert_eq!(
        delivery.counts,
        OutcomeCounts {
            indexed: 10,
            parked: 10,
            ..OutcomeCounts::default()
        }
    );
    assert!(
        lab.entries()
            .iter()
            .all(|entry| entry.kind == EntryKind::Parked)
    );
    assert_eq!(lab.entries().len(), 10);

    let later: Vec<_> = (20..22).map(|id| ("old", id, false)).collect();
    let began = Instant::now();
    assert_eq!(lab.deliver(batch_of(&later)).await.counts.parked, 2);
    assert!(began.elapsed() < MINUTE, "the index is known by now");

    lab.deliverer.resend_parked().await;
    assert_eq!(lab.entries().len(), 12, "still closed");
    lab.cluster().closed.clear();
    lab.deliverer.resend_parked().await;
    assert!(lab.entries().is_empty());
    assert_eq!(lab.held_ids(), ids(0..22));
    assert_eq!(lab.deliverer.sender.stats.unparked(), 12);
    assert_eq!(
        lab.deliver(batch_of(&[("old", 30, false)]))
            .await
            .counts
            .indexed,
        1
    );
    assert!(lab.directory.path().join("dead-letters").is_dir());
}

/// Where nginx.conf changes every few minutes, no agent runs for ten.
#[tokio::test(start_paused = true)]
async fn index_health_survives_reloads() {
    let closed = || Cluster {
        closed: BTreeSet::from(["old".to_owned()]),
        ..Cluster::default()
    };
    let items = [("old", 0, false), ("today", 1, false)];
    let mut before: Option<Lab> = None;
    let began = Instant::now();
    loop {
        let mut lab = Lab::new(closed());
        if let Some(before) = &before {
            let deliverer = Arc::get_mut(&mut lab.deliverer).unwrap();
            deliverer.continue_from(&before.deliverer, true);
        }
        let stop = CancellationToken::new();
        let delivery = lab.start(batch_of(&items), &stop);
        tokio::time::sleep(3 * MINUTE).await;
        stop.cancel();
        let delivery = delivery.await.unwrap();
        if delivery.settled {
            assert_eq!((delivery.counts.indexed, delivery.counts.parked), (1, 1));
            break;
        }
        assert!(began.elapsed() < 15 * MINUTE, "each begins anew");
        before = Some(lab);
    }
    assert!(began.elapsed() >= 10 * MINUTE);
    // another cluster has refused nothing yet, but the request counters continue
    let before = before.unwrap().deliverer;
    let mut other = Lab::new(closed());
    let deliverer = Arc::get_mut(&mut other.deliverer).unwrap();
    deliverer.continue_from(&before, false);
    assert!(
        !deliverer.sender.index_health.parkable("old")
            && before.sender.index_health.parkable("old")
    );
    assert_eq!(
        deliverer.sender.stats.sent_bytes(),
        before.sender.stats.sent_bytes()
    );
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_refuses_everything_parks_nothing() {
    let closed = BTreeSet::from(["today".to_owned()]);
    let lab = Lab::new(Cluster {
        closed,
        ..Cluster::default()
    });
    let stop = CancellationToken::new();
    let delivery = lab.start(good(10), &stop);
    tokio::time::sleep(60 * MINUTE).await;
    assert!(matches!(lab.deliverer.health(), Health::Holding { .. }));
    assert!(lab.entries().is_empty());
    lab.cluster().closed.clear();
    assert_eq!(delivery.await.unwrap().counts.indexed, 10);
}

#[tokio::test(start_paused = true)]
async fn a_parked_document_that_is_rejected_becomes_a_dead_letter() {
    let lab = Lab::new(Cluster::default());
    let batch = batch_of(&[("old", 1, true), ("old", 2, false)]);
    let entries: Vec<Entry> = (0..2)
        .map(|at| {
            let item = batch.items[at];
            let bytes = batch.item(at).unwrap();
            let (action, document) = bytes.split_at((item.document - item.start) as usize);
            let closed = Rejection::new(400, "index_closed_exception", "closed");
            entry_of(EntryKind::Parked, action, document, closed)
        })
        .collect();
    lab.deliverer.dead_letters.append(&entries).unwrap();
    lab.deliverer.resend_parked().await;
    let left = lab.entries();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].kind, left[0].id.as_str()),
        (EntryKind::Dead, "id-1")
    );
    assert_eq!(left[0].reason.kind, "document_parsing_exception");
    assert_eq!(lab.held_ids(), ids(2..3));
}

#[tokio::test(start_paused = true)]
async fn parked_documents_too_large_for_one_request_are_resent_in_halves() {
    let lab = Lab::new(Cluster {
        max_bytes: Some(300),
        ..Cluster::default()
    });
    let batch = good(20);
    let entries: Vec<Entry> = (0..20)
        .map(|at| {
            let item = batch.items[at];
            let split = (item.document - item.start) as usize;
            let (action, document) = batch.item(at).unwrap().split_at(split);
            entry_of(
                EntryKind::Parked,
                action,
                document,
                Rejection::new(0, "closed", ""),
            )
        })
        .collect();
    lab.deliverer.dead_letters.append(&entries).unwrap();
    lab.deliverer.resend_parked().await;
    assert!(lab.entries().is_empty());
    assert_eq!(lab.held_ids(), ids(0..20));
}

/// A walk shares the path of live batches: one dead node does not end it.
#[tokio::test(start_paused = true)]
async fn parked_documents_are_resent_to_a_living_node() {
    let lab = Lab::with(Cluster::default(), 2, Some(0), |_| {});
    let batch = good(3);
    let entries: Vec<Entry> = (0..3)
        .map(|at| {
            let item = batch.items[at];
            let split = (item.document - item.start) as usize;
            let (action, document) = batch.item(at).unwrap().split_at(split);
            let closed = Rejection::new(0, "closed", "");
            entry_of(EntryKind::Parked, action, document, closed)
        })
        .collect();
    lab.deliverer.dead_letters.append(&entries).unwrap();
    lab.deliverer.resend_parked().await;
    assert!(lab.entries().is_empty());
    assert_eq!(lab.held_ids(), ids(0..3));
}

/// Another process has the dead-letter file, or its disk is slow: the delivery waits, a stop waits for it, and the
/// written entries are counted.
#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_slow_dead_letter() {
    let lab = Lab::new(Cluster::default());
    // makes the file and its lock
    lab.deliver(batch_of(&[("today", 0, true)])).await;
    let lock = lab.directory.path().join("dead-letters/dead-letters.lock");
    let lock = std::fs::File::open(lock).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let stop = CancellationToken::new();
    let delivery = lab.start(batch_of(&[("today", 1, true), ("today", 2, false)]), &stop);
    while lab.cluster().documents.is_empty() {
        // virtual time does not pass by itself while another thread works
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!delivery.is_finished());
    assert_eq!(lab.entries().len(), 1);
    drop(lock);
    let delivery = delivery.await.unwrap();
    assert!(delivery.settled);
    assert_eq!(
        (delivery.counts.indexed, delivery.counts.dead_lettered),
        (1, 1)
    );
    assert_eq!(lab.entries().len(), 2);
}
