//! How many files the process may have open, and how many of them may be logs.
//!
//! Owns the limit of open files (RLIMIT_NOFILE) and its division. Refuses to know what is opened. Invariant: logs never
//! take the descriptors that the HTTP port, the output and the state directory need. It guards against a soft limit of
//! 1,024, the default for programs that use select(2), which would end the agent on a host with 1,050 logs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections to the HTTP port at one time.
pub(crate) const HTTP_CONNECTIONS: u64 = 64;

/// The standard streams, the poller, the event queue, the state directory, the dead-letter file, the files that a reload
/// reads, name resolution, and the files that a look at the directories opens for a moment.
const HOUSEHOLD: u64 = 32;

/// Descriptors for each bulk request in flight: its connection, and one that is being opened to replace it.
const PER_REQUEST: u64 = 2;

/// Raises the soft limit to the hard one. A sandbox may forbid that; then the soft limit stays.
pub(crate) fn raise() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: hard,
        maximum: hard,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

/// How many logs may be open under the current limit, beside `requests` bulk requests in flight. It is at least a quarter
/// of a limit that is too low for everything else.
pub(crate) fn for_logs(requests: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    share(limit, requests as u64)
}

/// How many connections to the HTTP port may be open under the current limit.
pub(crate) fn for_http() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    http_share(limit)
}

/// It is at most a quarter of a limit that is too low for everything; logs get at least a quarter.
fn http_share(limit: u64) -> usize {
    let share = HTTP_CONNECTIONS.min(limit / 4).max(1);
    usize::try_from(share).unwrap_or(usize::MAX)
}

fn share(limit: u64, requests: u64) -> usize {
    let reserved = HTTP_CONNECTIONS + HOUSEHOLD + PER_REQUEST * requests;
    let share = limit.saturating_sub(reserved).max(limit / 4);
    usize::try_from(share).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_get_the_descriptors_that_nothing_else_needs() {
        assert_eq!(share(1024, 2), 1024 - 64 - 32 - 4);
        assert_eq!(share(4096, 64), 4096 - 64 - 32 - 128);
        assert_eq!(share(u64::MAX, 2), usize::MAX - 100);
        // Too few for everything: the logs take a quarter, and opening more is tried later.
        assert_eq!(share(100, 2), 25);
        assert_eq!(share(120, 64), 30);
        assert_eq!((http_share(100), http_share(3)), (25, 1));
        assert_eq!(http_share(1024), 64);
    }
}
