//! Properties that must hold for any input, one module per parser: the fuzz targets and the replay in `tests/replay.rs`
//! call the same functions. Each panics at the first violation, and says which.

pub mod market;
pub mod next_url;
pub mod page;
pub mod spec;
pub mod tickers;
pub mod windows;

/// The longest text of an error: it goes to a terminal, a log and a row of the manifest.
const LONGEST_ERROR: usize = 2_000;

/// Checks that an error is readable: short, and without terminal commands.
fn check_error(text: &str) {
    assert!(!text.is_empty(), "an error says something");
    assert!(text.len() <= LONGEST_ERROR, "an error of {} bytes: {text:.200}", text.len());
    let commands = text.chars().filter(|c| c.is_control() && *c != '\n').count();
    assert_eq!(commands, 0, "an error with control characters: {text:?}");
}

/// Checks an error with all its causes, as users see it.
fn check_chain(error: &dyn std::error::Error) {
    check_error(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        check_error(&cause.to_string());
        source = cause.source();
    }
}
