//! Reference lists: from lists and universe to tasks, and from pages in the manifest to tables.

mod cut_away;
mod fetching;
mod orders;
mod planned;
mod tables;

pub use cut_away::listing_cuts;
pub use fetching::{
    ListDates, MissingList, Needs, ReferenceFetch, ReferenceReport, Renames, list_dates_left,
};
pub use orders::{
    filter_of, has_universe, newly_listed, plan_subscriptions, stored_universe, unplanned, usable_universe,
    windows_of,
};
pub use planned::{CutByLists, CutWindow, LeftOut, PlannedSubscriptions};
pub use tables::{AnnotationReport, LookupsReport, SplitsReport, TableSync, TickersReport, listing_periods};
