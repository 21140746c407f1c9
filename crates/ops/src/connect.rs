//! How a job reaches its source: from options and key to client, pace and limits.

mod options;

pub use options::{ConnectOptions, HostOrigin, user_state_dir};

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{RunContext, RunCounters, Stop, StopReason},
    manifest::{ManifestWriter, Outstanding, SavedPace, StoreKind, WriterHandle},
    pace::{LearnedPace, Pace, Pacer, RetryPolicy, SharedPace},
    source::{Polygon, PolygonOptions, ProxyRoute},
    store::BarStore,
};
use grab_model::ApiKey;
use grab_sandbox::{Sandbox, SandboxOptions};
use url::Url;

use crate::{Error, Notice, Observer, Phase, PhaseView};

/// The two names of the vendor's host: the limits of a key are the same behind both.
const NAMES_OF_VENDOR: [&str; 2] = ["api.massive.com", "api.polygon.io"];

/// The source name in the files of the sandbox.
pub const SANDBOX: &str = "sandbox";

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
        let is_saved = self.options.host_origin == HostOrigin::Directory && !kind.sandbox;
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

    /// Starts the display of a phase; `unit` names one of its outstanding units, and `row` one of
    /// the rows that it stores, if it counts these.
    #[must_use]
    pub fn show(
        &self,
        kind: StoreKind,
        unit: &'static str,
        row: Option<&'static str>,
        outstanding: Outstanding,
        running: &RunHandles,
    ) -> Box<dyn PhaseView> {
        let RunHandles { counters, pacer, stop, .. } = running.clone();
        counters.begin_phase();
        let rate = self.options.rate(kind.sandbox);
        self.observer.phase(Phase { unit, row, rate, pacer, outstanding, counters, stop })
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
