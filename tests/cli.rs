//! Commands, settings, exit codes and JSON shapes of the contract.

use std::{fs, path::Path};

use grab_sandbox::SandboxOptions;
use jiff::civil::date;
use serde_json::Value;

use crate::support::{Grab, Ran, Reply, Server, Serving, litter, minutes, page, read_store};

fn served() -> Server {
    Server::start(|request| Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None)))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_json_of_start_and_status_has_the_fields_of_the_contract() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("start --json --windows 2024-01 --tickers A,B").exits(0).json();
    let named = ["total", "pending", "running", "done", "empty", "not_entitled", "not_found", "failed"];
    let fields = [
        "command",
        "outcome",
        "tasks",
        "requests",
        "retries",
        "bars",
        "partitions",
        "bytes_received",
        "elapsed_seconds",
    ];
    assert!(fields.iter().all(|field| keys(&report).contains(field)), "{report}");
    assert!(named.iter().all(|state| keys(&report["tasks"]).contains(state)), "{report}");
    assert_eq!((&report["command"], &report["outcome"]), (&"start".into(), &"complete".into()));
    assert_eq!(
        (&report["bars"], &report["partitions"], &report["requests"]),
        (&10.into(), &2.into(), &2.into())
    );
    assert!(report["bytes_received"].as_u64().unwrap() > 1_000);

    let status = grab.run("status --json --tickers").exits(0).json();
    assert!(named.iter().all(|state| keys(&status["tasks"]).contains(state)), "{status}");
    assert_eq!((&status["bars"], &status["partitions"]), (&10.into(), &2.into()));
    assert_eq!(status["oldest"], "2024-01-03T14:30:00Z");
    assert_eq!(status["newest"], "2024-01-03T14:34:00Z");
    let item = serde_json::json!({
        "ticker": "A", "window": {"from": "2024-01-01", "to": "2024-01-31"}, "state": "done", "bars": 5, "pages": 1,
        "cursor": null, "attempts": 0, "last_error": null,
    });
    assert_eq!(status["items"][0], item);
}

#[test]
fn a_list_that_is_given_twice_goes_on() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    let start = "start --windows 2024-01 --windows 2024-01-02..2024-01-05,2024-01-03 --tickers AAPL,MSFT --tickers NVDA";
    let plan = grab.run(&format!("{start} --dry-run --json")).exits(0).json();
    assert_eq!(plan["plan"].as_array().unwrap().len(), 9);
    grab.run(start).exits(0);
    assert_eq!(grab.count("SELECT count(*) FROM tasks"), 9);
    grab.run("export --tickers AAPL --tickers MSFT --windows 2024-01-02 --windows 2024-01-03 --out files")
        .exits(0);
    let mut files: Vec<_> =
        fs::read_dir(grab.dir().join("files")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["AAPL.parquet", "MSFT.parquet", "grab-export.json"]);
    // In each part, an invalid symbol is named.
    let wrong = grab.run("start --windows 2024-01 --tickers AAPL --tickers B/C").exits(2);
    assert!(wrong.stderr.contains("'/' at character 2"), "{wrong:?}");
}

#[test]
fn any_other_flag_that_is_given_twice_is_an_error_of_the_command_line() {
    let grab = Grab::new();
    let start = "start --windows 2024 --tickers A";
    for (arguments, flag) in [
        (format!("{start} --rate 5/min --rate 100/s"), "--rate <RATE>"),
        (format!("{start} --tickers-file a --tickers-file b"), "--tickers-file <FILE>"),
        (format!("{start} --adjusted=true --adjusted=false"), "--adjusted[=<BOOL>]"),
        (format!("{start} --dry-run --dry-run"), "--dry-run"),
        (format!("--data-dir a {start} --data-dir b"), "--data-dir <DIR>"),
        (format!("--data-dir=a {start} --data-dir=a"), "--data-dir <DIR>"),
        ("--json status --json".to_owned(), "--json"),
        ("status --tickers --tickers".to_owned(), "--tickers"),
    ] {
        let ran = grab.run(&arguments).exits(2);
        let said = format!("the argument '{flag}' cannot be used multiple times");
        assert!(ran.stderr.contains(&said) || ran.stdout.contains(&said), "{ran:?}");
    }
    assert_eq!(fs::read_dir(grab.dir()).unwrap().count(), 0, "nothing is made");
}

