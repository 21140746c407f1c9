//! Quotes words for a shell.

use std::{ffi::OsStr, fmt::Write};

/// A word as a POSIX shell reads it. One with bytes that a terminal should not get is written with `$'…'`, which bash,
/// zsh and ksh know.
#[must_use]
pub fn quoted(word: &OsStr) -> String {
    let bytes = word.as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        Some(_) | None => {
            let mut text = String::from("$'");
            for byte in bytes {
                match byte {
                    b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => text.push(char::from(*byte)),
                    // Writing into a text cannot fail.
                    _ => drop(write!(text, "\\x{byte:02x}")),
                }
            }
            text.push('\'');
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for (word, written) in [
            ("data", "data"),
            ("/srv/my bars", "'/srv/my bars'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("a$(b)`c`", "'a$(b)`c`'"),
            ("Größe", "'Größe'"),
            ("a\u{1b}[2J", r"$'a\x1b[2J'"),
        ] {
            assert_eq!(quoted(OsStr::new(word)), written, "{word:?}");
        }
        assert_eq!(quoted(OsStr::from_bytes(b"a'\xff")), r"$'a\'\xff'");
    }
}
