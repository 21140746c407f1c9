//! The JSON of reports, as docs/json.md describes it. Names of fields are public.

#![expect(missing_docs, reason = "docs/json.md has each field")]

mod download;
mod repair;
mod run;
mod status;
mod universe_list;
mod update;
mod verify;

pub use download::DownloadPlanJson;
pub use repair::{DamagedPartitionJson, RebuildJson, RepairJson, RewriteJson};
pub use run::{RunJson, UnsuccessfulJson};
pub use status::{PlanHistoryJson, RunRow, SavedSettingsJson, SavedSpecJson, StatusJson, TaskJson};
pub use universe_list::{ListingPeriodJson, UniverseListJson};
pub use update::{
    ClosedDayJson, DelistedJson, LackingSessionJson, RequestedWindow, SilentSymbolJson, UpdateDryRunJson,
    UpdatePlanJson,
};
pub use verify::{CoverageJson, VerifyJson, WitnessJson};