#[test]
fn stdout_has_one_json_object_also_on_failure() {
    let grab = Grab::new();
    for (arguments, code) in [
        ("status --json", 2),
        ("resume --json", 2),
        ("start --json --windows 2010-2004 --tickers A", 2),
        ("start --json --windows 2024 --tickers A/B", 2),
        ("start --json --windows 2024 --tickers-file missing.txt", 3),
        ("start --json --windows 2024", 2),
        ("start --json --no-such-flag", 2),
        ("start --json --windows 2024 --tickers A", 20),
    ] {
        let report = grab.run(arguments).exits(code).json();
        assert_eq!(
            (&report["outcome"], &report["exit_code"]),
            (&"error".into(), &code.into()),
            "{arguments}"
        );
        assert_eq!(report["command"], arguments.split(' ').next().unwrap());
        assert!(report["tasks"]["total"].is_u64() && report["requests"].is_u64(), "{arguments}");
        assert!(!report["error"].as_str().unwrap().is_empty(), "{arguments}");
    }
}

#[test]
fn the_key_is_in_no_file_and_in_no_output() {
    let server = Server::start(|request| {
        let key = request.header("authorization").unwrap().to_owned();
        match request.symbol() {
            // A server that repeats the key.
            "ECHO" => Reply::json(403, format!("{{\"status\":\"NOT_AUTHORIZED\",\"message\":\"{key}\"}}")),
            // The key in escapes, and in unusual places.
            "ESCAPED" => {
                let key = key.replace("hush", "\\u0068ush");
                Reply::json(
                    403,
                    format!("{{\"status\":\"{key}\",\"request_id\":\"{key}\",\"message\":\"{key}\"}}"),
                )
            }
            "LEAK" if !request.target.contains("cursor") => {
                let host = request.header("host").unwrap();
                let next = format!(
                    "http://{host}/v2/aggs/ticker/LEAK/range/1/minute/1/2?cursor=x&apiKey=hush-hush-key"
                );
                Reply::json(200, page("LEAK", &minutes(date(2024, 1, 3), 5), Some(&next)))
            }
            "LEAK" => Reply::json(500, "{}"),
            symbol => Reply::json(200, page(symbol, &minutes(date(2024, 1, 3), 5), None)),
        }
    });
    let grab = Grab::with_server(server.base_url());
    let ran =
        grab.run("start -vvv --windows 2024-01 --tickers A,LEAK,ECHO,ESCAPED --max-attempts 1").exits(11);
    let status = grab.run("status --json --tickers");
    for text in [ran.stdout, ran.stderr, status.stdout] {
        assert!(!text.contains("hush-hush-key"), "{text}");
    }
    let mut files = vec![grab.dir().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(13).any(|window| window == b"hush-hush-key"), "{}", path.display());
        }
    }
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let grab = Grab::new();
    let plan = grab.run("start --dry-run --json --windows 2023,2024 --tickers A,B").exits(0).json();
    assert_eq!(plan["plan"].as_array().unwrap().len(), 4);
    assert_eq!(plan["estimate"]["sessions"], 2 * (250 + 252));
    assert_eq!(plan["estimate"]["requests"], serde_json::json!({"min": 4, "max": 20}));
    assert!(!grab.data_dir().exists());
    let text = grab.run("start --dry-run --windows 2023,2024 --tickers A,B").exits(0).stdout;
    assert!(text.contains("4 tasks to add") && text.contains("4 to 20 requests"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn plan_only_records_and_resume_runs() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    let report = grab.run("start --plan-only --json --windows 2024-01 --tickers A").exits(0).json();
    assert_eq!((&report["tasks"]["pending"], &report["plan_only"]), (&1.into(), &true.into()));
    assert_eq!(report["outcome"], "complete", "it is recorded, as it was asked for");
    assert_eq!(server.requests().len(), 0);
    let plan = grab.run("start --dry-run --json --windows 2024-01 --tickers A").exits(0).json();
    assert_eq!(plan["plan"], serde_json::json!([]));
    assert_eq!(
        plan["estimate"]["requests"],
        serde_json::json!({"min": 1, "max": 1}),
        "what is pending would run too"
    );
    grab.run("resume").exits(0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_future_is_cut_off_at_the_last_finished_session() {
    let server = served();
    // 3 July 2024 was a half day: its extended hours ended at 17:00 in New York, 21:00 UTC.
    for (now, last) in [("2024-07-03T20:59:59Z", "2024-07-02"), ("2024-07-03T21:00:00Z", "2024-07-03")] {
        let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", now);
        let plan = grab.run("start --dry-run --json --windows 2024 --tickers A").exits(0);
        assert_eq!(plan.json()["plan"][0]["window"]["to"], last);
        assert!(plan.stderr.contains("GRAB_NOW"), "{plan:?}");
    }
    let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2024-07-06T12:00:00Z");
    let future = grab.run("start --windows 2025 --tickers A").exits(2);
    assert!(future.stderr.contains("2024-07-05"), "{future:?}");
    let nonsense = Grab::new().env("GRAB_NOW", "tomorrow").run("start --windows 2024 --tickers A").exits(2);
    assert!(nonsense.stderr.contains("GRAB_NOW"), "{nonsense:?}");
}

#[test]
fn the_next_day_the_same_request_asks_for_the_new_day_only() {
    let server = Server::start(|request| Reply::json(200, page(request.symbol(), &[], None)));
    let evening = Grab::with_server(server.base_url()).env("GRAB_NOW", "2024-07-02T12:00:00Z");
    evening.run("start --windows 2024 --tickers A").exits(0);
    evening.run_with("GRAB_NOW", "2024-07-03T12:00:00Z", "start --windows 2024 --tickers A").exits(0);
    assert_eq!(server.asked(), ["A 2024-01-01", "A 2024-07-02"]);
}

#[test]
fn symbols_from_files_and_specs() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    fs::write(grab.dir().join("list.csv"), "\u{feff}name,Symbol\r\n\"Berkshire, B\",BRK.B\r\nNa,NA\r\n")
        .unwrap();
    fs::write(
        grab.dir().join("spec.toml"),
        "windows = [\"2024-01\"]\n[universe]\ntickers_file = \"list.csv\"\n[pacing]\nconcurrency = 1\n",
    )
    .unwrap();
    grab.run("start --spec spec.toml").exits(0);
    assert_eq!(grab.tasks(), ["BRK.B 2024-01-01 done", "NA 2024-01-01 done"]);
    grab.run("start --windows 2024-01 --tickers-file list.csv").exits(0);
    assert_eq!(server.requests().len(), 2, "the same again");

    fs::write(grab.dir().join("bad.txt"), "AAPL\n../../etc/x\n").unwrap();
    let bad = grab.run("start --windows 2024-01 --tickers-file bad.txt").exits(3);
    assert!(bad.stderr.contains("bad.txt: line 2: '/' at character 3"), "{bad:?}");
    fs::write(
        grab.dir().join("bad.toml"),
        "windows = [\"2024\"]\nwidnows = 1\n[universe]\ntickers = [\"A\"]\n",
    )
    .unwrap();
    let bad = grab.run("start --spec bad.toml").exits(3);
    assert!(bad.stderr.contains("line 2, column 1") && bad.stderr.contains("widnows"), "{bad:?}");
}

#[test]
fn a_config_file_sets_what_flags_and_environment_do_not() {
    let server = served();
    let grab = Grab::new().env("POLYGON_API_KEY", "old-name");
    let config = format!("base_url = \"{}\"\nrate = \"none\"\ndata_dir = \"elsewhere\"\n", server.base_url());
    fs::write(grab.dir().join("grab.toml"), config).unwrap();
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    assert!(grab.dir().join("elsewhere/manifest.sqlite").exists());
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer old-name"));
    fs::write(grab.dir().join("grab.toml"), "rate = \"none\"\nspeed = 3\n").unwrap();
    let unknown = grab.run("status").exits(3);
    assert!(unknown.stderr.contains("grab.toml: line 2: unknown key \"speed\""), "{unknown:?}");
}

/// A directory of a grab whose schema is one version older: reading changes nothing, so that the older grab can
/// continue with it. (The schema's own tests check that each readable version has all columns.)
#[test]
fn a_manifest_of_the_version_before_is_read_as_it_is_and_migrated_by_what_writes() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let back = "ALTER TABLE plan DROP COLUMN is_all_asked; PRAGMA user_version = 16";
    grab.manifest().execute_batch(back).unwrap();
    let version =
        || -> i64 { grab.manifest().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap() };
    let status = grab.run("status --json").exits(0).json();
    assert_eq!((&status["tasks"]["done"], &status["is_all_asked"]), (&1.into(), &true.into()), "{status}");
    grab.run("status --tickers").exits(0);
    grab.run("verify --deep").exits(0);
    grab.run("export --out exported").exits(0);
    assert_eq!(version(), 16, "who reads does not migrate");
    grab.run("resume").exits(0);
    assert_eq!(version(), 17, "who writes does");
}

#[test]
fn a_manifest_that_is_newer_or_not_ours_is_left_alone() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    grab.manifest().pragma_update(None, "user_version", 99).unwrap();
    for command in ["status", "resume", "start --windows 2024-02 --tickers A"] {
        let newer = grab.run(command).exits(32);
        assert!(newer.stderr.contains("schema version 99"), "{newer:?}");
    }
    let grab = Grab::with_server(server.base_url());
    fs::create_dir(grab.data_dir()).unwrap();
    fs::write(
        grab.data_dir().join("manifest.sqlite"),
        b"this is not a database, it is a text file, long enough",
    )
    .unwrap();
    grab.run("status").exits(30);
    grab.run("start --windows 2024-01 --tickers A").exits(30);
}

