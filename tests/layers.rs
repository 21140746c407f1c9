//! Which part may import which. The tables in `docs/ARCHITECTURE.md` are generated from the ones that are enforced here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// One part of a crate: its module (or `words`, for the root of `grab-model`), its purpose, and the other parts of this
/// workspace that it may name.
type Layer = (&'static str, &'static str, &'static [&'static str]);

/// The parts of each crate, from the ground up.
const CRATES: &[(&str, &str, &[Layer])] = &[
    (
        "grab-model",
        "crates/model/src",
        &[
            ("words", "symbols, windows, months, bars as columns, page cursors, rates, the API key", &[]),
            ("adjust", "how splits adjust bars as traded, to the last bit", &[]),
            ("calendar", "the exchange's sessions, half days and closures, by rule", &[]),
            (
                "universe",
                "which security was listed when and under which ticker: lists merged, filters, a company's symbols",
                &[],
            ),
            ("plan", "turns a request into tasks, and estimates their cost", &["calendar", "universe"]),
        ],
    ),
    (
        "grab-core",
        "crates/core/src",
        &[
            ("clock", "the current time", &[]),
            ("cpu", "a thread for each core", &[]),
            ("data_dir", "the paths of a data directory", &[]),
            ("disk", "fsync, and the reasons of disk errors", &[]),
            ("exit", "the exit codes", &[]),
            ("failpoint", "the steps at which tests make it crash", &[]),
            (
                "manifest",
                "SQLite: tasks, pages, partitions, events, runs; the state machine; the lock; the plan beside it",
                &["data_dir", "clock", "disk", "exit", "failpoint"],
            ),
            (
                "pace",
                "the pacer, which all processes of a user with one key share; how often and when a request is retried",
                &["clock"],
            ),
            ("decode", "decodes bytes into bars; sans I/O", &[]),
            (
                "source",
                "the interface to a service, its REST client, errors and how each is handled",
                &["clock", "cpu", "decode"],
            ),
            (
                "store",
                "paths, atomic files, Parquet, the merge; tickers, splits, renames",
                &["data_dir", "disk", "failpoint", "universe"],
            ),
            (
                "engine",
                "queue, one request loop, outages, stopping: connects source, store and manifest; market days; explanations of absences",
                &["data_dir", "calendar", "clock", "cpu", "disk", "manifest", "pace", "source", "store"],
            ),
            (
                "verify",
                "manifest against disk, calendar and a witness, files read whole: findings, and reports of them as bytes",
                &["cpu", "data_dir", "calendar", "manifest", "store", "universe"],
            ),
            (
                "update",
                "the requests of an update, as a plan",
                &["data_dir", "calendar", "manifest", "universe", "verify"],
            ),
            (
                "export",
                "files derived from the store: windows, splits, renames, Parquet or CSV",
                &["data_dir", "adjust", "manifest", "store", "universe"],
            ),
        ],
    ),
    (
        "grab-sandbox",
        "crates/sandbox/src",
        &[("sandbox", "a Polygon-compatible server on loopback", &["calendar"])],
    ),
    (
        "grab-ops",
        "crates/ops/src",
        &[(
            "ops",
            "the jobs on a data directory: options, plan and report, and the run that they share; it prints nothing",
            &[
                "adjust", "calendar", "universe", "plan", "clock", "cpu", "data_dir", "disk", "exit",
                "manifest", "pace", "decode", "source", "store", "engine", "verify", "update", "export",
                "sandbox",
            ],
        )],
    ),
    (
        "grab",
        "src",
        &[(
            "cli",
            "turns the command line into settings; one file per command; reports; the exit code",
            &[
                "data_dir", "adjust", "calendar", "universe", "plan", "clock", "cpu", "disk", "exit",
                "manifest", "pace", "decode", "source", "store", "engine", "verify", "update", "export",
                "sandbox", "ops",
            ],
        )],
    ),
];

/// All parts that the tables name.
fn parts() -> impl Iterator<Item = &'static Layer> {
    CRATES.iter().flat_map(|(_, _, layers)| *layers)
}

