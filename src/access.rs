//! How a command gets to its source: settings and key → client, pace, progress, limits.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    engine::{RunContext, RunCounters, Stop, StopReason},
    manifest::{ManifestWriter, Outstanding, SavedPace, StoreKind, WriterHandle},
    pace::{LearnedPace, Pace, Pacer, RetryPolicy},
    source::{Polygon, PolygonOptions, ProxyRoute},
    store::BarStore,
};
use grab_model::ApiKey;
use grab_sandbox::{Sandbox, SandboxOptions};
use url::Url;

use super::{
    args::ProgressMode,
    failure::Failure,
    output::say,
    progress::{self, Shown},
    settings::{FetchSettings, HostBy, Sources},
};

/// The vendor's host since 2025-10-30 (polygon-api.md §1).
const DEFAULT_BASE_URL: &str = "https://api.massive.com";

/// The host that bars of the sandbox come from, as their files say it.
pub const SANDBOX: &str = "sandbox";

/// What a command knows of its source before it has asked anything.
pub struct Access<'a> {
    /// The command's name.
    pub command: &'static str,
    /// How to fetch.
    pub settings: &'a FetchSettings,
    /// Where the key comes from.
    pub sources: &'a Sources<'a>,
    /// What time it is.
    pub clock: Clock,
    /// Whether progress is not to be shown.
    pub quiet: bool,
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

