//! The HTTP client of the service.

use std::time::Duration;

use grab_model::{ApiKey, Cursor};
use jiff::{civil::Date, fmt::rfc2822};
use reqwest::{
    Certificate, Client, Proxy, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, DATE, HeaderMap, HeaderValue, LOCATION,
        RETRY_AFTER,
    },
    redirect,
};
use url::{Origin, Url};

use super::{
    super::{
        BarsPage, BarsRequest, FetchError, MarketDay, MarketSource, PagePosition, ResponseMismatch,
        ServiceClock, Source,
        proxy::{ProxyRoute, is_loopback},
    },
    validate,
};
use crate::{
    clock::Clock,
    cpu::{self, CpuTurn},
    decode::{DecodeError, DecodeResults, Envelope, ResponseBody, inflate, recycle},
};

/// Bars in the largest page that the service makes (polygon-api.md §1). Its default of 5,000 is the users' top complaint.
const PAGE_LIMIT: u32 = 50_000;

/// Tells whether the market is open now: in every plan (polygon-api.md §2), and cheap.
const CONTROL_QUESTION: &str = "/v1/marketstatus/now";

/// The whole market of a day, in one response (polygon-api.md §2).
const MARKET_DAY: &str = "/v2/aggs/grouped/locale/us/market/stocks";

/// The message of a plan with end-of-day data, in the evening, about a day that it will serve later.
const TOO_EARLY: &str = "before end of day";

/// Far more than any page has: 50,000 bars take about 5 MB.
const BODY_LIMIT: usize = 64 << 20;

/// How the service is reached.
#[derive(Clone, Debug)]
pub struct PolygonOptions {
    /// Scheme, host and, behind a proxy, a path.
    pub base_url: Url,
    /// Whether requests go directly or through a proxy.
    pub way: ProxyRoute,
    /// Sent as a Bearer token to the base URL's origin only.
    pub key: ApiKey,
    /// Whether split-adjusted bars are requested.
    pub adjusted: bool,
    /// For name lookup, connection and TLS.
    pub connect_timeout: Duration,
    /// For any silence within a response.
    pub read_timeout: Duration,
    /// For a response as a whole.
    pub total_timeout: Duration,
    /// The most idle connections to keep open.
    pub connections: usize,
    /// Certificates to trust besides those of the platform.
    pub ca_bundle: Vec<Certificate>,
    /// This machine's clock.
    pub clock: Clock,
}

/// The REST service as a [`Source`].
#[derive(Clone, Debug)]
pub struct Polygon {
    http: Client,
    base_url: Url,
    way: ProxyRoute,
    pub(super) origin: Origin,
    pub(super) key: ApiKey,
    adjusted: bool,
    time: ServiceClock,
}

