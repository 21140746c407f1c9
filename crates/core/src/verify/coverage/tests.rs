//! Expected and present sessions and their findings, for a made-up January.

use jiff::civil::date;

use super::{
    super::{NoWitness, partition_content::SessionMeasure},
    *,
};

fn task(from: Date, to: Date, state: TaskState) -> TaskItem {
    TaskItem {
        symbol: "A".parse().unwrap(),
        window: Window::new(from, to).unwrap(),
        state,
        bars: 0,
        pages: 1,
        cursor: None,
        attempts: 0,
        last_error: (state == TaskState::Failed).then(|| "HTTP 500".to_owned()),
        asked_again: None,
        sent_ms: None,
        ended_ms: None,
        begun_ms: None,
        is_rolling: false,
        is_repair: false,
    }
}

/// A January with bars on these days.
fn stored(days: &[usize]) -> Vec<Partition> {
    let mut bars_by_day = [0; 31];
    for day in days {
        bars_by_day[day - 1] = 390;
    }
    vec![Partition {
        symbol: "A".parse().unwrap(),
        month: Month::new(2024, 1).unwrap(),
        bars: 1,
        first_ms: 0,
        last_ms: 0,
        bytes: 1,
        xxh3: 0,
        bars_by_day,
    }]
}

/// A witness that returns what is written here.
struct Told(Vec<(i8, WitnessView)>);

impl Witness for Told {
    fn saw(&self, _: &Symbol, day: Date) -> Option<WitnessView> {
        self.0.iter().find(|(number, _)| *number == day.day()).map(|(_, seen)| *seen)
    }
}

/// Returns the expected and present sessions, and the findings about gaps.
fn told(
    tasks: &[TaskItem],
    recorded: &[Partition],
    witness: &dyn Witness,
    checked: &CheckedSymbol,
) -> (u64, u64, Vec<String>) {
    let sessions = RequestedSessions::spanned(tasks.iter().map(|task| task.window));
    let symbol = &"A".parse().unwrap();
    let facts = SymbolFacts {
        symbol,
        tasks,
        not_entitled: &[],
        recorded,
        lost: &HashMap::new(),
        checked,
        sessions: &sessions,
        witness,
        universe: None,
        is_written: false,
        cut_away: &ListingCuts::default(),
    };
    let days = facts.explain();
    let Coverage { expected_sessions, present_sessions, .. } = Coverage::of(&days);
    let said = |finding: &Finding| {
        let (kind, date) = (finding.kind.as_str(), finding.date.unwrap());
        let notice = if finding.severity == Severity::Notice { "notice: " } else { "" };
        format!("{notice}{kind} {date}: {}", finding.detail)
    };
    (expected_sessions, present_sessions, facts.findings(&days).iter().map(said).collect())
}

fn checked(tasks: &[TaskItem], recorded: &[Partition]) -> (u64, u64, Vec<String>) {
    told(tasks, recorded, &NoWitness, &CheckedSymbol::default())
}

fn january(state: TaskState) -> TaskItem {
    task(date(2024, 1, 1), date(2024, 1, 31), state)
}

#[test]
fn a_witness_tells_a_gap_from_a_day_without_trade() {
    let witness = Told(vec![
        (3, WitnessView::NoTrade),
        (4, WitnessView::Traded(1_200.0)),
        (23, WitnessView::Traded(7.0)),
    ]);
    let gaps = vec![
        "missing_session 2024-01-04: no bar, and the witness counts 1200 shares".to_owned(),
        "missing_session 2024-01-08: no bar, and no source explains it".to_owned(),
        "missing_session 2024-01-23: no bar, and the witness counts 7 shares".to_owned(),
    ];
    let days = [2, 5, 9, 10, 11, 12, 16, 17, 18, 19, 22];
    let found = told(&[january(TaskState::Done)], &stored(&days), &witness, &CheckedSymbol::default());
    assert_eq!(found, (14, 11, gaps), "the 3rd is explained, the 23rd is a gap after the last bar");
}

