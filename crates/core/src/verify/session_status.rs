//! The status of one session of one symbol, and its reason.

/// The explanation of a session. Where tasks overlap, the greater value wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SessionStatus {
    /// In no requested window.
    #[default]
    NotAsked,
    /// The server does not know the symbol.
    NotFound,
    /// The plan does not include the session.
    NotEntitled,
    /// Its task was given up.
    Failed,
    /// Its task is not finished.
    Pending,
    /// No bar, and none was expected: before the first bar or after the last one, by the server's response alone.
    Empty,
    /// No bar, and the witness saw no trade.
    NoTrade,
    /// No bar, also when the server was requested again: it has none itself.
    AskedAgain,
    /// No bar, also when the server was requested again, although the witness saw trades.
    Withheld,
    /// No bar, and no explanation; or the witness saw trades.
    Missing,
    /// Bars are recorded, and their file is missing or damaged.
    Lost,
    /// Bars, but far fewer of them than usual, or a far smaller part of the witness's shares.
    Thin,
    /// Bars.
    Present,
    /// No bar, and none was expected: outside of all listing periods of the symbol, by the stored universe.
    NotListed,
    /// Subscribed and never requested, because the lists do not have the symbol; but the witness saw trades.
    CutAway,
    /// Requested, but before the history that the plan serves.
    BeforeHistory,
}

impl SessionStatus {
    /// All values, each at the index of its number.
    pub const ALL: [Self; 16] = [
        Self::NotAsked,
        Self::NotFound,
        Self::NotEntitled,
        Self::Failed,
        Self::Pending,
        Self::Empty,
        Self::NoTrade,
        Self::AskedAgain,
        Self::Withheld,
        Self::Missing,
        Self::Lost,
        Self::Thin,
        Self::Present,
        Self::NotListed,
        Self::CutAway,
        Self::BeforeHistory,
    ];

    /// Whether there should be bars.
    #[must_use]
    pub fn is_expected(self) -> bool {
        match self {
            Self::NotAsked
            | Self::Empty
            | Self::NoTrade
            | Self::AskedAgain
            | Self::NotListed
            | Self::BeforeHistory => false,
            Self::NotFound
            | Self::NotEntitled
            | Self::Failed
            | Self::Pending
            | Self::Withheld
            | Self::Missing
            | Self::Lost
            | Self::Thin
            | Self::Present
            | Self::CutAway => true,
        }
    }

    /// Whether there is no bar by the server's response alone: from one request, or from two.
    #[must_use]
    pub fn is_unexplained(self) -> bool {
        matches!(self, Self::Empty | Self::AskedAgain)
    }

    /// Whether there are bars as they were stored. A thin session counts: too few shares may be visible only in the
    /// files, and the coverage must not depend on whether they are read.
    #[must_use]
    pub fn is_present(self) -> bool {
        matches!(self, Self::Present | Self::Thin)
    }

    /// Whether there should be bars that are absent, or more bars than there are.
    #[must_use]
    pub fn is_lacking(self) -> bool {
        self == Self::Thin || self.is_expected() && !self.is_present()
    }

    /// Whether there are or were bars.
    #[must_use]
    pub fn has_bars(self) -> bool {
        matches!(self, Self::Lost | Self::Thin | Self::Present)
    }

    /// A short description, for reports.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::NotAsked => "not requested",
            Self::NotFound => "symbol not found",
            Self::NotEntitled => "not in the plan",
            Self::Failed => "failed",
            Self::Pending => "still pending",
            Self::Empty => "empty, says the server",
            Self::NoTrade => "no trade",
            Self::AskedAgain => "requested again: the server has none",
            Self::Withheld => "requested again: the server has none of what was traded",
            Self::Missing => "missing",
            Self::Lost => "file lost or damaged",
            Self::Thin => "thin",
            Self::Present => "present",
            Self::NotListed => "not listed",
            Self::CutAway => "traded, and never requested: not in the lists then",
            Self::BeforeHistory => "before the plan's history",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_at_its_number() {
        assert!(SessionStatus::ALL.iter().enumerate().all(|(number, day)| *day as usize == number));
    }
}
