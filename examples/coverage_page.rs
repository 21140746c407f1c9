//! Makes a page of `grab verify --report` for a whole market, to measure it and to view it.
//!
//! `cargo run --release --example coverage_page -- SYMBOLS YEARS FILE`

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    time::Instant,
};

use grab_core::verify::{
    Coverage, Finding, FindingKind, RequestedSessions, SessionStatus, Verification,
    report::{ReportOrigin, page},
};
use grab_model::{Symbol, Window};
use jiff::civil::{Date, date};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [symbols, years, file] = arguments.as_slice() else { return Err("usage: SYMBOLS YEARS FILE".into()) };
    let verified = market(symbols.parse()?, years.parse()?)?;
    let begun = Instant::now();
    let about = ReportOrigin {
        made: "2024-01-01T00:00:00Z".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        holds: "bars as traded, made up by an example".to_owned(),
    };
    let page = page(&verified, &about)?;
    fs::write(file, &page)?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(writeln!(io::stdout(), "{} bytes in {seconds:.2} s", page.len())?)
}

/// Symbols with different listing periods, gaps, losses and refusals: always the same.
fn market(symbols: usize, years: i16) -> Result<Verification, Box<dyn Error>> {
    let window = Window::new(date(2024 - years, 1, 1), date(2023, 12, 31)).ok_or("no years")?;
    let mut verified = Verification {
        sessions: RequestedSessions::spanned([window].into_iter()),
        ..Verification::default()
    };
    let mut chance = fastrand::Rng::with_seed(7);
    let mut coverage = Coverage::default();
    for number in 0..symbols {
        let symbol: Symbol = name(number).parse()?;
        let days = life(&mut chance, verified.sessions.dates());
        let of = Coverage::of(&days);
        coverage.expected_sessions += of.expected_sessions;
        coverage.present_sessions += of.present_sessions;
        verified.findings.extend(findings(&symbol, &days, verified.sessions.dates()));
        verified.days.push((symbol, days));
    }
    verified.days.sort_by(|one, other| one.0.cmp(&other.0));
    verified.findings.sort_by(|one, other| one.rank().cmp(&other.rank()));
    verified.coverage = coverage;
    Ok(verified)
}

/// `AAAA`, `AAAB`, …
fn name(number: usize) -> String {
    let letter = |place: u32| char::from(b'A' + u8::try_from(number / 26usize.pow(place) % 26).unwrap_or(0));
    (0..4).rev().map(letter).collect()
}

fn life(chance: &mut fastrand::Rng, dates: &[Date]) -> Vec<SessionStatus> {
    let count = dates.len();
    let (listed, delisted) = match chance.u8(..10) {
        0..4 => (0, count),
        4..7 => (chance.usize(..count), count),
        7 => (0, chance.usize(..count)),
        _ => {
            let (one, other) = (chance.usize(..count), chance.usize(..count));
            (one.min(other), one.max(other))
        }
    };
    let thinly = chance.u8(..4) == 0;
    let mut days: Vec<_> = (0..count)
        .map(|place| match place {
            _ if !(listed..delisted).contains(&place) => SessionStatus::Empty,
            _ if thinly && chance.u8(..10) < 3 => SessionStatus::NoTrade,
            _ if chance.u16(..1500) == 0 => SessionStatus::Missing,
            _ => SessionStatus::Present,
        })
        .collect();
    let trouble = [
        SessionStatus::Missing,
        SessionStatus::Lost,
        SessionStatus::Thin,
        SessionStatus::Failed,
        SessionStatus::NotEntitled,
        SessionStatus::Pending,
        SessionStatus::NotFound,
        SessionStatus::NotAsked,
    ];
    for _ in 0..chance.usize(..4) {
        let (from, what) = (chance.usize(..count), trouble[chance.usize(..trouble.len())]);
        let until = count.min(from + chance.usize(1..200));
        days[from..until].iter_mut().filter(|day| **day != SessionStatus::Empty).for_each(|day| *day = what);
    }
    days
}

fn findings(symbol: &Symbol, days: &[SessionStatus], dates: &[Date]) -> Vec<Finding> {
    let runs = days.iter().zip(dates).collect::<Vec<_>>();
    let runs = runs.chunk_by(|one, other| one.0 == other.0);
    let finding = |run: &[(&SessionStatus, &Date)]| {
        let ((day, from), (_, to)) = (run.first()?, run.last()?);
        let kind = match day {
            SessionStatus::Missing | SessionStatus::CutAway => FindingKind::MissingSession,
            SessionStatus::Thin => FindingKind::ThinSession,
            SessionStatus::Lost => FindingKind::MissingFile,
            SessionStatus::Failed
            | SessionStatus::NotEntitled
            | SessionStatus::Pending
            | SessionStatus::NotFound => FindingKind::UnfinishedTask,
            SessionStatus::NotAsked
            | SessionStatus::Empty
            | SessionStatus::NoTrade
            | SessionStatus::AskedAgain
            | SessionStatus::Withheld
            | SessionStatus::Present
            | SessionStatus::NotListed
            | SessionStatus::BeforeHistory => {
                return None;
            }
        };
        Some(kind.on(symbol, &(**from..=**to), format!("{} sessions: {}", run.len(), day.description())))
    };
    runs.filter_map(finding).collect()
}
