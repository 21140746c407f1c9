//! Deliberate defects of reference data, as reported about the service (polygon-api.md §2).
//!
//! A defect follows from the seed and the row: it is the same in every response.

use jiff::civil::{Date, date};

use super::{
    identity::made_up_cik,
    market::{MarketListing, MarketSplit},
    seed::{RandomDraws, Seed},
};

/// The day for which a third of all rows was reported missing.
const REPORTED_DAY: Date = date(2009, 10, 29);

/// How many other past days are incomplete, and how many of their rows are missing.
const POOR_DAYS: f64 = 0.1;
const MISSING_ROWS: f64 = 0.32;

/// How many active and how many delisted rows have no FIGI.
const WITHOUT_FIGI: f64 = 0.1;
const LEFT_WITHOUT_FIGI: f64 = 0.6;

/// How many tickers are listed twice, and how often the second row has another CIK.
const LISTED_TWICE: f64 = 0.05;
const OTHER_CIK: f64 = 0.5;

/// How many splits are listed twice, and how many have odd numbers.
const SPLIT_TWICE: f64 = 0.15;
const ODD_NUMBERS: f64 = 0.2;

/// All defects of the reference data of a seed.
pub(super) struct ReferenceDefects(Seed);

/// Another row of a ticker. It is older than the right one.
#[derive(Clone, Copy)]
pub(super) struct Twin {
    /// How many days before the right one it was updated.
    pub older_by: i32,
    /// Whether it comes before the right one.
    pub is_first: bool,
    /// The seed of its CIK, if it has another.
    cik: Option<Seed>,
}

impl Twin {
    /// Its CIK, if it has another.
    pub fn other_cik(self) -> Option<String> {
        self.cik.map(|seed| made_up_cik(&mut seed.draws()))
    }
}

impl ReferenceDefects {
    pub fn new(seed: u64) -> Self {
        Self(Seed::root(seed).named("defects"))
    }

    /// The other row of a ticker. None if it is listed once.
    pub fn twin(&self, listing: &MarketListing) -> Option<Twin> {
        let seed = self.of(listing).named("twin");
        let mut draws = seed.draws();
        draws.happens(LISTED_TWICE).then(|| Twin {
            older_by: draws.pick([1, 7, 30, 400]),
            is_first: draws.happens(0.5),
            cik: draws.happens(OTHER_CIK).then(|| seed.named("cik")),
        })
    }

    /// Whether a list as of a past day lacks a ticker.
    pub fn lacks_row(&self, listing: &MarketListing, day: Date) -> bool {
        let seed = self.0.named("day").named(&day.to_string());
        let is_poor = day == REPORTED_DAY || seed.draws().happens(POOR_DAYS);
        is_poor && seed.named(&listing.ticker).draws().happens(MISSING_ROWS)
    }

    /// Whether the row of a ticker lacks FIGIs that the company has.
    pub fn lacks_figi(&self, listing: &MarketListing, has_left: bool) -> bool {
        let share = if has_left { LEFT_WITHOUT_FIGI } else { WITHOUT_FIGI };
        self.of(listing).named("figi").draws().happens(share)
    }

    /// Whether a split is listed twice, the second time under another id.
    pub fn is_split_twice(&self, ticker: &str, split: &MarketSplit) -> bool {
        self.of_split(ticker, split, "twice").happens(SPLIT_TWICE)
    }

    /// The numbers of a split: the ratio is right, but it may be in millions, or in parts of one share.
    pub fn numbers(&self, ticker: &str, split: &MarketSplit) -> (f64, f64) {
        let mut draws = self.of_split(ticker, split, "numbers");
        match (draws.happens(ODD_NUMBERS), draws.happens(0.5)) {
            (false, _) => (split.from, split.to),
            (true, false) => (split.from * 1e6, split.to * 1e6),
            (true, true) => (1.0, split.to / split.from),
        }
    }

    fn of(&self, listing: &MarketListing) -> Seed {
        self.0.named(&listing.ticker).named(&listing.name)
    }

    fn of_split(&self, ticker: &str, split: &MarketSplit, what: &str) -> RandomDraws {
        self.0.named(what).named(ticker).named(&split.date.to_string()).draws()
    }
}
