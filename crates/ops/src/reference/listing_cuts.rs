//! What lists have cut away from subscriptions: `verify` compares it with the witness, `repair` requests what traded.

use std::collections::{BTreeMap, HashMap};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestError, Subscription},
    store::{StoreError, reference},
    verify::ListingCuts,
};
use grab_model::{
    Symbol, Window, calendar, plan,
    universe::{Universe, symbol_history::joined},
};
use jiff::civil::Date;

use super::subscription_scope::{filter_of, windows_of};
use crate::{Error, run::manifest_of};

/// Windows of a symbol, each with the day on which the witness must have seen it, if there is one.
type Parts = BTreeMap<(Symbol, Option<Date>), Vec<Window>>;

/// The days of all symbols that subscriptions cover and no task has, because the lists do not have the symbol then.
/// After an update they extend to its session: an update follows each subscribed or stored symbol, except those
/// delisted by the lists.
///
/// If the manifest or the lists are damaged, returns nothing: `verify` reports the damage.
///
/// # Errors
/// If manifest or lists cannot be opened.
pub fn listing_cuts(data_dir: &DataDir) -> Result<ListingCuts, Error> {
    match by_orders(data_dir) {
        Err(Error::Manifest(error)) if error.is_damage() => Ok(ListingCuts::default()),
        cut_away => cut_away,
    }
}

fn by_orders(data_dir: &DataDir) -> Result<ListingCuts, Error> {
    let universe = match reference::read_universe(data_dir) {
        Err(StoreError::Reference { .. }) => None,
        universe => universe?,
    };
    let Some((reader, universe)) = manifest_of(data_dir)?.zip(universe) else {
        return Ok(ListingCuts::default());
    };
    let requested = reader.windows()?;
    let updated = reader.updated()?;
    let mut parts = Parts::new();
    let orders = reader.orders()?;
    for order in &orders {
        add_order(&mut parts, order, &universe, updated)?;
    }
    if let Some((_, session)) = updated {
        add_left(&mut parts, &universe, &requested, session);
    }
    let mut cut_away = ListingCuts::default();
    for order in orders {
        cut_away.order(&planned_windows(&order)?.map(|(_, windows)| windows).unwrap_or_default());
    }
    cut_away.list(universe.tickers());
    for ((symbol, seen_on), windows) in parts {
        let stored = requested.get(&symbol).map_or(&[][..], Vec::as_slice);
        let windows = joined(windows).into_iter().map(|window| (symbol.clone(), window)).collect::<Vec<_>>();
        let requested = HashMap::from([(symbol.clone(), stored.to_vec())]);
        // What another task has requested all the same is not cut away.
        for (symbol, window) in plan::missing_tasks(&windows, &requested) {
            cut_away.add(&symbol, window, seen_on);
        }
    }
    Ok(cut_away)
}

/// Adds what lists cut away from the planned windows of a subscription, extended to the session of the last update after that.
fn add_order(
    parts: &mut Parts,
    order: &Subscription,
    universe: &Universe,
    updated: Option<(i64, Date)>,
) -> Result<(), Error> {
    let Some((planned_ms, mut windows)) = planned_windows(order)? else { return Ok(()) };
    let end = windows.iter().map(|window| window.to()).max();
    let since = updated.filter(|(at_ms, _)| *at_ms >= planned_ms).zip(end);
    windows.extend(since.and_then(|((_, session), end)| Window::new(end.tomorrow().ok()?, session)));
    let filter = filter_of(order);
    for cut in plan::cut(universe, &filter, &windows) {
        parts.entry((cut.ticker, None)).or_default().push(cut.window);
    }
    if let Some(day) = order.as_of {
        for cut in plan::cut_by_day(universe, &filter, day, &windows) {
            parts.entry((cut.ticker, Some(day))).or_default().push(cut.window);
        }
    }
    Ok(())
}

/// When a subscription was planned (UTC ms), and its windows up to the last session then. None if it never was.
fn planned_windows(order: &Subscription) -> Result<Option<(i64, Vec<Window>)>, ManifestError> {
    let planned = order.planned_at_ms.and_then(|at_ms| Some((at_ms, calendar::last_finished(at_ms)?)));
    let Some((planned_ms, last)) = planned else { return Ok(None) };
    let windows = windows_of(order)?.into_iter().filter_map(|window| plan::clip(window, last.date()));
    Ok(Some((planned_ms, windows.collect())))
}

/// Adds the days that an update has not requested because the symbol was delisted by the lists.
fn add_left(parts: &mut Parts, universe: &Universe, requested: &HashMap<Symbol, Vec<Window>>, session: Date) {
    for (symbol, windows) in requested {
        let covered = windows.iter().map(|window| window.to()).max();
        let Some((end, covered)) = universe.end_of(symbol).zip(covered) else { continue };
        let since = covered.tomorrow().ok().filter(|_| covered >= end);
        parts
            .entry((symbol.clone(), None))
            .or_default()
            .extend(since.and_then(|since| Window::new(since, session)));
    }
}
