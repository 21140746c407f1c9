//! `grab sandbox`: the loopback server for people who try things.

use std::sync::Arc;

use serde::Serialize;

use super::{
    args::{SandboxArgs, SandboxRateArgs},
    failure::Failure,
    fetch::announce_clock,
    output::{Output, say},
    settings::{Sources, read_time},
    signals,
};
use crate::{
    engine::Stop,
    exit::ExitStatus,
    sandbox::{RateLimit, Sandbox, SandboxOptions},
};

/// Printed once the server listens.
#[derive(Serialize)]
struct Listening {
    command: &'static str,
    base_url: String,
}

/// Serves until a signal comes.
///
/// # Errors
/// If the options are wrong, the address is taken, or recorded bars cannot be read.
pub fn run(args: &SandboxArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let clock = sources.clock()?;
    announce_clock(clock);
    let latency = read_time(&args.latency).map_err(|why| Failure::Usage(format!("--latency: {why}")))?;
    let options = SandboxOptions {
        seed: args.seed,
        recorded: args.recorded.clone(),
        listen: args.listen,
        key: args.key.clone(),
        rate_limit: rate_limit(&args.rate),
        forbidden: args.forbid.iter().copied().collect(),
        history_from: args.history_from,
        clip_history: args.clip_history,
        page_cap: args.page_cap,
        latency,
        forget_adjusted: args.forget_adjusted,
        delayed: args.delayed,
        now: Arc::new(move || clock.now_ms()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(options).await?;
        let stop = Stop::default();
        signals::watch(stop.clone())?;
        let listening = Listening { command: "sandbox", base_url: sandbox.base_url() };
        output.report(&listening, |listening| listening.base_url.clone())?;
        say(
            "try it: MASSIVE_API_KEY=any grab start --rate none --base-url with this address; Ctrl-C ends it",
        );
        stop.requested().await;
        Ok(ExitStatus::Complete)
    })
}

fn rate_limit(args: &SandboxRateArgs) -> Option<RateLimit> {
    let (window, body, retry_after) = (args.rate_window, args.rate_body, args.retry_after);
    args.plan_rate.map(|per_minute| RateLimit { per_minute, window, body, retry_after })
}
