//! When a request may be sent, and when a failed one is sent again.

mod pacer;
mod retry;

pub use pacer::{LONGEST_PAUSE, LearnedPace, Pace, Pacer, Permit};
pub use retry::{RetryPolicy, backoff};
