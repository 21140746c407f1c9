//! Windows as users write them.

use grab_model::{
    Month, Window, calendar,
    plan::{WindowsError, clip, read_windows},
};
use jiff::civil::date;

use super::check_error;

/// The most windows in one request.
const MOST: usize = 10_000;

/// Checks a text. A command line that is not text is refused before.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read_windows(text) {
        Ok(windows) => {
            assert!(!windows.is_empty());
            assert!(windows.len() <= MOST, "{} windows", windows.len());
            for window in &windows {
                check_window(*window);
            }
            let shown = windows.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            assert_eq!(read_windows(&shown).as_ref(), Ok(&windows), "{shown}");
        }
        Err(error) => {
            check_error(&error.to_string());
            if let WindowsError::Backwards(part) | WindowsError::Unreadable(part) = &error {
                assert!(!part.is_empty());
            }
        }
    }
}

fn check_window(window: Window) {
    assert!(window.from() <= window.to(), "{window}");
    assert!(calendar::FIRST_DAY <= window.from() && window.to() <= calendar::LAST_DAY, "{window}");
    assert!(window.start_ms() < window.end_ms(), "{window}");
    let days = window.days();
    assert!((1..=40_000).contains(&days), "{window} of {days} days");
    let months = window.months().count();
    assert!((1..=1_300).contains(&months), "{window} of {months} months");
    let first = window.months().next().map(Month::first_day);
    assert!(first.is_some_and(|first| first <= window.from()), "{window}");
    assert!(window.months().last().is_some_and(|month| month.last_day() >= window.to()), "{window}");
    check_clip(window);
}

/// Checks that clipping only removes days at the end, and that clipping twice is clipping once.
fn check_clip(window: Window) {
    let today = date(2024, 7, 3);
    match clip(window, today) {
        Some(clipped) => {
            assert_eq!(clipped.from(), window.from());
            assert_eq!(clipped.to(), window.to().min(today));
            assert_eq!(clip(clipped, today), Some(clipped));
        }
        None => assert!(window.from() > today, "{window} was dropped"),
    }
}
