//! Writes one symbol's history from the store to a file.

use std::path::Path;

use grab_model::{
    Bars, Partition, Split, Symbol,
    adjust::{Adjustment, SplitRatio},
    new_york,
    universe::symbol_history::{self, SymbolSpan},
};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    ExportError, ExportOptions, ExportedSymbol, file_name, live_partition, reader_notes,
    split_evidence::{PriceDays, SplitEvidence},
    splits::{AppliesSplit, KnownSplits, SymbolSplits},
};
use crate::{
    manifest::ManifestReader,
    store::{export_writer::ExportWriter, reference::ReferenceTable},
};

/// An applied split, and how it and the later ones change the bars before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppliedSplit {
    /// The symbol under which it is listed.
    pub ticker: Symbol,
    /// The first day on which the new shares trade.
    pub execution_date: String,
    /// Old shares.
    pub split_from: f64,
    /// New shares for them.
    pub split_to: f64,
    /// The factor of prices before this day and after the split before; volumes are divided by it.
    pub multiply: f64,
    /// The divisor of these prices after that; volumes are multiplied by it.
    pub divide: f64,
    /// Whether the bars of the file show the split on its day. None if they do not decide it.
    pub shown: Option<bool>,
}

/// A part of the file in which all bars have one symbol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SymbolPart {
    /// The symbol as traded.
    pub ticker: Symbol,
    /// The New York day of its first bar. None if it has no bar.
    pub from: Option<String>,
    /// The New York day of its last bar.
    pub to: Option<String>,
    /// The number of bars.
    pub bars: u64,
}

/// The content of a file.
pub(super) struct SymbolHistory {
    symbol: Symbol,
    /// The spans of symbols, each with its recorded partitions, by month.
    symbol_spans: Vec<(SymbolSpan, Vec<Partition>)>,
    /// All splits of the spans, also those after `as_of`.
    splits: SymbolSplits,
    adjustment: Adjustment,
    /// Prices as traded, by day: they are compared with the splits.
    days: PriceDays,
    notes: Vec<String>,
}

/// Counts the written bars.
#[derive(Default)]
struct HistoryTally {
    bars: u64,
    span_ms: Option<(i64, i64)>,
}

impl HistoryTally {
    fn add(&mut self, bars: &Bars) {
        let times = bars.timestamps();
        if let Some((first, last)) = times.first().zip(times.last()) {
            self.bars += times.len() as u64;
            self.span_ms = Some((self.span_ms.map_or(*first, |(first, _)| first), *last));
        }
    }

    fn days(&self) -> Option<(Date, Date)> {
        self.span_ms.and_then(|(first, last)| new_york::date_of(first).zip(new_york::date_of(last)))
    }
}

impl SymbolHistory {
    /// Collects what is recorded and known about a symbol.
    pub(super) fn of(
        options: &ExportOptions,
        known: &KnownSplits<'_>,
        reader: &ManifestReader,
        symbol: &Symbol,
    ) -> Result<Self, ExportError> {
        let renames: Vec<_> = options.renames.iter().flat_map(ReferenceTable::current).collect();
        let symbol_spans = if options.follow_renames {
            symbol_history::history(symbol, &renames)
        } else {
            vec![SymbolSpan::all_of(symbol)]
        };
        let mut history = Self {
            symbol: symbol.clone(),
            symbol_spans: Vec::new(),
            splits: known.of(symbol, &symbol_spans),
            adjustment: Adjustment::default(),
            days: PriceDays::default(),
            notes: Vec::new(),
        };
        let steps: Vec<_> = history.splits.applied.iter().map(step).collect();
        history.adjustment = Adjustment::new(&steps, options.as_of);
        for symbol_span in symbol_spans {
            let partitions = reader.partitions(&symbol_span.ticker)?;
            let (tasks, windows) = (reader.tasks_of(&symbol_span.ticker)?, options.windows.as_deref());
            history.notes.extend(reader_notes::outstanding(&tasks, &symbol_span, windows));
            let days = reader_notes::days_stored(&partitions, windows);
            if options.follow_renames {
                history.notes.extend(reader_notes::never_requested(&tasks, &symbol_span, windows));
                history.notes.extend(reader_notes::left_out(&symbol_span, &days));
            } else {
                history.notes.extend(reader_notes::of_others(symbol, &days, &renames));
            }
            history.symbol_spans.push((symbol_span, partitions));
        }
        if options.follow_renames {
            history.notes.extend(reader_notes::former_symbol(symbol, &renames));
        }
        let applied = history.splits.applied.iter().map(|own| &own.split);
        let contradicted =
            applied.filter_map(|split| reader_notes::contradicted(split, options.splits.as_ref()));
        let contradicted: Vec<_> = contradicted.collect();
        history.notes.extend(contradicted);
        Ok(history)
    }

    /// Writes the file, month by month. Returns its description and its XXH3.
    pub(super) fn write(
        mut self,
        options: &ExportOptions,
        path: &Path,
    ) -> Result<(ExportedSymbol, String), ExportError> {
        let mut file = ExportWriter::begin(path, options.format)?;
        let (mut all, mut parts) = (HistoryTally::default(), Vec::new());
        for (symbol_span, partitions) in &self.symbol_spans {
            let spans = symbol_span.spans(options.windows.as_deref());
            let mut tally = HistoryTally::default();
            for partition in partitions.iter().filter(|one| spans.iter().any(|span| touches(one, *span))) {
                let Some(bars) = live_partition::read(options, partition)? else {
                    self.notes.push(reader_notes::taken_away(partition));
                    continue;
                };
                for bars in spans.iter().map(|span| cut(&bars, *span)).filter(|bars| !bars.is_empty()) {
                    all.add(&bars);
                    tally.add(&bars);
                    if !self.splits.is_empty() {
                        self.days.add(&bars);
                    }
                    file.append(&self.adjustment.apply(bars))?;
                }
            }
            parts.push(part(symbol_span, &tally));
        }
        self.days.close();
        let applied = self.splits.applied.iter().map(|own| &own.split);
        self.notes.extend(reader_notes::later_split(applied, options.as_of, all.days()));
        let mut exported = self.describe(options, &all, parts);
        let written = file.finish(&metadata_of(&exported))?;
        exported.bytes = written.bytes;
        Ok((exported, format!("{:016x}", written.xxh3)))
    }

