//! Whole numbers in every notation that JSON allows.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// A whole number that may be written as `1672722000000` or `1.672722e+12`.
pub(super) struct LooseInteger(pub i64);

impl<'de> Deserialize<'de> for LooseInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = LooseInteger;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<LooseInteger, E> {
                Ok(LooseInteger(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<LooseInteger, E> {
                i64::try_from(number)
                    .map(LooseInteger)
                    .map_err(|_| E::custom(format!("{number} is too large")))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<LooseInteger, E> {
                // Above 2^53 float64 cannot distinguish neighbouring whole numbers.
                if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
                    return Err(E::custom(format!("{number} is not a whole number")));
                }
                #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53, checked above")]
                Ok(LooseInteger(number as i64))
            }
        }

        deserializer.deserialize_any(Whole)
    }
}