#[test]
fn a_witness_that_saw_none_of_the_days_with_bars_does_not_know_the_symbol() {
    let days = [2, 4];
    let told_by = |seen| {
        let witness = Told(vec![(2, seen), (3, WitnessView::NoTrade), (5, WitnessView::NoTrade)]);
        let tasks = [task(date(2024, 1, 2), date(2024, 1, 5), TaskState::Done)];
        told(&tasks, &stored(&days), &witness, &CheckedSymbol::default())
    };
    let gap = "missing_session 2024-01-03: no bar, and no source explains it".to_owned();
    assert_eq!(told_by(WitnessView::NoTrade), (3, 2, vec![gap]));
    assert_eq!(told_by(WitnessView::Traded(1.0)), (2, 2, vec![]));
}

#[test]
fn a_symbol_that_traded_and_has_nothing_is_missing_as_a_whole() {
    let witness =
        Told(vec![(3, WitnessView::Traded(5.0)), (4, WitnessView::NoTrade), (5, WitnessView::Traded(6.0))]);
    let found = told(&[january(TaskState::Empty)], &[], &witness, &CheckedSymbol::default());
    let said =
        "missing_symbol 2024-01-03: 2 sessions to 2024-01-05 have no bar, and the witness counts 11 shares";
    assert_eq!(found, (2, 0, vec![said.to_owned()]));
}

#[test]
fn what_the_server_was_asked_for_again_and_has_not_is_its_own_gap() {
    let mut again = task(date(2024, 1, 3), date(2024, 1, 3), TaskState::Empty);
    let at_ms = new_york::at_ms(date(2024, 2, 7), 12, 0);
    again.asked_again = Some(AnsweredAt { at_ms, request_id: Some("abc".to_owned()) });
    let said = "notice: missing_session 2024-01-03: no bar: it was requested again on 2024-02-07 (request abc), and the server has no more";
    assert_eq!(
        checked(&[january(TaskState::Done), again.clone()], &stored(&[2, 4])),
        (2, 2, vec![said.to_owned()])
    );
    // The witness saw trades: the server's statement that it has none explains nothing, and the day is expected.
    let counts = format!("{said}, but the witness counts 70 shares");
    let saw = Told(vec![(3, WitnessView::Traded(70.0))]);
    let tasks = [january(TaskState::Done), again.clone()];
    assert_eq!(told(&tasks, &stored(&[2, 4]), &saw, &CheckedSymbol::default()), (3, 2, vec![counts]));
    // It had bars then, and they are gone.
    again.bars = 1;
    again.state = TaskState::Done;
    let gap = "missing_session 2024-01-03: no bar, and no source explains it".to_owned();
    assert_eq!(checked(&[january(TaskState::Done), again], &stored(&[2, 4])), (3, 2, vec![gap]));
}

#[test]
fn a_session_with_far_fewer_shares_than_were_counted_is_thin() {
    let at = |hour, minute| new_york::at_ms(date(2024, 1, 3), hour, minute);
    let witness = Told(vec![(2, WitnessView::Traded(100.0)), (3, WitnessView::Traded(100.0))]);
    let thin = |shares, last_ms| {
        let measured = [(date(2024, 1, 3), SessionMeasure { shares, last_ms })].into();
        let looked_at = CheckedSymbol { measured, ..CheckedSymbol::default() };
        told(
            &[task(date(2024, 1, 2), date(2024, 1, 3), TaskState::Done)],
            &stored(&[2, 3]),
            &witness,
            &looked_at,
        )
    };
    assert_eq!(thin(81.0, at(15, 59)), (2, 2, vec![]));
    assert_eq!(thin(96.0, at(12, 0)), (2, 2, vec![]));
    let said = |shares: u32, time: &str| {
        vec![format!(
            "thin_session 2024-01-03: {shares} of the 100 shares that the witness counts; the last bar is at {time}"
        )]
    };
    assert_eq!(thin(79.0, at(15, 59)), (2, 2, said(79, "15:59")));
    assert_eq!(thin(94.0, at(15, 58)), (2, 2, said(94, "15:58")));
    // The server was requested again and has no more: that explains it.
    let mut again = task(date(2024, 1, 2), date(2024, 1, 3), TaskState::Done);
    again.asked_again = Some(AnsweredAt { at_ms: at(16, 0), request_id: None });
    let measured = [(date(2024, 1, 3), SessionMeasure { shares: 50.0, last_ms: at(15, 59) })].into();
    let (expected, present, findings) =
        told(&[again], &stored(&[2, 3]), &witness, &CheckedSymbol { measured, ..CheckedSymbol::default() });
    assert_eq!((expected, present, findings.len()), (2, 2, 1));
    assert!(findings[0].starts_with("notice: thin_session 2024-01-03: 50 of the 100 shares"), "{findings:?}");
}

