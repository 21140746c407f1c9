//! Which companies a generated market has: some that everybody knows, and some that a seed makes up.

use std::collections::BTreeSet;

use jiff::{
    ToSpan,
    civil::{Date, date},
};

use super::{
    company::Company,
    market::{Listing, Split},
    seed::{Draws, Seed},
};
use crate::{calendar, model::Window};

/// How many companies a seed makes up.
const MADE_UP: u16 = 200;

/// Between these days made-up companies are listed.
const LISTINGS: (Date, Date) = (date(1995, 1, 1), date(2026, 6, 30));

/// After this day nothing happens to a made-up company any more.
const LAST_EVENT: Date = date(2035, 12, 31);

/// How likely it is that a made-up company leaves the market one day.
const LEAVING: f64 = 0.5;

/// Ticker, name, type, exchange, first day, first day without trading, price (USD) and trades of an average day.
type Known = (&'static str, &'static str, &'static str, &'static str, Date, Option<Date>, f64, f64);

/// Real tickers with real dates, as far as they matter: some first days long before 2003 are not exact. Prices and
/// volumes are made up all the same, but of the right size.
#[rustfmt::skip]
const KNOWN: [Known; 51] = [
    ("A", "Agilent Technologies Inc.", "CS", "XNYS", date(1999, 11, 18), None, 80.0, 25_000.0),
    ("AAPL", "Apple Inc.", "CS", "XNAS", date(1980, 12, 12), None, 230.0, 500_000.0),
    ("ABNB", "Airbnb, Inc. Class A Common Stock", "CS", "XNAS", date(2020, 12, 10), None, 140.0, 90_000.0),
    ("AMZN", "Amazon.Com Inc", "CS", "XNAS", date(1997, 5, 15), None, 600.0, 400_000.0),
    ("ARM", "Arm Holdings plc American Depositary Shares", "ADRC", "XNAS", date(2023, 9, 14), None, 120.0, 120_000.0),
    ("ATVI", "Activision Blizzard, Inc", "CS", "XNAS", date(1993, 10, 22), Some(date(2023, 10, 16)), 40.0, 60_000.0),
    ("BABA", "Alibaba Group Holding Limited", "ADRC", "XNYS", date(2014, 9, 19), None, 120.0, 150_000.0),
    ("BAC", "Bank of America Corporation", "CS", "XNYS", date(1978, 12, 18), None, 30.0, 200_000.0),
    ("BBBY", "Bed Bath & Beyond Inc.", "CS", "XNAS", date(1992, 6, 5), Some(date(2023, 5, 3)), 30.0, 40_000.0),
    ("BRK.A", "Berkshire Hathaway Inc.", "CS", "XNYS", date(1980, 3, 17), None, 350_000.0, 2_500.0),
    ("BRK.B", "Berkshire Hathaway Inc. Class B", "CS", "XNYS", date(1996, 5, 9), None, 1_200.0, 60_000.0),
    ("BSC", "Bear Stearns Companies Inc.", "CS", "XNYS", date(1985, 10, 29), Some(date(2008, 6, 2)), 100.0, 30_000.0),
    ("C", "Citigroup Inc.", "CS", "XNYS", date(1986, 10, 29), None, 60.0, 110_000.0),
    ("DIA", "SPDR Dow Jones Industrial Average ETF Trust", "ETF", "ARCX", date(1998, 1, 20), None, 220.0, 40_000.0),
    ("F", "Ford Motor Company", "CS", "XNYS", date(1956, 1, 18), None, 12.0, 90_000.0),
    ("FB", "Meta Platforms, Inc. Class A Common Stock", "CS", "XNAS", date(2012, 5, 18), Some(date(2022, 6, 9)), 150.0, 250_000.0),
    ("GE", "GE Aerospace", "CS", "XNYS", date(1962, 1, 2), None, 40.0, 80_000.0),
    ("GOOG", "Alphabet Inc. Class C Capital Stock", "CS", "XNAS", date(2014, 4, 3), None, 500.0, 200_000.0),
    ("GOOGL", "Alphabet Inc. Class A Common Stock", "CS", "XNAS", date(2004, 8, 19), None, 500.0, 250_000.0),
    ("IBM", "International Business Machines Corporation", "CS", "XNYS", date(1962, 1, 2), None, 150.0, 50_000.0),
    ("IWM", "iShares Russell 2000 ETF", "ETF", "ARCX", date(2000, 5, 26), None, 140.0, 180_000.0),
    ("JNJ", "Johnson & Johnson", "CS", "XNYS", date(1944, 9, 25), None, 110.0, 60_000.0),
    ("JPM", "JPMorgan Chase & Co.", "CS", "XNYS", date(1980, 3, 17), None, 90.0, 90_000.0),
    ("KIMpL", "Kimco Realty Corporation Class L Depositary Shares", "PFD", "XNYS", date(2017, 8, 16), None, 24.0, 2.0),
    ("KO", "Coca-Cola Company", "CS", "XNYS", date(1919, 9, 5), None, 50.0, 70_000.0),
    ("LEH", "Lehman Brothers Holdings Inc.", "CS", "XNYS", date(1994, 5, 31), Some(date(2008, 9, 18)), 60.0, 50_000.0),
    ("META", "Roundhill Ball Metaverse ETF", "ETF", "ARCX", date(2021, 6, 30), Some(date(2022, 1, 31)), 15.0, 2_000.0),
    ("META", "Meta Platforms, Inc. Class A Common Stock", "CS", "XNAS", date(2022, 6, 9), None, 350.0, 250_000.0),
    ("MSFT", "Microsoft Corp", "CS", "XNAS", date(1986, 3, 13), None, 150.0, 350_000.0),
    ("NA", "Nano Labs Ltd American Depositary Shares", "ADRC", "XNAS", date(2022, 7, 12), None, 5.0, 300.0),
    ("NAN", "Nuveen New York Quality Municipal Income Fund", "FUND", "XNYS", date(1999, 5, 26), None, 13.0, 120.0),
    ("NVDA", "Nvidia Corp", "CS", "XNAS", date(1999, 1, 22), None, 300.0, 500_000.0),
    ("ON", "ON Semiconductor Corporation", "CS", "XNAS", date(2000, 5, 2), None, 25.0, 80_000.0),
    ("QQQ", "Invesco QQQ Trust, Series 1", "ETF", "XNAS", date(1999, 3, 10), None, 180.0, 400_000.0),
    ("RDDT", "Reddit, Inc.", "CS", "XNYS", date(2024, 3, 21), None, 110.0, 90_000.0),
    ("RIVN", "Rivian Automotive, Inc. Class A Common Stock", "CS", "XNAS", date(2021, 11, 10), None, 20.0, 120_000.0),
    ("SIVB", "SVB Financial Group", "CS", "XNAS", date(1987, 10, 19), Some(date(2023, 3, 28)), 150.0, 20_000.0),
    ("SNOW", "Snowflake Inc.", "CS", "XNYS", date(2020, 9, 16), None, 180.0, 80_000.0),
    ("SOXS", "Direxion Daily Semiconductor Bear 3X Shares", "ETF", "ARCX", date(2010, 3, 11), None, 12.0, 60_000.0),
    ("SPY", "SPDR S&P 500 ETF Trust", "ETF", "ARCX", date(1993, 1, 29), None, 250.0, 600_000.0),
    ("SQQQ", "ProShares UltraPro Short QQQ", "ETF", "XNAS", date(2010, 2, 11), None, 20.0, 90_000.0),
    ("T", "AT&T Inc.", "CS", "XNYS", date(1983, 11, 21), None, 25.0, 100_000.0),
    ("TQQQ", "ProShares UltraPro QQQ", "ETF", "XNAS", date(2010, 2, 11), None, 90.0, 200_000.0),
    ("TRUE", "TrueCar, Inc.", "CS", "XNAS", date(2014, 5, 16), None, 4.0, 4_000.0),
    ("TSLA", "Tesla, Inc. Common Stock", "CS", "XNAS", date(2010, 6, 29), None, 500.0, 600_000.0),
    ("TWTR", "Twitter, Inc.", "CS", "XNYS", date(2013, 11, 7), Some(date(2022, 10, 28)), 35.0, 90_000.0),
    ("UBER", "Uber Technologies, Inc.", "CS", "XNYS", date(2019, 5, 10), None, 45.0, 120_000.0),
    ("V", "VISA Inc.", "CS", "XNYS", date(2008, 3, 19), None, 200.0, 70_000.0),
    ("WMT", "Walmart Inc.", "CS", "XNYS", date(1972, 8, 25), None, 90.0, 80_000.0),
    ("XOM", "Exxon Mobil Corporation", "CS", "XNYS", date(1970, 1, 2), None, 80.0, 90_000.0),
    ("YHOO", "Yahoo! Inc.", "CS", "XNAS", date(1996, 4, 12), Some(date(2017, 6, 19)), 30.0, 70_000.0),
];