impl Access<'_> {
    /// What the directory holds or is to hold. Where nobody says otherwise, a directory stays what it is.
    pub fn kind(&self, held: Option<StoreKind>) -> StoreKind {
        let adjusted = self.settings.adjusted.or(held.map(|held| held.adjusted)).unwrap_or(false);
        // A host that a file or the directory itself names is no reason to leave the sandbox; one that is told now is.
        let goes_on = self.command != "start" && self.settings.host_by != HostBy::Told;
        let sandbox = self.settings.sandbox || (goes_on && held.is_some_and(|held| held.sandbox));
        StoreKind { adjusted, sandbox }
    }

    /// A pacer that goes on where the last run was.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn pacer(&self, kind: StoreKind, writer: &ManifestWriter) -> Result<Arc<Pacer>, Failure> {
        let rate = self.settings.rate(kind.sandbox);
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

    /// Who is asked, by host and port: what a plan serves belongs to it. None for the sandbox of this process, which serves
    /// all there is.
    pub fn service(&self, kind: StoreKind) -> Option<String> {
        let url = self.base_url().ok().filter(|_| !kind.sandbox)?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// The same for a directory that holds bars of this kind already, or none yet.
    pub fn service_of(&self, held: Option<StoreKind>) -> Option<String> {
        self.service(self.kind(held))
    }

    /// The store, which writes into each file where its content comes from.
    ///
    /// # Errors
    /// If there is no such address.
    pub fn store(&self, data_dir: DataDir, kind: StoreKind) -> Result<BarStore, Failure> {
        let host = self.base_url()?.host_str().unwrap_or_default().to_owned();
        let source = if kind.sandbox { SANDBOX.to_owned() } else { host };
        Ok(BarStore::new(data_dir, kind.adjusted, source).with_encodings(self.settings.encodings))
    }

    /// The client; with the sandbox, that of a server that lives as long as the answer.
    ///
    /// # Errors
    /// If there is no way to the service or no key, or the client or the sandbox cannot be set up.
    pub async fn open(&self, kind: StoreKind) -> Result<(Option<Sandbox>, Polygon), Failure> {
        if let Some(host) = self.remembered_host(kind).filter(|_| !self.quiet) {
            // The key goes there: who did not start this directory should know.
            say(&format!("asking {host}, as this directory was told by grab start"));
        }
        let (sandbox, base_url, key) = self.address(kind).await?;
        Ok((sandbox, self.client(base_url, key, kind)?))
    }

    fn base_url(&self) -> Result<Url, Failure> {
        let default = || Url::parse(DEFAULT_BASE_URL).map_err(|error| Failure::Usage(error.to_string()));
        self.settings.base_url.clone().map_or_else(default, Ok)
    }

    async fn address(&self, kind: StoreKind) -> Result<(Option<Sandbox>, Url, ApiKey), Failure> {
        if kind.sandbox {
            let clock = self.clock;
            let options =
                SandboxOptions { now: Arc::new(move || clock.now_ms()), ..SandboxOptions::default() };
            let sandbox = Sandbox::start(options).await?;
            let url = Url::parse(&sandbox.base_url()).map_err(|error| Failure::Usage(error.to_string()))?;
            let key =
                ApiKey::new("sandbox").ok_or_else(|| Failure::Key("the sandbox has no key".to_owned()))?;
            return Ok((Some(sandbox), url, key));
        }
        Ok((None, self.base_url()?, self.key()?))
    }

    fn key(&self) -> Result<ApiKey, Failure> {
        self.sources.key()?.ok_or_else(|| Failure::Key("there is no API key".to_owned()))
    }

    /// Finds out whether the service can be asked, before anything is made or recorded for it: whether there is a way to it,
    /// and a key. The sandbox needs neither.
    ///
    /// # Errors
    /// If a variable that should name a proxy names none, or there is no key.
    pub fn check_source(&self, kind: StoreKind) -> Result<(), Failure> {
        if kind.sandbox {
            return Ok(());
        }
        self.way_to(&self.base_url()?)?;
        self.key().map(|_| ())
    }

    fn way_to(&self, base_url: &Url) -> Result<ProxyRoute, Failure> {
        self.settings.proxies.route_to(base_url).map_err(|error| Failure::Usage(error.to_string()))
    }

    fn client(&self, base_url: Url, key: ApiKey, kind: StoreKind) -> Result<Polygon, Failure> {
        let way = if kind.sandbox { ProxyRoute::Direct } else { self.way_to(&base_url)? };
        let options = PolygonOptions {
            base_url,
            way,
            key,
            adjusted: kind.adjusted,
            connect_timeout: self.settings.connect_timeout,
            read_timeout: self.settings.read_timeout,
            total_timeout: self.settings.max_retry_time.max(self.settings.read_timeout),
            connections: self.settings.concurrency(kind.sandbox),
            ca_bundle: self.settings.ca_bundle.clone(),
            clock: self.clock,
        };
        Polygon::new(options).map_err(Failure::Client)
    }

    /// The host that is asked, if it is one that the directory was told before.
    fn remembered_host(&self, kind: StoreKind) -> Option<&Url> {
        let is_remembered = self.settings.host_by == HostBy::Remembered && !kind.sandbox;
        self.settings.base_url.as_ref().filter(|_| is_remembered)
    }

    /// Why a run ends that was stopped: of a host that cannot be reached, whose word it was.
    pub fn stopped(&self, kind: StoreKind, reason: StopReason) -> Failure {
        let host = self.remembered_host(kind).filter(|_| matches!(reason, StopReason::Unreachable(_)));
        let host = host.map(ToString::to_string);
        let stopped = Failure::Stopped(reason);
        match host {
            Some(host) => Failure::Remembered { host, why: Box::new(stopped) },
            None => stopped,
        }
    }

    /// What the engine needs besides its source.
    pub fn parts(&self, kind: StoreKind, store: BarStore, running: &Running) -> RunContext {
        let Running { manifest, counters, pacer, stop } = running.clone();
        RunContext {
            store,
            manifest,
            pacer,
            rate: self.settings.rate(kind.sandbox),
            retry_policy: RetryPolicy {
                max_attempts: self.settings.max_attempts,
                max_time: self.settings.max_retry_time,
            },
            workers: self.settings.concurrency(kind.sandbox),
            max_requests: self.settings.max_requests,
            service: self.service(kind),
            clock: self.clock,
            random: Rng::new(),
            counters,
            stop,
        }
    }

    /// Shows how far it is until that is ended; `what` is one of what is owed.
    pub fn show(&self, kind: StoreKind, what: &'static str, owed: Outstanding, running: &Running) -> Shown {
        let mode = if self.quiet { ProgressMode::None } else { self.settings.progress };
        let Running { counters, pacer, stop, .. } = running.clone();
        counters.begin_phase();
        progress::show(mode, what, self.settings.rate(kind.sandbox), pacer, owed, counters, stop)
    }

    /// Asks for a clean stop once `--max-duration` is over.
    pub fn stop_in_time(&self, stop: &Stop) {
        if let Some(time) = self.settings.max_duration {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                stop.request(StopReason::Duration);
            });
        }
    }
}
