//! The errors of a disk, each with its own message.

use super::*;
use crate::support::Ran;

const START: &str = "start --json --windows 2024-01 --tickers A";

fn fails(grab: &Grab, arguments: &str, failpoint: &str) -> Ran {
    grab.command(arguments).env("GRAB_FAILPOINT", failpoint).output().unwrap().into()
}

/// Each error, its message, and the advice.
const REFUSALS: [(&str, &str, &str); 9] = [
    ("enospc", "No space left on device", "make room (`df -h`"),
    ("edquot", "quota", "your quota on this file system is used up"),
    ("erofs", "Read-only file system", "mounted read-only"),
    ("eacces", "Permission denied", "as the user to whom this belongs"),
    ("eperm", "Operation not permitted", "as the user to whom this belongs"),
    ("emfile", "Too many open files", "`ulimit -n 1024`"),
    ("eio", "Input/output error", "the device reports an error"),
    ("enametoolong", "File name too long", "the path is longer than this file system allows"),
    ("estale", "Stale", "the network share or the device is gone"),
];

#[test]
fn each_refusal_is_said_in_its_own_words_and_nothing_is_lost() {
    let server = served();
    for (error, called, advice) in REFUSALS {
        let grab = Grab::with_server(server.base_url());
        let ran = fails(&grab, START, &format!("store.before_write={error}")).exits(30);
        let report = ran.json();
        let said = |field: &str| report[field].as_str().unwrap().to_owned();
        assert!(said("error").contains("ticker=A/year=2024/month=01/bars.parquet"), "{error}: {report}");
        assert!(said("error").contains(called), "{error}: {report}");
        assert!(said("hint").contains(advice) && said("hint").contains("`grab resume`"), "{error}: {report}");
        assert_eq!(said("hint").contains("make room"), error == "enospc", "{error}: {report}");
        let is_denied = matches!(error, "eacces" | "eperm");
        assert_eq!(said("error").contains(" belongs to "), is_denied, "{error}: {report}");
        grab.run("resume").exits(0);
        grab.run("verify --deep").exits(0);
    }
}

/// The errors of file systems without fsync for folders, or without any.
const WITHOUT_FSYNC: [&str; 4] = ["einval", "ebadf", "enosys", "enotsup"];

const SYNCS: [(&str, &str); 3] = [
    ("store.after_name_sync", "the name of a new file or folder"),
    ("store.after_folder_sync", "the name of a new file or folder"),
    ("store.after_sync", "what is written to a file"),
];

#[test]
fn a_file_system_without_fsync_is_named_and_can_be_accepted_as_the_message_says() {
    let server = served();
    for (step, what) in SYNCS {
        for error in WITHOUT_FSYNC {
            let grab = Grab::with_server(server.base_url());
            let failpoint = format!("{step}={error}");
            let ran = fails(&grab, START, &failpoint).exits(30);
            let report = ran.json();
            let (said, hint) = (report["error"].as_str().unwrap(), report["hint"].as_str().unwrap());
            let expected = format!("this file system does not promise that {what} survives a power failure");
            assert!(said.contains(&expected), "{failpoint}: {report}");
            assert!(!hint.contains("make room"), "{failpoint}: {report}");
            // The flag from the message is used as it is.
            let flag = hint.split_whitespace().find(|word| word.starts_with("--allow")).unwrap();
            let flag = flag.trim_end_matches([',', '.', '`']);
            let grab = Grab::with_server(server.base_url());
            let ran = fails(&grab, &format!("{START} {flag}"), &failpoint).exits(0);
            assert_eq!(ran.stderr.matches("survives a power failure").count(), 1, "{failpoint}: {ran:?}");
            grab.run("verify --deep").exits(0);
        }
    }
}

#[test]
fn it_can_be_accepted_for_good_by_a_variable_or_a_config_file() {
    let server = served();
    let failpoint = "store.after_folder_sync=einval";
    let grab = Grab::with_server(server.base_url());
    let variable = fails(&grab, START, failpoint).exits(30).json()["hint"].as_str().unwrap().to_owned();
    let variable =
        variable.split_whitespace().find(|word| word.starts_with("GRAB_ALLOW")).unwrap().to_owned();
    let (name, value) = variable.trim_end_matches([',', ';', '.']).split_once('=').unwrap();
    let by_variable = Grab::with_server(server.base_url()).env(name, value);
    fails(&by_variable, START, failpoint).exits(0);
    let by_file = Grab::with_server(server.base_url());
    fs::write(by_file.dir().join("grab.toml"), "allow_unsynced = true\n").unwrap();
    fails(&by_file, START, failpoint).exits(0);
    for command in ["export --out out", "verify --csv found.csv"] {
        fails(&by_file, command, failpoint).exits(0);
    }
    let ran = Grab::with_server(server.base_url()).env(name, "maybe").run(START).exits(2);
    assert!(ran.stderr.contains("GRAB_ALLOW_UNSYNCED: \"maybe\" is neither true nor false"), "{ran:?}");
}

#[test]
fn a_disk_that_breaks_is_not_accepted_with_it() {
    let server = served();
    for error in ["eio", "enospc"] {
        let grab = Grab::with_server(server.base_url());
        fails(&grab, &format!("{START} --allow-unsynced"), &format!("store.after_folder_sync={error}"))
            .exits(30);
        grab.run("resume").exits(0);
    }
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_said_before_anything_is_asked() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    for limit in [8, 16, 24] {
        let program = grab.command(START);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -n $0; exec \"$@\"", &limit.to_string()]);
        shell.arg(program.get_program()).args(program.get_args()).current_dir(grab.dir()).env_clear();
        for (name, value) in program.get_envs() {
            shell.envs(value.map(|value| (name, value)));
        }
        let ran = Ran::from(shell.output().unwrap()).exits(30);
        let expected = format!("the system lets this process have {limit} files and connections open");
        assert!(ran.stderr.contains(&expected) && ran.stderr.contains("`ulimit -n 1024`"), "{ran:?}");
    }
    assert_eq!(server.connections(), 0);
}
