//! The complete data sets, of which `fixtures/` has some days.

use std::path::Path;

use super::recorded::comes_out_to_the_last_digit;

#[tokio::test]
#[ignore = "needs the lent data in ../shared/data"]
async fn whole_recordings_come_out_to_the_last_digit() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/minute-bars");
    for file in ["pyalgotrade-nt-2011/SPY", "ibkr-aapl-2025-09-26/AAPL", "yahoo-2019-12/SPY"] {
        comes_out_to_the_last_digit(&data.join(format!("{file}.csv.gz"))).await;
    }
}
