//! Request rates as users write them.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use thiserror::Error;

/// How many requests may be sent in a period: `5/min`, `100/s`, `2/s`, `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// No limit.
    Unlimited,
    /// At most `requests` in any sliding period.
    Limited {
        /// How many.
        requests: NonZeroU32,
        /// The period: a second, a minute or an hour.
        period: Duration,
    },
}

/// Why a text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a rate: write 5/min, 100/s, 600/h or none")]
pub struct RateError(String);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl Rate {
    /// The rate of `requests` a minute: how the vendor's free plan is limited.
    #[must_use]
    pub fn per_minute(requests: NonZeroU32) -> Self {
        Self::Limited { requests, period: MINUTE }
    }

    /// The period of the limit. None if there is no limit.
    #[must_use]
    pub fn period(self) -> Option<Duration> {
        match self {
            Self::Unlimited => None,
            Self::Limited { period, .. } => Some(period),
        }
    }

    /// Requests per second on average. None if there is no limit.
    #[must_use]
    pub fn per_second(self) -> Option<f64> {
        match self {
            Self::Unlimited => None,
            Self::Limited { requests, period } => Some(f64::from(requests.get()) / period.as_secs_f64()),
        }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let error = || RateError(text.to_owned());
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let (requests, unit) = text.split_once('/').ok_or_else(error)?;
        let period = match unit.trim() {
            "s" | "sec" | "second" => SECOND,
            "m" | "min" | "minute" => MINUTE,
            "h" | "hour" => HOUR,
            _ => return Err(error()),
        };
        let requests = requests.trim().parse().map_err(|_| error())?;
        Ok(Self::Limited { requests, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("none"),
            Self::Limited { requests, period } => {
                let unit = match *period {
                    SECOND => "s",
                    MINUTE => "min",
                    _ => "h",
                };
                write!(f, "{requests}/{unit}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["5/min", "100/s", "600/h", "none"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("5/minute".parse::<Rate>().unwrap().to_string(), "5/min");
    }

    #[test]
    fn nonsense_is_refused_with_the_accepted_forms() {
        for text in ["", "5", "0/s", "-1/s", "5/day", "1.5/s", "fast", "99999999999/s"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains("5/min"), "{error}");
        }
    }
}
