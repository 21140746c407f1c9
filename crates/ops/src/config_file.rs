//! Config files: settings by key, in TOML.

use std::{collections::BTreeMap, fs, io, path::Path};

use grab_model::{nearest, plan};
use toml::Spanned;

use crate::Error;

/// Reads the values of a config file, as texts by key; none if it does not exist. `known` are the keys that it may have.
///
/// # Errors
/// If it cannot be read, has another key, or a value that is no text, no whole number and not true or false.
pub fn read_config_file(path: &Path, known: &[&str]) -> Result<BTreeMap<String, String>, Error> {
    let wrong = |why: String| Error::Config(format!("{}: {why}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(wrong(error.to_string())),
    };
    parse_config(&text, known).map_err(wrong)
}

/// Parses the text of a config file.
///
/// # Errors
/// With the line and what is wrong with it.
pub fn parse_config(text: &str, known: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let table: BTreeMap<Spanned<String>, toml::Value> =
        toml::from_str(text).map_err(|error| plan::toml_error(text, &error))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let line = 1 + text[..key.span().start].matches('\n').count();
        let key = key.into_inner();
        if !known.contains(&key.as_str()) {
            let meant = nearest(&key, known.iter().copied());
            let meant = meant.map(|meant| format!(" (did you mean {meant:?}?)")).unwrap_or_default();
            return Err(format!("line {line}: unknown key {key:?}{meant}; known are {}", known.join(", ")));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            toml::Value::Float(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => {
                return Err(format!(
                    "line {line}: {key} is neither a text, nor a whole number, nor true or false"
                ));
            }
        };
        values.insert(key, value);
    }
    Ok(values)
}
