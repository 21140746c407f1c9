//! Completes the commands that the program's messages tell people to type, so that they work as they are.
//!
//! Messages name a command between backticks, such as `grab resume`: in an error, a finding, a note of an export.
//! Before a message is printed, each command gets the data directory of this run if that is not the default, and the
//! flags of this run that say how to reach its source. Settings that `start` has saved need not be repeated.

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
    sync::OnceLock,
};

use super::{
    args::{Cli, Command, FetchArgs, UniverseArgs, UniverseCommand, setting_list as list},
    settings::DEFAULT_DATA_DIR,
    shell::quoted,
};
use grab_core::data_dir::DataDir;

/// How this process was called: it exists once, like the command line itself.
static CALLED: OnceLock<CommandLine> = OnceLock::new();

/// The commands that use no data directory.
const WITHOUT_DIRECTORY: [&str; 4] = ["sandbox", "spec", "completions", "man"];

/// The commands that send requests to the source.
const FETCHING: [&str; 5] = ["start", "resume", "update", "repair", "universe sync"];

/// The command line of this run.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    typed: Vec<OsString>,
    data_dir: DataDir,
    is_of_sandbox: bool,
    /// Flags with their values, as they were given, that are not saved.
    fetch: Vec<(String, String)>,
}

impl CommandLine {
    /// Records what was typed, and the data directory.
    #[must_use]
    pub fn new(cli: &Cli, typed: &[OsString], data_dir: DataDir) -> Self {
        let is_start = matches!(cli.command, Command::Start(_));
        let fetch = cli.command.fetch().map(|args| flags(args, is_start)).unwrap_or_default();
        let is_of_sandbox = cli.command.fetch().is_some_and(|args| args.sandbox);
        Self { typed: typed.to_vec(), data_dir, is_of_sandbox, fetch }
    }

    /// Completes each command in a text; the inserted text goes through `escape` first.
    fn whole<'t>(&self, text: &'t str, escape: impl Fn(&str) -> String) -> Cow<'t, str> {
        let (mut whole, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("`grab ") {
            let Some((command, after)) = after.split_once('`') else { break };
            let missing: Vec<_> = self.missing(command).iter().map(|words| escape(words)).collect();
            whole.extend([before, "`grab ", command, missing.concat().as_str(), "`"]);
            rest = after;
        }
        if whole.is_empty() {
            return Cow::Borrowed(text);
        }
        whole.push_str(rest);
        Cow::Owned(whole)
    }

    /// The flags that a command lacks, each with a space before it.
    fn missing(&self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let has = |flag: &str| words.iter().any(|word| word.split('=').next() == Some(flag));
        let is_one_of = |names: &[&str]| {
            names.iter().any(|name| command == *name || command.starts_with(&format!("{name} ")))
        };
        let mut missing = Vec::new();
        if is_one_of(&WITHOUT_DIRECTORY) || words.is_empty() {
            return missing;
        }
        let is_start = is_one_of(&["start"]);
        // The directory knows that it is the sandbox's; a `start` has to say it.
        if is_start && self.is_of_sandbox && !has("--sandbox") {
            missing.push(" --sandbox".to_owned());
        }
        if is_one_of(&FETCHING) || has("--witness") {
            let given = self.fetch.iter().filter(|(flag, _)| !has(flag));
            missing.extend(given.map(|(flag, value)| format!(" {flag} {}", quoted(OsStr::new(value)))));
        }
        // The sandbox's data go to a directory of their own.
        let is_elsewhere = has("--sandbox") && !self.is_of_sandbox;
        if self.data_dir != DataDir::new(DEFAULT_DATA_DIR) && !is_elsewhere && !has("--data-dir") {
            missing.push(format!(" --data-dir {}", quoted(self.data_dir.path().as_os_str())));
        }
        missing
    }

    /// This command line without its data directory.
    fn elsewhere(&self) -> Self {
        let mut typed = Vec::new();
        let mut words = self.typed.iter();
        while let Some(word) = words.next() {
            if word == "--data-dir" {
                words.next();
            } else if !word.to_string_lossy().starts_with("--data-dir=") {
                typed.push(word.clone());
            }
        }
        Self { typed, ..self.clone() }
    }

    fn again(&self, more: &str) -> String {
        let typed = self.typed.iter().skip(1).map(|word| quoted(word));
        let words: Vec<_> = std::iter::once("grab".to_owned()).chain(typed).collect();
        format!("{} {more}", words.join(" "))
    }
}

/// The given flags that say how to reach the source, except those that a `start` saves in the directory.
fn flags(args: &FetchArgs, is_saved: bool) -> Vec<(String, String)> {
    let of_connection = list::CONNECTION.iter().filter(|setting| !(is_saved && setting.is_saved));
    of_connection.filter_map(|one| Some((one.typed(), args.settings.given.get(one)?.clone()))).collect()
}

