//! Decides which responses are broken.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Fault, FaultOptions, PickedFault};
use crate::{
    call::{KEY_PARAMETER, Request},
    params::Params,
    seed::Seed,
};

/// After this many broken responses to one request comes a good one, so that every client makes progress. Not more than
/// two: there are refusals (400) that clients rightly accept when they come for the third time.
const MOST_IN_A_ROW: u8 = 2;

/// Chooses faults by the seed, the request, and how often it was sent before; other requests make no difference. So a
/// run can be repeated, whatever the order in which its requests arrive.
pub(crate) struct FaultPicker {
    seed: Seed,
    share: f64,
    kinds: Vec<Fault>,
    asked: Mutex<HashMap<Seed, RequestCount>>,
}

/// The record of a request.
#[derive(Default)]
struct RequestCount {
    times: u64,
    /// How many of the last responses were broken.
    in_a_row: u8,
}

impl FaultPicker {
    pub fn new(seed: u64, options: &FaultOptions) -> Self {
        let seed = Seed::root(seed).named("faults");
        let kinds = options.kinds.iter().copied().collect();
        Self { seed, share: options.share, kinds, asked: Mutex::default() }
    }

    /// The fault for the next response to a request. None if it is not to be broken.
    pub fn pick(&self, request: &Request) -> Option<PickedFault> {
        let is_range = request.path.starts_with("/v2/aggs/ticker/") && request.path.contains("/range/");
        let fits = |kind: &Fault| is_range || !matches!(kind, Fault::InBars(_));
        let kinds: Vec<Fault> = self.kinds.iter().copied().filter(fits).collect();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let question = self.question(request);
        let state = asked.entry(question).or_default();
        let seed = question.child(state.times);
        state.times += 1;
        let mut draws = seed.draws();
        let is_hit = !kinds.is_empty() && state.in_a_row < MOST_IN_A_ROW && draws.happens(self.share);
        state.in_a_row = if is_hit { state.in_a_row + 1 } else { 0 };
        is_hit.then(|| PickedFault { kind: draws.pick_from(&kinds), seed: seed.child(0) })
    }

    /// The identity of a request: path and parameters, in any order and with any key.
    fn question(&self, request: &Request) -> Seed {
        let params = Params::parse(&request.query).without(KEY_PARAMETER);
        self.seed.named(&request.path).named("?").named(&params.query())
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;
    use crate::fault::WireFault;

    fn request(path: &str, query: &str) -> Request {
        let host = "127.0.0.1:8080".to_owned();
        Request { method: Method::GET, path: path.to_owned(), query: query.to_owned(), bearer: None, host }
    }

    fn picked(picker: &FaultPicker, path: &str) -> Vec<Option<PickedFault>> {
        (0..20).map(|_| picker.pick(&request(path, ""))).collect()
    }

    const RANGE: &str = "/v2/aggs/ticker/A/range/1/minute/2024-01-02/2024-01-02";

    #[test]
    fn a_question_meets_the_same_faults_whatever_else_is_asked() {
        let options = FaultOptions::of(0.5);
        let alone = FaultPicker::new(7, &options);
        let alone = picked(&alone, RANGE);
        let busy = FaultPicker::new(7, &options);
        let among_others: Vec<_> = (0..20)
            .map(|n| {
                busy.pick(&request(&format!("/v3/reference/tickers/{n}"), ""));
                busy.pick(&request(RANGE, &format!("apiKey=k{n}")))
            })
            .collect();
        assert_eq!(alone, among_others);
        assert_ne!(alone, picked(&FaultPicker::new(8, &options), RANGE));
    }

    #[test]
    fn no_question_is_broken_for_ever() {
        let picker = FaultPicker::new(1, &FaultOptions::of(1.0));
        let hits: Vec<_> = picked(&picker, RANGE).iter().map(Option::is_some).collect();
        assert_eq!(hits[..6], [true, true, false, true, true, false]);
    }

    #[test]
    fn the_share_of_first_answers_is_kept() {
        let picker = FaultPicker::new(1, &FaultOptions::of(0.3));
        let hits = (0..10_000).filter(|n| picker.pick(&request(RANGE, &format!("limit={n}"))).is_some());
        let hits = hits.count();
        assert!((2_850..3_150).contains(&hits), "{hits}");
    }

    #[test]
    fn what_spoils_bars_is_for_ranges_of_bars() {
        let mut options = FaultOptions::of(1.0);
        let everywhere = FaultPicker::new(1, &options);
        for picked in picked(&everywhere, "/v1/marketstatus/now").into_iter().flatten() {
            assert!(!matches!(picked.kind, Fault::InBars(_)), "{picked:?}");
        }
        options.kinds.retain(|kind| matches!(kind, Fault::InBars(_)));
        let on_ranges = FaultPicker::new(1, &options);
        assert_eq!(picked(&on_ranges, "/v1/marketstatus/now"), [None; 20]);
        assert!(picked(&on_ranges, RANGE).iter().any(Option::is_some));
    }

    #[test]
    fn only_the_kinds_that_are_wanted_are_picked() {
        let kind = Fault::OnWire(WireFault::Stall);
        let options = FaultOptions { kinds: [kind].into(), ..FaultOptions::of(1.0) };
        let picked = picked(&FaultPicker::new(1, &options), RANGE);
        assert!(picked.into_iter().flatten().all(|picked| picked.kind == kind));
    }
}
