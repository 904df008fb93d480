//! `logweir run`: turns arguments into a call of the agent, and its result into an exit code.
//!
//! Owns the exit codes of `run`. Refuses to know the order of the agent's work: that is the module `agent`. Invariant: 0 means
//! that all lines that were read are delivered or remain in the logs, as the log reports.

use std::io;

use logweir_store::StoreError;

use super::terminal::complain;
use super::{Common, Exit, OutputName, RunArgs, logging, read};
use crate::agent::{self, End, Mode, Options, OutputChoice, RunError, StartError};
use crate::output::store::OpenError;
use crate::pipeline::Ended;
use crate::tail::{Leaves, TailError};

pub(super) fn run(common: &Common, args: &RunArgs) -> Exit {
    let first = match agent::read_watched(|| read(common)) {
        Ok(first) => first,
        Err(errors) => {
            complain!("{errors}");
            return Exit::Config;
        }
    };
    logging::init(&first.loaded.config, args.log_level);
    let options = Options {
        mode: Mode {
            once: args.once,
            no_template_check: args.no_template_check,
            output: match args.output {
                Some(OutputName::Console) => OutputChoice::Console,
                None => OutputChoice::Configured,
            },
        },
        timeout: args.timeout,
        with_parent: args.with_parent,
    };
    match agent::run(options, first, || read(common)) {
        Ok(end) => exit_of_end(end),
        Err(error) => exit_of_error(&error),
    }
}

fn exit_of_end(end: End) -> Exit {
    match end.ended {
        Ended::Broken => Exit::Internal,
        Ended::Waited => Exit::InputLeft,
        Ended::Settled | Ended::Left(_) | Ended::Released(_) if end.timed_out => Exit::Unavailable,
        Ended::Settled | Ended::Released(_) => Exit::Ok,
        Ended::Left(Leaves::Damaged) => Exit::Data,
        Ended::Left(_) => Exit::InputLeft,
    }
}

fn exit_of_error(error: &RunError) -> Exit {
    match error {
        RunError::System | RunError::Start(StartError::Thread(_) | StartError::Console(_)) => {
            Exit::Io
        }
        // Whatever has the address may go: a restart can help.
        RunError::Listen => Exit::Unavailable,
        RunError::Start(StartError::Tail(TailError::State(error))) => {
            match (error.source.kind(), error.action) {
                (io::ErrorKind::PermissionDenied, _) => Exit::Permission,
                (_, "read") => Exit::Io,
                _ => Exit::CannotCreate,
            }
        }
        RunError::Start(StartError::Store(OpenError::Store(StoreError::Io { source, .. }))) => {
            match source.kind() {
                io::ErrorKind::PermissionDenied => Exit::Permission,
                _ => Exit::CannotCreate,
            }
        }
        RunError::Start(
            StartError::Tail(TailError::Locked { .. })
            | StartError::Store(OpenError::Store(StoreError::Locked { .. })),
        ) => Exit::Unavailable,
        RunError::Start(StartError::Store(_)) => Exit::Config,
        RunError::Start(
            StartError::Tail(_)
            | StartError::Output(_)
            | StartError::Config(_)
            | StartError::OtherOutput { .. },
        ) => Exit::Config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskError;

    fn end(ended: Ended, timed_out: bool) -> Exit {
        exit_of_end(End { ended, timed_out })
    }

    #[test]
    fn each_end_has_its_exit_code() {
        assert_eq!(end(Ended::Settled, false), Exit::Ok);
        assert_eq!(end(Ended::Released(7), false), Exit::Ok);
        assert_eq!(end(Ended::Waited, false), Exit::InputLeft);
        assert_eq!(end(Ended::Left(Leaves::Damaged), false), Exit::Data);
        assert_eq!(end(Ended::Left(Leaves::Input), false), Exit::InputLeft);
        assert_eq!(end(Ended::Broken, false), Exit::Internal);
    }

    #[test]
    fn after_the_time_limit_the_output_is_unavailable() {
        for ended in [
            Ended::Settled,
            Ended::Released(7),
            Ended::Left(Leaves::Damaged),
        ] {
            assert_eq!(end(ended, true), Exit::Unavailable, "{ended:?}");
        }
        assert_eq!(end(Ended::Waited, true), Exit::InputLeft);
        assert_eq!(end(Ended::Broken, true), Exit::Internal);
    }

    #[test]
    fn each_failed_start_has_its_exit_code() {
        let state = |action: &'static str, kind: io::ErrorKind| {
            let path = std::path::Path::new("/var/lib/logweir");
            let error = DiskError::new(action, path, kind.into());
            RunError::Start(StartError::Tail(error.into()))
        };
        let denied = io::ErrorKind::PermissionDenied;
        assert_eq!(exit_of_error(&state("read", denied)), Exit::Permission);
        assert_eq!(exit_of_error(&state("write", denied)), Exit::Permission);
        let other = io::ErrorKind::StorageFull;
        assert_eq!(exit_of_error(&state("read", other)), Exit::Io);
        assert_eq!(exit_of_error(&state("write", other)), Exit::CannotCreate);
        assert_eq!(exit_of_error(&RunError::System), Exit::Io);
        assert_eq!(exit_of_error(&RunError::Listen), Exit::Unavailable);
    }
}
