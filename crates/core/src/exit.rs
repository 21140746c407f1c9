//! Exit codes and outcomes, for cron jobs, scripts and people.

use serde::Serialize;

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
            Self::Complete => "complete: every requested task is done or empty",
            Self::Bug => "a bug: something that should not happen",
            Self::Usage => "the command line cannot be understood, or requests something impossible",
            Self::Config => "a spec, a config file or a tickers file is wrong",
            Self::Incomplete => {
                "incomplete: a limit was reached, or the source was not available; grab resume continues"
            }
            Self::Unsuccessful => "finished, but some tasks or days are failed, not_found or not_entitled",
            Self::Damage => "grab verify found damage",
            Self::Gaps => "grab verify found unexplained gaps, and no damage",
            Self::Key => "the key is missing, or refused altogether",
            Self::Unreachable => "the source cannot be reached; no task failed because of it",
            Self::Disk => "disk full or another I/O error; nothing is lost",
            Self::Locked => "another grab has locked the data directory",
            Self::OtherVersion => {
                "the manifest is from a newer grab, or from an older one: grab resume migrates it"
            }
            Self::Interrupted => "interrupted by Ctrl-C or SIGTERM, drained cleanly",
        }
    }

    /// The status with this exit code. None if no command ends with it.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// The outcome of a command that ends with this status.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Complete => Outcome::Complete,
            Self::Incomplete => Outcome::Incomplete,
            Self::Unsuccessful => Outcome::Partial,
            Self::Damage => Outcome::Damaged,
            Self::Gaps => Outcome::Below,
            Self::Interrupted => Outcome::Interrupted,
            Self::Bug
            | Self::Usage
            | Self::Config
            | Self::Key
            | Self::Unreachable
            | Self::Disk
            | Self::Locked
            | Self::OtherVersion => Outcome::Error,
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

/// How a command ended, in one word for machines. It follows from the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// 0: everything that was requested is done.
    Complete,
    /// 10: something is outstanding.
    Incomplete,
    /// 11: finished, but some tasks or days have no data.
    Partial,
    /// 12: files are damaged.
    Damaged,
    /// 13: below a threshold.
    Below,
    /// 130: a signal ended it.
    Interrupted,
    /// All others: the command could not do its work.
    Error,
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Partial => "partial",
            Self::Damaged => "damaged",
            Self::Below => "below",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
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
        assert!(ExitStatus::ALL.iter().all(|status| ExitStatus::of_code(status.code()) == Some(*status)));
        assert_eq!(ExitStatus::of_code(4), None);
    }
}
