//! A market that breaks a third of its responses: every bar is fetched all the same.

use std::time::Duration;

use grab_sandbox::{FaultOptions, SandboxOptions};
use serde_json::Value;

use crate::support::{Grab, Ran, Serving, litter, read_store};

/// Three symbols over three months, one of them split in the last, in dozens of small pages.
const WANTED: &str =
    "start --windows 2024-01..2024-02,2024-06 --tickers NVDA,KIMpL,A --concurrency 16 --json";

const SEED: u64 = 7;

/// Downloads `WANTED` from a sandbox with these faults.
fn downloaded(faults: Option<FaultOptions>) -> (Grab, Ran) {
    let options = SandboxOptions { seed: SEED, page_cap: 2_000, faults, ..SandboxOptions::default() };
    let server = Serving::start(options);
    let grab = Grab::with_server(server.base_url());
    let ran = grab.run(WANTED);
    (grab, ran)
}

#[test]
fn a_third_of_the_answers_is_broken_and_every_bar_comes() {
    let faults = FaultOptions { stall: Duration::from_millis(200), ..FaultOptions::of(0.3) };
    let (honest, smooth) = downloaded(None);
    let (broken, rough) = downloaded(Some(faults));
    let (smooth, rough) = (smooth.exits(0).json(), rough.exits(0).json());
    let requests = |ran: &Value| ran["requests"].as_u64().unwrap();
    // Three responses in ten are broken, some of the retries too, and now and then one names a page too many.
    assert!(requests(&rough) > requests(&smooth) && requests(&rough) < 2 * requests(&smooth), "{rough}");
    let (whole, held) = (read_store(&honest.data_dir()), read_store(&broken.data_dir()));
    assert!(whole["NVDA"].len() > 40_000, "{}", whole["NVDA"].len());
    assert!(whole == held, "{rough}");
    assert!(litter(&broken.data_dir()).is_empty());
}
