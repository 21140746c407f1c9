//! `HTTPS_PROXY` and `NO_PROXY`.

use std::thread;

use jiff::civil::date;

use crate::support::{Authority, Grab, Proxy, Reply, Server, minutes, page};

const START: &str = "start --json --windows 2024-01 --tickers A --ca-bundle bundle.pem";

/// A server behind TLS, and the program set up to ask it under an address that means this machine, too, but is not
/// one of loopback's: those never go through a proxy.
fn away_from_loopback() -> (Server, Grab) {
    let authority = Authority::new();
    let server = Server::start_tls(authority.server(), |request| {
        Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
    });
    let grab = Grab::with_server(&server.base_url().replace("127.0.0.1", "0.0.0.0"));
    authority.write_bundle(grab.dir());
    (server, grab)
}

#[test]
fn https_goes_through_the_proxy_which_never_sees_the_key() {
    let ((server, grab), proxy) = (away_from_loopback(), Proxy::start());
    let grab = grab.env("HTTPS_PROXY", proxy.url());
    grab.run(START).exits(0);
    let (heads, host) = (proxy.heads(), server.base_url().replace("https://127.0.0.1", "0.0.0.0"));
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with(&format!("CONNECT {host} HTTP/1.1\r\n")), "{heads:?}");
    assert!(!heads[0].contains("hush-hush-key"), "{heads:?}");
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer hush-hush-key"));
}

#[test]
fn what_no_proxy_names_is_asked_directly() {
    let ((server, grab), proxy) = (away_from_loopback(), Proxy::start());
    let grab = grab.env("HTTPS_PROXY", proxy.url()).env("NO_PROXY", "example.com,0.0.0.0");
    grab.run(START).exits(0);
    assert_eq!((proxy.heads().len(), server.requests().len()), (0, 1));
}

fn refused_by_a_proxy(status: &'static str) {
    let ((server, grab), proxy) = (away_from_loopback(), Proxy::answering(status));
    // A password for a proxy is as secret as a key.
    let url = proxy.url().replace("http://", "http://user:hush-hush-word@");
    let grab = grab.env("HTTPS_PROXY", &url);
    let ran = grab.run(&format!("{START} -vvv")).exits(21);
    let report = ran.json();
    assert!(report["error"].as_str().unwrap().contains("cannot connect to https://0.0.0.0:"), "{report}");
    assert!(report["hint"].as_str().unwrap().contains("proxy"), "{report}");
    assert!(!format!("{ran:?}").contains("hush-hush-word"), "{ran:?}");
    assert_eq!((proxy.heads().len(), server.connections()), (3, 0), "{status}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
}

#[test]
fn a_proxy_that_refuses_burns_no_task_and_is_not_gone_around() {
    // Each waits out real pauses: together they take as long as one.
    thread::scope(|all| {
        for status in ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"] {
            all.spawn(move || refused_by_a_proxy(status));
        }
    });
}