/// Their real splits since 2003: ticker, day, and how many shares become how many.
const KNOWN_SPLITS: [(&str, Date, f64, f64); 35] = [
    ("AAPL", date(2005, 2, 28), 1.0, 2.0),
    ("AAPL", date(2014, 6, 9), 1.0, 7.0),
    ("AAPL", date(2020, 8, 31), 1.0, 4.0),
    ("AMZN", date(2022, 6, 6), 1.0, 20.0),
    ("BAC", date(2004, 8, 30), 1.0, 2.0),
    ("BRK.B", date(2010, 1, 21), 1.0, 50.0),
    ("C", date(2011, 5, 9), 10.0, 1.0),
    ("GE", date(2021, 8, 2), 8.0, 1.0),
    ("GOOG", date(2022, 7, 18), 1.0, 20.0),
    ("GOOGL", date(2022, 7, 18), 1.0, 20.0),
    ("IWM", date(2005, 6, 9), 1.0, 2.0),
    ("KO", date(2012, 8, 13), 1.0, 2.0),
    ("NVDA", date(2006, 4, 7), 1.0, 2.0),
    ("NVDA", date(2007, 9, 11), 2.0, 3.0),
    ("NVDA", date(2021, 7, 20), 1.0, 4.0),
    ("NVDA", date(2024, 6, 10), 1.0, 10.0),
    ("SOXS", date(2019, 6, 28), 10.0, 1.0),
    ("SOXS", date(2020, 8, 28), 12.0, 1.0),
    ("SOXS", date(2022, 3, 28), 10.0, 1.0),
    ("SOXS", date(2024, 4, 15), 10.0, 1.0),
    ("SOXS", date(2026, 3, 5), 20.0, 1.0),
    ("SOXS", date(2026, 7, 15), 10.0, 1.0),
    ("SQQQ", date(2019, 5, 24), 4.0, 1.0),
    ("SQQQ", date(2020, 8, 18), 5.0, 1.0),
    ("SQQQ", date(2022, 1, 13), 5.0, 1.0),
    ("SQQQ", date(2024, 11, 7), 5.0, 1.0),
    ("SQQQ", date(2025, 11, 20), 5.0, 1.0),
    ("TQQQ", date(2021, 1, 21), 1.0, 2.0),
    ("TQQQ", date(2022, 1, 13), 1.0, 2.0),
    ("TQQQ", date(2025, 11, 20), 1.0, 2.0),
    ("TSLA", date(2020, 8, 31), 1.0, 5.0),
    ("TSLA", date(2022, 8, 25), 1.0, 3.0),
    ("V", date(2015, 3, 19), 1.0, 4.0),
    ("WMT", date(2024, 2, 26), 1.0, 3.0),
    ("YHOO", date(2004, 5, 12), 1.0, 2.0),
];

