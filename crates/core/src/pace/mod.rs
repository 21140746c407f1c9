//! When a request may leave, and when a failed one is asked again.

mod pacer;
mod retry;

pub use pacer::{LONGEST_PAUSE, LearnedPace, Pace, Pacer, Permit};
pub use retry::{RetryPolicy, backoff};
