//! What a sandbox is asked to be, and why it may not come up.

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

/// The highest `limit` that the service honours, in base aggregates (polygon-api.md §1).
pub(super) const SERVICE_PAGE_CAP: u32 = 50_000;

/// What a sandbox serves, to whom, and how fast.
#[derive(Clone)]
pub struct SandboxOptions {
    /// The generated market: the same seed gives the same bars, for ever.
    pub seed: u64,
    /// A folder of `<TICKER>.csv` and `<TICKER>.csv.gz` to serve instead of a generated market.
    pub recorded: Option<PathBuf>,
    /// Where to listen: loopback only. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only key that is accepted; if not set, any key is.
    pub key: Option<String>,
    /// How many requests are answered in a minute, and what the rest gets.
    pub rate_limit: Option<RateLimit>,
    /// What the plan leaves out: a 403, whatever is asked of it.
    pub forbidden: BTreeSet<EndpointFamily>,
    /// The first New York day that the plan includes.
    pub history_from: Option<Date>,
    /// Whether a range that begins before `history_from` is clipped without a word. Else it is refused with a 403.
    pub clip_history: bool,
    /// The highest `limit` that is honoured, to try small pages with little data. The service's is 50,000.
    pub page_cap: u32,
    /// How long every answer is held back.
    pub latency: Duration,
    /// Whether `adjusted=false` is left out of cursors, so that the pages after the first come adjusted for splits.
    pub forget_adjusted: bool,
    /// Whether bars come with the status `DELAYED`, as on plans without real-time data, and not with `OK`.
    pub delayed: bool,
    /// Which answers are broken on purpose, and how; by `seed`.
    pub faults: Option<FaultOptions>,
    /// Whether reference data are as they should be.
    pub reference: ReferenceQuality,
    /// How the newest sessions differ from what they will be for ever; by `seed`.
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

/// How many requests a plan has in a minute, and how one too many is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So many are answered. Those without a good key are refused before they count.
    pub per_minute: NonZeroU32,
    /// Which minute that is.
    pub window: RateWindow,
    /// What a 429 says.
    pub body: TooManyBody,
    /// Whether a 429 tells in `Retry-After` how many whole seconds it is until a request will be let in.
    pub retry_after: bool,
}

impl RateLimit {
    /// A limit as the reports have it (polygon-api.md §1), in a minute that slides.
    #[must_use]
    pub fn per_minute(per_minute: NonZeroU32) -> Self {
        Self { per_minute, window: RateWindow::Sliding, body: TooManyBody::Json, retry_after: false }
    }
}

/// Which minute a limit is about. The service's is not known; a client that keeps within every sliding minute keeps
/// within the fixed ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RateWindow {
    /// Any 60 seconds.
    Sliding,
    /// 60 seconds from a request on; the next begin with the first request after them, and count from zero.
    Fixed,
}

/// The body of a 429. Both were reported (polygon-api.md §1, Errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TooManyBody {
    /// An error in JSON, as with other refusals.
    Json,
    /// None at all.
    Empty,
}

/// Why a sandbox did not come up.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The sandbox is for this machine alone.
    #[error("{address} is not a loopback address: a sandbox is for this machine alone")]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The port is taken, or may not be used.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The folder or one of its files cannot be read at all.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The folder or the file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder has no `<TICKER>.csv` and no `<TICKER>.csv.gz`.
    #[error("no <TICKER>.csv or <TICKER>.csv.gz in {}", path.display())]
    NothingRecorded {
        /// The folder.
        path: PathBuf,
    },
    /// A file of bars that is not what it should be.
    #[error("{}, line {line}: {reason}", path.display())]
    Recorded {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 1 too where the file as a whole is meant.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}
