//! What can be wrong or unexplained, as typed data.

use std::{ops::RangeInclusive, path::PathBuf};

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use grab_model::{Month, Symbol, lossy};

/// One typed statement about something wrong or unexplained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// How bad it is: the severity of the kind, or a lower one if the server explains it.
    pub severity: Severity,
    /// The symbol, if the finding is about one.
    pub ticker: Option<Symbol>,
    /// The month, if the finding is about a partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
    /// The first day, if the finding is about sessions.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub date: Option<Date>,
    /// The last day, if there is more than one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text")]
    pub to: Option<Date>,
    /// The file, if the finding is about one.
    #[serde(serialize_with = "lossy")]
    pub path: Option<PathBuf>,
    /// Expected and actual, in words.
    pub detail: String,
}

/// What is wrong. The names are part of the public output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// A recorded partition is not on disk.
    MissingFile,
    /// A partition cannot be read.
    CorruptFile,
    /// A partition is not the recorded one.
    DigestMismatch,
    /// A partition has more or fewer bars than recorded, or has them on other days.
    RowCountMismatch,
    /// A partition's columns or metadata do not fit its path.
    SchemaMismatch,
    /// A minute occurs twice.
    DuplicateTimestamp,
    /// Bars are not in ascending order.
    Unsorted,
    /// A bar belongs to another month.
    OutsideWindow,
    /// A bar is outside of the hours of its session, or on a day without a session.
    OutsideSession,
    /// A bar does not begin at a full minute.
    OffMinute,
    /// High and low do not enclose open and close.
    BadOhlc,
    /// Sessions have bars although the lists do not have the symbol on these days.
    OutsideListing,
    /// The manifest does not know a file.
    StrayFile,
    /// One session, or several in a row, between a symbol's first and last bar have no bars.
    MissingSession,
    /// A symbol, or too many of a session's symbols, have no bar at all.
    MissingSymbol,
    /// A session has far fewer shares than the witness counted, or far fewer bars than usual.
    ThinSession,
    /// The manifest itself is damaged.
    ManifestCorrupt,
    /// A task is not finished, or has no data.
    UnfinishedTask,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A file is not what was stored.
    Damage,
    /// Data are missing, and nothing explains why.
    Gap,
    /// Worth knowing: the server sent it like this, or it does no harm.
    Notice,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::MissingFile,
        Self::CorruptFile,
        Self::DigestMismatch,
        Self::RowCountMismatch,
        Self::SchemaMismatch,
        Self::DuplicateTimestamp,
        Self::Unsorted,
        Self::OutsideWindow,
        Self::OutsideSession,
        Self::OffMinute,
        Self::BadOhlc,
        Self::OutsideListing,
        Self::StrayFile,
        Self::MissingSession,
        Self::MissingSymbol,
        Self::ThinSession,
        Self::ManifestCorrupt,
        Self::UnfinishedTask,
    ];

    /// The severity of the kind.
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
            | Self::OffMinute
            | Self::ManifestCorrupt => Severity::Damage,
            Self::MissingSession | Self::MissingSymbol | Self::ThinSession | Self::UnfinishedTask => {
                Severity::Gap
            }
            Self::OutsideSession | Self::BadOhlc | Self::OutsideListing | Self::StrayFile => Severity::Notice,
        }
    }

    /// Whether it is about sessions that have too few bars or none.
    #[must_use]
    pub fn is_of_sessions(self) -> bool {
        matches!(self, Self::MissingSession | Self::MissingSymbol | Self::ThinSession)
    }

    /// Returns the finding about one partition.
    #[must_use]
    pub fn in_partition(self, symbol: &Symbol, month: Month, path: PathBuf, detail: String) -> Finding {
        Finding {
            ticker: Some(symbol.clone()),
            month: Some(month),
            date: None,
            to: None,
            kind: self,
            severity: self.severity(),
            path: Some(path),
            detail,
        }
    }

    /// Returns the finding about a file of reference data; `date` is given if the file belongs to one day.
    #[must_use]
    pub fn in_reference(self, date: Option<Date>, path: PathBuf, detail: String) -> Finding {
        let (severity, path) = (self.severity(), Some(path));
        Finding { ticker: None, month: None, date, to: None, kind: self, severity, path, detail }
    }

    /// Returns the finding about a symbol on some days.
    #[must_use]
    pub fn on(self, symbol: &Symbol, days: &RangeInclusive<Date>, detail: String) -> Finding {
        let to = Some(*days.end()).filter(|to| to != days.start());
        let (ticker, date) = (Some(symbol.clone()), Some(*days.start()));
        Finding { ticker, month: None, date, to, kind: self, severity: self.severity(), path: None, detail }
    }

    /// Returns the finding about the whole market on some days.
    #[must_use]
    pub fn market_wide(self, days: &RangeInclusive<Date>, detail: String) -> Finding {
        let to = Some(*days.end()).filter(|to| to != days.start());
        let severity = self.severity();
        Finding {
            ticker: None,
            month: None,
            date: Some(*days.start()),
            to,
            kind: self,
            severity,
            path: None,
            detail,
        }
    }

    /// The name as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingFile => "missing_file",
            Self::CorruptFile => "corrupt_file",
            Self::DigestMismatch => "digest_mismatch",
            Self::RowCountMismatch => "row_count_mismatch",
            Self::SchemaMismatch => "schema_mismatch",
            Self::DuplicateTimestamp => "duplicate_timestamp",
            Self::Unsorted => "unsorted",
            Self::OutsideWindow => "outside_window",
            Self::OutsideSession => "outside_session",
            Self::OffMinute => "off_minute",
            Self::BadOhlc => "bad_ohlc",
            Self::OutsideListing => "outside_listing",
            Self::StrayFile => "stray_file",
            Self::MissingSession => "missing_session",
            Self::MissingSymbol => "missing_symbol",
            Self::ThinSession => "thin_session",
            Self::ManifestCorrupt => "manifest_corrupt",
            Self::UnfinishedTask => "unfinished_task",
        }
    }
}

impl Severity {
    /// The name as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Gap => "gap",
            Self::Notice => "notice",
        }
    }
}

impl Finding {
    /// The sort key: the worst first, then by symbol and time.
    #[must_use]
    pub fn rank(&self) -> impl Ord + '_ {
        (self.severity, &self.ticker, self.month, self.date, self.kind, &self.path)
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn text<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(|date| date.to_string()).serialize(serializer)
}
