use std::time::Duration;

use grab_core::{
    data_dir::DataDir,
    exit::ExitStatus,
    manifest::{CompletedRequest, RunTotals, StoreKind},
};

use super::*;

const NOW: i64 = 1_704_292_200_000;

fn run(is_live: bool) -> RunItem {
    RunItem {
        id: 1,
        command: "start".into(),
        arguments: "2 symbols in 2024".into(),
        grab_version: "1".into(),
        pid: 77,
        started_at_ms: NOW - 200_000,
        ended_at_ms: None,
        exit: None,
        totals: RunTotals::default(),
        is_live,
    }
}

fn snapshot() -> StatusSnapshot {
    let window = Window::new("2024-01-01".parse().unwrap(), "2024-12-31".parse().unwrap()).unwrap();
    let task = |name: &str, attempts| RunningTask {
        symbol: name.parse().unwrap(),
        window,
        reached: Some("2024-07-01".parse().unwrap()),
        days_covered: 183,
        pages: 3,
        bars: 123_456,
        attempts,
        last_error: (attempts > 0).then(|| "HTTP 500: \u{1b}[31mред\r\nwide 漢字 text of a server".repeat(9)),
        since_ms: Some(NOW - 12_345),
    };
    StatusSnapshot {
        kind: Some(StoreKind { adjusted: false, sandbox: true }),
        is_held: true,
        run: Some(run(true)),
        counts: TaskCounts {
            total: 50,
            pending: 10,
            running: 30,
            done: 8,
            failed: 2,
            ..TaskCounts::default()
        },
        running: (0..30).map(|at| task(if at % 7 == 3 { "KIMpL" } else { "AAPL" }, at % 7 / 3)).collect(),
        next: (0..10).map(|_| ("MSFT".parse().unwrap(), window)).collect(),
        steps: vec![CompletedRequest { at_ms: NOW - 1_000, is_failure: false, bars: 50_000, days: 100 }; 4],
        known_from_ms: Some(NOW - 300_000),
        troubles: Vec::new(),
        outstanding_days: 3_000,
        total_days: 9_000,
    }
}

fn troubles() -> Vec<ReportedFailure> {
    let window = snapshot().next[0].1;
    let one = ReportedFailure {
        at_ms: NOW,
        task: Some(("AAPL".parse().unwrap(), window)),
        kind: "retry_scheduled".into(),
        reason: "\u{7}\u{9b}2J the response contradicts the request ".repeat(10),
    };
    vec![one; 20]
}

fn shown(snapshot: &StatusSnapshot, width: usize, height: Option<usize>) -> Vec<String> {
    let mut pace = RecentPace::default();
    pace.add(snapshot, NOW);
    let troubles = troubles();
    let path = "/a/long/path/to/some/data/directory/of/somebody";
    let view = View {
        data_dir: &DataDir::new(path),
        now_ms: NOW,
        snapshot,
        pace: &pace,
        troubles: &troubles,
        is_terminal: height.is_some(),
    };
    view.lines(width, height).into_iter().map(|line| line.text).collect()
}

