//! Decides which splits apply to the bars of a file. Lists have some splits under another symbol than the company had
//! on their day: the company's events decide whose they are. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{ToSpan, civil::Date};
use serde::Serialize;

use grab_model::{
    ListingPeriod, Split, Symbol,
    universe::{Company, SymbolSpan, Universe},
};

/// No company splits twice in the same ratio within this many days: one of two such rows has a wrong day.
const SAME_WITHIN: i32 = 31;

/// All known splits and companies, for lookups by symbol.
#[derive(Default)]
pub(super) struct KnownSplits<'a> {
    splits: BTreeMap<&'a Symbol, Vec<&'a Split>>,
    universe: Option<&'a Universe>,
    /// By FIGI, the tickers of each security that had more than one.
    by_figi: HashMap<&'a str, BTreeSet<&'a Symbol>>,
}

/// The splits of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SymbolSplits {
    /// By day.
    pub(super) applied: Vec<AppliesSplit>,
    /// Splits that may be the company's and are not applied, by day.
    pub(super) left_out: Vec<SkippedSplit>,
}

/// A split that applies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AppliesSplit {
    pub(super) split: Split,
    /// If given, bars before this day belong to another company and are not adjusted.
    pub(super) since: Option<Date>,
    /// The symbol that the company had on its day, if the split is listed under another one.
    pub(super) had: Option<Symbol>,
}

/// A split that may be the company's and is not applied; its JSON is public.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkippedSplit {
    /// The symbol under which it is listed.
    pub ticker: Symbol,
    /// The first day on which the new shares trade.
    pub execution_date: String,
    /// Old shares.
    pub split_from: f64,
    /// New shares for them.
    pub split_to: f64,
    /// Why it is not applied.
    pub reason: String,
    #[serde(skip)]
    pub(super) date: Date,
}

impl<'a> KnownSplits<'a> {
    pub(super) fn new(splits: impl Iterator<Item = &'a Split>, universe: Option<&'a Universe>) -> Self {
        let mut known = Self { universe, ..Self::default() };
        for split in splits {
            known.splits.entry(&split.ticker).or_default().push(split);
        }
        for (period, _) in universe.iter().flat_map(|universe| universe.periods()) {
            if let Some(figi) = &period.listing.composite_figi {
                known.by_figi.entry(figi.as_str()).or_default().insert(period.ticker());
            }
        }
        known.by_figi.retain(|_, tickers| tickers.len() > 1);
        known
    }

    fn under(&self, ticker: &Symbol) -> impl Iterator<Item = &'a Split> + use<'a> {
        self.splits.get(ticker).cloned().unwrap_or_default().into_iter()
    }