/// The names that a source text imports from other crates of this workspace, and from its own crate if that has several
/// parts, also in grouped imports: `crate::{a, b::c}` gives a and b, and a name of `grab_sandbox` is `sandbox`.
fn imports(text: &str, is_of_parts: bool) -> Vec<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let own: &[&str] = if is_of_parts { &["crate::"] } else { &[] };
    for root in ["grab_model::", "grab_core::"].iter().chain(own) {
        for rest in code.split(*root).skip(1) {
            match rest.strip_prefix('{') {
                Some(group) => found.extend(top_level(group)),
                None => found.push(leading_name(rest)),
            }
        }
    }
    found.extend(code.contains("grab_sandbox::").then(|| "sandbox".to_owned()));
    found.extend(code.contains("grab_ops::").then(|| "ops".to_owned()));
    found
}

/// The first names of a group: `{a::{b, c}, d}` gives a and d.
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

/// The Rust files below a folder.
pub fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The part of a crate to which a file belongs.
fn part_of(inside: &Path, layers: &'static [Layer]) -> &'static Layer {
    let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
    let own = layers.iter().find(|(name, ..)| *name == module);
    // A file without a part of its own is in the first one; a crate of several parts has no other files than these and
    // its root.
    own.unwrap_or_else(|| &layers[0])
}

#[test]
fn no_module_imports_what_the_layer_table_forbids() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut forbidden = Vec::new();
    for (_, folder, layers) in CRATES {
        let mut files = Vec::new();
        sources(&root.join(folder), &mut files);
        for file in files {
            let inside = file.strip_prefix(root.join(folder)).unwrap();
            if inside == Path::new("lib.rs") {
                continue;
            }
            let (own, _, allowed) = part_of(inside, layers);
            for import in imports(&fs::read_to_string(&file).unwrap(), layers.len() > 1) {
                let is_part = parts().any(|(name, ..)| *name == import);
                if is_part && import != *own && !allowed.contains(&import.as_str()) {
                    forbidden.push(format!("{folder}/{}: {import}", inside.display()));
                }
            }
        }
    }
    assert!(forbidden.is_empty(), "forbidden imports: {forbidden:#?}");
}

#[test]
fn every_module_is_in_the_layer_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (_, folder, layers) = CRATES.iter().find(|(name, ..)| *name == "grab-core").unwrap();
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "lib" || layers.iter().any(|(name, ..)| *name == module), "{module} has no row");
    }
}

/// The paths that a file names, without groups: those of its `use` statements, where `a::{b, c::d}` is `a::b` and
/// `a::c::d`, and in its code those that begin with `crate` or `super`.
fn used_paths(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = format!("\n{}", lines.collect::<Vec<_>>().join("\n"));
    let code = without_tests(&code);
    let uses = code.split("\nuse ").skip(1).chain(code.split("\npub use ").skip(1));
    let tree = |rest: &str| rest.split(';').next().unwrap().split_whitespace().collect::<String>();
    uses.flat_map(|rest| expanded(&tree(rest))).chain(inline_paths(code)).collect()
}

/// The code before the tests, which may name anything.
fn without_tests(code: &str) -> &str {
    let tests = code
        .match_indices("#[cfg(test)]")
        .find(|(at, attribute)| code[at + attribute.len()..].trim_start().starts_with("mod "));
    tests.map_or(code, |(at, _)| &code[..at])
}

/// The paths in code that begin with `crate::` or `super::`: `super::super::a::B` once, from its first word.
fn inline_paths(code: &str) -> Vec<String> {
    let is_of_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let starts = ["crate::", "super::"].into_iter().flat_map(|root| code.match_indices(root));
    let starts = starts.map(|(at, _)| at).filter(|at| !code[..*at].ends_with(is_of_path));
    let paths = starts.map(|at| code[at..].chars().take_while(|c| is_of_path(*c)).collect::<String>());
    // A path before a group, `super::{`, is one of a `use` statement.
    paths.filter(|path| !path.ends_with("::")).collect()
}

