//! Exit codes, after sysexits.h, so that a supervisor can tell what is worth a restart.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked for is done.
    Ok = 0,
    /// EX_USAGE: the command line is wrong.
    Usage = 64,
    /// EX_DATAERR: lines that no format takes, or a damaged file.
    Data = 65,
    /// EX_UNAVAILABLE: the cluster did not take everything in time.
    Unavailable = 69,
    /// EX_SOFTWARE: a bug of ours.
    Internal = 70,
    /// EX_CANTCREAT: a file of ours cannot be written.
    CannotCreate = 73,
    /// EX_IOERR: reading failed.
    Io = 74,
    /// EX_TEMPFAIL: some input could not be read, and is left for a later run.
    InputLeft = 75,
    /// EX_NOPERM: a right is missing.
    Permission = 77,
    /// EX_CONFIG: the configuration is wrong; a restart changes nothing.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
