//! The address of the next page in a page.

use grab_model::{Cursor, CursorError};
use url::{Url, form_urlencoded};

use super::check_error;

/// The configured service, as in the seeds.
const BASE: &str = "https://api.massive.com/";

/// The longest cursor that is worth a request: servers refuse longer ones.
const LONGEST: usize = 16 << 10;

/// Checks a `next_url`. Bytes that are not text cannot come out of JSON.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let base = Url::parse(BASE).expect("a good base");
    match Cursor::from_next_url(text, &base.origin()) {
        Ok(cursor) => check_cursor(text, &cursor, &base),
        Err(error) => {
            check_error(&error.to_string());
            if let CursorError::ForeignOrigin { expected, found } = error {
                assert_ne!(expected, found);
            }
        }
    }
}

fn check_cursor(text: &str, cursor: &Cursor, base: &Url) {
    let url = Url::parse(text).expect("what is followed is a URL");
    assert_eq!((url.scheme(), url.host()), (base.scheme(), base.host()), "{text:?} is elsewhere");
    assert_eq!(url.port_or_known_default(), base.port_or_known_default(), "{text:?} is elsewhere");

    let held = cursor.as_str();
    assert!(held.starts_with('/') && held.len() <= LONGEST, "{held:.200} is no path");
    assert!(held.bytes().all(|b| b.is_ascii_graphic()), "{held:?} cannot be sent");
    assert_eq!(*cursor, Cursor::from_stored(held.to_owned()), "what was stored is what was taken");

    let asked = asked(cursor, base);
    assert_eq!(asked.origin(), base.origin(), "{held} leads elsewhere");
    assert!(asked.username().is_empty() && asked.password().is_none() && asked.fragment().is_none());
    let key = asked.query_pairs().find(|(name, _)| looks_like_key(name));
    assert_eq!(key, None, "{held} has a key");

    // If a faulty server returns it as the next page again, it is the same cursor: the repetition is noticed.
    let again = Cursor::from_next_url(asked.as_str(), &base.origin());
    assert_eq!(again.as_ref(), Ok(cursor), "{held} changes on the way");
    check_kept(&url, &asked);
}

/// The URL that the client requests.
fn asked(cursor: &Cursor, base: &Url) -> Url {
    let mut url = base.clone();
    if let Some((path, query)) = cursor.as_str().split_once('?') {
        url.set_path(path);
        url.set_query(Some(query));
    } else {
        url.set_path(cursor.as_str());
        url.set_query(None);
    }
    url
}

/// Checks that only the key is removed.
fn check_kept(sent: &Url, asked: &Url) {
    assert_eq!(sent.path(), asked.path());
    let pairs = |url: &Url| -> Vec<(String, String)> {
        let query = url.query().unwrap_or_default().as_bytes();
        let pairs = form_urlencoded::parse(query).into_owned();
        pairs.filter(|(name, _)| !looks_like_key(name)).collect()
    };
    assert_eq!(pairs(sent), pairs(asked));
}

/// `apiKey` in any spelling that a lenient server accepts.
fn looks_like_key(name: &str) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    letters.eq_ignore_ascii_case("apikey")
}
