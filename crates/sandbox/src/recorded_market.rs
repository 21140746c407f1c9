//! A market from a folder: recorded bars, served as they are.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    ops::RangeInclusive,
    path::Path,
};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use grab_model::{Bar, Symbol, calendar, new_york};
use serde::Deserialize;

use super::{
    identity::Identity,
    market::{Market, MarketListing, Minutes},
    options::SandboxError,
    params::SortOrder,
};

/// One ticker's file.
struct Recording {
    listing: MarketListing,
    /// In the order of time; bars of the same minute stay in the order of the file.
    bars: Vec<Bar>,
}

/// Every `<TICKER>.csv` and `<TICKER>.csv.gz` of a folder, in memory: about 100 bytes a bar.
pub(super) struct RecordedMarket(BTreeMap<String, Recording>);

/// A line of a file. Columns are found by name; `vw` and `n` may be missing, as columns or as values.
#[derive(Deserialize)]
struct Line {
    /// Start of the bar, UTC ms.
    t_ms_utc: i64,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: f64,
    vw: Option<f64>,
    n: Option<i64>,
}

impl RecordedMarket {
    /// Reads a folder. Decimal text becomes the nearest float64, so that it is served with the same digits.
    ///
    /// # Errors
    /// If the folder cannot be read, has no bars at all, or has a malformed file.
    pub fn open(folder: &Path) -> Result<Self, SandboxError> {
        let unreadable = |source| SandboxError::Unreadable { path: folder.to_owned(), source };
        let mut recordings = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = recording_name(&path) else { continue };
            let symbol = name.parse::<Symbol>().map_err(|error| malformed(&path, 1, error.to_string()))?;
            let ticker = symbol.to_string();
            let bars = read(&path)?;
            let listing = bars.first().and_then(|first| listing(&ticker, first));
            let listing = listing.ok_or_else(|| malformed(&path, 1, "no bars"))?;
            if recordings.insert(ticker, Recording { listing, bars }).is_some() {
                return Err(malformed(&path, 1, "another file has the same ticker"));
            }
        }
        if recordings.is_empty() {
            return Err(SandboxError::NothingRecorded { path: folder.to_owned() });
        }
        Ok(Self(recordings))
    }
}

impl Market for RecordedMarket {
    fn listings(&self) -> Vec<&MarketListing> {
        self.0.values().map(|recording| &recording.listing).collect()
    }

    fn minutes(&self, ticker: &str, range: RangeInclusive<i64>, order: SortOrder) -> Minutes<'_> {
        let bars = self.0.get(ticker).map_or(&[][..], |recording| &recording.bars);
        let start = bars.partition_point(|bar| bar.timestamp < *range.start());
        let end = bars.partition_point(|bar| bar.timestamp <= *range.end());
        let within = bars.get(start..end).unwrap_or_default().iter().copied();
        match order {
            SortOrder::Ascending => Box::new(within),
            SortOrder::Descending => Box::new(within.rev()),
        }
    }
}

/// Returns `KIMpL` for `KIMpL.csv.gz`. None for files of another kind.
fn recording_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".csv.gz").or_else(|| name.strip_suffix(".csv"))
}

/// All bars of a file, in the order of time.
fn read(path: &Path) -> Result<Vec<Bar>, SandboxError> {
    let file =
        File::open(path).map_err(|source| SandboxError::Unreadable { path: path.to_owned(), source })?;
    let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
    let text: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut bars = parse(text).map_err(|(line, reason)| malformed(path, line, reason))?;
    bars.sort_by_key(|bar| bar.timestamp);
    Ok(bars)
}

/// The lines of a file as bars; else the invalid line, and why.
fn parse(text: impl Read) -> Result<Vec<Bar>, (u64, String)> {
    let mut lines = csv::Reader::from_reader(text);
    let header = lines.headers().map_err(|error| (1, reason(&error)))?.clone();
    let mut bars = Vec::new();
    let mut record = StringRecord::new();
    loop {
        let line = lines.position().line();
        if !lines.read_record(&mut record).map_err(|error| (line, reason(&error)))? {
            return Ok(bars);
        }
        let fields = record.deserialize::<Line>(Some(&header)).map_err(|error| (line, reason(&error)))?;
        bars.push(fields.into_bar().map_err(|reason| (line, reason.to_owned()))?);
    }
}

