//! A page of bars: minutes of a range up to a limit, merged to the requested size.

use grab_model::{Bar, calendar, new_york};

use super::{bar_size::BarSize, market::Minutes, params::SortOrder};

/// The bars of one response, as traded.
#[derive(Debug, Default, PartialEq)]
pub(super) struct AggregatesPage {
    pub bars: Vec<Bar>,
    /// The number of base aggregates in them: minutes, or days for day bars.
    pub read: usize,
    /// The edge (UTC ms) at which the next page begins. None if this is the last page.
    pub next: Option<i64>,
}

impl AggregatesPage {
    /// Reads `limit` base aggregates.
    ///
    /// Minutes of one bar stay on one page: a bar that the limit would split is left to the next page (polygon-api.md
    /// §1). So are recorded duplicates of one minute, since no page can begin between them. The first bar of a page is
    /// always complete, whatever the limit, so that every page makes progress.
    pub fn read(minutes: Minutes, size: BarSize, order: SortOrder, limit: u32) -> Self {
        let mut minutes = minutes.peekable();
        let mut page = Self::default();
        let mut edge = None;
        let mut group = Vec::new();
        while let Some(first) = minutes.peek() {
            let span = size.span_of(first.timestamp);
            group.clear();
            while let Some(bar) = minutes.next_if(|bar| span.contains(&bar.timestamp)) {
                group.push(bar);
            }
            let base = if size == BarSize::Day { 1 } else { group.len() };
            if page.read > 0 && page.read + base > limit as usize {
                page.next = edge;
                break;
            }
            page.read += base;
            page.push(&mut group, span.start, size, order);
            edge = Some(match order {
                SortOrder::Ascending => span.end,
                SortOrder::Descending => size.span_of(span.start - 1).start,
            });
        }
        page
    }

    /// Adds the bar that begins at `start` and is made of the minutes of `group`.
    fn push(&mut self, group: &mut [Bar], start: i64, size: BarSize, order: SortOrder) {
        if size == BarSize::Minutes(1) {
            self.bars.extend_from_slice(group);
            return;
        }
        if order == SortOrder::Descending {
            group.reverse();
        }
        let priced = if size == BarSize::Day { regular_hours(group) } else { &*group };
        self.bars.extend(merged(start, priced, group));
    }
}

/// The minutes of a day that make its prices: those of regular hours (polygon-api.md §1, assumed there). A day that was
/// traded only outside of them has the prices of all its minutes.
fn regular_hours(minutes: &[Bar]) -> &[Bar] {
    let day = minutes.first().and_then(|bar| new_york::date_of(bar.timestamp));
    let Some(session) = day.and_then(calendar::session_on) else { return minutes };
    let start = minutes.partition_point(|bar| bar.timestamp < session.open_ms());
    let end = minutes.partition_point(|bar| bar.timestamp < session.close_ms());
    if start < end { &minutes[start..end] } else { minutes }
}

/// One bar with the prices of some minutes and the volume of others.
fn merged(start: i64, priced: &[Bar], traded: &[Bar]) -> Option<Bar> {
    let volume: f64 = traded.iter().map(|bar| bar.volume).sum();
    let value: Option<f64> = traded.iter().map(|bar| Some(bar.vwap? * bar.volume)).sum();
    Some(Bar {
        timestamp: start,
        open: priced.first()?.open,
        high: priced.iter().map(|bar| bar.high).fold(f64::NEG_INFINITY, f64::max),
        low: priced.iter().map(|bar| bar.low).fold(f64::INFINITY, f64::min),
        close: priced.last()?.close,
        // Sums of decimals in float64 have extra digits: they are rounded to the vendor's number of decimals.
        volume: rounded(volume, 1e6),
        vwap: value.filter(|_| volume > 0.0).map(|value| rounded(value / volume, 1e4)),
        transactions: traded.iter().map(|bar| bar.transactions).sum(),
    })
}

