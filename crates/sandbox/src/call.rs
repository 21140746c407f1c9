//! A request, with everything that an endpoint needs to answer it.

use std::ops::RangeInclusive;

use grab_model::{
    calendar::{self, Session},
    new_york,
};
use hyper::Method;
use jiff::civil::Date;

use super::{
    evolution::NewestSessions,
    fault::{PickedFault, WrongBars},
    market::{Market, Minutes},
    params::{Params, SortOrder},
    reference_defects::ReferenceDefects,
    service_plan::ServicePlan,
};

/// The parameter that may carry the key.
pub(super) const KEY_PARAMETER: &str = "apiKey";

/// A request as it was received.
pub(super) struct Request {
    /// Only GET is supported.
    pub method: Method,
    /// Percent-encoded.
    pub path: String,
    pub query: String,
    /// The key of an `Authorization: Bearer` header.
    pub bearer: Option<String>,
    /// The name that the client uses for this server: `127.0.0.1:8080`.
    pub host: String,
}

/// An accepted request, with everything that an endpoint needs to answer it.
pub(super) struct Call<'a> {
    pub market: &'a dyn Market,
    pub plan: &'a ServicePlan,
    pub now_ms: i64,
    /// Whether cursors of bars lose `adjusted=false`.
    pub forgets_adjusted: bool,
    pub request: &'a Request,
    /// The parameters of the query, or of the cursor in it.
    pub params: Params,
    pub request_id: &'a str,
    /// The defects of the reference data.
    pub defects: Option<&'a ReferenceDefects>,
    /// The sessions that are not final yet.
    pub newest: Option<NewestSessions>,
    /// How the bars of the response are falsified.
    pub fault: Option<PickedFault<WrongBars>>,
}

impl Request {
    /// The request's own address, without a key.
    pub fn url(&self) -> String {
        let query = Params::parse(&self.query).without(KEY_PARAMETER).query();
        format!("http://{}{}?{query}", self.host, self.path)
    }
}

impl Call<'_> {
    /// The New York day.
    pub fn today(&self) -> Date {
        new_york::date_of(self.now_ms).unwrap_or(calendar::LAST_DAY)
    }

    /// The last instant (UTC ms) at which a served bar may begin. Unfinished sessions have none.
    pub fn market_end(&self) -> i64 {
        calendar::last_finished(self.now_ms).map_or(i64::MIN, Session::extended_close_ms)
    }

    /// The bars of a ticker, as traded, that begin within `range` (UTC ms), as far as they exist by now.
    pub fn minutes(&self, ticker: &str, range: RangeInclusive<i64>, order: SortOrder) -> Minutes<'_> {
        let minutes = self.market.minutes(ticker, range, order);
        match &self.newest {
            Some(newest) => newest.seen(ticker, minutes),
            None => minutes,
        }
    }

    /// The bars of a ticker without gaps: grouped daily bars are made of these.
    pub fn minutes_without_holes(&self, ticker: &str, range: RangeInclusive<i64>) -> Minutes<'_> {
        let minutes = self.market.minutes(ticker, range, SortOrder::Ascending);
        match &self.newest {
            Some(newest) => newest.seen_without_holes(ticker, minutes),
            None => minutes,
        }
    }

    /// The URL of the next page, on the host that the client called. The key is not in it.
    pub fn next_url(&self, path: &str, params: &Params) -> String {
        format!("http://{}{path}?cursor={}", self.request.host, params.cursor())
    }
}
