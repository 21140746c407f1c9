//! Data that are too large for `fixtures/`.

use super::Interrupted;
use crate::support::lent;

#[test]
#[ignore = "needs the lent data in ../shared/data"]
fn a_year_of_twelve_names_in_small_pages_interrupted_and_resumed() {
    let folder = lent("minute-bars/blaizard-2024");
    let symbols = ["BKNG", "ERIE", "EXE", "FDS", "FICO", "GWW", "LII", "MTD", "NDSN", "TDG", "TDY", "TYL"];
    Interrupted { folder: &folder, symbols: &symbols, window: "2024", page_cap: 5_000, budgets: (17, 23) }
        .run();
}
