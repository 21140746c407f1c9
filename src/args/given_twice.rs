//! Refuses a flag that is given twice, unless it is a list, which is continued.
//!
//! clap refuses repeated flags within one command. Global flags may precede or follow the command's name; of two there
//! it silently takes the last one, so these are counted here.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, CommandFactory, Error, error::ErrorKind};

use super::Cli;

/// The error of a command line that clap has accepted, if it has a global flag more than once.
#[must_use]
pub fn given_twice(arguments: &[OsString]) -> Option<Error> {
    let mut cli = Cli::command();
    // clap knows the written form of an argument only once its command is built.
    cli.build();
    let is_twice = |argument: &&Arg| {
        let is_counted = matches!(argument.get_action(), ArgAction::Count | ArgAction::Append);
        argument.is_global_set() && !is_counted && times(argument, arguments) > 1
    };
    let twice = cli.get_arguments().find(is_twice)?.to_string();
    Some(
        cli.error(
            ErrorKind::ArgumentConflict,
            format!("the argument '{twice}' cannot be used multiple times"),
        ),
    )
}

/// How often a flag occurs in a command line. A value never begins with a hyphen, unless it follows an equals sign.
fn times(argument: &Arg, arguments: &[OsString]) -> usize {
    let typed = arguments.iter().skip(1).take_while(|typed| *typed != "--");
    typed.map(|typed| times_in(argument, typed)).sum()
}

fn times_in(argument: &Arg, typed: &OsStr) -> usize {
    let typed = typed.as_encoded_bytes();
    if let Some(name) = typed.strip_prefix(b"--") {
        let rest = argument.get_long().and_then(|long| name.strip_prefix(long.as_bytes()));
        return usize::from(rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'='))));
    }
    match (typed, argument.get_short()) {
        // All short flags are switches, which may share a hyphen.
        ([b'-', switches @ ..], Some(short)) => {
            switches.iter().filter(|switch| char::from(**switch) == short).count()
        }
        (_, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, Parser};

    use super::*;

    /// The value names of lists; every other flag has one value or none.
    const LISTS: [&str; 2] = ["LIST", "WINDOWS"];

    /// Each command with its name, including subcommands.
    fn commands<'a>(command: &'a Command, path: &[String], found: &mut Vec<(Vec<String>, &'a Command)>) {
        for inner in command.get_subcommands() {
            let path = [path, &[inner.get_name().to_owned()]].concat();
            commands(inner, &path, found);
            found.push((path, inner));
        }
    }

    /// A value that this flag accepts.
    fn value_of(argument: &Arg) -> String {
        if let Some(choice) = argument.get_possible_values().first() {
            return choice.get_name().to_owned();
        }
        let name = argument.get_value_names().unwrap().first().unwrap().as_str();
        match name {
            "N" | "SESSIONS" => "1",
            "SHARE" => "0.5",
            "DATE" => "2024-01-03",
            "ADDRESS" => "127.0.0.1:0",
            other => other,
        }
        .to_owned()
    }

    fn error_of(typed: &[String]) -> Option<(ErrorKind, String)> {
        let typed: Vec<OsString> =
            std::iter::once("grab".to_owned()).chain(typed.iter().cloned()).map(OsString::from).collect();
        let error = Cli::try_parse_from(&typed).err().or_else(|| given_twice(&typed))?;
        Some((error.kind(), error.to_string()))
    }

    fn is_refused(typed: &[String], argument: &Arg) -> bool {
        let twice = format!("the argument '{argument}' cannot be used multiple times");
        error_of(typed)
            .is_some_and(|(kind, text)| kind == ErrorKind::ArgumentConflict && text.contains(&twice))
    }

    #[test]
    fn of_every_command_each_list_goes_on_and_each_other_flag_is_an_error() {
        let mut cli = Cli::command();
        cli.build();
        let mut all = Vec::new();
        commands(&cli, &[], &mut all);
        let (mut lists, mut others) = (0, 0);
        for (path, command) in all {
            let flags = command.get_arguments().filter(|argument| !argument.is_positional());
            for flag in flags.filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version" | "verbose"))
            {
                let long = flag.get_long().unwrap();
                // With an equals sign, as one of the flags requires it.
                let value = if flag.get_action().takes_values() {
                    format!("={}", value_of(flag))
                } else {
                    String::new()
                };
                let typed = vec![format!("--{long}{value}")];
                let names = flag.get_value_names().unwrap_or_default();
                let is_list = names.iter().any(|name| LISTS.contains(&name.as_str()));
                let is_appended = matches!(flag.get_action(), ArgAction::Append);
                assert_eq!(
                    is_list, is_appended,
                    "{path:?} --{long}: a list has a value named LIST or WINDOWS"
                );
                let twice = [path.as_slice(), &typed, &typed].concat();
                assert_ne!(is_refused(&twice, flag), is_list, "{twice:?}: {:?}", error_of(&twice));
                if flag.is_global_set() {
                    let around = [typed.as_slice(), &path, &typed].concat();
                    // The command lacks other arguments here; clap reports that first.
                    let needs = error_of(&path).is_some();
                    assert!(needs || is_refused(&around, flag), "{around:?}");
                }
                lists += usize::from(is_list);
                others += usize::from(!is_list);
            }
        }
        assert!(lists >= 9 && others > 150, "{lists} lists and {others} others");
    }

    #[test]
    fn around_the_commands_name_a_flag_of_all_commands_is_counted() {
        let twice = |line: &str| {
            let typed: Vec<_> = line.split(' ').map(str::to_owned).collect();
            error_of(&typed).map(|(_, text)| text.lines().next().unwrap_or_default().to_owned())
        };
        let of = |flag: &str| Some(format!("error: the argument '{flag}' cannot be used multiple times"));
        assert_eq!(twice("--data-dir a status --data-dir=b"), of("--data-dir <DIR>"));
        assert_eq!(twice("--json status --json"), of("--json"));
        assert_eq!(twice("-q status -vq"), of("--quiet"));
        assert_eq!(twice("--quiet status -q"), of("--quiet"));
        assert_eq!(twice("-v status -vv"), None, "each asks for more");
        assert_eq!(twice("--data-dir a status"), None);
        assert_eq!(twice("--data-dir a spec check -- --data-dir"), None, "a file of this name");
    }
}
