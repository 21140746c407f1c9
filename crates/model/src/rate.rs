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

fn unit(period: Duration) -> &'static str {
    match period {
        SECOND => "s",
        MINUTE => "min",
        _ => "h",
    }
}

impl Rate {
    /// A number of requests a minute in the unit of this rate, with one decimal: `20.7/s` with a limit of `30/s`.
    #[must_use]
    pub fn in_its_unit(self, per_minute: f64) -> String {
        let period = self.period().unwrap_or(MINUTE);
        let per_period = per_minute * period.as_secs_f64() / MINUTE.as_secs_f64();
        format!("{}/{}", (per_period * 10.0).round() / 10.0, unit(period))
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
                write!(f, "{requests}/{}", unit(*period))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_told_in_the_unit_of_its_limit() {
        let told = |rate: &str, per_minute| rate.parse::<Rate>().unwrap().in_its_unit(per_minute);
        assert_eq!(told("30/s", 1244.0), "20.7/s");
        assert_eq!(told("5/min", 2.5), "2.5/min");
        assert_eq!(told("600/h", 5.0), "300/h");
        assert_eq!(told("none", 1244.04), "1244/min");
    }

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
