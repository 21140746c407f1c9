//! What there is of one session of one symbol, and why.

/// The explanation of a session. The order is that of precedence where tasks overlap: the later one is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SessionStatus {
    /// In no window that was asked for.
    #[default]
    NotAsked,
    /// The server does not know the symbol.
    NotFound,
    /// The plan does not include it.
    NotEntitled,
    /// Its task was given up.
    Failed,
    /// Its task has not come to its end.
    Owed,
    /// No bar, and none was to be expected: before the first bar or after the last one, by the server's own word.
    Empty,
    /// No bar, and the witness saw no trade.
    NoTrade,
    /// No bar, also when the server was asked again: it has none itself.
    AskedAgain,
    /// No bar, also when the server was asked again, and the witness saw trades.
    Withheld,
    /// No bar, and nobody says why; or the witness saw trades.
    Missing,
    /// Bars are recorded, and their file is missing or damaged.
    Lost,
    /// Bars, but far fewer of them, or of the shares that the witness counted, than usual.
    Thin,
    /// Bars.
    Present,
    /// No bar, and none was to be expected: outside of all lives of the symbol, by the universe that is kept.
    NotListed,
    /// Ordered by a list and never asked for, because the lists do not have the symbol; and the witness saw trades.
    CutAway,
    /// Asked for, and before the history that the plan serves.
    BeforeHistory,
}

impl SessionStatus {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 16] = [
        Self::NotAsked,
        Self::NotFound,
        Self::NotEntitled,
        Self::Failed,
        Self::Owed,
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

    /// Whether bars should be there, as far as anybody knows.
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
            | Self::Owed
            | Self::Withheld
            | Self::Missing
            | Self::Lost
            | Self::Thin
            | Self::Present
            | Self::CutAway => true,
        }
    }

    /// Whether there is none by the server's word alone: once or, asked again, twice.
    #[must_use]
    pub fn is_unexplained(self) -> bool {
        matches!(self, Self::Empty | Self::AskedAgain)
    }

    /// Whether there are bars, as they were stored. A thin session has some: that they are too few may be seen in the files
    /// alone, and the coverage is the same whether they are read or not.
    #[must_use]
    pub fn is_present(self) -> bool {
        matches!(self, Self::Present | Self::Thin)
    }

    /// Whether bars should be there that are not, or not enough of them.
    #[must_use]
    pub fn is_lacking(self) -> bool {
        self == Self::Thin || self.is_expected() && !self.is_present()
    }

    /// Whether there are bars, or were.
    #[must_use]
    pub fn has_bars(self) -> bool {
        matches!(self, Self::Lost | Self::Thin | Self::Present)
    }

    /// In a few words, for reports.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::NotAsked => "not asked for",
            Self::NotFound => "symbol not found",
            Self::NotEntitled => "not in the plan",
            Self::Failed => "failed",
            Self::Owed => "still owed",
            Self::Empty => "empty by the server's word",
            Self::NoTrade => "no trade",
            Self::AskedAgain => "asked again: the server has none",
            Self::Withheld => "asked again: the server has none of what was traded",
            Self::Missing => "missing",
            Self::Lost => "file lost or damaged",
            Self::Thin => "thin",
            Self::Present => "present",
            Self::NotListed => "not listed",
            Self::CutAway => "traded, and never asked for: not listed by the lists",
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
