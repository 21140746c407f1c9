//! The sources of settings over what a data directory has saved of its start.

use grab_core::data_dir::DataDir;
use grab_model::excerpt;
use grab_ops::SavedStart;

use super::{output::say, settings::Sources};

/// How much of a path or of a fault in its spec is shown, in characters.
const SHOWN: usize = 300;

/// Reads what is saved, and reports what cannot be read.
#[must_use]
pub fn read(data_dir: &DataDir) -> SavedStart {
    let saved = SavedStart::read(data_dir);
    if let Some(error) = &saved.settings_fault {
        say(&format!("note: {}", error.chain()));
    }
    if let Some(why) = &saved.spec_fault {
        let why = excerpt(why, SHOWN);
        say(&format!("note: the saved spec is not used: `grab start` with --spec replaces it ({why})"));
    }
    saved
}

/// The sources with what the directory has saved: the settings, and below them the pace of the spec.
#[must_use]
pub fn over<'a>(data_dir: &DataDir, sources: &Sources<'a>) -> Sources<'a> {
    sources.clone().with_saved(&read(data_dir))
}
