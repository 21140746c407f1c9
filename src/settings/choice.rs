//! Parses a setting that is one of a few words.

use clap::ValueEnum;

/// Parses one of a few words.
pub(super) fn read_choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    let wrong = |_| {
        let words = T::value_variants().iter().filter_map(T::to_possible_value);
        let words: Vec<_> = words.map(|word| word.get_name().to_owned()).collect();
        format!("{text:?} is not one of {}", words.join(", "))
    };
    T::from_str(text, false).map_err(wrong)
}
