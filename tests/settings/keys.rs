//! Sources of the key, and what may be around it.

use std::{fs, path::PathBuf};

use jiff::civil::date;

use crate::support::{Grab, Ran, Reply, Server, minutes, page};

/// A server that accepts one key only.
fn server() -> Server {
    Server::start(|request| {
        if request.header("authorization") == Some("Bearer hush-hush-key") {
            return Reply::json(200, page(request.symbol(), &minutes(date(2024, 1, 3), 5), None));
        }
        Reply::json(401, "{\"status\":\"ERROR\",\"error\":\"Unknown API Key\"}")
    })
}

fn start(server: &Server, variable: &str, value: &str, file: Option<&[u8]>) -> (Ran, PathBuf) {
    let grab = Grab::new()
        .env("MASSIVE_API_BASE_URL", server.base_url())
        .env("GRAB_RATE", "none")
        .env(variable, value);
    let path = grab.dir().join("key.txt");
    if let Some(bytes) = file {
        fs::write(&path, bytes).unwrap();
    }
    (grab.run("start --json --windows 2024-01 --tickers A"), path)
}

/// Keys as editors, shells and copying leave them, and whether a note is printed.
const KEYS: [(&str, bool); 8] = [
    ("hush-hush-key", false),
    ("\u{feff}hush-hush-key", false),
    ("\u{feff}hush-hush-key\r\n", false),
    ("  hush-hush-key \n\n", false),
    ("\"hush-hush-key\"\n", true),
    ("'hush-hush-key'", true),
    ("MASSIVE_API_KEY=hush-hush-key\n", true),
    ("export POLYGON_API_KEY=\"hush-hush-key\"\n", true),
];

/// Texts without a key, and the message.
const NO_KEYS: [(&[u8], &str); 8] = [
    (b"", "is empty"),
    (b"\xef\xbb\xbf\r\n", "is empty"),
    (b"\xff\xfeh\0u\0s\0h\0", "is in UTF-16"),
    (b"hush-hush-key\nhush-hush-key\n", "holds 2 lines, and not the key alone"),
    (b"# mine\nMASSIVE_API_KEY=hush-hush-key\n", "give the key a file of its own"),
    (b"SOME_API_KEY=hush-hush-key\n", "looks like NAME=value"),
    (b"Bearer hush-hush-key", "looks like a header of HTTP"),
    (b"\"hush-hush-key\n", "has a quote at one end only"),
];

#[test]
fn what_is_around_the_key_is_left_out_in_a_file_and_in_a_variable() {
    let server = server();
    for (text, is_said) in KEYS {
        for variable in ["GRAB_API_KEY_FILE", "MASSIVE_API_KEY", "POLYGON_API_KEY"] {
            let is_file = variable == "GRAB_API_KEY_FILE";
            let (value, file) = if is_file { ("key.txt", Some(text.as_bytes())) } else { (text, None) };
            let (ran, _) = start(&server, variable, value, file);
            let ran = ran.exits(0);
            assert_eq!(
                ran.stderr.contains("left out; the key alone belongs there"),
                is_said,
                "{text:?}: {ran:?}"
            );
            assert!(!format!("{ran:?}").contains("hush"), "{ran:?}");
        }
    }
}

#[test]
fn what_holds_no_key_is_named_with_what_is_wrong_and_nothing_is_asked() {
    let server = server();
    for (bytes, why) in NO_KEYS {
        let (ran, _) = start(&server, "GRAB_API_KEY_FILE", "key.txt", Some(bytes));
        let error = ran.exits(20).json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("key.txt ") && error.contains(why), "{why}: {error}");
        assert!(!error.contains("hush"), "{error}");
        let Ok(value) = std::str::from_utf8(bytes) else { continue };
        if value.trim_start_matches('\u{feff}').trim().is_empty() {
            continue;
        }
        let (ran, _) = start(&server, "MASSIVE_API_KEY", value, None);
        let error = ran.exits(20).json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("MASSIVE_API_KEY ") && error.contains(why), "{why}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    for (path, why) in [
        ("nowhere.txt", "nowhere.txt cannot be read: "),
        ("~/key.txt", "~ is not replaced here, write the path in full"),
        (".", ". is a folder, not a file with a key"),
        ("/dev/zero", "/dev/zero is larger than 64 KiB: is it the right file?"),
    ] {
        let (ran, _) = start(&server, "GRAB_API_KEY_FILE", path, None);
        let error = ran.exits(20).json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_key_that_every_user_can_read_is_used_and_said_once() {
    use std::os::unix::fs::PermissionsExt;
    let server = server();
    for (mode, is_said) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        let grab = Grab::new()
            .env("MASSIVE_API_BASE_URL", server.base_url())
            .env("GRAB_RATE", "none")
            .env("GRAB_API_KEY_FILE", "key.txt");
        let path = grab.dir().join("key.txt");
        fs::write(&path, "hush-hush-key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ran = grab.run("start --windows 2024-01 --tickers A").exits(0);
        let warning =
            format!("key.txt can be read by every user of this machine (mode {mode:04o}): chmod 600 key.txt");
        assert_eq!(ran.stderr.matches(&warning).count(), usize::from(is_said), "{ran:?}");
    }
}
