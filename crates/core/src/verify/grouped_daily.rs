//! The market's grouped daily bars as a witness, in memory.
//!
//! One request returns all symbols of a session (polygon-api.md §2), so that it also tells which symbols did not trade.
//! Only the shares of known symbols are loaded from each file, in 4 bytes each: sessions are cut into blocks, and a
//! symbol has no block for sessions on which it never traded. So memory depends on what was traded, not on the number
//! of symbols.

use std::{collections::HashMap, fs, io, path::Path};

use bytes::Bytes;
use grab_model::Symbol;
use jiff::civil::Date;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Finding, FindingKind, ListingCuts, StoredWitness, Witness, WitnessView, unlisted_symbols::UnlistedSymbols,
};
use crate::{
    cpu,
    data_dir::DataDir,
    manifest::WitnessFile,
    store::{InvalidPartition, market_day},
};

/// Sessions per block.
const BLOCK: usize = 64;

/// Shares by symbol, then by session; zero if there was no trade. Rounded to seven digits, which is enough for
/// comparisons.
type Block = Vec<Option<Box<[f32; BLOCK]>>>;

/// The shares that each symbol traded on each day that the witness covers.
#[derive(Debug, Default)]
pub struct GroupedDaily {
    places: HashMap<Symbol, usize>,
    /// The recorded days, in order, and whether the file of each is trusted.
    days: Vec<(Date, bool)>,
    /// One block for each [`BLOCK`] of these days.
    blocks: Vec<Block>,
    /// Whether the witness does not know most of the stored symbols: then it says nothing about symbols that it never saw.
    knows_little: bool,
}

/// The shares of one block, which of its files are trusted, and the findings about the others.
#[derive(Default)]
struct LoadedBlock {
    are_good: Vec<bool>,
    block: Block,
    findings: Vec<Finding>,
    unlisted: UnlistedSymbols,
}

/// Reads the recorded files on all cores and loads the shares of these symbols. If the witness is ignored, only checks
/// that the files exist; the witness then covers no day.
pub(super) fn load(
    data_dir: &DataDir,
    files: &[WitnessFile],
    symbols: &[Symbol],
    kept: StoredWitness,
    cut_away: &ListingCuts,
) -> (GroupedDaily, Vec<Finding>) {
    let places: HashMap<&str, usize> =
        symbols.iter().enumerate().map(|(place, symbol)| (symbol.as_str(), place)).collect();
    let reader = BlockReader { data_dir, kept, places, cut_away };
    let chunks: Vec<_> = files.chunks(BLOCK).collect();
    let loaded = cpu::map(&chunks, |chunk| reader.chunk(chunk));
    let are_good = loaded.iter().flat_map(|loaded| loaded.are_good.iter().copied());
    let days = files.iter().map(|file| file.date).zip(are_good).collect();
    let (mut blocks, mut findings, mut unlisted) = (Vec::new(), Vec::new(), UnlistedSymbols::default());
    for mut loaded in loaded {
        blocks.push(loaded.block);
        findings.append(&mut loaded.findings);
        unlisted.append(loaded.unlisted);
    }
    findings.extend(unlisted.finding());
    let places = symbols.iter().enumerate().map(|(place, symbol)| (symbol.clone(), place)).collect();
    (GroupedDaily { places, days, blocks, knows_little: false }, findings)
}

/// What the workers share.
struct BlockReader<'a> {
    data_dir: &'a DataDir,
    kept: StoredWitness,
    places: HashMap<&'a str, usize>,
    cut_away: &'a ListingCuts,
}

