//! How to reach the service, and how fast.

use std::{env, fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use grab_core::{manifest::StoreKind, source::ProxyVariables, store::Encodings};
use grab_model::{ApiKey, Rate};
use reqwest::Certificate;
use url::Url;

use crate::Error;

/// The vendor's host since 2025-10-30 (polygon-api.md §1).
const DEFAULT_BASE_URL: &str = "https://api.massive.com";

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
pub enum HostOrigin {
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
    pub host_origin: HostOrigin,
    /// The API key, or None. An error says why the expected key is missing; it is returned only when the key is needed.
    pub key: Result<Option<ApiKey>, String>,
    /// Whether the job continues in a directory that was started before: then a sandbox directory stays one, unless a
    /// host is named.
    pub is_continued: bool,
    /// The request rate; None for that of the vendor's free plan, or no limit for the sandbox.
    pub rate: Option<Rate>,
    /// The folder where all processes with the same service and key share their pace; by default [`user_state_dir`].
    /// None to keep the pace in memory, and from run to run in the data directory.
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
    /// The vendor's service without a key, at the pace of its free plan, which is shared with the user's other processes.
    fn default() -> Self {
        Self {
            sandbox: false,
            base_url: None,
            host_origin: HostOrigin::Default,
            key: Ok(None),
            is_continued: false,
            rate: None,
            state_dir: user_state_dir(&|name| env::var_os(name)?.into_string().ok()),
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
    pub fn kind(&self, stored: Option<StoreKind>) -> StoreKind {
        let adjusted = self.adjusted.or(stored.map(|stored| stored.adjusted)).unwrap_or(false);
        // A host from a file or from the directory itself does not switch the sandbox off; one that the caller names does.
        let goes_on = self.is_continued && self.host_origin != HostOrigin::Caller;
        let sandbox = self.sandbox || (goes_on && stored.is_some_and(|stored| stored.sandbox));
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
    pub fn service_of(&self, stored: Option<StoreKind>) -> Option<String> {
        self.service(self.kind(stored))
    }

    pub(super) fn base_url(&self) -> Result<Url, Error> {
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

/// The folder for the state of the user: `$XDG_STATE_HOME/grab`, else `~/.local/state/grab`. `env` returns a variable
/// that is set. A relative path does not count (XDG Base Directory Specification).
#[must_use]
pub fn user_state_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".local/state"));
    absolute("XDG_STATE_HOME").or_else(home).map(|state| state.join("grab"))
}

/// Enough requests under way to use the rate even if a response takes three seconds, at most 32.
fn concurrency_for(rate: Rate) -> usize {
    match rate.per_second() {
        None => 16,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2..=32")]
        Some(rate) => (3.0 * rate).ceil().clamp(2.0, 32.0) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_the_pace_is_shared_in_the_users_folder_for_state() {
        let of = |pairs: &[(&str, &str)]| {
            let value = |name: &str| pairs.iter().find(|(other, _)| *other == name);
            user_state_dir(&|name| value(name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("HOME", "/h")]), Some("/h/.local/state/grab".into()));
        assert_eq!(of(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]), Some("/s/grab".into()));
        assert_eq!(of(&[("HOME", "/h"), ("XDG_STATE_HOME", "s")]), Some("/h/.local/state/grab".into()));
        assert_eq!(of(&[("HOME", "h")]), None);
        let of_this_process = user_state_dir(&|name| env::var(name).ok());
        assert_eq!(ConnectOptions::default().state_dir, of_this_process);
    }

    #[test]
    fn concurrency_is_chosen_from_the_rate() {
        let chosen = ["5/min", "2/s", "10/s", "100/s", "none"].map(|rate| {
            let options = ConnectOptions { rate: Some(rate.parse().unwrap()), ..ConnectOptions::default() };
            options.concurrency(false)
        });
        assert_eq!(chosen, [2, 6, 30, 32, 16]);
    }
}
