//! Exit codes: what a cron job, a script and a person may rely on.

/// How a command ended. The numbers are public and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Every task asked for is done or empty.
    Complete,
    /// Something that should not happen: a bug.
    Bug,
    /// The command line cannot be understood, or asks for what cannot be.
    Usage,
    /// A spec, a config file or a tickers file is wrong.
    Config,
    /// Not finished: `grab resume` goes on.
    Incomplete,
    /// Finished, but some tasks have no data: failed, not found or not entitled.
    Unsuccessful,
    /// Files are damaged, missing, or not what they should be.
    Damage,
    /// Sessions are absent, and nobody says why.
    Gaps,
    /// The key is missing, or refused altogether.
    Key,
    /// The source cannot be reached; no task was burnt.
    Unreachable,
    /// No space, no permission, or another I/O error; nothing is lost.
    Disk,
    /// Another grab holds the data directory.
    Locked,
    /// The manifest is from a newer grab.
    TooNew,
    /// Interrupted by a signal, after a clean drain.
    Interrupted,
}

impl ExitStatus {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Incomplete => 10,
            Self::Unsuccessful => 11,
            Self::Damage => 12,
            Self::Gaps => 13,
            Self::Key => 20,
            Self::Unreachable => 21,
            Self::Disk => 30,
            Self::Locked => 31,
            Self::TooNew => 32,
            Self::Interrupted => 130,
        }
    }
}
