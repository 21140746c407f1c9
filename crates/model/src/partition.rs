//! The recorded facts of one partition file.

use super::{Month, Symbol};

/// One Parquet file on stable storage: one symbol, one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The symbol.
    pub symbol: Symbol,
    /// The month.
    pub month: Month,
    /// Rows in the file.
    pub bars: u64,
    /// The first bar's start, UTC ms.
    pub first_ms: i64,
    /// The last bar's start, UTC ms.
    pub last_ms: i64,
    /// Size of the file.
    pub bytes: u64,
    /// XXH3-64 of the file's bytes.
    pub xxh3: u64,
    /// Bars stored for each day of the month: index 0 is the first.
    pub bars_by_day: [u16; 31],
}

impl Partition {
    /// The days that have bars, as bits: bit 0 is the first of the month.
    #[must_use]
    pub fn session_mask(&self) -> u32 {
        let stored = self.bars_by_day.iter().enumerate().filter(|(_, bars)| **bars > 0);
        stored.fold(0, |mask, (day, _)| mask | 1 << day)
    }

    /// The number of bars for each day that has any, in order: one entry for each bit of the mask.
    pub fn session_bars(&self) -> impl Iterator<Item = u16> {
        self.bars_by_day.iter().copied().filter(|bars| *bars > 0)
    }
}
