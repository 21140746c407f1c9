//! Reads a whole store independently: finds files by walking, and checks them against their paths.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use grab_core::data_dir::DataDir;
use grab_core::store::BarStore;
use grab_model::{Bar, Month};
use xxhash_rust::xxh3::xxh3_64;

/// Every bar of every symbol. Panics if a file is in the wrong path, or its bars are not ascending and unique.
pub fn read_store(data_dir: &Path) -> BTreeMap<String, Vec<Bar>> {
    let store = BarStore::new(DataDir::new(data_dir.to_owned()), false, String::new());
    let mut held: BTreeMap<String, Vec<Bar>> = BTreeMap::new();
    let mut files = files(&data_dir.join("bars_1m"));
    files.sort();
    for file in files.iter().filter(|file| file.ends_with("bars.parquet")) {
        let part = |name: &str| {
            let found =
                file.components().find_map(|c| c.as_os_str().to_str()?.strip_prefix(name).map(str::to_owned));
            found.unwrap_or_else(|| panic!("{name} in {}", file.display()))
        };
        let symbol = decode(&part("ticker="));
        let month = Month::new(part("year=").parse().unwrap(), part("month=").parse().unwrap()).unwrap();
        let bars = store.read(&symbol.parse().unwrap(), month).unwrap().unwrap().bars;
        assert!(bars.timestamps().is_sorted_by(|a, b| a < b), "{}", file.display());
        assert!(bars.timestamps().iter().all(|t| (month.start_ms()..month.end_ms()).contains(t)));
        held.entry(symbol).or_default().extend(bars.iter());
    }
    held
}

/// Panics unless the manifest's partitions are the files of the store, to the last byte.
pub fn assert_recorded(data_dir: &Path) {
    let manifest = rusqlite::Connection::open(data_dir.join("manifest.sqlite")).unwrap();
    let mut select = manifest.prepare("SELECT bytes, xxh3, bars FROM partitions ORDER BY xxh3").unwrap();
    let recorded = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let recorded: Vec<(usize, String, usize)> = recorded.collect::<Result<_, _>>().unwrap();
    let bars: usize = read_store(data_dir).values().map(Vec::len).sum();
    assert_eq!(recorded.iter().map(|(_, _, bars)| bars).sum::<usize>(), bars);
    let describe = |file: PathBuf| {
        let bytes = fs::read(file).unwrap();
        (bytes.len(), format!("{:016x}", xxh3_64(&bytes)))
    };
    let mut held: Vec<_> = files(&data_dir.join("bars_1m")).into_iter().map(describe).collect();
    held.sort_by(|(_, a), (_, b)| a.cmp(b));
    assert_eq!(recorded.into_iter().map(|(bytes, xxh3, _)| (bytes, xxh3)).collect::<Vec<_>>(), held);
}

/// Files that are neither the manifest's nor partitions.
pub fn litter(data_dir: &Path) -> Vec<PathBuf> {
    let expected = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.starts_with("manifest.sqlite") || name == "plan.jsonl" || name == "bars.parquet"
    };
    files(data_dir).into_iter().filter(|file| !expected(file)).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn decode(name: &str) -> String {
    percent_encoding(name).unwrap_or_else(|| panic!("{name}"))
}

fn percent_encoding(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        decoded.push(char::from(u8::from_str_radix(part.get(..2)?, 16).ok()?));
        decoded.push_str(part.get(2..)?);
    }
    Some(decoded)
}
