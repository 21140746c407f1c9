//! Serde for days, which JSON has as `2024-01-03`.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// For `#[serde(with = …)]`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it like this")]
pub fn serialize<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// For `#[serde(with = …)]`: reads a day.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Serde for a day that may be absent.
pub mod optional {
    use super::{Date, Deserialize, Deserializer, Error, Serializer};

    /// For `#[serde(with = …)]`.
    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde wants it like this")]
    pub fn serialize<S: Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => serializer.collect_str(day),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with = …)]`: reads a day that may be absent.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
