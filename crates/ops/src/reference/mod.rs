//! Reference lists: from lists and universe to tasks, and from pages in the manifest to tables.

mod cut_away;
mod fetching;
mod orders;
mod planned;
mod tables;

pub use cut_away::cut_away;
pub use fetching::{Brought, Fetching, ListDates, Needs, Renames, Without, list_dates_left};
pub use orders::{filter_of, is_kept, joining, kept, known, plan_subscriptions, unplanned, windows_of};
pub use planned::{CutByLists, CutWindow, LeftOut, PlannedSubscriptions};
pub use tables::{Annotated, LookupsBrought, SplitsBrought, Sync, TickersBrought, lives};
