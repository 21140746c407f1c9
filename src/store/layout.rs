//! The path grammar of a data directory: the only place that knows it.

use std::path::{Path, PathBuf};

use crate::model::{Month, Symbol};

/// The folder of the one-minute bars.
const BARS: &str = "bars_1m";

/// The name of every partition file.
const PARTITION: &str = "bars.parquet";

/// How names of unfinished files begin and end. Readers' globs (`**/*.parquet`) do not match them.
pub(super) const UNFINISHED: (&str, &str) = (".bars-", ".tmp");

/// `bars_1m/ticker=AAPL/year=2004/month=01/bars.parquet`, below `data_dir`.
#[must_use]
pub fn partition(data_dir: &Path, symbol: &Symbol, month: Month) -> PathBuf {
    month_folder(data_dir, symbol, month).join(PARTITION)
}

/// The folder of one partition.
#[must_use]
pub fn month_folder(data_dir: &Path, symbol: &Symbol, month: Month) -> PathBuf {
    let ticker = format!("ticker={}", encode(symbol));
    let year = format!("year={:04}", month.year());
    data_dir.join(BARS).join(ticker).join(year).join(format!("month={:02}", month.number()))
}

/// Whether a file name is that of an unfinished write.
#[must_use]
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1)
}

/// Lower-case letters are percent-encoded, so that `KIMpL` and `KIMPL` differ on file systems that ignore case.
/// Engines decode it when they read the `ticker` column.
fn encode(symbol: &Symbol) -> String {
    let encode =
        |c: char| if c.is_ascii_lowercase() { format!("%{:02X}", u32::from(c)) } else { c.to_string() };
    symbol.as_str().chars().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_in_the_contract() {
        let path = |text: &str| {
            let month = Month::new(2004, 1).unwrap();
            partition(Path::new("data"), &text.parse().unwrap(), month).display().to_string()
        };
        assert_eq!(path("AAPL"), "data/bars_1m/ticker=AAPL/year=2004/month=01/bars.parquet");
        assert_eq!(path("KIMpL"), "data/bars_1m/ticker=KIM%70L/year=2004/month=01/bars.parquet");
        assert_eq!(path("BRK.B"), "data/bars_1m/ticker=BRK.B/year=2004/month=01/bars.parquet");
    }
}
