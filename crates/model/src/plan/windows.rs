//! Windows as users write them.

use jiff::civil::Date;
use thiserror::Error;

use crate::{Month, Window, calendar, excerpt};

/// The most windows in one request: one for each day since the calendar begins, and some more.
const MOST: usize = 10_000;

/// How much of an invalid window is shown, in characters. The longest valid one has 22.
const SHOWN: usize = 60;

/// The accepted forms, for every message about windows.
const ACCEPTED: &str = "accepted are 2004-2010 (years), 2024, 2024-03 (a month), 2024-01-15 (a day), \
                        2024-03..2024-06, 2024-01-15..2024-03-31, and lists of these by commas";

/// Why a text is not a list of windows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WindowsError {
    /// No window at all.
    #[error("no window is given: {ACCEPTED}")]
    Empty,
    /// None of the accepted forms.
    #[error("{0:?} is not a window: {ACCEPTED}")]
    Unreadable(String),
    /// It ends before it begins.
    #[error("the window {0:?} ends before it begins: {ACCEPTED}")]
    Backwards(String),
    /// Outside of the years of the calendar.
    #[error("the window {0:?} is not within {first} to {last}", first = calendar::FIRST_DAY, last = calendar::LAST_DAY)]
    OutOfRange(String),
    /// A list that is too long to be meant.
    #[error("{0} windows: at most {MOST} are accepted")]
    TooMany(usize),
}

/// Reads a list such as `2004-2010,2024-03..2024-06`. Windows stay in the order in which they are given.
///
/// # Errors
/// At the first part that is not a window.
pub fn read_windows(text: &str) -> Result<Vec<Window>, WindowsError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let count = parts.clone().count();
    if count > MOST {
        return Err(WindowsError::TooMany(count));
    }
    let windows: Vec<_> = parts.map(read_window).collect::<Result<_, _>>()?;
    if windows.is_empty() { Err(WindowsError::Empty) } else { Ok(windows) }
}

pub(super) fn read_window(text: &str) -> Result<Window, WindowsError> {
    let unreadable = || WindowsError::Unreadable(excerpt(text, SHOWN));
    let (from, to) = if let Some((from, to)) = text.split_once("..") {
        (read_period(from.trim()).ok_or_else(unreadable)?, read_period(to.trim()).ok_or_else(unreadable)?)
    } else if let Some((from, to)) = years(text) {
        (read_period(from).ok_or_else(unreadable)?, read_period(to).ok_or_else(unreadable)?)
    } else {
        let period = read_period(text).ok_or_else(unreadable)?;
        (period, period)
    };
    let window =
        Window::new(from.from(), to.to()).ok_or_else(|| WindowsError::Backwards(excerpt(text, SHOWN)))?;
    if window.from() < calendar::FIRST_DAY || window.to() > calendar::LAST_DAY {
        return Err(WindowsError::OutOfRange(excerpt(text, SHOWN)));
    }
    Ok(window)
}

/// Splits `2004-2010` into two years; `2004-10` is a month.
fn years(text: &str) -> Option<(&str, &str)> {
    text.split_once('-').filter(|(from, to)| from.len() == 4 && to.len() == 4)
}

/// A year, a month or a day, as all of its days.
fn read_period(text: &str) -> Option<Window> {
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    match text.len() {
        4 => {
            let year = text.parse().ok()?;
            Window::new(Month::new(year, 1)?.first_day(), Month::new(year, 12)?.last_day())
        }
        7 => Month::parse(text).map(Month::window),
        10 => text.parse::<Date>().ok().and_then(|day| Window::new(day, day)),
        _ => None,
    }
}

/// Cuts a window off after `last_day`. None if no day is left.
#[must_use]
pub fn clip(window: Window, last_day: Date) -> Option<Window> {
    Window::new(window.from(), window.to().min(last_day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        read_windows(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_accepted_form() {
        assert_eq!(shown("2004-2010"), ["2004-01-01..2010-12-31"]);
        assert_eq!(shown("2024"), ["2024-01-01..2024-12-31"]);
        assert_eq!(shown("2024-02"), ["2024-02-01..2024-02-29"]);
        assert_eq!(shown("2024-02-29"), ["2024-02-29..2024-02-29"]);
        assert_eq!(shown("2024-01-15..2024-03-31"), ["2024-01-15..2024-03-31"]);
        assert_eq!(shown("2024-03..2024-06"), ["2024-03-01..2024-06-30"]);
        assert_eq!(shown("2023..2024-06"), ["2023-01-01..2024-06-30"]);
        let list = shown(" 2011-2016, 2004-2010 ,");
        assert_eq!(list, ["2011-01-01..2016-12-31", "2004-01-01..2010-12-31"]);
    }

    #[test]
    fn nonsense_is_an_error_that_names_it_and_shows_what_is_accepted() {
        let refused = |text: &str| read_windows(text).unwrap_err();
        for text in [
            "20x4",
            "2004-13",
            "2023-02-29",
            "2004-10-2010",
            "yesterday",
            "2004..",
            "..",
            "+2024",
            "２０２４",
        ] {
            let error = refused(text);
            assert_eq!(error, WindowsError::Unreadable(text.to_owned()));
            assert!(error.to_string().contains(text) && error.to_string().contains("2004-2010"));
        }
        assert_eq!(refused("2010-2004"), WindowsError::Backwards("2010-2004".into()));
        assert_eq!(
            refused("2024-03-31..2024-01-15"),
            WindowsError::Backwards("2024-03-31..2024-01-15".into())
        );
        assert_eq!(refused(" , "), WindowsError::Empty);
        assert_eq!(refused(&"2024,".repeat(10_001)), WindowsError::TooMany(10_001));
        assert!(refused(&"20x4".repeat(10_000)).to_string().len() < 400);
        for text in ["0000", "9999", "1992", "2024,0001-9999"] {
            assert!(matches!(refused(text), WindowsError::OutOfRange(_)), "{text}");
        }
    }
}
