//! The page cursor: the unit of resume.

use std::fmt;

use thiserror::Error;
use url::{Origin, Url, form_urlencoded};

use super::excerpt;

/// Where the next page is: path and query of the server's `next_url`, to be requested verbatim from the configured
/// origin.
///
/// It holds no host (a run may continue through another host name of the same service) and never a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// Why a `next_url` cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// It is not a URL.
    #[error("next_url {0:?} cannot be parsed")]
    NotAUrl(String),
    /// It is longer than any server reads.
    #[error("next_url has {0} bytes: at most {LONGEST} are followed")]
    TooLong(usize),
    /// It names another scheme, host or port than the configured base URL: following it would send the key to a foreign
    /// server.
    #[error("next_url leads to {found}, not to the configured {expected}")]
    ForeignOrigin {
        /// The configured origin.
        expected: String,
        /// The origin that the server named.
        found: String,
    },
}

/// The letters of the query parameter that carries a key, `apiKey` (polygon-api.md §1).
const KEY_PARAMETER: &str = "apikey";

/// The most bytes of a `next_url`. The service's have about 200; servers refuse request lines of more than 8 KiB.
const LONGEST: usize = 8 << 10;

/// How much of a `next_url` or of its host is shown, in characters.
const SHOWN: usize = 100;

impl Cursor {
    /// Takes `next_url` as the server sent it, if it stays on `origin`.
    ///
    /// # Errors
    /// If it is not an absolute URL, is too long, or leads to another origin.
    pub fn from_next_url(next_url: &str, origin: &Origin) -> Result<Self, CursorError> {
        if next_url.len() > LONGEST {
            return Err(CursorError::TooLong(next_url.len()));
        }
        let url = Url::parse(next_url).map_err(|_| CursorError::NotAUrl(excerpt(next_url, SHOWN)))?;
        // A `blob:` URL has the origin of the URL inside of it, and no path.
        if url.cannot_be_a_base() || url.origin() != *origin {
            return Err(foreign(&url, origin));
        }
        Ok(Self(without_key(&url)))
    }

    /// Takes a cursor that was stored in the manifest.
    #[must_use]
    pub fn from_stored(path_and_query: String) -> Self {
        Self(path_and_query)
    }

    /// Path and query, such as `/v2/aggs/…/1704776400000/2024-06-30?cursor=bGltaXQ9NSZzb3J0PWFzYw`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn foreign(url: &Url, origin: &Origin) -> CursorError {
    let found = if url.cannot_be_a_base() {
        format!("{}:", url.scheme())
    } else {
        url.origin().ascii_serialization()
    };
    CursorError::ForeignOrigin { expected: origin.ascii_serialization(), found: excerpt(&found, SHOWN) }
}

/// Path and query to the letter, except for a key that a faulty server put into them.
fn without_key(url: &Url) -> String {
    let kept: Vec<_> = url.query().unwrap_or_default().split('&').filter(|pair| !is_key(pair)).collect();
    match kept.join("&") {
        query if query.is_empty() => url.path().to_owned(),
        query => format!("{}?{query}", url.path()),
    }
}

/// Whether a lenient server could read the parameter as the key: `apiKey`, `APIKEY`, `api_key`, `api%4Bey`, ….
fn is_key(pair: &str) -> bool {
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    form_urlencoded::parse(pair.as_bytes())
        .any(|(name, _)| letters(&name).eq_ignore_ascii_case(KEY_PARAMETER))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(next_url: &str) -> Result<Cursor, CursorError> {
        Cursor::from_next_url(next_url, &Url::parse("http://localhost:8080/").unwrap().origin())
    }

    #[test]
    fn it_is_kept_to_the_letter() {
        let path =
            "/v2/aggs/ticker/KIMpL/range/1/minute/1704776400000/2024-06-30?cursor=bGltaXQ9NSZzb3J0PWFzYw";
        assert_eq!(take(&format!("http://localhost:8080{path}")).unwrap().as_str(), path);
    }

    #[test]
    fn a_key_is_never_kept() {
        let cursor = take("http://localhost:8080/v2/x?apiKey=HUSH&cursor=abc&APIKEY=HUSH").unwrap();
        assert_eq!(cursor.as_str(), "/v2/x?cursor=abc");
        assert_eq!(take("http://localhost:8080/v2/x?apiKey=HUSH").unwrap().as_str(), "/v2/x");
        for spelled in ["api%4Bey", "%61piKey", "api_key", "api-key", "+apiKey", "apiKey%00", "APIkey"] {
            let cursor = take(&format!("http://localhost:8080/v2/x?cursor=abc&{spelled}=HUSH"));
            assert_eq!(cursor.unwrap().as_str(), "/v2/x?cursor=abc", "{spelled}");
        }
    }

    #[test]
    fn a_url_within_a_blob_has_its_origin_and_is_refused() {
        let inside = take("blob:http://localhost:8080/v2/x?cursor=abc").unwrap_err();
        assert!(inside.to_string().starts_with("next_url leads to blob:, not to"), "{inside}");
    }

    #[test]
    fn what_nobody_would_read_is_refused_and_not_repeated() {
        let long = format!("http://localhost:8080/v2/x?cursor={}", "A".repeat(8 << 10));
        assert!(matches!(take(&long), Err(CursorError::TooLong(8_226))), "{:?}", take(&long));
        for odd in ["x".repeat(5_000), format!("http://{}/x", "a.".repeat(3_000))] {
            let error = take(&odd).unwrap_err().to_string();
            assert!(error.len() < 300, "{error}");
        }
    }

    #[test]
    fn another_origin_is_refused() {
        for foreign in ["http://localhost:8081/x", "https://localhost:8080/x", "http://evil.example/x"] {
            assert!(matches!(take(foreign), Err(CursorError::ForeignOrigin { .. })), "{foreign}");
        }
        for odd in ["", "/v2/x?cursor=abc", "http://", "::"] {
            assert_eq!(take(odd), Err(CursorError::NotAUrl(odd.to_owned())));
        }
    }
}
