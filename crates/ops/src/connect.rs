//! How a job reaches its source: from options and key to client, pace and limits.

use std::{fmt, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use fastrand::Rng;
use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{RunContext, RunCounters, Stop, StopReason},
    manifest::{ManifestWriter, Outstanding, SavedPace, StoreKind, WriterHandle},
    pace::{LearnedPace, Pace, Pacer, RetryPolicy, SharedPace},
    source::{Polygon, PolygonOptions, ProxyRoute, ProxyVariables},
    store::{BarStore, Encodings},
};
use grab_model::{ApiKey, Rate};
use grab_sandbox::{Sandbox, SandboxOptions};
use reqwest::Certificate;
use url::Url;

use crate::{Error, Notice, Observer, Phase, PhaseView};

/// The vendor's host since 2025-10-30 (polygon-api.md §1).
const DEFAULT_BASE_URL: &str = "https://api.massive.com";

/// The two names of the vendor's host: the limits of a key are the same behind both.
const NAMES_OF_VENDOR: [&str; 2] = ["api.massive.com", "api.polygon.io"];

/// The source name in the files of the sandbox.
pub const SANDBOX: &str = "sandbox";

/// The limits for one page of a list before bars: afterwards the bars are fetched without the list.
const LIST_ATTEMPTS: u32 = 3;
const LIST_TIME: Duration = Duration::from_mins(1);

/// Open files of a run besides its requests: the manifest for a writer and a reader, the lock, a group of new files, signals.
const OWN_FILES: u64 = 48;

/// The vendor's free plan (polygon-api.md §1): the only rate that suits every plan.
const FREE_PLAN: Rate =
    Rate::Limited { requests: NonZeroU32::new(5).unwrap(), period: Duration::from_mins(1) };

/// Where the address of the service comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostBy {
    /// The caller of this run.
    Caller,
    /// The data directory, which was started with it.
    Directory,
    /// A config file.
    File,
    /// The vendor's default.
    Default,
}

/// How to reach the service, and how fast.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Whether the built-in sandbox is the source: no key, no network.
    pub sandbox: bool,
    /// The address of the service; None for the vendor's host.
    pub base_url: Option<Url>,
    /// Where the address comes from.
    pub host_by: HostBy,
    /// The API key, or None. An error says why the expected key is missing; it is returned only when the key is needed.
    pub key: Result<Option<ApiKey>, String>,
    /// Whether the job continues in a directory that was started before: then a sandbox directory stays one, unless a
    /// host is named.
    pub is_continued: bool,
    /// The request rate; None for that of the vendor's free plan, or no limit for the sandbox.
    pub rate: Option<Rate>,
    /// The user's folder for state, where all processes with the same service and key share their pace. None to keep the
    /// pace in memory, and from run to run in the data directory.
    pub state_dir: Option<PathBuf>,
    /// The number of requests under way at once; None to choose it from the rate.
    pub concurrency: Option<usize>,
    /// Whether to request split-adjusted bars; None to keep what the directory holds.
    pub adjusted: Option<bool>,
    /// The most requests for one page.
    pub max_attempts: u32,
    /// Time for the retries of one page, and for an outage.
    pub max_retry_time: Duration,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// The longest silence within a response.
    pub read_timeout: Duration,
    /// Certificates to trust besides the platform's.
    pub ca_bundle: Vec<Certificate>,
    /// The proxy variables of the environment.
    pub proxies: ProxyVariables,
    /// When to stop cleanly.
    pub max_duration: Option<Duration>,
    /// The number of requests after which to stop cleanly.
    pub max_requests: Option<u64>,
    /// The encodings of the files of bars.
    pub encodings: Encodings,
}

