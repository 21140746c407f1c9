//! Decodes response bodies to bars. No I/O: bytes in, values or errors out.
//!
//! [`inflate`] undoes the transfer's gzip within a bound; [`Envelope`] reads the JSON of a page straight into columns
//! (by a scanner for just this form; serde reads whatever is unusual), [`MarketEnvelope`] that of the whole market's
//! day into one row for each symbol, [`DecodedList`] those of reference lists. None of them checks whether the response
//! fits the request: the caller does.

mod digits;
mod envelope;
mod gzip;
mod holidays;
mod json_object;
mod loose_integer;
mod market_day;
mod reference_rows;
mod scan;

pub use envelope::{DecodeResults, DecodeRows, Envelope, ResponseBody};
pub use gzip::{inflate, recycle};
pub use holidays::read_closed_days;
pub use market_day::{MarketDayBars, MarketEnvelope};
pub use reference_rows::{DecodedList, JsonFields, ReferenceRow, SingleObject};

use thiserror::Error;

/// Why a response cannot be read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The gzip stream is damaged or ends too early.
    #[error("the gzip body is damaged or cut off")]
    Gzip(#[source] std::io::Error),
    /// It is larger than any page can be.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Not JSON, or not of the documented shape.
    #[error("the body is not the documented JSON; it begins with {begins:?}: {reason}")]
    Json {
        /// Its first characters.
        begins: String,
        /// The parser's message, with the position. Its own text repeats whole values: this one is short.
        reason: String,
    },
}