    fn companies(&self) -> &'a [Company] {
        self.universe.map_or(&[], Universe::companies)
    }

    /// The splits of a file that consists of these symbol spans.
    pub(super) fn of(&self, symbol: &Symbol, symbol_spans: &[SymbolSpan]) -> SymbolSplits {
        let is_own = |split: &Split| {
            symbol_spans.iter().any(|one| one.ticker == split.ticker && one.has(split.execution_date))
        };
        let tickers: BTreeSet<_> = symbol_spans.iter().map(|symbol_span| &symbol_span.ticker).collect();
        let direct = tickers.iter().flat_map(|ticker| self.under(ticker)).filter(|split| is_own(split));
        // In a joined file the spans decide already whose a split is.
        let is_joined = symbol_spans.iter().any(|symbol_span| symbol_span.from.is_some());
        let mut found = SymbolSplits::default();
        for split in direct {
            if let Some(had) = self.holder_elsewhere(split).filter(|_| !is_joined) {
                let reason = format!("the company that has {} now had {} then", split.ticker, had.ticker);
                found.left_out.push(SkippedSplit::new(split, reason));
            } else if let Some(reason) = self.given_up(split).filter(|_| !is_joined) {
                found.left_out.push(SkippedSplit::new(split, reason));
            } else {
                let since = if is_joined { None } else { self.since(split) };
                found.applied.push(AppliesSplit { split: split.clone(), since, had: None });
            }
        }
        let companies = self.companies().iter();
        for company in companies.filter(|company| company.under(symbol).next().is_some()) {
            if is_joined {
                if company.ticker() == Some(symbol) {
                    self.add_all(&mut found, company);
                }
            } else {
                self.add_in_time(&mut found, company, symbol);
            }
        }
        self.add_same_figi(&mut found, symbol, &tickers);
        found.applied.sort_by_key(|own| own.split.execution_date);
        found.left_out.sort_by_key(|split| split.date);
        found
    }

    /// Adds the splits of a joined company: all that are listed under any of its symbols.
    fn add_all(&self, found: &mut SymbolSplits, company: &Company) {
        let foreign =
            |split: &Split| company.at(split.execution_date).is_some_and(|had| had.ticker != split.ticker);
        let listed: Vec<_> = self.of_company(company).filter(|split| foreign(split)).collect();
        self.add_foreign(found, company, &listed);
    }

    /// Adds the splits of a company that had the file's symbol: those that are listed under another of its symbols and
    /// happened while it had this one. Later ones do not concern the file's shares, and are only named.
    fn add_in_time(&self, found: &mut SymbolSplits, company: &Company, symbol: &Symbol) {
        let (mut in_time, mut later) = (Vec::new(), Vec::new());
        for split in self.of_company(company) {
            match company.at(split.execution_date) {
                Some(had) if had.ticker == *symbol && split.ticker != *symbol => in_time.push(split),
                Some(had) if had.ticker != *symbol && split.ticker != *symbol => later.push((split, had)),
                Some(_) | None => {}
            }
        }
        self.add_foreign(found, company, &in_time);
        let until = company.under(symbol).filter_map(|symbol_span| symbol_span.until).max();
        let later =
            later.into_iter().filter(|(split, _)| until.is_some_and(|until| until <= split.execution_date));
        for (split, had) in later {
            let now = company.ticker().unwrap_or(&had.ticker);
            let reason = format!(
                "the company had {} by then (export {now} with --follow-renames to have both)",
                had.ticker
            );
            found.left_out.push(SkippedSplit::new(split, reason));
        }
    }

    fn of_company<'b>(&'b self, company: &'b Company) -> impl Iterator<Item = &'a Split> + use<'a, 'b> {
        let tickers: BTreeSet<_> =
            company.symbol_spans.iter().map(|symbol_span| &symbol_span.ticker).collect();
        tickers.into_iter().flat_map(|ticker| self.under(ticker))
    }

    /// Adds splits that are listed under a symbol which the company did not have on their day.
    fn add_foreign(&self, found: &mut SymbolSplits, company: &Company, listed: &[&Split]) {
        for split in listed {
            let date = split.execution_date;
            let rival =
                listed.iter().find(|other| other.execution_date == date && !is_same_ratio(other, split));
            let reason = if let Some(holder) = self.other_holder(company, &split.ticker, date) {
                Some(format!("{holder} had {} then", split.ticker))
            } else if let Some(known) = found.near(split) {
                let known = &known.split;
                if known.execution_date == date && is_same_ratio(known, split) {
                    // Listed under both symbols: applied once.
                    continue;
                }
                let (ticker, day) = (&known.ticker, known.execution_date);
                Some(format!("a split of {ticker} on {day} ({}) is applied", ratio(known)))
            } else {
                rival.map(|rival| format!("{} lists {} for the same day", rival.ticker, ratio(rival)))
            };
            if let Some(reason) = reason {
                found.left_out.push(SkippedSplit::new(split, reason));
            } else {
                let had = company.at(date).map(|symbol_span| symbol_span.ticker.clone());
                found.applied.push(AppliesSplit { split: (*split).clone(), since: None, had });
            }
        }
    }

    /// Describes another company that had a symbol on a day, by events and lists. None if none is known.
    fn other_holder(&self, company: &Company, ticker: &Symbol, day: Date) -> Option<String> {
        let had = |other: &&Company| {
            *other != company && other.under(ticker).any(|symbol_span| symbol_span.has(day))
        };
        if let Some(other) = self.companies().iter().find(had) {
            let now = other.ticker().map(ToString::to_string).unwrap_or_default();
            return Some(format!("the company that is {now} now"));
        }
        let periods = self.universe?.of(ticker);
        let mut others =
            periods.filter(|(period, span)| !company.has(period) && Universe::is_active(period, *span, day));
        others.next().map(|(period, _)| {
            period
                .listing
                .name
                .as_ref()
                .map_or("another company".to_owned(), |name| format!("another company ({name})"))
        })
    }

    /// The span of the company to which a split belongs, if that company has the split's symbol now, had another one on
    /// its day, and no other company is known to have had the symbol then.
    fn holder_elsewhere(&self, split: &Split) -> Option<&'a SymbolSpan> {
        let (ticker, day) = (&split.ticker, split.execution_date);
        let company = self.companies().iter().find(|company| company.ticker() == Some(ticker))?;
        let had = company.at(day).filter(|had| had.ticker != *ticker)?;
        self.other_holder(company, ticker, day).is_none().then_some(had)
    }

    /// Why a split belongs to no known company: the one that had its symbol gave it up before, and no other one is
    /// known to have had it on that day. None if that is not so.
    fn given_up(&self, split: &Split) -> Option<String> {
        let (ticker, day) = (&split.ticker, split.execution_date);
        let mut periods = self.universe.into_iter().flat_map(|universe| universe.of(ticker));
        let is_listed = periods.any(|(period, span)| Universe::is_active(period, span, day));
        if is_listed || self.companies().iter().any(|company| company.under(ticker).any(|one| one.has(day))) {
            return None;
        }
        let given_up = self.companies().iter().filter_map(|company| {
            let until = company.under(ticker).filter_map(|one| one.until.filter(|until| *until <= day)).max();
            Some((until?, company.ticker()?))
        });
        let (until, now) = given_up.max_by_key(|(until, _)| *until)?;
        Some(format!(
            "the company that had {ticker} until {until} has {now} now, and no other company is known to have had it on that day"
        ))
    }

    /// The day before which bars of a split's symbol belong to another company, by events and lists.
    fn since(&self, split: &Split) -> Option<Date> {
        let (ticker, day) = (&split.ticker, split.execution_date);
        // The latest of three kinds of days counts: the holder took the symbol, another listing period ended, another
        // company gave the symbol up.
        let companies = || self.companies().iter();
        let took = companies().filter_map(|company| {
            let own = company.symbol_spans.iter().skip(1);
            own.filter(|symbol_span| symbol_span.ticker == *ticker && symbol_span.has(day))
                .filter_map(|one| one.from)
                .max()
        });
        let periods = || self.universe.into_iter().flat_map(|universe| universe.of(ticker));
        let holder = periods()
            .find(|(period, span)| Universe::is_active(period, *span, day))
            .map(|(period, _)| period);
        let ended = periods().filter_map(|(period, span)| {
            let end = span.to.filter(|end| *end < day)?;
            holder.filter(|holder| are_different(holder, period)).and_then(|_| end.tomorrow().ok())
        });
        let gave_up = companies().flat_map(|company| {
            let has_it = company.under(ticker).any(|symbol_span| symbol_span.has(day));
            company
                .under(ticker)
                .filter_map(move |symbol_span| symbol_span.until.filter(|until| !has_it && *until <= day))
        });
        took.chain(ended).chain(gave_up).max()
    }

    /// Names splits that are listed under another ticker of the same security, if no events say when it had which.
    fn add_same_figi(&self, found: &mut SymbolSplits, symbol: &Symbol, tickers: &BTreeSet<&Symbol>) {
        let periods = self.universe.into_iter().flat_map(|universe| universe.of(symbol));
        let figis: BTreeSet<_> =
            periods.filter_map(|(period, _)| period.listing.composite_figi.as_deref()).collect();
        let others: BTreeSet<_> = figis.iter().filter_map(|figi| self.by_figi.get(figi)).flatten().collect();
        let is_settled = |other: &Symbol| {
            tickers.contains(other)
                || self.companies().iter().any(|company| {
                    company.under(symbol).next().is_some() && company.under(other).next().is_some()
                })
        };
        for other in others.into_iter().filter(|other| ***other != *symbol && !is_settled(other)) {
            let reason = format!(
                "{other} has the same FIGI, and no events say when the company had it: `grab universe sync --renames` fetches them"
            );
            let splits = self.under(other).filter(|split| found.near(split).is_none());
            let named: Vec<_> = splits.map(|split| SkippedSplit::new(split, reason.clone())).collect();
            found.left_out.extend(named);
        }
    }
}

