//! The value of a variable that names a proxy.

use url::{Host, ParseError, Url};

/// The supported protocols of proxies.
const SCHEMES: [&str; 6] = ["http", "https", "socks5", "socks5h", "socks4", "socks4a"];

/// The port of SOCKS (RFC 1928); those of `http` and `https` are part of the protocols.
const SOCKS_PORT: u16 = 1080;

/// Returns the proxy's URL. A value without a protocol means `http://`, as for curl.
///
/// # Errors
/// With what is wrong. The value itself is not repeated if it may hold a password.
pub(super) fn read(text: &str) -> Result<Url, String> {
    if let Some(why) = not_replaced(text) {
        return Err(why);
    }
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        return Err("the quotes are part of the value: a proxy's URL has none".to_owned());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("there is white space within the value".to_owned());
    }
    let url = match text.split_once("://") {
        Some((scheme, _)) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => Url::parse(text),
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            let known = SCHEMES.map(|scheme| format!("{scheme}://")).join(", ");
            return Err(format!("{scheme:?} is no protocol of a proxy; these are: {known}"));
        }
        Some(_) => return Err(not_a_url()),
        None if SCHEMES.iter().any(|scheme| is_followed_by_colon(text, scheme)) => return Err(not_a_url()),
        None => Url::parse(&format!("http://{text}")),
    };
    let mut url = url.map_err(what)?;
    let has_rest = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if has_rest {
        return Err("a proxy's URL ends after its port; in a user name or a password write # as %23, / as %2F, ? as %3F \
                    and @ as %40"
            .to_owned());
    }
    check_host(text, &url)?;
    if url.port() == Some(0) {
        return Err("0 is no port".to_owned());
    }
    if url.port().is_none() && url.scheme().starts_with("socks") {
        // Fails only for URLs without a host.
        let _ = url.set_port(Some(SOCKS_PORT));
    }
    Ok(url)
}

fn not_a_url() -> String {
    "this is not a URL such as http://proxy.example:3128".to_owned()
}

fn is_followed_by_colon(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        && text[scheme.len()..].starts_with(':')
}

/// Describes a host that is an unreplaced variable of a shell or of Windows. A user name or a password may have such
/// characters, and is not checked.
fn not_replaced(text: &str) -> Option<String> {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let of_shell = host.split_once('$').map(|(_, rest)| rest.trim_start_matches(['{', '(']));
    let of_windows = host.split('%').nth(1).filter(|name| host.contains(&format!("%{name}%")));
    let begun = of_shell.or(of_windows)?;
    let name = begun.split(|c| !is_of_name(c)).next().filter(|name| !name.is_empty())?;
    Some(format!("the variable {name} in it was not replaced by its value"))
}

fn what(error: ParseError) -> String {
    if error == ParseError::EmptyHost {
        "there is no host in it".to_owned()
    } else if error == ParseError::InvalidPort {
        "its port is not a number from 1 to 65535".to_owned()
    } else {
        "its host is neither a name nor an address".to_owned()
    }
}

/// The URL standard accepts more than valid hosts: `{proxy}` is one for it, and `3128` is the address 0.0.12.56.
fn check_host(text: &str, url: &Url) -> Result<(), String> {
    let is_good = match url.host() {
        // Hosts of protocols that the URL standard does not know are opaque.
        Some(Host::Domain(name)) => {
            let is_meant = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let is_address = name.chars().all(|c| c.is_ascii_digit() || c == '.');
            !name.is_empty()
                && name.chars().all(is_meant)
                && (!is_address || name.parse::<std::net::Ipv4Addr>().is_ok())
        }
        Some(Host::Ipv4(address)) => text.contains(&address.to_string()),
        Some(Host::Ipv6(_)) => true,
        None => return Err("there is no host in it".to_owned()),
    };
    if is_good { Ok(()) } else { Err("its host is neither a name nor an address".to_owned()) }
}