impl Polygon {
    /// Makes a client with a pool of connections that are kept alive.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up with these certificates.
    pub fn new(options: PolygonOptions) -> Result<Self, reqwest::Error> {
        // Fails if a provider is installed already: then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder()
            .user_agent(concat!("grab/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(&options.key))
            .redirect(redirect::Policy::none())
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .timeout(options.total_timeout)
            .pool_max_idle_per_host(options.connections);
        http = match &options.way {
            ProxyRoute::System => http,
            ProxyRoute::Direct => http.no_proxy(),
            ProxyRoute::Through(proxy) => http.proxy(Proxy::all(proxy.url().clone())?),
        };
        http = if is_loopback(&options.base_url) && options.base_url.scheme() == "http" {
            // No connection uses TLS: a machine without certificates will do.
            http.tls_certs_only([])
        } else {
            http.tls_certs_merge(options.ca_bundle)
        };
        let http = http.build()?;
        let PolygonOptions { base_url, way, key, adjusted, clock, .. } = options;
        let time = ServiceClock::new(clock);
        Ok(Self { http, origin: base_url.origin(), base_url, way, key, adjusted, time })
    }

    /// What the responses have shown about the time.
    #[must_use]
    pub fn time(&self) -> &ServiceClock {
        &self.time
    }

    fn url(&self, question: &BarsRequest, place: &PagePosition) -> Url {
        let mut url = self.base_url.clone();
        let from = match place {
            PagePosition::At(cursor) => return self.url_at(cursor),
            PagePosition::Start => question.window.from().to_string(),
            PagePosition::Since(ms) => ms.to_string(),
        };
        let (base, symbol, to) = (url.path().trim_end_matches('/'), &question.symbol, question.window.to());
        let path = format!("{base}/v2/aggs/ticker/{symbol}/range/1/minute/{from}/{to}");
        let query = format!("adjusted={}&sort=asc&limit={PAGE_LIMIT}", self.adjusted);
        url.set_path(&path);
        url.set_query(Some(&query));
        url
    }

    /// The URL of a cursor, on the configured origin.
    pub(super) fn url_at(&self, cursor: &Cursor) -> Url {
        let (path, query) = match cursor.as_str().split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (cursor.as_str(), None),
        };
        self.url_of(path, query)
    }

    /// The URL of a path and a query, both as they are.
    pub(super) fn url_of(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// The path of a route, after that of the base URL.
    pub(super) fn route(&self, route: &str) -> String {
        format!("{}{route}", self.base_url.path().trim_end_matches('/'))
    }

    fn market_url(&self, day: Date) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{MARKET_DAY}/{day}", url.path().trim_end_matches('/')));
        url.set_query(Some("adjusted=false"));
        url
    }

    pub(super) async fn get(&self, url: Url) -> Result<(HeaderMap, Vec<u8>), FetchError> {
        let sent = self.http.get(url).send().await;
        let response = sent.map_err(|error| self.not_sent(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response).await?;
        self.time.record_date(date(&headers));
        if status == StatusCode::OK {
            Ok((headers, body))
        } else {
            Err(self.refused(status, &headers, &body))
        }
    }

    fn not_sent(&self, error: reqwest::Error) -> FetchError {
        let error = error.without_url();
        if error.is_connect() {
            let host = self.origin.ascii_serialization();
            let host = match &self.way {
                ProxyRoute::Direct | ProxyRoute::System => host,
                ProxyRoute::Through(proxy) => format!("{host} through {proxy}"),
            };
            FetchError::Connect { host, source: error }
        } else {
            FetchError::NoAnswer(error)
        }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> FetchError {
        let words = words(headers, body, &self.key);
        match status {
            StatusCode::UNAUTHORIZED => FetchError::unauthorized(words),
            StatusCode::FORBIDDEN if words.as_ref().is_some_and(|words| words.contains(TOO_EARLY)) => {
                FetchError::NotYet { words }
            }
            StatusCode::FORBIDDEN if is_own_answer(headers, body, &self.key) => {
                FetchError::not_entitled(words)
            }
            StatusCode::NOT_FOUND if is_own_answer(headers, body, &self.key) => {
                FetchError::NotFound { words }
            }
            StatusCode::NOT_FOUND => FetchError::UnknownRoute { words },
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => FetchError::ProxyRefused { words },
            StatusCode::TOO_MANY_REQUESTS => {
                FetchError::TooManyRequests { retry_after: retry_after(headers, self.time.clock()), words }
            }
            // A 304 or 300 without a target is an ordinary bad status.
            _ if status.is_redirection() && headers.contains_key(LOCATION) => {
                FetchError::Redirected { status: status.as_u16(), to: location(headers) }
            }
            // A 403 in another form is the refusal of a proxy or a firewall, and says nothing about the plan.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::FORBIDDEN => {
                FetchError::Status { status: status.as_u16(), words }
            }
            _ if status.is_client_error() => FetchError::BadRequest { status: status.as_u16(), words },
            _ => FetchError::Status { status: status.as_u16(), words },
        }
    }
}

impl Source for Polygon {
    type Answer = (HeaderMap, Vec<u8>);

    async fn ask(&self, question: &BarsRequest, place: &PagePosition) -> Result<Self::Answer, FetchError> {
        self.get(self.url(question, place)).await
    }

    async fn read(
        &self,
        question: &BarsRequest,
        (headers, body): Self::Answer,
    ) -> Result<BarsPage, FetchError> {
        let (question, adjusted, origin) = (question.clone(), self.adjusted, self.origin.clone());
        let (key, time) = (self.key.clone(), self.time.clone());
        let came = time.response_date(date(&headers));
        let decode = move || {
            let bytes = body.len() as u64;
            let as_of = |newest_ms| time.as_of(came, newest_ms);
            validate::page(&question, adjusted, &origin, envelope(&headers, body, &key)?, bytes, as_of)
        };
        cpu::run(CpuTurn::Last, decode).await
    }

    async fn control(&self) -> Result<(), FetchError> {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}{CONTROL_QUESTION}", url.path().trim_end_matches('/')));
        let (headers, body) = self.get(url).await?;
        // A body that is not JSON comes from something in between, and shows nothing about the key.
        refusal(&headers, body, &self.key).map(|_| ())
    }
}

impl MarketSource for Polygon {
    async fn market_day(&self, day: Date) -> Result<MarketDay, FetchError> {
        let (headers, body) = self.get(self.market_url(day)).await?;
        let (key, time) = (self.key.clone(), self.time.clone());
        let came = time.response_date(date(&headers));
        let decode = move || {
            let bytes = body.len() as u64;
            let as_of = |newest_ms| time.as_of(came, newest_ms);
            let mut market = validate::market_day(day, envelope(&headers, body, &key)?, bytes, as_of)?;
            market.bars.retain(|bar| is_clean(&key, bar.symbol.as_str()));
            Ok(market)
        };
        cpu::run(CpuTurn::Last, decode).await
    }
}

/// The `Date` of a response, as it was sent.
fn date(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(DATE).map(HeaderValue::as_bytes)
}

/// Whether a text does not contain the key.
pub(super) fn is_clean(key: &ApiKey, text: &str) -> bool {
    let mut scrubbed = text.to_owned();
    key.scrub_text(&mut scrubbed);
    scrubbed == text
}

fn headers(key: &ApiKey) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // The client's own decompression stays off: bodies are inflated within a bound, off the network threads.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    // A key is made of visible ASCII, which any header can carry.
    if let Ok(mut bearer) = HeaderValue::from_str(&key.bearer()) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    headers
}