impl SymbolSplits {
    /// Whether there are no splits.
    pub(super) fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.left_out.is_empty()
    }

    /// An applied split that may be the same one: on the same day, or in the same ratio some days before or after.
    fn near(&self, split: &Split) -> Option<&AppliesSplit> {
        let day = split.execution_date;
        let (from, to) = (day.saturating_sub(SAME_WITHIN.days()), day.saturating_add(SAME_WITHIN.days()));
        let is_near = |own: &&AppliesSplit| {
            own.split.execution_date == day
                || (from..=to).contains(&own.split.execution_date) && is_same_ratio(&own.split, split)
        };
        let exact = |own: &&AppliesSplit| own.split.execution_date == day && is_same_ratio(&own.split, split);
        self.applied.iter().find(exact).or_else(|| self.applied.iter().find(is_near))
    }
}

impl SkippedSplit {
    fn new(split: &Split, reason: String) -> Self {
        Self {
            ticker: split.ticker.clone(),
            execution_date: split.execution_date.to_string(),
            split_from: split.split_from,
            split_to: split.split_to,
            reason,
            date: split.execution_date,
        }
    }
}

/// Whether FIGI or CIK show that two listing periods are of different securities.
fn are_different(one: &ListingPeriod, other: &ListingPeriod) -> bool {
    let compare = |one: &Option<String>, other: &Option<String>| Some(one.as_ref()? != other.as_ref()?);
    let (one, other) = (&one.listing, &other.listing);
    let by_figi = compare(&one.composite_figi, &other.composite_figi);
    by_figi.or_else(|| compare(&one.cik, &other.cik)).unwrap_or(false)
}

fn is_same_ratio(one: &Split, other: &Split) -> bool {
    let (a, b) = (one.split_from * other.split_to, other.split_from * one.split_to);
    a.to_bits() == b.to_bits()
}

/// `10:1`, ten old shares for one new one.
pub(super) fn ratio(split: &Split) -> String {
    format!("{}:{}", split.split_from, split.split_to)
}

#[cfg(test)]
mod tests;