#[test]
fn lower_case_symbols_have_paths_of_their_own() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers KIMpL,KIMPL,BRK.B,NAN,ON").exits(0);
    let folder = |name: &str| grab.data_dir().join("bars_1m").join(name);
    for name in ["ticker=KIM%70L", "ticker=KIMPL", "ticker=BRK.B", "ticker=NAN", "ticker=ON"] {
        assert!(folder(name).join("year=2024/month=01/bars.parquet").is_file(), "{name}");
    }
    assert_eq!(read_store(&grab.data_dir()).len(), 5);
}

#[test]
fn the_sandbox_runs_in_process_and_its_directory_never_mixes_with_real_bars() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --windows 2024-01-03 --tickers AAPL --max-requests 1").exits(0);
    let bars = read_store(&grab.data_dir());
    let again = Grab::of_sandbox();
    again.run("start --sandbox --plan-only --windows 2024-01-03 --tickers AAPL").exits(0);
    // Resume finds out without a key that this directory is the sandbox's.
    again.run("resume").exits(0);
    assert_eq!(read_store(&again.data_dir()), bars);
    let mut real = grab.command("start --windows 2024-01-04 --tickers AAPL");
    real.env("MASSIVE_API_KEY", "key").env("MASSIVE_API_BASE_URL", "http://127.0.0.1:9");
    Ran::from(real.output().unwrap()).exits(2);
    assert!(litter(&grab.data_dir()).is_empty());
}

