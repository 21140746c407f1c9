//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.

use std::thread;

use jiff::civil::date;

use crate::support::{Authority, Grab, Proxy, Reply, Server, SocksProxy, minutes, page};

const START: &str = "start --json --windows 2024-01 --tickers A --ca-bundle bundle.pem";

/// A server behind TLS, and the program set up to use it under an address that also means this machine, but not
/// loopback: loopback addresses never go through a proxy.
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
    // Each waits out real pauses: in parallel they take as long as one.
    thread::scope(|all| {
        for status in ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"] {
            all.spawn(move || refused_by_a_proxy(status));
        }
    });
}

/// Invalid proxies, with a password that must not be repeated, and words of the message.
const NO_PROXIES: [(&str, &str); 7] = [
    ("http://${PROXY_HOST}:3128", "the variable PROXY_HOST in it was not replaced by its value"),
    ("http://user:hush-word@:3128", "there is no host in it"),
    ("http://user:hush-word@proxy:99999", "its port is not a number from 1 to 65535"),
    ("http://user:hush#word@proxy:3128", "its port is not a number from 1 to 65535"),
    ("http://user:hush-word@{proxy}:3128", "its host is neither a name nor an address"),
    ("ftp://user:hush-word@proxy:3128", "\"ftp\" is no protocol of a proxy"),
    ("\"http://user:hush-word@proxy:3128\"", "the quotes are part of the value"),
];

const VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A server without TLS, under an address that is not loopback.
fn plain_server() -> (Server, String) {
    let server = Server::start(|request| {
        Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None))
    });
    let base_url = server.base_url().replace("127.0.0.1", "0.0.0.0");
    (server, base_url)
}

