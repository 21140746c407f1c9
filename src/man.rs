//! `grab man`: manual pages, made from the texts of `--help`.

use std::{io, path::Path};

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use grab_core::{exit::ExitStatus, store::write_whole};
use grab_ops::Error as Failure;
use serde::Serialize;

use super::{
    args::{Cli, ManArgs},
    output::Output,
    report::Report,
    text::Text,
};

/// Variables without a flag, and files.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("MASSIVE_API_KEY, POLYGON_API_KEY", "the key; it is never on a command line"),
    ("GRAB_API_KEY_FILE", "a file that holds the key and nothing else, in UTF-8"),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "honoured in upper and lower case, except for loopback; one that cannot be understood is an error",
    ),
    ("NO_COLOR", "no colours, if it is set to anything"),
    ("GRAB_LOG", "what to log, such as grab=debug"),
    ("GRAB_NOW", "an instant such as 2024-07-03T21:00:00Z that counts as now, for rehearsals"),
];

const FILES: [(&str, &str); 4] = [
    ("grab.toml", "settings of the working directory"),
    ("$XDG_CONFIG_HOME/grab/config.toml", "settings of the user"),
    (
        "$XDG_STATE_HOME/grab/pace/",
        "the pace for each service and key, which all processes of the user share",
    ),
    ("DATA_DIR/manifest.sqlite", "tasks, stored data, and the evidence for both"),
];

/// What is printed: the page, or the paths of the pages.
#[derive(Serialize)]
struct Manual {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<String>>,
}

/// Prints the page of `grab`, or writes one for each command.
///
/// # Errors
/// If a page cannot be written.
pub fn run(args: &ManArgs, output: Output) -> Result<ExitStatus, Failure> {
    let mut grab = Cli::command();
    // After this each command knows its full name and the global settings.
    grab.build();
    let manual = match &args.dir {
        None => Manual { page: Some(page(&grab)?), files: None },
        Some(dir) => Manual { page: None, files: Some(write_all(&grab, dir)?) },
    };
    output.report(&manual)
}

impl Report for Manual {
    fn text(&self) -> Text {
        let mut lines = self.page.iter().chain(self.files.iter().flatten());
        let mut text = Text::new(lines.next().map_or("", String::as_str));
        lines.for_each(|line| text.line(line));
        text
    }
}

fn write_all(grab: &Command, dir: &Path) -> Result<Vec<String>, Failure> {
    let mut files = Vec::new();
    let mut commands = vec![grab];
    while let Some(command) = commands.pop() {
        let path = dir.join(format!("{}.1", name(command)));
        write_whole(&path, page(command)?.as_bytes())?;
        files.push(path.display().to_string());
        commands.extend(command.get_subcommands());
    }
    files.sort();
    Ok(files)
}

/// `grab`, `grab-start`, `grab-spec-check`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<String> {
    let is_whole = command.get_display_name().is_none_or(|name| name == "grab");
    let man = Man::new(command.clone())
        .title(name(command).to_uppercase())
        .source(concat!("grab ", env!("CARGO_PKG_VERSION")))
        .manual("grab");
    let mut bytes = Vec::new();
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut bytes)?;
    }
    man.render_options_section(&mut bytes)?;
    let mut more = Roff::new();
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    // What follows the first block of `grab --help` has its own sections here.
    let blocks = text.split("\n\n").take(if is_whole { 1 } else { usize::MAX });
    blocks.enumerate().for_each(|(at, block)| add_block(&mut more, block, at == 0));
    if is_whole {
        exit_status(&mut more);
        table(&mut more, "ENVIRONMENT", &ENVIRONMENT);
        table(&mut more, "FILES", &FILES);
    } else {
        more.control("SH", ["EXIT STATUS"]);
        more.text([roman("As grab(1) lists them.")]);
    }
    more.to_writer(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Adds a block of the text after the options: the examples, line by line, or a paragraph.
fn add_block(roff: &mut Roff, block: &str, is_first: bool) {
    if is_first {
        roff.control("SH", ["EXAMPLES"]);
    } else {
        roff.control("PP", []);
    }
    let lines = block.lines().filter(|line| *line != "Examples:");
    for line in lines {
        if line.starts_with("  ") {
            roff.control("nf", []);
            roff.text([roman(line)]);
            roff.control("fi", []);
        } else {
            roff.text([roman(line)]);
        }
    }
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for status in ExitStatus::ALL {
        entry(roff, &status.code().to_string(), status.meaning());
    }
}

fn table(roff: &mut Roff, heading: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (name, means) in rows {
        entry(roff, name, means);
    }
}

fn entry(roff: &mut Roff, name: &str, means: &str) {
    roff.control("TP", []);
    roff.text([roman(name)]);
    roff.text([roman(means)]);
}