impl Default for ConnectOptions {
    /// The vendor's service without a key, at the pace of its free plan.
    fn default() -> Self {
        Self {
            sandbox: false,
            base_url: None,
            host_by: HostBy::Default,
            key: Ok(None),
            is_continued: false,
            rate: None,
            state_dir: None,
            concurrency: None,
            adjusted: None,
            max_attempts: 8,
            max_retry_time: Duration::from_mins(10),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_mins(1),
            ca_bundle: Vec::new(),
            proxies: ProxyVariables::default(),
            max_duration: None,
            max_requests: None,
            encodings: Encodings::default(),
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sandbox, base_url, rate, concurrency, .. } = self;
        let base_url = base_url.as_ref().map(Url::as_str);
        f.debug_struct("ConnectOptions")
            .field("sandbox", sandbox)
            .field("base_url", &base_url)
            .field("rate", rate)
            .field("concurrency", concurrency)
            .finish_non_exhaustive()
    }
}

impl ConnectOptions {
    /// The request rate: as set, else no limit for the sandbox, else that of the free plan.
    #[must_use]
    pub fn rate(&self, sandbox: bool) -> Rate {
        self.rate.unwrap_or(if sandbox { Rate::Unlimited } else { FREE_PLAN })
    }

    /// The number of requests under way at once: as set, else enough for the rate.
    #[must_use]
    pub fn concurrency(&self, sandbox: bool) -> usize {
        self.concurrency.unwrap_or_else(|| concurrency_for(self.rate(sandbox)))
    }

    /// The number of files and connections that a run may have open at once: its own, and for each request two
    /// connections, as the sandbox is in the same process, and the files being written.
    #[must_use]
    pub fn open_files(&self, sandbox: bool) -> u64 {
        OWN_FILES + 4 * self.concurrency(sandbox) as u64
    }

    /// The kind of bars that the directory holds or is to hold. Without an explicit setting, a directory keeps its kind.
    #[must_use]
    pub fn kind(&self, held: Option<StoreKind>) -> StoreKind {
        let adjusted = self.adjusted.or(held.map(|held| held.adjusted)).unwrap_or(false);
        // A host from a file or from the directory itself does not switch the sandbox off; one that the caller names does.
        let goes_on = self.is_continued && self.host_by != HostBy::Caller;
        let sandbox = self.sandbox || (goes_on && held.is_some_and(|held| held.sandbox));
        StoreKind { adjusted, sandbox }
    }

    /// The service by host and port, to which a plan's history belongs. None for the sandbox of this process, which
    /// serves everything.
    #[must_use]
    pub fn service(&self, kind: StoreKind) -> Option<String> {
        let url = self.base_url().ok().filter(|_| !kind.sandbox)?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// The service of a directory that holds bars of this kind already, or none yet.
    #[must_use]
    pub fn service_of(&self, held: Option<StoreKind>) -> Option<String> {
        self.service(self.kind(held))
    }

    fn base_url(&self) -> Result<Url, Error> {
        let default = || Url::parse(DEFAULT_BASE_URL).map_err(|error| Error::Usage(error.to_string()));
        self.base_url.clone().map_or_else(default, Ok)
    }

    /// These options with the limits for lists that precede bars.
    #[must_use]
    pub fn for_lists(&self) -> Self {
        Self {
            max_attempts: self.max_attempts.min(LIST_ATTEMPTS),
            max_retry_time: self.max_retry_time.min(LIST_TIME),
            max_duration: self.max_duration.map(|time| time / 2),
            ..self.clone()
        }
    }
}

/// Enough requests under way to use the rate even if a response takes three seconds, at most 32.
fn concurrency_for(rate: Rate) -> usize {
    match rate.per_second() {
        None => 16,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2..=32")]
        Some(rate) => (3.0 * rate).ceil().clamp(2.0, 32.0) as usize,
    }
}

/// What a job knows about its source before the first request.
#[derive(Clone)]
pub struct Connection {
    /// How to reach it.
    pub options: ConnectOptions,
    /// The clock.
    pub clock: Clock,
    /// Receives notices and progress.
    pub observer: Arc<dyn Observer>,
}

/// What all workers of one run and its observer share.
#[derive(Clone)]
pub struct RunHandles {
    /// Writes the manifest.
    pub manifest: WriterHandle,
    /// Counts what happens.
    pub counters: Arc<RunCounters>,
    /// Decides when a request may be sent.
    pub pacer: Arc<Pacer>,
    /// Tells when to stop, and why.
    pub stop: Stop,
}

impl Connection {
    /// Creates a pacer with the pace of this service and key, or else with that of the last run.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn pacer(&self, kind: StoreKind, writer: &ManifestWriter) -> Result<Arc<Pacer>, Error> {
        let rate = self.options.rate(kind.sandbox);
        let ago =
            |ms: i64| Duration::from_millis(u64::try_from(self.clock.now_ms() - ms).unwrap_or_default());
        let kept = writer.pace(&rate.to_string())?;
        let pace = |kept: SavedPace| Pace { per_second: kept.per_second, refused: kept.refused };
        let learnt = LearnedPace {
            pace: kept.map(|kept| (pace(kept), ago(kept.at_ms))),
            last_request: writer.last_run_ms()?.map(ago),
        };
        Ok(Arc::new(match self.shared_pace(kind) {
            Some(shared) => Pacer::shared(rate, learnt, shared),
            None => Pacer::new(rate, learnt),
        }))
    }

