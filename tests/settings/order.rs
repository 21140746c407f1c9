//! Flag over environment over spec over `grab.toml` over the user's own file over default.

use std::{fs, path::Path};

use jiff::civil::date;

use crate::support::{Grab, Reply, Server, minutes, page};

const DRY_RUN: &str = "start --dry-run --windows 2024-01 --tickers A";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_nearer_place_wins() {
    let grab = Grab::new().env("XDG_CONFIG_HOME", "xdg");
    let spec = "windows = [\"2024-01\"]\nuniverse.tickers = [\"A\"]\n[pacing]\nrate = \"3/min\"\n";
    write(&grab.dir().join("spec.toml"), spec);
    write(&grab.dir().join("grab.toml"), "rate = \"4/min\"\n");
    write(&grab.dir().join("xdg/grab/config.toml"), "rate = \"6/min\"\n");
    write(&grab.dir().join(".config/grab/config.toml"), "rate = \"7/min\"\n");
    let shows = |arguments: &str, env: &[(&str, &str)], rate: &str| {
        let output = grab.command(arguments).envs(env.iter().copied()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!(" at {rate}\n")), "not {rate}: {text}");
    };
    let (with_spec, variable) = ("start --dry-run --spec spec.toml", [("GRAB_RATE", "2/min")]);
    shows(&format!("{with_spec} --rate 1/min"), &variable, "1/min");
    shows(with_spec, &variable, "2/min");
    // A variable that is empty is not set.
    shows(with_spec, &[("GRAB_RATE", "")], "3/min");
    shows(DRY_RUN, &[], "4/min");
    fs::remove_file(grab.dir().join("grab.toml")).unwrap();
    shows(DRY_RUN, &[], "6/min");
    shows(DRY_RUN, &[("XDG_CONFIG_HOME", "")], "7/min");
    shows(DRY_RUN, &[("XDG_CONFIG_HOME", "nowhere")], "5/min");
}

#[test]
fn the_data_directory_is_found_in_the_same_order() {
    let grab = Grab::new().env("XDG_CONFIG_HOME", "xdg");
    write(&grab.dir().join("grab.toml"), "data_dir = \"by-file\"\n");
    write(&grab.dir().join("xdg/grab/config.toml"), "data_dir = \"by-user\"\n");
    let makes = |arguments: &str, variable: &str, folder: &str| {
        let start = format!("start --plan-only --windows 2024-01 --tickers A {arguments}");
        grab.run_with("GRAB_DATA_DIR", variable, &start).exits(0);
        assert!(grab.dir().join(folder).join("manifest.sqlite").is_file(), "{folder}");
        fs::remove_dir_all(grab.dir().join(folder)).unwrap();
    };
    makes("--data-dir by-flag", "by-variable", "by-flag");
    makes("", "by-variable", "by-variable");
    makes("", "", "by-file");
    fs::remove_file(grab.dir().join("grab.toml")).unwrap();
    makes("", "", "by-user");
    fs::remove_dir_all(grab.dir().join("xdg")).unwrap();
    makes("", "", "data");
}

#[test]
fn every_variable_is_read_and_its_flag_spares_it() {
    let grab = Grab::new();
    for (variable, flag) in [
        ("MASSIVE_API_BASE_URL", "--base-url http://localhost:1"),
        ("GRAB_BASE_URL", "--base-url http://localhost:1"),
        ("GRAB_RATE", "--rate 2/s"),
        ("GRAB_CONCURRENCY", "--concurrency 2"),
        ("GRAB_ADJUSTED", "--adjusted"),
        ("GRAB_MAX_ATTEMPTS", "--max-attempts 2"),
        ("GRAB_MAX_RETRY_TIME", "--max-retry-time 2s"),
        ("GRAB_CONNECT_TIMEOUT", "--connect-timeout 2s"),
        ("GRAB_READ_TIMEOUT", "--read-timeout 2s"),
        ("GRAB_PROGRESS", "--progress none"),
        ("GRAB_MAX_DURATION", "--max-duration 2s"),
        ("GRAB_MAX_REQUESTS", "--max-requests 2"),
        ("GRAB_PARQUET", "--parquet compact"),
        ("GRAB_LOG_FORMAT", "--log-format json"),
        ("GRAB_LOG", "-v"),
    ] {
        let run = |arguments: &str| grab.command(arguments).env(variable, "=non=sense=").output().unwrap();
        let alone = run(DRY_RUN);
        let stderr = String::from_utf8(alone.stderr).unwrap();
        assert_eq!(alone.status.code(), Some(2), "{variable}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {variable}: ")), "{stderr}");
        let spared = run(&format!("{DRY_RUN} {flag}"));
        assert_eq!(spared.status.code(), Some(0), "{variable} {flag}: {spared:?}");
    }
}

#[test]
fn a_word_that_is_none_of_a_few_is_answered_with_these() {
    for (variable, words) in [
        ("GRAB_PROGRESS", "auto, bar, lines, json, none"),
        ("GRAB_LOG_FORMAT", "text, json"),
        ("GRAB_PARQUET", "compatible, compact"),
    ] {
        let wrong = Grab::new().env(variable, "loud").run(DRY_RUN).exits(2);
        assert_eq!(wrong.stderr, format!("error: {variable}: \"loud\" is not one of {words}\n"));
    }
}

#[test]
fn of_two_addresses_in_the_environment_the_vendors_name_wins() {
    let server = Server::start(|request| {
        Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_BASE_URL", "http://127.0.0.1:9");
    grab.run("start --windows 2024-01 --tickers A").exits(0);
    let by_other_name = Grab::new().env("GRAB_BASE_URL", server.base_url()).env("POLYGON_API_KEY", "key");
    by_other_name.run("start --windows 2024-01 --tickers A").exits(0);
    assert_eq!(server.requests().len(), 2);
}
