//! Reference lists: from lists and universe to tasks, and from pages in the manifest to tables.

mod fetching;
mod listing_cuts;
mod planned;
mod subscriptions;
mod tables;

pub use fetching::{
    ListDates, MissingList, ReferenceFetch, ReferenceReport, ReferenceSelection, Renames, list_dates_left,
};
pub use listing_cuts::listing_cuts;
pub use planned::{CutByLists, CutWindow, LeftOut, PlannedSubscriptions};
pub use subscriptions::{
    filter_of, has_universe, newly_listed, plan_subscriptions, stored_universe, unplanned, usable_universe,
    windows_of,
};
pub use tables::{AnnotationReport, LookupsReport, SplitsReport, TableSync, TickersReport, listing_periods};
