//! The layout of a data directory. No other module knows where its files are.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use grab_model::{Month, Symbol};

/// The manifest's name in its data directory.
pub const MANIFEST: &str = "manifest.sqlite";

/// The plan's file name, beside the manifest.
pub const PLAN: &str = "plan.jsonl";

/// The folder of the one-minute bars.
const BARS: &str = "bars_1m";

/// The folder of reference data, and within it that of the whole market's days.
const REFERENCE: &str = "reference";
const GROUPED_DAILY: &str = "grouped_daily";

/// The name of every file of a day of the market.
pub(crate) const MARKET: &str = "market.parquet";

/// The name of every partition file.
pub(crate) const PARTITION: &str = "bars.parquet";

/// How names of unfinished files begin and end. Readers' globs (`**/*.parquet`) do not match them.
pub(crate) const UNFINISHED: (&str, &str) = (".bars-", ".tmp");

/// The directory that holds the bars of one kind with their manifest. It need not exist; nothing is read or created
/// here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// The data directory at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of something within it, such as a file that a row of the manifest names.
    #[must_use]
    pub fn join(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.path.join(inside)
    }

    /// Its path as text, for messages.
    #[must_use]
    pub fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// `manifest.sqlite`.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.join(MANIFEST)
    }

    /// `plan.jsonl`.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.join(PLAN)
    }

    /// `manifest.sqlite.lock`.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.join(format!("{MANIFEST}.lock"))
    }

    /// `bars_1m/ticker=AAPL/year=2004/month=01/bars.parquet`.
    #[must_use]
    pub fn partition(&self, symbol: &Symbol, month: Month) -> PathBuf {
        self.month_folder(symbol, month).join(PARTITION)
    }

    /// The folder of one partition.
    #[must_use]
    pub fn month_folder(&self, symbol: &Symbol, month: Month) -> PathBuf {
        let (year, month) = (format!("year={:04}", month.year()), format!("month={:02}", month.number()));
        self.symbol_folder(symbol).join(year).join(month)
    }

    /// The folder of one symbol.
    #[must_use]
    pub fn symbol_folder(&self, symbol: &Symbol) -> PathBuf {
        self.bars_folder().join(format!("ticker={}", encode(symbol)))
    }

    /// The folder of all bars.
    #[must_use]
    pub fn bars_folder(&self) -> PathBuf {
        self.join(BARS)
    }

    /// `reference/grouped_daily/date=2024-01-03/market.parquet`.
    #[must_use]
    pub fn market_day(&self, day: Date) -> PathBuf {
        self.market_folder().join(format!("date={day}")).join(MARKET)
    }

    /// The folder of all days of the market.
    #[must_use]
    pub fn market_folder(&self) -> PathBuf {
        self.reference_folder().join(GROUPED_DAILY)
    }

    /// `reference/splits.parquet`: a table in one file.
    #[must_use]
    pub fn reference_table(&self, table: &str) -> PathBuf {
        self.reference_folder().join(format!("{table}.parquet"))
    }

    /// The folder of reference data: everything besides bars.
    #[must_use]
    pub fn reference_folder(&self) -> PathBuf {
        self.join(REFERENCE)
    }
}

impl AsRef<Path> for DataDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The day whose folder has this name. None if the name is not one of a day's folder.
#[must_use]
pub fn day_of(name: &str) -> Option<Date> {
    let text = name.strip_prefix("date=")?;
    text.parse::<Date>().ok().filter(|day| day.to_string() == text)
}

/// The symbol whose folder has this name. None if the name is not one of a symbol's folder.
#[must_use]
pub fn symbol_of(name: &str) -> Option<Symbol> {
    let mut parts = name.strip_prefix("ticker=")?.split('%');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        text.push(u8::from_str_radix(part.get(..2)?, 16).ok()?.into());
        text.push_str(&part[2..]);
    }
    let symbol: Symbol = text.parse().ok()?;
    (format!("ticker={}", encode(&symbol)) == name).then_some(symbol)
}

/// The month whose folders have these names. None if they are not names of a month's folders.
#[must_use]
pub fn month_of(year: &str, month: &str) -> Option<Month> {
    let (year, month) = (year.strip_prefix("year=")?, month.strip_prefix("month=")?);
    (year.len() == 4 && month.len() == 2).then(|| Month::new(year.parse().ok()?, month.parse().ok()?))?
}

/// Whether a file name is that of an unfinished write.
#[must_use]
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1)
}

