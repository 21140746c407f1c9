//! The names of the commands, as clap knows them: `start`, `universe sync`. There is no other table of them.

use std::{ffi::OsString, sync::LazyLock};

use clap::{Command, CommandFactory};

use super::Cli;

/// All commands and their subcommands, each with its full name.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names = Vec::new();
    collect(&Cli::command(), "", &mut names);
    names
});

fn collect(command: &Command, before: &str, names: &mut Vec<String>) {
    for inner in command.get_subcommands() {
        let name = format!("{before}{}", inner.get_name());
        collect(inner, &format!("{name} "), names);
        names.push(name);
    }
}

/// The name of the command on a command line, also on one that cannot be parsed. Empty if there is none.
#[must_use]
pub fn command_name(arguments: &[OsString]) -> &'static str {
    let mut cli = Cli::command();
    // A command has the flags of all commands only once it is built.
    cli.build();
    let (mut command, mut name) = (&cli, String::new());
    let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if word.starts_with('-') {
            if has_value(command, word) {
                words.next();
            }
            continue;
        }
        let Some(inner) = command.find_subcommand(word) else { break };
        name = if name.is_empty() { word.to_owned() } else { format!("{name} {word}") };
        command = inner;
    }
    NAMES.iter().find(|known| **known == name).map_or("", String::as_str)
}

/// Whether the word after a flag is its value.
fn has_value(command: &Command, flag: &str) -> bool {
    let long = flag.strip_prefix("--");
    let mut arguments = command.get_arguments();
    arguments.any(|one| {
        long.is_some()
            && one.get_long() == long
            && one.get_action().takes_values()
            && !one.is_require_equals_set()
    })
}

/// Whether there is a command of this name.
#[cfg(test)]
pub fn is_command(name: &str) -> bool {
    NAMES.iter().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(line: &str) -> &'static str {
        command_name(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn each_command_is_named_also_on_a_line_that_cannot_be_parsed() {
        for name in &*NAMES {
            assert_eq!(name_of(&format!("grab {name}")), name);
            assert_eq!(name_of(&format!("grab {name} --frob --json")), name);
            assert_eq!(name_of(&format!("grab --json --data-dir start {name} --frob")), name);
        }
        assert!(is_command("universe sync") && is_command("spec check") && NAMES.len() >= 15);
    }

    #[test]
    fn a_value_is_not_taken_for_a_command() {
        assert_eq!(name_of("grab --data-dir status"), "");
        assert_eq!(name_of("grab --data-dir=status export --frob"), "export");
        assert_eq!(name_of("grab start --tickers status"), "start");
        assert_eq!(name_of("grab universe --frob sync"), "universe sync");
        assert_eq!(name_of("grab -- status"), "");
        assert_eq!(name_of("grab frob"), "");
        assert_eq!(name_of("grab"), "");
    }
}
