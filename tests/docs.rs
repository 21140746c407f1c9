//! The documents agree with the program.

use std::{collections::BTreeSet, fs, path::Path};

use clap::ValueEnum;
use grab_sandbox::{Fault, SandboxOptions};
use jiff::civil::date;
use serde_json::Value;

use crate::layers::sources;
use crate::support::{Grab, Ran, Reply, Server, Serving, minutes, page};

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The bodies of a document's fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let begins = format!("```{language}\n");
    text.split(&begins).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_test_command_needs_rust_alone() {
    let readme = document("README.md");
    let command = readme.split("<!-- test-command -->").nth(1).map(|rest| blocks(rest, "sh").remove(0));
    assert_eq!(command.as_deref(), Some("cargo test --locked"));
    let ci = document(".ci/run");
    assert!(ci.contains("/<!-- test-command -->/") && !ci.contains("nextest"), "it runs this command");
    assert!(document("CONTRIBUTING.md").contains("`cargo nextest run --locked`"));
}

/// Parts of grab cannot be built on Windows, and code for it was never run.
#[test]
fn linux_and_macos_are_the_only_platforms_and_nothing_is_for_another() {
    assert!(document("README.md").contains("runs on Linux and macOS. Windows is not supported"));
    assert!(!document("deny.toml").contains("windows"), "cargo deny looks at what we build for");
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests", "examples", "benches"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let ours = Path::new(file!()).file_name();
    let code = |path: &Path| fs::read_to_string(path).unwrap();
    let asks = |text: &str| {
        let texts = [
            "cfg(unix",
            "cfg!(unix",
            "cfg(windows",
            "cfg!(windows",
            "cfg(not(unix",
            "cfg(all(unix",
            "test, unix",
        ];
        texts.iter().map(|found| text.matches(found).count()).sum::<usize>()
    };
    let places: Vec<_> =
        files.iter().filter(|path| path.file_name() != ours && asks(&code(path)) > 0).collect();
    // Only the file that refuses to be built elsewhere.
    assert!(matches!(&places[..], [root] if root.ends_with("crates/core/src/lib.rs")), "{places:?}");
}

#[test]
fn grab_knows_every_command_that_a_document_shows() {
    let grab = Grab::new();
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().into_string().unwrap()));
    let pages = docs.filter(|path| Path::new(path).extension().is_some_and(|extension| extension == "md"));
    let mut shown = 0;
    for path in pages.chain(["README.md".to_owned(), "manifests/README.md".to_owned()]) {
        let text = document(&path);
        let lines = ["sh", "console"].map(|language| blocks(&text, language).join("\n")).join("\n");
        let lines = lines.lines().map(|line| line.trim_start_matches("$ "));
        // A line with a blank to fill in cannot be run.
        for line in lines.filter(|line| line.starts_with("grab ") && !line.contains('…')) {
            let typed = line.split([';', '|', '>', '#']).next().unwrap().trim_start_matches("grab ");
            let ran = grab.run(&format!("{typed} --help"));
            assert_eq!(ran.code, 0, "{path}: {line}: {ran:?}");
            shown += 1;
        }
    }
    assert!(shown >= 20, "{shown}");
}

#[test]
fn a_line_of_cron_finds_grab_and_reads_every_file_in_a_round_of_days() {
    let lines = blocks(&document("docs/scheduling.md"), "crontab").remove(0);
    assert!(lines.lines().any(|line| line.starts_with("PATH=/")), "cron's own has no folder for grab");
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            line.split('%').rev().skip(1).all(|before| before.ends_with('\\')),
            "it ends at the %: {line}"
        );
    }
    let sample = lines.lines().find(|line| line.contains("verify --sample")).unwrap();
    // The number of a day, not of a day in its month: months have 28 to 31 days.
    assert!(sample.contains("$(($(date +\\%s) / 86400 \\% 28 + 1))/28"), "{sample}");
    assert!(sample.contains("[ $code = 13 ]"), "a symbol that hardly trades is no damage");
}

