//! From what a user asks for to tasks. No I/O and no clock: texts and instants come in, values go out.

mod check;
mod cut;
mod estimate;
mod expand;
mod history;
mod place;
mod spec;
mod tasks_file;
mod tickers;
mod universe;
mod windows;

pub use check::{Problem, problems};
pub use cut::{Cut, cut, cut_by_day};
pub use estimate::{Estimate, Range};
pub use expand::{missing, missing_tasks};
pub use history::{sessions_in, within_history};
pub use spec::{Spec, SpecError, Verify, toml_error};
pub use tasks_file::{TasksFileError, read_tasks_file};
pub use tickers::{TickersError, read_tickers_file, read_tickers_list};
pub use universe::{List, Universe, Wrong, windows_of};
pub use windows::{WindowsError, clip, read_windows};
