//! Finds the symbols that a text may mean: other programs write share classes in their own ways.

use super::Symbol;

/// The characters between symbol and share class in other programs: `BRK-B`, `BRK/B`, `BRK B`, `BRK_B`.
const BETWEEN: [char; 5] = ['.', '-', '/', ' ', '_'];

/// The symbols that a text may mean, the likeliest first, as the service writes them: `BRK.B`, `BACpL`, `ABC.WS`. The
/// text itself is not among them.
#[must_use]
pub fn spellings(text: &str) -> Vec<Symbol> {
    if is_own(text) {
        return Vec::new();
    }
    let upper = text.trim().to_ascii_uppercase();
    let parts: Vec<&str> = upper.split(BETWEEN).filter(|part| !part.is_empty()).collect();
    let special = match parts.as_slice() {
        // A preferred share: BAC-PL, BAC.PR.L, BAC/PRL, BAC PR L.
        [base, "P" | "PR", class] if is_class(class) => Some(format!("{base}p{class}")),
        [base, class] if *class == "PR" => Some(format!("{base}p")),
        [base, class] => preferred(class).map(|class| format!("{base}p{class}")).or(match *class {
            "WT" | "WTS" | "W" => Some(format!("{base}.WS")),
            "UN" | "UT" => Some(format!("{base}.U")),
            _ => None,
        }),
        _ => None,
    };
    let mut found: Vec<Symbol> = Vec::new();
    for candidate in special.into_iter().chain([parts.join(".")]) {
        let symbol = candidate.parse().ok().filter(|symbol: &Symbol| symbol.as_str() != text);
        found.extend(symbol.filter(|symbol| !found.contains(symbol)));
    }
    found
}

/// Whether it is in the service's own notation with a lower-case letter: a preferred share (`KIMpL`, `ABCpA.WS`), a
/// right (`ABCr`), or shares that are not issued yet (`ABCw`).
fn is_own(text: &str) -> bool {
    let lower: Vec<_> = text.char_indices().filter(|(_, c)| c.is_ascii_lowercase()).collect();
    let [(at, 'p' | 'r' | 'w')] = lower.as_slice() else { return false };
    let (base, class) = (&text[..*at], &text[at + 1..]);
    let is_base = !base.is_empty() && base.chars().all(|c| c.is_ascii_uppercase());
    is_base && (class.is_empty() || is_class(class.split('.').next().unwrap_or_default()))
}

/// The class of a preferred share: one letter after P or PR. None if it is something else.
fn preferred(class: &str) -> Option<&str> {
    let class = class.strip_prefix("PR").or_else(|| class.strip_prefix('P'))?;
    is_class(class).then_some(class)
}

fn is_class(text: &str) -> bool {
    text.len() == 1 && text.chars().all(|c| c.is_ascii_uppercase())
}

/// A symbol's letters and digits alone: two notations of one symbol have the same.
#[must_use]
pub fn without_punctuation(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_of_other_programs_lead_to_the_services_own() {
        for (text, meant) in [
            ("BRK-B", "BRK.B"),
            ("BRK/B", "BRK.B"),
            ("BRK B", "BRK.B"),
            ("BRK_B", "BRK.B"),
            ("brk.b", "BRK.B"),
            ("BF.b", "BF.B"),
            ("BRK..B", "BRK.B"),
            ("aapl", "AAPL"),
            ("Aapl", "AAPL"),
            ("BAC-PL", "BACpL"),
            ("BAC.PRL", "BACpL"),
            ("BAC.PR.L", "BACpL"),
            ("BAC-P-L", "BACpL"),
            ("BAC PR L", "BACpL"),
            ("ABC-WT", "ABC.WS"),
            ("ABC/WS", "ABC.WS"),
            ("ABC-UN", "ABC.U"),
            ("HUT.", "HUT"),
        ] {
            assert_eq!(spellings(text).first().map(Symbol::as_str), Some(meant), "{text}");
        }
    }

    #[test]
    fn what_is_written_as_the_service_does_means_itself() {
        for text in ["AAPL", "BRK.B", "ZZZZ", "", "-", "ABC.WS", "KIMpL", "ABCp", "ABCpA.WS", "ABCr"] {
            assert_eq!(spellings(text), [], "{text}");
        }
        assert_eq!(without_punctuation("BRK-B"), without_punctuation("BRK.B"));
        assert_ne!(without_punctuation("BRK.B"), without_punctuation("BRK.A"));
    }
}