#[test]
fn what_is_lost_or_damaged_is_expected_and_no_gap_of_its_own() {
    let by = |kind: FindingKind| {
        let month = Month::new(2024, 1).unwrap();
        let finding = kind.in_partition(&"A".parse().unwrap(), month, "x".into(), String::new());
        let lost = CheckedSymbol { findings: vec![finding], ..CheckedSymbol::default() };
        told(&[january(TaskState::Done)], &stored(&[2, 3, 4]), &NoWitness, &lost)
    };
    for kind in [
        FindingKind::MissingFile,
        FindingKind::CorruptFile,
        FindingKind::DigestMismatch,
        FindingKind::RowCountMismatch,
        FindingKind::SchemaMismatch,
        FindingKind::DuplicateTimestamp,
        FindingKind::Unsorted,
        FindingKind::OutsideWindow,
        FindingKind::OffMinute,
    ] {
        assert_eq!(by(kind), (3, 0, vec![]), "{kind:?}");
    }
    assert_eq!(by(FindingKind::BadOhlc), (3, 3, vec![]), "the server sent it so");
}

#[test]
fn weekends_and_holidays_are_no_gaps() {
    // The 15th was Martin Luther King Jr. Day.
    let month = [task(date(2024, 1, 1), date(2024, 1, 31), TaskState::Done)];
    assert_eq!(checked(&month, &stored(&[11, 12, 16, 17, 18, 19, 22])), (7, 7, vec![]));
}

#[test]
fn sessions_without_a_bar_between_others_are_named_in_stretches() {
    let month = [task(date(2024, 1, 1), date(2024, 1, 31), TaskState::Done)];
    let gaps = vec![
        "missing_session 2024-01-03: no bar, and no source explains it".to_owned(),
        "missing_session 2024-01-05: 3 sessions to 2024-01-09 have no bar, and no source explains it"
            .to_owned(),
    ];
    assert_eq!(checked(&month, &stored(&[2, 4, 10])), (7, 3, gaps));
}

#[test]
fn a_symbol_without_any_bar_is_noticed_unless_a_witness_says_the_same() {
    let month = [january(TaskState::Empty)];
    let said =
        "no bar at all in 21 sessions to 2024-01-31, the server alone says so, and no witness confirms it";
    let notice = |detail: &str| vec![format!("notice: missing_symbol 2024-01-02: {detail}")];
    assert_eq!(checked(&month, &[]), (0, 0, notice(said)));
    let others: Vec<_> = (3..=31).map(|day| (day, WitnessView::NoTrade)).collect();
    let (.., found) = told(&month, &[], &Told(others), &CheckedSymbol::default());
    let one =
        "no bar at all in 1 session to 2024-01-02, the server alone says so, and no witness confirms it";
    assert_eq!(found, notice(one));
    let all = (2..=31).map(|day| (day, WitnessView::NoTrade)).collect();
    assert_eq!(told(&month, &[], &Told(all), &CheckedSymbol::default()), (0, 0, vec![]));
    // Absences before the first bar and after the last one are unexplained too: they are counted, and are no finding.
    assert_eq!(checked(&month, &stored(&[10])), (1, 1, vec![]));
}

#[test]
fn what_the_server_alone_says_is_not_there_is_no_coverage() {
    let of = |days: &[SessionStatus]| Coverage::of(days).ratio();
    let near = |ratio: f64, expected: f64| assert!((ratio - expected).abs() < 1e-12, "{ratio}");
    near(
        of(&[SessionStatus::Present, SessionStatus::Empty, SessionStatus::Empty, SessionStatus::Missing]),
        0.25,
    );
    near(of(&[SessionStatus::Empty]), 0.0);
    near(of(&[SessionStatus::Present, SessionStatus::AskedAgain]), 0.5);
    near(of(&[SessionStatus::NoTrade, SessionStatus::Present, SessionStatus::NotAsked]), 1.0);
    near(of(&[]), 1.0);
}

#[test]
fn what_an_unfinished_task_owes_is_expected_and_its_reason_is_said() {
    let tasks = [
        task(date(2024, 1, 1), date(2024, 1, 12), TaskState::Done),
        task(date(2024, 1, 13), date(2024, 1, 31), TaskState::Failed),
    ];
    let unfinished = "unfinished_task 2024-01-13: 2024-01-13..2024-01-31 is failed: HTTP 500".to_owned();
    assert_eq!(checked(&tasks, &stored(&[2, 3, 4, 5, 8, 9, 10, 11, 12])), (21, 9, vec![unfinished]));
}

