//! The words of the domain as types: symbols, windows, months, bars, cursors, rates, the key.
//!
//! Nothing here does I/O, reads a clock or awaits. Every other module may import this one; it imports none.

mod api_key;
mod bad_bar;
mod bars;
mod corporate_action;
mod cursor;
mod day_bar;
mod excerpt;
mod history_edge;
mod json_day;
mod likely;
mod listing;
mod lossy;
mod month;
pub mod new_york;
mod partition;
mod rate;
mod revision;
mod sparse;
mod symbol;
mod window;

pub use api_key::ApiKey;
pub use bad_bar::{BadBar, BarFault};
pub use bars::{Bar, Bars};
pub use corporate_action::{Rename, Split};
pub use cursor::{Cursor, CursorError};
pub use day_bar::DayBar;
pub use excerpt::excerpt;
pub use history_edge::HistoryEdge;
pub use likely::{likely, squeezed};
pub use listing::{Life, Listing};
pub use lossy::{Lossy, lossy};
pub use month::Month;
pub use partition::Partition;
pub use rate::{Rate, RateError};
pub use revision::Revision;
pub use sparse::Sparse;
pub use symbol::{Symbol, SymbolError};
pub use window::Window;
