//! What the fuzz targets check, for their seeds and for everything that they ever found. `fuzz/README.md` has the targets.

#[expect(clippy::expect_used, clippy::panic, reason = "a check that fails says so")]
#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::{fs, path::Path};

use checks::{next_url, page, spec, tickers, windows};

/// Runs a check on each file of a target's folders, and prints which files were run.
fn replay(target: &str, check: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut replayed = 0;
    for folder in ["seeds", "findings"] {
        let Ok(entries) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&fs::read(&path).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed >= 20, "{replayed} files: is the corpus gone?");
}

#[test]
fn pages() {
    replay("page", page::check);
}

#[test]
fn next_urls() {
    replay("next_url", next_url::check);
}

#[test]
fn tickers_files() {
    replay("tickers", tickers::check);
}

#[test]
fn windows_of_every_kind() {
    replay("windows", windows::check);
}

#[test]
fn specs() {
    replay("spec", spec::check);
}
