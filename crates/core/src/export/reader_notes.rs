//! Notes for a reader of an exported file: what cannot be seen in it. Pure.

use grab_model::{
    Partition, Rename, Split, Symbol, Window,
    universe::symbol_history::{self, SymbolSpan},
};
use jiff::{ToSpan, civil::Date};

use super::{
    split_evidence::SplitEvidence,
    splits::{AppliesSplit, SkippedSplit, ratio},
};
use crate::{
    manifest::{TaskItem, TaskState},
    store::reference::ReferenceTable,
};

/// The New York days with stored bars in the windows, in order.
pub(super) fn days_stored(partitions: &[Partition], windows: Option<&[Window]>) -> Vec<Date> {
    let days = partitions.iter().flat_map(|partition| partition.month.days(partition.session_mask()));
    let is_requested = |day: &Date| {
        windows.is_none_or(|windows| windows.iter().any(|one| (one.from()..=one.to()).contains(day)))
    };
    days.filter(is_requested).collect()
}

/// The note on unfinished tasks: their bars are not in the file.
pub(super) fn outstanding(
    tasks: &[TaskItem],
    symbol_span: &SymbolSpan,
    windows: Option<&[Window]>,
) -> Option<String> {
    let is_requested = |task: &&TaskItem| overlaps(task, symbol_span, windows);
    let has_ended = |state| matches!(state, TaskState::Done | TaskState::Empty);
    let pending = tasks.iter().filter(is_requested).filter(|task| !has_ended(task.state)).count();
    let (tasks, their) =
        if pending == 1 { ("1 task is", "its") } else { (&*format!("{pending} tasks are"), "their") };
    let ticker = &symbol_span.ticker;
    (pending > 0).then(|| {
        format!(
            "{tasks} not done: {their} bars of {ticker} are not in the file; `grab status --tickers` says why"
        )
    })
}

/// The note that a partition was recorded at the start of the export and is gone now.
pub(super) fn taken_away(partition: &Partition) -> String {
    let Partition { symbol, month, .. } = partition;
    format!(
        "{symbol} has no bars of {month} here: another process has moved them away, or fetches them again"
    )
}

/// The note that a span was never requested: then missing bars prove nothing.
pub(super) fn never_requested(
    tasks: &[TaskItem],
    symbol_span: &SymbolSpan,
    windows: Option<&[Window]>,
) -> Option<String> {
    let is_wanted = !symbol_span.spans(windows).is_empty();
    let was_requested = tasks.iter().any(|task| overlaps(task, symbol_span, windows));
    let (ticker, until) = (&symbol_span.ticker, symbol_span.until);
    let until = until.map(|until| format!(" before {until}")).unwrap_or_default();
    (is_wanted && !was_requested)
        .then(|| format!("{ticker} was never requested{until}{}", fetched_by(ticker, windows)))
}

/// The command that fetches a symbol, if the days are known.
fn fetched_by(ticker: &Symbol, windows: Option<&[Window]>) -> String {
    let windows: Vec<_> = windows.into_iter().flatten().map(ToString::to_string).collect();
    if windows.is_empty() {
        return String::new();
    }
    format!(": `grab start --tickers {ticker} --windows {}` fetches it", windows.join(","))
}

/// Whether a task has requested days of a span that are in the windows.
fn overlaps(task: &TaskItem, symbol_span: &SymbolSpan, windows: Option<&[Window]>) -> bool {
    let (from, until) = (task.window.start_ms(), task.window.end_ms());
    symbol_span.spans(windows).iter().any(|(first, end)| from < *end && *first < until)
}

/// The notes on days with bars under a symbol of the history that are not in the file.
pub(super) fn left_out(symbol_span: &SymbolSpan, days: &[Date]) -> Vec<String> {
    let ticker = &symbol_span.ticker;
    let why = "are another company's by the events that are known, and left out";
    let before = symbol_span.from.filter(|from| days.first().is_some_and(|first| first < from));
    let after = symbol_span.until.filter(|until| days.last().is_some_and(|last| until <= last));
    let before = before.map(|from| format!("bars of {ticker} before {from} {why}"));
    before.into_iter().chain(after.map(|until| format!("bars of {ticker} from {until} on {why}"))).collect()
}

