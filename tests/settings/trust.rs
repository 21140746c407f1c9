//! `--ca-bundle` and `SSL_CERT_FILE`: which certificates a run trusts.

use std::fs;

use jiff::civil::date;
use rustls::ServerConfig;

use crate::support::{Authority, Grab, Reply, Server, minutes, page, self_signed};

fn serve(config: ServerConfig) -> Server {
    let answer = |symbol: &str| Reply::json(200, page(symbol, &minutes(date(2024, 1, 3), 5), None));
    Server::start_tls(config, move |request| answer(request.symbol()))
}

/// The message of a run that does not trust the server: no request is answered, no task is lost.
fn refusal(server: &Server, arguments: &str) -> String {
    let grab = Grab::with_server(server.base_url());
    let report =
        grab.run(&format!("start --json --windows 2024-01 --tickers A {arguments}")).exits(21).json();
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
    assert_eq!(grab.count("SELECT attempts FROM tasks"), 0);
    assert!(server.requests().is_empty(), "the key went to a stranger");
    let text = report["error"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("cannot connect to {}", server.base_url())), "{text}");
    assert!(report["hint"].as_str().unwrap().contains("--ca-bundle"), "{report}");
    text
}

#[test]
fn an_unknown_authority_is_refused_until_the_bundle_names_it() {
    let authority = Authority::new();
    let server = serve(authority.server());
    let text = refusal(&server, "");
    assert!(text.contains("invalid peer certificate: UnknownIssuer"), "{text}");

    let grab = Grab::with_server(server.base_url());
    let bundle = authority.write_bundle(grab.dir());
    grab.run(&format!("start --windows 2024-01 --tickers A --ca-bundle {}", bundle.display())).exits(0);
    let grab = Grab::with_server(server.base_url()).env("SSL_CERT_FILE", &bundle.display().to_string());
    fs::copy(&bundle, grab.dir().join("copy.pem")).unwrap();
    grab.run_with("SSL_CERT_FILE", "copy.pem", "start --windows 2024-01 --tickers A").exits(0);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_bundle_of_another_authority_does_not_help() {
    let (server, folder) = (serve(Authority::new().server()), tempfile::tempdir().unwrap());
    let other = Authority::new().write_bundle(folder.path());
    let text = refusal(&server, &format!("--ca-bundle {}", other.display()));
    assert!(text.contains("UnknownIssuer") || text.contains("BadSignature"), "{text}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let server = serve(authority.expired_server());
    let bundle = authority.write_bundle(folder.path());
    let text = refusal(&server, &format!("--ca-bundle {}", bundle.display()));
    assert!(text.contains("expired"), "{text}");
}

#[test]
fn a_certificate_that_vouches_for_itself_must_not_say_that_it_is_an_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (config, bundle) = self_signed(true, folder.path());
    let text = refusal(&serve(config), &format!("--ca-bundle {}", bundle.display()));
    assert!(text.contains("CaUsedAsEndEntity"), "{text}");

    let (config, bundle) = self_signed(false, folder.path());
    let server = serve(config);
    let grab = Grab::with_server(server.base_url());
    grab.run(&format!("start --windows 2024-01 --tickers A --ca-bundle {}", bundle.display())).exits(0);
}

#[test]
fn a_bundle_without_certificates_is_named_with_the_place_where_it_is_set() {
    let grab = Grab::new();
    let start = "start --windows 2024-01 --tickers A";
    fs::write(grab.dir().join("empty.pem"), "").unwrap();
    fs::write(grab.dir().join("cut.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    fs::write(grab.dir().join("odd.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    for (file, why) in [
        ("missing.pem", "missing.pem cannot be read"),
        ("empty.pem", "empty.pem holds no certificate in PEM form"),
        ("cut.pem", "cut.pem: "),
        ("odd.pem", "odd.pem: "),
    ] {
        let by_flag = grab.run(&format!("{start} --ca-bundle {file}")).exits(2);
        assert!(by_flag.stderr.contains(&format!("--ca-bundle: {why}")), "{by_flag:?}");
        let mut by_variable = grab.command(start);
        let output = by_variable.env("SSL_CERT_FILE", file).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(&format!("SSL_CERT_FILE: {why}")), "{stderr}");
        fs::write(grab.dir().join("grab.toml"), format!("ca_bundle = \"{file}\"\n")).unwrap();
        let by_file = grab.run(start).exits(3);
        assert!(by_file.stderr.contains(&format!("grab.toml: ca_bundle: {why}")), "{by_file:?}");
        fs::remove_file(grab.dir().join("grab.toml")).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_certificates_is_told_so_and_needs_none_for_the_sandbox() {
    let grab = Grab::with_server("https://127.0.0.1:9").env("SSL_CERT_DIR", "nowhere");
    let report = grab.run("start --json --windows 2024-01 --tickers A").exits(21).json();
    assert!(report["error"].as_str().unwrap().contains("No CA certificates were loaded"), "{report}");
    let hint = report["hint"].as_str().unwrap();
    assert!(hint.contains("ca-certificates") && hint.contains("--ca-bundle"), "{hint}");
    assert_eq!(grab.tasks(), ["A 2024-01-01 pending"]);
    let sandbox = Grab::of_sandbox().env("SSL_CERT_DIR", "nowhere");
    sandbox.run("start --sandbox --windows 2024-01-03 --tickers A").exits(0);
}
