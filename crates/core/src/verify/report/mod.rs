//! Results for people and other programs: a page for a browser, and tables. Returns bytes; writes nothing.

mod csv;
mod data;
mod html;
mod states;

pub use csv::{findings_csv, missing_csv};
pub use html::page;

use std::io;

use thiserror::Error;

/// Where a page comes from.
#[derive(Clone, Debug, Default)]
pub struct ReportOrigin {
    /// When it was made, RFC 3339 in UTC.
    pub made: String,
    /// The version of the program.
    pub version: String,
    /// The kind of bars in the data directory, such as "as traded".
    pub holds: String,
}

/// Why a page cannot be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The findings cannot be written as JSON.
    #[error("the report's findings cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// The data cannot be compressed.
    #[error("the report's data cannot be compressed")]
    Compress(#[from] io::Error),
}