/// All companies of a seed, by ticker and first day.
pub(super) fn companies(seed: Seed) -> Vec<Company> {
    let known = KNOWN.iter().map(|row| known(seed, row));
    let mut companies: Vec<_> = known.chain(made_up(seed.named("made up"))).collect();
    companies.sort_by_cached_key(|company| (company.listing.ticker.clone(), company.listing.listed));
    companies
}

fn known(seed: Seed, &(ticker, name, kind, exchange, listed, delisted, price, trades): &Known) -> Company {
    let own = |(of, ..): &&(&str, Date, f64, f64)| *of == ticker;
    let splits = KNOWN_SPLITS.iter().filter(own).map(|&(_, date, from, to)| Split { date, from, to });
    let listing = Listing {
        ticker: ticker.to_owned(),
        name: name.to_owned(),
        kind,
        exchange: Some(exchange),
        listed,
        delisted,
        splits: splits.collect(),
    };
    Company::new(listing, seed.named(name), price, trades)
}

fn made_up(seed: Seed) -> impl Iterator<Item = Company> {
    let mut taken: BTreeSet<String> = KNOWN.iter().map(|(ticker, ..)| (*ticker).to_owned()).collect();
    (1..=MADE_UP).map(move |number| {
        let seed = seed.child(number.into());
        let mut draws = seed.named("listing").draws();
        let listing = made_up_listing(free_ticker(&mut taken, &mut draws), number, &mut draws);
        let (price, trades) = (draws.between_orders(2.0, 400.0), draws.between_orders(1.0, 100_000.0));
        Company::new(listing, seed, price, trades)
    })
}

