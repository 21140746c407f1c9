//! What was found, for people and programs elsewhere: a page for a browser, and tables. Bytes come out; nothing is
//! written here.

mod csv;
mod data;
mod html;
mod states;

pub use csv::{findings_csv, missing_csv};
pub use html::page;

use std::io;

use thiserror::Error;

/// What a page says of its making.
#[derive(Clone, Debug, Default)]
pub struct ReportOrigin {
    /// When, RFC 3339 in UTC.
    pub made: String,
    /// The version of the program.
    pub version: String,
    /// What the data directory holds, such as "as traded".
    pub holds: String,
}

/// Why a page cannot be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// What was found cannot be written as JSON.
    #[error("the report's findings cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// The data cannot be compressed.
    #[error("the report's data cannot be compressed")]
    Compress(#[from] io::Error),
}
