//! The API key, in a type that cannot be printed.

use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

/// The vendor's keys have 32 characters. A shorter text than this is not treated as a secret.
const SHORTEST_SECRET: usize = 8;

/// The vendor's API key. `Debug` does not show it, and there is no `Display`; memory is wiped on drop.
#[derive(Clone, Debug)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Takes a key as found in the environment or in a key file, without the white space around it.
    ///
    /// None if it is empty or has characters that no HTTP header can carry.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let sendable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        sendable.then(|| Self(text.into()))
    }

    /// The value of the `Authorization` header. The only place where the key is read.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0.expose_secret())
    }

    /// Overwrites the key in a response, in case a server repeats it, so that no text made from the response contains
    /// it.
    ///
    /// A key of a few characters, as in trials, is left: it would overwrite words that only look like it.
    pub fn scrub(&self, answer: &mut [u8]) {
        let key = self.0.expose_secret().as_bytes();
        if key.len() < SHORTEST_SECRET {
            return;
        }
        let places: Vec<usize> = memmem::find_iter(answer, key).collect();
        for at in places {
            answer[at..at + key.len()].fill(b'*');
        }
    }

    /// Overwrites the key in a text that was decoded from escapes: only the decoded text shows it.
    pub fn scrub_text(&self, text: &mut String) {
        let key = self.0.expose_secret();
        if key.len() >= SHORTEST_SECRET && text.contains(key) {
            *text = text.replace(key, "***");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_printed() {
        let key = ApiKey::new(" hush-hush\n").unwrap();
        assert!(!format!("{key:?}").contains("hush"));
        assert_eq!(key.bearer(), "Bearer hush-hush");
    }

    #[test]
    fn it_is_blotted_out_of_answers() {
        let mut answer = b"{\"error\":\"hush-hush is no hush-hush\"}".to_vec();
        ApiKey::new("hush-hush").unwrap().scrub(&mut answer);
        assert_eq!(answer, b"{\"error\":\"********* is no *********\"}");
        let before = answer.clone();
        ApiKey::new("error").unwrap().scrub(&mut answer);
        assert_eq!(answer, before);
    }

    #[test]
    fn a_key_copied_as_a_form_shows_it_is_blotted_out_once() {
        let mut answer = b"{\"error\":\"unknown key **********\"}".to_vec();
        let before = answer.clone();
        ApiKey::new("********").unwrap().scrub(&mut answer);
        assert_eq!(answer, before);
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for text in ["", "  ", "two words", "line\nbreak", "schlüssel"] {
            assert!(ApiKey::new(text).is_none(), "{text:?}");
        }
    }
}
