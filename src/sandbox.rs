//! `grab sandbox`: a loopback server for trying things.

use std::{env, sync::Arc};

use grab_core::{clock::Clock, engine::Stop, exit::ExitStatus};
use grab_model::ApiKey;
use grab_ops::{Error as Failure, read_time};
use grab_sandbox::{Evolution, FaultOptions, PlanRateLimit, ReferenceQuality, Sandbox, SandboxOptions};
use serde::Serialize;

use super::{
    args::{EvolutionArgs, SandboxArgs, SandboxFaultArgs, SandboxRateArgs},
    output::{Output, announce_clock, say},
    report::Report,
    settings::{SANDBOX_DATA_DIR, Sources},
    signals,
    text::Text,
};

/// The variable with the only accepted key. There is no flag for it: a key on a command line is a bad habit.
const KEY_VARIABLE: &str = "GRAB_SANDBOX_KEY";

/// Printed once the server listens.
#[derive(Serialize)]
struct Listening {
    base_url: String,
}

/// Serves until a signal comes.
///
/// # Errors
/// If the options are wrong, the address is taken, or recorded bars cannot be read.
pub fn run(args: &SandboxArgs, sources: &Sources<'_>, output: Output) -> Result<ExitStatus, Failure> {
    let clock = sources.clock()?;
    announce_clock(clock);
    let options = options(args, clock)?;
    // The variable's name and not its value: terminals are recorded.
    let accepted = if options.key.is_some() { format!("${KEY_VARIABLE}") } else { "any".to_owned() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(options).await?;
        let stop = Stop::default();
        signals::watch(stop.clone(), || ExitStatus::Interrupted)?;
        let listening = Listening { base_url: sandbox.base_url() };
        output.report(&listening)?;
        say(&format!(
            "try it: MASSIVE_API_KEY={accepted} grab start --base-url {} --rate none --windows 2024-01 --tickers AAPL \
             --data-dir {SANDBOX_DATA_DIR}-served; Ctrl-C ends it",
            listening.base_url
        ));
        stop.requested().await;
        Ok(ExitStatus::Complete)
    })
}

impl Report for Listening {
    fn text(&self) -> Text {
        Text::new(&self.base_url)
    }
}

fn options(args: &SandboxArgs, clock: Clock) -> Result<SandboxOptions, Failure> {
    Ok(SandboxOptions {
        seed: args.seed,
        recorded: args.recorded.clone(),
        listen: args.listen,
        key: key()?,
        rate_limit: rate_limit(&args.rate),
        forbidden: args.forbid.iter().copied().collect(),
        history_from: args.history_from,
        clip_history: args.clip_history,
        page_cap: args.page_cap,
        latency: read_time(&args.latency).map_err(|why| Failure::Usage(format!("--latency: {why}")))?,
        forget_adjusted: args.forget_adjusted,
        delayed: args.delayed,
        faults: faults(&args.faults)?,
        reference: if args.faults.reference_defects {
            ReferenceQuality::Defective
        } else {
            ReferenceQuality::Sound
        },
        evolution: evolution(&args.evolution)?,
        now: Arc::new(move || clock.now_ms()),
    })
}

/// The only accepted key, if there is one. A client must be able to send it.
fn key() -> Result<Option<String>, Failure> {
    let Some(text) = env::var_os(KEY_VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    let key = text.to_str().map(str::trim).filter(|key| ApiKey::new(key).is_some());
    let wrong = || Failure::Usage(format!("{KEY_VARIABLE} does not hold a key"));
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

fn rate_limit(args: &SandboxRateArgs) -> Option<PlanRateLimit> {
    let (window, body, retry_after) = (args.rate_window, args.rate_body, args.retry_after);
    args.plan_rate.map(|per_minute| PlanRateLimit { per_minute, window, body, retry_after })
}

/// Reads a share, such as 0.3.
fn share(flag: &str, text: &str) -> Result<f64, Failure> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| Failure::Usage(format!("{flag}: a share is a number from 0 to 1")))
}

fn evolution(args: &EvolutionArgs) -> Result<Evolution, Failure> {
    Ok(Evolution {
        settling: args.settling,
        lag: read_time(&args.lag).map_err(|why| Failure::Usage(format!("--lag: {why}")))?,
        holes: args.holes.as_deref().map_or(Ok(0.0), |text| share("--holes", text))?,
    })
}

fn faults(args: &SandboxFaultArgs) -> Result<Option<FaultOptions>, Failure> {
    let Some(text) = &args.faults else { return Ok(None) };
    let share = share("--faults", text)?;
    let mut options = FaultOptions::of(share);
    options.stall =
        read_time(&args.fault_stall).map_err(|why| Failure::Usage(format!("--fault-stall: {why}")))?;
    if !args.fault_kinds.is_empty() {
        options.kinds = args.fault_kinds.iter().copied().collect();
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use clap::Parser;

    use super::{super::args::Cli, *};
    use crate::args::Command;
    use grab_sandbox::{RateWindow, TooManyBody};

    #[test]
    fn the_flags_of_an_evolution_are_its_fields() {
        let evolution = |flags: &str| {
            let words = ["grab", "sandbox"].into_iter().chain(flags.split_whitespace());
            let Command::Sandbox(args) = Cli::parse_from(words).command else { panic!("{flags}") };
            evolution(&args.evolution).ok()
        };
        assert_eq!(evolution(""), Some(Evolution::default()));
        let all = Evolution { settling: 2, lag: Duration::from_mins(45), holes: 0.05 };
        assert_eq!(evolution("--settling 2 --lag 45m --holes 0.05"), Some(all));
        for wrong in ["--holes 1.5", "--holes NaN", "--lag soon"] {
            assert_eq!(evolution(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_flags_of_a_limit_are_its_fields() {
        let limit = |flags: &str| {
            let words = ["grab", "sandbox"].into_iter().chain(flags.split_whitespace());
            let Command::Sandbox(args) = Cli::parse_from(words).command else { panic!("{flags}") };
            rate_limit(&args.rate)
        };
        let five = PlanRateLimit::per_minute(NonZeroU32::new(5).unwrap());
        let empty = PlanRateLimit { body: TooManyBody::Empty, ..five };
        for (flags, expected) in [
            ("", None),
            ("--plan-rate 5", Some(five)),
            ("--plan-rate 5 --rate-window fixed", Some(PlanRateLimit { window: RateWindow::Fixed, ..five })),
            ("--plan-rate 5 --rate-body empty", Some(empty)),
            (
                "--plan-rate 5 --rate-body empty --retry-after",
                Some(PlanRateLimit { retry_after: true, ..empty }),
            ),
        ] {
            assert_eq!(limit(flags), expected, "{flags}");
        }
    }
}