/// Lower-case letters are percent-encoded, so that `KIMpL` and `KIMPL` differ on file systems that ignore case.
/// Engines decode it when they read the `ticker` column.
#[must_use]
pub fn encode(symbol: &Symbol) -> String {
    let encode = |c: char| if c.is_ascii_lowercase() { percent(c) } else { c.to_string() };
    symbol.as_str().chars().map(encode).collect()
}

fn percent(c: char) -> String {
    format!("%{:02X}", u32::from(c))
}

/// Windows opens a device instead of a file of one of these names, in upper or lower case, whatever follows its first dot
/// (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];

/// Returns the name of a file that has only a symbol before its extension: [`encode`], and in a name that is a device
/// on Windows the first letter is encoded too (`CON` becomes `%43ON`). No two symbols share a name, since no other name
/// has an upper-case letter encoded. The store's folders do not need this: `ticker=CON` is not a device.
#[must_use]
pub fn file_stem(symbol: &Symbol) -> String {
    let stem = encode(symbol);
    let mut chars = stem.chars();
    match chars.next().filter(|_| is_device(&stem)) {
        Some(first) => percent(first) + chars.as_str(),
        None => stem,
    }
}

fn is_device(stem: &str) -> bool {
    let name = stem.split('.').next().unwrap_or_default();
    let number = NUMBERED_DEVICES.iter().find_map(|device| name.strip_prefix(device)).map(str::as_bytes);
    DEVICES.contains(&name) || matches!(number, Some([digit]) if digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_in_the_contract() {
        let path = |text: &str| {
            let month = Month::new(2004, 1).unwrap();
            DataDir::new("data").partition(&text.parse().unwrap(), month).display().to_string()
        };
        assert_eq!(path("AAPL"), "data/bars_1m/ticker=AAPL/year=2004/month=01/bars.parquet");
        assert_eq!(path("KIMpL"), "data/bars_1m/ticker=KIM%70L/year=2004/month=01/bars.parquet");
        for text in ["AAPL", "KIMpL", "BRK.B", "ABCpA"] {
            let symbol = text.parse().unwrap();
            let folder = DataDir::new("data").symbol_folder(&symbol);
            assert_eq!(symbol_of(folder.file_name().unwrap().to_str().unwrap()), Some(symbol));
        }
        for odd in ["AAPL", "ticker=", "ticker=KIMpL", "ticker=%7", "ticker=%é0", "ticker=%41APL"] {
            assert_eq!(symbol_of(odd), None, "{odd}");
        }
        assert_eq!(month_of("year=2004", "month=01"), Month::new(2004, 1));
        for (year, month) in [("2004", "01"), ("year=2004", "month=1"), ("year=2004", "month=13")] {
            assert_eq!(month_of(year, month), None, "{year} {month}");
        }
        let day = jiff::civil::date(2024, 1, 3);
        let market = DataDir::new("data").market_day(day).display().to_string();
        assert_eq!(market, "data/reference/grouped_daily/date=2024-01-03/market.parquet");
        let splits = DataDir::new("data").reference_table("splits").display().to_string();
        assert_eq!(splits, "data/reference/splits.parquet");
        assert_eq!(day_of("date=2024-01-03"), Some(day));
        for odd in
            ["2024-01-03", "date=2024-1-3", "date=20240103", "date=2024-01-03T00:00", "date=2024-02-30"]
        {
            assert_eq!(day_of(odd), None, "{odd}");
        }
        assert_eq!(path("BRK.B"), "data/bars_1m/ticker=BRK.B/year=2004/month=01/bars.parquet");
    }

    #[test]
    fn a_file_of_its_own_is_never_named_like_a_device() {
        let stem = |text: &str| file_stem(&text.parse().unwrap());
        for (symbol, expected) in [
            ("CON", "%43ON"),
            ("PRN", "%50RN"),
            ("AUX", "%41UX"),
            ("NUL", "%4EUL"),
            ("COM1", "%43OM1"),
            ("LPT0", "%4CPT0"),
            ("CON.B", "%43ON.B"),
            ("CON-B", "CON-B"),
            ("CONN", "CONN"),
            ("COM", "COM"),
            ("COM10", "COM10"),
            ("ACON", "ACON"),
            ("B.CON", "B.CON"),
            ("CONp", "CON%70"),
            ("Con", "C%6F%6E"),
        ] {
            assert_eq!(stem(symbol), expected, "{symbol}");
        }
    }
}
