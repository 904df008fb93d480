//! Exit codes after sysexits.h, so that a supervisor can decide whether a restart helps.

use std::process::ExitCode;

/// The exit code of the process. [`Exit::ALL`] has the meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// EX_OK.
    Ok = 0,
    /// Not of sysexits.h: health checks expect it.
    Unhealthy = 1,
    /// EX_USAGE.
    Usage = 64,
    /// EX_DATAERR.
    Data = 65,
    /// EX_UNAVAILABLE.
    Unavailable = 69,
    /// EX_SOFTWARE.
    Internal = 70,
    /// EX_CANTCREAT.
    CannotCreate = 73,
    /// EX_IOERR.
    Io = 74,
    /// EX_TEMPFAIL.
    InputLeft = 75,
    /// EX_NOPERM.
    Permission = 77,
    /// EX_CONFIG.
    Config = 78,
}

impl Exit {
    /// All codes with their meanings.
    pub(super) const ALL: [(Self, &str); 11] = [
        (Self::Ok, "Everything that was asked for is done."),
        (
            Self::Unhealthy,
            "The agent does not work, or cannot be asked (`health`).",
        ),
        (Self::Usage, "The command line is wrong."),
        (
            Self::Data,
            "Some lines fit no format (`check --parse`), or a file is damaged.",
        ),
        (
            Self::Unavailable,
            "The cluster did not take everything in time, or something else uses the state directory or the HTTP port.",
        ),
        (Self::Internal, "A bug in logweir."),
        (
            Self::CannotCreate,
            "A file in the state directory cannot be written.",
        ),
        (
            Self::Io,
            "Reading failed, or the system gives no descriptors.",
        ),
        (
            Self::InputLeft,
            "Some input could not be read, and is left for a later run.",
        ),
        (Self::Permission, "A right is missing."),
        (
            Self::Config,
            "The configuration is wrong; a restart changes nothing.",
        ),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
