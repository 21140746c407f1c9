//! Commands without a data directory: completions, manual pages, specs, help.

use std::{fs, path::Path, process::Command};

use grab_core::exit::ExitStatus;

use crate::support::Grab;

/// Every command and subcommand.
const COMMANDS: [&str; 16] = [
    "start",
    "resume",
    "update",
    "verify",
    "repair",
    "status",
    "export",
    "universe",
    "universe sync",
    "universe list",
    "sandbox",
    "spec",
    "spec check",
    "completions",
    "man",
    "",
];

/// A folder whose settings are broken: these commands must not use them.
fn broken() -> Grab {
    let grab = Grab::new();
    fs::write(grab.dir().join("grab.toml"), "rate = [").unwrap();
    grab.run("status").exits(3);
    grab
}

fn manifests() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

#[test]
fn completions_need_nothing_and_name_every_command_and_flag() {
    let grab = broken();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = grab.run(&format!("completions {shell}")).exits(0).stdout;
        for part in ["start", "resume", "verify", "completions", "sandbox", "max-requests", "tasks-file"] {
            assert!(script.contains(part), "{shell}: {part}");
        }
    }
    let json = grab.run("completions bash --json").exits(0).json();
    assert_eq!((&json["command"], &json["shell"]), (&"completions".into(), &"bash".into()));
    let unknown = grab.run("completions csh").exits(2);
    assert!(unknown.stderr.contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{unknown:?}");
    assert!(!grab.data_dir().exists());
}

/// Lets a shell read the completion script.
fn read_by(shell: &str, flag: &str) -> Grab {
    let grab = Grab::new();
    let script = grab.dir().join(shell);
    fs::write(&script, grab.run(&format!("completions {shell}")).exits(0).stdout).unwrap();
    let read = Command::new(shell).arg(flag).arg(&script).env_clear().output();
    let read = read.unwrap_or_else(|error| panic!("{shell}: {error}"));
    assert!(read.status.success(), "{shell}: {read:?}");
    grab
}

#[test]
#[ignore = "needs bash"]
fn the_shell_bash_completes_a_command() {
    let grab = read_by("bash", "-n");
    fs::write(
        grab.dir().join("typed"),
        "COMP_WORDS=(grab sta); COMP_CWORD=1; _grab grab sta grab\necho \"${COMPREPLY[@]}\"",
    )
    .unwrap();
    let typed = Command::new("bash").args(["-c", ". ./bash; . ./typed"]).current_dir(grab.dir()).output();
    let typed = String::from_utf8(typed.unwrap().stdout).unwrap();
    assert_eq!(typed.trim(), "start status");
}

#[test]
#[ignore = "needs zsh"]
fn the_shell_zsh_reads_the_completions() {
    read_by("zsh", "-n");
}

#[test]
#[ignore = "needs fish"]
fn the_shell_fish_reads_the_completions() {
    read_by("fish", "--no-execute");
}

#[test]
fn there_is_a_manual_page_for_each_command_with_its_examples() {
    let grab = broken();
    let page = grab.run("man").exits(0).stdout.replace("\\-", "-");
    assert!(page.contains(".TH GRAB 1") && page.contains("EXIT STATUS") && page.contains("MASSIVE_API_KEY"));
    for status in ExitStatus::ALL {
        let entry = format!(".TP\n{}\n{}", status.code(), status.meaning());
        assert!(page.contains(&entry), "{entry}");
    }
    let listed = grab.run("man --dir pages/man1").exits(0).stdout;
    assert_eq!(listed.lines().count(), COMMANDS.len(), "{listed}");
    for command in COMMANDS {
        let name = format!("grab {command}").trim().replace(' ', "-");
        let page = fs::read_to_string(grab.dir().join("pages/man1").join(format!("{name}.1"))).unwrap();
        let page = page.replace("\\-", "-");
        assert!(page.contains(&format!(".TH {} 1", name.to_uppercase())), "{name}");
        assert!(page.contains(".SH EXAMPLES\n.nf\n") || command.is_empty(), "{name}");
    }
    grab.run("man --dir grab.toml").exits(2);
}

#[test]
fn help_fits_a_screen_has_examples_that_can_be_typed_and_all_exit_codes_once() {
    let grab = Grab::new();
    for command in COMMANDS {
        let help = grab.run(&format!("{command} --help")).exits(0).stdout;
        let after = help.split("\nExamples:\n").nth(1);
        let after = if command.is_empty() { help.split("\nTry it ").nth(1) } else { after };
        let after = after.unwrap_or_else(|| panic!("{command} has no examples"));
        assert!(after.lines().all(|line| line.chars().count() <= 80), "{command}: {after}");
        let examples = after.lines().filter_map(|line| line.strip_prefix("  grab "));
        for example in examples.filter(|line| !line.contains('…')) {
            // Parsed, not run: `--help` is added to the command line that is shown.
            let typed = example.split([';', '|', '>']).next().unwrap();
            grab.run(&format!("{typed} --help")).exits(0);
        }
    }
    let help = grab.run("--help").exits(0).stdout;
    assert!(help.lines().count() <= 42, "one screen: {help}");
    let codes = help.split("Exit codes:").nth(1).unwrap();
    for status in ExitStatus::ALL {
        let words: Vec<_> = codes.split(|c: char| !c.is_ascii_digit()).collect();
        assert_eq!(words.iter().filter(|word| **word == status.code().to_string()).count(), 1, "{status:?}");
    }
}

