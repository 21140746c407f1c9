//! The data of a page: a JSON of everything but the days, and one byte per symbol and session; gzip over both.
//!
//! The layout, before compression: the length of the JSON as four bytes, the least significant first; the JSON; then
//! symbol by symbol, session by session, the number of the [`SessionStatus`].

use std::{collections::HashMap, io::Write};

use flate2::{Compression, write::GzEncoder};
use grab_model::{Month, calendar};
use jiff::{ToSpan, civil::Date};
use serde::Serialize;

use super::{
    super::{Finding, SessionStatus, Severity, Verification},
    ReportError, ReportOrigin,
};

/// The most findings in a page. Their tables have all.
const MOST_FINDINGS: usize = 100_000;

/// Everything but the days.
#[derive(Serialize)]
struct Head<'a> {
    made: &'a str,
    version: &'a str,
    holds: &'a str,
    symbols: Vec<&'a str>,
    /// The sessions, as days since 1970-01-01.
    sessions: Vec<i32>,
    /// Closed weekdays of their months, each with its reason.
    closures: Vec<(i32, &'static str)>,
    /// Sessions that end at 13:00, each with its reason.
    half_days: Vec<(i32, &'static str)>,
    states: Vec<State>,
    expected: u64,
    present: u64,
    /// Other sessions without a bar by the server's response alone.
    unexplained: u64,
    /// Expected sessions that a spec wants and nothing has requested.
    unrequested: usize,
    damage: usize,
    gaps: usize,
    notices: usize,
    partitions: u64,
    files: u64,
    /// Kind, severity, index of the symbol or -1, month or days or "", path or "", detail.
    findings: Vec<Row<'a>>,
    /// The number of all findings, including those that are not in the page.
    all_findings: usize,
}

type Row<'a> = (&'static str, &'static str, i64, String, String, &'a str);

/// What a [`SessionStatus`] means.
#[derive(Serialize)]
struct State {
    words: &'static str,
    expected: bool,
    present: bool,
    unexplained: bool,
}

/// Returns the compressed data of a page.
pub(super) fn encode(verified: &Verification, about: &ReportOrigin) -> Result<Vec<u8>, ReportError> {
    let json = serde_json::to_vec(&head(verified, about))?;
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&length.to_le_bytes())?;
    gzip.write_all(&json)?;
    let mut row = Vec::with_capacity(verified.sessions.dates().len());
    for (_, days) in &verified.days {
        row.clear();
        row.extend(days.iter().map(|day| *day as u8));
        row.resize(verified.sessions.dates().len(), SessionStatus::NotAsked as u8);
        gzip.write_all(&row)?;
    }
    Ok(gzip.finish()?)
}

fn head<'a>(verified: &'a Verification, about: &'a ReportOrigin) -> Head<'a> {
    let state = |day: SessionStatus| State {
        words: day.description(),
        expected: day.is_expected(),
        present: day.is_present(),
        unexplained: day.is_unexplained(),
    };
    let dates = verified.sessions.dates();
    Head {
        made: &about.made,
        version: &about.version,
        holds: &about.holds,
        symbols: verified.days.iter().map(|(symbol, _)| symbol.as_str()).collect(),
        sessions: dates.iter().copied().map(number).collect(),
        closures: reasons(dates, calendar::closure_reason),
        half_days: reasons(dates, calendar::half_day_reason),
        states: SessionStatus::ALL.map(state).into(),
        expected: verified.coverage.expected_sessions,
        present: verified.coverage.present_sessions,
        unexplained: verified.coverage.unexplained_sessions,
        unrequested: verified.unrequested.iter().map(|(_, window)| calendar::sessions(*window).count()).sum(),
        damage: verified.count(Severity::Damage),
        gaps: verified.count(Severity::Gap),
        notices: verified.count(Severity::Notice),
        partitions: verified.partitions,
        files: verified.files,
        findings: rows(verified),
        all_findings: verified.findings.len(),
    }
}

/// Days since 1970-01-01.
fn number(date: Date) -> i32 {
    const EPOCH: Date = jiff::civil::date(1970, 1, 1);
    date.since(EPOCH).map_or(0, |span| span.get_days())
}

/// The days in the months of the sessions for which `reason` returns a reason.
fn reasons(dates: &[Date], reason: fn(Date) -> Option<&'static str>) -> Vec<(i32, &'static str)> {
    let Some((first, last)) = dates.first().zip(dates.last()) else { return Vec::new() };
    let end = Month::of(*last).last_day();
    let days = Month::of(*first).first_day().series(1.day()).take_while(|day| *day <= end);
    days.filter_map(|day| Some((number(day), reason(day)?))).collect()
}

