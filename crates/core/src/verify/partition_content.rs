//! Compares one partition's bytes with the manifest and the calendar. No I/O.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use grab_model::{Bar, Bars, Month, Partition, calendar, new_york};
use jiff::civil::Date;
use xxhash_rust::xxh3::xxh3_64;

use super::{Finding, FindingKind, Severity, manifest_snapshot::MonthWriter};
use crate::store::{self, InvalidPartition};

/// The detail of a finding about an intact file that is newer than its record.
pub(super) const UNRECORDED: &str =
    "written by a process that crashed before it could record it: `grab resume` does";

/// One minute in ms.
const MINUTE_MS: i64 = 60_000;

/// The totals of one session's bars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SessionMeasure {
    /// The sum of the volumes.
    pub(super) shares: f64,
    /// The start of the last bar, UTC ms.
    pub(super) last_ms: i64,
}

/// Reads a partition and reports what is wrong with it. The consequences of a reported fault are not reported again: a
/// duplicate minute also changes the count of bars and the digest. Also returns the totals of each day of a good file.
pub(super) fn check(
    recorded: &Partition,
    path: &Path,
    file: Bytes,
    writer: MonthWriter,
) -> (Vec<Finding>, BTreeMap<Date, SessionMeasure>) {
    let mut found = ContentFindings { recorded, path, findings: Vec::new() };
    let mut measured = BTreeMap::new();
    let digest = xxh3_64(&file);
    let size = file.len();
    match store::read_file(file) {
        Err(InvalidPartition::Corrupt(reason)) => found.add(FindingKind::CorruptFile, reason),
        Err(InvalidPartition::Schema(reason)) => found.add(FindingKind::SchemaMismatch, reason),
        Ok(content) => {
            found.check_place(&content.provenance);
            let is_flipped = !content.is_intact && size as u64 == recorded.bytes && digest != recorded.xxh3;
            if !found.is_damaged() && is_flipped {
                // Same size, other bytes: bits have changed, so the values are meaningless.
                found.check_digest(digest, size, content.is_intact);
            }
            if !found.is_damaged() {
                found.check_bars(&content.bars);
            }
            let is_good = !found.is_damaged();
            if is_good && writer != MonthWriter::None && content.is_intact && digest != recorded.xxh3 {
                // A live writer is about to record it.
                if writer == MonthWriter::Dead {
                    found.note_unrecorded();
                }
            } else if is_good {
                found.check_counts(&content.bars);
                if !found.is_damaged() {
                    found.check_digest(digest, size, content.is_intact);
                }
            }
            if !found.is_damaged() {
                measured = measure(recorded.month, &content.bars);
            }
        }
    }
    if found.is_damaged() {
        // Then the values of its bars do not matter.
        found.findings.retain(|finding| finding.severity == Severity::Damage);
    }
    (found.findings, measured)
}

/// The totals of each day. The bars must be in order and all of the month.
fn measure(month: Month, bars: &Bars) -> BTreeMap<Date, SessionMeasure> {
    let [.., volumes] = bars.required();
    let mut measured = BTreeMap::new();
    let mut from = 0;
    for (date, count) in month.days(u32::MAX).zip(store::count_by_day(month, bars.timestamps())) {
        let to = from + usize::from(count);
        if let Some(last_ms) = bars.timestamps()[from..to].last() {
            measured
                .insert(date, SessionMeasure { shares: volumes[from..to].iter().sum(), last_ms: *last_ms });
        }
        from = to;
    }
    measured
}

struct ContentFindings<'a> {
    recorded: &'a Partition,
    path: &'a Path,
    findings: Vec<Finding>,
}

