//! Bars with impossible values.

use std::fmt;

use super::{Bar, Window};

/// One minute in ms.
const MINUTE_MS: i64 = 60_000;

/// An impossible bar, as the server sent it. It is quarantined and never stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidBar {
    /// The bar.
    pub bar: Bar,
    /// What is wrong with it.
    pub fault: BarFault,
}

/// What is wrong with a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarFault {
    /// It begins outside of the requested window.
    OutsideWindow(Window),
    /// It does not begin with a minute.
    OffMinute,
    /// A price, the volume or the number of trades is below zero.
    Negative,
}

impl BarFault {
    /// Returns a function that finds what is wrong with a bar of a response for `window`, if anything.
    pub fn finder(window: Window) -> impl Fn(&Bar) -> Option<Self> {
        // The day's bounds in New York are computed once, not for every bar.
        let asked_ms = window.start_ms()..window.end_ms();
        move |bar| {
            let numbers = [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap.unwrap_or_default()];
            if !asked_ms.contains(&bar.timestamp) {
                Some(Self::OutsideWindow(window))
            } else if bar.timestamp % MINUTE_MS != 0 {
                Some(Self::OffMinute)
            } else if numbers.iter().any(|number| *number < 0.0) || bar.transactions.is_some_and(|n| n < 0) {
                Some(Self::Negative)
            } else {
                None
            }
        }
    }
}

impl fmt::Display for InvalidBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bar at {} ms {}", self.bar.timestamp, self.fault)
    }
}

impl fmt::Display for BarFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideWindow(window) => write!(f, "is outside of {window}"),
            Self::OffMinute => f.write_str("does not begin with a minute"),
            Self::Negative => f.write_str("has a negative price, volume or number of trades"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn every_fault_is_seen() {
        let window = Window::new(date(2024, 1, 2), date(2024, 1, 31)).unwrap();
        let good = Bar {
            timestamp: window.start_ms(),
            open: 1.0,
            high: 1.0,
            low: 0.0,
            close: 1.0,
            volume: 0.0,
            vwap: None,
            transactions: None,
        };
        let last = Bar { timestamp: window.end_ms() - MINUTE_MS, ..good };
        let fault = BarFault::finder(window);
        assert_eq!([fault(&good), fault(&last)], [None, None]);
        let outside = Some(BarFault::OutsideWindow(window));
        for timestamp in [window.start_ms() - 1, window.end_ms(), 1_704_292_200_000_000_000, i64::MIN] {
            assert_eq!(fault(&Bar { timestamp, ..good }), outside, "{timestamp}");
        }
        let late = Bar { timestamp: good.timestamp + 1, ..good };
        assert_eq!(fault(&late), Some(BarFault::OffMinute));
        let negative = [
            Bar { low: -0.01, ..good },
            Bar { volume: -1.0, ..good },
            Bar { vwap: Some(-1.0), ..good },
            Bar { transactions: Some(-1), ..good },
        ];
        for bar in negative {
            assert_eq!(fault(&bar), Some(BarFault::Negative), "{bar:?}");
        }
    }
}
