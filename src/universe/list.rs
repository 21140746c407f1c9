//! `grab universe list`: which symbols are and were listed, by the stored universe. Sends no request.

use grab_core::exit::ExitStatus;
use grab_model::format;
use grab_model::{
    ListingPeriod, excerpt, plan,
    universe::{DroppedByFilter, Filter, ListingSpan},
};
use grab_ops::{Error as Failure, UniverseList, UniverseListReport};
use serde::Serialize;

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

/// The report; its JSON is public.
#[derive(Serialize)]
struct ListJson {
    /// The time and the service of the last sync.
    fetched_at: String,
    source: String,
    count: u64,
    /// Listing periods whose beginning is not known: they count as if they had always existed.
    unknown_list_dates: u64,
    /// Tickers that --type and --exchange drop only because the list lacks the field.
    dropped: DroppedByFilter,
    items: Vec<Item>,
    #[serde(skip)]
    tickers_only: bool,
}

/// One listing period.
#[derive(Serialize)]
struct Item {
    ticker: String,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    exchange: Option<String>,
    active: bool,
    /// The company's first day by its details.
    listed: Option<String>,
    delisted: Option<String>,
    /// The days on which it had the ticker, as far as known.
    from: Option<String>,
    to: Option<String>,
    composite_figi: Option<String>,
    share_class_figi: Option<String>,
    cik: Option<String>,
    sector: Option<String>,
    industry: Option<String>,
    first_seen: String,
    last_seen: String,
}

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
    let listed = UniverseList { data_dir, filter }.run()?;
    let unknown = listed.unknown_list_dates();
    let report = ListJson::new(listed, args.tickers_only);
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

impl ListJson {
    fn new(listed: UniverseListReport, tickers_only: bool) -> Self {
        let unknown_list_dates = listed.unknown_list_dates();
        let UniverseListReport { fetched_ms, source, dropped, periods } = listed;
        Self {
            fetched_at: format::instant(fetched_ms),
            source,
            count: periods.len() as u64,
            unknown_list_dates,
            dropped,
            items: periods.into_iter().map(|(period, span)| Item::of(period, span)).collect(),
            tickers_only,
        }
    }
}

/// Refuses a code in the wrong form, which would match nothing.
fn refuse_codes(args: &UniverseListArgs) -> Result<(), Failure> {
    let codes = |codes: &[String]| (!codes.is_empty()).then(|| codes.to_vec());
    let asked = plan::SpecUniverse {
        list: Some(plan::UniverseList::UsStocks),
        types: codes(&args.types),
        exchanges: codes(&args.exchanges),
        as_of: args.active_on,
        ..plan::SpecUniverse::default()
    };
    asked.check().map_err(|(key, why)| {
        let flag = match key {
            "universe.types" => "--type",
            "universe.exchanges" => "--exchange",
            _ => "--active-on",
        };
        Failure::Usage(format!("{flag}: {why}"))
    })
}

impl Item {
    fn of(period: ListingPeriod, span: ListingSpan) -> Self {
        let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string());
        let listing = period.listing;
        Self {
            ticker: listing.ticker.to_string(),
            name: listing.name,
            kind: listing.kind,
            exchange: listing.exchange,
            active: listing.active,
            listed: day(period.listed),
            delisted: day(listing.delisted),
            from: day(span.from),
            to: day(span.to),
            composite_figi: listing.composite_figi,
            share_class_figi: listing.share_class_figi,
            cik: listing.cik,
            sector: period.sector,
            industry: period.industry,
            first_seen: format::instant(period.first_seen_ms),
            last_seen: format::instant(period.last_seen_ms),
        }
    }

    fn cells(&self) -> Vec<String> {
        let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
        let until = if self.active && self.to.is_none() {
            "listed".to_owned()
        } else {
            or(self.delisted.as_ref().map_or(&self.to, |_| &self.delisted), "?")
        };
        vec![
            self.ticker.clone(),
            or(&self.kind, "-"),
            or(&self.exchange, "-"),
            or(&self.from, "?"),
            until,
            excerpt(self.name.as_deref().unwrap_or_default(), NAME),
        ]
    }
}

impl Report for ListJson {
    fn text(&self) -> Text {
        if self.tickers_only {
            let mut tickers: Vec<_> = self.items.iter().map(|item| item.ticker.clone()).collect();
            // A ticker with two listing periods is listed once.
            tickers.dedup();
            return Text::new(tickers.join("\n"));
        }
        let columns = ["ticker", "type", "on", "from", "until", "name"].map(|name| (name, Align::Left));
        let mut table = Table::new(&columns);
        self.items.iter().for_each(|item| table.row(item.cells()));
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
