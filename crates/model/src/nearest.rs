//! Finds the known word that a user may have meant by an unknown one.

/// The known word that is nearest to `word`, upper and lower case, hyphens and underscores apart. None if none is near:
/// a third of the letters may differ, at least one.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let limit = (word.chars().count() / 3).max(1);
    let distances = known.into_iter().map(|one| (strsim::osa_distance(&word, &plain(one)), one));
    distances
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keys_has_a_near_word_and_another_word_has_none() {
        let known = ["data_dir", "base_url", "rate", "concurrency", "max_requests"];
        let nearest = |word| nearest(word, known);
        assert_eq!(nearest("rat"), Some("rate"));
        assert_eq!(nearest("base-url"), Some("base_url"));
        assert_eq!(nearest("Rate"), Some("rate"));
        assert_eq!(nearest("max_reqeusts"), Some("max_requests"));
        assert_eq!(nearest("concurency"), Some("concurrency"));
        assert_eq!(nearest("colour"), None);
        assert_eq!(nearest(""), None);
    }
}
