//! The limits of a subscription to the service: key, rate, endpoints and history.

use std::{collections::BTreeSet, time::Instant};

use grab_model::new_york;
use jiff::civil::Date;

use super::{
    endpoint_family::EndpointFamily,
    limiter::Limiter,
    options::{SERVICE_PAGE_CAP, SandboxOptions},
    refusal::Refusal,
};

/// The limits that a sandbox was started with.
pub(super) struct ServicePlan {
    key: Option<String>,
    limiter: Option<Limiter>,
    forbidden: BTreeSet<EndpointFamily>,
    history_from: Option<Date>,
    clip_history: bool,
    delayed: bool,
    page_cap: u32,
}

impl ServicePlan {
    pub fn new(options: &SandboxOptions) -> Self {
        Self {
            key: options.key.clone(),
            limiter: options.rate_limit.map(Limiter::new),
            forbidden: options.forbidden.clone(),
            history_from: options.history_from,
            clip_history: options.clip_history,
            delayed: options.delayed,
            page_cap: options.page_cap.clamp(1, SERVICE_PAGE_CAP),
        }
    }

    /// Accepts a request, or refuses it. Only requests with a good key count.
    pub fn admit(&self, key: Option<&str>, at: Instant) -> Result<(), Refusal> {
        let key = key.filter(|key| !key.is_empty()).ok_or(Refusal::NoKey)?;
        if self.key.as_ref().is_some_and(|expected| expected != key) {
            return Err(Refusal::UnknownKey);
        }
        self.limiter.as_ref().map_or(Ok(()), |limiter| limiter.admit(at))
    }

    /// Accepts endpoints that the plan includes.
    pub fn permit(&self, family: EndpointFamily) -> Result<(), Refusal> {
        if self.forbidden.contains(&family) { Err(Refusal::NotEntitled) } else { Ok(()) }
    }

    /// The first instant (UTC ms) of a range from which bars are served: `start`, unless that is before the plan's
    /// history. Then the range is clipped or refused, as both were seen of the service (polygon-api.md §1, Plans).
    pub fn first_served(&self, start: i64) -> Result<i64, Refusal> {
        let floor = self.history_from.map_or(start, new_york::day_start_ms);
        if start < floor && !self.clip_history { Err(Refusal::Timeframe) } else { Ok(start.max(floor)) }
    }

    /// The status of a response with bars.
    pub fn bars_status(&self) -> &'static str {
        if self.delayed { "DELAYED" } else { "OK" }
    }

    /// The highest `limit` that is accepted for bars.
    pub fn page_cap(&self) -> u32 {
        self.page_cap
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_key_is_needed_and_may_have_to_be_the_right_one() {
        let now = Instant::now();
        let open = ServicePlan::new(&SandboxOptions::default());
        assert_eq!(open.admit(None, now), Err(Refusal::NoKey));
        assert_eq!(open.admit(Some(""), now), Err(Refusal::NoKey));
        assert_eq!(open.admit(Some("any"), now), Ok(()));
        let closed =
            ServicePlan::new(&SandboxOptions { key: Some("right".into()), ..SandboxOptions::default() });
        assert_eq!(closed.admit(Some("wrong"), now), Err(Refusal::UnknownKey));
        assert_eq!(closed.admit(Some("right"), now), Ok(()));
    }

    #[test]
    fn history_is_refused_or_clipped() {
        let floor = date(2022, 1, 1);
        let (early, floor_ms) = (new_york::day_start_ms(date(2021, 1, 1)), new_york::day_start_ms(floor));
        let strict = SandboxOptions { history_from: Some(floor), ..SandboxOptions::default() };
        let lenient = SandboxOptions { clip_history: true, ..strict.clone() };
        assert_eq!(ServicePlan::new(&strict).first_served(early), Err(Refusal::Timeframe));
        assert_eq!(ServicePlan::new(&strict).first_served(floor_ms), Ok(floor_ms));
        assert_eq!(ServicePlan::new(&lenient).first_served(early), Ok(floor_ms));
    }
}
