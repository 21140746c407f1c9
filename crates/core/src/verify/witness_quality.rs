//! Which days of the witness are rejected. A response that lacks most of the market is as well formed as a whole one,
//! and would explain away every gap of that day.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use grab_model::{Partition, Symbol, Window};
use jiff::civil::Date;

use super::{
    Finding, FindingKind, GroupedDaily, RequestedSessions, Severity, VerifyError, Witness, WitnessView,
    manifest_snapshot::ManifestSnapshot,
};
use crate::{cpu, data_dir::DataDir, manifest::WitnessFile};

/// The sessions before and after a day with which its rows are compared.
const AROUND: usize = 10;

/// How many of them must have a witness for the comparison.
const LEAST: usize = 3;

/// The fewest lacking symbols: a single one may have been renamed.
const LEAST_LACKING: u32 = 2;

/// The days that were rejected, and the findings about them and about the witness as a whole.
#[derive(Debug, Default)]
pub(super) struct WitnessRejections {
    pub(super) days: BTreeSet<Date>,
    pub(super) findings: Vec<Finding>,
}

/// Rejects the days that the witness cannot have seen as a whole: those with far fewer rows than the days around, and
/// those that lack most of the stored symbols.
///
/// # Errors
/// If the manifest cannot be read.
pub(super) fn reject_thin_days(
    data_dir: &DataDir,
    records: &ManifestSnapshot,
    files: &[WitnessFile],
    symbols: &[Symbol],
    witness: &mut GroupedDaily,
) -> Result<WitnessRejections, VerifyError> {
    let rows: Vec<_> =
        files.iter().filter(|file| witness.was_there(file.date)).map(|file| (file.date, file.rows)).collect();
    let mut rejections = few_rows(&rows);
    witness.reject(rejections.iter().map(|(date, _)| *date));
    let (lacking, unlisted) = few_symbols(records, symbols, witness)?;
    witness.reject(lacking.iter().map(|(date, _)| *date));
    rejections.extend(lacking);
    let finding = |(date, why)| {
        let path = data_dir.market_day(date);
        let detail = format!("the witness {why}: it is not used");
        Finding {
            severity: Severity::Notice,
            ..FindingKind::ThinSession.in_reference(Some(date), path, detail)
        }
    };
    let days = rejections.iter().map(|(date, _)| *date).collect();
    let mut findings: Vec<_> = rejections.into_iter().map(finding).collect();
    if is_most(unlisted) {
        witness.admit_ignorance();
        findings.push(ignorance(data_dir, unlisted));
    }
    Ok(WitnessRejections { days, findings })
}

fn ignorance(data_dir: &DataDir, StoredSymbols { known, lacking }: StoredSymbols) -> Finding {
    let detail = format!(
        "the witness has never seen {lacking} of the {known} stored symbols: its silence about other symbols \
         explains nothing"
    );
    let path = data_dir.market_folder();
    Finding { severity: Severity::Notice, ..FindingKind::ThinSession.in_reference(None, path, detail) }
}

/// The days, in order, with fewer than half of the median rows of the days around them.
fn few_rows(days: &[(Date, u64)]) -> Vec<(Date, String)> {
    let span = days.first().zip(days.last()).and_then(|(first, last)| Window::new(first.0, last.0));
    let sessions = RequestedSessions::spanned(span.into_iter());
    let indexes: Vec<_> =
        days.iter().filter_map(|(date, rows)| Some((sessions.index_of(*date)?, *date, *rows))).collect();
    let rejection = |(index, date, rows): &(usize, Date, u64)| {
        let from = indexes.partition_point(|(other, ..)| *other < index.saturating_sub(AROUND));
        let to = indexes.partition_point(|(other, ..)| *other <= index + AROUND);
        let near = indexes.get(from..to)?.iter().filter(|(other, ..)| other != index);
        let doubled = doubled_median(near.map(|(.., rows)| *rows).collect())?;
        let is_thin = 4 * u128::from(*rows) < doubled;
        is_thin.then(|| {
            (
                *date,
                format!("has {rows} of the market's rows, less than half of what the days around it have"),
            )
        })
    };
    indexes.iter().filter_map(rejection).collect()
}

/// Twice the median, which is a whole number. None if there are too few rows.
fn doubled_median(mut rows: Vec<u64>) -> Option<u128> {
    rows.sort_unstable();
    let middle = |index: usize| rows.get(index).copied().map(u128::from);
    (rows.len() >= LEAST).then(|| Some(middle(rows.len() / 2)? + middle((rows.len() - 1) / 2)?))?
}

/// For one session: symbols with bars that the witness knows from other sessions, and those of them that it did not
/// see. For all sessions: symbols with bars, and those that it never saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct StoredSymbols {
    known: u32,
    lacking: u32,
}

