//! Reference lists: from lists and universe to tasks, and from pages in the manifest to tables.

mod fetching;
mod listing_cuts;
mod planned;
mod selection;
mod subscription_scope;
mod subscriptions;
mod tables;

pub use fetching::{MissingList, ReferenceFetch, ReferenceReport, list_dates_left};
pub use listing_cuts::listing_cuts;
pub use planned::{CutByLists, CutWindow, LeftOut, PlannedSubscriptions};
pub use selection::{ListDates, ReferenceSelection, Renames};
pub use subscription_scope::{filter_of, windows_of};
pub use subscriptions::{
    has_universe, newly_listed, plan_subscriptions, stored_universe, unplanned, usable_universe,
};
pub use tables::{AnnotationReport, LookupsReport, SplitsReport, TableSync, TickersReport, listing_periods};
