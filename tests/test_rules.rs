//! Rules for every test: none passes by skipping, and none is empty in another kind of build.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::layers::sources;

/// The names by which `.ci/run` runs tests that are ignored because they need something.
const RUN_BY_NAME: [&str; 3] = ["the_shell_", "lent::", "ten_million_"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace with its path from the root.
fn all_sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "crates"] {
        sources(&root().join(folder), &mut files);
    }
    let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
    let name = |file: &PathBuf| file.strip_prefix(root()).unwrap().display().to_string();
    // This file quotes what it forbids.
    files
        .iter()
        .map(|file| (name(file), text(file)))
        .filter(|(name, _)| name != "tests/test_rules.rs")
        .collect()
}

#[test]
fn a_test_that_needs_more_than_rust_is_ignored_and_run_by_its_name() {
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(RUN_BY_NAME.iter().all(|name| ci.contains(&format!("-- --ignored {name}\n"))));
    let (mut found, mut forgotten) = (0, Vec::new());
    for (name, text) in all_sources() {
        for rest in text.split(concat!("#[ignore = \"", "needs ")).skip(1) {
            let function = rest.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            // A test's full name begins with the name of its module, which is that of its file.
            let path = format!("{}::{function}", name.trim_end_matches(".rs"));
            found += 1;
            if !RUN_BY_NAME.iter().any(|name| path.contains(name)) {
                forgotten.push(path);
            }
        }
    }
    assert!(found >= 6 && forgotten.is_empty(), "no step of .ci/run runs {forgotten:?}");
}

/// A function with its attributes and its body, as rustfmt formats them.
struct Function<'a> {
    name: &'a str,
    attributes: Vec<&'a str>,
    body: Vec<&'a str>,
}

impl Function<'_> {
    fn is_test(&self) -> bool {
        self.attributes.iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    }

    /// Whether it exists only in builds with debug assertions.
    fn is_debug_only(&self) -> bool {
        self.attributes.iter().any(|line| line.starts_with("#[cfg(") && line.contains("debug_assertions"))
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The functions of a source text, including those in modules.
fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<_> = text.lines().collect();
    let is_head = |line: &str| {
        let words = line.trim_start().trim_start_matches("pub(super) ").trim_start_matches("pub ");
        ["fn ", "async fn ", "const fn "].iter().any(|begin| words.starts_with(begin))
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_head(line)) {
        let above = lines[..at].iter().rev().map(|line| line.trim());
        let attributes = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let end = format!("{}}}", " ".repeat(indent(line)));
        let body = lines[at + 1..].iter().take_while(|line| **line != end);
        found.push(Function {
            name: line.split("fn ").nth(1).unwrap().split(['(', '<']).next().unwrap(),
            attributes: attributes.collect(),
            body: body.copied().filter(|line| !line.trim_start().starts_with("//")).collect(),
        });
    }
    found
}

/// Whether a line returns without a value: the rest of a test is skipped, and it passes.
fn leaves(line: &str) -> bool {
    line.split("return").skip(1).any(|rest| {
        let rest = rest.trim_start();
        rest.is_empty() || [";", "}", ",", "Ok(())"].iter().any(|end| rest.starts_with(end))
    })
}

/// Whether a line checks for something that may be absent, and acts on it.
fn looks_for_absence(line: &str) -> bool {
    let asks = ["exists()", "is_dir()", "is_file()", "try_exists(", "var(", "var_os(", "is_root()"];
    line.trim_start().starts_with("if ") && asks.iter().any(|question| line.contains(question))
}

/// How the tests of a source text could pass without testing anything. In a text with tests alone, other functions are
/// helpers of tests.
fn silent_passes(text: &str, has_tests_alone: bool) -> Vec<String> {
    let mut found = Vec::new();
    for function in functions(text) {
        let mut say = |what: &str| found.push(format!("{} {what}", function.name));
        let is_test = function.is_test();
        if is_test && function.body.iter().any(|line| leaves(line)) {
            say("may return before its end");
        }
        if is_test && function.body.iter().any(|line| line.contains("cfg!(debug_assertions)")) {
            say("asserts less in another kind of build");
        }
        if (is_test || has_tests_alone) && function.body.iter().any(|line| line.trim().starts_with("#[cfg("))
        {
            say("is another test in another kind of build");
        }
        let speaks = |line: &&str| line.contains("print") && line.to_lowercase().contains("skip");
        if (is_test || has_tests_alone) && function.body.iter().any(speaks) {
            say("says that it skips");
        }
        for (at, line) in function.body.iter().enumerate() {
            let mut block = function.body[at + 1..].iter().take_while(|inner| indent(inner) > indent(line));
            if has_tests_alone && looks_for_absence(line) && block.any(|line| line.contains("return")) {
                say("gives up where something is absent");
            }
        }
    }
    found
}