impl Line {
    fn into_bar(self) -> Result<Bar, &'static str> {
        let known = new_york::day_start_ms(calendar::FIRST_DAY)..=new_york::day_start_ms(calendar::LAST_DAY);
        if !known.contains(&self.t_ms_utc) {
            return Err("t_ms_utc is not in ms, or not between 1993 and 2099");
        }
        let numbers = [self.o, self.h, self.l, self.c, self.v, self.vw.unwrap_or_default()];
        if !numbers.into_iter().all(f64::is_finite) {
            return Err("a number that JSON does not have");
        }
        Ok(Bar {
            timestamp: self.t_ms_utc,
            open: self.o,
            high: self.h,
            low: self.l,
            close: self.c,
            volume: self.v,
            vwap: self.vw,
            transactions: self.n,
        })
    }
}

/// The message of `csv` without the position, which is reported separately.
fn reason(error: &csv::Error) -> String {
    if let csv::ErrorKind::Deserialize { err, .. } = error.kind() {
        err.to_string()
    } else {
        error.to_string()
    }
}

fn malformed(path: &Path, line: u64, reason: impl Into<String>) -> SandboxError {
    SandboxError::Recorded { path: path.to_owned(), line, reason: reason.into() }
}

/// The listing of a recorded security: its ticker and its first day. Common stock is a guess: without a type, no list
/// of stocks would have it.
fn listing(ticker: &str, first: &Bar) -> Option<MarketListing> {
    Some(MarketListing {
        ticker: ticker.to_owned(),
        name: ticker.to_owned(),
        identity: Identity::default(),
        kind: "CS",
        exchange: None,
        listed: new_york::date_of(first.timestamp)?,
        delisted: None,
        splits: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (u64, String) {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn columns_and_cells_may_be_missing_where_the_service_may_leave_them_out() {
        let header = "t_ms_utc,o,h,l,c,v";
        let bars = |text: String| parse(text.as_bytes()).unwrap();
        let first = |rows: Vec<Bar>| (rows[0].vwap, rows[0].transactions);
        assert_eq!(first(bars(format!("{header}\n1704205800000,1,2,0.5,1.5,10\n"))), (None, None));
        assert_eq!(first(bars(format!("{header},vw,n\n1704205800000,1,2,0.5,1.5,10,,\n"))), (None, None));
        assert_eq!(first(bars(format!("{header},n\n1704205800000,1,2,0.5,1.5,10,3\n"))), (None, Some(3)));
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line() {
        let good = "t_ms_utc,o,h,l,c,v\n1704205800000,1,2,0.5,1.5,10\n";
        assert_eq!(fault(&format!("{good}1704205860000,1,2,0.5,x,10\n")).0, 3);
        assert_eq!(fault(&format!("{good}1704205860000,1,2,0.5,1.5\n")).0, 3);
        assert_eq!(
            fault(&format!("{good}1704205860000,1,2,0.5,1.5,inf")).1,
            "a number that JSON does not have"
        );
        assert_eq!(fault(&format!("{good}1704205860,1,2,0.5,1.5,1")).0, 3, "seconds");
        assert_eq!(fault("t,o,h,l,c,v\n1704205800000,1,2,0.5,1.5,10\n").1, "missing field `t_ms_utc`");
    }

    #[test]
    fn tickers_keep_their_case() {
        assert_eq!(recording_name(Path::new("x/KIMpL.csv.gz")), Some("KIMpL"));
        assert_eq!(recording_name(Path::new("x/BRK.B.csv")), Some("BRK.B"));
        assert_eq!(recording_name(Path::new("x/README.md")), None);
    }

    #[test]
    fn a_folder_that_cannot_be_served_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(RecordedMarket::open(folder.path()), Err(SandboxError::NothingRecorded { .. })));
        fs::write(folder.path().join("A.csv"), "t_ms_utc,o,h,l,c,v\n").unwrap();
        let error = RecordedMarket::open(folder.path()).err().unwrap().to_string();
        assert!(error.ends_with("A.csv, line 1: no bars"), "{error}");
        fs::write(folder.path().join("A.csv"), "t_ms_utc,o,h,l,c,v\n1,2,3,4,5,6\n").unwrap();
        let error = RecordedMarket::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("A.csv, line 2: t_ms_utc is not in ms"), "{error}");
        fs::rename(folder.path().join("A.csv"), folder.path().join("a b.csv")).unwrap();
        let error = RecordedMarket::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("a b.csv, line 1: ' '"), "{error}");
    }
}