/// Reads a body to its end, within the bound.
async fn read(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let broken = |error: reqwest::Error| FetchError::Transport(error.without_url());
    let announced =
        response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut body = Vec::with_capacity(announced.min(BODY_LIMIT));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(DecodeError::TooLarge { limit: BODY_LIMIT }.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The body without its transfer encoding, and without the key.
pub(super) fn plain(headers: &HeaderMap, body: Vec<u8>, key: &ApiKey) -> Result<Vec<u8>, FetchError> {
    // Names of encodings are case-insensitive (RFC 9110, section 8.4.1).
    let encoding = headers.get(CONTENT_ENCODING).map(|name| name.as_bytes().to_ascii_lowercase());
    let mut plain = match encoding.as_deref() {
        None | Some(b"" | b"identity") => body,
        Some(b"gzip" | b"x-gzip") => inflate(&body, BODY_LIMIT)?,
        Some(other) => {
            return Err(ResponseMismatch::Encoding(String::from_utf8_lossy(other).into_owned()).into());
        }
    };
    key.scrub(&mut plain);
    Ok(plain)
}

/// Reads a response as an envelope, without the key in any of its texts.
pub(super) fn envelope<R: DecodeResults>(
    headers: &HeaderMap,
    body: Vec<u8>,
    key: &ApiKey,
) -> Result<ResponseBody<R>, FetchError> {
    let plain = plain(headers, body, key)?;
    let read = ResponseBody::read(&plain);
    recycle(plain);
    let mut envelope = read?;
    envelope.each_text(|text| key.scrub_text(text));
    Ok(envelope)
}

/// Reads a response without bars as an envelope.
fn refusal(headers: &HeaderMap, body: Vec<u8>, key: &ApiKey) -> Result<Envelope, FetchError> {
    envelope(headers, body, key)
}

/// The message of a refusal: the JSON's `error` or `message`, else its first line (errors may be HTML).
fn words(headers: &HeaderMap, body: &[u8], key: &ApiKey) -> Option<String> {
    if let Ok(envelope) = refusal(headers, body.to_vec(), key) {
        return envelope.words().map(str::to_owned);
    }
    let plain = plain(headers, body.to_vec(), key).ok()?;
    let text = String::from_utf8_lossy(&plain);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(80).collect())
}

/// Whether a refusal has the service's own form: JSON with a status. Unknown routes and proxies respond with plain
/// text.
fn is_own_answer(headers: &HeaderMap, body: &[u8], key: &ApiKey) -> bool {
    refusal(headers, body.to_vec(), key).is_ok_and(|envelope| envelope.status.is_some())
}

/// The target of a redirect, without parts that may hold a key.
fn location(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(LOCATION)?.to_str().ok()?;
    let path = text.split(['?', '#']).next().unwrap_or_default();
    Some(path.chars().filter(|c| !c.is_control()).take(80).collect())
}

/// The value of `Retry-After`: seconds, or an HTTP date.
fn retry_after(headers: &HeaderMap, clock: Clock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::from_millis(u64::try_from(at.as_millisecond() - clock.now_ms()).unwrap_or_default()))
}
