//! The API key, in a type that cannot be printed.

use secrecy::{ExposeSecret, SecretString};

/// The vendor's API key. `Debug` shows nothing of it and there is no `Display`; memory is wiped on drop.
#[derive(Clone, Debug)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Takes a key as found in the environment or in a key file; white space around it is cut off.
    ///
    /// Nothing if it is empty or has characters that no HTTP header can carry.
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
    fn what_cannot_be_a_key_is_refused() {
        for text in ["", "  ", "two words", "line\nbreak", "schlüssel"] {
            assert!(ApiKey::new(text).is_none(), "{text:?}");
        }
    }
}
