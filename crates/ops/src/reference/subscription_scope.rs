//! What a subscription asks for: its windows, and the filter for its symbols.

use grab_core::manifest::{ManifestError, Subscription};
use grab_model::{Window, plan, universe::Filter};

/// The windows of a subscription.
///
/// # Errors
/// If they cannot be read: another program has written them.
pub fn windows_of(order: &Subscription) -> Result<Vec<Window>, ManifestError> {
    let wrong =
        |error: plan::WindowsError| ManifestError::Corrupt(format!("a subscription's windows: {error}"));
    plan::read_windows(&order.windows).map_err(wrong)
}

/// The filter for the symbols of a subscription.
#[must_use]
pub fn filter_of(order: &Subscription) -> Filter {
    let codes = |codes: &Vec<String>| (!codes.is_empty()).then(|| codes.clone());
    Filter {
        types: codes(&order.types),
        exchanges: codes(&order.exchanges),
        active_on: order.as_of,
        ..Filter::default()
    }
}
