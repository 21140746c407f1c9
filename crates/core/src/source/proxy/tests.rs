//! Which route is used, and which variables give none.

use super::*;

fn way(service: &str, variables: &[(&str, &str)]) -> Result<ProxyRoute, ProxyError> {
    let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    ProxyVariables::read(&value).route_to(&Url::parse(service).unwrap())
}

/// The proxy's URL and its variable, `direct` or `system`, or why there is none.
fn told(service: &str, variables: &[(&str, &str)]) -> String {
    match way(service, variables) {
        Ok(ProxyRoute::Direct) => "direct".to_owned(),
        Ok(ProxyRoute::System) => "system".to_owned(),
        Ok(ProxyRoute::Through(proxy)) => format!("{} {}", proxy.set_by, proxy.url()),
        Err(error) => error.to_string(),
    }
}

const SERVICE: &str = "https://api.massive.com";

#[test]
fn the_protocols_own_variable_comes_first_and_upper_case_before_lower_case() {
    let mut set = vec![
        ("HTTPS_PROXY", "http://one:1"),
        ("https_proxy", "http://two:2"),
        ("ALL_PROXY", "http://three:3"),
        ("all_proxy", "http://four:4"),
    ];
    for expected in ["one:1/", "two:2/", "three:3/", "four:4/"] {
        let found = told(SERVICE, &set);
        assert_eq!(found, format!("{} http://{expected}", set[0].0));
        set.remove(0);
    }
    assert_eq!(told(SERVICE, &[("HTTP_PROXY", "http://one:1")]), "system", "it is not for https");
    assert_eq!(told("http://api.test", &[("HTTP_PROXY", "http://one:1")]), "HTTP_PROXY http://one:1/");
    assert_eq!(told("http://api.test", &[("HTTPS_PROXY", "http://one:1")]), "system");
    let empty = [("HTTPS_PROXY", " "), ("https_proxy", "http://two:2")];
    assert_eq!(told(SERVICE, &empty), "https_proxy http://two:2/", "white space alone is not set");
}

