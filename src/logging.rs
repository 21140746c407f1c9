//! Logs on stderr, with more detail than the report.

use grab_ops::Error as Failure;
use tracing_subscriber::{EnvFilter, fmt};

use super::{
    args::{CommonArgs, LogFormat},
    output::stderr_is_terminal,
    settings::Sources,
};

/// Starts logging by flags and environment: warnings by default.
///
/// # Errors
/// If the settings cannot be understood.
pub fn start(common: &CommonArgs, sources: &Sources<'_>) -> Result<(), Failure> {
    let by_flags = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "grab=info,warn",
        (false, 2) => "grab=debug,info",
        (false, _) => "grab=trace,debug",
    };
    let chosen = common.quiet || common.verbose > 0;
    let filter = sources.log_filter().filter(|_| !chosen).unwrap_or_else(|| by_flags.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| Failure::Usage(format!("GRAB_LOG: {error}")))?;
    let colours = stderr_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // Fails if a test has started it before: then that logger is used.
    let _ = match sources.log_format(common)? {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
    Ok(())
}
