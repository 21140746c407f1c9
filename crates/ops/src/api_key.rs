//! Reads the API key as people store it, sometimes with more text around it.
//!
//! Text that certainly is not part of the key is ignored (a byte order mark, quotes around it, the name of one of
//! grab's own variables before it); anything else is refused with the reason, and never with the text.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Once,
};

use grab_model::ApiKey;

/// The variables that hold a key, the preferred one first.
pub const KEY_VARIABLES: [&str; 2] = ["MASSIVE_API_KEY", "POLYGON_API_KEY"];

/// Bytes of the largest key file that is read. A key has 32.
const LARGEST: u64 = 64 << 10;

/// What some programs write before UTF-8 text.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The byte order marks of UTF-16.
const UTF_16: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];

/// Opening quotes with their closing ones.
const QUOTES: [(char, char); 5] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}')];

/// Folders in which container engines put secrets, readable by everything in the container.
const SECRETS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// A key, and what was ignored around it.
#[derive(Debug)]
struct KeyText {
    key: ApiKey,
    left_out: Option<&'static str>,
}

/// Reads the key of a file.
///
/// # Errors
/// With what is wrong with the file or its content.
pub fn read_key_file(path: &str) -> Result<ApiKey, String> {
    let file = File::open(path).map_err(|error| unopened(path, &error))?;
    let metadata = file.metadata().map_err(|error| format!("{path} cannot be read: {error}"))?;
    if metadata.is_dir() {
        return Err(format!("{path} is a folder, not a file with a key"));
    }
    let mut bytes = Vec::new();
    let read = (&file).take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("{path} cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{path} is larger than {} KiB: is it the right file?", LARGEST >> 10));
    }
    warn_of_readers(path, &metadata);
    of_text(&bytes).map(|text| text.reported(path)).map_err(|why| format!("{path} {why}"))
}

/// Reads the key of a variable.
///
/// # Errors
/// With what is wrong with its value.
pub fn read_key_variable(name: &str, value: &str) -> Result<ApiKey, String> {
    of_text(value.as_bytes()).map(|text| text.reported(name)).map_err(|why| format!("{name} {why}"))
}

impl KeyText {
    /// Logs once what was ignored.
    fn reported(self, place: &str) -> ApiKey {
        static LOGGED: Once = Once::new();
        if let Some(what) = self.left_out {
            LOGGED.call_once(|| tracing::warn!("{place}: {what} left out; the key alone belongs there"));
        }
        self.key
    }
}

fn unopened(path: &str, error: &io::Error) -> String {
    let advice = if error.kind() == io::ErrorKind::PermissionDenied {
        ": it belongs to another user, or is in a folder of one"
    } else if path.starts_with('~') {
        ": ~ is not replaced here, write the path in full"
    } else if path.contains('$') {
        ": a variable in it was not replaced by its value"
    } else {
        ""
    };
    format!("{path} cannot be read: {error}{advice}")
}

/// Logs once that other users of the machine can read the key.
fn warn_of_readers(path: &str, metadata: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    static LOGGED: Once = Once::new();
    let mode = metadata.permissions().mode() & 0o777;
    let is_secret = SECRETS.iter().any(|folder| Path::new(path).starts_with(folder));
    if metadata.is_file() && mode & 0o004 != 0 && !is_secret {
        LOGGED.call_once(|| {
            tracing::warn!(
                "{path} can be read by every user of this machine (mode {mode:04o}): chmod 600 {path}"
            );
        });
    }
}

