//! Who was listed when: the lives of securities under their tickers. Pure: nothing is read or written here.
//!
//! A sync brings rows, and [`merge()`] unites them with the lives that are known. Nothing is ever taken out: a list that lacks
//! a third of its rows for a day takes nobody's life. [`Universe`] answers who lived when, and [`Filter`] who is meant.

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
