//! The output on stderr: logs and progress, for a terminal and for a file.

use serde_json::Value;

use crate::support::{Grab, Reply, Server, on_terminal};

/// An escape sequence that sets a colour begins so, or with a bold 1.
const COLOURS: [&str; 2] = ["\u{1b}[3", "\u{1b}[2m"];

/// A server that fails, so that there is something to report.
fn failing() -> (Server, Grab) {
    let server = Server::start(|_| Reply::json(500, "{}"));
    let grab = Grab::with_server(server.base_url());
    (server, grab)
}

fn start(more: &str) -> String {
    format!("start --windows 2024-01 --tickers A --max-attempts 1 {more}")
}

/// Whether every line of a text is a JSON object with this field.
fn all_have(text: &str, field: &str) -> bool {
    let has = |line| serde_json::from_str::<Value>(line).is_ok_and(|line| line.get(field).is_some());
    !text.is_empty() && text.lines().all(has)
}

#[test]
fn logs_are_lines_of_text_or_of_json() {
    let (_server, grab) = failing();
    let text = grab.run(&start("-vv --progress none")).exits(11).stderr;
    assert!(text.contains("DEBUG") && text.contains("HTTP 500") && !all_have(&text, "level"), "{text}");
    let (_server, grab) = failing();
    let json = grab.run(&start("-vv --progress none --log-format json")).exits(11).stderr;
    assert!(all_have(&json, "level") && json.contains("HTTP 500"), "{json}");
    let (_server, grab) = failing();
    let grab = grab.env("GRAB_LOG_FORMAT", "json").env("GRAB_LOG", "grab=debug").env("GRAB_PROGRESS", "none");
    let json = grab.run(&start("")).exits(11).stderr;
    assert!(all_have(&json, "level") && json.contains("HTTP 500"), "{json}");
}

#[test]
fn there_are_no_logs_unless_somebody_asks_and_flags_win() {
    for (log, flags) in [("", ""), ("grab=debug", "-q")] {
        let (_server, grab) = failing();
        let stderr =
            grab.env("GRAB_LOG", log).run(&start(&format!("--progress none {flags}"))).exits(11).stderr;
        assert_eq!(stderr, "", "{log} {flags}");
    }
}

#[test]
fn the_form_of_progress_can_be_set_everywhere() {
    let shown = |form: &str, flags: &str| {
        let (_server, grab) = failing();
        grab.env("GRAB_PROGRESS", form).run(&start(flags)).exits(11).stderr
    };
    assert!(all_have(&shown("json", ""), "message_type"));
    assert!(shown("json", "--progress lines").starts_with("1 of 1 task, "));
    assert_eq!(shown("none", ""), "");
    assert!(shown("auto", "").starts_with("1 of 1 task, "), "no terminal, no bar");
}

#[test]
fn a_terminal_gets_a_bar_and_colours_unless_it_is_spared() {
    let shown = |env: &[(&str, &str)], flags: &str| {
        let (_server, grab) = failing();
        let mut command = grab.command(&start(flags));
        command.envs(env.iter().copied()).stdout(std::process::Stdio::null());
        on_terminal(command)
    };
    let coloured = |text: &str| COLOURS.iter().any(|colour| text.contains(colour));
    let plain = shown(&[], "");
    assert!(plain.contains("100%") && plain.contains("1 request"), "{plain:?}");
    assert!(!plain.contains("new bar"), "a bar, not a line: {plain:?}");
    let lines = shown(&[], "--progress lines");
    assert!(lines.starts_with("1 of 1 task, ") && !lines.contains('\u{1b}'), "{lines:?}");

    let logs = "-vv --progress none";
    assert!(coloured(&shown(&[], logs)));
    assert!(coloured(&shown(&[("NO_COLOR", "")], logs)), "empty is not set");
    let spared = shown(&[("NO_COLOR", "1")], logs);
    assert!(spared.contains("HTTP 500") && !spared.contains('\u{1b}'), "{spared:?}");
    assert!(coloured(&shown(&[], "--no-such-flag")));
    let spared = shown(&[("NO_COLOR", "1")], "--no-such-flag");
    assert!(spared.contains("--no-such-flag") && !spared.contains('\u{1b}'), "{spared:?}");
}
