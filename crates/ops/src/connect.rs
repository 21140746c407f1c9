//! How a job gets to its source: options and key → client, pace, limits.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use fastrand::Rng;
use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{RunContext, RunCounters, Stop, StopReason},
    manifest::{ManifestWriter, Outstanding, SavedPace, StoreKind, WriterHandle},
    pace::{LearnedPace, Pace, Pacer, RetryPolicy},
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

/// The host that bars of the sandbox come from, as their files say it.
pub const SANDBOX: &str = "sandbox";

/// How often one page of a list is asked for in vain, and for how long, before bars are worth more.
const LIST_ATTEMPTS: u32 = 3;
const LIST_TIME: Duration = Duration::from_mins(1);

/// Open files of a run without its requests: the manifest for a writer and a reader, the lock, a group of new files, signals.
const OWN_FILES: u64 = 48;

/// The vendor's free plan (polygon-api.md §1): the only pace that is right for everybody.
const FREE_PLAN: Rate =
    Rate::Limited { requests: NonZeroU32::new(5).unwrap(), period: Duration::from_mins(1) };

/// Who says where the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostBy {
    /// Whoever starts this run.
    Caller,
    /// The data directory, which was started with it.
    Directory,
    /// A config file.
    File,
    /// It is the vendor's.
    Default,
}

