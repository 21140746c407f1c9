//! What a later response changes in stored bars (polygon-api.md §1: late trades revise bars).

use std::fmt;

use jiff::Timestamp;

use super::{Bar, Bars};

/// How many changed bars are named.
const NAMED: usize = 20;

/// The difference between stored bars and a newer response for the same minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// Bars that differ: the newer one is stored.
    pub changed: u64,
    /// New bars between stored ones.
    pub added: u64,
    /// Stored bars that the newer response leaves out although it has bars before and after them. They stay.
    pub left_out: u64,
    /// The first bars that differ: before and after.
    named: Vec<(Bar, Bar)>,
}

impl Revision {
    /// Compares stored bars with a newer response. Both are ascending and unique. Only minutes from the response's
    /// first bar to its last one are compared, and none after the last stored bar.
    #[must_use]
    pub fn of(stored: &Bars, newer: &Bars) -> Self {
        let mut revision = Self::default();
        let (Some(last_stored), Some(first), Some(last)) =
            (stored.timestamps().last(), newer.timestamps().first(), newer.timestamps().last())
        else {
            return revision;
        };
        if last_stored < first {
            return revision;
        }
        let start = stored.timestamps().partition_point(|t| t < first);
        let end = stored.timestamps().partition_point(|t| t <= last);
        let mut old = (start..end).filter_map(|row| stored.get(row)).peekable();
        for bar in newer.iter().take_while(|bar| bar.timestamp <= *last_stored) {
            while old.next_if(|older| older.timestamp < bar.timestamp).is_some() {
                revision.left_out += 1;
            }
            match old.next_if(|older| older.timestamp == bar.timestamp) {
                Some(older) => revision.compare(older, bar),
                None => revision.added += 1,
            }
        }
        revision.left_out += old.count() as u64;
        revision
    }

    fn compare(&mut self, older: Bar, newer: Bar) {
        if older != newer {
            self.changed += 1;
            if self.named.len() < NAMED {
                self.named.push((older, newer));
            }
        }
    }

    /// The number of changed and added bars.
    #[must_use]
    pub fn bars(&self) -> u64 {
        self.changed + self.added
    }

    /// Whether the two do not differ.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bars() + self.left_out == 0
    }
}

/// Counts, then the first bars that differ: `2024-11-20T19:59:00Z c 187.3 → 187.31 v 100 → 120`.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts =
            [(self.changed, "changed"), (self.added, "added"), (self.left_out, "no longer sent, kept")];
        let counts = counts.iter().filter(|(bars, _)| *bars > 0).map(|(bars, what)| format!("{bars} {what}"));
        f.write_str(&counts.collect::<Vec<_>>().join(", "))?;
        for (place, (older, newer)) in self.named.iter().enumerate() {
            f.write_str(if place == 0 { ": " } else { "; " })?;
            write!(
                f,
                "{}{}",
                Timestamp::from_millisecond(older.timestamp).unwrap_or_default(),
                changes(older, newer)
            )?;
        }
        let more = self.changed.saturating_sub(self.named.len() as u64);
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}

/// The columns that differ, under the server's names.
fn changes(older: &Bar, newer: &Bar) -> String {
    let columns = |bar: &Bar| {
        let number = |value: f64| value.to_string();
        let optional = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), number);
        [
            ("o", number(bar.open)),
            ("h", number(bar.high)),
            ("l", number(bar.low)),
            ("c", number(bar.close)),
            ("v", number(bar.volume)),
            ("vw", optional(bar.vwap)),
            ("n", bar.transactions.map_or_else(|| "none".to_owned(), |n| n.to_string())),
        ]
    };
    let pairs = columns(older).into_iter().zip(columns(newer));
    let changed = pairs.filter(|((_, before), (_, after))| before != after);
    let words: Vec<_> =
        changed.map(|((name, before), (_, after))| format!(" {name} {before} → {after}")).collect();
    words.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(rows: &[(i64, f64)]) -> Bars {
        let bar = |(minute, close): &(i64, f64)| Bar {
            timestamp: minute * 60_000,
            open: 1.0,
            high: 9.0,
            low: 0.5,
            close: *close,
            volume: 10.0 * close,
            vwap: None,
            transactions: Some(3),
        };
        rows.iter().map(bar).collect()
    }

    #[test]
    fn what_comes_after_is_no_revision() {
        let stored = bars(&[(1, 1.0), (2, 1.0)]);
        assert!(Revision::of(&stored, &bars(&[(3, 1.0), (4, 1.0)])).is_empty());
        assert!(Revision::of(&stored, &bars(&[(2, 1.0), (3, 1.0)])).is_empty());
        assert!(Revision::of(&Bars::default(), &stored).is_empty());
        assert!(Revision::of(&stored, &Bars::default()).is_empty());
    }

    #[test]
    fn changes_are_counted_and_the_first_are_named() {
        let stored = bars(&[(1, 1.0), (2, 1.0), (4, 1.0), (5, 2.0), (6, 1.0)]);
        let newer = bars(&[(2, 1.5), (3, 1.0), (5, 2.0), (6, 1.0), (7, 1.0)]);
        let revision = Revision::of(&stored, &newer);
        assert_eq!((revision.changed, revision.added, revision.left_out), (1, 1, 1));
        assert_eq!(
            revision.to_string(),
            "1 changed, 1 added, 1 no longer sent, kept: 1970-01-01T00:02:00Z c 1 → 1.5 v 10 → 15"
        );
    }

    #[test]
    fn the_words_have_an_end() {
        let minutes = |close| bars(&(0..500).map(|minute| (minute, close)).collect::<Vec<_>>());
        let text = Revision::of(&minutes(1.0), &minutes(2.0)).to_string();
        assert!(text.ends_with("; and 480 more") && text.len() < 2_000, "{text}");
    }
}
