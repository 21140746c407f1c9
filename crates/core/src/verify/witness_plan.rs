//! Which sessions need a witness, and which need it most.

use jiff::civil::Date;

use super::{
    ListingCuts, SessionStatus, VerifyError, manifest_only::by_manifest, sessions::RequestedSessions,
};
use crate::data_dir::DataDir;

/// The sessions of all windows up to `until`, and of the windows that lists have cut away. First those on which some
/// symbol has no bar between its others, then those on which some symbol has no bar at all; within each group the
/// latest first. Uses the manifest alone: reads no file.
///
/// # Errors
/// If the manifest cannot be read.
pub fn wanted(data_dir: &DataDir, until: Date, cut_away: &ListingCuts) -> Result<Vec<Date>, VerifyError> {
    let reader = data_dir.open_read()?;
    let windows: Vec<_> = reader.windows()?.into_values().flatten().chain(cut_away.windows()).collect();
    let sessions = RequestedSessions::spanned(windows.iter().copied()).without(&reader.closures()?);
    let mut ranks: Vec<(Rank, Date)> =
        sessions.dates().iter().map(|date| (Rank::NothingAbsent, *date)).collect();
    let universe = super::universe(data_dir);
    for symbol in reader.symbols()? {
        let explained = by_manifest(&reader, &symbol, &sessions, universe.as_ref())?;
        for ((rank, _), day) in ranks.iter_mut().zip(explained.days) {
            *rank = (*rank).min(Rank::of(day));
        }
    }
    // No task explains these days, so a witness is the only evidence about them.
    for index in cut_away.windows().flat_map(|window| sessions.within(window)) {
        if let Some((rank, _)) = ranks.get_mut(index) {
            *rank = (*rank).min(Rank::Empty);
        }
    }
    let requested = super::sessions::requested(&windows);
    ranks.retain(|(_, date)| *date <= until && requested.binary_search(date).is_ok());
    ranks.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    Ok(ranks.into_iter().map(|(_, date)| date).collect())
}

/// How much a witness for a session would explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Missing,
    Empty,
    NothingAbsent,
}

impl Rank {
    fn of(day: SessionStatus) -> Self {
        match day {
            SessionStatus::Missing => Self::Missing,
            SessionStatus::Empty | SessionStatus::AskedAgain | SessionStatus::Withheld => Self::Empty,
            SessionStatus::NotAsked
            | SessionStatus::NotFound
            | SessionStatus::NotEntitled
            | SessionStatus::Failed
            | SessionStatus::Pending
            | SessionStatus::NoTrade
            | SessionStatus::Lost
            | SessionStatus::Thin
            | SessionStatus::Present
            | SessionStatus::NotListed
            | SessionStatus::CutAway
            | SessionStatus::BeforeHistory => Self::NothingAbsent,
        }
    }
}
