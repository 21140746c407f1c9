//! Resolves settings from the command line, the environment and the files.
//!
//! The order is flag > environment > saved settings of the data directory > spec > `grab.toml` >
//! `$XDG_CONFIG_HOME/grab/config.toml` > default; a spec that is named now wins over saved settings. All later code
//! reads the resolved settings only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use grab_core::{clock::Clock, data_dir::DataDir, source::ProxyVariables, store::Encodings};
use grab_model::{ApiKey, RateError, plan::Spec};
use grab_ops::{
    ConnectOptions, Error as Failure, HostOrigin, KEY_VARIABLES, SavedStart, read_base_url, read_bool,
    read_certificates, read_concurrency, read_config_file, read_encodings, read_key_file, read_key_variable,
    read_positive, read_time, read_timeout, user_state_dir,
};
use jiff::Timestamp;

use super::args::{
    CommonArgs, FetchArgs, FlagValues, LogFormat, ParquetArgs, ProgressMode, Setting, setting_list as list,
};
use choice::read_choice;

/// The default data directory.
pub const DEFAULT_DATA_DIR: &str = "data";

/// The default data directory of the sandbox.
pub const SANDBOX_DATA_DIR: &str = "sandbox-data";

/// Values that a file sets, as texts, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Layer {
    name: String,
    values: BTreeMap<String, String>,
    /// Whether these are saved settings of a data directory, not a file.
    is_remembered: bool,
}

/// The sources of values besides flags: the environment, as a function, so that tests need no real one, and files.
#[derive(Clone)]
pub struct Sources<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    files: Vec<Layer>,
    /// The data directory if none is named.
    default_data_dir: &'static str,
}

/// How to fetch, and how to show it.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    /// How to reach the service, and how fast.
    pub options: ConnectOptions,
    /// How progress is shown.
    pub progress: ProgressMode,
}

impl<'a> Sources<'a> {
    /// Reads the config files of the working directory and of the user. `env` returns a variable that is set and not empty.
    ///
    /// # Errors
    /// If one is there and cannot be read, or has an unknown key.
    pub fn read(env: &'a dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let home = env("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = home.or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".config")));
        let paths = [Some(PathBuf::from("grab.toml")), home.map(|home| home.join("grab/config.toml"))];
        let files = paths.into_iter().flatten().map(|path| Layer::read(&path)).collect::<Result<_, _>>()?;
        Ok(Self { env, files, default_data_dir: DEFAULT_DATA_DIR })
    }

    /// Uses the environment alone.
    pub fn without_files(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { env, files: Vec::new(), default_data_dir: DEFAULT_DATA_DIR }
    }

    /// These sources for a command with `--sandbox`: its data go to their own default directory.
    #[must_use]
    pub fn of_sandbox(self) -> Self {
        Self { default_data_dir: SANDBOX_DATA_DIR, ..self }
    }

    /// These sources with a spec above the config files.
    #[must_use]
    pub fn with_spec(mut self, path: &Path, spec: &Spec) -> Self {
        let values = spec_values(spec).into_iter().map(|(setting, value)| (setting.key.to_owned(), value));
        let layer =
            Layer { name: path.display().to_string(), values: values.collect(), is_remembered: false };
        self.files.insert(0, layer);
        self
    }

    /// These sources with what a data directory has saved of its start: the settings, and below them the spec.
    #[must_use]
    pub fn with_saved(self, saved: &SavedStart) -> Self {
        let sources = match &saved.spec {
            Some((path, spec)) => self.with_spec(path, spec),
            None => self,
        };
        sources.with_saved_settings(saved)
    }

    /// These sources with the saved settings of a data directory, for a `start` with a new spec in place of the saved one.
    #[must_use]
    pub fn with_saved_settings(mut self, saved: &SavedStart) -> Self {
        let SavedStart { settings, manifest, .. } = saved;
        let values = settings.iter().map(|saved| (saved.setting.clone(), saved.value.clone())).collect();
        self.files.insert(0, Layer { name: manifest.display().to_string(), values, is_remembered: true });
        self
    }

