//! Which securities were listed when: their listing periods under their tickers. Pure: nothing is read or written here.
//!
//! A sync fetches rows, and [`merge()`] unites them with the known listing periods. No period is ever removed: a list
//! that lacks a third of its rows for a day ends none. [`Universe`] says what was listed when, and [`Filter`] selects
//! from it.

mod annotate;
mod company;
mod filter;
mod listing_spans;
mod merge;
mod spelling;
pub mod symbol_history;

pub use annotate::{AnnotateError, Annotation, annotate, read_annotations};
pub use company::Company;
pub use filter::{DroppedByFilter, Filter, UNKNOWN};
pub use listing_spans::{ListedDays, ListingSpan, NearestListedDays, Universe};
pub use merge::{RowDefects, UniverseMerge, merge};
pub use symbol_history::SymbolSpan;