impl Command {
    /// The arguments of a command that fetches. None for other commands.
    #[must_use]
    pub fn fetch(&self) -> Option<&FetchArgs> {
        match self {
            Self::Start(args) => Some(&args.fetch),
            Self::Resume(args) => Some(&args.fetch),
            Self::Repair(args) => Some(&args.fetch),
            Self::Update(args) => Some(&args.fetch),
            Self::Verify(args) => Some(&args.fetch),
            Self::Universe(UniverseArgs { command: UniverseCommand::Sync(args) }) => Some(&args.fetch),
            Self::Universe(UniverseArgs { command: UniverseCommand::List(_) })
            | Self::Status(_)
            | Self::Export(_)
            | Self::Sandbox(_)
            | Self::Spec(_)
            | Self::Completions(_)
            | Self::Man(_) => None,
        }
    }
}

/// Records how this process was called. The first call counts.
pub fn set(called: CommandLine) {
    let _ = CALLED.set(called);
}

/// Completes each command in a text.
#[must_use]
pub fn whole(text: &str) -> Cow<'_, str> {
    CALLED.get().map_or(Cow::Borrowed(text), |called| called.whole(text, str::to_owned))
}

/// Completes each command in a JSON text.
#[must_use]
pub fn whole_json(json: &str) -> Cow<'_, str> {
    // Quotes are removed from the JSON string: the text is inserted into another one.
    let escape = |text: &str| serde_json::Value::from(text).to_string().trim_matches('"').to_owned();
    CALLED.get().map_or(Cow::Borrowed(json), |called| called.whole(json, escape))
}

/// A complete command as it is to be typed; `what` is without the program's name.
#[must_use]
pub fn command(what: &str) -> String {
    whole(&format!("`grab {what}`")).trim_matches('`').to_owned()
}

/// What was typed, with `more` at the end: for a user who left something out.
#[must_use]
pub fn again(more: &str) -> Option<String> {
    CALLED.get().map(|called| called.again(more))
}

/// What was typed, for the sandbox: without the named data directory.
#[must_use]
pub fn again_in_sandbox() -> Option<String> {
    CALLED.get().map(|called| called.elsewhere().again("--sandbox"))
}

/// Whether the command of this run has a data directory.
#[must_use]
pub fn has_data_dir() -> bool {
    CALLED.get().is_some()
}

/// Whether this run uses the default data directory.
#[must_use]
pub fn is_default_place() -> bool {
    CALLED.get().is_some_and(|called| called.data_dir == DataDir::new(DEFAULT_DATA_DIR))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::is_command;

    fn called(line: &str, data_dir: &str) -> CommandLine {
        let typed: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        CommandLine::new(&Cli::try_parse_from(&typed).unwrap(), &typed, DataDir::new(data_dir))
    }

    fn whole_of(called: &CommandLine, text: &str) -> String {
        called.whole(text, str::to_owned).into_owned()
    }

    #[test]
    fn the_lists_of_commands_have_names_of_commands() {
        let names = WITHOUT_DIRECTORY.iter().chain(&FETCHING);
        let unknown: Vec<_> = names.filter(|name| !is_command(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn a_command_gets_its_directory_unless_that_is_the_default_or_is_there() {
        let start = "grab start --windows 2024 --tickers A";
        let text = "`grab resume` continues; `grab spec check x` and `grab status --data-dir x` are whole";
        assert_eq!(whole_of(&called(start, "data"), text), text);
        assert_eq!(
            whole_of(&called(start, "/srv/my bars"), text),
            "`grab resume --data-dir '/srv/my bars'` continues; `grab spec check x` and `grab status --data-dir x` are whole"
        );
        for odd in ["no command", "`grab resume", "`grabber`", "``"] {
            assert_eq!(whole_of(&called(start, "x"), odd), odd);
        }
    }

    #[test]
    fn it_gets_the_flags_of_this_run_that_nobody_remembers() {
        let how = "--rate 100/s --base-url http://127.0.0.1:1 --ca-bundle ca.pem --max-requests 3";
        let resume = called(&format!("grab resume {how}"), "data");
        assert_eq!(
            whole_of(&resume, "`grab resume --retry-failed`"),
            "`grab resume --retry-failed --base-url http://127.0.0.1:1 --rate 100/s --ca-bundle ca.pem`"
        );
        assert_eq!(whole_of(&resume, "`grab status`"), "`grab status`");
        let start = called(&format!("grab start --windows 2024 --tickers A {how}"), "data");
        assert_eq!(
            whole_of(&start, "`grab resume`"),
            "`grab resume --ca-bundle ca.pem`",
            "the rest is remembered"
        );
        let sandbox = called("grab start --sandbox --windows 2024 --tickers A", "sandbox-data");
        assert_eq!(whole_of(&sandbox, "`grab resume`"), "`grab resume --data-dir sandbox-data`");
        assert_eq!(
            whole_of(&sandbox, "`grab start --windows 2023 --tickers A`"),
            "`grab start --windows 2023 --tickers A --sandbox --data-dir sandbox-data`"
        );
    }

    #[test]
    fn what_was_typed_can_be_typed_again() {
        let typed: Vec<OsString> =
            ["/usr/bin/grab", "status", "--data-dir", "my bars"].map(OsString::from).to_vec();
        let called = CommandLine::new(&Cli::try_parse_from(&typed).unwrap(), &typed, DataDir::new("my bars"));
        assert_eq!(called.again("--json"), "grab status --data-dir 'my bars' --json");
    }
}
