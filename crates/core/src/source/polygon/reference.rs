//! Reference lists by REST (polygon-api.md §2).

use grab_model::{ApiKey, Cursor, Listing, Rename, Split};
use reqwest::header::HeaderMap;
use url::{Origin, Url};

use super::{
    super::{
        ClosedDay, FetchError, ListPage, ListRows, Lookup, LookupAnswer, ReferenceList, ReferenceSource,
        ResponseMismatch,
    },
    client::{Polygon, envelope, is_clean, plain},
    validate,
};
use crate::{
    cpu::{self, CpuTurn},
    decode::{DecodedList, ReferenceRow, ResponseBody, SingleObject, read_closed_days},
};

const TICKERS: &str = "/v3/reference/tickers";
const SPLITS: &str = "/stocks/v1/splits";
const OLD_SPLITS: &str = "/v3/reference/splits";
const CLOSED_DAYS: &str = "/v1/marketstatus/upcoming";

/// What is needed to read and check a response.
struct ReferenceReader {
    headers: HeaderMap,
    body: Vec<u8>,
    key: ApiKey,
    origin: Origin,
}

impl Polygon {
    fn list_url(&self, list: ReferenceList, cursor: Option<&Cursor>) -> Url {
        if let Some(cursor) = cursor {
            return self.url_at(cursor);
        }
        let (route, query) = match list {
            ReferenceList::Active | ReferenceList::Left => {
                let active = list == ReferenceList::Active;
                (TICKERS, format!("market=stocks&active={active}&order=asc&sort=ticker&limit=1000"))
            }
            ReferenceList::Splits => (SPLITS, "limit=5000&sort=execution_date.asc".to_owned()),
            ReferenceList::OldSplits => (OLD_SPLITS, "limit=1000&order=asc&sort=execution_date".to_owned()),
        };
        self.url_of(&self.route(route), Some(&query))
    }

    fn lookup_url(&self, lookup: &Lookup) -> Url {
        match lookup {
            Lookup::Details(ticker, date) => {
                let query = date.map(|date| format!("date={date}"));
                self.url_of(&self.route(&format!("{TICKERS}/{ticker}")), query.as_deref())
            }
            Lookup::Renames(ticker) => {
                let route = self.route(&format!("/vX/reference/tickers/{ticker}/events"));
                self.url_of(&route, Some("types=ticker_change"))
            }
        }
    }

    /// Sends a request, and reads the response off the network threads.
    async fn read<T: Send + 'static>(
        &self,
        url: Url,
        read: impl FnOnce(ReferenceReader) -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let (headers, body) = self.get(url).await?;
        let reader = ReferenceReader { headers, body, key: self.key.clone(), origin: self.origin.clone() };
        cpu::run(CpuTurn::Last, move || read(reader)).await
    }
}

impl ReferenceSource for Polygon {
    async fn list_page(&self, list: ReferenceList, cursor: Option<&Cursor>) -> Result<ListPage, FetchError> {
        let url = self.list_url(list, cursor);
        match list {
            ReferenceList::Active | ReferenceList::Left => {
                self.read(url, move |answer| answer.listings(list == ReferenceList::Active)).await
            }
            ReferenceList::Splits | ReferenceList::OldSplits => self.read(url, ReferenceReader::splits).await,
        }
    }

    async fn look_up(&self, lookup: &Lookup) -> Result<LookupAnswer, FetchError> {
        let (url, lookup) = (self.lookup_url(lookup), lookup.clone());
        self.read(url, move |answer| answer.record(&lookup)).await
    }

    async fn closed_days(&self) -> Result<(Vec<ClosedDay>, u64), FetchError> {
        self.read(self.url_of(&self.route(CLOSED_DAYS), None), ReferenceReader::closed_days).await
    }
}

