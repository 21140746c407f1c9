//! The modes of files follow the umask, and a user who may only read can read them.

use std::{os::unix::fs::PermissionsExt, process::Command};

use super::*;
use crate::support::{Colleague, all_below, set_mode};

const START: &str = "start --windows 2024-01 --tickers A";

/// Runs the program with a umask.
fn run_with(grab: &Grab, umask: &str, arguments: &str) {
    let program = grab.command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask $0; exec \"$@\"", umask]).arg(program.get_program()).args(program.get_args());
    shell.current_dir(grab.dir()).env_clear();
    for (name, value) in program.get_envs() {
        shell.envs(value.map(|value| (name, value)));
    }
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{arguments}: {ran:?}");
}

#[test]
fn modes_follow_the_umask_those_of_the_manifest_too() {
    for (umask, bits) in [("022", 0o022), ("002", 0o002), ("027", 0o027), ("077", 0o077)] {
        let server = served();
        let grab = Grab::with_server(server.base_url()).env("GRAB_NOW", "2024-02-01T12:00:00Z");
        run_with(&grab, umask, START);
        run_with(&grab, umask, "start --sandbox --data-dir made-up --windows 2024-01-03 --tickers AAPL");
        run_with(&grab, umask, "universe sync --sandbox --data-dir made-up");
        let verify = "verify --sandbox --data-dir made-up --witness grouped-daily";
        run_with(&grab, umask, &format!("{verify} --report page.html --csv found.csv --missing missing.csv"));
        run_with(&grab, umask, "export --out out");
        run_with(&grab, umask, "man --dir pages");
        let reader = grab.manifest();
        reader.query_row("SELECT count(*) FROM tasks", [], |_| Ok(())).unwrap();
        assert!(grab.data_dir().join("manifest.sqlite-wal").exists(), "while somebody reads");
        let mut files = 0;
        for path in all_below(grab.dir()).iter().filter(|path| *path != grab.dir()) {
            let all = if path.is_dir() { 0o777 } else { 0o666 };
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, all & !bits, "{umask}: {}", path.display());
            files += usize::from(path.is_file());
        }
        assert!(files > 30, "{files}");
    }
}

/// Runs the commands of a colleague who may only read.
fn reads_all(colleague: &Colleague<'_>, story: &str) {
    let out = colleague.own_folder();
    let report = out.join("page.html");
    for command in [
        "status --tickers".to_owned(),
        "verify --min-coverage 0".to_owned(),
        "repair --dry-run".to_owned(),
        "repair --rewrite --dry-run".to_owned(),
        format!("verify --deep --min-coverage 0 --report {}", report.display()),
        format!("export --out {}", out.join("exported").display()),
    ] {
        let ran = colleague.run(&command);
        assert_eq!(ran.code, 0, "{story}: {command}: {ran:?}");
    }
    assert!(report.exists() && out.join("exported/A.parquet").exists(), "{story}");
}

#[test]
fn who_may_only_read_can_read_all_of_it() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let names = || all_below(&grab.data_dir()).len();
    let before = names();
    reads_all(&Colleague::of(&grab), "nobody writes");
    assert_eq!(names(), before, "nothing was made");
}

/// A crashed writer leaves a WAL, with the readers' shared file beside it or, as in a copy, without.
#[cfg(debug_assertions)]
#[test]
fn who_may_only_read_can_read_what_a_dead_writer_left() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    for (is_copied, story) in [(false, "the writer died"), (true, "it is a copy")] {
        let mut command = grab.command("start --windows 2024-01 --tickers B");
        let died = command.env("GRAB_FAILPOINT", "manifest.after_commit=kill@3").status().unwrap();
        assert!(!died.success());
        assert!(grab.data_dir().join("manifest.sqlite-wal").metadata().unwrap().len() > 0, "{story}");
        if is_copied {
            fs::remove_file(grab.data_dir().join("manifest.sqlite-shm")).unwrap();
        }
        reads_all(&Colleague::of(&grab), story);
    }
}

#[cfg(debug_assertions)]
#[test]
fn who_may_only_read_can_read_beside_a_run() {
    use std::process::Stdio;

    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let held = grab.dir().join("held");
    let mut command = grab.command("start --windows 2024-01 --tickers B");
    command.env("GRAB_FAILPOINT", "manifest.after_commit=hold@4").env("GRAB_FAILPOINT_HELD", &held);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    crate::support::wait_until("the step", || held.exists());
    reads_all(&Colleague::of(&grab), "beside a run");
    fs::remove_file(&held).unwrap();
    assert!(run.wait().unwrap().success());
}

#[test]
fn who_may_not_write_is_told_whose_it_is() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let colleague = Colleague::of(&grab);
    let verify = "verify --witness grouped-daily";
    for command in
        ["start --windows 2024-02 --tickers A", "resume", "update", "repair", "universe sync", verify]
    {
        let ran = colleague.run(command).exits(2);
        let is_told = ran.stderr.contains(" belongs to ") && ran.stderr.contains("; this process runs as ");
        assert!(is_told || command == verify, "{command}: {ran:?}");
        assert!(ran.stderr.contains("data"), "{command}: {ran:?}");
        assert!(!ran.stderr.contains("make room"), "{command}: {ran:?}");
    }
    let out = grab.data_dir().join("bars_1m/out");
    let ran =
        colleague.run(&format!("verify --csv {}", grab.dir().join("data/found.csv").display())).exits(2);
    assert!(ran.stderr.contains("belongs to"), "{ran:?}");
    assert!(!out.exists());
    assert_eq!(grab.tasks(), ["A 2024-01-01 done"]);
}

#[test]
fn a_manifest_that_another_one_may_not_read_is_named_with_its_owner() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let path = grab.data_dir().join("manifest.sqlite");
    set_mode(&path, if crate::support::is_root() { 0o600 } else { 0o000 });
    for command in ["status", "verify", "export --out theirs/out", "resume"] {
        let ran = Colleague::of(&grab).run(command).exits(2);
        let expected = "data/manifest.sqlite cannot be opened (data/manifest.sqlite belongs to ";
        assert!(ran.stderr.contains(expected), "{command}: {ran:?}");
    }
    set_mode(&path, 0o644);
    set_mode(&grab.data_dir(), if crate::support::is_root() { 0o700 } else { 0o000 });
    for command in ["status", "verify", "export --out theirs/out", START] {
        let ran = Colleague::of(&grab).run(command).exits(2);
        assert!(ran.stderr.contains("data belongs to "), "{command}: {ran:?}");
    }
    set_mode(&grab.data_dir(), 0o755);
}

#[test]
fn a_file_or_folder_that_another_one_may_not_read_is_no_damage() {
    let server = served();
    let grab = Grab::with_server(server.base_url());
    grab.run(START).exits(0);
    let month = grab.data_dir().join("bars_1m/ticker=A/year=2024/month=01");
    let closed = |mode_of_root: u32| if crate::support::is_root() { mode_of_root } else { 0o000 };
    for (path, mode, open, command) in [
        (month.join("bars.parquet"), closed(0o600), 0o644, "verify --deep"),
        (month.clone(), closed(0o700), 0o755, "verify"),
    ] {
        set_mode(&path, mode);
        let ran = Colleague::of(&grab).run(command).exits(2);
        assert!(ran.stderr.contains("month=01") && ran.stderr.contains(" belongs to "), "{ran:?}");
        set_mode(&path, open);
    }
}
