//! The pure part of grab: symbols, windows, months, bars, page cursors, rates and the API key as types; the exchange's
//! [`calendar`], the [`universe`] of listed securities, the [`plan`] that a user's request becomes, and what splits do to bars
//! ([`adjust`]).
//!
//! Nothing here does I/O, reads a clock or awaits.

pub mod adjust;
mod api_key;
mod bars;
pub mod calendar;
mod corporate_action;
mod cursor;
mod day_bar;
mod excerpt;
pub mod format;
mod history_start;
mod invalid_bar;
mod listing;
mod lossy;
mod month;
mod nearest;
pub mod new_york;
mod partition;
pub mod plan;
mod rate;
mod revision;
mod serde_date;
mod sparse_column;
mod spelling;
mod symbol;
pub mod universe;
mod window;

pub use api_key::ApiKey;
pub use bars::{Bar, Bars};
pub use corporate_action::{Rename, Split};
pub use cursor::{Cursor, CursorError};
pub use day_bar::DayBar;
pub use excerpt::excerpt;
pub use history_start::HistoryStart;
pub use invalid_bar::{BarFault, InvalidBar};
pub use listing::{Listing, ListingPeriod};
pub use lossy::{LossyText, lossy};
pub use month::Month;
pub use nearest::nearest;
pub use partition::Partition;
pub use rate::{Rate, RateError};
pub use revision::Revision;
pub use sparse_column::SparseColumn;
pub use spelling::{spellings, without_punctuation};
pub use symbol::{Symbol, SymbolError};
pub use window::Window;
