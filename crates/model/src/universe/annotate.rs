//! Sectors and industries from a user's table.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::{ListingPeriod, Symbol, excerpt};

/// How much of a header is shown, in characters.
const SHOWN: usize = 120;

/// How much of a sector's or an industry's name is stored, in characters.
const NAME: usize = 100;

/// The names of columns, in lower case.
const TICKER: [&str; 2] = ["ticker", "symbol"];
const SECTOR: [&str; 2] = ["sector", "gics sector"];
const INDUSTRY: [&str; 3] = ["industry", "gics sub-industry", "gics industry"];

/// The sector and industry that a row gives a ticker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The ticker as the stocks' lists write it; `BRK/B` is `BRK.B`.
    pub ticker: String,
    /// The sector.
    pub sector: Option<String>,
    /// The industry.
    pub industry: Option<String>,
}

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnnotateError {
    /// The required columns are missing.
    #[error("it needs a column \"ticker\" or \"symbol\", and \"sector\" or \"industry\"; it has {0:?}")]
    Columns(String),
    /// Not a table.
    #[error("it cannot be read as CSV: {0}")]
    Csv(String),
}

/// Reads a CSV with a column `ticker` or `symbol`, and `sector`, `industry` or both (also `GICS Sector` and `GICS
/// Sub-Industry`). Rows with neither are left out.
///
/// # Errors
/// If it is not a table of this kind.
pub fn read_annotations(bytes: &[u8]) -> Result<Vec<Annotation>, AnnotateError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let wrong = |error: csv::Error| AnnotateError::Csv(excerpt(&error.to_string(), SHOWN));
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = table.headers().map_err(wrong)?.clone();
    let column = |names: &[&str]| {
        headers.iter().position(|header| names.contains(&header.trim().to_lowercase().as_str()))
    };
    let columns = (column(&TICKER), column(&SECTOR), column(&INDUSTRY));
    let (Some(ticker), sector, industry) = columns else {
        return Err(AnnotateError::Columns(shown(&headers)));
    };
    if sector.or(industry).is_none() {
        return Err(AnnotateError::Columns(shown(&headers)));
    }
    let mut annotations = Vec::new();
    for row in table.records() {
        let row = row.map_err(wrong)?;
        let text = |column: Option<usize>| {
            let text = row.get(column?)?.trim();
            (!text.is_empty()).then(|| excerpt(text, NAME))
        };
        let (sector, industry) = (text(sector), text(industry));
        if let Some(ticker) = text(Some(ticker)).filter(|_| sector.is_some() || industry.is_some()) {
            annotations.push(Annotation { ticker: ticker.replace('/', "."), sector, industry });
        }
    }
    Ok(annotations)
}

fn shown(headers: &csv::StringRecord) -> String {
    excerpt(&headers.iter().collect::<Vec<_>>().join(","), SHOWN)
}

/// Writes annotations to the current listing period of each ticker, else to its last one. Returns how many periods were
/// annotated, and the tickers without any.
pub fn annotate(periods: &mut [ListingPeriod], annotations: &[Annotation]) -> (u64, BTreeSet<String>) {
    // The last period of a ticker is the one that is still listed, if any.
    let mut last: BTreeMap<Symbol, usize> = BTreeMap::new();
    for (at, period) in periods.iter().enumerate() {
        last.insert(period.ticker().clone(), at);
    }
    let (mut annotated, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for annotation in annotations {
        let period = annotation.ticker.parse::<Symbol>().ok().and_then(|symbol| last.get(&symbol));
        let Some(period) = period.and_then(|at| periods.get_mut(*at)) else {
            unknown.insert(annotation.ticker.clone());
            continue;
        };
        if annotation.sector.is_some() {
            period.sector.clone_from(&annotation.sector);
        }
        if annotation.industry.is_some() {
            period.industry.clone_from(&annotation.industry);
        }
        annotated.insert(period.ticker().clone());
    }
    (annotated.len() as u64, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_as_they_are_found() {
        let gics = "Symbol,Security,GICS Sector,GICS Sub-Industry,CIK\nMMM,3M,Industrials,\"Industrial, etc\",1\nBRK/B,x,Financials,,2\nX,,,,";
        let read = read_annotations(gics.as_bytes()).unwrap();
        let told: Vec<_> =
            read.iter().map(|a| (a.ticker.as_str(), a.sector.as_deref(), a.industry.as_deref())).collect();
        assert_eq!(
            told,
            [("MMM", Some("Industrials"), Some("Industrial, etc")), ("BRK.B", Some("Financials"), None)]
        );
        for wrong in ["", "a,b\n1,2", "symbol\nA", "sector\nEnergy"] {
            assert!(matches!(read_annotations(wrong.as_bytes()), Err(AnnotateError::Columns(_))), "{wrong}");
        }
        assert!(matches!(read_annotations(b"symbol,sector\nA,\xff"), Err(AnnotateError::Csv(_))));
    }
}