#[test]
fn nothing_wraps_or_scrolls_and_no_server_moves_the_cursor() {
    for width in [20, 40, 60, 80, 109, 110, 200] {
        for height in [2, 5, 10, 24, 40, 100] {
            let lines = shown(&snapshot(), width, Some(height));
            assert!(lines.len() <= height, "{width} {height}: {lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            assert!(lines.iter().all(|line| line.chars().all(|c| plain(c) == c)), "{width}: {lines:#?}");
            assert!(lines.last().unwrap().starts_with('q'), "the way out is always shown");
        }
    }
}

#[test]
fn a_usual_terminal_has_all_that_matters() {
    let lines = shown(&snapshot(), 80, Some(24));
    let text = lines.join("\n");
    assert_eq!(lines.len(), 24, "{text}");
    for part in [
        "…",
        "14:30:00 UTC",
        "grab start, process 77, for 3m20s: 2 symbols",
        "30 running, 10 pending, 10 of 50 ended: 8 done, 2 failed",
        " 66.6 %",
        "4 requests in the last minute; 3,333 bars/s",
        // 400 days in 200 s, the time of the run: 3,000 days take 1,500 s.
        "about 25m00s, at the pace of the last 3m20s; 3,000 days to cover",
        "AAPL     2024-01-01..2024-12-31 2024-07-01  50%     3     123,456     12s",
        "queue    10: MSFT 2024-01-01..2024-12-31, MSFT",
        "retry_scheduled: ",
        " more",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_wide_terminal_is_used() {
    let narrow = shown(&snapshot(), 80, None).join("\n");
    let wide = shown(&snapshot(), 200, None).join("\n");
    assert!(wide.contains("[#########---------]") && !narrow.contains("[#########---------]"), "{wide}");
    let listed =
        |text: &str| text.lines().find(|line| line.starts_with("queue")).unwrap().matches("MSFT").count();
    assert_eq!((listed(&narrow), listed(&wide)), (2, 6));
}

#[test]
fn nobody_at_work_is_said_with_what_the_last_run_came_to() {
    let mut idle = snapshot();
    (idle.is_held, idle.run, idle.running) = (false, Some(run(false)), Vec::new());
    let text = shown(&idle, 200, None).join("\n");
    assert!(text.contains("none is live; the last: grab start of 3m20s ago, killed: grab resume"), "{text}");
    assert!(text.contains("3,000 days to cover; grab resume goes on"), "{text}");
    let ended =
        |run: RunItem| RunItem { ended_at_ms: Some(NOW - 61_000), exit: Some(ExitStatus::Complete), ..run };
    idle.run = Some(ended(run(false)));
    let text = shown(&idle, 200, None).join("\n");
    assert!(text.contains("none is live; the last: grab start 1m01s ago, complete, exit code 0"), "{text}");
    idle.is_held = true;
    let text = shown(&idle, 200, None).join("\n");
    assert!(text.contains("none is live, but another grab holds the directory; the last"), "{text}");
}

#[test]
fn the_time_left_is_said_only_if_it_can_be_known() {
    let step = |at_ms, days| CompletedRequest { at_ms, is_failure: days == 0, bars: 0, days };
    let left = |known_from_ms, steps: Vec<CompletedRequest>| {
        let mut pace = RecentPace::default();
        let run = RunItem { started_at_ms: NOW - 10_000_000, ..run(true) };
        pace.add(
            &StatusSnapshot { run: Some(run), known_from_ms: Some(known_from_ms), steps, ..snapshot() },
            NOW,
        );
        pace.remaining(NOW, 3_000)
    };
    let minutes = |n: i64| NOW - n * 60_000;
    assert_eq!(left(NOW - 5_000, vec![step(NOW - 1_000, 50); 9]), RemainingTime::TooEarly);
    assert_eq!(left(minutes(5), vec![step(NOW - 1_000, 50); 2]), RemainingTime::TooEarly);
    assert_eq!(
        left(minutes(5), vec![step(NOW - 1_000, 0); 9]),
        RemainingTime::Stalled(Duration::from_mins(5))
    );
    let known = left(minutes(2), vec![step(NOW - 1_000, 100); 3]);
    assert_eq!(known, RemainingTime::About { left: Duration::from_mins(20), over: Duration::from_mins(2) });
}

#[test]
fn a_new_run_has_a_pace_of_its_own_and_old_requests_are_forgotten() {
    let mut pace = RecentPace::default();
    pace.add(&snapshot(), NOW);
    assert_eq!(pace.recent_work(NOW).requests, 4);
    let later = StatusSnapshot { known_from_ms: None, steps: Vec::new(), ..snapshot() };
    pace.add(&later, NOW + 58_000);
    assert_eq!(pace.recent_work(NOW + 58_000).requests, 4);
    assert_eq!(pace.recent_work(NOW + 60_000).requests, 0);
    let next = RunItem { id: 2, ..run(true) };
    pace.add(&StatusSnapshot { run: Some(next), ..later }, NOW + 61_000);
    assert_eq!(pace.recent_work(NOW + 62_000).over, Duration::from_secs(1));
}
