//! The words of sources and documents: what has a name in the trade is called by it, and a word has one meaning.
//!
//! docs/glossary.md lists the words that mean something special here. The private words below are those of earlier
//! versions: a pattern finds a word in its private meaning, and leaves ordinary English alone.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use regex::{Captures, Regex};

use crate::layers::sources;

/// A pattern of a private word in prose, and the word to use instead.
const PROSE: &[(&str, &str)] = &[
    (r"\bow(ed|es)\b", "pending, outstanding"),
    (r"\bnobody\b", "no process, no source, no user: name it"),
    (r"\bwhoever\b", "the process that, the user who"),
    (r"\bsomebody else\b", "another process, another user"),
    (r"\b(set|sets|put|moved|laid) aside\b", "quarantined, moved to set_aside/"),
    (r"\b(the|an) asides?\b", "quarantined file"),
    (r"\banew\b", "again, rebuilt, rewritten"),
    (r"\berrands?\b", "fetch job"),
    (r"\bmend(s|ed|ing)?\b", "repair"),
    (r"\b(a|its|their|two|each|all|no|of) lives\b", "listing periods"),
    (r"\bdid not live\b", "was not listed"),
    (r"\b(symbols?|companies|it|those that) (have|has|had) left\b", "delisted"),
    (r"\bleft the exchange\b", "was delisted"),
    (r"\bwho is new\b", "newly listed"),
    (r"\b(bars?|days?|sessions?|partitions?|files?) (that )?(are|is|were|was) held\b", "stored"),
    (r"\bheld bars\b", "stored bars"),
    (r"\bwhat is (not )?held\b", "what is stored"),
    (r"\bhold(s)? the two against\b", "compares"),
    (r"\bglances?\b", "poll, snapshot"),
    (r"\b(process|run|grab) (that )?(dies|died)\b|\bdead (run|process|grab)\b", "crashes, crashed"),
    (r"\b(server|service|source)'s (own )?word\b", "response"),
    (r"\bsays? of (itself|themselves)\b", "its metadata"),
    (r"\b(was|were|is|been) told\b", "saved setting"),
    (r"\bthe same for\b", "say what it returns"),
    (r"\bcomes? to (its|their) end\b", "ends"),
    (r"\bin the way of\b", "prevents, delays"),
    (r"\b(not )?to be had\b", "available"),
    (r"\bin vain\b", "without a result"),
    (r"\basked for (once more|again)\b", "requested again"),
    (r"\basked once more\b", "requested again"),
    (r"\basks? (nobody|nothing)\b", "sends no request"),
    (r"\btail of a symbol\b", "rolling task of a symbol"),
    (r"\bof an evening\b|\ba missed evening\b", "update cut-off, session"),
    (r"\bthe books\b", "records"),
    (r"\bsurvey\b", "directory scan"),
    (r"\bcame through\b", "succeeded"),
    (r"\bburnt\b|\bburns? (no|a) task", "failed"),
    (r"\bbeliev(e|ed|es)\b", "used, trusted"),
    (r"\bdoubted\b", "not trusted, rejected"),
    (r"\bthat is none\b|\bis none (that|of)\b", "say it plainly"),
    (r"\bnot such (as|a)\b", "say it plainly"),
    (r"\bhardly any\b", "almost no"),
    (r"\bas told (below|above)\b", "as described"),
    (r"\bsource (is|was) away\b", "not available"),
    (r"\bwithout a word\b", "silently, without a message"),
    (r"\bis (a|no) word (about|on|of)\b", "concerns, says nothing about"),
    (r"\b(was|were|is|are|be|been|never) asked for\b", "requested"),
    (r"\basked of (it|the|another)\b", "requested from"),
    (r"\bcannot be had\b", "not available"),
    (r"\bbars that cannot be\b", "impossible bars"),
    (r"\brelied on\b", "used"),
    (r"\bas ever\b", "as before"),
    (r"\bfor ever\b", "always, without an end"),
    (r"\bwho traded\b", "which symbols traded"),
    (r"\bcontrol question\b", "control request"),
    (r"\bin particular\b", "name it"),
    (r"\beverybody\b", "all requests, all users"),
];

