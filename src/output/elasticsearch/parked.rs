//! Brings parked documents back into the cluster.
//!
//! Owns the walk over the dead-letter file's parked entries; refuses to know why they were parked. Invariant:
//! an entry leaves the file only after the cluster has it. Guards against lines that wait for a person
//! although their index was opened again long ago.

use std::collections::{HashMap, HashSet};
use std::sync::Weak;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bulk::walk;
use super::deliver::{Courier, Deliverer};
use super::judge::{Reason, Verdict, judge};
use super::parcel::Wire;
use crate::output::dead_letters::{Entry, Fate, Kind};

/// How often the file is walked, at the least.
const EVERY: Duration = Duration::from_secs(60);

/// Walks the file again and again until the output is gone or `stop` is cancelled.
pub(crate) async fn bring_back<C: Courier>(deliverer: Weak<Deliverer<C>>, stop: CancellationToken) {
    loop {
        let Some(deliverer) = deliverer.upgrade() else {
            return;
        };
        let every = EVERY.max(deliverer.backoff().max());
        if stop
            .run_until_cancelled(deliverer.bring_back_once())
            .await
            .is_none()
        {
            return;
        }
        drop(deliverer);
        if stop
            .run_until_cancelled(tokio::time::sleep(every))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// How one request with parked entries fared.
enum Passage {
    /// Its items are judged.
    Judged,
    /// Halves may pass.
    TooLarge,
    /// The cluster does not judge items now.
    Refused,
}

/// What became of entries, by index and id: in the cluster, or dead for this reason.
type Fates = HashMap<(String, String), Option<Reason>>;

impl<C: Courier> Deliverer<C> {
    /// Sends every parked entry once, as far as its index accepts, and rewrites the file at the end.
    pub(crate) async fn bring_back_once(&self) {
        if self.dead_letters.bytes() == 0 {
            return;
        }
        let mut fates = Fates::new();
        let mut refusing = HashSet::new();
        let mut from = 0;
        'walk: while let Some((entries, next)) = self.read_parked(from, refusing.clone()).await {
            from = next;
            let mut ready = vec![&entries[..]];
            while let Some(some) = ready.pop().filter(|some| !some.is_empty()) {
                match self.send_parked(some, &mut fates, &mut refusing).await {
                    Passage::Judged => {}
                    Passage::TooLarge => {
                        let (first, second) = some.split_at(some.len() / 2);
                        ready.extend([second, first].into_iter().filter(|half| !half.is_empty()));
                    }
                    Passage::Refused => break 'walk,
                }
            }
        }
        if fates.is_empty() {
            return;
        }
        let back = fates.values().filter(|reason| reason.is_none()).count();
        let file = self.dead_letters.clone();
        let rewritten = tokio::task::spawn_blocking(move || {
            file.rewrite(
                |entry| match fates.get(&(entry.index.clone(), entry.id.clone())) {
                    Some(_) if entry.kind == Kind::Dead => Fate::Keep,
                    Some(None) => Fate::Drop,
                    Some(Some(reason)) => Fate::Become(Box::new(Entry {
                        kind: Kind::Dead,
                        reason: reason.clone(),
                        ..entry.clone()
                    })),
                    None => Fate::Keep,
                },
            )
        })
        .await;
        match rewritten {
            Ok(Ok(())) => {
                self.stats.unparked_more(back as u64);
                tracing::info!(
                    documents = back,
                    "brought parked documents back into the cluster"
                );
            }
            // They stay in the file and are sent again; the cluster answers that it has them.
            Ok(Err(error)) => tracing::warn!(%error, "cannot rewrite the dead-letter file"),
            Err(error) => tracing::warn!(%error, "cannot rewrite the dead-letter file"),
        }
    }

    /// The next parked entries from place `from` on, about one batch of them, and the place after them.
    async fn read_parked(&self, from: u64, refusing: HashSet<String>) -> Option<(Vec<Entry>, u64)> {
        let file = self.dead_letters.clone();
        let batch_bytes = self.batch_bytes;
        let read = tokio::task::spawn_blocking(move || {
            let mut entries = Vec::new();
            let mut bytes = 0;
            let mut walk = file.entries_from(from).ok()?;
            for entry in walk.by_ref() {
                let Ok(entry) = entry else { continue };
                if entry.kind == Kind::Parked && !refusing.contains(&entry.index) {
                    bytes += entry
                        .document
                        .as_ref()
                        .map_or(0, |document| document.get().len());
                    entries.push(entry);
                    if bytes >= batch_bytes {
                        break;
                    }
                }
            }
            let place = walk.place();
            (place > from).then_some((entries, place))
        });
        read.await.ok().flatten()
    }

    /// Sends these once.
    async fn send_parked(
        &self,
        entries: &[Entry],
        fates: &mut Fates,
        refusing: &mut HashSet<String>,
    ) -> Passage {
        let mut body = Vec::new();
        let mut sent = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.item(&mut body).is_some() {
                sent.push(entry);
            }
        }
        if sent.is_empty() {
            return Passage::Judged;
        }
        let permit = self.pace.enter().await;
        let node = self.nodes.pick();
        let wire = Wire {
            body: body.into(),
            gzip: false,
        };
        let reply = match self.carry(node, wire).await {
            Ok(reply) if (200..300).contains(&reply.status) => reply,
            Ok(reply) if reply.status == 413 => {
                permit.accepted();
                if let [entry] = entries {
                    let reason = Reason::said(413, "content_too_large", "this document alone");
                    fates.insert((entry.index.clone(), entry.id.clone()), Some(reason));
                    return Passage::Judged;
                }
                return Passage::TooLarge;
            }
            _ => {
                permit.refused(None);
                return Passage::Refused;
            }
        };
        let mut verdicts = Vec::with_capacity(sent.len());
        let whole = walk(&reply.body, sent.len(), |_, outcome| {
            verdicts.push(judge(&outcome))
        });
        if whole.is_err() {
            permit.refused(None);
            return Passage::Refused;
        }
        permit.accepted();
        for (entry, verdict) in sent.into_iter().zip(verdicts) {
            let key = (entry.index.clone(), entry.id.clone());
            match verdict {
                Verdict::RetryItem(_) | Verdict::HoldCluster(_) => {
                    self.refusals.refused(&entry.index);
                    refusing.insert(entry.index.clone());
                }
                Verdict::DeadLetter(reason) => {
                    fates.insert(key, Some(reason));
                }
                _ => {
                    self.refusals.accepted(&entry.index);
                    fates.insert(key, None);
                }
            }
        }
        Passage::Judged
    }
}
