//! The endpoints and their paths.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use hyper::{Method, StatusCode};

use super::{
    aggregates,
    call::{Call, KEY_PARAMETER, Request},
    content::AnswerContent,
    endpoint_family::EndpointFamily,
    events,
    evolution::{Evolution, NewestSessions},
    fault::{FaultPicker, PickedFault, WireFault, WrongBars},
    generated_market::GeneratedMarket,
    market::Market,
    options::{ClockFn, ReferenceQuality, SandboxError, SandboxOptions},
    params::Params,
    recorded_market::RecordedMarket,
    reference_defects::ReferenceDefects,
    refusal::Refusal,
    seed::Seed,
    service_plan::ServicePlan,
    splits, status, tickers,
};

/// Everything that is needed to answer requests, shared by all connections. It remembers the number of requests, for
/// the rate limit when the last ones were sent, and for the faults how often each was sent.
pub(super) struct Api {
    market: Box<dyn Market>,
    plan: ServicePlan,
    now: ClockFn,
    forgets_adjusted: bool,
    faults: Option<FaultPicker>,
    defects: Option<ReferenceDefects>,
    evolution: Evolution,
    seed: u64,
    /// The seed of the request ids.
    ids: Seed,
    requests: AtomicU64,
}

/// A response. Each has an id, in a header and mostly in the body.
pub(super) struct HttpAnswer {
    pub status: StatusCode,
    pub request_id: String,
    /// The seconds of a `Retry-After`.
    pub retry_after: Option<u64>,
    /// The time by the sandbox's clock, UTC ms.
    pub now_ms: i64,
    pub content: AnswerContent,
    /// The fault of its transfer.
    pub fault: Option<PickedFault<WireFault>>,
}

impl Api {
    /// Makes the market of the options.
    pub fn new(options: &SandboxOptions) -> Result<Self, SandboxError> {
        let market: Box<dyn Market> = match &options.recorded {
            Some(folder) => Box::new(RecordedMarket::open(folder)?),
            None => Box::new(GeneratedMarket::new(options.seed)),
        };
        Ok(Self {
            market,
            plan: ServicePlan::new(options),
            now: Arc::clone(&options.now),
            forgets_adjusted: options.forget_adjusted,
            faults: options.faults.as_ref().map(|faults| FaultPicker::new(options.seed, faults)),
            defects: (options.reference == ReferenceQuality::Defective)
                .then(|| ReferenceDefects::new(options.seed)),
            evolution: options.evolution,
            seed: options.seed,
            ids: Seed::root(options.seed).named("request ids"),
            requests: AtomicU64::new(0),
        })
    }

    /// Answers any request.
    pub fn answer(&self, request: &Request) -> HttpAnswer {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = self.ids.child(number).hex(2);
        let fault = self.faults.as_ref().and_then(|faults| faults.pick(request));
        let (status, retry_after, content) = match fault.and_then(PickedFault::instead) {
            Some(instead) => instead.answer(&request_id),
            None => match self.body(request, &request_id, fault.and_then(PickedFault::in_bars)) {
                Ok(body) => (StatusCode::OK, None, AnswerContent::Json(body)),
                Err(refusal) => (refusal.status(), refusal.retry_after(), refusal.content(&request_id)),
            },
        };
        let fault = fault.and_then(PickedFault::on_wire);
        HttpAnswer { status, request_id, retry_after, now_ms: (self.now)(), content, fault }
    }

    fn body(
        &self,
        request: &Request,
        request_id: &str,
        fault: Option<PickedFault<WrongBars>>,
    ) -> Result<Vec<u8>, Refusal> {
        let params = Params::parse(&request.query);
        let key = request.bearer.as_deref().or_else(|| params.get(KEY_PARAMETER));
        self.plan.admit(key, Instant::now())?;
        let params = params.without(KEY_PARAMETER).behind_cursor()?;
        let now_ms = (self.now)();
        route(&Call {
            market: &*self.market,
            plan: &self.plan,
            now_ms,
            defects: self.defects.as_ref(),
            newest: NewestSessions::at(self.evolution, self.seed, now_ms),
            forgets_adjusted: self.forgets_adjusted,
            request,
            params,
            request_id,
            fault,
        })
    }
}

/// Routes a request to its endpoint.
fn route(call: &Call) -> Result<Vec<u8>, Refusal> {
    if call.request.method != Method::GET {
        return Err(Refusal::UnknownRoute);
    }
    let decoded = call.request.path.split('/').skip(1).map(percent_decoded).collect::<Option<Vec<_>>>();
    let segments = decoded.ok_or(Refusal::UnknownRoute)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    EndpointFamily::of(&segments).map_or(Ok(()), |family| call.plan.permit(family))?;
    match segments[..] {
        ["v2", "aggs", "ticker", ticker, "range", multiplier, timespan, from, to] => {
            aggregates::in_range(call, ticker, [multiplier, timespan], [from, to])
        }
        ["v2", "aggs", "ticker", ticker, "prev"] => aggregates::previous_day(call, ticker),
        ["v2", "aggs", "grouped", "locale", "us", "market", "stocks", date] => {
            aggregates::whole_market(call, date)
        }
        ["v3", "reference", "tickers"] => tickers::list(call),
        ["v3", "reference", "tickers", ticker] => tickers::details(call, ticker),
        ["vX", "reference", "tickers", id, "events"] => events::of(call, id),
        ["v3", "reference", "splits"] => splits::list(call),
        ["stocks", "v1", "splits"] => splits::list_with_factors(call),
        ["v1", "marketstatus", "now"] => Ok(status::now(call)),
        ["v1", "marketstatus", "upcoming"] => Ok(status::upcoming(call)),
        _ => Err(Refusal::UnknownRoute),
    }
}

/// Returns `BRK.B` for `BRK%2EB`. None if a `%` is not followed by a byte, or if the result is not text.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut parts = segment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding() {
        let decoded = |segment| percent_decoded(segment);
        assert_eq!(decoded("KIM%70L").as_deref(), Some("KIMpL"));
        assert_eq!(decoded("BRK%2eB%2F").as_deref(), Some("BRK.B/"));
        for odd in ["%", "%2", "%zz", "%ff", "%é"] {
            assert_eq!(decoded(odd), None, "{odd}");
        }
    }
}