/// `tests/…`, and files of a crate that are named after their tests.
fn has_tests_alone(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || name.ends_with("tests.rs")
        || name.ends_with("_test.rs")
}

#[test]
fn no_test_passes_by_skipping() {
    let (mut found, mut tests) = (Vec::new(), 0);
    for (name, text) in all_sources() {
        tests += functions(&text).iter().filter(|function| function.is_test()).count();
        found.extend(
            silent_passes(&text, has_tests_alone(&name)).iter().map(|what| format!("{name}: {what}")),
        );
    }
    assert!(tests > 800, "the scan sees {tests} tests");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_scan_sees_every_way_to_skip() {
    let old_calendar = r#"
fn recorded(file: &str) -> Option<String> {
    let folder = Path::new("../shared/data");
    if !folder.is_dir() {
        println!("skipped: no recorded calendar in {}", folder.display());
        return None;
    }
    fs::read_to_string(folder.join(file)).ok()
}

#[test]
fn half_days() {
    let Some(rows) = recorded("early_closes.csv") else { return };
    assert_eq!(rows, "");
}

#[tokio::test]
async fn in_debug_builds() {
    if cfg!(debug_assertions) {
        assert!(died());
    }
}

#[test]
fn only_there() {
    #[cfg(debug_assertions)]
    assert!(died());
}

mod inner {
    #[test]
    fn early() -> Result<(), Error> {
        if !has_fish() {
            return Ok(());
        }
        Ok(())
    }
}
"#;
    let found = [
        "recorded says that it skips",
        "recorded gives up where something is absent",
        "half_days may return before its end",
        "in_debug_builds asserts less in another kind of build",
        "only_there is another test in another kind of build",
        "early may return before its end",
    ];
    assert_eq!(silent_passes(old_calendar, true), found);
    assert_eq!(
        silent_passes(
            "#[test]\nfn sound() {\n    assert!(list().map(|row| return row).is_empty());\n}\n",
            true
        ),
        [""; 0]
    );
}

/// The files whose modules exist only in builds with debug assertions, by the attribute above `mod` in the parent's file.
fn debug_only_files(all: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in all {
        let folder = name.trim_end_matches("main.rs").trim_end_matches(".rs").trim_end_matches('/');
        let lines: Vec<_> = text.lines().collect();
        for pair in lines
            .windows(2)
            .filter(|pair| pair[0].starts_with("#[cfg(") && pair[0].contains("debug_assertions"))
        {
            if let Some(module) = pair[1].strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                found.push(format!("{folder}/{module}"));
            }
        }
    }
    found
}

/// A release build has no failpoints: a test that waits for one there would fail, or would assert nothing.
#[test]
fn what_dies_at_a_failpoint_is_not_there_in_release_builds() {
    let all = all_sources();
    let debug_only = debug_only_files(&all);
    let names_one = |line: &str| {
        ["GRAB_FAILPOINT", "CrashPoint", "Held::at", "dies_at("].iter().any(|word| line.contains(word))
    };
    let (mut guarded, mut found) = (0, Vec::new());
    for (name, text) in
        all.iter().filter(|(name, _)| name.starts_with("tests/") && !name.starts_with("tests/support/"))
    {
        let is_inside = |module: &String| {
            name.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with(['.', '/']))
        };
        if debug_only.iter().any(is_inside) {
            guarded += functions(text).iter().filter(|function| function.is_test()).count();
            continue;
        }
        for function in
            functions(text).iter().filter(|function| function.body.iter().any(|line| names_one(line)))
        {
            guarded += 1;
            if !function.is_debug_only() {
                found.push(format!("{name}: {}", function.name));
            }
        }
    }
    assert!(guarded > 30, "the scan sees {guarded}");
    assert!(found.is_empty(), "these need #[cfg(debug_assertions)]: {found:#?}");
}
