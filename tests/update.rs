//! Daily updates: they request what is new, has changed or was missing, and nothing else.

mod explained;
mod listings;
mod silence;
mod splits;
mod world;

use std::fs;

use grab_model::{Bar, new_york};
use jiff::civil::date;

use crate::support::{Grab, read_store};
use world::{FORTNIGHT, World, begun, day};

#[test]
fn an_evening_is_one_request_for_each_symbol_and_its_second_run_none() {
    let world = begun();
    assert_eq!(world.update(14, 0)["requests"], 0, "all of it was asked for after it was settled");
    world.trade(day(15));
    let report = world.update(15, 0);
    assert_eq!(
        (&report["requests"], &report["bars"], &report["extended"], &report["session"]),
        (&2.into(), &60.into(), &2.into(), &"2024-11-15".into())
    );
    assert_eq!(report["sessions"], serde_json::json!([{"date": "2024-11-15", "symbols": 2, "expected": 2}]));
    assert!(world.is_true());
    let again = world.update(15, 0);
    assert_eq!((&again["requests"], &again["sessions"]), (&0.into(), &report["sessions"]));
    assert_eq!(world.at(day(17), 12, 0, "update --json").exits(0).json()["requests"], 0, "Sunday");
    assert_eq!(world.at(day(18), 20, 20, "update --json").exits(0).json()["requests"], 0, "not settled");
    world.trade(day(18));
    assert_eq!(world.update(18, 0)["requests"], 2);
    assert!(world.is_true());
    assert_eq!(world.grab.count("SELECT count(*) FROM tasks"), 4, "two of start, two that move on");
}

#[test]
fn a_missed_week_is_caught_up_in_one_request_for_each_symbol() {
    let world = begun();
    world.trade_on(&[15, 18, 19, 20, 21, 22]);
    let report = world.update(22, 0);
    assert_eq!((&report["requests"], &report["sessions"].as_array().unwrap().len()), (&2.into(), &6));
    assert!(world.is_true());
}

#[test]
fn half_days_and_holidays_are_those_of_the_calendar() {
    let world = begun();
    world.trade_on(&[15, 18, 19, 20, 21, 22, 25, 26, 27]);
    world.update(27, 0);
    assert_eq!(world.update(28, 0)["requests"], 0, "Thanksgiving");
    // The day after ends at 17:00.
    world.trade(day(29));
    assert_eq!(world.at(day(29), 17, 20, "update --json").exits(0).json()["requests"], 0);
    assert_eq!(world.at(day(29), 17, 40, "update --json").exits(0).json()["requests"], 2);
    assert!(world.is_true());
}

#[test]
fn revised_bars_are_taken_over_counted_and_named() {
    let world = begun();
    world.change("A", day(12), |bars| {
        bars[3].close += 0.5;
        bars[3].volume += 100.0;
        bars.remove(7);
    });
    world.change("B", day(14), |bars| bars.push(Bar { timestamp: bars[29].timestamp + 60_000, ..bars[29] }));
    let left_out = read_store(&world.grab.data_dir())["A"]
        .iter()
        .filter(|bar| new_york::date_of(bar.timestamp) == Some(day(12)))
        .nth(7)
        .copied();
    world.trade(day(15));
    let report = world.update(15, 0);
    // Bars after the last stored one are new, not revised.
    assert_eq!((&report["revised"], &report["bars"]), (&1.into(), &61.into()), "{report}");
    let manifest = world.grab.manifest();
    let select = "SELECT reason FROM events WHERE kind = 'revised'";
    let reason: String = manifest.query_row(select, [], |row| row.get(0)).unwrap();
    assert!(reason.starts_with("2024-11: 1 changed, 1 no longer sent, kept: 2024-11-12T"), "{reason}");
    assert!(reason.contains(" c ") && reason.contains(" v "), "{reason}");
    assert_eq!(world.grab.count("SELECT revised FROM runs WHERE command = 'update'"), 1);
    // A bar that the server omits stays: the server may be wrong.
    world.change("A", day(12), |bars| bars.insert(7, left_out.unwrap()));
    assert!(world.is_true());
}