impl ReferenceReader {
    /// Reads a page of tickers, all of them listed or all delisted.
    fn listings(self, is_active: bool) -> Result<ListPage, FetchError> {
        self.page(ListRows::Listings, |row: &mut Listing, key| {
            let Listing { name, kind, exchange, composite_figi, share_class_figi, cik, updated, .. } = row;
            scrub(key, [name, kind, exchange, composite_figi, share_class_figi, cik, updated]);
            row.active == is_active && is_clean(key, row.ticker.as_str())
        })
    }

    fn splits(self) -> Result<ListPage, FetchError> {
        self.page(ListRows::Splits, |row: &mut Split, key| {
            scrub(key, [&mut row.adjustment_type, &mut row.id]);
            is_clean(key, row.ticker.as_str())
        })
    }

    /// Reads a page, of which rows stay for which `is_good` returns true.
    fn page<T: ReferenceRow>(
        self,
        leaf: impl FnOnce(Vec<T>) -> ListRows,
        is_good: impl Fn(&mut T, &ApiKey) -> bool,
    ) -> Result<ListPage, FetchError> {
        let Self { headers, body, key, origin } = self;
        let bytes = body.len() as u64;
        let answer: ResponseBody<DecodedList<T>> = envelope(&headers, body, &key)?;
        validate::check_status(&answer)?;
        let next = answer.next_url.as_deref().map(|url| Cursor::from_next_url(url, &origin)).transpose();
        let next = next.map_err(ResponseMismatch::from)?;
        let DecodedList { mut rows, bad_symbols, bad_days, mut nonsense } = answer.results;
        let before = rows.len();
        rows.retain_mut(|row| is_good(row, &key));
        nonsense += (before - rows.len()) as u64;
        Ok(ListPage { rows: leaf(rows), bad_symbols, bad_days, nonsense, next, bytes })
    }

    fn closed_days(self) -> Result<(Vec<ClosedDay>, u64), FetchError> {
        let bytes = self.body.len() as u64;
        let plain = plain(&self.headers, self.body, &self.key)?;
        let days = read_closed_days(&plain)?.into_iter().map(|(date, name)| ClosedDay { date, name });
        Ok((days.collect(), bytes))
    }

    fn record(self, lookup: &Lookup) -> Result<LookupAnswer, FetchError> {
        let Self { headers, body, key, .. } = self;
        let bytes = body.len() as u64;
        let answer: ResponseBody<SingleObject> = envelope(&headers, body, &key)?;
        validate::check_status(&answer)?;
        let single = answer.results;
        let text = |name| {
            let mut text = single.text(name);
            scrub(&key, [&mut text]);
            text
        };
        let requested = lookup.ticker();
        match lookup {
            Lookup::Details(..) => {
                let answered = text("ticker");
                if answered.as_deref() != Some(requested.as_str()) {
                    return Err(ResponseMismatch::Ticker { requested: requested.clone(), answered }.into());
                }
                Ok(LookupAnswer {
                    listed: single.day("list_date"),
                    active: single.flag("active"),
                    left: single.day("delisted_utc"),
                    renames: Vec::new(),
                    nonsense: 0,
                    bytes,
                })
            }
            Lookup::Renames(_) => {
                if !single.is_there() {
                    return Err(
                        ResponseMismatch::Ticker { requested: requested.clone(), answered: None }.into()
                    );
                }
                let (changes, nonsense) = single.ticker_changes();
                let changes = changes.into_iter().filter(|(ticker, _)| is_clean(&key, ticker.as_str()));
                let rename = |(ticker, date)| Rename {
                    composite_figi: text("composite_figi"),
                    cik: text("cik"),
                    name: text("name"),
                    ticker,
                    date,
                    asked_as: requested.clone(),
                };
                let renames = changes.map(rename).collect();
                Ok(LookupAnswer { listed: None, active: None, left: None, renames, nonsense, bytes })
            }
        }
    }
}

fn scrub<const N: usize>(key: &ApiKey, texts: [&mut Option<String>; N]) {
    texts.into_iter().flatten().for_each(|text| key.scrub_text(text));
}
