//! The permanent ids of a company, whatever its ticker: made-up CIKs and FIGIs in the form of real ones.

use super::seed::{RandomDraws, Seed};

/// The letters and digits of a FIGI: no vowels.
const FIGI_CHARACTERS: [u8; 31] = *b"0123456789BCDFGHJKLMNPQRSTVWXYZ";

/// The probability that an ETF has no CIK: many belong to a trust that files for all of its funds.
const ETF_WITHOUT_CIK: f64 = 0.5;

/// The ids of a company. Each may be missing, as in reality (polygon-api.md §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The issuer's number at the SEC, ten digits. Two classes of shares have the same.
    pub cik: Option<String>,
    /// FIGI of the security on the exchanges of one country.
    pub composite_figi: Option<String>,
    /// FIGI of the security in the whole world.
    pub share_class_figi: Option<String>,
}

impl Identity {
    /// The ids that a seed makes for a name and a type.
    pub fn of(seed: Seed, name: &str, kind: &str) -> Self {
        let seed = seed.named("identity");
        let issuer = name.split_once(" Class ").map_or(name, |(issuer, _)| issuer);
        let mut draws = seed.named(issuer).draws();
        let has_cik = kind != "ETF" || !draws.happens(ETF_WITHOUT_CIK);
        let cik = made_up_cik(&mut draws);
        let mut draws = seed.named(name).draws();
        Self {
            cik: has_cik.then_some(cik),
            composite_figi: Some(figi("BBG00", draws.pick(*b"BCDFGHJKLMNPQRSTVWXYZ"), &mut draws)),
            share_class_figi: Some(figi("BBG00", b'1', &mut draws)),
        }
    }

    /// The ids of a company without a FIGI.
    pub fn without_figi(self) -> Self {
        Self { composite_figi: None, share_class_figi: None, ..self }
    }

    /// Whether a CIK or a composite FIGI belongs to this company.
    pub fn is(&self, id: &str) -> bool {
        [&self.cik, &self.composite_figi].into_iter().any(|own| own.as_deref() == Some(id))
    }
}

/// Ten digits, as the SEC writes them.
pub(super) fn made_up_cik(draws: &mut RandomDraws) -> String {
    format!("{:010}", 100_000 + draws.below(9_900_000))
}

/// Twelve characters: the prefix, the sixth one, five that are drawn, and a check digit.
fn figi(prefix: &str, sixth: u8, draws: &mut RandomDraws) -> String {
    let characters = (0..5).map(|_| char::from(draws.pick(FIGI_CHARACTERS)));
    let text: String = prefix.chars().chain([char::from(sixth)]).chain(characters).collect();
    let check = check_digit(&text);
    format!("{text}{check}")
}

/// The last character of a FIGI, by the rules of its standard: letters count from 10, every second number is doubled,
/// all digits are summed, and the check digit completes the sum to a multiple of ten.
fn check_digit(text: &str) -> u32 {
    let values = text.chars().filter_map(|character| character.to_digit(36));
    let weighted = values.zip([1, 2].into_iter().cycle()).map(|(value, weight)| value * weight);
    let sum: u32 = weighted.map(|value| value / 10 + value % 10).sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agilent's, Alcoa's and Meta's, as recorded.
    #[test]
    fn check_digits_of_real_figis() {
        for real in ["BBG000C2V3D6", "BBG001SCTQY4", "BBG00B3T3HD3", "BBG000MM2P62", "BBG000B9XRY4"] {
            let (text, check) = real.split_at(11);
            assert_eq!(check_digit(text).to_string(), check, "{real}");
        }
    }

    #[test]
    fn identities_are_well_formed_and_classes_share_their_issuer() {
        let of = |name| Identity::of(Seed::root(1), name, "CS");
        let (c, a) = (of("Alphabet Inc. Class C Capital Stock"), of("Alphabet Inc. Class A Common Stock"));
        assert_eq!(c.cik, a.cik);
        assert_ne!(c.composite_figi, a.composite_figi);
        for figi in [&c.composite_figi, &c.share_class_figi] {
            let figi = figi.as_deref().unwrap();
            assert!(figi.len() == 12 && figi.starts_with("BBG"), "{figi}");
            assert!(figi.bytes().all(|byte| FIGI_CHARACTERS.contains(&byte)), "{figi}");
        }
        assert_eq!(c.cik.unwrap().len(), 10);
    }
}
