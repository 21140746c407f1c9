//! The subscription of a `start`.

use grab_core::manifest::Subscription;
use grab_model::plan;
use grab_ops::{Error as Failure, SpecFile, subscription_of};

use super::super::args::{OrderArgs, StartArgs, joined};

/// The subscription, if one is requested: of the command line, else of the spec.
///
/// # Errors
/// If the command line names an unknown list, or an invalid code.
pub fn order(args: &StartArgs, spec: Option<&SpecFile>) -> Result<Option<Subscription>, Failure> {
    let OrderArgs { universe, types, exchanges, as_of } = &args.order;
    let list = match universe {
        Some(name) => {
            let unknown = || Failure::Usage(format!("--universe: {name:?} is no list: there is us-stocks"));
            let codes = |codes: &[String]| (!codes.is_empty()).then(|| codes.to_vec());
            let requested = plan::SpecUniverse {
                list: Some(plan::UniverseList::parse(name).ok_or_else(unknown)?),
                types: codes(types),
                exchanges: codes(exchanges),
                as_of: *as_of,
                ..plan::SpecUniverse::default()
            };
            let wrong = |(key, why): plan::KeyProblem| {
                let flag = key.trim_start_matches("universe.").trim_end_matches('s').replace('_', "-");
                Failure::Usage(format!("--{flag}: {why}"))
            };
            requested.check().map_err(wrong)?;
            Some(requested)
        }
        None if !types.is_empty() || !exchanges.is_empty() || as_of.is_some() => {
            let advice = "--type, --exchange and --as-of go with --universe us-stocks";
            return Err(Failure::Usage(advice.to_owned()));
        }
        None if !args.tickers.is_empty() || args.tickers_file.is_some() => None,
        None => return Ok(spec.and_then(SpecFile::subscription).map(|of_spec| with_windows(of_spec, args))),
    };
    let windows = joined(&args.windows).or_else(|| spec.map(|spec| spec.spec().windows.join(",")));
    Ok(list.and_then(|list| subscription_of(&list, windows.unwrap_or_default())))
}

/// The subscription of a spec, with the windows of the command line if it names some.
fn with_windows(subscription: Subscription, args: &StartArgs) -> Subscription {
    let windows = joined(&args.windows).unwrap_or(subscription.windows);
    Subscription { windows, ..subscription }
}
