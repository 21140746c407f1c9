//! Parses the text of settings, and says why a text is invalid.

use std::{fmt::Display, fs, str::FromStr, time::Duration};

use clap::ValueEnum;
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

pub(super) fn read_concurrency(text: &str) -> Result<usize, String> {
    let within = |n: &usize| (1..=MAX_CONCURRENCY).contains(n);
    text.parse()
        .ok()
        .filter(within)
        .ok_or_else(|| format!("{text:?} is not a number from 1 to {MAX_CONCURRENCY}"))
}

pub(super) fn read_positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    text.parse()
        .ok()
        .filter(|n| *n >= T::from(1))
        .ok_or_else(|| format!("{text:?} is not a number from 1 on"))
}

pub(super) fn read_bool(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

/// Parses one of a few words.
pub(super) fn read_choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    let wrong = |_| {
        let words = T::value_variants().iter().filter_map(T::to_possible_value);
        let words: Vec<_> = words.map(|word| word.get_name().to_owned()).collect();
        format!("{text:?} is none of {}", words.join(", "))
    };
    T::from_str(text, false).map_err(wrong)
}

/// Parses the kind of Parquet files.
pub(super) fn read_encodings(text: &str) -> Result<Encodings, String> {
    let all = [Encodings::Compatible, Encodings::Compact];
    let wrong = || format!("{text:?} is none of {}", all.map(Encodings::as_str).join(", "));
    all.into_iter().find(|kind| kind.as_str() == text).ok_or_else(wrong)
}

/// `50m`, `1h30m`, `90s`, `250ms`, or plain seconds.
pub fn read_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 90s, 50m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let time: SignedDuration = text.parse().map_err(|_| wrong())?;
    time.try_into().map_err(|_| wrong())
}

/// A time that is not zero: nothing connects or responds in no time.
pub(super) fn read_timeout(text: &str) -> Result<Duration, String> {
    let time = read_time(text)?;
    if time.is_zero() { Err("a time-out of zero would fail every request".to_owned()) } else { Ok(time) }
}

pub(super) fn read_base_url(text: &str) -> Result<Url, String> {
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
pub(super) fn read_certificates(path: &str) -> Result<Vec<Certificate>, String> {
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
