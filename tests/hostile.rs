//! Hostile input, or input saved by the wrong program: a clear error, its exit code, and nothing on disk.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    process::Command,
};

use jiff::civil::date;

use crate::support::{Grab, Ran, Reply, Server, minutes, page};

/// The longest readable message.
const LONGEST: usize = 2_500;

/// Checks a run that must leave nothing behind: its directory has only what the test put there. Returns its message.
fn refused(grab: &Grab, mut command: Command, code: i32) -> String {
    let files = || -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(grab.dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let ran = Ran::from(command.output().unwrap()).exits(code);
    assert_eq!(files(), before, "nothing is written");
    assert_eq!(ran.stdout, "", "the error is on stderr");
    assert!((1..LONGEST).contains(&ran.stderr.len()), "{} bytes: {:.500}", ran.stderr.len(), ran.stderr);
    let moves = ran.stderr.chars().filter(|c| c.is_control() && *c != '\n').count();
    assert_eq!(moves, 0, "control characters for the terminal: {ran:?}");
    ran.stderr
}

/// The message about one value of a flag.
fn refused_flag(arguments: &str, value: impl AsRef<OsStr>) -> String {
    let grab = Grab::new();
    let mut command = grab.command(arguments);
    command.arg(value);
    refused(&grab, command, 2)
}

/// The message about a tickers file.
fn refused_tickers(content: impl AsRef<[u8]>) -> String {
    let grab = Grab::new();
    fs::write(grab.dir().join("list"), content).unwrap();
    let said = refused(&grab, grab.command("start --windows 2024 --tickers-file list"), 3);
    assert!(said.contains("list: "), "{said}");
    said
}

/// The message about a spec.
fn refused_spec(content: impl AsRef<[u8]>) -> String {
    let grab = Grab::new();
    fs::write(grab.dir().join("spec.toml"), content).unwrap();
    let said = refused(&grab, grab.command("start --spec spec.toml"), 3);
    assert!(said.contains("spec.toml: "), "{said}");
    said
}

/// The number of tasks that a dry run would add for a tickers file.
fn accepted(content: impl AsRef<[u8]>) -> u64 {
    let grab = Grab::new();
    fs::write(grab.dir().join("list"), content).unwrap();
    let ran = grab.run("start --dry-run --json --windows 2024-01 --tickers-file list").exits(0);
    assert!(!grab.data_dir().exists());
    ran.json()["estimate"]["tasks"].as_u64().unwrap()
}

#[test]
fn symbols_that_are_none() {
    let long = "A".repeat(10_240);
    for (symbol, said) in [
        ("../../etc/x", "'/' at character 3 of \"../../etc/x\""),
        ("A/B", "'/' at character 2"),
        ("A\\B", "'\\\\' at character 2"),
        (".", "does not begin with an upper-case letter"),
        ("..", "does not begin with an upper-case letter"),
        ("A.", "ends with a dot"),
        ("-A", "does not begin with an upper-case letter"),
        ("_A", "does not begin with an upper-case letter"),
        ("aapl", "did you mean \"AAPL\"?"),
        ("ÄPL", "'Ä' at character 1"),
        ("AАPL", "at character 2"),
        ("A\nB", "'\\n' at character 2 of \"A\\nB\""),
        ("A\u{1b}[2J", "'\\u{1b}' at character 2"),
        ("A%2FB", "'%' at character 2"),
        ("C:", "':' at character 2"),
        (&long, "a symbol of 10240 bytes: at most 20 are accepted"),
        ("", "an empty symbol"),
        (" , ", "an empty symbol"),
    ] {
        let error = refused_flag("start --windows 2024", format!("--tickers={symbol}"));
        assert!(error.contains("--tickers: ") && error.contains(said), "{error}");
    }
    // Without "=", a value with a leading dash is an unknown flag.
    let error = refused_flag("start --windows 2024 --tickers", "-A");
    assert!(error.contains("-A"), "{error}");
    let error = refused_flag("start --windows 2024 --tickers", OsStr::from_bytes(b"A\xff"));
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn names_of_devices_are_symbols_in_folders_that_are_none() {
    let server = Server::start(|request| {
        Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
    });
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers CON,NUL,PRN,COM1,NULp").exits(0);
    // On Windows, a device is a name that is the word itself, or the word and a dot: `ticker=` precedes it here.
    let mut folders: Vec<_> = fs::read_dir(grab.data_dir().join("bars_1m"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, ["ticker=COM1", "ticker=CON", "ticker=NUL", "ticker=NUL%70", "ticker=PRN"]);
}

#[test]
fn tickers_files_that_other_programs_saved() {
    assert_eq!(accepted("\u{feff}AAPL\r\nMSFT\r\n\r\n"), 2);
    assert_eq!(accepted("name,ticker\n\"Apple, \"\"the\"\" Inc.\",\"AAPL\"\n\"two\nlines\",MSFT\n"), 2);
    for (content, said) in [
        (&b"AAPL\nM\0SFT\n"[..], "line 2: '\\0' at character 2 of \"M\\0SFT\""),
        (b"AAPL\n\nMS\xffFT\n", "line 3, byte 3: the file is not UTF-8 text"),
        (b"\xff\xfeA\0\r\0\n\0", "the file is UTF-16: save it as UTF-8"),
        (b"\xfe\xff\0A", "the file is UTF-16"),
        (
            b"# mine\n\nticker;name\nAAPL;Apple\n",
            "line 3: the columns of a table are separated by commas, not by ';'",
        ),
        (b"symbol\tname\nAAPL\tApple\n", "not by '\\t'"),
        (b"name,sector\nApple,Tech\n", "line 1: a table needs a column \"ticker\" or \"symbol\""),
        (b"AAPL,MSFT\n", "line 1: a table needs a column"),
        (b"ticker,name\nAAPL,Apple\n# no\n\nA/B,\"x\"\n", "line 5: '/' at character 2"),
        (b"ticker,name\n,Apple\n", "line 2: an empty symbol"),
        (b"name,ticker\n\"never closed,AAPL\nX,MSFT\n", "line 2: a quote is opened here and never closed"),
        (b"AAPL\rMSFT\r", "line 1: '\\r' at character 5"),
        (b"AAPL MSFT\n", "line 1: ' ' at character 5"),
        (b"AAPL\n\x1b[2J\x1b]0;x\x07\n", "line 2: '\\u{1b}' at character 1"),
        (b"", "there is no symbol in it"),
        (b"\xef\xbb\xbf\r\n# nothing\r\n", "there is no symbol in it"),
    ] {
        let error = refused_tickers(content);
        assert!(error.contains(said), "{error}");
    }
    let header = "column,".repeat(100_000);
    assert!(refused_tickers(header).contains("line 1: a table needs a column"));
}

#[test]
fn tickers_files_that_are_no_files_or_endless() {
    let grab = Grab::new();
    fs::create_dir(grab.dir().join("folder")).unwrap();
    for name in ["folder", "missing", "folder/x/y"] {
        for flag in ["--windows 2024 --tickers-file", "--spec"] {
            let error = refused(&grab, grab.command(&format!("start {flag} {name}")), 3);
            assert!(error.contains(&format!("{name}: ")), "{error}");
        }
    }
    for flag in ["--windows 2024 --tickers-file", "--spec"] {
        let error = refused(&grab, grab.command(&format!("start {flag} /dev/zero")), 3);
        assert!(error.contains("/dev/zero: larger than") && error.contains("right file"), "{error}");
    }
    std::os::unix::fs::symlink("loop", grab.dir().join("loop")).unwrap();
    let error = refused(&grab, grab.command("start --windows 2024 --tickers-file loop"), 3);
    assert!(error.contains("loop: Too many levels of symbolic links"), "{error}");
}

#[test]
fn a_tickers_file_that_this_user_may_not_read() {
    let grab = Grab::new();
    let secret = grab.dir().join("secret");
    fs::write(&secret, "AAPL\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let error = refused(&grab, grab.command_of_nobody("start --windows 2024 --tickers-file secret"), 3);
    assert!(error.contains("secret: Permission denied"), "{error}");
}

/// A million symbols, all different.
fn million() -> String {
    let mut list = String::with_capacity(8_000_000);
    for number in 0..1_000_000_u32 {
        writeln!(list, "X{number}").unwrap();
    }
    list
}

/// The command with 1 GiB of address space.
fn within_a_gigabyte(grab: &Grab, arguments: &str) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_grab")]);
    limited.args(arguments.split_whitespace()).current_dir(grab.dir()).env_clear().env("HOME", grab.dir());
    limited
}

#[test]
fn a_million_symbols_take_seconds_and_no_gigabyte() {
    let grab = Grab::new();
    fs::write(grab.dir().join("list"), million()).unwrap();
    let mut command = within_a_gigabyte(&grab, "start --dry-run --windows 2024-01 --tickers-file list");
    let ran = Ran::from(command.output().unwrap()).exits(0);
    assert!(ran.stdout.starts_with("1,000,000 tasks to add"), "{ran:?}");
    assert!(!grab.data_dir().exists());
}

#[test]
fn a_million_malformed_lines_are_an_error_of_eleven() {
    let grab = Grab::new();
    fs::write(grab.dir().join("list"), million().replace('X', "x")).unwrap();
    let command = within_a_gigabyte(&grab, "start --windows 2024-01 --tickers-file list");
    let error = refused(&grab, command, 3);
    assert!(error.contains("line 1: ") && error.contains("and 999990 more"), "{error}");
}

#[test]
fn windows_that_are_none() {
    let long = "2024x".repeat(10_000);
    let many = "2024,".repeat(10_001);
    for (windows, said) in [
        ("2010-2004", "the window \"2010-2004\" ends before it begins"),
        ("20x4", "\"20x4\" is not a window: accepted are 2004-2010 (years)"),
        ("0000", "\"0000\" is not within 1993-01-01 to 2099-12-31"),
        ("0001-9999", "is not within"),
        ("9999", "is not within"),
        ("2100", "is not within"),
        ("2024,9999-12", "\"9999-12\" is not within"),
        ("2024-13", "is not a window"),
        ("2023-02-29", "is not a window"),
        ("-2024", "is not a window"),
        ("2024..", "is not a window"),
        ("２０２４", "is not a window"),
        ("2024\u{1b}[2J", "is not a window"),
        ("", "no window is given"),
        (" , ,", "no window is given"),
        (&long, "is not a window"),
        (&many, "10001 windows: at most 10000 are accepted"),
    ] {
        let error = refused_flag("start --tickers A", format!("--windows={windows}"));
        assert!(error.contains("--windows: ") && error.contains(said), "{error}");
    }
    let error = refused_flag("start --tickers A --windows", "2098");
    assert!(error.contains("begins after the last finished session"), "{error}");
}

#[test]
fn a_thousand_windows_are_a_thousand_tasks() {
    let first = date(2020, 1, 1);
    let days: Vec<_> = first.series(jiff::ToSpan::days(1)).take(1_000).map(|day| day.to_string()).collect();
    let grab = Grab::new();
    let command = format!("start --dry-run --json --tickers A --windows {}", days.join(","));
    assert_eq!(grab.run(&command).exits(0).json()["estimate"]["tasks"], 1_000);
    assert!(!grab.data_dir().exists());
}

#[test]
fn specs_with_mistakes() {
    let rest = "[universe]\ntickers = [\"A\"]\n";
    for (spec, said) in [
        (format!("windows = [\"2024\"]\nwidnows = []\n{rest}"), "line 2, column 1: unknown field `widnows`"),
        (
            format!("windows = \"2024\"\n{rest}"),
            "line 1, column 11: invalid type: string, expected a sequence",
        ),
        (
            format!("windows = [2024]\n{rest}"),
            "line 1, column 12: invalid type: integer `2024`, expected a string",
        ),
        ("windows = [\"2024\"]\n[universe]\ntickers = \"A\"\n".to_owned(), "line 3, column 11: invalid type"),
        (format!("windows = [\"2024\"]\nadjusted = \"no\"\n{rest}"), "line 2, column 12: invalid type"),
        (
            format!("windows = [\"2024\"]\n{rest}[pacing]\nconcurrency = -1\n"),
            "line 5, column 15: invalid value",
        ),
        (format!("windows = [\"2024\"]\n{rest}[pacing]\nrate = \"fast\"\n"), "rate: \"fast\" is not a rate"),
        (
            format!("dataset = \"bars_1d\"\nwindows = []\n{rest}"),
            "line 1, column 11: unknown variant `bars_1d`",
        ),
        (format!("windows = [\"2024\"\n{rest}"), "line 2, column "),
        (format!("windows = []\nwindows = []\n{rest}"), "line 2, column 1: duplicate key"),
        (format!("windows = []\n{rest}"), "windows: no window is given"),
        (format!("windows = [\"20x4\"]\n{rest}"), "windows: \"20x4\" is not a window"),
        ("windows = [\"2024\"]\n[universe]\ntickers = []\n".to_owned(), "universe.tickers: an empty symbol"),
        ("windows = [\"2024\"]\n[universe]\ntickers = [\"../x\"]\n".to_owned(), "universe.tickers: '/' at"),
        ("windows = [\"2024\"]\n".to_owned(), "missing field `universe`"),
        (String::new(), "missing field"),
        (format!("a = {}", "[".repeat(100_000)), "line 1, column "),
    ] {
        let error = refused_spec(&spec);
        assert!(error.contains(said), "{said}: {error}");
    }
    let error = refused_spec(b"windows = [\"2024\"]\n# \xc4\n");
    assert!(error.contains("line 2, column 3: the file is not UTF-8 text"), "{error}");
    let large = format!("windows = [\"2024\"]\n{}\n{rest}", "# filler\n".repeat(1_200_000));
    assert!(refused_spec(large).contains("larger than 1.0 MB"));
}

#[test]
fn a_key_in_a_spec_or_a_config_file_is_not_repeated() {
    let rest = "[universe]\ntickers = [\"A\"]\n";
    for line in [
        "api_key = \"hush-hush-key\"",
        "api_key = hush-hush-key",
        "key = \"hush-hush-key",
        "apiKey = 'hush-hush-key'",
    ] {
        let error = refused_spec(format!("windows = [\"2024\"]\n{line}\n{rest}"));
        assert!(error.contains("line 2, column ") && !error.contains("hush"), "{error}");

        let grab = Grab::new();
        fs::write(grab.dir().join("grab.toml"), format!("rate = \"none\"\n{line}\n")).unwrap();
        let error = refused(&grab, grab.command("start --windows 2024 --tickers A"), 3);
        assert!(error.contains("grab.toml: line 2") && !error.contains("hush"), "{error}");
    }
    let error = refused_spec(format!("api_key = \"hush-hush-key\"\nwindows = [\"2024\"]\n{rest}"));
    assert!(error.contains("MASSIVE_API_KEY"), "{error}");
}