#[test]
fn a_proxy_is_not_asked_for_what_is_on_this_machine() {
    let grab =
        Grab::of_sandbox().env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9");
    grab.run("start --sandbox --windows 2024-01-03 --tickers AAPL").exits(0);
}

#[test]
fn progress_goes_to_stderr_in_the_chosen_form() {
    let server = Serving::start(SandboxOptions::default());
    let grab = Grab::with_server(server.base_url());
    let ran = grab.run("start --progress json --windows 2024-01-03 --tickers AAPL").exits(0);
    let status: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&status["message_type"], &status["tasks_ended"]), (&"status".into(), &1.into()));
    let ran = grab.run("start --progress none --windows 2024-01-04 --tickers AAPL").exits(0);
    assert_eq!(ran.stderr, "");
    let ran = grab.run("start -q --windows 2024-01-05 --tickers AAPL").exits(0);
    assert_eq!(ran.stderr, "");
    let ran = grab.run("start --windows 2024-01-08 --tickers AAPL").exits(0);
    assert!(ran.stderr.starts_with("1 of 1 task, "), "{ran:?}");
}

#[test]
fn help_names_every_setting_of_the_contract_and_fits_a_terminal() {
    let help = Grab::new().run("start --help").exits(0).stdout;
    for setting in [
        "--data-dir",
        "--base-url",
        "--rate",
        "--concurrency",
        "--adjusted",
        "--max-attempts",
        "--max-retry-time",
        "--connect-timeout",
        "--read-timeout",
        "--ca-bundle",
        "--progress",
        "--log-format",
        "--json",
        "--max-duration",
        "--max-requests",
        "--sandbox",
        "--windows",
        "--tickers",
        "--tickers-file",
        "--spec",
        "--plan-only",
        "--dry-run",
        "MASSIVE_API_BASE_URL",
        "GRAB_RATE",
        "SSL_CERT_FILE",
        "--allow-unsynced",
        "GRAB_ALLOW_UNSYNCED",
    ] {
        assert!(help.contains(setting), "{setting}");
    }
    assert!(!help.contains("--key"), "a key never comes from the command line");
    assert!(Path::new(env!("CARGO_BIN_EXE_grab")).exists());
}

