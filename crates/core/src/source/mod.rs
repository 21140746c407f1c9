//! Where bars come from: a question goes out, a page that fits it comes back, or an error that knows what to do.
//!
//! [`Source`] is the seam. REST ([`Polygon`]) is the source of today; the vendor's flat files can be another one.
//! Every page that a source returns was checked against its question: right symbol, right adjustment, right count,
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

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarsRequest {
    /// The symbol, as traded.
    pub symbol: Symbol,
    /// The New York days.
    pub window: Window,
}

/// Which page of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagePosition {
    /// The first.
    Start,
    /// The one that the page before named.
    At(Cursor),
    /// The one that begins after a bar, at this instant (UTC ms): for when the server refuses the cursor.
    Since(i64),
}

/// One page that fits its question.
#[derive(Clone, Debug)]
pub struct BarsPage {
    /// Bars inside the window, ascending, each minute once.
    pub bars: Bars,
    /// The page after this one; none if the server says that this is the last.
    pub next: Option<Cursor>,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// `OK` or `DELAYED`.
    pub status: String,
    /// Bytes of the body on the wire.
    pub bytes: u64,
    /// As of when the answer speaks, UTC ms: what had not ended by then may have more bars.
    pub as_of_ms: i64,
}

/// What the whole market did on one day, by an answer that fits its question.
#[derive(Clone, Debug, PartialEq)]
pub struct MarketDay {
    /// One bar for each symbol that traded, by symbol; none if the answer says that nobody traded.
    pub bars: Vec<DayBar>,
    /// Rows whose ticker is no symbol of a stock.
    pub skipped: u64,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
    /// As of when the answer speaks, UTC ms.
    pub as_of_ms: i64,
}

/// What the control question showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAnswer {
    /// It was answered properly: source and key are good.
    Good,
    /// The key is refused.
    KeyRefused,
    /// The source answers, but in a way that says nothing about the key.
    Evasive,
    /// The source is in trouble, or something in between answers in its place.
    Unwell(OutageSymptom),
}

impl From<&FetchError> for ControlAnswer {
    fn from(error: &FetchError) -> Self {
        if error.disposition() == Disposition::KeyRefused {
            return Self::KeyRefused;
        }
        error.symptom().map_or(Self::Evasive, Self::Unwell)
    }
}

/// A place that bars come from.
pub trait Source: Send + Sync + 'static {
    /// An answer that came whole, and was not read yet.
    type Answer: Send;

    /// Asks once for one page.
    ///
    /// # Errors
    /// See [`FetchError`]; its [`FetchError::disposition`] says what to do.
    ///
    /// # Cancellation
    /// Dropping the future drops the request; nothing is kept.
    fn ask(
        &self,
        question: &BarsRequest,
        place: &PagePosition,
    ) -> impl Future<Output = Result<Self::Answer, FetchError>> + Send;

    /// Reads an answer to a question, and checks that the page fits it.
    ///
    /// # Errors
    /// As for [`Source::ask`].
    fn read(
        &self,
        question: &BarsRequest,
        answer: Self::Answer,
    ) -> impl Future<Output = Result<BarsPage, FetchError>> + Send;

    /// Asks once for one page, and reads it.
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

    /// Asks something that every plan includes: is it the question, the key, or the source itself?
    ///
    /// # Cancellation
    /// As for [`Source::ask`].
    fn control(&self) -> impl Future<Output = ControlAnswer> + Send;
}

/// A source that knows the whole market of a day as well.
pub trait MarketSource: Source {
    /// Asks once for the day bars of all symbols, as traded, whatever the bars of pages are.
    ///
    /// # Errors
    /// As for [`Source::ask`].
    ///
    /// # Cancellation
    /// As for [`Source::ask`].
    fn market_day(&self, day: Date) -> impl Future<Output = Result<MarketDay, FetchError>> + Send;
}