impl BlockReader<'_> {
    fn chunk(&self, files: &[WitnessFile]) -> LoadedBlock {
        let mut loaded = LoadedBlock { block: vec![None; self.places.len()], ..LoadedBlock::default() };
        for (column, file) in files.iter().enumerate() {
            let path = self.data_dir.market_day(file.date);
            let read = match self.kept {
                StoredWitness::Used => self.read(file, &path, column, &mut loaded).map(|()| true),
                StoredWitness::Ignored => measure(file, &path).map(|()| false),
            };
            loaded.are_good.push(*read.as_ref().unwrap_or(&false));
            if let Err((kind, detail)) = read {
                loaded.findings.push(kind.in_reference(Some(file.date), path, detail));
            }
        }
        loaded
    }

    /// Reads a file and checks that its bytes are the recorded ones.
    fn read(
        &self,
        file: &WitnessFile,
        path: &Path,
        column: usize,
        loaded: &mut LoadedBlock,
    ) -> Result<(), (FindingKind, String)> {
        let bytes = Bytes::from(fs::read(path).map_err(|error| unread(file, &error))?);
        let (digest, size) = (xxh3_64(&bytes), bytes.len());
        if digest != file.xxh3 {
            return Err(damage(file, bytes, &format!("XXH3 {digest:016x} of {size} bytes")));
        }
        let is_ordered = self.cut_away.is_ordered(file.date);
        if self.places.is_empty() && !is_ordered {
            return Ok(());
        }
        let LoadedBlock { block, unlisted, .. } = loaded;
        let read = market_day::each_volume(bytes, |ticker, shares| {
            if let Some(days) = self.places.get(ticker).and_then(|place| block.get_mut(*place)) {
                days.get_or_insert_with(|| Box::new([0.0; BLOCK]))[column] = compact(shares);
            } else if is_ordered && shares > 0.0 && !self.cut_away.is_listed(ticker) {
                unlisted.add(ticker, file.date);
            }
        });
        read.map_err(unreadable)
    }
}

/// Rounds a number of shares to seven digits; only zero becomes zero.
fn compact(shares: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounded to seven digits")]
    let short = shares as f32;
    if shares > 0.0 { short.clamp(f32::MIN_POSITIVE, f32::MAX) } else { 0.0 }
}

/// Checks that a file exists in its recorded size.
fn measure(file: &WitnessFile, path: &Path) -> Result<(), (FindingKind, String)> {
    let size = fs::metadata(path).map_err(|error| unread(file, &error))?.len();
    if size == file.bytes {
        return Ok(());
    }
    Err((FindingKind::DigestMismatch, format!("{size} bytes, recorded {}", file.bytes)))
}

fn unread(file: &WitnessFile, error: &io::Error) -> (FindingKind, String) {
    if error.kind() == io::ErrorKind::NotFound {
        (
            FindingKind::MissingFile,
            format!("the market's {} rows are recorded: fetch them with --witness grouped-daily", file.rows),
        )
    } else {
        (FindingKind::CorruptFile, error.to_string())
    }
}

fn unreadable(why: InvalidPartition) -> (FindingKind, String) {
    match why {
        InvalidPartition::Corrupt(reason) => (FindingKind::CorruptFile, format!("{reason}: it is not used")),
        InvalidPartition::Schema(reason) => {
            (FindingKind::SchemaMismatch, format!("{reason}: it is not used"))
        }
    }
}

/// Returns what is wrong with a file whose bytes are not the recorded ones.
fn damage(file: &WitnessFile, bytes: Bytes, found: &str) -> (FindingKind, String) {
    match market_day::read(file.date, bytes) {
        Err(why) => unreadable(why),
        Ok((_, is_intact)) => {
            let whose =
                if is_intact { "another one that grab has written" } else { "changed since it was written" };
            let detail = format!(
                "{found}, recorded {:016x} of {} bytes: {whose}, and not used",
                file.xxh3, file.bytes
            );
            (FindingKind::DigestMismatch, detail)
        }
    }
}

impl GroupedDaily {
    /// Whether it covers a day.
    #[must_use]
    pub fn was_there(&self, day: Date) -> bool {
        self.place_of(day).is_some()
    }

    /// The days that it covers, in order.
    pub fn dates(&self) -> impl Iterator<Item = Date> {
        self.days.iter().filter(|(_, is_good)| *is_good).map(|(date, _)| *date)
    }

    /// Rejects these days.
    pub(super) fn reject(&mut self, days: impl Iterator<Item = Date>) {
        for day in days {
            let place = self.days.binary_search_by_key(&day, |(date, _)| *date);
            if let Some((_, is_good)) = place.ok().and_then(|place| self.days.get_mut(place)) {
                *is_good = false;
            }
        }
    }