fn rows(verified: &Verification) -> Vec<Row<'_>> {
    let places: HashMap<_, _> =
        verified.days.iter().zip(0i64..).map(|((symbol, _), place)| (symbol, place)).collect();
    let row = |finding: &'_ Finding| {
        let place = finding.ticker.as_ref().and_then(|ticker| places.get(ticker)).copied();
        let month = finding.month.map(|month| month.to_string());
        let days = finding.date.map(|from| match finding.to {
            Some(to) => format!("{from}..{to}"),
            None => from.to_string(),
        });
        let when = month.or(days).unwrap_or_default();
        let path = finding.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        (finding.kind.as_str(), finding.severity.as_str(), place.unwrap_or(-1), when, path)
    };
    let findings = verified.findings.iter().take(MOST_FINDINGS);
    findings
        .map(|finding| {
            let (kind, severity, place, when, path) = row(finding);
            (kind, severity, place, when, path, finding.detail.as_str())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use jiff::civil::date;
    use serde_json::Value;

    use super::{
        super::super::{FindingKind, RequestedSessions},
        *,
    };
    use grab_model::{Symbol, Window};

    fn decode(encoded: &[u8]) -> (Value, Vec<u8>) {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(encoded).read_to_end(&mut bytes).unwrap();
        let (length, rest) = bytes.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        (serde_json::from_slice(&rest[..length]).unwrap(), rest[length..].to_vec())
    }

    #[test]
    fn one_byte_for_each_session_of_each_symbol_after_the_json() {
        let symbols: Vec<Symbol> = ["A", "KIMpL"].map(|text| text.parse().unwrap()).into();
        let window = Window::new(date(2024, 11, 27), date(2024, 12, 2)).unwrap();
        let days = [
            vec![SessionStatus::Present, SessionStatus::Lost, SessionStatus::Thin],
            vec![SessionStatus::NotAsked, SessionStatus::NoTrade, SessionStatus::Pending],
        ];
        let verified = Verification {
            sessions: RequestedSessions::spanned([window].into_iter()),
            days: symbols.iter().cloned().zip(days).collect(),
            findings: vec![
                FindingKind::ThinSession.on(
                    &symbols[1],
                    &(date(2024, 11, 29)..=date(2024, 12, 2)),
                    "</script>".into(),
                ),
                Finding {
                    ticker: None,
                    ..FindingKind::StrayFile.on(
                        &symbols[0],
                        &(date(2024, 12, 2)..=date(2024, 12, 2)),
                        String::new(),
                    )
                },
            ],
            ..Verification::default()
        };
        let (head, days) = decode(&encode(&verified, &ReportOrigin::default()).unwrap());
        assert_eq!(days, [12, 10, 11, 0, 6, 4]);
        assert_eq!(head["symbols"], serde_json::json!(["A", "KIMpL"]));
        assert_eq!(head["sessions"], serde_json::json!([20_054, 20_056, 20_059]));
        let closed = serde_json::json!([[20_038, "x"], [20_055, "Thanksgiving"], [20_082, "Christmas"]]);
        assert_eq!(head["closures"].as_array().unwrap()[0], closed[1]);
        assert_eq!(head["closures"].as_array().unwrap()[1], closed[2]);
        assert_eq!(head["half_days"], serde_json::json!([[20_056, "Thanksgiving"], [20_081, "Christmas"]]));
        assert_eq!(
            head["states"][9],
            serde_json::json!({"words": "missing", "expected": true, "present": false, "unexplained": false})
        );
        let said = serde_json::json!(["thin_session", "gap", 1, "2024-11-29..2024-12-02", "", "</script>"]);
        assert_eq!((&head["findings"][0], &head["findings"][1][2]), (&said, &(-1).into()));
    }

    #[test]
    fn nothing_at_all_is_a_page_too() {
        let (head, days) = decode(&encode(&Verification::default(), &ReportOrigin::default()).unwrap());
        assert_eq!((&head["symbols"], days.len()), (&serde_json::json!([]), 0));
    }

    #[test]
    fn a_page_carries_the_worst_and_says_how_many_there_are() {
        let one = FindingKind::MissingSession.on(
            &"A".parse().unwrap(),
            &(date(2024, 1, 3)..=date(2024, 1, 3)),
            String::new(),
        );
        let verified = Verification { findings: vec![one; MOST_FINDINGS + 1], ..Verification::default() };
        let (head, _) = decode(&encode(&verified, &ReportOrigin::default()).unwrap());
        assert_eq!(head["findings"].as_array().unwrap().len(), MOST_FINDINGS);
        assert_eq!(head["all_findings"], MOST_FINDINGS + 1);
    }
}