#[test]
fn every_spec_here_is_good_and_says_what_it_asks_for() {
    let grab = broken();
    let specs: Vec<_> = fs::read_dir(manifests()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let specs: Vec<_> = specs.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    assert!(specs.len() >= 3);
    let names: Vec<_> = specs.iter().map(|path| path.display().to_string()).collect();
    let report = grab.run(&format!("spec check --json {}", names.join(" "))).exits(0).json();
    let found = |name: &str| {
        let spec = report["specs"].as_array().unwrap().iter();
        spec.into_iter().find(|spec| spec["file"].as_str().unwrap().ends_with(name)).unwrap().clone()
    };
    let demo = found("demo.toml");
    assert_eq!((&demo["symbols"], &demo["estimate"]["tasks"]), (&4.into(), &8.into()));
    let common = found("us-common-stocks-2004-2016.toml");
    assert_eq!(
        common["list"],
        serde_json::json!({"list": "us-stocks", "types": ["CS"], "exchanges": null, "as_of": null})
    );
    let windows = serde_json::json!([{"from": "2004-01-01", "to": "2010-12-31"}, {"from": "2011-01-01", "to": "2016-12-31"}]);
    assert_eq!((&common["windows"], &common["symbols"]), (&windows, &serde_json::Value::Null));
    let readme = fs::read_to_string(manifests().join("README.md")).unwrap();
    for name in specs.iter().map(|path| path.file_name().unwrap().to_str().unwrap()) {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} has no row");
    }
    let text = grab.run(&format!("spec check {}", names.join(" "))).exits(0).stdout;
    assert!(text.contains("  symbols   4: AAPL MSFT BRK.B NVDA\n"), "{text}");
    assert!(
        text.contains(
            "  symbols   all of us-stocks of type CS that were listed in a window, delisted ones included"
        ),
        "{text}"
    );
    assert!(text.contains("3 specs: nothing is wrong"), "{text}");
}

#[test]
fn all_specs_are_checked_and_what_is_wrong_is_named_with_its_line() {
    let grab = Grab::new().env("GRAB_NOW", "2024-07-06T12:00:00Z");
    let write = |name: &str, text: &str| fs::write(grab.dir().join(name), text).unwrap();
    write("bad.toml", "widnows = [\"2024\"]\n[universe]\ntickers = [\"A\"]\n");
    write(
        "values.toml",
        "windows = [\"2024\",\n\"20x4\"]\n[universe]\ntickers = [\"A/B\"]\n[pacing]\nrate = \"fast\"\nconcurrency = 0\n",
    );
    write("list.txt", "AAPL\n\n../x\n");
    write("file.toml", "windows = [\"2024\"]\n[universe]\ntickers_file = \"list.txt\"\n");
    write("future.toml", "windows = [\"2030\"]\n[universe]\ntickers = [\"A\"]\n");
    write(
        "good.toml",
        "windows = [\"2024\", \"2025\"]\n[universe]\ntickers = [\"A\", \"KIMpL\"]\n[pacing]\nrate = \"5/min\"\n",
    );
    let files = "bad.toml values.toml missing.toml file.toml future.toml good.toml";
    let ran = grab.run(&format!("spec check {files}")).exits(3);
    for line in [
        "bad.toml: line 1, column 1: unknown field `widnows`",
        "values.toml: line 1: windows: \"20x4\"",
        "values.toml: line 4: universe.tickers: ",
        "values.toml: line 6: pacing.rate: \"fast\"",
        "values.toml: line 7: pacing.concurrency: 0 is not",
        "missing.toml: ",
        "list.txt: line 3: ",
        "future.toml: windows: all begin after the last finished session, 2024-07-05",
        "good.toml: good\n  symbols   2: A KIMpL\n  windows   2024-01-01..2024-07-05\n  future    2025-01-01..2025-12-31: left out\n  tasks     2, ",
        "6 specs: something is wrong with 5",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let report = grab.run(&format!("spec check --json {files}")).exits(3).json();
    assert_eq!((&report["outcome"], &report["exit_code"]), (&"error".into(), &3.into()));
    let lines: Vec<_> =
        report["specs"].as_array().unwrap().iter().map(|spec| &spec["problems"][0]["line"]).collect();
    let null = serde_json::Value::Null;
    assert_eq!(lines, [&1.into(), &1.into(), &null, &3.into(), &null, &null]);
    assert_eq!(report["specs"][3]["problems"][0]["file"], "list.txt");
    assert!(!grab.data_dir().exists());
}

/// What the check calls wrong, `start` refuses; what it calls good, `start` accepts.
#[test]
fn the_check_and_start_agree() {
    for (text, code) in [
        ("windows = [\"2024\"]\n[universe]\ntickers = [\"A\"]\n", 0),
        ("windows = [\"2024\"]\n[universe]\ntickers = [\"A\"]\n[pacing]\nrate = \"fast\"\n", 3),
        ("windows = [\"2024\"]\n[universe]\ntickers = [\"A\"]\n[pacing]\nconcurrency = 33\n", 3),
        ("windows = [\"2024\"]\n[universe]\ntickers = [\"A\"]\ntypes = [\"CS\"]\n", 3),
        ("windows = []\n[universe]\ntickers = [\"A\"]\n", 3),
        ("windows = [\"2024\"]\n[universe]\ntickers = []\n", 3),
        ("windows = [\"2024\"]\n[universe]\ntickers_file = \"gone\"\n", 3),
        ("windows = [\"2024\"]\n[universe]\n", 3),
        ("windows = [\"2024\"]\n[universe]\nlist = \"us-stocks\"\nas_of = 2024-13-01\n", 3),
    ] {
        let grab = Grab::new();
        fs::write(grab.dir().join("s.toml"), text).unwrap();
        grab.run("spec check s.toml").exits(code);
        grab.run("start --dry-run --spec s.toml").exits(code);
    }
}
