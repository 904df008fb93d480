//! Looks at segments on several threads.
//!
//! Owns the threads. Invariant: a segment that cannot be read is an error that names it, also where the library that reads its
//! columns panics.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{Fault, Part, QueryError};
use crate::segment::Segment;

/// Gives every segment to one of the accumulators, and returns them: at most one for each processor.
///
/// The segments are held open by the caller, so that all looks at them see the same documents.
pub(super) fn each<A: Send>(
    parts: &[Part],
    field: &str,
    make: impl Fn() -> A + Sync,
    add: impl Fn(&mut A, &Segment) -> Result<(), Fault> + Sync,
) -> Result<Vec<A>, QueryError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let error = Mutex::new(None);
    let work = || {
        let mut accumulator = make();
        while !failed.load(Ordering::Relaxed) {
            let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            // What is left behind by a panic is not used: the first error is the answer.
            let added = catch_unwind(AssertUnwindSafe(|| add(&mut accumulator, &part.segment)));
            let problem = match added {
                Ok(Ok(())) => continue,
                Ok(Err(fault)) => fault.of(&part.name, field),
                Err(panic) => QueryError::Damaged {
                    segment: part.name.clone(),
                    reason: reason(&*panic),
                },
            };
            failed.store(true, Ordering::Relaxed);
            if let Ok(mut error) = error.lock() {
                error.get_or_insert(problem);
            }
        }
        accumulator
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let accumulators = thread::scope(|scope| {
        let others = threads.min(parts.len()).saturating_sub(1);
        let others: Vec<_> = (0..others)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut all = vec![work()];
        for thread in others {
            match thread.join() {
                Ok(accumulator) => all.push(accumulator),
                // An accumulator is missing, so there is no answer.
                Err(panic) => return Err(io::Error::other(reason(&*panic))),
            }
        }
        Ok(all)
    });
    match error.into_inner() {
        Ok(None) => accumulators.map_err(QueryError::Open),
        Ok(Some(error)) => Err(error),
        Err(_) => Err(QueryError::Open(io::Error::other("a thread failed"))),
    }
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