#[test]
fn what_a_proxy_may_look_like() {
    for (text, expected) in [
        ("http://proxy.corp:3128", "http://proxy.corp:3128/"),
        (" http://proxy.corp:3128/ ", "http://proxy.corp:3128/"),
        ("proxy.corp:3128", "http://proxy.corp:3128/"),
        ("PROXY.CORP", "http://proxy.corp/"),
        ("10.1.2.3:8080", "http://10.1.2.3:8080/"),
        ("http://[::1]:3128", "http://[::1]:3128/"),
        ("HTTPS://proxy_1.corp:443", "https://proxy_1.corp/"),
        ("user:hush@proxy:3128", "http://user:hush@proxy:3128/"),
        ("http://user:a@b|$x@proxy:3128", "http://user:a%40b%7C$x@proxy:3128/"),
        ("socks5h://127.0.0.1", "socks5h://127.0.0.1:1080"),
        ("socks4://proxy:9050", "socks4://proxy:9050"),
    ] {
        assert_eq!(told(SERVICE, &[("HTTPS_PROXY", text)]), format!("HTTPS_PROXY {expected}"), "{text}");
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_an_error_whichever_it_is() {
    let host = "its host is neither a name nor an address";
    let url = "this is not a URL such as http://proxy.example:3128";
    let rest = "a proxy's URL ends after its port";
    for (text, why) in [
        ("http://${PROXY_HOST}:3128", "the variable PROXY_HOST in it was not replaced"),
        ("http://$PROXY_HOST:3128", "the variable PROXY_HOST in it was not replaced"),
        ("$(proxy)", "the variable proxy in it was not replaced"),
        ("http://%PROXY%:3128", "the variable PROXY in it was not replaced"),
        ("http://{{ proxy }}:3128", "there is white space within the value"),
        ("http://{proxy}:3128", host),
        ("http://<proxy>:3128", host),
        ("\"http://proxy:3128\"", "the quotes are part of the value"),
        ("http://proxy:3128'", "the quotes are part of the value"),
        ("http://pro\nxy:3128", "there is white space within the value"),
        ("http://:3128", "there is no host in it"),
        ("http://", "there is no host in it"),
        ("socks5://:1080", "there is no host in it"),
        ("http://proxy:99999", "its port is not a number from 1 to 65535"),
        ("http://proxy:port", "its port is not a number from 1 to 65535"),
        ("proxy:0", "0 is no port"),
        ("3128", host),
        ("http://10.0.0", host),
        ("http://300.1.1.1:3128", host),
        ("socks5://10.0.0:1080", host),
        ("http://prox!y:3128", host),
        ("ftp://proxy:3128", "\"ftp\" is no protocol of a proxy"),
        ("socks://proxy:1080", "\"socks\" is no protocol of a proxy"),
        ("http:proxy:3128", url),
        ("http:/proxy:3128", url),
        ("h ttp://proxy:3128", "there is white space within the value"),
        ("://proxy", "\"\" is no protocol of a proxy"),
        ("http//proxy:3128", rest),
        ("http://wpad/wpad.pac", rest),
        ("http://user:pa#ss@proxy:3128", "its port is not a number"),
        ("http://user:12#34@proxy:3128", rest),
        ("http://user:12/34@proxy:3128", rest),
        ("direct", "HTTPS_PROXY http://direct/"),
    ] {
        if why.starts_with("HTTPS_PROXY") {
            assert_eq!(told(SERVICE, &[("HTTPS_PROXY", text)]), why, "{text}");
            continue;
        }
        for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            for service in [SERVICE, "http://api.test", "http://127.0.0.1:8080"] {
                let found = told(service, &[(variable, text)]);
                assert!(found.starts_with(&format!("{variable}: {why}")), "{text:?}: {found}");
                assert!(!found.contains("ss@") && !found.contains("34"), "{found}");
            }
        }
    }
}

#[test]
fn no_proxy_leads_to_this_machine() {
    for here in ["http://127.0.0.1:8080", "https://localhost", "http://[::1]:1"] {
        assert_eq!(told(here, &[("ALL_PROXY", "http://proxy:1")]), "direct", "{here}");
    }
}

#[test]
fn a_header_of_a_stranger_names_no_proxy() {
    let cgi = ("REQUEST_METHOD", "GET");
    let header = told("http://api.test", &[cgi, ("HTTP_PROXY", "http://stranger:1")]);
    assert!(header.starts_with("HTTP_PROXY: REQUEST_METHOD is set"), "{header}");
    for (service, variable) in [
        (SERVICE, "HTTPS_PROXY"),
        (SERVICE, "ALL_PROXY"),
        ("http://api.test", "http_proxy"),
        ("http://api.test", "ALL_PROXY"),
    ] {
        let found = told(service, &[cgi, (variable, "http://proxy:1")]);
        assert_eq!(
            found,
            format!("{variable} http://proxy:1/"),
            "the client would ignore it and go directly"
        );
    }
}

fn excepted(service: &str, list: &str) -> String {
    told(service, &[("HTTPS_PROXY", "http://user:hush@proxy:1"), ("NO_PROXY", list)])
}

#[test]
fn exceptions_are_asked_directly() {
    for list in [
        "*",
        "api.massive.com",
        "API.Massive.com",
        "localhost, massive.com",
        "localhost massive.com",
        ".massive.com",
        "*.massive.com",
        "massive.com.",
        "massive.com:443",
        "api.massive.*",
        "*massive*",
        "com",
    ] {
        assert_eq!(excepted(SERVICE, list), "direct", "{list}");
    }
    for list in ["ssive.com", "example.com", "massive.com:80", "10.0.0.0/8", "x.api.massive.com", "*.massive"]
    {
        assert_eq!(excepted(SERVICE, list), "HTTPS_PROXY http://user:hush@proxy:1/", "{list}");
    }
    for (service, list) in [
        ("https://10.1.2.3", "10.0.0.0/8"),
        ("https://10.1.2.3", "10.1.2.3"),
        ("https://10.1.2.3", "10.1.2.*"),
        ("https://10.1.2.3:8443", "10.1.2.3:8443"),
        ("https://10.1.2.3", "0.0.0.0/0"),
        ("https://[fd00::1]", "fd00::/8"),
        ("https://[fd00::1]", "[fd00::1]:443"),
    ] {
        assert_eq!(excepted(service, list), "direct", "{service} {list}");
    }
    assert_ne!(excepted("https://10.1.2.3", "11.0.0.0/8,::/0"), "direct");
    let both = [("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", "x.test"), ("no_proxy", "massive.com")];
    assert_eq!(told(SERVICE, &both), "ALL_PROXY http://proxy:1/", "upper case before lower case");
}

#[test]
fn an_exception_that_cannot_be_read_is_an_error_if_it_may_be_meant_for_the_service() {
    for (service, list) in [
        (SERVICE, "https://api.massive.com"),
        (SERVICE, "localhost;api.massive.com"),
        (SERVICE, "massive.com:https"),
        (SERVICE, "${NO_PROXY_HOSTS}"),
        ("https://10.1.2.3", "10.0.0.0/33"),
        ("https://10.1.2.3", "10.1.2"),
        ("https://10.1.2.3", "10.1.2.3-10.1.2.9"),
    ] {
        let found = excepted(service, list);
        assert!(found.starts_with(&format!("NO_PROXY: {list:?} is neither a name")), "{list}: {found}");
        assert!(found.contains("the proxy http://proxy:1 (HTTPS_PROXY)"), "{found}");
        assert!(!found.contains("hush"), "{found}");
    }
    for list in ["<local>", "10.0.0.0/33", "http://other.test", "localhost;127.0.0.1"] {
        assert_eq!(excepted(SERVICE, list), "HTTPS_PROXY http://user:hush@proxy:1/", "{list}");
    }
    let found = excepted(SERVICE, "https://api.massive.com,massive.com");
    assert_eq!(found, "direct", "another entry decides");
    let nobody = told(SERVICE, &[("NO_PROXY", "https://api.massive.com")]);
    assert_eq!(nobody, "system", "there is no proxy to go without");
}

#[test]
fn nothing_that_is_printed_has_a_password() {
    let set = [("ALL_PROXY", "socks5://user:hush@proxy")];
    let found = way(SERVICE, &set).unwrap();
    assert_eq!(format!("{found:?}"), "Through(the proxy socks5://proxy:1080 (ALL_PROXY))");
}