    fn describe(
        mut self,
        options: &ExportOptions,
        all: &HistoryTally,
        parts: Vec<SymbolPart>,
    ) -> ExportedSymbol {
        let instant = |ms| Timestamp::from_millisecond(ms).map(|at| at.to_string()).ok();
        let matters = |day: Date| all.days().is_some_and(|(first, _)| first < day) && day <= options.as_of;
        self.splits.applied.retain(|own| matters(own.split.execution_date));
        self.splits.left_out.retain(|split| matters(split.date));
        let seen = self.seen();
        let splits = self.splits.applied.iter().zip(&seen).map(|(own, seen)| self.applied(&own.split, *seen));
        let splits = splits.collect();
        let notes = self.splits.applied.iter().zip(&seen).flat_map(|(own, seen)| {
            [reader_notes::listed_elsewhere(own), reader_notes::not_shown(&own.split, *seen)]
                .into_iter()
                .flatten()
        });
        let left_out = self.splits.left_out.iter().map(|split| {
            let factor = split.split_from / split.split_to;
            reader_notes::not_applied(split, self.days.evidence_of(split.date, factor, &[]))
        });
        let notes: Vec<_> = left_out.chain(notes).collect();
        self.notes.extend(notes);
        let adjusted = match (options.is_adjusted, &options.splits) {
            (true, _) => "server",
            (false, Some(_)) => "splits",
            (false, None) => "none",
        };
        ExportedSymbol {
            file: file_name(&self.symbol, options.format),
            bars: all.bars,
            first: all.span_ms.and_then(|(first, _)| instant(first)),
            last: all.span_ms.and_then(|(_, last)| instant(last)),
            bytes: 0,
            adjusted,
            as_of: (adjusted == "splits").then(|| options.as_of.to_string()),
            splits,
            splits_left_out: self.splits.left_out,
            parts,
            notes: self.notes,
            ticker: self.symbol,
        }
    }

    /// What the bars show about each split. Splits of one day change prices together.
    fn seen(&self) -> Vec<SplitEvidence> {
        let splits = || self.splits.applied.iter().map(|own| &own.split);
        let see = |split: &Split| {
            let day = split.execution_date;
            let factors = splits().filter(|other| other.execution_date == day);
            let others: Vec<_> =
                splits().map(|other| other.execution_date).filter(|other| *other != day).collect();
            self.days.evidence_of(
                day,
                factors.map(|other| other.split_from / other.split_to).product(),
                &others,
            )
        };
        splits().map(see).collect()
    }

    fn applied(&self, split: &Split, seen: SplitEvidence) -> AppliedSplit {
        let factor = self.adjustment.at(new_york::day_start_ms(split.execution_date) - 1);
        AppliedSplit {
            ticker: split.ticker.clone(),
            execution_date: split.execution_date.to_string(),
            split_from: split.split_from,
            split_to: split.split_to,
            multiply: factor.from,
            divide: factor.to,
            shown: match seen {
                SplitEvidence::Shown => Some(true),
                SplitEvidence::Absent { .. } => Some(false),
                SplitEvidence::Unsettled => None,
            },
        }
    }
}

fn step(own: &AppliesSplit) -> SplitRatio {
    let AppliesSplit { split, since, .. } = own;
    SplitRatio { date: split.execution_date, since: *since, from: split.split_from, to: split.split_to }
}

/// Whether a partition has bars in a span of instants.
fn touches(partition: &Partition, (from, until): (i64, i64)) -> bool {
    partition.bars > 0 && partition.first_ms < until && from <= partition.last_ms
}

/// The bars that begin within a span of instants.
fn cut(bars: &Bars, (from, until): (i64, i64)) -> Bars {
    let before = |instant: i64| bars.timestamps().partition_point(|time| *time < instant);
    bars.slice(before(from)..before(until))
}

fn part(symbol_span: &SymbolSpan, tally: &HistoryTally) -> SymbolPart {
    let days = tally.days();
    SymbolPart {
        ticker: symbol_span.ticker.clone(),
        from: days.map(|(first, _)| first.to_string()),
        to: days.map(|(_, last)| last.to_string()),
        bars: tally.bars,
    }
}

/// The metadata of a Parquet file.
fn metadata_of(exported: &ExportedSymbol) -> [(&'static str, String); 8] {
    let list = |list: serde_json::Result<String>| list.unwrap_or_default();
    [
        ("grab.export", "1".to_owned()),
        ("grab.ticker", exported.ticker.to_string()),
        ("grab.adjusted", exported.adjusted.to_owned()),
        ("grab.as_of", exported.as_of.clone().unwrap_or_default()),
        ("grab.splits", list(serde_json::to_string(&exported.splits))),
        ("grab.splits_left_out", list(serde_json::to_string(&exported.splits_left_out))),
        ("grab.parts", list(serde_json::to_string(&exported.parts))),
        ("grab.version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}
