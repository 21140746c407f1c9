//! Refusals: each with its HTTP status and its text.

use hyper::StatusCode;
use serde::Serialize;
use thiserror::Error;

use super::{content::AnswerContent, options::TooManyBody, wire};

/// Why a request is refused. The texts are the recorded ones, except for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// Neither a header nor a parameter carried a key.
    #[error("API Key was not provided")]
    NoKey,
    /// The key is not the one that the sandbox was started with.
    #[error("Unknown API Key")]
    UnknownKey,
    /// One request more than the plan allows in a minute.
    #[error(
        "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. \
         https://polygon.io/pricing"
    )]
    TooManyRequests { body: TooManyBody, retry_after: Option<u64> },
    /// The plan does not include the endpoint.
    #[error("You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing")]
    NotEntitled,
    /// The request is for days before the plan's history begins.
    #[error(
        "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"
    )]
    Timeframe,
    /// No such path.
    #[error("404 page not found")]
    UnknownRoute,
    /// The ticker is not active on the requested day.
    #[error("Ticker not found.")]
    TickerNotFound,
    /// `from`, `to` or a date is neither a day nor an instant.
    #[error("Could not parse the time parameter: '{0}'. Use YYYY-MM-DD or Unix MS Timestamps")]
    UnreadableTime(&'static str),
    /// `to` is before `from`.
    #[error("The parameter 'to' cannot be a time that occurs before 'from'")]
    ToBeforeFrom,
    /// Any other parameter that cannot be understood.
    #[error("Could not parse the parameter: '{0}'")]
    UnreadableParameter(&'static str),
    /// Bars that the service has and the sandbox does not.
    #[error("The sandbox makes bars of 1 to 1440 minutes, of 1 to 24 hours and of 1 day")]
    UnsupportedBar,
}

/// The envelope of an error.
#[derive(Serialize)]
struct RefusalBody<'a> {
    status: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoKey | Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotEntitled | Self::Timeframe => StatusCode::FORBIDDEN,
            Self::UnknownRoute | Self::TickerNotFound => StatusCode::NOT_FOUND,
            Self::UnreadableTime(_)
            | Self::ToBeforeFrom
            | Self::UnreadableParameter(_)
            | Self::UnsupportedBar => StatusCode::BAD_REQUEST,
        }
    }

    /// The seconds of a `Retry-After`, if it has one.
    pub fn retry_after(self) -> Option<u64> {
        if let Self::TooManyRequests { retry_after, .. } = self { retry_after } else { None }
    }

    /// The body, mostly JSON.
    pub fn content(self, request_id: &str) -> AnswerContent {
        if self == Self::UnknownRoute {
            AnswerContent::Text(self.to_string())
        } else if matches!(self, Self::TooManyRequests { body: TooManyBody::Empty, .. }) {
            AnswerContent::Nothing
        } else {
            AnswerContent::Json(self.json(request_id))
        }
    }

    /// The JSON body. The text is in `message` for 403 and 404, and in `error` for all others.
    fn json(self, request_id: &str) -> Vec<u8> {
        let text = self.to_string();
        let (status, error, message) = match self.status() {
            StatusCode::FORBIDDEN => ("NOT_AUTHORIZED", None, Some(&*text)),
            StatusCode::NOT_FOUND => ("NOT_FOUND", None, Some(&*text)),
            _ => ("ERROR", Some(&*text), None),
        };
        wire::to_json(&RefusalBody { status, request_id, error, message })
    }
}
