//! A market that is generated from a seed.
//!
//! Every bar follows from the seed, the ticker and its minute alone: any range of twenty years is available at once.
//! `universe` has the companies, `made_up_stock` makes their bars.

use std::{iter, ops::RangeInclusive};

use grab_model::{
    Bar, Window,
    calendar::{self, Session},
    new_york,
};
use jiff::civil::{Date, date};

use super::{
    made_up_stock::MadeUpStock,
    market::{Market, MarketListing, Minutes},
    params::SortOrder,
    seed::Seed,
    universe,
};

/// The first day with bars (polygon-api.md §3).
const FIRST_DAY: Date = date(2003, 9, 10);

/// All companies of a seed, by ticker and first day.
pub(super) struct GeneratedMarket(Vec<MadeUpStock>);

impl GeneratedMarket {
    pub fn new(seed: u64) -> Self {
        Self(universe::companies(Seed::root(seed)))
    }
}

impl Market for GeneratedMarket {
    fn listings(&self) -> Vec<&MarketListing> {
        self.0.iter().map(|company| &company.listing).collect()
    }

    fn minutes(&self, ticker: &str, range: RangeInclusive<i64>, order: SortOrder) -> Minutes<'_> {
        let namesakes: Vec<_> = self.0.iter().filter(|company| company.listing.ticker == ticker).collect();
        let session_bars = move |session: Session| {
            let company = namesakes.iter().find(|company| company.listing.is_active_on(session.date()));
            let mut bars = company.map(|company| company.bars(session)).unwrap_or_default();
            if order == SortOrder::Descending {
                bars.reverse();
            }
            bars
        };
        let sessions = sessions(&range, order);
        let in_range = move |bar: &Bar| range.contains(&bar.timestamp);
        Box::new(sessions.flat_map(session_bars).filter(in_range))
    }
}

/// The sessions that have bars within a range.
fn sessions(range: &RangeInclusive<i64>, order: SortOrder) -> Box<dyn Iterator<Item = Session>> {
    let day = |ms: &i64| new_york::date_of(*ms);
    let window = day(range.start()).zip(day(range.end()));
    let Some(window) = window.and_then(|(from, to)| Window::new(from.max(FIRST_DAY), to)) else {
        return Box::new(iter::empty());
    };
    match order {
        SortOrder::Ascending => Box::new(calendar::sessions(window)),
        SortOrder::Descending => Box::new(
            iter::successors(Some(window.to()), |day| day.yesterday().ok())
                .take_while(move |day| *day >= window.from())
                .filter_map(calendar::session_on),
        ),
    }
}