/// Participles: what a value went through, not what it is.
const PARTICIPLES: &[&str] = &[
    "Asked",
    "Begun",
    "Brought",
    "Called",
    "Checked",
    "Cleared",
    "Done",
    "Failed",
    "Fetched",
    "Found",
    "Given",
    "Gone",
    "Held",
    "Kept",
    "Known",
    "Left",
    "Listed",
    "Lost",
    "Made",
    "Named",
    "Opened",
    "Planned",
    "Recorded",
    "Remembered",
    "Said",
    "Seen",
    "Shown",
    "Stored",
    "Told",
    "Wanted",
];

/// Private words in names of the code, and the words to use instead.
const NAMES: &[(&str, &str)] = &[
    ("anew", "again, rewritten, restart"),
    ("aside", "quarantined, moved"),
    ("brought", "fetched, added"),
    ("believe", "use, trust"),
    ("disbelieve", "reject"),
    ("disbelieved", "rejected"),
    ("doubt", "rejection"),
    ("doubted", "rejected"),
    ("errand", "job"),
    ("evening", "update, session, cut-off"),
    ("glance", "poll, snapshot"),
    ("heard", "response"),
    ("held", "stored; a lock is held"),
    ("life", "period"),
    ("lives", "periods"),
    ("mend", "repair"),
    ("mended", "repaired"),
    ("nobody", "no rows, idle"),
    ("owed", "outstanding, pending"),
    ("said", "metadata, status, recorded"),
    ("stranger", "unlisted symbol"),
    ("stretch", "span, window, period, run"),
    ("tail", "rolling task"),
    ("tails", "rolling tasks"),
    ("told", "settings, saved"),
    ("whoever", "the process, the user"),
];

/// Names with such a word in its ordinary meaning: a lock is held, a failpoint is held back, `set_aside/` is a folder.
const ORDINARY: &[&str] = &["is_held", "Held", "OutHeld", "_held", "HELD", "held_back", "set_aside"];

/// What stands in backticks: names of commands, fields, tests.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new("`[^`]*`").unwrap());

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files of all crates, without tests, and their names.
fn code() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "crates/model/src", "crates/core/src", "crates/ops/src", "crates/sandbox/src"] {
        sources(&root().join(folder), &mut files);
    }
    let name = |file: &Path| file.strip_prefix(root()).unwrap().display().to_string();
    let is_test = |file: &str| {
        file.contains("/tests") || file.ends_with("_tests.rs") || file.ends_with("model_test.rs")
    };
    let named = files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap()));
    named.filter(|(file, _)| !is_test(file)).collect()
}

/// A file without what only tests have. An empty line stands for each line that is left out, so that numbers stay.
fn production(text: &str) -> String {
    let mut lines = text.lines();
    let mut production = String::new();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("#[cfg(test)]") else {
            production.push_str(line);
            production.push('\n');
            continue;
        };
        let ends = [format!("{indent}}}"), format!("{indent}}};")];
        let mut item = lines.by_ref().inspect(|_| production.push('\n'));
        let first = item.find(|line| !line.trim().starts_with('#')).unwrap_or_default();
        if !first.ends_with([';', '}']) {
            item.find(|line| ends.iter().any(|end| end == line));
        }
        production.push('\n');
    }
    production
}

/// The documents, and their names. Of the changelog, the part that is not released yet.
fn documents() -> Vec<(String, String)> {
    let mut files: Vec<_> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.extend(["README.md", "CONTRIBUTING.md", "manifests/README.md"].map(|name| root().join(name)));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    let name = |file: &Path| file.strip_prefix(root()).unwrap().display().to_string();
    let mut documents: Vec<_> =
        files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap())).collect();
    documents.push(("CHANGELOG.md".to_owned(), unreleased()));
    documents
}

/// The section of the changelog about the next release, with the lines before it, so that numbers of lines are right.
fn unreleased() -> String {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let begin = text.find("\n## Unreleased").unwrap() + 1;
    let end = text[begin + 1..].find("\n## ").map_or(text.len(), |at| begin + 1 + at);
    text[..end].to_owned()
}

