//! `grab status --watch` and `--runs`: what they show of a run, from another terminal.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use grab_sandbox::SandboxOptions;
use serde_json::Value;

use crate::support::{Grab, Reply, Server, Serving, Terminal, read_store, wait_until};

/// A slow server, so that a run is live as long as a test needs, with an odd message.
fn slow() -> (Server, Grab) {
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(200));
        match request.symbol() {
            "ODD" => Reply::json(500, "\u{1b}[2J\u{1b}]0;owned\u{7}"),
            symbol => {
                let host = request.header("host").unwrap();
                let at =
                    request.target.split("cursor=").nth(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
                let next =
                    format!("http://{host}/v2/aggs/ticker/{symbol}/range/1/minute/1/2?cursor={}", at + 1);
                let day = jiff::civil::date(2024, 1, 2)
                    .saturating_add(jiff::Span::new().days(i64::try_from(at % 300).unwrap()));
                Reply::json(200, crate::support::page(symbol, &crate::support::minutes(day, 5), Some(&next)))
            }
        }
    });
    let grab = Grab::with_server(server.base_url());
    (server, grab)
}

/// A run in the background, killed at the test's end.
struct Live(Child);

impl Live {
    fn start(grab: &Grab, arguments: &str) -> Self {
        let child = grab.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the manifest", || grab.run("status").code == 0);
        Self(child)
    }

    fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.0.wait().unwrap();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const START: &str = "start --windows 2024 --tickers AAPL,MSFT,ODD,KIMpL --concurrency 4";

fn watching(grab: &Grab, columns: u16, rows: u16, env: &[(&str, &str)]) -> Terminal {
    let mut command = grab.command("status --watch --interval 100ms");
    command.envs(env.iter().copied());
    Terminal::start(command, columns, rows)
}

#[test]
fn a_live_run_is_seen_at_every_width_and_nothing_wraps() {
    let (_server, grab) = slow();
    let live = Live::start(&grab, START);
    for (columns, rows) in [(80, 24), (200, 50), (60, 12)] {
        let mut terminal = watching(&grab, columns, rows, &[]);
        let screen = terminal.wait_for("AAPL     2024-01-01..2024-12-31 2024-");
        assert!(screen[1].starts_with("run      grab start, process "), "{screen:#?}");
        assert!(screen[2].starts_with("tasks    4 running, 0 pending, 0 of 4 ended"), "{screen:#?}");
        assert!(screen[4].starts_with("pace     "), "{screen:#?}");
        if rows > 12 {
            let screen = terminal.wait_for("retry_scheduled: HTTP 500");
            let told = screen.iter().find(|line| line.contains("retry_scheduled")).unwrap();
            assert!(told.contains("ODD"), "{told}");
        }
        for screen in terminal.screens() {
            assert!(screen.len() <= rows.into(), "{screen:#?}");
            assert!(screen.iter().all(|line| line.chars().count() <= columns.into()), "{screen:#?}");
        }
        assert_eq!(screen.iter().any(|line| line.contains("  trouble")), columns == 200);
        terminal.types("xq");
        let (code, is_as_before, written) = terminal.ends();
        assert_eq!((code, is_as_before), (Some(0), true));
        assert!(written.starts_with("\u{1b}[?1049h") && written.ends_with("\u{1b}[?25h\u{1b}[?1049l"));
        assert!(
            !written.contains('\u{7}') && !written.contains("\u{1b}[2J"),
            "no server writes to a terminal"
        );
    }
    live.stop();
}

#[test]
fn it_goes_on_through_a_resize_and_past_the_end_of_the_run_and_a_signal_ends_it() {
    let (_server, grab) = slow();
    let live = Live::start(&grab, START);
    let terminal = watching(&grab, 80, 24, &[("NO_COLOR", "1")]);
    terminal.wait_for("run      grab start, process ");
    terminal.resize(40, 10);
    terminal.signal("WINCH");
    let is_small = |screen: &Vec<String>| screen.iter().all(|line| line.chars().count() <= 40);
    wait_until("a smaller screen", || terminal.screens().last().is_some_and(is_small));
    assert!(terminal.screens().pop().unwrap().len() <= 10);
    terminal.resize(200, 50);
    live.stop();
    terminal.wait_for("none is live; the last: grab start ");
    terminal.wait_for("days to cover; grab resume goes on");
    assert!(!terminal.written().contains("\u{1b}[1m") && !terminal.written().contains("\u{1b}[31m"));
    terminal.signal("TERM");
    let (code, is_as_before, _) = terminal.ends();
    assert_eq!((code, is_as_before), (Some(0), true));
}

#[test]
fn a_pipe_gets_plain_blocks_until_nobody_reads_them() {
    let (_server, grab) = slow();
    let live = Live::start(&grab, START);
    let mut watch = grab.command("status --watch --interval 100ms").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<_> = lines.take(40).collect();
    let text = lines.join("\n");
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    assert!(lines.iter().filter(|line| line.starts_with("run      grab start")).count() >= 2, "{text}");
    assert!(!text.contains("q ends"), "nobody can type");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
    // The reader is gone: the next block cannot be written.
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    live.stop();
}

#[test]
fn a_watcher_takes_nothing_from_the_run() {
    let server = Serving::start(SandboxOptions::default());
    let job = "start --windows 2024-01,2024-02 --tickers AAPL,MSFT,NVDA";
    let alone = Grab::with_server(server.base_url());
    alone.run(job).exits(0);
    let watched = Grab::with_server(server.base_url());
    watched.run("start --plan-only --windows 2024-02 --tickers AAPL").exits(0);
    let watchers: Vec<_> = (0..3).map(|_| watching(&watched, 80, 24, &[])).collect();
    let report = watched.run(&format!("{job} --json")).exits(0).json();
    assert_eq!(report["retries"], 0);
    assert_eq!(read_store(&watched.data_dir()), read_store(&alone.data_dir()));
    for mut watcher in watchers {
        watcher.wait_for("left     nothing is pending");
        watcher.types("q");
        assert_eq!(watcher.ends().0, Some(0));
    }
    assert!(!watched.data_dir().join("manifest.sqlite-wal").exists(), "all is folded in");
    watched.run("verify --deep").exits(0);
}

#[test]
fn what_cannot_be_watched_is_an_error_before_the_terminal_is_touched() {
    let grab = Grab::new();
    let terminal_free = |arguments: &str, code, words: &str| {
        let ran = grab.run(arguments).exits(code);
        assert!(ran.stderr.contains(words) && !ran.stdout.contains('\u{1b}'), "{ran:?}");
    };
    terminal_free("status --watch", 2, "nothing was ever started here");
    terminal_free("status --watch --json", 2, "--json");
    terminal_free("status --watch --interval soon", 2, "--interval: \"soon\"");
    terminal_free("status --watch --interval 1ms", 2, "--interval: at least 100ms");
    terminal_free("status --interval 1s", 2, "--watch");
    terminal_free("status --watch --tickers", 2, "--tickers");
}

#[test]
fn the_last_runs_are_listed_the_newest_first() {
    let (_server, grab) = slow();
    grab.run("start --windows 2024 --tickers AAPL --max-requests 2").exits(10);

    // One that was killed, and one that is live.
    let mut killed = Live::start(&grab, "resume");
    wait_until("a second run", || grab.count("SELECT count(*) FROM runs") == 2);
    killed.0.kill().unwrap();
    drop(killed);
    let text = grab.run("status --runs").exits(0).stdout;
    let rows: Vec<_> = text.lines().skip_while(|line| !line.starts_with("started (UTC)")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    let cells = |row: &str| row.split_whitespace().skip(2).take(4).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(rows[1]), ["resume", "killed", "-", "-"], "{text}");
    assert_eq!(cells(rows[2]), ["start", "incomplete", "10", "2"], "{text}");
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{text}");
    let live = Live::start(&grab, "resume");
    wait_until("a third run", || grab.count("SELECT count(*) FROM runs") == 3);
    let runs = grab.run("status --runs --json").exits(0).json()["runs"].take();
    live.stop();

    let how = |run: &Value| {
        (run["command"].clone(), run["live"].clone(), run["outcome"].clone(), run["requests"].clone())
    };
    let Value::Array(runs) = runs else { panic!("{runs}") };
    assert_eq!(how(&runs[0]), ("resume".into(), true.into(), Value::Null, 0.into()));
    assert_eq!(how(&runs[1]), ("resume".into(), false.into(), Value::Null, 0.into()));
    assert_eq!(how(&runs[2]), ("start".into(), false.into(), "incomplete".into(), 2.into()));
    let columns = "SELECT name FROM pragma_table_info('runs')";
    let manifest = grab.manifest();
    let mut select = manifest.prepare(columns).unwrap();
    for column in select.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let column = column.unwrap();
        assert!(runs[2].get(&column).is_some(), "{column} is not listed");
    }
    assert!(runs[2]["started_at"].as_str().unwrap().ends_with('Z'));

    grab.manifest()
        .execute_batch(
            "INSERT INTO runs (command, arguments, grab_version, pid, started_at_ms)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
             SELECT 'start', '', '', 1, i FROM n",
        )
        .unwrap();
    assert_eq!(grab.run("status --runs --json").exits(0).json()["runs"].as_array().unwrap().len(), 20);
    assert!(grab.run("status --json").exits(0).json().get("runs").is_none(), "only if asked for");
}
