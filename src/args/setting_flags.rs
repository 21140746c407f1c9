//! The flags of settings, made from their list.

use std::{collections::BTreeMap, fmt::Debug, marker::PhantomData, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint,
    builder::PossibleValuesParser,
};

use super::setting_list::{self as list, Setting, Value};

/// The values of settings that the command line has, by the key of the setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagValues(BTreeMap<&'static str, String>);

impl FlagValues {
    /// The value of a setting.
    #[must_use]
    pub fn get(&self, setting: &Setting) -> Option<&String> {
        self.0.get(setting.key)
    }

    /// The values of these settings.
    #[cfg(test)]
    pub fn of(values: &[(&Setting, &str)]) -> Self {
        Self(values.iter().map(|(setting, value)| (setting.key, (*value).to_owned())).collect())
    }
}

/// Settings that commands have together.
pub trait Group: Clone + Debug + Default + 'static {
    /// The settings.
    fn settings() -> Vec<&'static Setting>;

    /// The heading of their flags in `--help`. None for that of the command.
    const HEADING: Option<&'static str>;

    /// Whether the flags may stand before the command's name too.
    const IS_GLOBAL: bool;
}

/// The settings of every command.
#[derive(Clone, Debug, Default)]
pub struct CommonGroup;

/// The settings of every command that fetches.
#[derive(Clone, Debug, Default)]
pub struct FetchGroup;

/// The settings of every command that writes Parquet.
#[derive(Clone, Debug, Default)]
pub struct ParquetGroup;

impl Group for CommonGroup {
    fn settings() -> Vec<&'static Setting> {
        vec![&list::DATA_DIR, &list::ALLOW_UNSYNCED, &list::LOG_FORMAT]
    }

    const HEADING: Option<&'static str> = Some("Common options");
    const IS_GLOBAL: bool = true;
}

impl Group for FetchGroup {
    fn settings() -> Vec<&'static Setting> {
        let others = [CommonGroup::settings(), ParquetGroup::settings()].concat();
        let is_here =
            |one: &&'static Setting| !one.flag.is_empty() && others.iter().all(|other| other.key != one.key);
        list::ALL.iter().copied().filter(is_here).collect()
    }

    const HEADING: Option<&'static str> = Some("Fetching");
    const IS_GLOBAL: bool = false;
}

impl Group for ParquetGroup {
    fn settings() -> Vec<&'static Setting> {
        vec![&list::PARQUET]
    }

    const HEADING: Option<&'static str> = None;
    const IS_GLOBAL: bool = false;
}

/// The flags of a group of settings.
#[derive(Clone, Debug, Default)]
pub struct Flags<G> {
    /// The values that the command line has.
    pub given: FlagValues,
    group: PhantomData<G>,
}

#[cfg(test)]
impl<G> From<FlagValues> for Flags<G> {
    fn from(given: FlagValues) -> Self {
        Self { given, group: PhantomData }
    }
}

impl<G: Group> Args for Flags<G> {
    fn augment_args(command: Command) -> Command {
        let arg = |setting| {
            let arg = arg(setting).global(G::IS_GLOBAL);
            match G::HEADING {
                Some(heading) => arg.help_heading(heading),
                None => arg,
            }
        };
        command.args(G::settings().into_iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: Group> FromArgMatches for Flags<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given =
            G::settings().into_iter().filter_map(|setting| Some((setting.key, value(setting, matches)?)));
        Ok(Self { given: FlagValues(given.collect()), group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key).long(setting.flag).help(setting.help());
    match setting.value {
        // A path may have any bytes: one that is not UTF-8 is refused where it is used, with its name.
        Value::Text("DIR") => {
            arg.value_name("DIR").value_parser(clap::value_parser!(PathBuf)).value_hint(ValueHint::DirPath)
        }
        Value::Text("FILE") => arg.value_name("FILE").value_hint(ValueHint::FilePath),
        Value::Text(name) => arg.value_name(name),
        Value::Choice(name, words) => {
            arg.value_name(name).value_parser(PossibleValuesParser::new(words)).hide_possible_values(true)
        }
        Value::Bool => {
            arg.value_name("BOOL").num_args(0..=1).default_missing_value("true").require_equals(true)
        }
        Value::Switch => arg.action(ArgAction::SetTrue),
    }
}

fn value(setting: &Setting, matches: &ArgMatches) -> Option<String> {
    match setting.value {
        Value::Text("DIR") => matches.get_one::<PathBuf>(setting.key).map(|path| path.display().to_string()),
        Value::Switch => matches.get_flag(setting.key).then(|| true.to_string()),
        Value::Text(_) | Value::Choice(..) | Value::Bool => matches.get_one::<String>(setting.key).cloned(),
    }
}
