//! Turns a user's request into tasks. No I/O and no clock: texts and instants come in, values go out.

mod check;
mod entitlement;
mod estimate;
mod expand;
mod listing_cuts;
mod spec;
mod tasks_file;
mod tickers;
mod toml_line;
mod universe;
mod windows;

pub use check::{SpecProblem, problems};
pub use entitlement::{sessions_in, within_history};
pub use estimate::{Estimate, EstimateRange};
pub use expand::{missing_tasks, missing_windows};
pub use listing_cuts::{ListingCut, cut, cut_by_day};
pub use spec::{Spec, SpecError, SpecThresholds, toml_error};
pub use tasks_file::{TasksFileError, read_tasks_file};
pub use tickers::{TickersError, read_tickers_file, read_tickers_list};
pub use universe::{KeyProblem, SpecUniverse, UniverseList, windows_of};
pub use windows::{WindowsError, clip, read_windows};
