//! What the page's script knows of a [`SessionStatus`], written from the enum: a new one is a decision here, and no number of one is
//! in the script.

use super::super::SessionStatus;

/// The bit of a month in which damage was found. The script sums states as bits of a signed 32-bit integer.
const DAMAGE: usize = 30;

const _: () = assert!(SessionStatus::ALL.len() <= DAMAGE, "each status has a bit of its own");

/// The colour of a session among the days of a month, a class of the page's style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    None,
    Refused,
    Pending,
    Empty,
    Zero,
    Lost,
    Few,
    Full,
}

impl Colour {
    fn of(status: SessionStatus) -> Self {
        match status {
            SessionStatus::NotAsked => Self::None,
            SessionStatus::NotFound | SessionStatus::NotEntitled | SessionStatus::Failed => Self::Refused,
            SessionStatus::Pending => Self::Pending,
            SessionStatus::Empty
            | SessionStatus::NoTrade
            | SessionStatus::AskedAgain
            | SessionStatus::NotListed
            | SessionStatus::BeforeHistory => Self::Empty,
            SessionStatus::Withheld | SessionStatus::Missing | SessionStatus::CutAway => Self::Zero,
            SessionStatus::Lost => Self::Lost,
            SessionStatus::Thin => Self::Few,
            SessionStatus::Present => Self::Full,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refused => "refused",
            Self::Pending => "pending",
            Self::Empty => "empty",
            Self::Zero => "zero",
            Self::Lost => "lost",
            Self::Few => "few",
            Self::Full => "full",
        }
    }
}

/// The statuses of which something holds, as bits at the places of their numbers.
fn bits(is_meant: impl Fn(SessionStatus) -> bool) -> u32 {
    let meant = SessionStatus::ALL.into_iter().filter(|status| is_meant(*status));
    meant.fold(0, |bits, status| bits | 1 << status as u8)
}

/// The script's constants, as its first lines.
pub(super) fn constants() -> String {
    let of = |colour| bits(|status| Colour::of(status) == colour);
    let colours = SessionStatus::ALL.map(|status| format!("\"{}\"", Colour::of(status).class()));
    format!(
        "const NOT_ASKED = {}, REFUSED = {}, PENDING = {}, LOST = {}, LACKING = {}, DAMAGE = {DAMAGE};\n\
         const NOT_ASKED_STATE = {}, PRESENT_STATE = {};\n\
         const STATE_COLOURS = [{}];\n",
        of(Colour::None),
        of(Colour::Refused),
        of(Colour::Pending),
        of(Colour::Lost),
        bits(SessionStatus::is_lacking),
        SessionStatus::NotAsked as u8,
        SessionStatus::Present as u8,
        colours.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_gets_what_the_statuses_are() {
        let lacking = [1, 2, 3, 4, 8, 9, 10, 11, 14].map(|number| 1 << number).iter().sum::<u32>();
        let expected = format!(
            "const NOT_ASKED = 1, REFUSED = 14, PENDING = 16, LOST = 1024, LACKING = {lacking}, DAMAGE = 30;\n\
             const NOT_ASKED_STATE = 0, PRESENT_STATE = 12;\n\
             const STATE_COLOURS = [\"none\", \"refused\", \"refused\", \"refused\", \"pending\", \"empty\", \"empty\", \"empty\", \"zero\", \"zero\", \
             \"lost\", \"few\", \"full\", \"empty\", \"zero\", \"empty\"];\n"
        );
        assert_eq!(constants(), expected);
    }

    #[test]
    fn the_style_has_every_colour() {
        let style = include_str!("page/page.css");
        for status in SessionStatus::ALL {
            let class = Colour::of(status).class();
            assert!(style.contains(&format!(".swatch.{class} {{")), "{status:?}: {class}");
        }
    }

    /// The constants alone say which number is which status.
    #[test]
    fn the_script_names_no_status_by_its_number() {
        let scripts = [
            include_str!("page/model.js"),
            include_str!("page/map.js"),
            include_str!("page/tables.js"),
            include_str!("page/main.js"),
        ];
        for script in scripts {
            for forbidden in ["states[0", "states[1", "1 << 1", "bit(", "STATE_COLOURS ="] {
                assert!(!script.contains(forbidden), "{forbidden}");
            }
            // Its words are for people, and may change.
            for status in SessionStatus::ALL {
                assert!(!script.contains(&format!("== \"{}\"", status.description())), "{status:?}");
            }
        }
    }
}