impl ContentFindings<'_> {
    fn add(&mut self, kind: FindingKind, detail: String) {
        let (symbol, month) = (&self.recorded.symbol, self.recorded.month);
        self.findings.push(kind.in_partition(symbol, month, self.path.to_owned(), detail));
    }

    fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }

    /// A process may crash between writing the file and its row: that is no damage.
    fn note_unrecorded(&mut self) {
        self.add(FindingKind::DigestMismatch, UNRECORDED.to_owned());
        self.findings.iter_mut().for_each(|finding| finding.severity = Severity::Notice);
    }

    /// A file whose own digest is right was written by a run that this manifest does not know.
    fn check_digest(&mut self, digest: u64, size: usize, is_intact: bool) {
        let recorded = self.recorded;
        if digest == recorded.xxh3 && size as u64 == recorded.bytes && is_intact {
            return;
        }
        let whose =
            if is_intact { "another one that grab has written" } else { "changed since it was written" };
        let detail = format!(
            "XXH3 {digest:016x} of {size} bytes, recorded {:016x} of {} bytes: {whose}",
            recorded.xxh3, recorded.bytes
        );
        self.add(FindingKind::DigestMismatch, detail);
    }

    fn check_place(&mut self, claims: &store::Provenance) {
        let facts = [
            ("ticker", self.recorded.symbol.to_string(), &claims.ticker),
            ("month", self.recorded.month.to_string(), &claims.month),
        ];
        // One mismatch is enough to say that it is another file.
        if let Some((what, expected, claimed)) =
            facts.into_iter().find(|(_, expected, claimed)| expected != *claimed)
        {
            self.add(
                FindingKind::SchemaMismatch,
                format!("its {what} is {claimed}, and it lies at {expected}"),
            );
        }
    }

    fn check_bars(&mut self, bars: &Bars) {
        let pairs = || bars.timestamps().windows(2);
        self.count(
            FindingKind::DuplicateTimestamp,
            pairs().filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]),
        );
        self.count(FindingKind::Unsorted, pairs().filter(|pair| pair[0] > pair[1]).map(|pair| pair[1]));
        let month = self.recorded.month;
        let inside = month.start_ms()..month.end_ms();
        let times = || bars.timestamps().iter().copied();
        self.count(FindingKind::OutsideWindow, times().filter(|t| !inside.contains(t)));
        self.count(FindingKind::OffMinute, times().filter(|t| t % MINUTE_MS != 0));
        self.count(FindingKind::OutsideSession, outside_session(month, times()).into_iter());
        self.count(FindingKind::BadOhlc, bars.iter().filter(is_bad_ohlc).map(|bar| bar.timestamp));
    }

    fn check_counts(&mut self, bars: &Bars) {
        let recorded = self.recorded;
        if bars.len() as u64 != recorded.bars {
            self.add(
                FindingKind::RowCountMismatch,
                format!("{} bars, recorded {}", bars.len(), recorded.bars),
            );
            return;
        }
        let counted = store::count_by_day(recorded.month, bars.timestamps());
        if counted != recorded.bars_by_day {
            let days = counted.iter().zip(&recorded.bars_by_day).filter(|(a, b)| a != b).count();
            self.add(
                FindingKind::RowCountMismatch,
                format!("the bars of {days} days are not as many as recorded"),
            );
        }
    }

    /// Adds one finding for all bars with the same fault: their number, and the first one.
    fn count(&mut self, kind: FindingKind, mut bars: impl Iterator<Item = i64>) {
        if let Some(first) = bars.next() {
            self.add(kind, format!("{} bars, the first at {}", 1 + bars.count(), instant(first)));
        }
    }
}

/// The bars that no session of the month can have. A bar exactly at the end of the hours can occur.
fn outside_session(month: Month, times: impl Iterator<Item = i64>) -> Vec<i64> {
    let hours: Vec<_> = calendar::sessions(month.window())
        .map(|session| session.extended_open_ms()..=session.extended_close_ms())
        .collect();
    let is_inside = |t: &i64| {
        let next = hours.partition_point(|hours| *hours.end() < *t);
        hours.get(next).is_some_and(|hours| hours.contains(t))
    };
    times.filter(|t| !is_inside(t)).collect()
}

fn is_bad_ohlc(bar: &Bar) -> bool {
    let (low, high) = (bar.open.min(bar.close), bar.open.max(bar.close));
    !(bar.low <= low && high <= bar.high)
}

fn instant(ms: i64) -> String {
    let day = new_york::date_of(ms).map(|day| format!(" ({day} in New York)")).unwrap_or_default();
    format!("{ms} ms{day}")
}