#[test]
fn a_hole_in_the_middle_is_filled_with_one_request_and_then_no_more() {
    let world = World::new(&FORTNIGHT);
    let late: Vec<_> = [5, 6, 7].iter().map(|at| (day(*at), world.remove("A", day(*at)))).collect();
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B").exits(0);
    for (at, bars) in late {
        world.change("A", at, |day| *day = bars);
    }
    world.trade(day(15));
    let report = world.update(15, 0);
    assert_eq!(
        (&report["holes"], &report["hole_windows"], &report["requests"]),
        (&3.into(), &1.into(), &3.into())
    );
    assert!(world.is_true());
    world.trade(day(18));
    assert_eq!(world.update(18, 0)["requests"], 2);
    world.at(day(18), 21, 0, "verify --deep").exits(0);
}

#[test]
fn a_hole_of_the_servers_own_is_asked_for_once_more_and_again_when_it_is_old() {
    let world = World::new(&FORTNIGHT);
    let bars = world.remove("A", day(6));
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B").exits(0);
    world.trade(day(15));
    assert_eq!(world.update(15, 0)["holes"], 1);
    world.trade(day(18));
    assert_eq!(world.update(18, 0)["holes"], 0, "it has been asked for");
    assert_eq!(
        world.at(day(18), 22, 0, "verify --json").exits(0).json()["findings"][0]["severity"],
        "notice"
    );
    // Five weeks after the session it is requested a last time.
    world.change("A", day(6), |day| *day = bars);
    let late = world.at(date(2024, 12, 12), 20, 45, "update --json");
    assert_eq!(late.json()["holes"], 1, "{late:?}");
    assert!(world.is_true());
}

#[test]
fn a_hole_that_is_filled_late_is_noticed_on_that_evening_and_costs_no_request() {
    let world = World::new(&FORTNIGHT);
    let bars = world.remove("A", day(6));
    world.at(day(14), 21, 0, "start --windows 2024-11 --tickers A,B").exits(0);
    for at in [15, 18, 19, 20] {
        world.trade(day(at));
        world.update(at, 0);
    }
    world.change("A", day(6), |day| *day = bars);
    world.trade(day(21));
    assert_eq!(world.update(21, 0)["requests"], 2);
    assert!(world.is_true());
}

#[test]
fn a_source_that_lags_is_no_success_and_is_asked_again_in_the_same_night() {
    let world = begun();
    let report = world.update(15, 10);
    assert_eq!((&report["outcome"], &report["is_lagging"]), (&"incomplete".into(), &true.into()));
    assert!(report["hint"].as_str().unwrap().contains("run `grab update` again"), "{report}");
    world.trade(day(15));
    let report = world.at(day(15), 23, 0, "update --json").exits(0).json();
    assert_eq!((&report["requests"], &report["is_lagging"]), (&2.into(), &false.into()));
    assert!(world.is_true());
}

#[test]
fn too_few_symbols_in_a_new_session_are_an_exit_code() {
    let world = begun();
    world.trade(day(15));
    let short = world.at(day(15), 20, 45, "update --json --min-symbols-per-session 3").exits(13).json();
    assert!(short["hint"].as_str().unwrap().contains("2024-11-15 has 2 symbols"), "{short}");
    world.trade(day(18));
    world.at(day(18), 20, 45, "update --min-symbols-per-session 2").exits(0);
}

#[test]
fn what_is_interrupted_goes_on_and_what_failed_is_tried_each_evening() {
    let world = begun();
    world.trade(day(15));
    let cut = world.at(day(15), 20, 45, "update --json --max-requests 1").exits(10).json();
    assert_eq!(cut["tasks"]["pending"], 1);
    world.trade(day(18));
    let report = world.update(18, 0);
    assert_eq!(report["requests"], 2);
    assert!(world.is_true());
    world
        .grab
        .manifest()
        .execute("UPDATE tasks SET state = 'failed', last_error = 'x' WHERE is_tail AND ticker = 'A'", [])
        .unwrap();
    world.trade(day(19));
    assert_eq!(world.update(19, 0)["requests"], 2);
    assert!(world.is_true());
}

