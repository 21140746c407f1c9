//! The only module that reads the system's clock: all others get a [`Clock`] as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The current time: the system's, or a simulated one that runs on from the instant in `GRAB_NOW`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Added to the system's time, in ms.
    ahead_ms: i64,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that shows `at` now and runs on from there.
    #[must_use]
    pub fn starting_at(at: Timestamp) -> Self {
        Self { ahead_ms: at.as_millisecond() - Self::system().now_ms() }
    }

    /// Whether it shows another time than the system's.
    #[must_use]
    pub fn is_simulated(self) -> bool {
        self.ahead_ms != 0
    }

    /// Now, in UTC ms since the epoch.
    #[must_use]
    pub fn now_ms(self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(self.ahead_ms)
    }
}