    /// The pace of this service and key. None without a limit, for the sandbox of this process, and if the user's state
    /// directory cannot be used: then the pace is this process's own.
    fn shared_pace(&self, kind: StoreKind) -> Option<SharedPace> {
        let ConnectOptions { state_dir, key, .. } = &self.options;
        let (state_dir, key) = (state_dir.as_ref()?, key.as_ref().ok()?.as_ref()?);
        let service = self.options.service(kind)?;
        self.options.rate(kind.sandbox).period()?;
        let service = if NAMES_OF_VENDOR.contains(&service.as_str()) { "the vendor" } else { &service };
        SharedPace::open(state_dir, service, key)
            .inspect_err(|error| {
                tracing::debug!(
                    "the pace is not shared with other processes: {}: {error}",
                    state_dir.display()
                );
            })
            .ok()
    }

    /// Creates the store, which writes the source into each file.
    ///
    /// # Errors
    /// If the address is not valid.
    pub fn store(&self, data_dir: DataDir, kind: StoreKind) -> Result<BarStore, Error> {
        let host = self.options.base_url()?.host_str().unwrap_or_default().to_owned();
        let source = if kind.sandbox { SANDBOX.to_owned() } else { host };
        Ok(BarStore::new(data_dir, kind.adjusted, source).with_encodings(self.options.encodings))
    }

    /// Opens the client; with the sandbox, also the server, which runs as long as it is kept in the result.
    ///
    /// # Errors
    /// If there is no way to the service or no key, or the client or the sandbox cannot be set up.
    pub async fn open(&self, kind: StoreKind) -> Result<(Option<Sandbox>, Polygon), Error> {
        if let Some(host) = self.saved_host(kind) {
            // The key is sent there, so a user who did not start this directory should know.
            self.observer.notice(&Notice::SavedHost(host.to_string()));
        }
        let (sandbox, base_url, key) = self.address(kind).await?;
        Ok((sandbox, self.client(base_url, key, kind)?))
    }

    async fn address(&self, kind: StoreKind) -> Result<(Option<Sandbox>, Url, ApiKey), Error> {
        if kind.sandbox {
            let clock = self.clock;
            let options =
                SandboxOptions { now: Arc::new(move || clock.now_ms()), ..SandboxOptions::default() };
            let sandbox = Sandbox::start(options).await?;
            let url = Url::parse(&sandbox.base_url()).map_err(|error| Error::Usage(error.to_string()))?;
            let key =
                ApiKey::new("sandbox").ok_or_else(|| Error::Key("the sandbox has no key".to_owned()))?;
            return Ok((Some(sandbox), url, key));
        }
        Ok((None, self.options.base_url()?, self.key()?))
    }

    fn key(&self) -> Result<ApiKey, Error> {
        self.options
            .key
            .clone()
            .map_err(Error::Key)?
            .ok_or_else(|| Error::Key("there is no API key".to_owned()))
    }

