//! Who was listed when: the lives of securities under their tickers. Pure: nothing is read or written here.
//!
//! A sync brings rows, and [`merge()`] unites them with the lives that are known. Nothing is ever taken out: a list that lacks
//! a third of its rows for a day takes nobody's life. [`Universe`] answers who lived when, and [`Filter`] who is meant.

mod annotate;
mod company;
mod filter;
mod meant;
mod merge;
mod spans;
pub mod stretch;

pub use annotate::{AnnotateError, Annotation, annotate, read_annotations};
pub use company::Company;
pub use filter::{Dropped, Filter, UNKNOWN};
pub use merge::{Defects, Merged, merge};
pub use spans::{Around, Listed, Span, Universe};
pub use stretch::Stretch;
