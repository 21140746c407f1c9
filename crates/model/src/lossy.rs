//! Paths in reports: every path can be written, also one that is not UTF-8.

use std::{borrow::Cow, path::PathBuf};

use serde::{Serialize, Serializer};

/// Paths as text: bytes that are not UTF-8 become `�`.
pub trait LossyText {
    /// The text, or the texts.
    fn lossy(&self) -> impl Serialize;
}

impl LossyText for PathBuf {
    fn lossy(&self) -> impl Serialize {
        self.to_string_lossy()
    }
}

impl LossyText for Option<PathBuf> {
    fn lossy(&self) -> impl Serialize {
        self.as_ref().map(|path| path.to_string_lossy())
    }
}

impl LossyText for Vec<PathBuf> {
    fn lossy(&self) -> impl Serialize {
        self.iter().map(|path| path.to_string_lossy()).collect::<Vec<Cow<'_, str>>>()
    }
}

/// For `#[serde(serialize_with = "lossy")]`: serde itself refuses a path that is not UTF-8, and with it the whole
/// report.
///
/// # Errors
/// If the serializer fails.
pub fn lossy<P: LossyText, S: Serializer>(paths: &P, serializer: S) -> Result<S::Ok, S::Error> {
    paths.lossy().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn a_path_that_is_no_text_is_said_and_the_others_are_as_they_were() {
        #[derive(Serialize)]
        struct Report {
            #[serde(serialize_with = "lossy")]
            one: PathBuf,
            #[serde(serialize_with = "lossy")]
            none: Option<PathBuf>,
            #[serde(serialize_with = "lossy")]
            all: Vec<PathBuf>,
        }
        let odd = PathBuf::from(OsStr::from_bytes(b"a/\xff.parquet"));
        let report = Report { one: odd.clone(), none: None, all: vec![odd, "b c".into()] };
        let said = r#"{"one":"a/�.parquet","none":null,"all":["a/�.parquet","b c"]}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), said);
    }
}