    /// The settings of how to fetch that a `start` got by flag or variable, to save in the directory: by the key of the
    /// setting; None where a saved one is to be forgotten. Values of config files are not saved: they apply again, and
    /// may be changed on purpose. The sandbox has no host.
    #[must_use]
    pub fn settings_to_save(
        &self,
        args: &FetchArgs,
        parquet: &ParquetArgs,
        spec: Option<&Spec>,
    ) -> BTreeMap<String, Option<String>> {
        let in_spec = spec.map(spec_values).unwrap_or_default();
        let mut to_save = BTreeMap::new();
        for setting in list::ALL.iter().filter(|setting| setting.is_saved) {
            let flag = args.settings.given.get(setting).or_else(|| parquet.given.get(setting));
            let value = flag.cloned().or_else(|| self.variable(setting).map(|(_, value)| value));
            // The sandbox has no host. A value of the spec replaces a saved one if nothing else is set.
            let is_nowhere = args.sandbox && setting.key == list::BASE_URL.key;
            let is_in_spec = in_spec.iter().any(|(other, _)| other.key == setting.key);
            let value = value.filter(|_| !is_nowhere);
            if value.is_some() || is_in_spec || is_nowhere {
                to_save.insert(setting.key.to_owned(), value);
            }
        }
        to_save
    }

    fn variable(&self, setting: &Setting) -> Option<(&'static str, String)> {
        setting.env.iter().find_map(|name| Some((*name, (self.env)(name)?)))
    }

    /// Where the address of the service comes from.
    fn host_origin(&self, args: &FetchArgs) -> HostOrigin {
        if args.settings.given.get(&list::BASE_URL).is_some() || self.variable(&list::BASE_URL).is_some() {
            return HostOrigin::Caller;
        }
        let layer = self.files.iter().find(|layer| layer.values.contains_key(list::BASE_URL.key));
        match layer {
            Some(layer) if layer.is_remembered => HostOrigin::Directory,
            Some(_) => HostOrigin::File,
            None => HostOrigin::Default,
        }
    }

    /// The first value that is set of flag, environment and files, parsed by `read`; an error names where it is set.
    fn get<T>(
        &self,
        setting: &Setting,
        given: &FlagValues,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let usage = |name: &str, why| Failure::Usage(format!("{name}: {why}"));
        if let Some(text) = given.get(setting) {
            return read(text).map(Some).map_err(|why| usage(&setting.typed(), why));
        }
        if let Some((name, text)) = self.variable(setting) {
            return read(&text).map(Some).map_err(|why| usage(name, why));
        }
        let set = self.files.iter().find_map(|file| Some((file, file.values.get(setting.key)?)));
        let config = |file: &Layer, why| Failure::Config(format!("{}: {}: {why}", file.name, setting.key));
        set.map(|(file, text)| read(text).map_err(|why| config(file, why))).transpose()
    }

    /// The data directory.
    ///
    /// # Errors
    /// If the path is not UTF-8.
    pub fn data_dir(&self, common: &CommonArgs) -> Result<DataDir, Failure> {
        let read = |text: &str| {
            if text.contains(char::REPLACEMENT_CHARACTER) {
                return Err(format!("{text:?} is not UTF-8: choose another name"));
            }
            Ok(DataDir::new(text))
        };
        let data_dir = self.get(&list::DATA_DIR, &common.settings.given, read)?;
        Ok(data_dir.unwrap_or_else(|| DataDir::new(self.default_data_dir)))
    }

    /// Whether to continue on a file system that does not promise that writes survive a power failure.
    ///
    /// # Errors
    /// If the environment or a file has neither true nor false.
    pub fn allow_unsynced(&self, common: &CommonArgs) -> Result<bool, Failure> {
        Ok(self.get(&list::ALLOW_UNSYNCED, &common.settings.given, read_bool)?.unwrap_or(false))
    }

    /// The form of logs.
    ///
    /// # Errors
    /// If the environment or a file names another form.
    pub fn log_format(&self, common: &CommonArgs) -> Result<LogFormat, Failure> {
        let named = self.get(&list::LOG_FORMAT, &common.settings.given, read_choice)?;
        Ok(named.unwrap_or(LogFormat::Text))
    }

    /// The encodings of the Parquet files.
    ///
    /// # Errors
    /// If the environment or a file names another kind.
    pub fn encodings(&self, args: &ParquetArgs) -> Result<Encodings, Failure> {
        Ok(self.get(&list::PARQUET, &args.given, read_encodings)?.unwrap_or_default())
    }

    /// What to log, in the syntax of `RUST_LOG`, if `GRAB_LOG` is set.
    #[must_use]
    pub fn log_filter(&self) -> Option<String> {
        (self.env)("GRAB_LOG")
    }