fn rounded(number: f64, units: f64) -> f64 {
    (number * units).round() / units
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// 2024-01-02 09:30 in New York.
    fn open() -> i64 {
        new_york::at_ms(date(2024, 1, 2), 9, 30)
    }

    fn bar(timestamp: i64, price: f64) -> Bar {
        Bar {
            timestamp,
            open: price,
            high: price + 0.5,
            low: price - 0.5,
            close: price + 0.25,
            volume: 10.1,
            vwap: Some(price),
            transactions: Some(2),
        }
    }

    /// Bars of these minutes after the open, with rising prices.
    fn minutes(after_open: &[i64]) -> Vec<Bar> {
        let prices = (0..).map(|n| 100.0 + f64::from(n));
        after_open.iter().zip(prices).map(|(minute, price)| bar(open() + minute * MINUTE_MS, price)).collect()
    }

    fn read(bars: &[Bar], size: BarSize, order: SortOrder, limit: u32) -> AggregatesPage {
        let bars = bars.iter().copied();
        AggregatesPage::read(
            if order == SortOrder::Ascending { Box::new(bars) } else { Box::new(bars.rev()) },
            size,
            order,
            limit,
        )
    }

    /// All pages of `bars`, each beginning after the edge of the one before it.
    fn pages(bars: &[Bar], size: BarSize, order: SortOrder, limit: u32) -> Vec<AggregatesPage> {
        let mut pages = vec![read(bars, size, order, limit)];
        while let Some(edge) = pages.last().and_then(|page| page.next) {
            let end = size.span_of(edge).end;
            let rest: Vec<_> = match order {
                SortOrder::Ascending => bars.iter().filter(|bar| bar.timestamp >= edge).copied().collect(),
                SortOrder::Descending => bars.iter().filter(|bar| bar.timestamp < end).copied().collect(),
            };
            pages.push(read(&rest, size, order, limit));
        }
        pages
    }

    #[test]
    fn pages_put_together_are_the_whole_in_any_size_order_and_limit() {
        // Gaps, duplicates, and a bar off the minute.
        let mut bars = minutes(&[0, 1, 2, 2, 2, 5, 6, 9, 10, 11, 60, 61, 61, 200]);
        bars[6].timestamp += 7_000;
        for size in [BarSize::Minutes(1), BarSize::Minutes(5), BarSize::Minutes(60), BarSize::Day] {
            for order in [SortOrder::Ascending, SortOrder::Descending] {
                let whole = read(&bars, size, order, 1_000);
                assert_eq!(whole.next, None);
                for limit in 1..=20 {
                    let pages = pages(&bars, size, order, limit);
                    let joined: Vec<_> = pages.iter().flat_map(|page| page.bars.clone()).collect();
                    assert_eq!(joined, whole.bars, "{size:?} {order:?} {limit}");
                    assert_eq!(pages.iter().map(|page| page.read).sum::<usize>(), whole.read);
                }
            }
        }
    }

    #[test]
    fn an_exactly_full_last_page_is_the_last() {
        let page = read(&minutes(&[0, 1, 2, 3]), BarSize::Minutes(1), SortOrder::Ascending, 4);
        assert_eq!((page.bars.len(), page.next), (4, None));
        let page = read(&minutes(&[0, 1, 2, 3, 9]), BarSize::Minutes(1), SortOrder::Ascending, 4);
        assert_eq!((page.bars.len(), page.next), (4, Some(open() + 4 * MINUTE_MS)));
    }

    #[test]
    fn a_bar_that_the_limit_would_cut_is_left_to_the_next_page() {
        let page = read(&minutes(&[0, 1, 2, 5, 6, 7]), BarSize::Minutes(5), SortOrder::Ascending, 5);
        assert_eq!((page.bars.len(), page.read, page.next), (1, 3, Some(open() + 5 * MINUTE_MS)));
    }

    #[test]
    fn merged_bars() {
        let page = read(&minutes(&[0, 1, 2]), BarSize::Minutes(5), SortOrder::Descending, 100);
        let expected = Bar {
            timestamp: open(),
            open: 100.0,
            high: 102.5,
            low: 99.5,
            close: 102.25,
            volume: 30.3,
            vwap: Some(101.0),
            transactions: Some(6),
        };
        assert_eq!(page.bars, [expected]);
        let mut bars = minutes(&[0, 1]);
        bars[1].vwap = None;
        bars[0].transactions = None;
        let page = read(&bars, BarSize::Minutes(5), SortOrder::Ascending, 100);
        assert_eq!((page.bars[0].vwap, page.bars[0].transactions), (None, None));
    }

    #[test]
    fn a_day_has_the_prices_of_regular_hours_and_the_volume_of_all() {
        // 09:29, 09:30, 15:59 and 16:00.
        let page = read(&minutes(&[-1, 0, 389, 390]), BarSize::Day, SortOrder::Ascending, 1);
        let prices = |bar: &Bar| vec![bar.open, bar.high, bar.low, bar.close];
        assert_eq!(prices(&page.bars[0]), [101.0, 102.5, 100.5, 102.25]);
        assert_eq!(page.bars[0].volume.to_string(), "40.4");
        assert_eq!(page.bars[0].timestamp, new_york::day_start_ms(date(2024, 1, 2)));
        let evening = read(&minutes(&[400]), BarSize::Day, SortOrder::Ascending, 1);
        assert_eq!(prices(&evening.bars[0]), [100.0, 100.5, 99.5, 100.25]);
    }
}
