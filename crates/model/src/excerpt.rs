//! Text from servers and files, made safe for messages.

/// The first `most` characters of a text from outside, with `…` where it was cut.
///
/// Control characters become `�`: a response or a file cannot move a terminal's cursor, or write lines of its own into
/// a log.
#[must_use]
pub fn excerpt(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let shown =
        chars.by_ref().take(most).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let mut shown: String = shown.collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_and_moves_no_cursor() {
        assert_eq!(excerpt("as it is", 8), "as it is");
        assert_eq!(excerpt("as it was", 5), "as it…");
        assert_eq!(excerpt("a\u{1b}[31m\nb", 20), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(excerpt("äöü", 2), "äö…");
    }
}
