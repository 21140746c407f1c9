//! Whether requests go to the service directly, or through the proxy that the environment names.
//!
//! The HTTP client reads the same variables, but ignores one that it cannot parse and goes directly (hyper-util 0.1.21,
//! `client/proxy/matcher.rs`, `parse_env_uri`), and in a CGI environment it ignores them all. So they are read here,
//! once for all requests, as these have one origin, and the result is passed to the client: what is checked is what is
//! used.

mod no_proxy;
mod proxy_url;

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

use no_proxy::NoProxyList;

/// The variables that name a proxy, upper case first: if both are set, the HTTP client uses the upper-case one.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];

/// The variables that list the hosts without a proxy.
const NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Web servers set it for the programs that they start, together with `HTTP_PROXY` from a header that any client may send
/// (RFC 3875, section 4.1.18; CVE-2016-5385).
const CGI: &str = "REQUEST_METHOD";

/// The values of the environment's proxy variables.
#[derive(Clone, Default)]
pub struct ProxyVariables {
    proxies: Vec<(&'static str, String)>,
    exceptions: Option<(&'static str, String)>,
    is_cgi: bool,
}

/// How a request gets to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyRoute {
    /// Directly.
    Direct,
    /// By the settings of the operating system, if it has any (macOS): no variable is set.
    System,
    /// Through this proxy.
    Through(NamedProxy),
}

/// A proxy, and the variable that names it. Its text has no user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedProxy {
    url: Url,
    set_by: &'static str,
}

/// Why there is no valid route. The texts never hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// A variable does not name a proxy.
    #[error("{variable}: {why}; no request was sent. Correct it, or unset it to connect directly")]
    NoProxy {
        /// Its name.
        variable: &'static str,
        /// What is wrong with its value.
        why: String,
    },
    /// An entry of the exceptions is unreadable and may be meant for the service's host.
    #[error("{variable}: {why}; no request was sent. Correct the entry, or remove it to go through {proxy}")]
    NoException {
        /// The name of the variable.
        variable: &'static str,
        /// What is wrong with the entry.
        why: String,
        /// The proxy that would be used without it.
        proxy: String,
    },
    /// The only variable that names a proxy may have been set by a stranger.
    #[error(
        "HTTP_PROXY: {CGI} is set, as in a program that a web server has started, and there a client's header can set \
         HTTP_PROXY; no request was sent. Set http_proxy instead, or unset {CGI}"
    )]
    Cgi,
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.proxies.iter().map(|(name, _)| name).collect();
        write!(formatter, "ProxyVariables({names:?})")
    }
}

impl ProxyVariables {
    /// Reads the variables; `env` returns the value of one that is set. A value of white space alone counts as not set.
    #[must_use]
    pub fn read(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let value = |name: &&'static str| {
            let text = env(name)?.trim().to_owned();
            (!text.is_empty()).then_some((*name, text))
        };
        Self {
            proxies: [HTTP, HTTPS, ALL].iter().flatten().filter_map(value).collect(),
            exceptions: NONE.iter().find_map(value),
            is_cgi: env(CGI).is_some(),
        }
    }

    /// Returns the route to a service. For `https` URLs `HTTPS_PROXY` is used, for `http` URLs `HTTP_PROXY`, else
    /// `ALL_PROXY`. No proxy leads to this machine itself.
    ///
    /// # Errors
    /// If any of the variables does not name a proxy, also if it would not be used: it was set for a reason. Also if an
    /// entry of `NO_PROXY` cannot be read and may be meant for this host.
    pub fn route_to(&self, service: &Url) -> Result<ProxyRoute, ProxyError> {
        let mut proxies = Vec::new();
        for (variable, text) in &self.proxies {
            let named = |url| NamedProxy { url, set_by: variable };
            let wrong = |why| ProxyError::NoProxy { variable, why };
            proxies.push(proxy_url::read(text).map(named).map_err(wrong)?);
        }
        if is_loopback(service) {
            return Ok(ProxyRoute::Direct);
        }
        let own = if service.scheme() == "https" { HTTPS } else { HTTP };
        let set_by = |name: &&str| proxies.iter().find(|proxy| proxy.set_by == *name).cloned();
        let Some(proxy) = own.iter().chain(&ALL).find_map(set_by) else { return Ok(ProxyRoute::System) };
        if self.is_excepted(service, &proxy)? {
            return Ok(ProxyRoute::Direct);
        }
        if self.is_cgi && proxy.set_by == HTTP[0] {
            return Err(ProxyError::Cgi);
        }
        Ok(ProxyRoute::Through(proxy))
    }

    fn is_excepted(&self, service: &Url, proxy: &NamedProxy) -> Result<bool, ProxyError> {
        let Some((variable, text)) = &self.exceptions else { return Ok(false) };
        let wrong = |why| ProxyError::NoException { variable, why, proxy: proxy.to_string() };
        NoProxyList::read(text).have(service).map_err(wrong)
    }
}

impl NamedProxy {
    /// Returns its URL, with user and password.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for NamedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.url.scheme(), self.url.host_str().unwrap_or_default());
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(formatter, "the proxy {scheme}://{host}{port} ({})", self.set_by)
    }
}

impl fmt::Debug for NamedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Whether a URL leads to this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
