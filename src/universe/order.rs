//! The subscription of a `start`.

use std::path::Path;

use grab_core::manifest::Subscription;
use grab_model::plan::{self, Spec};
use grab_ops::Error as Failure;

use super::super::args::{OrderArgs, StartArgs, joined};

/// The subscription, if one is requested: of the command line, else of the spec.
///
/// # Errors
/// If the command line names an unknown list, or an invalid code.
pub fn order(args: &StartArgs, spec: Option<(&Path, &Spec)>) -> Result<Option<Subscription>, Failure> {
    let OrderArgs { universe, types, exchanges, as_of } = &args.order;
    let list = match universe {
        Some(name) => {
            let unknown = || Failure::Usage(format!("--universe: {name:?} is no list: there is us-stocks"));
            let codes = |codes: &[String]| (!codes.is_empty()).then(|| codes.to_vec());
            let asked = plan::SpecUniverse {
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
            asked.check().map_err(wrong)?;
            Some(asked)
        }
        None if !types.is_empty() || !exchanges.is_empty() || as_of.is_some() => {
            let advice = "--type, --exchange and --as-of go with --universe us-stocks";
            return Err(Failure::Usage(advice.to_owned()));
        }
        None if !args.tickers.is_empty() || args.tickers_file.is_some() => None,
        None => spec.map(|(_, spec)| spec.universe.clone()).filter(|universe| universe.list.is_some()),
    };
    let Some(plan::SpecUniverse { list: Some(list), types, exchanges, as_of, .. }) = list else {
        return Ok(None);
    };
    let windows = joined(&args.windows).or_else(|| spec.map(|(_, spec)| spec.windows.join(",")));
    Ok(Some(Subscription {
        list: list.as_str().to_owned(),
        types: types.unwrap_or_default(),
        exchanges: exchanges.unwrap_or_default(),
        as_of,
        windows: windows.unwrap_or_default(),
        planned_at_ms: None,
    }))
}