#[test]
fn a_line_that_cannot_be_parsed_names_its_command_in_json() {
    let grab = Grab::new();
    for (line, command) in [
        ("spec check --json --bad", "spec check"),
        ("universe sync --frob --json", "universe sync"),
        ("universe --json list --frob", "universe list"),
        ("--json --data-dir start status --frob", "status"),
        ("frob --json", ""),
    ] {
        let report = grab.run(line).exits(2).json();
        assert_eq!((&report["command"], &report["exit_code"]), (&command.into(), &2.into()), "{line}");
    }
    assert_eq!(grab.run("spec check --json none.toml").exits(3).json()["command"], "spec check");
    assert_eq!(grab.run("universe list --json").exits(2).json()["command"], "universe list");
}

#[test]
fn an_unknown_key_of_a_file_or_a_spec_is_answered_with_the_nearest_one() {
    let grab = Grab::new();
    fs::write(grab.dir().join("grab.toml"), "rat = \"5/min\"\n").unwrap();
    let ran = grab.run("status").exits(3);
    assert!(ran.stderr.contains("unknown key \"rat\" (did you mean \"rate\"?)"), "{ran:?}");
    fs::write(grab.dir().join("grab.toml"), "base-url = \"http://127.0.0.1:1\"\n").unwrap();
    let ran = grab.run("status").exits(3);
    assert!(ran.stderr.contains("(did you mean \"base_url\"?)"), "{ran:?}");
    fs::remove_file(grab.dir().join("grab.toml")).unwrap();
    let spec = "windows = [\"2024\"]\nuniverse.tickers = [\"A\"]\n[pacing]\nrat = \"5/min\"\n";
    fs::write(grab.dir().join("s.toml"), spec).unwrap();
    let ran = grab.run("spec check s.toml").exits(3);
    assert!(format!("{ran:?}").contains("did you mean `rate`?"), "{ran:?}");
}
