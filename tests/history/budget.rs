//! Runs that may send one request: each continues where the one before stopped.

use jiff::civil::date;

use super::{
    FIRST_SERVED, FLOOR, asked, bars_from, clipping, count, days_not_entitled, grab, held, sessions, strict,
    words::refusing_in_other_words,
};
use crate::support::{Reply, Server, page};

#[test]
fn one_request_a_run_comes_to_the_end_as_well() {
    let servers: [fn() -> Server; 3] =
        [|| strict(|| FLOOR), || refusing_in_other_words(FLOOR), || clipping(FLOOR)];
    for (kind, server) in servers.into_iter().enumerate() {
        let server = server();
        let grab = grab(&server);
        let mut ran = grab.run("start --windows 2024-03,2024-06..2025-07 --tickers A,YOUNG --max-requests 1");
        let mut runs = 1;
        while ran.code == 10 {
            ran = grab.run("resume --max-requests 1");
            runs += 1;
            assert!(runs < 30, "kind {kind}: {ran:?}");
        }
        assert_eq!(ran.code, 11, "kind {kind}: {ran:?}");
        assert_eq!(server.requests().len(), runs, "kind {kind}");
        let status = grab.run("status --json").json();
        let beyond = count(date(2024, 3, 1), date(2024, 3, 31)) + count(date(2024, 6, 1), date(2024, 11, 30));
        assert_eq!(days_not_entitled(&status), 2 * beyond, "kind {kind}");
        assert_eq!(status["first_served_day"], "2024-12-02", "kind {kind}");
        assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 7, 31)), "kind {kind}");
    }
}

/// Also if nothing shows whether a response was clipped: the page is stored in the end.
#[test]
fn one_request_a_run_is_enough_where_the_control_symbol_is_not_known() {
    let server = Server::start_with_control(|request| {
        if request.symbol() == "SPY" {
            return Reply::json(200, page("SPY", &[], None));
        }
        bars_from(request.symbol(), asked(request), FLOOR)
    });
    let grab = grab(&server);
    let mut ran = grab.run("start --windows 2024-06..2025-01 --tickers A --max-requests 1");
    let mut runs = 1;
    while ran.code == 10 {
        ran = grab.run("resume --max-requests 1");
        runs += 1;
        assert!(runs < 10, "{ran:?}");
    }
    assert_eq!((ran.code, runs), (0, 4), "the page, two questions, the page: {ran:?}");
    assert_eq!(held(&grab, "A"), sessions(FIRST_SERVED, date(2025, 1, 31)));
}