    /// The system's clock, or the one that `GRAB_NOW` pretends.
    ///
    /// # Errors
    /// If `GRAB_NOW` is not an RFC 3339 instant.
    pub fn clock(&self) -> Result<Clock, Failure> {
        let Some(text) = (self.env)("GRAB_NOW") else { return Ok(Clock::system()) };
        let wrong =
            |_| Failure::Usage(format!("GRAB_NOW: {text:?} is not an instant such as 2024-07-03T21:00:00Z"));
        text.parse::<Timestamp>().map(Clock::starting_at).map_err(wrong)
    }

    /// The key. None if no source has one.
    ///
    /// # Errors
    /// If the file that should have it cannot be read, or its content cannot be a key.
    pub fn key(&self) -> Result<Option<ApiKey>, Failure> {
        let set = KEY_VARIABLES.iter().find_map(|name| Some((name, (self.env)(name)?)));
        if let Some((name, value)) = set {
            return read_key_variable(name, &value).map(Some).map_err(Failure::Key);
        }
        let path = self.get(&list::API_KEY_FILE, &FlagValues::default(), |text| Ok(text.to_owned()))?;
        path.map(|path| read_key_file(&path).map_err(Failure::Key)).transpose()
    }
}

impl Layer {
    /// The values of a config file; empty if it does not exist.
    fn read(path: &Path) -> Result<Self, Failure> {
        let values = read_config_file(path, &list::keys())?;
        Ok(Self { name: path.display().to_string(), values, is_remembered: false })
    }
}

/// The settings that a spec names, with their values.
fn spec_values(spec: &Spec) -> Vec<(&'static Setting, String)> {
    let values = [
        (&list::RATE, spec.pacing.rate.clone()),
        (&list::CONCURRENCY, spec.pacing.concurrency.map(|n| n.to_string())),
        (&list::ADJUSTED, spec.adjusted.map(|adjusted| adjusted.to_string())),
        (&list::PARQUET, spec.parquet.clone()),
    ];
    values.into_iter().filter_map(|(setting, value)| Some((setting, value?))).collect()
}

impl FetchSettings {
    /// Resolves how to fetch.
    ///
    /// # Errors
    /// With the name of the flag, variable or key whose value is wrong.
    pub fn resolve(args: &FetchArgs, sources: &Sources<'_>) -> Result<Self, Failure> {
        let given = &args.settings.given;
        let time = |setting| sources.get(setting, given, read_time);
        let timeout = |setting| sources.get(setting, given, read_timeout);
        let rate = |text: &str| text.parse().map_err(|error: RateError| error.to_string());
        let defaults = ConnectOptions::default();
        let options = ConnectOptions {
            sandbox: args.sandbox,
            base_url: sources.get(&list::BASE_URL, given, read_base_url)?,
            host_origin: sources.host_origin(args),
            key: sources.key().map_err(|failure| failure.to_string()),
            is_continued: true,
            rate: sources.get(&list::RATE, given, rate)?,
            state_dir: user_state_dir(sources.env),
            concurrency: sources.get(&list::CONCURRENCY, given, read_concurrency)?,
            adjusted: sources.get(&list::ADJUSTED, given, read_bool)?,
            max_attempts: sources
                .get(&list::MAX_ATTEMPTS, given, read_positive)?
                .unwrap_or(defaults.max_attempts),
            max_retry_time: time(&list::MAX_RETRY_TIME)?.unwrap_or(defaults.max_retry_time),
            connect_timeout: timeout(&list::CONNECT_TIMEOUT)?.unwrap_or(defaults.connect_timeout),
            read_timeout: timeout(&list::READ_TIMEOUT)?.unwrap_or(defaults.read_timeout),
            ca_bundle: sources.get(&list::CA_BUNDLE, given, read_certificates)?.unwrap_or_default(),
            proxies: ProxyVariables::read(sources.env),
            max_duration: time(&list::MAX_DURATION)?,
            max_requests: sources.get(&list::MAX_REQUESTS, given, read_positive)?,
            encodings: Encodings::default(),
        };
        let progress = sources.get(&list::PROGRESS, given, read_choice);
        Ok(Self { options, progress: progress?.unwrap_or(ProgressMode::Auto) })
    }

    /// Resolves how to fetch and to write bars.
    ///
    /// # Errors
    /// Those of [`FetchSettings::resolve`].
    pub fn resolve_with(
        args: &FetchArgs,
        parquet: &ParquetArgs,
        sources: &Sources<'_>,
    ) -> Result<Self, Failure> {
        let mut settings = Self::resolve(args, sources)?;
        settings.options.encodings = sources.encodings(parquet)?;
        Ok(settings)
    }
}

mod choice;
#[cfg(test)]
mod tests;
