//! The options of a sandbox, and why it may not start.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum;
use jiff::{Timestamp, civil::Date};
use thiserror::Error;

use super::{endpoint_family::EndpointFamily, evolution::Evolution, fault::FaultOptions};

/// A clock: the current time in UTC ms since the epoch.
pub type ClockFn = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The highest `limit` that the service accepts, in base aggregates (polygon-api.md §1).
pub(super) const SERVICE_PAGE_CAP: u32 = 50_000;

/// What a sandbox serves, to which clients, and how fast.
#[derive(Clone)]
pub struct SandboxOptions {
    /// The generated market: the same seed always gives the same bars.
    pub seed: u64,
    /// A folder of `<TICKER>.csv` and `<TICKER>.csv.gz` to serve instead of a generated market.
    pub recorded: Option<PathBuf>,
    /// Where to listen: loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only key that is accepted; if not set, any key is.
    pub key: Option<String>,
    /// How many requests are answered in a minute, and how the others are refused.
    pub rate_limit: Option<PlanRateLimit>,
    /// The endpoints that the plan does not include: each request for them gets a 403.
    pub forbidden: BTreeSet<EndpointFamily>,
    /// The first New York day that the plan includes.
    pub history_from: Option<Date>,
    /// Whether a range that begins before `history_from` is silently clipped. Else it is refused with a 403.
    pub clip_history: bool,
    /// The highest `limit` that is accepted, to test small pages with little data. The service's is 50,000.
    pub page_cap: u32,
    /// How long every response is delayed.
    pub latency: Duration,
    /// Whether `adjusted=false` is left out of cursors, so that the pages after the first are adjusted for splits.
    pub forget_adjusted: bool,
    /// Whether bars have the status `DELAYED`, as on plans without real-time data, and not `OK`.
    pub delayed: bool,
    /// Which responses are broken on purpose, and how; by `seed`.
    pub faults: Option<FaultOptions>,
    /// Whether reference data have defects.
    pub reference: ReferenceQuality,
    /// How the newest sessions differ from their final state; by `seed`.
    pub evolution: Evolution,
    /// The clock: bars end with the last session that is finished by it.
    pub now: ClockFn,
}

impl Default for SandboxOptions {
    /// The generated market of seed 1 on a free port, for any key, without limits, as of the system's time.
    fn default() -> Self {
        Self {
            seed: 1,
            recorded: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            key: None,
            rate_limit: None,
            forbidden: BTreeSet::new(),
            history_from: None,
            clip_history: false,
            page_cap: SERVICE_PAGE_CAP,
            latency: Duration::ZERO,
            forget_adjusted: false,
            delayed: false,
            faults: None,
            reference: ReferenceQuality::Sound,
            evolution: Evolution::default(),
            now: Arc::new(|| Timestamp::now().as_millisecond()),
        }
    }
}

/// The state of tickers and splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceQuality {
    /// Nothing is wrong, but that some companies have no CIK or no FIGI.
    Sound,
    /// What was reported is wrong, by the seed: rows twice, rows and numbers missing, splits in odd numbers.
    Defective,
}

/// How many requests a plan has in a minute, and how further ones are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanRateLimit {
    /// This many are answered. Requests without a good key are refused and do not count.
    pub per_minute: NonZeroU32,
    /// The definition of the minute.
    pub window: RateWindow,
    /// The body of a 429.
    pub body: TooManyBody,
    /// Whether a 429 has in `Retry-After` the whole seconds until a request will be accepted.
    pub retry_after: bool,
}

impl PlanRateLimit {
    /// A limit as in the reports (polygon-api.md §1), in a sliding minute.
    #[must_use]
    pub fn per_minute(per_minute: NonZeroU32) -> Self {
        Self { per_minute, window: RateWindow::Sliding, body: TooManyBody::Json, retry_after: false }
    }
}

/// The definition of a limit's minute. The service's is not known; a client that keeps the limit in every sliding
/// minute keeps it in the fixed ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RateWindow {
    /// Any 60 seconds.
    Sliding,
    /// 60 seconds from a request on; the next 60 seconds begin with the first request after them, and count from zero.
    Fixed,
}

/// The body of a 429. Both kinds were reported (polygon-api.md §1, Errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TooManyBody {
    /// An error in JSON, as with other refusals.
    Json,
    /// An empty body.
    Empty,
}

/// Why a sandbox did not start.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The sandbox is for this machine alone.
    #[error("{address} is not a loopback address: a sandbox is for this machine alone")]
    NotLoopback {
        /// The requested address.
        address: SocketAddr,
    },
    /// The port is taken, or may not be used.
    #[error("cannot listen on {address}")]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder or one of its files cannot be read at all.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The folder or the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder has no `<TICKER>.csv` and no `<TICKER>.csv.gz`.
    #[error("no <TICKER>.csv or <TICKER>.csv.gz in {}", path.display())]
    NothingRecorded {
        /// The folder.
        path: PathBuf,
    },
    /// An invalid file of bars.
    #[error("{}, line {line}: {reason}", path.display())]
    Recorded {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; also 1 if the fault is in the whole file.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}
