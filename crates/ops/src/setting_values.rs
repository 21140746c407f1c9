//! Parses the text of settings, and says why a text is invalid.

use std::{fmt::Display, fs, str::FromStr, time::Duration};

use grab_core::store::Encodings;
use jiff::SignedDuration;
use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::Url;

/// The most tasks that may be under way at once.
const MAX_CONCURRENCY: usize = 32;

/// Parses the most requests at once.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_concurrency(text: &str) -> Result<usize, String> {
    let within = |n: &usize| (1..=MAX_CONCURRENCY).contains(n);
    text.parse()
        .ok()
        .filter(within)
        .ok_or_else(|| format!("{text:?} is not a number from 1 to {MAX_CONCURRENCY}"))
}

/// Parses a number from 1 on.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    text.parse()
        .ok()
        .filter(|n| *n >= T::from(1))
        .ok_or_else(|| format!("{text:?} is not a number from 1 on"))
}

/// Parses true or false.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_bool(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

/// Parses the kind of Parquet files.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_encodings(text: &str) -> Result<Encodings, String> {
    let all = [Encodings::Compatible, Encodings::Compact];
    let wrong = || format!("{text:?} is not one of {}", all.map(Encodings::as_str).join(", "));
    all.into_iter().find(|kind| kind.as_str() == text).ok_or_else(wrong)
}

/// `50m`, `1h30m`, `90s`, `250ms`, or plain seconds.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 90s, 50m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let time: SignedDuration = text.parse().map_err(|_| wrong())?;
    time.try_into().map_err(|_| wrong())
}

/// A time that is not zero: nothing connects or responds in no time.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_timeout(text: &str) -> Result<Duration, String> {
    let time = read_time(text)?;
    if time.is_zero() { Err("a time-out of zero would fail every request".to_owned()) } else { Ok(time) }
}

/// Parses the address of a service.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_base_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|_| format!("{text:?} is not a URL such as https://api.massive.com"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{text:?} is neither an http nor an https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(
            "a base URL has no user, password or query; the key comes from the environment".to_owned()
        );
    }
    Ok(url)
}

/// Reads a PEM file of one or more certificates that can be trusted.
///
/// # Errors
/// With what is wrong with the text.
pub fn read_certificates(path: &str) -> Result<Vec<Certificate>, String> {
    let pem = fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let wrong = |error: &dyn Display| format!("{path}: {error}");
    let mut trusted = RootCertStore::empty();
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(&pem) {
        let der = der.map_err(|error| wrong(&error))?;
        certificates.push(Certificate::from_der(&der).map_err(|error| wrong(&error))?);
        // The HTTP client would find it out only when it is set up.
        trusted.add(der).map_err(|error| wrong(&error))?;
    }
    if certificates.is_empty() {
        Err(format!("{path} holds no certificate in PEM form"))
    } else {
        Ok(certificates)
    }
}
