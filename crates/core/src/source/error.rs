//! What can go wrong with a request, and what is to be done about it.

use std::time::Duration;

use grab_model::{CursorError, InvalidBar, Symbol};
use jiff::civil::Date;
use thiserror::Error;

use super::BarsPage;
use crate::decode::DecodeError;

/// Phrases of a refusal that is about the time asked for, in lower case. The first is the recorded one (polygon-api.md §1,
/// Errors); the others are there because such texts were reworded before.
const ABOUT_TIME: [&str; 4] = ["timeframe", "time frame", "time range", "histor"];

/// Whether a refusal is about the time that was asked for, by its words.
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
        /// Where to.
        host: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
    /// 407: a proxy wants to know who asks. The service never says it.
    #[error("HTTP 407: the proxy asks for a user and a password{}", said(words.as_ref()))]
    ProxyRefused {
        /// What it said.
        words: Option<String>,
    },
    /// The request went out, and no answer began.
    #[error("no answer came")]
    NoAnswer(#[source] reqwest::Error),
    /// The connection broke, stalled, or ended before the answer did.
    #[error("the answer broke off")]
    Transport(#[source] reqwest::Error),
    /// 429.
    #[error("HTTP 429: too many requests{}", said(words.as_ref()))]
    TooManyRequests {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// What it said.
        words: Option<String>,
    },
    /// A status that may pass: 408, 425, 5xx, and whatever is no refusal.
    #[error("HTTP {status}{}", said(words.as_ref()))]
    Status {
        /// The status.
        status: u16,
        /// What the server said.
        words: Option<String>,
    },
    /// 400 or another 4xx, although the request is well-formed. It was seen to pass after hours, and to stay.
    #[error("HTTP {status}{}", said(words.as_ref()))]
    BadRequest {
        /// The status.
        status: u16,
        /// What the server said.
        words: Option<String>,
    },
    /// 401.
    #[error("HTTP 401: the key is refused{}", said(words.as_ref()))]
    KeyRefused {
        /// What the server said.
        words: Option<String>,
    },
    /// 403, or `NOT_AUTHORIZED` in a 200.
    #[error("the plan does not include this{}", said(words.as_ref()))]
    NotEntitled {
        /// What the server said.
        words: Option<String>,
    },
    /// The same, where the words are about the time that is asked for: some other days may be in the plan.
    #[error("the plan does not include this{}", said(words.as_ref()))]
    Timeframe {
        /// What the server said.
        words: Option<String>,
    },
    /// 403 for a day whose bars the plan includes, but not before the day is over.
    #[error("not before the end of the day{}", said(words.as_ref()))]
    NotYet {
        /// What the server said.
        words: Option<String>,
    },
    /// A 404 that does not come from the service's own answers: the address has no such route.
    #[error("HTTP 404: there is no such route{}", said(words.as_ref()))]
    UnknownRoute {
        /// What the server said.
        words: Option<String>,
    },
    /// A redirect. None is followed: the key goes to no other host.
    #[error("HTTP {status}: redirected{}", to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default())]
    Redirected {
        /// The status.
        status: u16,
        /// Where to, without a query.
        to: Option<String>,
    },
    /// 404 in the service's own form.
    #[error("HTTP 404: not found{}", said(words.as_ref()))]
    NotFound {
        /// What the server said.
        words: Option<String>,
    },
    /// A body that cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Some of its bars cannot be.
    #[error("{} of {} bars cannot be right: {}", .0.bad.len(), .0.bad.len() + .0.good.bars.len(), .0.bad[0])]
    BadBars(Box<InvalidBarsPage>),
    /// An answer that is not one to this question.
    #[error("the answer contradicts the question: {0}")]
    Contradiction(#[from] ResponseMismatch),
}

/// A page with bars that cannot be.
#[derive(Clone, Debug)]
pub struct InvalidBarsPage {
    /// The page without them.
    pub good: BarsPage,
    /// At least one.
    pub bad: Vec<InvalidBar>,
}

fn said(words: Option<&String>) -> String {
    words.map(|words| format!(": {words}")).unwrap_or_default()
}

/// How an answer can differ from its question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResponseMismatch {
    /// It is about another symbol, or does not say about which.
    #[error("asked for {asked}, answered {}", answered.as_deref().unwrap_or("for nothing in particular"))]
    Ticker {
        /// The question.
        asked: Symbol,
        /// The answer.
        answered: Option<String>,
    },
    /// It is about another day.
    #[error("asked for {asked}, answered with bars of {}", answered.map_or("no day at all".to_owned(), |day| day.to_string()))]
    Day {
        /// The question.
        asked: Date,
        /// The answer.
        answered: Option<Date>,
    },
    /// Its prices are of the other kind, or it does not say of which.
    #[error("asked for adjusted={asked}, answered {}", answered.map_or("nothing of it".to_owned(), |yes| yes.to_string()))]
    Adjusted {
        /// The question.
        asked: bool,
        /// The answer.
        answered: Option<bool>,
    },
    /// It has not as many bars as it says.
    #[error("it says resultsCount {said} and has {found} bars")]
    Count {
        /// What it says.
        said: u64,
        /// What it has.
        found: u64,
    },
    /// A 200 whose `status` is neither `OK` nor `DELAYED`.
    #[error("HTTP 200 with status {status:?}{}", said(words.as_ref()))]
    Status {
        /// The envelope's status.
        status: Option<String>,
        /// What the server said.
        words: Option<String>,
    },
    /// The next page cannot be followed.
    #[error(transparent)]
    Next(#[from] CursorError),
    /// The next page is one that was asked for already: following it would never end.
    #[error("next_url {0} was followed before")]
    Repeated(String),
    /// Page after page without a bar, and always another one.
    #[error("{pages} pages in a row have no new bar, and each names another one")]
    Endless {
        /// How many.
        pages: u32,
    },
    /// A list without an end.
    #[error("the list has {pages} pages, and names another one")]
    TooLong {
        /// How many.
        pages: u32,
    },
    /// An encoding that was not asked for.
    #[error("the body has the unknown encoding {0:?}")]
    Encoding(String),
}

/// What is to be done about an error. The one table of DESIGN.md, exhaustive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Ask again after a pause, as often as attempts and time allow.
    Retry,
    /// The same, but first find out whether the source is like that to everyone. A redirect, before anything was
    /// answered, says that this is not the service at all.
    Unwell(OutageSymptom),
    /// Ask again, but twice at most: a well-formed request that is refused rarely gets better.
    RetryTwice,
    /// Everyone waits: the server says that this client asks too fast.
    SlowDown {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// Everyone waits: there is no connection. It is no task's fault.
    Outage,
    /// The key is refused: for everything, unless other questions are answered.
    KeyRefused,
    /// The cursor has forgotten the question: time leads on from the last bar.
    CursorForgets,
    /// This window is not in the plan yet: ask again in a later run.
    NotYet,
    /// This is not in the plan.
    NotEntitled,
    /// Days of this window are not in the plan: find out where the plan's history begins.
    Timeframe,
    /// There is no such symbol.
    NotFound,
    /// There is no such symbol; or, before anything was answered, this is not the service at all.
    UnknownRoute,
}

/// How a source in trouble shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageSymptom {
    /// No connection.
    Connection,
    /// A connection without an answer, or with half of one.
    Silence,
    /// A status such as 500.
    Status,
    /// An answer that cannot be read.
    Garbage,
    /// 429.
    TooMany,
    /// A redirect.
    Redirect,
}

impl FetchError {
    /// How the source shows that it is in trouble; nothing if it is well, and means what it says.
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

    /// What is to be done.
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

    /// A refusal by the plan, by its words: of this symbol or product, or of these days.
    pub(super) fn not_entitled(words: Option<String>) -> Self {
        if is_about_time(words.as_deref()) { Self::Timeframe { words } } else { Self::NotEntitled { words } }
    }

    /// A refusal of the key, or by its words, of the days that it is used for.
    pub(super) fn unauthorized(words: Option<String>) -> Self {
        if is_about_time(words.as_deref()) { Self::Timeframe { words } } else { Self::KeyRefused { words } }
    }

    /// What the server said, if the plan is what it refuses by.
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

    /// The whole chain in one line, for the manifest and the report.
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
