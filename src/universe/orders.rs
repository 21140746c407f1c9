//! From an order and the universe to tasks.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::BuildHasher,
    path::Path,
};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestError, ManifestWriter, Subscription},
    store::{StoreError, reference},
};
use grab_model::{
    Listing, Symbol, Window,
    plan::{self, Spec},
    universe::{Filter, Universe},
};
use jiff::civil::Date;

use super::{
    super::{
        args::{OrderArgs, StartArgs, joined},
        failure::Failure,
        output::say,
    },
    planned::{LeftOut, Planned},
};

/// The list that is asked for, if one is: of the command line, else of the spec.
///
/// # Errors
/// If the command line names no list, or a code that is none.
pub fn order(args: &StartArgs, spec: Option<(&Path, &Spec)>) -> Result<Option<Subscription>, Failure> {
    let OrderArgs { universe, types, exchanges, as_of } = &args.order;
    let list = match universe {
        Some(name) => {
            let unknown = || Failure::Usage(format!("--universe: {name:?} is no list: there is us-stocks"));
            let codes = |codes: &[String]| (!codes.is_empty()).then(|| codes.to_vec());
            let asked = plan::SpecUniverse {
                list: Some(plan::UniverseList::parse(name).ok_or_else(unknown)?),
                types: codes(types),
                exchanges: codes(exchanges),
                as_of: *as_of,
                ..plan::SpecUniverse::default()
            };
            let wrong = |(key, why): plan::KeyProblem| {
                let flag = key.trim_start_matches("universe.").trim_end_matches('s').replace('_', "-");
                Failure::Usage(format!("--{flag}: {why}"))
            };
            asked.check().map_err(wrong)?;
            Some(asked)
        }
        None if !types.is_empty() || !exchanges.is_empty() || as_of.is_some() => {
            let advice = "--type, --exchange and --as-of go with --universe us-stocks";
            return Err(Failure::Usage(advice.to_owned()));
        }
        None if !args.tickers.is_empty() || args.tickers_file.is_some() => None,
        None => spec.map(|(_, spec)| spec.universe.clone()).filter(|universe| universe.list.is_some()),
    };
    let Some(plan::SpecUniverse { list: Some(list), types, exchanges, as_of, .. }) = list else {
        return Ok(None);
    };
    let windows = joined(&args.windows).or_else(|| spec.map(|(_, spec)| spec.windows.join(",")));
    Ok(Some(Subscription {
        list: list.as_str().to_owned(),
        types: types.unwrap_or_default(),
        exchanges: exchanges.unwrap_or_default(),
        as_of,
        windows: windows.unwrap_or_default(),
        planned_at_ms: None,
    }))
}

/// The windows of an order.
///
/// # Errors
/// If they cannot be read: another program has written them.
pub fn windows_of(order: &Subscription) -> Result<Vec<Window>, ManifestError> {
    let wrong = |error: plan::WindowsError| ManifestError::Corrupt(format!("an order's windows: {error}"));
    plan::read_windows(&order.windows).map_err(wrong)
}

/// Who an order means.
pub fn filter_of(order: &Subscription) -> Filter {
    let codes = |codes: &Vec<String>| (!codes.is_empty()).then(|| codes.clone());
    Filter {
        types: codes(&order.types),
        exchanges: codes(&order.exchanges),
        active_on: order.as_of,
        ..Filter::default()
    }
}

/// What is asked for of symbols that orders mean and that are not held: whatever an order's windows are, its history goes on
/// to this day, so that each joins who lived since their first day.
///
/// # Errors
/// If an order's windows cannot be read: another program has written them.
pub fn joining<S: BuildHasher>(
    orders: &[Subscription],
    universe: &Universe,
    held: &HashSet<Symbol, S>,
    last_day: Date,
) -> Result<Vec<(Symbol, Window)>, ManifestError> {
    let mut joining: Vec<(Symbol, Window)> = Vec::new();
    for order in orders {
        let first_day = windows_of(order)?.into_iter().map(Window::from).min();
        let window = first_day.and_then(|first_day| Window::new(first_day, last_day));
        // Who was active on a day is settled, but for those of whom a later list shows it.
        let filter = Filter { is_strict: true, ..filter_of(order) };
        let tasks = plan::windows_of(universe, &filter, window.as_slice());
        let new = tasks.into_iter().filter(|(symbol, _)| !held.contains(symbol));
        let mut joined = HashMap::new();
        for (symbol, window) in &joining {
            joined.entry(symbol.clone()).or_insert_with(Vec::new).push(*window);
        }
        joining.extend(plan::missing_tasks(&new.collect::<Vec<_>>(), &joined));
    }
    Ok(joining)
}

