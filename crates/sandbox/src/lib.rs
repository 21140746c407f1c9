//! A server on loopback that speaks the vendor's API: to try everything without a key and without a network.
//!
//! # Flow
//! `server` reads a request, `plan` with its `limiter` lets it in or turns it away, and `api` leads it to an endpoint
//! as a `call`, if the plan has the endpoint's `family`.
//! The endpoints are `aggs` (bars of a range, of a day, of the whole market), `tickers`, `events`, `splits` and `status`.
//! They ask a `market` for bars and listings, and answer with `wire`'s JSON, or with a `refusal`. `server` packs and sends
//! what comes of it. A `fault` breaks some answers on purpose; `defects` are what is always wrong with reference data.
//!
//! # Markets
//! `generated` makes bars out of a seed: any minute of any company of the `universe`, at once and the same for ever,
//! without the minutes before it. `recorded` serves bars from a folder of CSV files as they are.
//!
//! # Fidelity
//! What is known of the service stands in polygon-api.md, and the sandbox keeps to it to the letter: the order of
//! keys, Go's numbers, the grammar of cursors, the texts of errors, bounds that snap and are inside. The vendor's own
//! Python clients work against it. Where nothing is known, the choice that was made is named at its place, or left to
//! [`SandboxOptions`].
//!
//! # Time
//! The clock is an argument, and nothing of the future is served: bars end with the last session that is finished.
//! `evolution` makes the newest sessions settle, lag and have holes, if that is asked for.

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
    ClockFn, RateLimit, RateWindow, ReferenceQuality, SandboxError, SandboxOptions, TooManyBody,
};
pub use server::Sandbox;
