//! `grab universe list`: which symbols are and were listed, by the stored universe. Sends no request.

use grab_core::exit::ExitStatus;
use grab_model::{excerpt, format, plan, universe::Filter};
use grab_ops::{
    Error as Failure, UniverseQuery,
    json::{ListingPeriodJson, UniverseListJson},
};

use super::super::{
    args::{CommonArgs, UniverseListArgs, joined},
    left_out,
    output::{Output, say},
    report::Report,
    settings::Sources,
    text::{Align, Table, Text},
};

/// How much of a name is shown, in characters.
const NAME: usize = 34;

/// Runs the command.
///
/// # Errors
/// If there is no stored universe, or it cannot be read.
pub fn run(
    args: &UniverseListArgs,
    common: &CommonArgs,
    sources: &Sources<'_>,
    output: Output,
) -> Result<ExitStatus, Failure> {
    let data_dir = sources.data_dir(common)?;
    let tickers = joined(&args.ticker).as_deref().map(plan::read_tickers_list).transpose();
    let tickers = tickers.map_err(|error| Failure::Usage(format!("--ticker: {error}")))?;
    let codes = |codes: &[String]| (!codes.is_empty()).then(|| codes.to_vec());
    let filter = Filter {
        types: codes(&args.types),
        exchanges: codes(&args.exchanges),
        active_on: args.active_on,
        is_strict: false,
        tickers,
    };
    refuse_codes(args)?;
    let listed = UniverseQuery { data_dir, filter }.run()?;
    let unknown = listed.unknown_list_dates();
    let report = UniverseListJson::new(listed, args.tickers_only);
    if let Some(day) = args.active_on.filter(|_| unknown > 0 && !common.quiet) {
        say(&format!(
            "note: the list date is not known for {} of these: they count as listed before {day}; \
             `grab universe sync --list-dates` requests it",
            format::count(unknown)
        ));
    }
    if !common.quiet {
        for note in left_out::dropped(&report.dropped) {
            say(&format!("note: {note}"));
        }
    }
    output.report(&report)
}

/// Refuses a code in the wrong form, which would match nothing.
fn refuse_codes(args: &UniverseListArgs) -> Result<(), Failure> {
    let codes = |codes: &[String]| (!codes.is_empty()).then(|| codes.to_vec());
    let requested = plan::SpecUniverse {
        list: Some(plan::UniverseList::UsStocks),
        types: codes(&args.types),
        exchanges: codes(&args.exchanges),
        as_of: args.active_on,
        ..plan::SpecUniverse::default()
    };
    requested.check().map_err(|(key, why)| {
        let flag = match key {
            "universe.types" => "--type",
            "universe.exchanges" => "--exchange",
            _ => "--active-on",
        };
        Failure::Usage(format!("{flag}: {why}"))
    })
}

fn cells(item: &ListingPeriodJson) -> Vec<String> {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let until = if item.active && item.to.is_none() {
        "listed".to_owned()
    } else {
        or(item.delisted.as_ref().map_or(&item.to, |_| &item.delisted), "?")
    };
    vec![
        item.ticker.clone(),
        or(&item.kind, "-"),
        or(&item.exchange, "-"),
        or(&item.from, "?"),
        until,
        excerpt(item.name.as_deref().unwrap_or_default(), NAME),
    ]
}

impl Report for UniverseListJson {
    fn text(&self) -> Text {
        if self.tickers_only {
            let mut tickers: Vec<_> = self.items.iter().map(|item| item.ticker.clone()).collect();
            // A ticker with two listing periods is listed once.
            tickers.dedup();
            return Text::new(tickers.join("\n"));
        }
        let columns = ["ticker", "type", "on", "from", "until", "name"].map(|name| (name, Align::Left));
        let mut table = Table::new(&columns);
        self.items.iter().for_each(|item| table.row(cells(item)));
        let mut text = Text::default();
        text.table(&table);
        text.line(format_args!(
            "{}, {} with an unknown first day; fetched at {}",
            format::plural(self.count, "listing period"),
            format::count(self.unknown_list_dates),
            self.fetched_at
        ));
        text
    }
}