/// Finds the key in a text.
///
/// # Errors
/// With what is wrong, as the rest of a sentence about the place. The text is never repeated.
fn of_text(bytes: &[u8]) -> Result<KeyText, String> {
    if UTF_16.iter().any(|mark| bytes.starts_with(mark)) || bytes.contains(&0) {
        return Err("is in UTF-16, as Windows PowerShell and Notepad can write it: save it as UTF-8, with the key alone \
                    in it"
            .to_owned());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "is no text in UTF-8: write the key alone into it".to_owned())?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim();
    if text.is_empty() {
        return Err("is empty: write the key into it".to_owned());
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > 1 {
        let advice = if KEY_VARIABLES.iter().any(|name| text.contains(name)) {
            ": give the key a file of its own, or set the variable"
        } else {
            ""
        };
        return Err(format!("holds {lines} lines, and not the key alone{advice}"));
    }
    let (value, has_name) = without_name(text)?;
    let (value, has_quotes) = without_quotes(value)?;
    check(value)?;
    let left_out = match (has_name, has_quotes) {
        (true, true) => Some("the name before the key and the quotes around it are"),
        (true, false) => Some("the name before the key is"),
        (false, true) => Some("the quotes around the key are"),
        (false, false) => None,
    };
    let key = ApiKey::new(value).ok_or_else(|| "does not hold a key".to_owned())?;
    Ok(KeyText { key, left_out })
}

/// Removes `NAME=` before a key, as in shells and `.env` files. Only grab's own names are safe: the value of another
/// name may be the secret of another service.
fn without_name(text: &str) -> Result<(&str, bool), String> {
    let assigned =
        ["export ", "set ", "$env:"].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let Some((name, value)) = assigned.split_once('=') else { return Ok((text, false)) };
    let name = name.trim();
    if KEY_VARIABLES.contains(&name) {
        return Ok((value.trim(), true));
    }
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name && name.to_ascii_lowercase().contains("key") {
        return Err("looks like NAME=value: write the value alone, without the name".to_owned());
    }
    Ok((text, false))
}

fn without_quotes(text: &str) -> Result<(&str, bool), String> {
    for (open, close) in QUOTES {
        let begun = text.strip_prefix(open);
        match begun.and_then(|text| text.strip_suffix(close)) {
            Some(inner) => return Ok((inner.trim(), true)),
            None if begun.is_some() || text.ends_with(close) => {
                return Err("has a quote at one end only: write the key without quotes".to_owned());
            }
            None => {}
        }
    }
    Ok((text, false))
}

/// Returns what is wrong with a text that cannot be a key.
fn check(text: &str) -> Result<(), String> {
    let lower = text.to_ascii_lowercase();
    if text.is_empty() {
        return Err("holds no key between its quotes or after its name".to_owned());
    }
    if lower.starts_with("bearer ") || lower.starts_with("authorization:") {
        return Err("looks like a header of HTTP: write the key alone, without `Bearer`".to_owned());
    }
    if text.starts_with('{') {
        return Err("looks like JSON: write the key alone".to_owned());
    }
    if text.starts_with("${") || text.starts_with("$(") || (text.starts_with('<') && text.ends_with('>')) {
        return Err("holds a placeholder that was not replaced by the key".to_owned());
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        None => Ok(()),
        Some(c) if c.is_whitespace() => Err("holds more than one word: write the key alone".to_owned()),
        Some(c) => {
            Err(format!("has a character that no key has (U+{:04X}): copy the key again", u32::from(c)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_key_is_left_out_where_there_is_no_doubt() {
        for (text, left_out) in [
            ("hush-hush", false),
            ("hush-hush\n", false),
            (" hush-hush \r\n\r\n", false),
            ("\u{feff}hush-hush\r\n", false),
            ("\n\nhush-hush", false),
            ("\"hush-hush\"", true),
            ("'hush-hush'\n", true),
            ("\u{201c}hush-hush\u{201d}", true),
            ("MASSIVE_API_KEY=hush-hush", true),
            ("POLYGON_API_KEY = \"hush-hush\"\n", true),
            ("export MASSIVE_API_KEY='hush-hush'\n", true),
            ("set POLYGON_API_KEY=hush-hush", true),
            ("$env:POLYGON_API_KEY = \"hush-hush\"", true),
        ] {
            let found = of_text(text.as_bytes()).unwrap();
            assert_eq!(
                (found.key.bearer().as_str(), found.left_out.is_some()),
                ("Bearer hush-hush", left_out),
                "{text}"
            );
        }
        assert_eq!(
            of_text(b"aGk=").unwrap().key.bearer(),
            "Bearer aGk=",
            "another service's key may have a sign"
        );
    }

    #[test]
    fn what_is_no_key_is_said_without_its_text() {
        let utf_16: Vec<u8> = "\u{feff}hush-hush".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bare: Vec<u8> = "hush-hush".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, why) in [
            (utf_16.as_slice(), "is in UTF-16"),
            (bare.as_slice(), "is in UTF-16"),
            (b"hush\xffhush".as_slice(), "is no text in UTF-8"),
            (b"".as_slice(), "is empty"),
            (b" \r\n\t".as_slice(), "is empty"),
            ("\u{feff}\n".as_bytes(), "is empty"),
            (b"hush-hush\nhush-hush\n".as_slice(), "holds 2 lines"),
            (
                b"# mine\nMASSIVE_API_KEY=hush-hush\n".as_slice(),
                "holds 2 lines, and not the key alone: give the key",
            ),
            (b"OTHER_API_KEY=hush-hush".as_slice(), "looks like NAME=value"),
            (b"apiKey=hush-hush".as_slice(), "looks like NAME=value"),
            (b"export API_KEY=hush-hush".as_slice(), "looks like NAME=value"),
            (b"\"hush-hush".as_slice(), "has a quote at one end only"),
            (b"hush-hush'".as_slice(), "has a quote at one end only"),
            (b"MASSIVE_API_KEY=".as_slice(), "holds no key"),
            (b"\"\"".as_slice(), "holds no key"),
            (b"Bearer hush-hush".as_slice(), "looks like a header"),
            (b"Authorization: Bearer hush-hush".as_slice(), "looks like a header"),
            (b"{\"key\": \"hush-hush\"}".as_slice(), "looks like JSON"),
            (b"${HUSH}".as_slice(), "holds a placeholder"),
            (b"<hush>".as_slice(), "holds a placeholder"),
            (b"hush hush".as_slice(), "holds more than one word"),
            ("hush\u{200b}hush".as_bytes(), "has a character that no key has (U+200B)"),
        ] {
            let error = of_text(bytes).unwrap_err();
            assert!(error.starts_with(why), "{why}: {error}");
            assert!(!error.to_lowercase().contains("hush"), "{error}");
        }
    }
}
