//! When a request may be sent, and when a failed one is sent again.
//!
//! The pace belongs to a service and a key: all processes of a user that use both share it through a file
//! ([`SharedPace`]), so that together they keep to the rate of one.

mod pacer;
mod rate_limit;
mod retry;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use pacer::{Pacer, Permit};
pub use retry::{RetryPolicy, backoff};
pub use shared::SharedPace;

/// The longest pause, with or without a `Retry-After`.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A pace below the configured one: the server has refused more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Requests a second.
    pub per_second: f64,
    /// The pace that was refused first, in requests a second.
    pub refused: f64,
}

/// The pace that an earlier run passes to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearnedPace {
    /// The pace, and how long ago it was measured.
    pub pace: Option<(Pace, Duration)>,
    /// How long ago the last request may have been sent.
    pub last_request: Option<Duration>,
}
