//! JSON of domain types in a column, with the version of its form: `{"version":1,"value":…}`. What was kept before there was a version
//! is the value alone, which had the same form.

/// The version of what is written. It changes with the form of `Listing`, `Split`, `Rename` or a list date in JSON.
const VERSION: u32 = 1;

/// What stands before the value of this version.
fn begin() -> String {
    format!("{{\"version\":{VERSION},\"value\":")
}

/// A value's JSON as it is kept.
pub(super) fn wrap(value: &str) -> String {
    format!("{}{value}}}", begin())
}

/// The value's JSON of a kept text. One of another version comes back as it is, an object, which no value is: who reads the value
/// finds that it cannot be read, and asks again.
pub(super) fn unwrap(kept: String) -> String {
    let value = kept.strip_prefix(&begin()).and_then(|rest| rest.strip_suffix('}'));
    value.map(str::to_owned).unwrap_or(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_by_its_version_and_one_from_before_as_it_is() {
        for value in ["null", "\"2004-01-02\"", "[]", r#"[{"ticker":"A","split_from":0.7137}]"#] {
            let kept = wrap(value);
            assert_eq!(kept, format!("{{\"version\":1,\"value\":{value}}}"));
            assert!(serde_json::from_str::<serde_json::Value>(&kept).is_ok());
            assert_eq!(unwrap(kept), value);
            assert_eq!(unwrap(value.to_owned()), value);
        }
    }

    #[test]
    fn one_of_another_version_is_no_value() {
        let newer = r#"{"version":2,"value":"2004-01-02"}"#.to_owned();
        assert_eq!(unwrap(newer.clone()), newer);
        assert!(serde_json::from_str::<Option<String>>(&newer).is_err());
    }
}
