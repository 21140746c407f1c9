//! The stored days of the market that serve as a witness.

use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::{ManifestError, ManifestReader, ManifestWriter};

/// One file of the whole market's day, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessFile {
    /// The session.
    pub date: Date,
    /// Symbols that traded.
    pub rows: u64,
    /// Rows of the response whose ticker is not a symbol of a stock.
    pub skipped: u64,
    /// The file's size.
    pub bytes: u64,
    /// XXH3-64 of the file.
    pub xxh3: u64,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// When it was fetched, UTC ms.
    pub fetched_at_ms: i64,
    /// The host from which it was fetched.
    pub source: String,
}

impl ManifestWriter {
    /// Records a file that is on stable storage, in place of an older one for its day.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn save_witness(&mut self, file: &WitnessFile) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let insert =
            "INSERT OR REPLACE INTO witnesses (date, rows, skipped, bytes, xxh3, request_id, fetched_at_ms, source)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        change.execute(
            insert,
            params![
                file.date.to_string(),
                file.rows,
                file.skipped,
                file.bytes,
                format!("{:016x}", file.xxh3),
                file.request_id,
                file.fetched_at_ms,
                file.source
            ],
        )?;
        change.commit()
    }
}

impl ManifestReader {
    /// The stored days of the market, in order.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn witnesses(&self) -> Result<Vec<WitnessFile>, ManifestError> {
        let mut files = all(self.connection())?;
        self.with_rewritten_days(&mut files)?;
        Ok(files)
    }
}

fn all(connection: &Connection) -> Result<Vec<WitnessFile>, ManifestError> {
    let mut select = connection.prepare(
        "SELECT date, rows, skipped, bytes, xxh3, request_id, fetched_at_ms, source FROM witnesses ORDER BY date",
    )?;
    let mut found = select.query([])?;
    let mut files = Vec::new();
    while let Some(row) = found.next()? {
        let (date, digest): (String, String) = (row.get(0)?, row.get(4)?);
        let wrong = |what: &str, text: &str| ManifestError::Corrupt(format!("a witness's {what}: {text}"));
        files.push(WitnessFile {
            date: date.parse().map_err(|_| wrong("date", &date))?,
            rows: row.get(1)?,
            skipped: row.get(2)?,
            bytes: row.get(3)?,
            xxh3: u64::from_str_radix(&digest, 16).map_err(|_| wrong("xxh3", &digest))?,
            request_id: row.get(5)?,
            fetched_at_ms: row.get(6)?,
            source: row.get(7)?,
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use crate::data_dir::DataDir;
    use jiff::civil::date;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_day_is_kept_once_and_the_newer_file_stands_in_for_the_older() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        let file = |day, xxh3| WitnessFile {
            date: date(2024, 1, day),
            rows: 11_000,
            skipped: 3,
            bytes: 400_000,
            xxh3,
            request_id: Some("r".to_owned()),
            fetched_at_ms: 5,
            source: "localhost".to_owned(),
        };
        for kept in [file(4, 1), file(3, 2), file(4, u64::MAX)] {
            writer.save_witness(&kept).unwrap();
        }
        let stored = DataDir::new(dir.path()).open_read().unwrap().witnesses().unwrap();
        assert_eq!(stored, [file(3, 2), file(4, u64::MAX)]);
        assert!(writer.save_witness(&WitnessFile { rows: 0, ..file(5, 1) }).is_err(), "nobody is no witness");
    }
}
