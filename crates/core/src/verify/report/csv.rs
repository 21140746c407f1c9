//! Tables for other programs: findings, and missing sessions.
//!
//! UTF-8 with a header; fields are quoted by RFC 4180 where they need it; lines end with a line feed. Values are not
//! escaped for any particular reader. But a spreadsheet takes a field that begins with one of `= + - @` (or a tab, or a
//! carriage return) for a formula, and file names and server messages are foreign input. So no field begins with these:
//! a path gets the prefix `./`, which is the same file, and a detail stands in quotation marks.

use grab_model::calendar;
use jiff::civil::Date;

use super::super::{Finding, SessionStatus, Verification};

/// All findings: `kind,severity,ticker,month,date,path,detail`.
#[must_use]
pub fn findings_csv(findings: &[Finding]) -> String {
    let mut table = String::from("kind,severity,ticker,month,date,path,detail\n");
    for finding in findings {
        let text = |value: Option<String>| value.unwrap_or_default();
        let fields = [
            finding.kind.as_str().to_owned(),
            finding.severity.as_str().to_owned(),
            text(finding.ticker.as_ref().map(ToString::to_string)),
            text(finding.month.map(|month| month.to_string())),
            text(finding.date.map(|date| date.to_string())),
            text(finding.path.as_ref().map(|path| harmless_path(path.display().to_string()))),
            harmless_words(finding.detail.clone()),
        ];
        push_row(&mut table, &fields);
    }
    table
}

/// Sessions without the bars that they should have, by symbol and time: `ticker,from,to`, one row for consecutive
/// sessions. Includes windows that a spec wants and nothing has requested.
#[must_use]
pub fn missing_csv(verified: &Verification) -> String {
    let mut rows = Vec::new();
    for (symbol, days) in &verified.days {
        rows.extend(missing_runs(days, verified.sessions.dates()).map(|(from, to)| (symbol, from, to)));
    }
    for (symbol, window) in &verified.unrequested {
        let sessions: Vec<_> = calendar::sessions(*window).map(calendar::Session::date).collect();
        rows.extend(sessions.first().zip(sessions.last()).map(|(from, to)| (symbol, *from, *to)));
    }
    rows.sort_unstable();
    rows.dedup();
    let mut table = String::from("ticker,from,to\n");
    for (symbol, from, to) in rows {
        push_row(&mut table, &[symbol.to_string(), from.to_string(), to.to_string()]);
    }
    table
}

/// First and last day of each run of sessions without the bars that they should have.
fn missing_runs<'a>(days: &'a [SessionStatus], dates: &'a [Date]) -> impl Iterator<Item = (Date, Date)> + 'a {
    let marked: Vec<_> = days.iter().map(|day| day.is_lacking()).zip(dates.iter().copied()).collect();
    let runs: Vec<_> = marked
        .chunk_by(|one, other| one.0 == other.0)
        .filter_map(|run| Some((run.first().filter(|first| first.0)?.1, run.last()?.1)))
        .collect();
    runs.into_iter()
}

fn push_row(table: &mut String, fields: &[String]) {
    let quoted: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
    table.push_str(&quoted.join(","));
    table.push('\n');
}

fn quoted(field: &str) -> String {
    let needs_quotes = field.contains([',', '"', '\n', '\r']) || field.trim() != field;
    if needs_quotes { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

fn is_formula(text: &str) -> bool {
    text.trim_start_matches(' ').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn harmless_path(path: String) -> String {
    if is_formula(&path) { format!("./{path}") } else { path }
}

fn harmless_words(words: String) -> String {
    if is_formula(&words) { format!("\"{words}\"") } else { words }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{
        super::super::{
            FindingKind,
            SessionStatus::{
                Empty, Failed, Lost, Missing, NoTrade, NotAsked, NotEntitled, Pending, Present, Thin,
            },
        },
        *,
    };
    use crate::verify::RequestedSessions;
    use grab_model::{Symbol, Window};

    fn finding(path: &str, detail: &str) -> Finding {
        let month = grab_model::Month::new(2024, 2).unwrap();
        let symbol: Symbol = "BRK.B".parse().unwrap();
        FindingKind::CorruptFile.in_partition(&symbol, month, path.into(), detail.to_owned())
    }

    /// What another CSV reader reads.
    fn read_back(table: &str) -> Vec<Vec<String>> {
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes());
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn every_field_comes_back_as_it_was() {
        let hostile = "a \"b\", c\r\nd </script>; ü";
        let findings = [
            finding("data/x,y/bars.parquet", hostile),
            FindingKind::MissingSession.on(
                &"A".parse().unwrap(),
                &(date(2024, 1, 3)..=date(2024, 1, 3)),
                "no bar".into(),
            ),
        ];
        let rows = read_back(&findings_csv(&findings));
        assert_eq!(rows[0].join(","), "kind,severity,ticker,month,date,path,detail");
        let first = ["corrupt_file", "damage", "BRK.B", "2024-02", "", "data/x,y/bars.parquet", hostile];
        assert_eq!(rows[1], first);
        assert_eq!(rows[2], ["missing_session", "gap", "A", "", "2024-01-03", "", "no bar"]);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn no_field_is_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\r", " ="] {
            let rows = read_back(&findings_csv(&[finding(&format!("{start}a/b"), &format!("{start}1+1"))]));
            assert_eq!(rows[1][5], format!("./{start}a/b"));
            assert_eq!(rows[1][6], format!("\"{start}1+1\""));
        }
    }

    #[test]
    fn stretches_of_what_should_be_there() {
        let (first, last) = (date(2024, 1, 10), date(2024, 1, 23));
        let sessions = RequestedSessions::spanned([Window::new(first, last).unwrap()].into_iter());
        // The 10th to the 12th, a weekend and a holiday, the 16th to the 19th, a weekend, the 22nd and the 23rd.
        let days = |of: [SessionStatus; 9]| of.to_vec();
        // A weekend, and a holiday with the weekend before it.
        let unrequested = [(date(2024, 2, 3), date(2024, 2, 4)), (date(2024, 2, 17), date(2024, 2, 21))];
        let unrequested =
            unrequested.map(|(from, to)| ("B".parse().unwrap(), Window::new(from, to).unwrap()));
        let verified = Verification {
            unrequested: unrequested.into(),
            sessions,
            days: vec![
                (
                    "A".parse().unwrap(),
                    days([Missing, Lost, Thin, Failed, Pending, Present, Empty, Missing, Present]),
                ),
                ("NA".parse().unwrap(), days([Present; 9])),
                (
                    "B".parse().unwrap(),
                    days([
                        NotAsked,
                        NotEntitled,
                        NoTrade,
                        Missing,
                        Present,
                        Present,
                        Present,
                        Present,
                        Pending,
                    ]),
                ),
            ],
            ..Verification::default()
        };
        let expected = "ticker,from,to\nA,2024-01-10,2024-01-17\nA,2024-01-22,2024-01-22\n\
                        B,2024-01-11,2024-01-11\nB,2024-01-16,2024-01-16\nB,2024-01-23,2024-01-23\nB,2024-02-20,2024-02-21\n";
        assert_eq!(missing_csv(&verified), expected);
        assert_eq!(missing_csv(&Verification::default()), "ticker,from,to\n");
    }
}