#[test]
fn what_was_sent_once_and_is_neither_stored_nor_recorded_is_a_gap() {
    let at = |day| new_york::at_ms(date(2024, 1, day), 10, 0);
    let sent = TaskItem { sent_ms: Some((at(3), at(5))), ..january(TaskState::Done) };
    let gap = "missing_session 2024-01-04: 2 sessions to 2024-01-05 have no bar, and no source explains it"
        .to_owned();
    assert_eq!(checked(std::slice::from_ref(&sent), &stored(&[3])), (3, 1, vec![gap]));
    let nothing =
        "missing_symbol 2024-01-03: 3 sessions to 2024-01-05 have no bar, and no source explains it"
            .to_owned();
    assert_eq!(checked(std::slice::from_ref(&sent), &[]), (3, 0, vec![nothing.clone()]));
    // A witness that saw no trade on days for which bars were sent does not know the symbol.
    let blind = Told((2..=31).map(|day| (day, WitnessView::NoTrade)).collect());
    assert_eq!(told(&[sent], &[], &blind, &CheckedSymbol::default()), (3, 0, vec![nothing]));
}

#[test]
fn outside_of_its_lives_nothing_is_expected_of_a_symbol_unless_it_was_seen_to_trade() {
    use SessionStatus::{Empty as E, Missing as M, NotListed as N, Pending as O, Present as P};

    use grab_model::{Listing, ListingPeriod};

    let listing = Listing {
        ticker: "A".parse().unwrap(),
        name: None,
        kind: None,
        exchange: None,
        active: false,
        delisted: Some(date(2024, 1, 10)),
        composite_figi: None,
        share_class_figi: None,
        cik: None,
        updated: None,
    };
    let life = ListingPeriod {
        listing,
        listed: Some(date(2024, 1, 4)),
        first_seen_ms: 0,
        last_seen_ms: 0,
        sector: None,
        industry: None,
    };
    let explained = |universe: Option<&Universe>, state: TaskState, days: &[usize], witness: &dyn Witness| {
        let tasks = [task(date(2024, 1, 2), date(2024, 1, 12), state)];
        let sessions = RequestedSessions::spanned(tasks.iter().map(|task| task.window));
        let (recorded, lost, checked) = (stored(days), HashMap::new(), CheckedSymbol::default());
        let symbol = &"A".parse().unwrap();
        SymbolFacts {
            symbol,
            tasks: &tasks,
            not_entitled: &[],
            recorded: &recorded,
            lost: &lost,
            checked: &checked,
            sessions: &sessions,
            witness,
            universe,
            is_written: false,
            cut_away: &ListingCuts::default(),
        }
        .explain()
    };
    let universe = Universe::new(vec![life]);
    assert_eq!(explained(None, TaskState::Done, &[4, 9, 12], &NoWitness), [E, E, P, M, M, P, M, M, P]);
    let by_universe = |state, witness: &dyn Witness| explained(Some(&universe), state, &[4, 9], witness);
    // The tenth is the day of delisted_utc: its last session, or the first without it.
    assert_eq!(by_universe(TaskState::Done, &NoWitness), [N, N, P, M, M, P, N, N, N]);
    let contradicted = |days: &[usize]| explained(Some(&universe), TaskState::Done, days, &NoWitness);
    assert_eq!(contradicted(&[4, 9, 10]), [N, N, P, M, M, P, P, N, N], "which may have bars");
    assert_eq!(contradicted(&[4, 9, 12]), [N, N, P, M, M, P, M, M, P], "bars after it: the list is wrong");
    assert_eq!(contradicted(&[2, 5, 9]), [P, M, M, P, M, P, N, N, N], "bars before the list date");
    assert_eq!(by_universe(TaskState::Pending, &NoWitness)[0], O, "the server was not asked yet");
    assert_eq!(by_universe(TaskState::NotEntitled, &NoWitness)[0], N);
    let told = Told(vec![(11, WitnessView::Traded(1e6)), (2, WitnessView::NoTrade)]);
    assert_eq!(by_universe(TaskState::Done, &told)[7], M, "who trades is listed, whatever the list says");
}
