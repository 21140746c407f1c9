//! From a subscription and the universe to tasks.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::BuildHasher,
};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestError, ManifestWriter, Subscription},
    store::{StoreError, reference},
};
use grab_model::{
    Listing, Symbol, Window, plan,
    universe::{Filter, Universe},
};
use jiff::civil::Date;

use super::{
    planned::{LeftOut, PlannedSubscriptions},
    subscription_scope::{filter_of, windows_of},
};
use crate::{Error, Notice, Observer};

/// The windows to request of newly listed symbols of subscriptions. Whatever the windows of a subscription are, its
/// history extends to this day, so that every symbol that was listed since their first day is included.
///
/// # Errors
/// If a subscription's windows cannot be read: another program has written them.
pub fn newly_listed<S: BuildHasher>(
    orders: &[Subscription],
    universe: &Universe,
    stored: &HashSet<Symbol, S>,
    last_day: Date,
) -> Result<Vec<(Symbol, Window)>, ManifestError> {
    let mut joining: Vec<(Symbol, Window)> = Vec::new();
    for order in orders {
        let first_day = windows_of(order)?.into_iter().map(Window::from).min();
        let window = first_day.and_then(|first_day| Window::new(first_day, last_day));
        // The symbols of an as-of day are settled; add only those that a later list shows to have been listed then.
        let filter = Filter { is_strict: true, ..filter_of(order) };
        let tasks = plan::windows_of(universe, &filter, window.as_slice());
        let new = tasks.into_iter().filter(|(symbol, _)| !stored.contains(symbol));
        let mut joined = HashMap::new();
        for (symbol, window) in &joining {
            joined.entry(symbol.clone()).or_insert_with(Vec::new).push(*window);
        }
        joining.extend(plan::missing_tasks(&new.collect::<Vec<_>>(), &joined));
    }
    Ok(joining)
}

/// Whether there is a subscription whose tasks were never planned.
///
/// # Errors
/// If the manifest cannot be read.
pub fn unplanned(writer: &ManifestWriter) -> Result<bool, ManifestError> {
    Ok(writer.subscriptions()?.iter().any(|order| order.planned_at_ms.is_none()))
}

/// Records the tasks of all subscriptions that were never planned. Returns how many are new, and what the lists leave out.
///
/// # Errors
/// If the manifest cannot be read or written.
pub fn plan_subscriptions(
    writer: &mut ManifestWriter,
    universe: &Universe,
    last_day: Date,
    observer: &dyn Observer,
) -> Result<(u64, LeftOut), ManifestError> {
    let (mut added, mut all) = (0, PlannedSubscriptions::default());
    for order in writer.subscriptions()?.iter().filter(|order| order.planned_at_ms.is_none()) {
        let planned = PlannedSubscriptions::of(order, universe, last_day)?;
        if planned.tasks.is_empty() {
            observer.notice(&nothing_matches(order, universe));
        }
        let tasks = plan::missing_tasks(&planned.tasks, &writer.windows()?);
        added += writer.add_tasks(&tasks)?.added;
        all.add(planned);
    }
    writer.subscriptions_planned()?;
    observer.notice(&Notice::LeftOut(Box::new(all.left_out.clone())));
    Ok((added, all.left_out))
}

/// The notice that nothing in a list matches, with the list's types and exchanges: one may be misspelt.
fn nothing_matches(subscription: &Subscription, universe: &Universe) -> Notice {
    let codes = |requested: &[String], code: fn(&Listing) -> &Option<String>| {
        let codes = universe.periods().filter_map(|(period, _)| code(&period.listing).clone());
        if requested.is_empty() { Vec::new() } else { Vec::from_iter(codes.collect::<BTreeSet<_>>()) }
    };
    Notice::NothingMatches {
        types: codes(&subscription.types, |listing| &listing.kind),
        exchanges: codes(&subscription.exchanges, |listing| &listing.exchange),
        subscription: Box::new(subscription.clone()),
    }
}

/// The stored universe.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn stored_universe(data_dir: &DataDir) -> Result<Universe, Error> {
    let missing = || {
        Error::Usage(
            "no universe is stored here yet, so it is not known which symbols there are: `grab universe sync` fetches it"
                .to_owned(),
        )
    };
    match reference::read_universe(data_dir) {
        Err(error @ StoreError::Reference { .. }) => Err(Error::Damaged(error)),
        universe => universe?.ok_or_else(missing),
    }
}

/// The stored universe. None if it is missing or damaged: the next sync rebuilds a damaged one and says so.
///
/// # Errors
/// If its file cannot be opened.
pub fn usable_universe(data_dir: &DataDir) -> Result<Option<Universe>, Error> {
    match reference::read_universe(data_dir) {
        Err(StoreError::Reference { .. }) => Ok(None),
        universe => Ok(universe?),
    }
}

/// Whether there is a stored universe that is not damaged.
///
/// # Errors
/// If its file cannot be opened.
pub fn has_universe(data_dir: &DataDir, observer: &dyn Observer) -> Result<bool, Error> {
    match reference::read_universe(data_dir) {
        Err(error @ StoreError::Reference { .. }) => {
            observer.notice(&Notice::TableDamaged(error.to_string()));
            Ok(false)
        }
        universe => Ok(universe?.is_some()),
    }
}