/// Whether there is an order whose tasks were never planned.
///
/// # Errors
/// If the manifest cannot be read.
pub fn unplanned(writer: &ManifestWriter) -> Result<bool, ManifestError> {
    Ok(writer.subscriptions()?.iter().any(|order| order.planned_at_ms.is_none()))
}

/// Records the tasks of all orders that were never planned. Answers how many are new, and what the lists leave out.
///
/// # Errors
/// If the manifest cannot be read or written.
pub fn plan_orders(
    writer: &mut ManifestWriter,
    universe: &Universe,
    last_day: Date,
) -> Result<(u64, LeftOut), ManifestError> {
    let (mut added, mut all) = (0, Planned::default());
    for order in writer.subscriptions()?.iter().filter(|order| order.planned_at_ms.is_none()) {
        let planned = Planned::of(order, universe, last_day)?;
        if planned.tasks.is_empty() {
            say(&nobody(order, universe));
        }
        let tasks = plan::missing_tasks(&planned.tasks, &writer.windows()?);
        added += writer.add_tasks(&tasks)?.added;
        all.add(planned);
    }
    writer.subscriptions_planned()?;
    for note in all.left_out.notes() {
        say(&format!("note: {note}"));
    }
    Ok((added, all.left_out))
}

/// Of an order that means nobody: what there is, since a type or an exchange may be misspelt.
fn nobody(order: &Subscription, universe: &Universe) -> String {
    let codes = |code: fn(&Listing) -> &Option<String>| {
        let codes = universe.periods().filter_map(|(life, _)| code(&life.listing).clone());
        let there = Vec::from_iter(codes.collect::<BTreeSet<_>>());
        if there.is_empty() { "none".to_owned() } else { there.join(", ") }
    };
    let narrowed = |word: &str, asked: &[String], code: fn(&Listing) -> &Option<String>| {
        if asked.is_empty() {
            String::new()
        } else {
            format!("; {word} {}; there are {}", asked.join(", "), codes(code))
        }
    };
    format!(
        "note: nobody in {} is what was asked for in {}{}{}",
        order.list,
        order.windows,
        narrowed("of type", &order.types, |listing| &listing.kind),
        narrowed("on", &order.exchanges, |listing| &listing.exchange),
    )
}

/// The universe that is kept.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn kept(data_dir: &DataDir) -> Result<Universe, Failure> {
    let missing = || {
        Failure::Usage(
            "no universe is kept here yet, so nobody knows which symbols there are: `grab universe sync` fetches it"
                .to_owned(),
        )
    };
    match reference::read_universe(data_dir) {
        Err(error @ StoreError::Reference { .. }) => Err(Failure::Damaged(error)),
        universe => universe?.ok_or_else(missing),
    }
}

/// The universe that is kept; none if there is none that can be relied on. A damaged one is made anew by the next sync, which
/// says so.
///
/// # Errors
/// If its file cannot be opened.
pub fn known(data_dir: &DataDir) -> Result<Option<Universe>, Failure> {
    match reference::read_universe(data_dir) {
        Err(StoreError::Reference { .. }) => Ok(None),
        universe => Ok(universe?),
    }
}

/// Whether a universe is kept that can be relied on.
///
/// # Errors
/// If its file cannot be opened.
pub fn is_kept(data_dir: &DataDir) -> Result<bool, Failure> {
    match reference::read_universe(data_dir) {
        Err(error @ StoreError::Reference { .. }) => {
            say(&format!("note: {error}"));
            Ok(false)
        }
        universe => Ok(universe?.is_some()),
    }
}
