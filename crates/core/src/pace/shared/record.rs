//! A pacer's state as bytes, for processes whose clocks have different origins.
//!
//! Times are written in nanoseconds relative to the instant of writing. A reader adds how long ago that was: by the monotonic
//! clock, which no correction of the time touches, or by the wall clock, if the machine was started again or is another
//! one (a home directory may be shared). A wall clock that was set back counts as no time at all.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::pace::{
    Pace,
    rate_limit::RateLimit,
    state::{PacerState, SentRequest},
};

/// The first bytes, with the version of the format: another version counts as no state.
const MAGIC: [u8; 8] = *b"grabpac1";

/// When something was written.
#[derive(Clone, Copy, Debug)]
pub(in crate::pace) struct Stamp {
    /// Identifies the uptime of a machine.
    pub(in crate::pace) boot: u128,
    /// The monotonic clock.
    pub(in crate::pace) monotonic_ns: i64,
    /// UTC.
    pub(in crate::pace) wall_ns: i64,
}

impl Stamp {
    /// The time since an earlier stamp.
    fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic_ns - earlier.monotonic_ns;
        let ns = if self.boot == earlier.boot && monotonic >= 0 {
            monotonic
        } else {
            self.wall_ns.saturating_sub(earlier.wall_ns)
        };
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }
}

/// Writes a state as of `now`.
pub(super) fn encode(state: &PacerState, now: Instant, stamp: Stamp) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let mut put = |part: &[u8]| bytes.extend_from_slice(part);
    put(&stamp.boot.to_le_bytes());
    put(&stamp.monotonic_ns.to_le_bytes());
    put(&stamp.wall_ns.to_le_bytes());
    for time in [state.next, state.free, state.paused_until] {
        put(&relative(time, now).to_le_bytes());
    }
    put(&state.given.to_le_bytes());
    for number in [state.pauses, state.since_pause.0, state.since_pause.1] {
        put(&number.to_le_bytes());
    }
    put(&[u8::from(state.slowed.is_some()), u8::from(state.shared_limit.is_some())]);
    if let Some((pace, since)) = state.slowed {
        put(&pace.per_second.to_le_bytes());
        put(&pace.refused.to_le_bytes());
        put(&relative(since, now).to_le_bytes());
    }
    if let Some((limit, until)) = state.shared_limit {
        put(&(limit.requests as u64).to_le_bytes());
        put(&u64::try_from(limit.period.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
        put(&relative(until, now).to_le_bytes());
    }
    put(&(state.sent.len() as u64).to_le_bytes());
    for request in &state.sent {
        put(&request.number.to_le_bytes());
        put(&relative(request.at, now).to_le_bytes());
    }
    let checksum = xxh3_64(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads a state. None if the bytes are not whole. Bytes after it are those of a longer one before it.
pub(super) fn decode(bytes: &[u8], now: Instant, stamp: Stamp) -> Option<PacerState> {
    let mut fields = Fields { rest: bytes };
    if fields.take()? != MAGIC {
        return None;
    }
    let written = Stamp {
        boot: u128::from_le_bytes(fields.take()?),
        monotonic_ns: fields.signed()?,
        wall_ns: fields.signed()?,
    };
    let age = stamp.since(written);
    let (next, free, paused_until) = (fields.time(now, age)?, fields.time(now, age)?, fields.time(now, age)?);
    let given = fields.unsigned()?;
    let pauses = fields.small()?;
    let since_pause = (fields.small()?, fields.small()?);
    let [has_slowed, has_limit] = fields.take()?;
    let slowed = if has_slowed == 0 {
        None
    } else {
        let pace = Pace { per_second: fields.float()?, refused: fields.float()? };
        Some((pace, fields.time(now, age)?))
    };
    let shared_limit = if has_limit == 0 {
        None
    } else {
        let requests = usize::try_from(fields.unsigned()?).ok()?;
        let limit = RateLimit { requests, period: Duration::from_nanos(fields.unsigned()?) };
        Some((limit, fields.time(now, age)?))
    };
    let mut sent = VecDeque::new();
    for _ in 0..fields.unsigned()? {
        sent.push_back(SentRequest { number: fields.unsigned()?, at: fields.time(now, age)? });
    }
    let len = bytes.len() - fields.rest.len();
    let is_whole = fields.unsigned()? == xxh3_64(&bytes[..len]);
    let state =
        PacerState { next, free, given, sent, slowed, paused_until, pauses, since_pause, shared_limit };
    is_whole.then_some(state)
}

/// A time in nanoseconds after `now`.
fn relative(time: Instant, now: Instant) -> i64 {
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match time.checked_duration_since(now) {
        Some(after) => ns(after),
        None => -ns(now.saturating_duration_since(time)),
    }
}

/// The bytes that are not read yet.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }

    fn signed(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn unsigned(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn small(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn float(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }

    /// A time that was written `age` ago.
    fn time(&mut self, now: Instant, age: Duration) -> Option<Instant> {
        let relative = self.signed()?;
        let distance = Duration::from_nanos(relative.unsigned_abs());
        let at = if relative >= 0 { now.checked_add(distance) } else { now.checked_sub(distance) };
        at?.checked_sub(age)
    }
}
