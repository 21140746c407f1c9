//! A server on loopback that implements the vendor's API: to try everything without a key and without a network.
//!
//! # Flow
//! `server` reads a request, `service_plan` with its `limiter` accepts or refuses it, and `api` routes it to an
//! endpoint as a `call`, if the plan has the endpoint's `endpoint_family`. The endpoints are `aggregates` (bars of a
//! range, of a day, of the whole market), `tickers`, `events`, `splits` and `status`. They read bars and listings from
//! a `market`, and return `wire`'s JSON or a `refusal`. `server` packs and sends the result. A `fault` breaks some
//! responses on purpose; `reference_defects` are permanent errors of the reference data.
//!
//! # Markets
//! `generated_market` makes bars from a seed: any minute of any company of the `universe`, at once and always the same,
//! without the minutes before it. `recorded_market` serves bars from a folder of CSV files as they are.
//!
//! # Fidelity
//! The known facts about the service are in polygon-api.md, and the sandbox follows them exactly: the order of keys,
//! Go's numbers, the grammar of cursors, the texts of errors, inclusive bounds that snap to bars. The vendor's own
//! Python clients work with it. Where a fact is not known, a comment names the choice that was made, or
//! [`SandboxOptions`] has a setting for it.
//!
//! # Time
//! The clock is an argument, and nothing of the future is served: bars end with the last session that is finished.
//! `evolution` makes the newest sessions settle, lag and have gaps, if the options request it.

mod aggregates;
mod aggregates_page;
mod api;
mod bar_size;
mod call;
mod content;
mod endpoint_family;
mod events;
mod evolution;
mod fault;
mod generated_market;
mod identity;
mod limiter;
mod made_up_stock;
mod market;
mod options;
mod paged_list;
mod params;
mod range;
mod recorded_market;
mod reference_defects;
mod refusal;
mod seed;
mod server;
mod service_plan;
mod splits;
mod status;
#[cfg(test)]
mod tests;
mod tickers;
mod timed_body;
mod universe;
mod wire;

pub use endpoint_family::EndpointFamily;
pub use evolution::Evolution;
pub use fault::{Fault, FaultOptions, WireFault, WrongAnswer, WrongBars};
pub use options::{
    ClockFn, PlanRateLimit, RateWindow, ReferenceQuality, SandboxError, SandboxOptions, TooManyBody,
};
pub use server::Sandbox;