/// Whether most symbols are lacking.
fn is_most(StoredSymbols { known, lacking }: StoredSymbols) -> bool {
    lacking >= LEAST_LACKING && 2 * lacking > known
}

/// The days that lack most of the symbols with recorded bars, and how many of these symbols were never seen.
fn few_symbols(
    records: &ManifestSnapshot,
    symbols: &[Symbol],
    witness: &GroupedDaily,
) -> Result<(Vec<(Date, String)>, StoredSymbols), VerifyError> {
    let dates: Vec<Date> = witness.dates().collect();
    let stored = Mutex::new((vec![StoredSymbols::default(); dates.len()], StoredSymbols::default()));
    let symbols = if dates.is_empty() { &[] } else { symbols };
    cpu::try_for_each(symbols, |symbol| {
        let partitions = records.read(|snapshot| snapshot.partitions(symbol))?;
        let seen = seen_of(&partitions, witness, &dates);
        let mut stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut stored.0, &seen);
        // A symbol that the witness never saw may be of a kind that it does not cover at all.
        stored.1.known += u32::from(!seen.is_empty());
        stored.1.lacking += u32::from(!seen.is_empty() && seen.iter().all(|(_, is_seen)| !is_seen));
        Ok::<_, VerifyError>(())
    })?;
    let (stored, unlisted) = stored.into_inner().unwrap_or_else(PoisonError::into_inner);
    let rejection = |(date, stored): (&Date, &StoredSymbols)| {
        let (StoredSymbols { known, lacking }, is_thin) = (stored, is_most(*stored));
        is_thin.then(|| {
            (*date, format!("lacks {lacking} of the {known} stored symbols that it knows from other days"))
        })
    };
    Ok((dates.iter().zip(&stored).filter_map(rejection).collect(), unlisted))
}

/// The indexes of the days with recorded bars of a symbol and with a witness, and whether the witness saw the symbol.
fn seen_of(partitions: &[Partition], witness: &GroupedDaily, dates: &[Date]) -> Vec<(usize, bool)> {
    let mut seen = Vec::new();
    for partition in partitions {
        for date in partition.month.days(partition.session_mask()) {
            let saw = witness.saw(&partition.symbol, date);
            if let (Ok(index), Some(what)) = (dates.binary_search(&date), saw) {
                seen.push((index, what != WitnessView::NoTrade));
            }
        }
    }
    seen
}

/// Counts a symbol on each of its days. It is known on a day only if it was seen on another one.
fn add(stored: &mut [StoredSymbols], seen: &[(usize, bool)]) {
    let often = seen.iter().filter(|(_, is_seen)| *is_seen).count();
    for (index, is_seen) in seen {
        if let Some(stored) = stored.get_mut(*index).filter(|_| often > usize::from(*is_seen)) {
            stored.known += 1;
            stored.lacking += u32::from(!is_seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn doubted(rows: &[(i8, u64)]) -> Vec<i8> {
        let days: Vec<_> = rows.iter().map(|(day, rows)| (date(2024, 1, *day), *rows)).collect();
        few_rows(&days).into_iter().map(|(date, _)| date.day()).collect()
    }

    #[test]
    fn a_day_with_less_than_half_of_the_rows_around_it_is_doubted() {
        assert_eq!(doubted(&[(2, 10), (3, 4), (4, 10), (5, 11)]), [3]);
        assert_eq!(doubted(&[(2, 10), (3, 5), (4, 10), (5, 11)]), [0; 0], "half is enough");
        assert_eq!(doubted(&[(2, 10), (3, 0), (4, 10)]), [0; 0], "two others are too few to say");
        assert_eq!(doubted(&[(2, 1), (3, 9), (4, 10), (5, 0)]), [2, 5]);
        // Four days around the 30th, three of them within ten sessions; and none within ten of the 2nd.
        assert_eq!(doubted(&[(2, 1), (18, 10), (19, 10), (22, 10), (30, 1)]), [30]);
        assert_eq!(doubted(&[]), [0; 0]);
    }

    #[test]
    fn a_symbol_counts_where_it_is_known_from_another_day() {
        let counted = |seen: &[(usize, bool)]| {
            let mut stored = vec![StoredSymbols::default(); 3];
            add(&mut stored, seen);
            stored.iter().map(|stored| (stored.known, stored.lacking)).collect::<Vec<_>>()
        };
        assert_eq!(counted(&[(0, true), (1, true), (2, false)]), [(1, 0), (1, 0), (1, 1)]);
        assert_eq!(counted(&[(0, true), (2, false)]), [(0, 0), (0, 0), (1, 1)], "not known elsewhere");
        assert_eq!(counted(&[(0, false), (1, false)]), [(0, 0); 3], "never seen: traded over the counter");
    }
}