fn made_up_listing(ticker: String, number: u16, draws: &mut Draws) -> Listing {
    let listed = session_between(LISTINGS.0, LISTINGS.1, draws);
    let leaves = draws.happens(LEAVING);
    let left = session_between(listed, LAST_EVENT, draws);
    let splits = (0..draws.pick([0, 0, 0, 1, 1, 2])).map(|_| made_up_split(listed, left, draws));
    let mut splits: Vec<_> = splits.collect();
    splits.sort_by_key(|split| split.date);
    Listing {
        ticker,
        name: format!("Sandbox Company {number} Inc."),
        kind: draws.pick(["CS", "CS", "CS", "CS", "CS", "CS", "ETF", "ETF", "ADRC", "PFD"]),
        exchange: Some(draws.pick(["XNAS", "XNAS", "XNYS", "XNYS", "ARCX", "XASE", "BATS"])),
        listed,
        delisted: leaves.then_some(left),
        splits,
    }
}

fn made_up_split(after: Date, before: Date, draws: &mut Draws) -> Split {
    let (from, to) = draws.pick([(1.0, 2.0), (1.0, 3.0), (2.0, 3.0), (1.0, 10.0), (5.0, 1.0), (10.0, 1.0)]);
    Split { date: session_between(after, before, draws), from, to }
}

/// A ticker of four letters that nobody has.
fn free_ticker(taken: &mut BTreeSet<String>, draws: &mut Draws) -> String {
    loop {
        let letters = (0..4).map(|_| char::from(draws.pick(*b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")));
        let ticker: String = letters.collect();
        if taken.insert(ticker.clone()) {
            return ticker;
        }
    }
}

/// A session after one day and not much later than another; the first of them where there is no room.
fn session_between(after: Date, before: Date, draws: &mut Draws) -> Date {
    let days = after.until(before).map_or(0, |span| span.get_days());
    #[expect(clippy::cast_possible_truncation, reason = "a part of some thousand days")]
    let day = after.saturating_add((draws.between(1.0, f64::from(days)) as i32).days());
    let window = Window::new(day, calendar::LAST_DAY);
    let session = window.and_then(|window| calendar::sessions(window).next());
    session.map_or(day, calendar::Session::date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listing_makes_sense() {
        for seed in 0..5 {
            let companies = companies(Seed::root(seed));
            assert_eq!(companies.len(), KNOWN.len() + usize::from(MADE_UP));
            let listings: Vec<_> = companies.iter().map(|company| &company.listing).collect();
            for listing in &listings {
                let name = &listing.ticker;
                assert!(name.parse::<crate::model::Symbol>().is_ok(), "{name}");
                assert!(listing.delisted.is_none_or(|delisted| listing.listed < delisted), "{name}");
                assert!(listing.splits.is_sorted_by_key(|split| split.date), "{name}");
                assert!(listing.splits.iter().all(|split| split.date > listing.listed), "{name}");
            }
            assert!(listings.is_sorted_by_key(|listing| (&listing.ticker, listing.listed)));
            assert!(
                listings
                    .iter()
                    .any(|listing| listing.delisted.is_some() && listing.name.starts_with("Sandbox"))
            );
        }
    }

    #[test]
    fn every_known_split_has_its_company() {
        let tickers: BTreeSet<_> = KNOWN.iter().map(|(ticker, ..)| *ticker).collect();
        assert!(KNOWN_SPLITS.iter().all(|(ticker, ..)| tickers.contains(ticker)));
    }
}
