//! What can go wrong with a request, and what to do about it.

use std::time::Duration;

use grab_model::{CursorError, InvalidBar, Symbol};
use jiff::civil::Date;
use thiserror::Error;

use super::BarsPage;
use crate::decode::DecodeError;

/// Phrases of a refusal because of the requested days, in lower case. The first is the recorded one (polygon-api.md §1,
/// Errors); the others are included because the service has reworded its messages before.
const ABOUT_TIME: [&str; 4] = ["timeframe", "time frame", "time range", "histor"];

/// Whether a refusal is because of the requested days, by its message.
fn is_about_time(words: Option<&str>) -> bool {
    let lower = words.unwrap_or_default().to_lowercase();
    ABOUT_TIME.iter().any(|phrase| lower.contains(phrase))
}

/// Why there is no page. The text never holds a key: URLs are shown without their query.
#[derive(Debug, Error)]
pub enum FetchError {
    /// No connection: name lookup, refused, TLS, proxy.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host.
        host: String,
        /// The HTTP client's error.
        source: reqwest::Error,
    },
    /// 407: a proxy requires credentials. The service never sends this.
    #[error("HTTP 407: the proxy asks for a user and a password{}", quoted(words.as_ref()))]
    ProxyRefused {
        /// The proxy's message.
        words: Option<String>,
    },
    /// The request was sent, and no response began.
    #[error("no answer came")]
    NoAnswer(#[source] reqwest::Error),
    /// The connection broke, stalled, or ended before the response was complete.
    #[error("the answer broke off")]
    Transport(#[source] reqwest::Error),
    /// 429.
    #[error("HTTP 429: too many requests{}", quoted(words.as_ref()))]
    TooManyRequests {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The server's message.
        words: Option<String>,
    },
    /// A status that may be temporary: 408, 425, 5xx, and every other one that is not a refusal.
    #[error("HTTP {status}{}", quoted(words.as_ref()))]
    Status {
        /// The status.
        status: u16,
        /// The server's message.
        words: Option<String>,
    },
    /// 400 or another 4xx, although the request is well-formed. Some were seen to go away after hours, others to stay.
    #[error("HTTP {status}{}", quoted(words.as_ref()))]
    BadRequest {
        /// The status.
        status: u16,
        /// The server's message.
        words: Option<String>,
    },
    /// 401.
    #[error("HTTP 401: the key is refused{}", quoted(words.as_ref()))]
    KeyRefused {
        /// The server's message.
        words: Option<String>,
    },
    /// 403, or `NOT_AUTHORIZED` in a 200.
    #[error("the plan does not include this{}", quoted(words.as_ref()))]
    NotEntitled {
        /// The server's message.
        words: Option<String>,
    },
    /// 403 or `NOT_AUTHORIZED` because of the requested days, by its message: some other days may be in the plan.
    #[error("the plan does not include this{}", quoted(words.as_ref()))]
    Timeframe {
        /// The server's message.
        words: Option<String>,
    },
    /// 403 for a day whose bars the plan includes, but not before the day is over.
    #[error("not before the end of the day{}", quoted(words.as_ref()))]
    NotYet {
        /// The server's message.
        words: Option<String>,
    },
    /// A 404 that is not one of the service's own responses: the address has no such route.
    #[error("HTTP 404: there is no such route{}", quoted(words.as_ref()))]
    UnknownRoute {
        /// The server's message.
        words: Option<String>,
    },
    /// A redirect. It is not followed: the key is sent to no other host.
    #[error("HTTP {status}: redirected{}", to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default())]
    Redirected {
        /// The status.
        status: u16,
        /// The target, without a query.
        to: Option<String>,
    },
    /// 404 in the service's own form.
    #[error("HTTP 404: not found{}", quoted(words.as_ref()))]
    NotFound {
        /// The server's message.
        words: Option<String>,
    },
    /// A body that cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Some of its bars have impossible values.
    #[error("{} of {} bars cannot be right: {}", .0.bad.len(), .0.bad.len() + .0.good.bars.len(), .0.bad[0])]
    BadBars(Box<InvalidBarsPage>),
    /// The response does not fit the request.
    #[error("the response contradicts the request: {0}")]
    Contradiction(#[from] ResponseMismatch),
}

/// A page with impossible bars.
#[derive(Clone, Debug)]
pub struct InvalidBarsPage {
    /// The page without them.
    pub good: BarsPage,
    /// The impossible bars, at least one.
    pub bad: Vec<InvalidBar>,
}

fn quoted(words: Option<&String>) -> String {
    words.map(|words| format!(": {words}")).unwrap_or_default()
}

/// How a response can differ from its request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResponseMismatch {
    /// It is about another symbol, or does not name one.
    #[error("requested {requested}, received {}", answered.as_deref().unwrap_or("no ticker"))]
    Ticker {
        /// The requested symbol.
        requested: Symbol,
        /// The symbol in the response.
        answered: Option<String>,
    },
    /// It is about another day.
    #[error("requested {requested}, received bars of {}", answered.map_or("no day".to_owned(), |day| day.to_string()))]
    Day {
        /// The requested day.
        requested: Date,
        /// The day in the response.
        answered: Option<Date>,
    },
    /// Its prices are of the other kind, or it does not say which kind.
    #[error("requested adjusted={requested}, received {}", answered.map_or("none".to_owned(), |yes| yes.to_string()))]
    Adjusted {
        /// The requested kind.
        requested: bool,
        /// The kind in the response.
        answered: Option<bool>,
    },
    /// Its number of bars is not the one that it states.
    #[error("the page states resultsCount {counted} and has {found} bars")]
    Count {
        /// The stated number.
        counted: u64,
        /// The counted number.
        found: u64,
    },
    /// A 200 whose `status` is neither `OK` nor `DELAYED`.
    #[error("HTTP 200 with status {status:?}{}", quoted(words.as_ref()))]
    Status {
        /// The envelope's status.
        status: Option<String>,
        /// The server's message.
        words: Option<String>,
    },
    /// The next page cannot be followed.
    #[error(transparent)]
    Next(#[from] CursorError),
    /// The next page was requested before: following it would never end.
    #[error("next_url {0} was followed before")]
    Repeated(String),
    /// Page after page has no bar and names another one.
    #[error("{pages} pages in a row have no new bar, and each names a next page")]
    Endless {
        /// How many pages.
        pages: u32,
    },
    /// A list that is too long.
    #[error("the list has {pages} pages, and names a next page")]
    TooLong {
        /// How many pages.
        pages: u32,
    },
    /// An encoding that was not requested.
    #[error("the body has the unknown encoding {0:?}")]
    Encoding(String),
}

/// What to do about an error. This is the table of DESIGN.md, complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Send the request again after a pause, as often as attempts and time allow.
    Retry,
    /// As [`Disposition::Retry`], but first find out whether every request fails like this. A redirect before any
    /// successful response means that this is not the service at all.
    Unwell(OutageSymptom),
    /// Send the request again, but twice at most: a well-formed request that is refused rarely succeeds later.
    RetryTwice,
    /// All requests wait: the server says that this client sends too many.
    SlowDown {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// All requests wait: there is no connection. No task is at fault.
    Outage,
    /// The key is refused: for everything, unless other requests succeed.
    KeyRefused,
    /// The cursor does not keep the request's parameters: continue by time, after the last bar.
    CursorForgets,
    /// This window is not in the plan yet: request it again in a later run.
    NotYet,
    /// This is not in the plan.
    NotEntitled,
    /// Days of this window are not in the plan: find out where the plan's history begins.
    Timeframe,
    /// The symbol does not exist.
    NotFound,
    /// The symbol does not exist; or, before any successful response, this is not the service at all.
    UnknownRoute,
}

/// How an outage of the source shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageSymptom {
    /// No connection.
    Connection,
    /// A connection without a response, or with an incomplete one.
    Silence,
    /// A status such as 500.
    Status,
    /// A response that cannot be read.
    Garbage,
    /// 429.
    TooMany,
    /// A redirect.
    Redirect,
}

impl Disposition {
    /// Whether a response with this disposition may come from a proxy, or from a source in trouble that refuses
    /// everything so.
    #[must_use]
    pub fn may_be_foreign(self) -> bool {
        matches!(self, Self::UnknownRoute | Self::RetryTwice)
    }
}

impl FetchError {
    /// How the error shows an outage of the source. None if it does not.
    #[must_use]
    pub fn symptom(&self) -> Option<OutageSymptom> {
        match self.disposition() {
            Disposition::Outage => Some(OutageSymptom::Connection),
            Disposition::SlowDown { .. } => Some(OutageSymptom::TooMany),
            Disposition::Unwell(symptom) => Some(symptom),
            Disposition::Retry
            | Disposition::RetryTwice
            | Disposition::CursorForgets
            | Disposition::KeyRefused
            | Disposition::NotYet
            | Disposition::NotEntitled
            | Disposition::Timeframe
            | Disposition::NotFound
            | Disposition::UnknownRoute => None,
        }
    }

    /// What to do about the error.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Connect { .. } | Self::ProxyRefused { .. } => Disposition::Outage,
            Self::Contradiction(ResponseMismatch::Adjusted { .. }) => Disposition::CursorForgets,
            Self::NoAnswer(_) | Self::Transport(_) => Disposition::Unwell(OutageSymptom::Silence),
            Self::Status { .. } => Disposition::Unwell(OutageSymptom::Status),
            Self::Decode(_) => Disposition::Unwell(OutageSymptom::Garbage),
            Self::Redirected { .. } => Disposition::Unwell(OutageSymptom::Redirect),
            Self::BadBars(_) | Self::Contradiction(_) => Disposition::Retry,
            Self::TooManyRequests { retry_after, .. } => Disposition::SlowDown { retry_after: *retry_after },
            Self::BadRequest { .. } => Disposition::RetryTwice,
            Self::KeyRefused { .. } => Disposition::KeyRefused,
            Self::NotYet { .. } => Disposition::NotYet,
            Self::NotEntitled { .. } => Disposition::NotEntitled,
            Self::Timeframe { .. } => Disposition::Timeframe,
            Self::NotFound { .. } => Disposition::NotFound,
            Self::UnknownRoute { .. } => Disposition::UnknownRoute,
        }
    }

    /// A refusal by the plan: because of this symbol or product, or, by its message, because of these days.
    pub(super) fn not_entitled(words: Option<String>) -> Self {
        if is_about_time(words.as_deref()) { Self::Timeframe { words } } else { Self::NotEntitled { words } }
    }

    /// A refusal of the key, or, by its message, of the requested days.
    pub(super) fn unauthorized(words: Option<String>) -> Self {
        if is_about_time(words.as_deref()) { Self::Timeframe { words } } else { Self::KeyRefused { words } }
    }

    /// The server's message, if the plan is the reason of the refusal.
    #[must_use]
    pub fn plan_words(&self) -> Option<&str> {
        match self {
            Self::NotEntitled { words } | Self::Timeframe { words } | Self::NotYet { words } => {
                words.as_deref()
            }
            Self::Connect { .. }
            | Self::ProxyRefused { .. }
            | Self::NoAnswer(_)
            | Self::Transport(_)
            | Self::TooManyRequests { .. }
            | Self::Status { .. }
            | Self::BadRequest { .. }
            | Self::KeyRefused { .. }
            | Self::UnknownRoute { .. }
            | Self::Redirected { .. }
            | Self::NotFound { .. }
            | Self::Decode(_)
            | Self::BadBars(_)
            | Self::Contradiction(_) => None,
        }
    }

    /// The error with all its causes in one line, for the manifest and the report.
    #[must_use]
    pub fn error_chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let part = error.to_string();
            if !text.contains(&part) {
                text = format!("{text}: {part}");
            }
            source = error.source();
        }
        text
    }
}