/// The note on days on which another company had the symbol, by the known events.
pub(super) fn of_others(symbol: &Symbol, days: &[Date], renames: &[&Rename]) -> Vec<String> {
    let since = symbol_history::first_day_of_present_company(symbol, renames);
    if let Some(since) = since.filter(|since| days.first().is_some_and(|first| first < since)) {
        return vec![format!(
            "bars of {symbol} before {since} are another company's; --follow-renames leaves them out"
        )];
    }
    let had = symbol_history::of_others(symbol, renames).into_iter();
    let had = had.filter(|(_, symbol_span)| days.iter().any(|day| symbol_span.has(*day)));
    had.filter_map(|(now, symbol_span)| {
        let (from, to) = (symbol_span.from?, symbol_span.until?.saturating_sub(1.day()));
        Some(format!("bars of {symbol} from {from} to {to} are those of the company that is {now} now"))
    })
    .collect()
}

/// The note that the company of a symbol has another one now.
pub(super) fn former_symbol(symbol: &Symbol, renames: &[&Rename]) -> Option<String> {
    let now = symbol_history::successor(symbol, renames)?;
    Some(format!("{symbol} became {} on {}: export that one to have both", now.ticker, now.date))
}

/// The note that another split is listed for the same day.
pub(super) fn contradicted(split: &Split, table: Option<&ReferenceTable<Split>>) -> Option<String> {
    let Split { ticker, execution_date, split_from, split_to, .. } = split;
    let is_contradicted = table?.contradicted(ticker).any(|day| day == *execution_date);
    is_contradicted.then(|| {
        format!(
            "splits of {ticker} on {execution_date} contradict each other: {split_from}:{split_to} is taken"
        )
    })
}

/// The note on the first split after `as_of` that divides the days of the file.
pub(super) fn later_split<'a>(
    splits: impl Iterator<Item = &'a Split>,
    as_of: Date,
    days: Option<(Date, Date)>,
) -> Option<String> {
    let (first, last) = days?;
    let later = splits.map(|split| split.execution_date).filter(|day| *day > as_of);
    let day = later.filter(|day| first < *day && *day <= last).min()?;
    Some(format!("bars from {day} on are in shares of a split after --as-of {as_of}"))
}

/// The note on an applied split that is listed under a symbol which the company did not have on its day.
pub(super) fn listed_elsewhere(own: &AppliesSplit) -> Option<String> {
    let (split, had) = (&own.split, own.had.as_ref()?);
    let (ticker, day, ratio) = (&split.ticker, split.execution_date, ratio(split));
    Some(format!(
        "the split of {day} ({ratio}) is listed under {ticker} and applied: it is the company that had {had} then"
    ))
}

/// The note that the bars do not show an applied split.
pub(super) fn not_shown(split: &Split, seen: SplitEvidence) -> Option<String> {
    let SplitEvidence::Absent { before, after, elsewhere, is_inverse } = seen else { return None };
    let (day, ratio) = (split.execution_date, ratio(split));
    let change = format!(
        "the split of {day} ({ratio}) is applied, and the bars do not show it: the price is {} on {} and {} on {}",
        price(before.1),
        before.0,
        price(after.1),
        after.0
    );
    Some(match elsewhere {
        Some(other) if other > day => format!(
            "{change}; it changes by this ratio on {other}: bars from {day} to the day before that may be in other shares than the rest"
        ),
        Some(other) => format!(
            "{change}; it changes by this ratio on {other}: bars from that day to the day before {day} may be in other shares than the rest"
        ),
        None if is_inverse => format!("{change}: old and new shares may be the wrong way round"),
        None => change,
    })
}

/// The note that a split is not applied, why, and whether the bars show it all the same.
pub(super) fn not_applied(split: &SkippedSplit, seen: SplitEvidence) -> String {
    let SkippedSplit { ticker, execution_date, split_from, split_to, reason, .. } = split;
    let is_shown = match seen {
        SplitEvidence::Shown => "; the bars show it",
        SplitEvidence::Absent { .. } => "; the bars do not show it",
        SplitEvidence::Unsettled => "",
    };
    format!(
        "the split of {execution_date} ({split_from}:{split_to}), listed under {ticker}, is not applied: {reason}{is_shown}"
    )
}

/// A price with six digits.
fn price(price: f64) -> String {
    let whole = price.abs().log10().max(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 5")]
    let decimals = (5.0 - whole.floor()).clamp(0.0, 5.0) as usize;
    let text = format!("{price:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
