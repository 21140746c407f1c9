//! Who may import whom. The table is the one of `docs/ARCHITECTURE.md`.

use std::{fs, path::Path};

/// Each module of the library with the others that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("adjust", &["model"]),
    ("clock", &[]),
    ("cpu", &[]),
    ("disk", &[]),
    ("exit", &[]),
    ("failpoint", &[]),
    ("calendar", &["model"]),
    ("universe", &["model"]),
    ("plan", &["model", "calendar", "universe"]),
    ("manifest", &["model", "clock", "disk", "failpoint"]),
    ("decode", &["model"]),
    ("source", &["model", "clock", "cpu", "decode"]),
    ("pace", &["model"]),
    ("store", &["model", "disk", "failpoint", "universe"]),
    ("engine", &["model", "calendar", "clock", "cpu", "disk", "manifest", "pace", "source", "store"]),
    ("verify", &["model", "calendar", "manifest", "store", "universe"]),
    ("update", &["model", "calendar", "manifest", "universe", "verify"]),
    ("export", &["model", "adjust", "manifest", "store", "universe"]),
    ("sandbox", &["model", "calendar"]),
    (
        "cli",
        &[
            "model", "clock", "exit", "calendar", "plan", "manifest", "decode", "source", "pace", "store",
            "engine", "verify", "sandbox", "adjust", "export", "universe", "update", "disk",
        ],
    ),
];

/// The modules that a source text names with `crate::`, also in grouped imports.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level(group)),
            None => found.push(leading_name(rest)),
        }
    }
    found
}

/// The first names of a group: `{a::{b, c}, d}` has a and d.
fn top_level(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (1, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if fresh && c.is_alphabetic() => {
                names.push(leading_name(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_module_imports_what_the_layer_table_forbids() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut forbidden = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let (_, allowed) =
            LAYERS.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("{module} has no row"));
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            if import != module && !allowed.contains(&import.as_str()) {
                forbidden.push(format!("{}: {import}", inside.display()));
            }
        }
    }
    assert!(forbidden.is_empty(), "forbidden imports: {forbidden:#?}");
}

#[test]
fn the_scan_sees_every_form_of_an_import() {
    let text = "use crate::{\n    clock::Clock,\n    model::{Bars, Month},\n    store,\n};\nfn f() { crate::pace::backoff(1, 0.0) }\n// crate::cli\n";
    assert_eq!(imports(text), ["clock", "model", "store", "pace"]);
}

/// What `.ci/run` names to run tests that are ignored because they need something.
const RUN_BY_NAME: [&str; 2] = ["the_shell_", "recorded"];

#[test]
fn a_test_that_needs_more_than_rust_is_ignored_and_run_by_its_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ci = fs::read_to_string(root.join(".ci/run")).unwrap();
    assert!(RUN_BY_NAME.iter().all(|name| ci.contains(&format!("-- --ignored {name}\n"))));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let (mut found, mut forgotten) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().display().to_string();
        for rest in text.split(concat!("#[ignore = \"", "needs ")).skip(1) {
            let function = rest.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            // Its full name begins with that of its module, which is that of its file.
            let path = format!("{name}::{function}");
            found += 1;
            if !RUN_BY_NAME.iter().any(|name| path.contains(name)) {
                forgotten.push(path);
            }
        }
    }
    assert!(found >= 3 && forgotten.is_empty(), "no step of .ci/run runs {forgotten:?}");
}