#[test]
fn a_dry_run_says_what_would_be_asked_and_asks_nothing() {
    let world = begun();
    world.trade(day(15));
    let asked = world.server.pages_asked();
    let plan = world.at(day(15), 20, 45, "update --dry-run --json").exits(0).json();
    assert_eq!(
        plan["asked"][0],
        serde_json::json!({"ticker": "A", "window": {"from": "2024-11-11", "to": "2024-11-15"}})
    );
    assert_eq!(plan["estimate"]["requests"], serde_json::json!({"min": 2, "max": 2}));
    let text = world.at(day(15), 20, 45, "update --dry-run").exits(0).stdout;
    assert!(text.starts_with("2 symbols to extend to 2024-11-15, 0 gaps in 0 windows"), "{text}");
    assert_eq!((world.server.pages_asked(), world.grab.count("SELECT count(*) FROM tasks")), (asked, 2));
}

#[test]
fn what_a_cron_mail_says_and_an_alert_reads() {
    let world = begun();
    world.trade(day(15));
    let ran = world.at(day(15), 20, 45, "update --metrics-file grab.prom").exits(0);
    assert!(
        ran.stdout
            .starts_with("grab update 2024-11-15: complete (exit 0): 2 symbols, 60 new bars, 2 requests\n"),
        "{ran:?}"
    );
    let metrics = || fs::read_to_string(world.grab.dir().join("grab.prom")).unwrap();
    for line in [
        "grab_last_exit_code 0",
        "grab_session_symbols 2",
        "grab_session_coverage_ratio 1",
        "grab_tasks{state=\"done\"} 4",
        "grab_last_new_bars 60",
        "grab_bars 660",
    ] {
        assert!(metrics().lines().any(|found| found == line), "{line}: {}", metrics());
    }
    let success = metrics()
        .lines()
        .find(|line| line.starts_with("grab_last_success_timestamp_seconds 17317215"))
        .unwrap()
        .to_owned();
    let lagging = world.at(day(18), 20, 45, "update --metrics-file grab.prom").exits(10);
    assert!(lagging.stdout.starts_with("grab update 2024-11-18: incomplete (exit 10)"), "{lagging:?}");
    let metrics = metrics();
    assert!(metrics.contains("grab_last_exit_code 10\n"), "{metrics}");
    assert!(metrics.contains(&success), "{metrics}");
}

#[test]
fn metrics_have_a_place_or_nothing_is_asked_and_a_failure_is_not_hidden_by_theirs() {
    let world = begun();
    world.trade(day(15));
    let asked = world.server.pages_asked();
    for place in ["nowhere/grab.prom", "data/manifest.sqlite"] {
        let refused = world.at(day(15), 20, 45, &format!("update --metrics-file {place}")).exits(2);
        assert!(refused.stderr.contains("--metrics-file"), "{refused:?}");
    }
    assert_eq!(world.server.pages_asked(), asked);
    let keyless =
        world.grab.command("update --metrics-file grab.prom").env_remove("MASSIVE_API_KEY").output().unwrap();
    assert_eq!(keyless.status.code(), Some(20));
    let metrics = fs::read_to_string(world.grab.dir().join("grab.prom")).unwrap();
    assert!(metrics.contains("grab_last_exit_code 20\n"), "{metrics}");
}

#[test]
fn where_nothing_was_started_there_is_nothing_to_update() {
    let grab = Grab::of_sandbox();
    let missing = grab.run("update --sandbox --json");
    assert_eq!(missing.code, grab.run("resume --sandbox").code);
    assert!(!grab.data_dir().exists());
    grab.run("update --settle soon").exits(2);
}

#[test]
fn whoever_trades_every_day_and_is_missing_is_asked_for_again_in_the_same_night() {
    let world = begun();
    world.trade(day(15));
    let late = world.remove("B", day(15));
    world.update(15, 10);
    world.change("B", day(15), |bars| *bars = late);
    let again = world.at(day(15), 23, 0, "update --json").exits(0).json();
    assert_eq!(again["requests"], 1, "{again}");
    assert!(world.is_true());
}
