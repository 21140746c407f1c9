//! The settings, each once: its flag and the help for it, its variables, its key in config files, its default.
//!
//! From this list come the flags of all commands and their help, the keys that a config file may have, the settings
//! that a data directory saves, and the table in docs/settings.md.

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// The long flag, without hyphens. Empty if it has none.
    pub flag: &'static str,
    /// Its environment variables: the first one that is set counts.
    pub env: &'static [&'static str],
    /// Its key in config files, and its name in the manifest where it is saved.
    pub key: &'static str,
    /// What kind of value it has.
    pub value: Value,
    /// What it is for.
    pub help: &'static str,
    /// The default, in words. Empty if it is off.
    pub default: &'static str,
    /// Whether a `start` saves it in the data directory, for later commands.
    pub is_saved: bool,
}

/// The kind of a setting's value.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Text, with its name in `--help`.
    Text(&'static str),
    /// One of some words.
    Choice(&'static str, &'static [&'static str]),
    /// `true` or `false`; the flag alone means `true`.
    Bool,
    /// On or off; the flag turns it on.
    Switch,
}

macro_rules! settings {
    ($($name:ident: $flag:literal, $env:expr, $key:literal, $value:expr, $help:literal, $default:literal $(, $saved:ident)?;)*) => {
        $(
            #[doc = $help]
            pub static $name: Setting = Setting {
                flag: $flag, env: &$env, key: $key, value: $value, help: $help, default: $default,
                is_saved: settings!(@saved $($saved)?),
            };
        )*
        /// All settings.
        pub static ALL: &[&Setting] = &[$(&$name),*];
    };
    (@saved saved) => { true };
    (@saved) => { false };
}

settings! {
    DATA_DIR: "data-dir", ["GRAB_DATA_DIR"], "data_dir", Value::Text("DIR"),
        "Where bars and manifest are", "./data; ./sandbox-data with --sandbox";
    ALLOW_UNSYNCED: "allow-unsynced", ["GRAB_ALLOW_UNSYNCED"], "allow_unsynced", Value::Switch,
        "Continue although the disk cannot sync", "";
    LOG_FORMAT: "log-format", ["GRAB_LOG_FORMAT"], "log_format", Value::Choice("FORMAT", &["text", "json"]),
        "Format of the log on stderr: text or json", "text";
    BASE_URL: "base-url", ["MASSIVE_API_BASE_URL", "GRAB_BASE_URL"], "base_url", Value::Text("URL"),
        "Address of the service", "https://api.massive.com", saved;
    RATE: "rate", ["GRAB_RATE"], "rate", Value::Text("RATE"),
        "Most requests in a time, such as 5/min, 100/s or none", "5/min; none with --sandbox", saved;
    CONCURRENCY: "concurrency", ["GRAB_CONCURRENCY"], "concurrency", Value::Text("N"),
        "Most requests at once, 1 to 32", "chosen from the rate", saved;
    ADJUSTED: "adjusted", ["GRAB_ADJUSTED"], "adjusted", Value::Bool,
        "Request split-adjusted bars instead of bars as traded", "false";
    MAX_ATTEMPTS: "max-attempts", ["GRAB_MAX_ATTEMPTS"], "max_attempts", Value::Text("N"),
        "Most requests for one page", "8";
    MAX_RETRY_TIME: "max-retry-time", ["GRAB_MAX_RETRY_TIME"], "max_retry_time", Value::Text("TIME"),
        "Longest time for the retries of one page, for one response, and for an outage", "10m";
    CONNECT_TIMEOUT: "connect-timeout", ["GRAB_CONNECT_TIMEOUT"], "connect_timeout", Value::Text("TIME"),
        "Longest time to connect", "10s";
    READ_TIMEOUT: "read-timeout", ["GRAB_READ_TIMEOUT"], "read_timeout", Value::Text("TIME"),
        "Longest silence within a response", "60s";
    CA_BUNDLE: "ca-bundle", ["SSL_CERT_FILE"], "ca_bundle", Value::Text("FILE"),
        "Trust these certificates (PEM) too: of authorities, or a server's own if it is not CA:TRUE; on Linux, the variable replaces the platform's", "the platform's";
    PROGRESS: "progress", ["GRAB_PROGRESS"], "progress",
        Value::Choice("MODE", &["auto", "bar", "lines", "json", "none"]),
        "Progress on stderr: auto, bar, lines, json or none", "auto";
    MAX_DURATION: "max-duration", ["GRAB_MAX_DURATION"], "max_duration", Value::Text("TIME"),
        "Stop cleanly after this time, exit 10", "";
    MAX_REQUESTS: "max-requests", ["GRAB_MAX_REQUESTS"], "max_requests", Value::Text("N"),
        "Stop cleanly after this many requests, exit 10", "";
    PARQUET: "parquet", ["GRAB_PARQUET"], "parquet", Value::Choice("KIND", &["compatible", "compact"]),
        "Write Parquet for all readers, or smaller files for the newest: compatible or compact", "compatible", saved;
    API_KEY_FILE: "", ["GRAB_API_KEY_FILE"], "api_key_file", Value::Text("FILE"),
        "File with the API key and nothing else", "";
}

/// The keys that a config file may have.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    ALL.iter().map(|setting| setting.key).collect()
}

/// The settings that say how to reach the service: a command that is printed for the user has those that were given.
pub static CONNECTION: [&Setting; 8] = [
    &BASE_URL,
    &RATE,
    &CONCURRENCY,
    &MAX_ATTEMPTS,
    &MAX_RETRY_TIME,
    &CONNECT_TIMEOUT,
    &READ_TIMEOUT,
    &CA_BUNDLE,
];

impl Setting {
    /// The help of its flag: what it is for, its variables and its default.
    #[must_use]
    pub fn help(&self) -> String {
        let default = (!self.default.is_empty()).then(|| format!(" [default: {}]", self.default));
        format!("{} [env: {}]{}", self.help, self.env.join(", "), default.unwrap_or_default())
    }

    /// Its flag as it is typed.
    #[must_use]
    pub fn typed(&self) -> String {
        format!("--{}", self.flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/settings.md.
    fn table() -> String {
        let row = |setting: &&Setting| {
            let code = |text: &str| format!("`{text}`");
            let flag = match (setting.flag, setting.value) {
                ("", _) => "–".to_owned(),
                (flag, Value::Switch) => code(&format!("--{flag}")),
                (flag, Value::Bool) => code(&format!("--{flag}[=BOOL]")),
                (flag, Value::Text(name) | Value::Choice(name, _)) => code(&format!("--{flag} {name}")),
            };
            let env: Vec<_> = setting.env.iter().map(|name| code(name)).collect();
            let saved = if setting.is_saved { "yes" } else { "" };
            let (help, default) = (setting.help, setting.default);
            format!("| {flag} | {} | `{}` | {help} | {default} | {saved} |", env.join(", "), setting.key)
        };
        ALL.iter().map(row).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_table_in_the_docs_is_this_list() {
        let page = include_str!("../../docs/settings.md");
        assert!(page.contains(&table()), "docs/settings.md lacks these rows:\n{}", table());
    }

    #[test]
    fn each_name_stands_for_one_setting() {
        let names = ALL.iter().flat_map(|one| {
            [one.typed(), one.key.to_owned()].into_iter().chain(one.env.iter().map(|name| (*name).to_owned()))
        });
        let names: Vec<_> = names.filter(|name| name != "--").collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
