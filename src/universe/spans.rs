//! From which day to which a life lasts, as far as anybody knows.

use std::{collections::BTreeMap, iter};

use jiff::civil::Date;

use crate::model::{Life, Symbol, Window};

/// Days of one life: both ends are inside, and a missing one is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first day on which there can be a bar.
    pub from: Option<Date>,
    /// The last one; none of who is still listed.
    pub to: Option<Date>,
}

impl Span {
    /// Whether there can be a bar on a day.
    #[must_use]
    pub fn has(self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// The days of a window that are inside.
    #[must_use]
    pub fn cut(self, window: Window) -> Option<Window> {
        let from = self.from.map_or(window.from(), |from| from.max(window.from()));
        let to = self.to.map_or(window.to(), |to| to.min(window.to()));
        Window::new(from, to)
    }
}

/// All lives that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Universe {
    lives: BTreeMap<Symbol, Vec<(Life, Span)>>,
}

impl Universe {
    /// Puts lives in order. Two companies cannot have one ticker at once: of those whose first day is not known, or is that
    /// of the company under an earlier ticker, each begins when the one before it has ended.
    #[must_use]
    pub fn new(lives: Vec<Life>) -> Self {
        let mut by_ticker: BTreeMap<Symbol, Vec<Life>> = BTreeMap::new();
        for life in lives {
            by_ticker.entry(life.ticker().clone()).or_default().push(life);
        }
        let lives = by_ticker.into_iter().map(|(symbol, mut lives)| {
            // Who is listed comes last.
            lives.sort_by_key(|life| life.end().unwrap_or(Date::MAX));
            let ends = lives.iter().map(|life| life.listing.delisted.filter(|_| !life.listing.active));
            let before = iter::once(None).chain(ends).collect::<Vec<_>>();
            let spans = lives.into_iter().zip(before).map(|(life, before)| {
                let span = Span { from: life.listed.max(before), to: life.end() };
                (life, span)
            });
            (symbol, spans.collect())
        });
        Self { lives: lives.collect() }
    }

    /// Each life with its days, by ticker and time.
    pub fn lives(&self) -> impl Iterator<Item = (&Life, Span)> {
        self.lives.values().flatten().map(|(life, span)| (life, *span))
    }

    /// The lives of one ticker, in order.
    pub fn of(&self, symbol: &Symbol) -> impl Iterator<Item = (&Life, Span)> {
        self.lives.get(symbol).into_iter().flatten().map(|(life, span)| (life, *span))
    }

    /// The day after which a symbol can have no bars, because all its lives have left; none if one goes on, or nobody
    /// knows the symbol.
    #[must_use]
    pub fn end_of(&self, symbol: &Symbol) -> Option<Date> {
        let ends = self.of(symbol).map(|(_, span)| span.to).collect::<Option<Vec<_>>>()?;
        ends.into_iter().max()
    }

    /// Whether nobody expects bars of a symbol on a day: it is known, and none of its lives is active then. On the day of
    /// `delisted_utc` there may be some all the same.
    #[must_use]
    pub fn is_outside(&self, symbol: &Symbol, day: Date) -> bool {
        let mut lives = self.of(symbol).peekable();
        lives.peek().is_some() && !lives.any(|(life, span)| Self::is_active(life, span, day))
    }

    /// Whether a life is active on a day: on that of `delisted_utc` it is not any more.
    #[must_use]
    pub fn is_active(life: &Life, span: Span, day: Date) -> bool {
        let gone = life.listing.delisted.filter(|_| !life.listing.active);
        span.has(day) && gone.is_none_or(|gone| day < gone)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::model::Listing;

    fn life(ticker: &str, listed: Option<Date>, left: Option<Date>) -> Life {
        let listing = Listing {
            ticker: ticker.parse().unwrap(),
            name: None,
            kind: None,
            exchange: None,
            active: left.is_none(),
            delisted: left,
            composite_figi: None,
            share_class_figi: None,
            cik: None,
            updated: None,
        };
        Life { listing, listed, first_seen_ms: 0, last_seen_ms: 0, sector: None, industry: None }
    }

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn two_companies_do_not_have_one_ticker_at_once() {
        let (gone, since) = (date(2022, 1, 31), date(2012, 5, 18));
        for listed in [None, Some(since)] {
            let universe = Universe::new(vec![life("META", listed, None), life("META", None, Some(gone))]);
            let spans: Vec<_> = universe.of(&symbol("META")).map(|(_, span)| span).collect();
            assert_eq!(spans, [Span { from: None, to: Some(gone) }, Span { from: Some(gone), to: None }]);
        }
    }

    #[test]
    fn a_symbol_has_ended_when_all_its_lives_have() {
        let (first, last) = (date(2009, 1, 5), date(2015, 3, 2));
        let mut lives = vec![life("A", None, Some(last)), life("A", None, Some(first))];
        assert_eq!(Universe::new(lives.clone()).end_of(&symbol("A")), Some(last));
        lives.push(life("A", None, None));
        assert_eq!(Universe::new(lives.clone()).end_of(&symbol("A")), None);
        assert_eq!(Universe::new(lives).end_of(&symbol("B")), None, "nobody knows it");
    }

    #[test]
    fn a_day_is_outside_if_no_life_has_it_and_the_symbol_is_known() {
        let universe = Universe::new(vec![
            life("A", Some(date(2005, 1, 3)), Some(date(2009, 1, 5))),
            life("A", Some(date(2012, 1, 3)), None),
        ]);
        let outside = |day| universe.is_outside(&symbol("A"), day);
        assert!(outside(date(2004, 12, 31)) && !outside(date(2005, 1, 3)) && !outside(date(2009, 1, 4)));
        assert!(outside(date(2009, 1, 5)), "the day of delisted_utc may be the first without it");
        assert!(outside(date(2009, 1, 6)) && outside(date(2012, 1, 2)) && !outside(date(2030, 1, 2)));
        assert!(!universe.is_outside(&symbol("B"), date(2004, 1, 2)));
    }
}
