//! Exit codes, for cron jobs, scripts and people.

/// How a command ended. The numbers are public and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Every requested task is done or empty.
    Complete,
    /// Something that should not happen: a bug.
    Bug,
    /// The command line cannot be understood, or requests something impossible.
    Usage,
    /// A spec, a config file or a tickers file is wrong.
    Config,
    /// Not finished: `grab resume` continues.
    Incomplete,
    /// Finished, but some tasks have no data: failed, not found or not entitled.
    Unsuccessful,
    /// Files are damaged, missing, or not as recorded.
    Damage,
    /// Sessions are absent without a known reason.
    Gaps,
    /// The key is missing, or refused altogether.
    Key,
    /// The source cannot be reached; no task failed because of it.
    Unreachable,
    /// No space, no permission, or another I/O error; no data is lost.
    Disk,
    /// Another grab process holds the lock of the data directory.
    Locked,
    /// The manifest is from a newer grab, or from an older one and has to be migrated.
    OtherVersion,
    /// Interrupted by a signal, after a clean drain.
    Interrupted,
}

impl ExitStatus {
    /// All codes, ascending.
    pub const ALL: [Self; 14] = [
        Self::Complete,
        Self::Bug,
        Self::Usage,
        Self::Config,
        Self::Incomplete,
        Self::Unsuccessful,
        Self::Damage,
        Self::Gaps,
        Self::Key,
        Self::Unreachable,
        Self::Disk,
        Self::Locked,
        Self::OtherVersion,
        Self::Interrupted,
    ];

    /// The meaning, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Complete => "complete: every task asked for is done or empty",
            Self::Bug => "a bug: something that should not happen",
            Self::Usage => "the command line cannot be understood, or asks for what cannot be",
            Self::Config => "a spec, a config file or a tickers file is wrong",
            Self::Incomplete => {
                "incomplete: a limit was reached, or the source was away; grab resume goes on"
            }
            Self::Unsuccessful => "finished, but some tasks or days are failed, not_found or not_entitled",
            Self::Damage => "grab verify found damage",
            Self::Gaps => "grab verify found gaps that nobody explains, and no damage",
            Self::Key => "the key is missing, or refused altogether",
            Self::Unreachable => "the source cannot be reached; no task was burnt",
            Self::Disk => "disk full or another I/O error; nothing is lost",
            Self::Locked => "another grab holds the data directory",
            Self::OtherVersion => {
                "the manifest is from a newer grab, or from an older one: grab resume migrates it"
            }
            Self::Interrupted => "interrupted by Ctrl-C or SIGTERM, drained cleanly",
        }
    }

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
            Self::OtherVersion => 32,
            Self::Interrupted => 130,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_listed_once_in_order() {
        let codes = ExitStatus::ALL.map(ExitStatus::code);
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        assert_eq!(codes.len(), 14);
    }
}