/// The prose of a line of code: its comment and its texts, without SQL and without quoted names.
fn prose_of_code(line: &str) -> String {
    let comment = line.split_once("//").map(|(_, comment)| comment).unwrap_or_default();
    let code = line.split("//").next().unwrap_or_default();
    // A text with a space is a sentence; one without is a name: a JSON key, a column, a flag.
    let texts = code.split('"').skip(1).step_by(2).filter(|text| text.contains(' ') && !is_sql(text));
    QUOTED.replace_all(&format!("{comment} {}", texts.collect::<Vec<_>>().join(" ")), "").into_owned()
}

fn is_sql(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "FROM ", "WHERE ", " = ?"]
        .iter()
        .any(|word| text.contains(word))
}

/// The prose of a line of a document: without code and without names of tests.
fn prose_of_document(line: &str) -> String {
    QUOTED.replace_all(line, "").into_owned()
}

#[test]
fn no_private_word_stands_in_prose() {
    let patterns: Vec<_> = PROSE
        .iter()
        .map(|(pattern, instead)| (Regex::new(&format!("(?i){pattern}")).unwrap(), instead))
        .collect();
    let mut found = Vec::new();
    let mut look = |file: &str, number: usize, prose: &str| {
        for (pattern, instead) in &patterns {
            if let Some(word) = pattern.find(prose) {
                found.push(format!("{file}:{number}: {:?}: {instead}", word.as_str()));
            }
        }
    };
    for (file, text) in code() {
        for (at, line) in production(&text).lines().enumerate() {
            look(&file, at + 1, &prose_of_code(line));
        }
    }
    for (file, text) in documents() {
        let mut is_code = false;
        for (at, line) in text.lines().enumerate() {
            is_code ^= line.starts_with("```");
            if !is_code {
                look(&file, at + 1, &prose_of_document(line));
            }
        }
    }
    assert!(found.is_empty(), "{} private words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_private_word_is_in_a_name() {
    let not_code = Regex::new(r##"//[^\n]*|'(?:\\.|[^'\\])'|r#"(?s:.*?)"#|"(?:\\(?s:.)|[^"\\])*""##).unwrap();
    let argument = Regex::new(r"\{([a-z_][A-Za-z0-9_]*)[:}]").unwrap();
    // A text may name arguments: `{symbol}`.
    let arguments = |text: &Captures<'_>| {
        let named = argument.captures_iter(&text[0]).map(|argument| argument[1].to_owned());
        format!(" {} ", named.collect::<Vec<_>>().join(" "))
    };
    let (name, hump) =
        (Regex::new(r"[A-Za-z_][A-Za-z0-9_]*").unwrap(), Regex::new(r"[A-Z]?[a-z0-9]+|[A-Z]+").unwrap());
    let mut found = Vec::new();
    for (file, text) in code() {
        let text = format!("{} {}", file.replace(['/', '.', '-'], " "), production(&text));
        for name in name.find_iter(&not_code.replace_all(&text, arguments)) {
            let words = hump.find_iter(name.as_str()).map(|word| word.as_str().to_lowercase());
            let private = words.filter_map(|word| NAMES.iter().find(|(private, _)| *private == word));
            let private = private.filter(|_| !ORDINARY.contains(&name.as_str()));
            found.extend(
                private.map(|(word, instead)| format!("{file}: {}: {word}: {instead}", name.as_str())),
            );
        }
    }
    assert!(found.is_empty(), "{} private words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_public_type_has_a_name_of_its_own_that_is_a_noun() {
    let types = Regex::new(r"^\s*pub(\([a-z]+\))? (struct|enum|trait|type) ([A-Za-z0-9]+)").unwrap();
    let any = Regex::new(r"^\s*(pub(\([a-z]+\))? )?(struct|enum) ([A-Za-z0-9]+)").unwrap();
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut participles = Vec::new();
    for (file, text) in code() {
        for line in text.lines() {
            if let Some(name) = types.captures(line) {
                places.entry(name[3].to_owned()).or_default().push(file.clone());
            }
            let name = any.captures(line).map(|name| name[4].to_owned());
            participles.extend(
                name.filter(|name| PARTICIPLES.contains(&name.as_str()))
                    .map(|name| format!("{file}: {name}")),
            );
        }
    }
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "types with the same name: {places:#?}");
    assert!(participles.is_empty(), "types that are no nouns: {participles:#?}");
}