/// How to reach the service, and how fast.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Whether the built-in sandbox is the source: no key, no network.
    pub sandbox: bool,
    /// Where the service is; the vendor's host if it is not said.
    pub base_url: Option<Url>,
    /// Who said it.
    pub host_by: HostBy,
    /// The API key. None if there is none; an error says why there should be one and is none: it counts once the key is needed.
    pub key: Result<Option<ApiKey>, String>,
    /// Whether the job goes on in a directory that was started before: then one of the sandbox stays one, unless a host is named.
    pub is_continued: bool,
    /// Requests at most; that of the vendor's free plan if it is not said, none for the sandbox.
    pub rate: Option<Rate>,
    /// Requests under way at once; chosen from the rate if it is not said.
    pub concurrency: Option<usize>,
    /// Whether split-adjusted bars are asked for; if it is not said, what the directory holds decides.
    pub adjusted: Option<bool>,
    /// Requests for one page at most.
    pub max_attempts: u32,
    /// Time for the retries of one page, and for an outage.
    pub max_retry_time: Duration,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Silence within an answer at most.
    pub read_timeout: Duration,
    /// Certificates to trust besides the platform's.
    pub ca_bundle: Vec<Certificate>,
    /// What the environment says of proxies.
    pub proxies: ProxyVariables,
    /// When to stop cleanly.
    pub max_duration: Option<Duration>,
    /// After how many requests to stop cleanly.
    pub max_requests: Option<u64>,
    /// Which programs the files of bars are for.
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
    /// Requests at most: as set, else none for the sandbox, else those of the free plan.
    #[must_use]
    pub fn rate(&self, sandbox: bool) -> Rate {
        self.rate.unwrap_or(if sandbox { Rate::Unlimited } else { FREE_PLAN })
    }

    /// Requests under way at once: as set, else enough for the rate.
    #[must_use]
    pub fn concurrency(&self, sandbox: bool) -> usize {
        self.concurrency.unwrap_or_else(|| concurrency_for(self.rate(sandbox)))
    }

    /// Files and connections that a run may have open at once: its own, and for each request two connections, as the sandbox
    /// is in the same process, and files that are written.
    #[must_use]
    pub fn open_files(&self, sandbox: bool) -> u64 {
        OWN_FILES + 4 * self.concurrency(sandbox) as u64
    }

    /// What the directory holds or is to hold. Where nobody says otherwise, a directory stays what it is.
    #[must_use]
    pub fn kind(&self, held: Option<StoreKind>) -> StoreKind {
        let adjusted = self.adjusted.or(held.map(|held| held.adjusted)).unwrap_or(false);
        // A host that a file or the directory itself names is no reason to leave the sandbox; one that is told now is.
        let goes_on = self.is_continued && self.host_by != HostBy::Caller;
        let sandbox = self.sandbox || (goes_on && held.is_some_and(|held| held.sandbox));
        StoreKind { adjusted, sandbox }
    }

    /// Who is asked, by host and port: what a plan serves belongs to it. None for the sandbox of this process, which serves
    /// all there is.
    #[must_use]
    pub fn service(&self, kind: StoreKind) -> Option<String> {
        let url = self.base_url().ok().filter(|_| !kind.sandbox)?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// Who is asked for a directory that holds bars of this kind already, or none yet.
    #[must_use]
    pub fn service_of(&self, held: Option<StoreKind>) -> Option<String> {
        self.service(self.kind(held))
    }

    fn base_url(&self) -> Result<Url, Error> {
        let default = || Url::parse(DEFAULT_BASE_URL).map_err(|error| Error::Usage(error.to_string()));
        self.base_url.clone().map_or_else(default, Ok)
    }

    /// These options for lists that come before bars: they must leave room for these.
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

/// Enough requests under way to use the rate although an answer may take three seconds, at most 32.
fn concurrency_for(rate: Rate) -> usize {
    match rate.per_second() {
        None => 16,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2..=32")]
        Some(rate) => (3.0 * rate).ceil().clamp(2.0, 32.0) as usize,
    }
}

/// What a job knows of its source before it has asked anything.
#[derive(Clone)]
pub struct Connection {
    /// How to reach it.
    pub options: ConnectOptions,
    /// What time it is.
    pub clock: Clock,
    /// Who wants to know how it goes.
    pub observer: Arc<dyn Observer>,
}

/// What all workers of one run share, and whoever watches them.
#[derive(Clone)]
pub struct Running {
    /// Who writes the manifest.
    pub manifest: WriterHandle,
    /// Counts what happens.
    pub counters: Arc<RunCounters>,
    /// Says when a request may leave.
    pub pacer: Arc<Pacer>,
    /// Says when to stop, and why.
    pub stop: Stop,
}

impl Connection {
    /// A pacer that goes on where the last run was.
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
        Ok(Arc::new(Pacer::new(rate, learnt)))
    }

    /// The store, which writes into each file where its content comes from.
    ///
    /// # Errors
    /// If there is no such address.
    pub fn store(&self, data_dir: DataDir, kind: StoreKind) -> Result<BarStore, Error> {
        let host = self.options.base_url()?.host_str().unwrap_or_default().to_owned();
        let source = if kind.sandbox { SANDBOX.to_owned() } else { host };
        Ok(BarStore::new(data_dir, kind.adjusted, source).with_encodings(self.options.encodings))
    }

    /// The client; with the sandbox, that of a server that lives as long as the answer.
    ///
    /// # Errors
    /// If there is no way to the service or no key, or the client or the sandbox cannot be set up.
    pub async fn open(&self, kind: StoreKind) -> Result<(Option<Sandbox>, Polygon), Error> {
        if let Some(host) = self.saved_host(kind) {
            // The key goes there: who did not start this directory should know.
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

    /// Finds out whether the service can be asked, before anything is made or recorded for it: whether there is a way to it,
    /// and a key. The sandbox needs neither.
    ///
    /// # Errors
    /// If a variable that should name a proxy names none, or there is no key.
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

    /// The host that is asked, if it is one that the directory was told before.
    fn saved_host(&self, kind: StoreKind) -> Option<&Url> {
        let is_saved = self.options.host_by == HostBy::Directory && !kind.sandbox;
        self.options.base_url.as_ref().filter(|_| is_saved)
    }

    /// Why a run ends that was stopped: of a host that cannot be reached, whose word it was.
    pub fn stopped(&self, kind: StoreKind, reason: StopReason) -> Error {
        let host = self.saved_host(kind).filter(|_| matches!(reason, StopReason::Unreachable(_)));
        let host = host.map(ToString::to_string);
        let stopped = Error::Stopped(reason);
        match host {
            Some(host) => Error::Remembered { host, why: Box::new(stopped) },
            None => stopped,
        }
    }

    /// What the engine needs besides its source.
    #[must_use]
    pub fn parts(&self, kind: StoreKind, store: BarStore, running: &Running) -> RunContext {
        let Running { manifest, counters, pacer, stop } = running.clone();
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

    /// Begins to show how far a phase is; `unit` is what one of its outstanding units is called.
    #[must_use]
    pub fn show(
        &self,
        kind: StoreKind,
        unit: &'static str,
        outstanding: Outstanding,
        running: &Running,
    ) -> Box<dyn PhaseView> {
        let Running { counters, pacer, stop, .. } = running.clone();
        counters.begin_phase();
        let rate = self.options.rate(kind.sandbox);
        self.observer.phase(Phase { unit, rate, pacer, outstanding, counters, stop })
    }

    /// Asks for a clean stop once the time for the run is over.
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
