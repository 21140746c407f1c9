//! What can be wrong or unexplained, as data.

use std::path::PathBuf;

use serde::Serialize;

use crate::model::{Month, Symbol};

/// One typed statement about something wrong or unexplained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The symbol, where it is about one.
    pub ticker: Option<Symbol>,
    /// The month, where it is about a partition.
    pub month: Option<Month>,
    /// What is wrong.
    pub kind: Kind,
    /// How bad that is. It follows from the kind.
    pub severity: Severity,
    /// The file, where it is about one.
    pub path: Option<PathBuf>,
    /// Expected and actual, in words.
    pub detail: String,
}

/// What is wrong. The names are public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The manifest holds a partition that is not on disk.
    MissingFile,
    /// A partition cannot be read.
    CorruptFile,
    /// A partition is not the one that was recorded.
    DigestMismatch,
    /// It has more or fewer bars, or on other days, than was recorded.
    RowCountMismatch,
    /// Its columns, or what it says of itself, are not those of its place.
    SchemaMismatch,
    /// A minute stands in it twice.
    DuplicateTimestamp,
    /// Its bars are not in order.
    Unsorted,
    /// A bar belongs to another month.
    OutsideWindow,
    /// A bar lies outside of the hours of its session, or on a day without one.
    OutsideSession,
    /// A bar does not begin with a minute.
    OffMinute,
    /// High and low do not enclose open and close.
    BadOhlc,
    /// A file that the manifest does not know.
    StrayFile,
    /// A task has not come to its end, or has no data.
    UnfinishedTask,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What is there is not what was stored.
    Damage,
    /// Something is not there, and nobody knows why.
    Gap,
    /// Worth knowing: the server sent it so, or it does no harm.
    Notice,
}

impl Kind {
    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::MissingFile
            | Self::CorruptFile
            | Self::DigestMismatch
            | Self::RowCountMismatch
            | Self::SchemaMismatch
            | Self::DuplicateTimestamp
            | Self::Unsorted
            | Self::OutsideWindow
            | Self::OffMinute => Severity::Damage,
            Self::UnfinishedTask => Severity::Gap,
            Self::OutsideSession | Self::BadOhlc | Self::StrayFile => Severity::Notice,
        }
    }

    /// The finding about one partition.
    #[must_use]
    pub fn in_partition(self, symbol: &Symbol, month: Month, path: PathBuf, detail: String) -> Finding {
        Finding {
            ticker: Some(symbol.clone()),
            month: Some(month),
            kind: self,
            severity: self.severity(),
            path: Some(path),
            detail,
        }
    }
}
