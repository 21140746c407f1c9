//! The companies of a generated market: some well-known ones, and some that a seed makes up.
//!
//! A company that changes its ticker has one entry for each ticker, with the same name and the same ids. A company that
//! takes over the ticker of another comes after it.

mod known;
mod made_up;

use std::collections::BTreeSet;

use jiff::civil::{Date, date};

use self::known::{KNOWN, KNOWN_SPLITS, KnownCompany};
use super::{
    identity::Identity,
    made_up_stock::MadeUpStock,
    market::{MarketListing, MarketSplit},
    seed::Seed,
};

/// A company that was delisted before this day has no FIGI: FIGIs did not exist yet.
const FIGIS_FROM: Date = date(2013, 1, 1);

/// All companies of a seed, by ticker and first day.
pub(super) fn companies(seed: Seed) -> Vec<MadeUpStock> {
    let taken = KNOWN.iter().map(|(ticker, ..)| (*ticker).to_owned()).collect::<BTreeSet<_>>();
    let known = KNOWN.iter().map(|row| known(seed, row));
    let mut companies: Vec<_> = known.chain(made_up::companies(seed.named("made up"), taken)).collect();
    companies.sort_by_cached_key(|company| (company.listing.ticker.clone(), company.listing.listed));
    companies
}

fn known(
    seed: Seed,
    &(ticker, name, kind, exchange, listed, delisted, price, trades): &KnownCompany,
) -> MadeUpStock {
    let own = |(of, ..): &&(&str, Date, f64, f64)| *of == ticker;
    let splits = KNOWN_SPLITS.iter().filter(own).map(|&(_, date, from, to)| MarketSplit { date, from, to });
    let identity = Identity::of(seed, name, kind);
    let lacks_figi = delisted.is_some_and(|delisted| delisted < FIGIS_FROM);
    let listing = MarketListing {
        ticker: ticker.to_owned(),
        name: name.to_owned(),
        identity: if lacks_figi { identity.without_figi() } else { identity },
        kind,
        exchange: Some(exchange),
        listed,
        delisted,
        splits: splits.collect(),
    };
    MadeUpStock::new(listing, seed.named(name), price, trades)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_listing_makes_sense() {
        for seed in 0..5 {
            let companies = companies(Seed::root(seed));
            let listings: Vec<_> = companies.iter().map(|company| &company.listing).collect();
            for listing in &listings {
                let name = &listing.ticker;
                assert!(name.parse::<grab_model::Symbol>().is_ok(), "{name}");
                assert!(listing.delisted.is_none_or(|delisted| listing.listed < delisted), "{name}");
                assert!(listing.splits.is_sorted_by_key(|split| split.date), "{name}");
                assert!(listing.splits.iter().all(|split| split.date > listing.listed), "{name}");
            }
            assert!(listings.is_sorted_by_key(|listing| (&listing.ticker, listing.listed)));
            let names: BTreeSet<_> = listings.iter().map(|listing| &listing.name).collect();
            let known: BTreeSet<_> = KNOWN.iter().map(|(_, name, ..)| *name).collect();
            assert_eq!(names.len(), known.len() + usize::from(made_up::KEEPING + made_up::RENAMING));
            assert!(
                listings
                    .iter()
                    .any(|listing| listing.delisted.is_some() && listing.name.starts_with("Sandbox"))
            );
        }
    }

    #[test]
    fn a_renamed_company_goes_on_the_same_day_as_the_same() {
        for seed in 0..5 {
            let companies = companies(Seed::root(seed));
            let mut periods = BTreeMap::<_, Vec<_>>::new();
            for MadeUpStock { listing, .. } in &companies {
                periods.entry(&listing.name).or_default().push(listing);
            }
            let mut renames = 0;
            for periods in periods.values_mut() {
                periods.sort_by_key(|period| period.listed);
                for pair in periods.windows(2) {
                    assert_eq!(pair[0].delisted, Some(pair[1].listed), "{}", pair[1].ticker);
                    assert_eq!(pair[0].identity, pair[1].identity);
                    assert_ne!(pair[0].ticker, pair[1].ticker);
                    renames += 1;
                }
            }
            assert!(renames > 20, "{renames}");
        }
    }

    #[test]
    fn no_ticker_is_two_companies_at_once_and_no_number_either() {
        for seed in 0..5 {
            let companies = companies(Seed::root(seed));
            let listings = companies.iter().map(|company| &company.listing);
            for (a, b) in listings.clone().zip(listings.clone().skip(1)).filter(|(a, b)| a.ticker == b.ticker)
            {
                assert!(a.delisted.is_some_and(|left| left <= b.listed), "{}", a.ticker);
            }
            let figis: BTreeMap<_, _> = listings
                .filter_map(|listing| Some((listing.identity.composite_figi.clone()?, &listing.name)))
                .collect();
            let names: BTreeSet<_> = figis.values().collect();
            assert_eq!(figis.len(), names.len());
        }
    }

    #[test]
    fn every_known_split_has_its_company() {
        let tickers: BTreeSet<_> = KNOWN.iter().map(|(ticker, ..)| *ticker).collect();
        assert!(KNOWN_SPLITS.iter().all(|(ticker, ..)| tickers.contains(ticker)));
    }
}