/// The paths of a tree of imports.
fn expanded(tree: &str) -> Vec<String> {
    let Some((before, group)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            members.push(String::new());
        } else {
            members.last_mut().unwrap().push(c);
        }
    }
    members.iter().flat_map(|member| expanded(member)).map(|path| format!("{before}{path}")).collect()
}

/// The module below the root that a path names, as seen from a module that lies `depth` below the root.
fn module_of(path: &str, depth: usize) -> Option<String> {
    let parts: Vec<_> = path.split("::").collect();
    let supers = parts.iter().take_while(|part| **part == "super").count();
    (supers == depth || parts[0] == "crate")
        .then(|| parts[supers.max(usize::from(parts[0] == "crate"))].to_owned())
}

/// For each module of the command line, the others that it imports.
fn imports_of_the_command_line() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let names: Vec<_> =
            inside.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
        let paths = used_paths(&fs::read_to_string(&file).unwrap());
        let modules = paths.iter().filter_map(|path| module_of(path, names.len()));
        imports.entry(names[0].to_owned()).or_default().extend(modules.filter(|module| *module != names[0]));
    }
    imports
}

#[test]
fn no_module_of_the_command_line_imports_one_that_imports_it() {
    let imports = imports_of_the_command_line();
    assert!(imports["output"].contains("report") && imports["args"].len() < 3, "{imports:?}");
    let mut reached = imports.clone();
    // As many steps as there are modules reach all that can be reached.
    for _ in 0..imports.len() {
        let step = |near: &BTreeSet<String>| {
            near.iter().filter_map(|name| imports.get(name)).flatten().cloned().collect::<Vec<_>>()
        };
        for near in reached.values_mut() {
            near.extend(step(near));
        }
    }
    let circles: Vec<_> =
        reached.iter().filter(|(name, reached)| reached.contains(*name)).map(|(name, _)| name).collect();
    assert!(circles.is_empty(), "modules that import each other: {circles:?}");
}

#[test]
fn the_scan_sees_every_module_that_is_used() {
    let text = "use std::io;\nuse super::{\n    super::{report::Report, text},\n    planned::Lists,\n};\npub use crate::files;\n";
    let named = |text: &str, depth| {
        used_paths(text).iter().filter_map(|path| module_of(path, depth)).collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(named(text, 2), set(&["report", "text", "files"]));
    let inline = "#[cfg(test)]\npub use x;\nfn f(a: super::sandbox::A) -> super::super::text::Text { crate::called::set(a) }\n#[cfg(test)]\nmod tests { use super::super::other; }\n";
    assert_eq!(named(inline, 1), set(&["called", "sandbox"]));
    assert_eq!(named(inline, 2), set(&["called", "text"]));
}

/// One row of the table in `docs/ARCHITECTURE.md`.
fn row(krate: &str, (name, does, allowed): &Layer) -> String {
    let names: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
    let names = match names.len() {
        0 => "–".to_owned(),
        count if count + 8 > parts().count() => "all".to_owned(),
        _ => names.join(", "),
    };
    format!("| `{krate}` | `{name}` | {does} | {names} |\n")
}

/// The table in `docs/ARCHITECTURE.md`.
fn table() -> String {
    let rows = CRATES.iter().flat_map(|(krate, _, layers)| layers.iter().map(|layer| row(krate, layer)));
    "| crate | module | does | may import |\n| --- | --- | --- | --- |\n".to_owned()
        + &rows.collect::<String>()
}

#[test]
fn the_architecture_shows_the_layers_that_are_enforced() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(&table()), "docs/ARCHITECTURE.md should have this table:\n{}", table());
}

#[test]
fn the_scan_sees_every_form_of_an_import() {
    let text = "use crate::{\n    clock::Clock,\n    store,\n};\nuse grab_model::{Bars, plan};\nfn f() { crate::pace::backoff(1, 0.0) }\n// crate::cli\n";
    assert_eq!(imports(text, true), ["Bars", "plan", "clock", "store", "pace"]);
    assert_eq!(imports(text, false), ["Bars", "plan"], "crate:: names own modules");
}