    /// Says nothing about symbols that it never saw from now on.
    pub(super) fn admit_ignorance(&mut self) {
        self.knows_little = true;
    }

    fn place_of(&self, day: Date) -> Option<usize> {
        let place = self.days.binary_search_by_key(&day, |(date, _)| *date).ok()?;
        self.days.get(place).filter(|(_, is_good)| *is_good).map(|_| place)
    }
}

impl Witness for GroupedDaily {
    fn saw(&self, symbol: &Symbol, day: Date) -> Option<WitnessView> {
        let (place, symbol) = (self.place_of(day)?, *self.places.get(symbol)?);
        if self.knows_little && self.blocks.iter().all(|block| block.get(symbol).is_none_or(Option::is_none))
        {
            return None;
        }
        let days = self.blocks.get(place / BLOCK)?.get(symbol)?;
        let shares = days.as_ref().and_then(|days| days.get(place % BLOCK)).copied().unwrap_or_default();
        Some(if shares > 0.0 { WitnessView::Traded(f64::from(shares)) } else { WitnessView::NoTrade })
    }
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil::date};

    use super::*;
    use grab_model::DayBar;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    fn bar(ticker: &str, volume: f64) -> DayBar {
        let (open, high, low, close) = (1.0, 2.0, 1.0, 2.0);
        DayBar { symbol: symbol(ticker), open, high, low, close, volume, vwap: None, transactions: Some(3) }
    }

    /// Writes a day and returns its row.
    fn kept(data_dir: &DataDir, date: Date, bars: &[DayBar]) -> WitnessFile {
        let day = market_day::NewMarketDay { date, bars, source: "localhost", fetched_ms: 1 };
        let market_day::WrittenFile { bytes, xxh3 } = market_day::write(data_dir, &day).unwrap();
        let (rows, source) = (bars.len() as u64, "localhost".to_owned());
        WitnessFile { date, rows, skipped: 0, bytes, xxh3, request_id: None, fetched_at_ms: 1, source }
    }

    #[test]
    fn it_says_what_each_day_says_over_several_blocks_and_nothing_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let day = |number: i32| date(2024, 1, 1).saturating_add(number.days());
        let files: Vec<_> = (0..150)
            .map(|number| {
                let mut bars = vec![bar("OTHER", 9.0)];
                if number % 2 == 0 {
                    bars.insert(0, bar("A", f64::from(number) + 0.5));
                }
                kept(&DataDir::new(dir.path()), day(number), &bars)
            })
            .collect();
        let (witness, findings) = load(
            &DataDir::new(dir.path()),
            &files,
            &[symbol("A"), symbol("B")],
            StoredWitness::Used,
            &ListingCuts::default(),
        );
        assert_eq!((findings, witness.dates().count()), (vec![], 150));
        for number in 0..150 {
            let traded = WitnessView::Traded(f64::from(number) + 0.5);
            let expected = if number % 2 == 0 { traded } else { WitnessView::NoTrade };
            assert_eq!(witness.saw(&symbol("A"), day(number)), Some(expected), "{number}");
            assert_eq!(witness.saw(&symbol("B"), day(number)), Some(WitnessView::NoTrade));
        }
        assert_eq!(witness.saw(&symbol("A"), day(150)), None, "it was not there");
        assert_eq!(witness.saw(&symbol("OTHER"), day(0)), None, "nobody asked about it");
    }

    #[test]
    fn files_that_are_not_what_was_written_are_named_and_not_relied_on() {
        let dir = tempfile::tempdir().unwrap();
        let days: Vec<_> = (2..=6).map(|day| date(2024, 1, day)).collect();
        let files: Vec<_> =
            days.iter().map(|day| kept(&DataDir::new(dir.path()), *day, &[bar("A", 7.0)])).collect();
        let place = |day: usize| DataDir::new(dir.path()).market_day(days[day]);
        fs::remove_file(place(0)).unwrap();
        fs::write(place(1), &fs::read(place(1)).unwrap()[..100]).unwrap();
        kept(&DataDir::new(dir.path()), days[2], &[bar("A", 8.0)]);
        fs::copy(place(4), place(3)).unwrap();
        let (witness, findings) = load(
            &DataDir::new(dir.path()),
            &files,
            &[symbol("A")],
            StoredWitness::Used,
            &ListingCuts::default(),
        );
        let kinds: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.date.unwrap())).collect();
        let expected = [
            FindingKind::MissingFile,
            FindingKind::CorruptFile,
            FindingKind::DigestMismatch,
            FindingKind::SchemaMismatch,
        ];
        assert_eq!(kinds, expected.into_iter().zip(days.clone()).collect::<Vec<_>>());
        assert!(findings[2].detail.contains("another one that grab has written"), "{findings:?}");
        assert!(findings.iter().all(|finding| finding.path.is_some() && finding.ticker.is_none()));
        let saw: Vec<_> = days.iter().map(|day| witness.saw(&symbol("A"), *day)).collect();
        assert_eq!(saw, [None, None, None, None, Some(WitnessView::Traded(7.0))]);
        let (nowhere, sizes) = load(
            &DataDir::new(dir.path()),
            &files,
            &[symbol("A")],
            StoredWitness::Ignored,
            &ListingCuts::default(),
        );
        assert_eq!((sizes.len(), nowhere.saw(&symbol("A"), days[4])), (2, None), "missing, and cut");
    }

    /// `cargo test --release -p grab-core -- --ignored --nocapture five_thousand`
    #[test]
    #[ignore = "makes 2 GB of files, for the figures"]
    fn five_thousand_sessions_of_eleven_thousand_symbols() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let symbols: Vec<_> = (0..11_000_u32)
            .map(|mut number| {
                let letters = (0..4).map(|_| (b'A' + u8::try_from(number % 26).unwrap(), number /= 26).0);
                let text: String = letters.map(char::from).collect();
                symbol(&text)
            })
            .collect();
        let mut sorted = symbols.clone();
        sorted.sort_unstable();
        let dates = std::iter::successors(Some(date(2004, 1, 1)), |day| day.tomorrow().ok());
        let files: Vec<_> = dates
            .take(5_000)
            .map(|date| {
                let bars = sorted.iter().map(|symbol| DayBar {
                    symbol: symbol.clone(),
                    open: f64::from(random.u32(100..90_000)) / 100.0,
                    high: f64::from(random.u32(100..90_000)) / 100.0,
                    low: f64::from(random.u32(100..90_000)) / 100.0,
                    close: f64::from(random.u32(100..90_000)) / 100.0,
                    volume: f64::from(random.u32(100..90_000_000)),
                    vwap: Some(random.f64()),
                    transactions: Some(random.i64(1..100_000)),
                });
                kept(&DataDir::new(dir.path()), date, &bars.collect::<Vec<_>>())
            })
            .collect();
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        println!("{} files, {bytes} bytes", files.len());
        let memory = |what: &str| {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let kept = |line: &&str| line.starts_with("VmRSS") || line.starts_with("VmHWM");
            println!("{what}: {:?}", status.lines().filter(kept).collect::<Vec<_>>());
        };
        memory("before");
        let begun = std::time::Instant::now();
        let (witness, findings) =
            load(&DataDir::new(dir.path()), &files, &symbols, StoredWitness::Used, &ListingCuts::default());
        println!("read in {:?}", begun.elapsed());
        memory("after");
        assert!(findings.is_empty());
        let begun = std::time::Instant::now();
        let requested = symbols.iter().flat_map(|symbol| files.iter().map(move |file| (symbol, file.date)));
        let traded = requested
            .filter(|(symbol, date)| witness.saw(symbol, *date) != Some(WitnessView::NoTrade))
            .count();
        println!("asked {traded} times in {:?}", begun.elapsed());
        assert_eq!(traded, 55_000_000);
    }

    #[test]
    fn shares_are_zero_only_if_they_are() {
        assert!(compact(1e-300) > 0.0 && compact(1e300).is_finite());
        assert_eq!((compact(0.0), compact(1_234_567.0)), (0.0, 1_234_567.0));
    }
}