    /// Checks that the service can be reached before anything is created or recorded for it: that there is a route to
    /// it, and a key. The sandbox needs neither.
    ///
    /// # Errors
    /// If a proxy variable has no valid proxy, or there is no key.
    pub fn check_source(&self, kind: StoreKind) -> Result<(), Error> {
        if kind.sandbox {
            return Ok(());
        }
        self.way_to(&self.options.base_url()?)?;
        self.key().map(|_| ())
    }

    fn way_to(&self, base_url: &Url) -> Result<ProxyRoute, Error> {
        self.options.proxies.route_to(base_url).map_err(|error| Error::Usage(error.to_string()))
    }

    fn client(&self, base_url: Url, key: ApiKey, kind: StoreKind) -> Result<Polygon, Error> {
        let way = if kind.sandbox { ProxyRoute::Direct } else { self.way_to(&base_url)? };
        let options = PolygonOptions {
            base_url,
            way,
            key,
            adjusted: kind.adjusted,
            connect_timeout: self.options.connect_timeout,
            read_timeout: self.options.read_timeout,
            total_timeout: self.options.max_retry_time.max(self.options.read_timeout),
            connections: self.options.concurrency(kind.sandbox),
            ca_bundle: self.options.ca_bundle.clone(),
            clock: self.clock,
        };
        Polygon::new(options).map_err(Error::Client)
    }

    /// The host, if it is the saved one of the directory.
    fn saved_host(&self, kind: StoreKind) -> Option<&Url> {
        let is_saved = self.options.host_by == HostBy::Directory && !kind.sandbox;
        self.options.base_url.as_ref().filter(|_| is_saved)
    }

    /// The error of a stopped run. If the saved host cannot be reached, it names the host.
    pub fn stopped(&self, kind: StoreKind, reason: StopReason) -> Error {
        let host = self.saved_host(kind).filter(|_| matches!(reason, StopReason::Unreachable(_)));
        let host = host.map(ToString::to_string);
        let stopped = Error::Stopped(reason);
        match host {
            Some(host) => Error::Remembered { host, why: Box::new(stopped) },
            None => stopped,
        }
    }

    /// Everything that the engine needs besides its source.
    #[must_use]
    pub fn parts(&self, kind: StoreKind, store: BarStore, running: &RunHandles) -> RunContext {
        let RunHandles { manifest, counters, pacer, stop } = running.clone();
        RunContext {
            store,
            manifest,
            pacer,
            rate: self.options.rate(kind.sandbox),
            retry_policy: RetryPolicy {
                max_attempts: self.options.max_attempts,
                max_time: self.options.max_retry_time,
            },
            workers: self.options.concurrency(kind.sandbox),
            max_requests: self.options.max_requests,
            service: self.options.service(kind),
            clock: self.clock,
            random: Rng::new(),
            counters,
            stop,
        }
    }

    /// Starts the display of a phase; `unit` names one of its outstanding units.
    #[must_use]
    pub fn show(
        &self,
        kind: StoreKind,
        unit: &'static str,
        outstanding: Outstanding,
        running: &RunHandles,
    ) -> Box<dyn PhaseView> {
        let RunHandles { counters, pacer, stop, .. } = running.clone();
        counters.begin_phase();
        let rate = self.options.rate(kind.sandbox);
        self.observer.phase(Phase { unit, rate, pacer, outstanding, counters, stop })
    }

    /// Requests a clean stop when the time for the run is over.
    pub fn stop_in_time(&self, stop: &Stop) {
        if let Some(time) = self.options.max_duration {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                stop.request(StopReason::Duration);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_is_chosen_from_the_rate() {
        let chosen = ["5/min", "2/s", "10/s", "100/s", "none"].map(|rate| {
            let options = ConnectOptions { rate: Some(rate.parse().unwrap()), ..ConnectOptions::default() };
            options.concurrency(false)
        });
        assert_eq!(chosen, [2, 6, 30, 32, 16]);
    }
}
