//! What a command reports.

use grab_core::exit::ExitStatus;
use serde::Serialize;

use super::text::Text;

/// What a command reports: an object of JSON, or text.
pub trait Report: Serialize {
    /// How the command ends.
    fn exit(&self) -> ExitStatus {
        ExitStatus::Complete
    }

    /// The report for people.
    fn text(&self) -> Text;
}
