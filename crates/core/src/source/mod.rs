//! The source of bars: takes a request and returns a page that fits it, or an error that says what to do.
//!
//! [`Source`] is the interface. REST ([`Polygon`]) is today's source; the vendor's flat files can become another one.
//! Every page that a source returns was checked against its request: right symbol, right adjustment, right count,
//! inside the window, each minute once, ascending.

mod error;
mod polygon;
mod proxy;
mod reference;
mod service_clock;

pub use error::{Disposition, FetchError, InvalidBarsPage, OutageSymptom, ResponseMismatch};
pub use polygon::{Polygon, PolygonOptions};
pub use proxy::{ProxyError, ProxyRoute, ProxyVariables};
pub use reference::{ClosedDay, ListPage, ListRows, Lookup, LookupAnswer, ReferenceList, ReferenceSource};
pub use service_clock::{ResponseDate, ServiceClock};

use jiff::civil::Date;

use grab_model::{Bars, Cursor, DayBar, Symbol, Window};

/// A request for the bars of one symbol in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarsRequest {
    /// The symbol, as traded.
    pub symbol: Symbol,
    /// The New York days.
    pub window: Window,
}

/// Which page of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagePosition {
    /// The first.
    Start,
    /// The one that the page before named.
    At(Cursor),
    /// The one that begins after a bar, at this instant (UTC ms): used when the server refuses the cursor.
    Since(i64),
}

/// One page that fits its request.
#[derive(Clone, Debug)]
pub struct BarsPage {
    /// Bars inside the window, ascending, each minute once.
    pub bars: Bars,
    /// The page after this one. None if the server says that this is the last.
    pub next: Option<Cursor>,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// `OK` or `DELAYED`.
    pub status: String,
    /// Bytes of the body on the wire.
    pub bytes: u64,
    /// The response is valid as of this instant, UTC ms: a session that had not ended by then may have more bars.
    pub as_of_ms: i64,
}

/// The whole market on one day, from a response that fits its request.
#[derive(Clone, Debug, PartialEq)]
pub struct MarketDay {
    /// One bar for each symbol that traded, by symbol; empty if nothing traded according to the response.
    pub bars: Vec<DayBar>,
    /// Rows whose ticker is not a symbol of a stock.
    pub skipped: u64,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
    /// The response is valid as of this instant, UTC ms.
    pub as_of_ms: i64,
}

/// The outcome of the control request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAnswer {
    /// A proper response: source and key are good.
    Good,
    /// The key is refused.
    KeyRefused,
    /// The source responds, but the response does not show whether the key is good.
    Evasive,
    /// The source has an outage, or something in between responds in its place.
    Unwell(OutageSymptom),
}

impl From<Result<(), FetchError>> for ControlAnswer {
    fn from(answer: Result<(), FetchError>) -> Self {
        answer.map_or_else(|error| Self::from(&error), |()| Self::Good)
    }
}

impl From<&FetchError> for ControlAnswer {
    fn from(error: &FetchError) -> Self {
        let disposition = error.disposition();
        if disposition == Disposition::KeyRefused {
            return Self::KeyRefused;
        }
        if disposition.may_be_foreign() {
            // The control request is a good one: the service itself would not refuse it like this.
            return Self::Unwell(OutageSymptom::Status);
        }
        error.symptom().map_or(Self::Evasive, Self::Unwell)
    }
}

/// A source of bars.
pub trait Source: Send + Sync + 'static {
    /// A response that is complete, but not decoded yet.
    type Answer: Send;

    /// Sends one request for one page.
    ///
    /// # Errors
    /// See [`FetchError`]; its [`FetchError::disposition`] says what to do.
    ///
    /// # Cancellation
    /// Dropping the future drops the request; nothing is stored.
    fn ask(
        &self,
        question: &BarsRequest,
        place: &PagePosition,
    ) -> impl Future<Output = Result<Self::Answer, FetchError>> + Send;

    /// Decodes a response, and checks that the page fits its request.
    ///
    /// # Errors
    /// As for [`Source::ask`].
    fn read(
        &self,
        question: &BarsRequest,
        answer: Self::Answer,
    ) -> impl Future<Output = Result<BarsPage, FetchError>> + Send;

    /// Sends one request for one page, and decodes the response.
    ///
    /// # Errors
    /// As for [`Source::ask`].
    fn page(
        &self,
        question: &BarsRequest,
        place: &PagePosition,
    ) -> impl Future<Output = Result<BarsPage, FetchError>> + Send {
        async move { self.read(question, self.ask(question, place).await?).await }
    }

    /// Sends the control request, which every plan includes: its outcome ([`ControlAnswer`]) shows whether a failure is due to
    /// the first request, the key, or the source itself.
    ///
    /// # Errors
    /// As for [`Source::ask`].
    ///
    /// # Cancellation
    /// As for [`Source::ask`].
    fn control(&self) -> impl Future<Output = Result<(), FetchError>> + Send;
}

/// A source that also has the whole market of a day.
pub trait MarketSource: Source {
    /// Sends one request for the day bars of all symbols, as traded, whatever the bars of pages are.
    ///
    /// # Errors
    /// As for [`Source::ask`].
    ///
    /// # Cancellation
    /// As for [`Source::ask`].
    fn market_day(&self, day: Date) -> impl Future<Output = Result<MarketDay, FetchError>> + Send;
}