#[test]
fn a_variable_that_names_no_proxy_is_refused_before_anything_is_asked_or_written() {
    let (server, base_url) = plain_server();
    for variable in VARIABLES {
        for (value, why) in NO_PROXIES {
            let grab = Grab::with_server(&base_url).env(variable, value);
            let ran = grab.run("start --json --windows 2024-01 --tickers A").exits(2);
            let error = ran.json()["error"].as_str().unwrap().to_owned();
            assert!(error.starts_with(&format!("{variable}: {why}")), "{value}: {error}");
            assert!(!format!("{ran:?}").contains("hush-word") && !error.contains("hush"), "{ran:?}");
            assert!(!grab.data_dir().exists(), "{variable}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_variable_that_is_not_utf_8_is_not_taken_for_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let (server, base_url) = plain_server();
    let grab = Grab::with_server(&base_url);
    let odd = std::ffi::OsStr::from_bytes(b"http://pro\xffxy:3128");
    let mut command = grab.command("start --windows 2024-01 --tickers A");
    let ran = command.env("HTTP_PROXY", odd).output().unwrap();
    assert_eq!((ran.status.code(), server.connections()), (Some(2), 0), "{ran:?}");
    let mut command = grab.command("start --windows 2024-01 --tickers A");
    let ran = command.env("GRAB_DATA_DIR", std::ffi::OsStr::from_bytes(b"d\xff")).output().unwrap();
    assert_eq!((ran.status.code(), server.connections()), (Some(2), 0), "{ran:?}");
    assert!(!grab.data_dir().exists());
}

#[test]
fn every_command_that_fetches_refuses_it_and_no_task_is_burnt() {
    let (server, base_url) = plain_server();
    let grab = Grab::with_server(&base_url);
    grab.run("start --plan-only --windows 2024-01 --tickers A").exits(0);
    let grab = grab.env("ALL_PROXY", "http://proxy:0");
    for command in [
        "start --windows 2024-02 --tickers A",
        "resume",
        "update",
        "universe sync",
        "verify --witness grouped-daily",
        "start --windows 2024 --universe us-stocks",
    ] {
        let ran = grab.run(&format!("{command} --json")).exits(2);
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("ALL_PROXY: 0 is no port"), "{command}: {error}");
    }
    assert_eq!(server.connections(), 0);
    let tasks = grab.tasks();
    assert!(tasks.iter().all(|task| task.ends_with("pending")), "{tasks:?}");
    for command in ["status", "verify --min-coverage 0", "start --dry-run --windows 2024-03 --tickers B"] {
        assert_ne!(grab.run(command).code, 2, "{command} asks nothing");
    }
    Grab::of_sandbox()
        .env("HTTPS_PROXY", "http://${PROXY_HOST}:3128")
        .run("start --sandbox --windows 2024-01-03 --tickers AAPL")
        .exits(0);
}

#[test]
fn an_exception_that_cannot_be_read_is_refused_if_it_may_be_meant_for_the_service() {
    let ((server, base_url), proxy) = (plain_server(), Proxy::start());
    let grab = |list: &str| Grab::with_server(&base_url).env("HTTP_PROXY", proxy.url()).env("NO_PROXY", list);
    let ran = grab("example.com,0.0.0.0/33").run("start --windows 2024-01 --tickers A").exits(2);
    assert!(ran.stderr.contains("NO_PROXY: \"0.0.0.0/33\" is neither a name"), "{ran:?}");
    assert_eq!((server.connections(), proxy.heads().len()), (0, 0));
    grab("<local>,0.0.0.0/32").run("start --windows 2024-01 --tickers A").exits(0);
    assert_eq!((server.requests().len(), proxy.heads().len()), (1, 0));
}

#[test]
fn http_goes_through_its_proxy_with_a_user_and_a_password() {
    let nowhere = "http://0.0.0.0:9";
    let proxy = Server::start(move |request| {
        assert!(request.target.starts_with(nowhere), "{}", request.target);
        Reply::json(200, page("A", &minutes(date(2024, 1, 3), 5), None))
    });
    let url = proxy.base_url().replace("http://", "user:w%40rd@");
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let grab = Grab::with_server(nowhere).env(variable, &url);
        grab.run("start --windows 2024-01 --tickers A").exits(0);
        let asked = proxy.requests().pop().unwrap();
        assert_eq!(asked.header("proxy-authorization"), Some("Basic dXNlcjp3QHJk"), "user:w@rd");
    }
    assert_eq!(proxy.requests().len(), 4);
}

#[test]
fn a_proxy_that_asks_who_it_is_burns_no_task() {
    let proxy = Server::start(|_| Reply::body(407, "text/html", b"who is it?".to_vec()));
    let grab = Grab::with_server("http://0.0.0.0:9").env("HTTP_PROXY", proxy.base_url());
    let ran = grab.run("start --json --windows 2024-01 --tickers A").exits(21);
    let error = ran.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("HTTP 407: the proxy asks for a user and a password"), "{error}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
}

#[test]
fn in_a_cgi_environment_only_what_a_stranger_can_set_is_refused() {
    let ((server, grab), proxy) = (away_from_loopback(), Proxy::start());
    let grab = grab.env("REQUEST_METHOD", "GET").env("HTTPS_PROXY", proxy.url());
    grab.run(START).exits(0);
    assert_eq!((proxy.heads().len(), server.requests().len()), (1, 1), "it is not gone around");
    let (server, base_url) = plain_server();
    let grab = Grab::with_server(&base_url).env("REQUEST_METHOD", "GET").env("HTTP_PROXY", proxy.url());
    let ran = grab.run("start --windows 2024-01 --tickers A").exits(2);
    assert!(ran.stderr.contains("HTTP_PROXY: REQUEST_METHOD is set"), "{ran:?}");
    assert_eq!((proxy.heads().len(), server.connections()), (1, 0));
}

#[test]
fn a_socks_proxy_is_gone_through() {
    let ((server, grab), proxy) = (away_from_loopback(), SocksProxy::start());
    let grab = grab.env("ALL_PROXY", proxy.url());
    grab.run(START).exits(0);
    let host = server.base_url().replace("https://127.0.0.1", "0.0.0.0");
    assert_eq!((proxy.addresses(), server.requests().len()), (vec![host], 1));
}

#[test]
fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let (server, grab) = away_from_loopback();
    let grab = grab.env("HTTPS_PROXY", "http://user:hush-hush-word@127.0.0.1:9");
    let ran = grab.run(START).exits(21);
    let error = ran.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("through the proxy http://127.0.0.1:9 (HTTPS_PROXY)"), "{error}");
    assert!(!format!("{ran:?}").contains("hush-hush-word"), "{ran:?}");
    assert_eq!(server.connections(), 0);
}
