//! From what a user asks for to tasks. No I/O and no clock: texts and instants come in, values go out.

mod estimate;
mod expand;
mod spec;
mod tasks_file;
mod tickers;
mod windows;

pub use estimate::{Estimate, Range};
pub use expand::{missing, missing_tasks};
pub use spec::{Spec, SpecError, Verify, toml_error};
pub use tasks_file::{TasksFileError, read_tasks_file};
pub use tickers::{TickersError, read_tickers_file, read_tickers_list};
pub use windows::{WindowsError, clip, read_windows};