#[test]
fn every_statement_of_the_manifests_document_runs_and_finds_something() {
    let options = SandboxOptions { history_from: Some(date(2024, 7, 1)), ..SandboxOptions::default() };
    let server = Serving::start(options);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-06..2024-07 --tickers AAPL,NOSUCH").exits(11);
    let manifest = grab.manifest();
    let text = document("docs/manifest.md");
    let statements: Vec<_> = blocks(&text, "sql")
        .iter()
        .flat_map(|b| b.split(";\n").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(statements.len(), 6);
    for statement in statements {
        let mut prepared = manifest.prepare(statement.trim_end_matches(';')).unwrap();
        let rows = prepared.query([]).unwrap().mapped(|_| Ok(())).count();
        let expected = match () {
            () if statement.contains("last_error, count") => 0,
            () if statement.contains("session_bars") => 22,
            () if statement.contains("FROM events") => 3,
            () if statement.contains("FROM not_entitled") => 2,
            () => 1,
        };
        assert_eq!(rows, expected, "{statement}");
    }
}

#[test]
fn the_manifests_document_names_every_table_and_column() {
    let text = document("docs/manifest.md");
    let grab = Grab::new();
    grab.run("start --plan-only --windows 2024-07 --tickers AAPL").exits(0);
    let manifest = grab.manifest();
    let columns = "SELECT m.name, p.name FROM sqlite_schema m JOIN pragma_table_info(m.name) p
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    let mut select = manifest.prepare(columns).unwrap();
    let names = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for name in names {
        let (table, column) = name.unwrap();
        assert!(text.contains(&format!("**`{table}`**")), "{table}");
        assert!(text.contains(&format!("`{column}`")), "{table}.{column}");
    }
}

#[test]
fn the_examples_of_json_have_the_fields_that_are_printed() {
    let server = Server::start(|request| match request.symbol() {
        _ if request.target.starts_with("/v3/reference/tickers?") => {
            let row = format!(r#"{{"ticker":"A","active":{}}}"#, request.target.contains("active=true"));
            Reply::json(200, format!(r#"{{"status":"OK","results":[{row}]}}"#))
        }
        _ if request.target.starts_with("/stocks") => Reply::json(200, r#"{"status":"OK"}"#),
        _ if request.target.contains("/reference/") => Reply::json(404, r#"{"status":"NOT_FOUND"}"#),
        "GONE" => Reply::json(404, r#"{"status":"NOT_FOUND"}"#),
        "BRK-B" => Reply::json(200, page("BRK-B", &[], None)),
        // So that `status` can show a plan.
        symbol if request.from() < "2024-01-01" => Reply::json(
            403,
            format!(r#"{{"status":"NOT_AUTHORIZED","message":"{symbol}: not this data timeframe"}}"#),
        ),
        symbol => {
            let first = if request.from() == "2024-01-01" {
                date(2024, 1, 3)
            } else {
                request.from().parse().unwrap()
            };
            Reply::json(200, page(symbol, &minutes(first, 5), None))
        }
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_RATE", "5/s");
    let examples = blocks(&document("docs/json.md"), "json");
    for (name, text) in [
        (
            "demo.toml",
            "windows = [\"2023\", \"2050\"]\n[universe]\ntickers = [\"A\"]\n[pacing]\nrate = \"5/min\"\n",
        ),
        (
            "stocks.toml",
            "windows = [\"2016\"]\n[universe]\nlist = \"us-stocks\"\ntypes = [\"CS\"]\nexchanges = [\"XNAS\"]\nas_of = 2016-12-31\n",
        ),
        ("bad.toml", "windows = [\"20x4\"]\n[universe]\ntickers = [\"A\"]\n"),
    ] {
        fs::write(grab.dir().join(name), text).unwrap();
    }
    fs::write(grab.dir().join("sectors.csv"), "ticker,sector\nA,Energy\n").unwrap();
    let commands = [
        "start --windows 2024-01 --tickers A,GONE,BRK-B --spec demo.toml",
        "update",
        "start --windows 2024-02 --tickers A --dry-run",
        "status --tickers --runs",
        "spec check demo.toml stocks.toml bad.toml",
        "verify",
        "repair",
        "repair --rewrite",
        "export --tickers A --format csv --out out",
        "universe sync --list-dates --renames --annotate sectors.csv",
        "universe list",
    ];
    assert_eq!(examples.len(), commands.len());
    for (command, example) in commands.into_iter().zip(examples) {
        if command.starts_with("status") {
            grab.run_with("GRAB_RATE", "none", "start --windows 2023-12 --tickers A").exits(11);
        }
        if command == "verify" {
            let lost = "bars_1m/ticker=A/year=2024/month=01/bars.parquet";
            fs::remove_file(grab.data_dir().join(lost)).unwrap();
        }
        let mut run = grab.command(&format!("{command} --json"));
        if command == "update" {
            run.env("GRAB_NOW", "2024-02-02T02:00:00Z");
        }
        let printed = Ran::from(run.output().unwrap()).json();
        assert_eq!(fields(&serde_json::from_str(&example).unwrap()), fields(&printed), "{command}");
    }
}

/// The path of each field, such as `.tasks.done` and `.items[].state`.
fn fields(value: &Value) -> BTreeSet<String> {
    let below = |name: &str, value| -> Vec<String> {
        let inner = fields(value).into_iter().map(|path| format!("{name}{path}"));
        inner.chain([name.to_owned()]).collect()
    };
    match value {
        Value::Object(object) => object.iter().flat_map(|(name, v)| below(&format!(".{name}"), v)).collect(),
        Value::Array(items) => items.iter().flat_map(|item| below("[]", item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

/// The rows of `faults! { … }`: name, state, words of the message.
fn faults_of(source: &str) -> Vec<[String; 3]> {
    let rows = source.split("\nfaults! {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let begins_a_row = |line: &&str| line.starts_with("    ") && line.trim_start().len() + 4 == line.len();
    let row = |line: &str| {
        let (name, rest) = line.trim().split_once(": \"").unwrap();
        let (state, rest) = rest.split_once("\", \"").unwrap();
        let words = rest.split("\",").next().unwrap().replace("\\\"", "\"");
        [name.to_owned(), state.to_owned(), words]
    };
    rows.lines().filter(begins_a_row).filter(|line| line.contains(": \"")).map(row).collect()
}

/// The rows of `faults! { … }` for jobs without tasks: name, and the result of a list, a lookup and a day.
fn faults_of_jobs(source: &str) -> Vec<(String, [String; 3])> {
    let rows = source.split("\nfaults! {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("    ")?.split_once(": \"")?;
        let mut outcomes = rest.split("\", \"").map(str::to_owned);
        let outcomes = [outcomes.next()?, outcomes.next()?, outcomes.next()?];
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then(|| (name.to_owned(), outcomes))
    };
    rows.lines().filter_map(row).collect()
}

#[test]
fn each_fault_of_an_answer_has_a_row_for_each_kind_of_job() {
    let text = document("docs/faults.md");
    let jobs = faults_of_jobs(&document("tests/every_job.rs"));
    let tasks = faults_of(&document("tests/faults.rs"));
    let names = |rows: BTreeSet<&str>| rows.into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        names(jobs.iter().map(|(name, _)| name.as_str()).collect()),
        names(tasks.iter().map(|[name, ..]| name.as_str()).collect()),
        "each fault of a task is tried on the other jobs"
    );
    for (name, [list, lookup, day]) in &jobs {
        let row = text.lines().find(|line| line.starts_with(&format!("| `every_job::{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        let [_, state, _] = tasks.iter().find(|[task, ..]| task == name).unwrap();
        assert!(row.ends_with(&format!("| `{state}` | {list} | {lookup} | {day} |")), "{row}");
    }
    // What is tested in memory is tested for all kinds of jobs.
    let outages = document("crates/core/src/engine/outage_tests.rs");
    let tests = outages.lines().filter_map(|line| line.strip_prefix("async fn ")?.strip_suffix("() {"));
    for test in tests {
        assert!(text.contains(&format!("| `engine::outage_tests::{test}` |")), "{test} has no row");
    }
}

#[test]
fn the_table_of_faults_and_the_tests_are_the_same() {
    let text = document("docs/faults.md");
    let faults = document("tests/faults.rs");
    let rows = faults_of(&faults);
    assert!(rows.len() > 40, "{rows:?}");
    for [name, state, words] in &rows {
        let row = text.lines().find(|line| line.starts_with(&format!("| `faults::{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        assert!(row.ends_with(&format!("| `{state}` | {words} |")), "{row}");
    }
    let named = |line: &str| line.strip_prefix("fn ")?.strip_suffix("() {").map(str::to_owned);
    for test in faults.split("#[test]\n").skip(1).filter_map(|test| named(test.lines().next()?)) {
        assert!(text.contains(&format!("| `faults::{test}` |")), "{test} has no row");
    }
    for path in text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()) {
        let (module, function) = path.rsplit_once("::").unwrap();
        // One beside the code is in a module of the library, or in the `tests` of one.
        let is_beside = module.starts_with("engine::") || module.ends_with("::tests");
        let folder = if is_beside { "crates/core/src" } else { "tests" };
        let file = module.trim_end_matches("::tests").replace("::", "/");
        let source = document(&format!("{folder}/{file}.rs"));
        let is_a_row =
            ["faults", "every_job"].contains(&module) && rows.iter().any(|[name, ..]| name == function);
        assert!(source.contains(&format!("fn {function}() {{")) || is_a_row, "there is no test {path}");
    }
}

#[test]
fn the_architecture_is_two_pages_at_most() {
    assert!(document("docs/ARCHITECTURE.md").lines().count() <= 110);
}

#[test]
fn the_sandboxes_document_says_of_every_fault_what_the_help_says() {
    let text = document("docs/sandbox.md");
    for kind in Fault::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
        let row = format!("| `{}` | {} |", kind.get_name(), kind.get_help().unwrap());
        assert!(text.contains(&row), "{row}");
    }
}

#[test]
fn the_image_is_built_with_the_toolchain_that_the_sources_name() {
    let toolchain = document("rust-toolchain.toml");
    let version = toolchain.split("channel = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(document("Dockerfile").contains(&format!("FROM rust:{version}-")));
}
