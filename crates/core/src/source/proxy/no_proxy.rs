//! The list of hosts to which requests go directly: `NO_PROXY`.
//!
//! The rules are those of curl, Go and the HTTP client together, because one list usually serves all of them: entries
//! separated by commas or white space; `*` for everything; addresses and networks (`10.0.0.0/8`); names, with or
//! without a leading dot or `*.`, which stand for themselves and all names below them; each with a port or without one.
//! A `*` elsewhere stands for any characters.

use std::net::IpAddr;

use url::{Host, Url};

/// The entries, each with its meaning. None if it cannot be understood.
pub(super) struct NoProxyList(Vec<(String, Option<Entry>)>);

/// The meaning of an entry.
struct Entry {
    hosts: Hosts,
    /// If given, only this port.
    port: Option<u16>,
}

enum Hosts {
    /// Addresses whose first bits, of this number, are those of this address.
    Network(IpAddr, u32),
    /// A name and all below it.
    Name(String),
    /// Names or addresses with any characters in place of each `*`.
    Pattern(String),
}

impl NoProxyList {
    pub(super) fn read(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty());
        Self(entries.map(|entry| (entry.to_owned(), Entry::read(&entry.to_ascii_lowercase()))).collect())
    }

    /// Whether an entry covers the host of a URL.
    ///
    /// # Errors
    /// If none does, and one that cannot be understood may.
    pub(super) fn have(&self, service: &Url) -> Result<bool, String> {
        let (Some(host), port) = (service.host(), service.port_or_known_default()) else { return Ok(false) };
        if self.0.iter().filter_map(|(_, entry)| entry.as_ref()).any(|entry| entry.matches(&host, port)) {
            return Ok(true);
        }
        let unread = self.0.iter().filter(|(_, entry)| entry.is_none());
        match unread.map(|(text, _)| text).find(|text| may_mean(text, &host)) {
            Some(entry) => Err(format!(
                "{entry:?} is neither a name, such as massive.com, nor an address, nor a network, such as 10.0.0.0/8"
            )),
            None => Ok(false),
        }
    }
}

impl Entry {
    fn read(text: &str) -> Option<Self> {
        if let Some(hosts) = Hosts::address(text) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let host = host.strip_prefix("*.").unwrap_or(host);
        let host = host.strip_prefix('.').unwrap_or(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        let hosts = Hosts::address(host).or_else(|| Hosts::name(host))?;
        Some(Self { hosts, port })
    }

    fn matches(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let is_port = self.port.is_none() || self.port == port;
        let address: Option<IpAddr> = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        };
        is_port
            && match (&self.hosts, host) {
                (Hosts::Network(network, bits), _) => {
                    address.is_some_and(|address| is_within(address, *network, *bits))
                }
                (Hosts::Name(name), Host::Domain(host)) => {
                    let host = host.strip_suffix('.').unwrap_or(host);
                    let above = host.strip_suffix(name.as_str());
                    above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
                (Hosts::Name(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
                (Hosts::Pattern(pattern), _) => {
                    let host = address.map_or_else(|| host.to_string(), |address| address.to_string());
                    is_like(&host, pattern)
                }
            }
    }
}

impl Hosts {
    /// `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `[::1]`.
    fn address(text: &str) -> Option<Self> {
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        (bits <= all).then_some(Self::Network(address, bits))
    }

    fn name(text: &str) -> Option<Self> {
        let is_meant = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
        // Digits that are not an address are a typing error.
        let is_number = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'));
        if text.is_empty() || !text.chars().all(is_meant) || is_number {
            None
        } else if text.contains('*') {
            Some(Self::Pattern(text.to_owned()))
        } else {
            Some(Self::Name(text.to_owned()))
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Whether a whole text matches a pattern: it has the pattern's parts in their order.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether an entry that cannot be understood may be meant for a host: it has a variable that was not replaced, it has
/// the host's domain in it, or, for an address, it has digits.
fn may_mean(entry: &str, host: &Host<&str>) -> bool {
    let entry = entry.to_ascii_lowercase();
    let is_address = |entry: &str| entry.contains(|c: char| c.is_ascii_digit());
    entry.contains('$')
        || match host {
            Host::Domain(name) => {
                let labels: Vec<_> = name.trim_end_matches('.').split('.').collect();
                let domain = labels[labels.len().saturating_sub(2)..].join(".");
                entry.contains(&domain)
            }
            Host::Ipv4(_) | Host::Ipv6(_) => is_address(&entry),
        }
}
