//! Exports files for other programs: one for each symbol, with the columns of the store.
//!
//! The store stays unchanged: bars as traded, under the symbols under which they traded. Everything derived (windows,
//! splits, the history of a company under several symbols) is decided here and documented in the file. Only one month
//! is in memory at a time.

mod export_index;
mod folder_lock;
mod live_partition;
mod reader_notes;
mod split_evidence;
mod splits;
mod symbol_history;

pub use export_index::FILE_NAME;
pub use grab_model::universe::symbol_history::SymbolSpan;
pub use splits::SkippedSplit;
pub use symbol_history::{AppliedSplit, SymbolPart};

use std::{io, path::PathBuf};

use grab_model::{Rename, Split, Symbol, Window, universe::Universe};
use jiff::civil::Date;
use serde::Serialize;
use thiserror::Error;

use crate::{
    data_dir::{self, DataDir},
    manifest::{ManifestError, ManifestReader},
    store::{StoreError, export_writer::ExportFormat, reference::ReferenceTable, scan},
};
use export_index::{ExportIndex, ExportedFile, FormerFile};
use folder_lock::ExportFolderLock;
use splits::KnownSplits;
use symbol_history::SymbolHistory;

/// What to export, and how.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The data directory.
    pub data_dir: DataDir,
    /// The target folder: not within the data directory.
    pub out: PathBuf,
    /// The symbols, in order, each once.
    pub symbols: Vec<Symbol>,
    /// Only these days: in order, without overlaps.
    pub windows: Option<Vec<Window>>,
    /// Whether the server has adjusted the stored bars already.
    pub is_adjusted: bool,
    /// The splits to apply, if any.
    pub splits: Option<ReferenceTable<Split>>,
    /// Splits after this New York day are not applied.
    pub as_of: Date,
    /// The known renames, for notes and for `follow_renames`.
    pub renames: Option<ReferenceTable<Rename>>,
    /// The companies and their symbols by lists and events, if known: they decide to which company a split belongs.
    pub universe: Option<Universe>,
    /// Whether the bars of a company's former symbols precede those of its present one.
    pub follow_renames: bool,
    /// The file format.
    pub format: ExportFormat,
}

/// A finished file. Its fields are public: they are in reports and in the folder's index.
#[derive(Clone, Debug, Serialize)]
pub struct ExportedSymbol {
    /// The symbol.
    pub ticker: Symbol,
    /// The file's name.
    pub file: String,
    /// Rows.
    pub bars: u64,
    /// The start of the first bar, RFC 3339. None if there is no bar.
    pub first: Option<String>,
    /// The start of the last bar, RFC 3339.
    pub last: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether bars are adjusted, and by what: `none`, `splits` (here) or `server`.
    pub adjusted: &'static str,
    /// The last day whose splits are applied, if `adjusted` is `splits`.
    pub as_of: Option<String>,
    /// The applied splits, by day.
    pub splits: Vec<AppliedSplit>,
    /// Splits that may be the company's and are not applied, by day.
    pub splits_left_out: Vec<SkippedSplit>,
    /// The parts of the file, in order, each with its symbol.
    pub parts: Vec<SymbolPart>,
    /// What a reader of the file should know.
    pub notes: Vec<String>,
}

/// Why an export cannot go on. Finished files are complete, and no other file is changed.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store cannot be read, or a file not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or folder is in the way.
    #[error("{} {what}: choose another --out, or move it away", path.display())]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// Why it is not replaced.
        what: &'static str,
    },
    /// Another process exports to the same folder.
    #[error("another grab exports to {} at this moment", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
    },
    /// A file in the folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    Out {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ExportError {
    /// Whether a file of the data directory is not what was stored.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => match error {
                StoreError::Damaged { .. }
                | StoreError::Changed { .. }
                | StoreError::Misplaced { .. }
                | StoreError::Impossible { .. }
                | StoreError::Reference { .. } => true,
                StoreError::Io { .. } | StoreError::Encode(_) | StoreError::OutsideMonth { .. } => false,
            },
            Self::Manifest(_) | Self::Foreign { .. } | Self::Held { .. } | Self::Out { .. } => false,
        }
    }
}

/// The name of a symbol's file: lower-case letters are percent-encoded, as in the store, and so is the first letter of
/// a name that Windows reserves.
#[must_use]
pub fn file_name(symbol: &Symbol, format: ExportFormat) -> String {
    format!("{}.{}", data_dir::file_stem(symbol), format.extension())
}

/// The name that the file had before reserved names were encoded. None if it is the same.
fn former_name(symbol: &Symbol, format: ExportFormat) -> Option<String> {
    let name = format!("{}.{}", data_dir::encode(symbol), format.extension());
    (name != file_name(symbol, format)).then_some(name)
}

/// Exports each symbol, as the manifest has it in `reader`; calls `each` for a file once it is on stable storage.
///
/// # Errors
/// At the first error. A file in the way is found before anything is written.
pub fn run(
    options: &ExportOptions,
    reader: &ManifestReader,
    mut each: impl FnMut(ExportedSymbol),
) -> Result<(), ExportError> {
    let name = |symbol: &Symbol| file_name(symbol, options.format);
    let _held = ExportFolderLock::hold(&options.out)?;
    let mut made = ExportIndex::read(&options.out)?;
    options.symbols.iter().try_for_each(|symbol| made.check(&name(symbol)))?;
    scan::sweep_folder(&options.out)?;
    made.begin(options.symbols.iter().map(name))?;
    let splits = options.splits.iter().flat_map(ReferenceTable::current);
    let known = KnownSplits::new(splits, options.universe.as_ref().filter(|_| options.splits.is_some()));
    let done = options.symbols.iter().try_for_each(|symbol| {
        let exported = one(options, &known, reader, symbol, &mut made)?;
        each(exported);
        Ok(())
    });
    // Also after an error: the finished files stay recorded.
    done.and(made.finish())
}

fn one(
    options: &ExportOptions,
    known: &KnownSplits<'_>,
    reader: &ManifestReader,
    symbol: &Symbol,
    made: &mut ExportIndex,
) -> Result<ExportedSymbol, ExportError> {
    let path = options.out.join(file_name(symbol, options.format));
    let history = SymbolHistory::of(options, known, reader, symbol)?;
    let (mut exported, xxh3) = history.write(options, &path)?;
    let content = serde_json::to_value(&exported).unwrap_or_default();
    made.add(exported.file.clone(), ExportedFile { bytes: exported.bytes, xxh3, content });
    if let Some(former) = former_name(symbol, options.format)
        && made.remove_former(&former)? == FormerFile::Changed
    {
        exported.notes.push(format!(
            "{former} is an older export of {symbol} that was changed since; it is kept, and {} is the new one",
            exported.file
        ));
    }
    Ok(exported)
}

/// The symbols whose bars an export of `symbol` would contain.
#[must_use]
pub fn sources(
    symbol: &Symbol,
    renames: Option<&ReferenceTable<Rename>>,
    follow_renames: bool,
) -> Vec<Symbol> {
    let renames: Vec<_> = renames.into_iter().flat_map(ReferenceTable::current).collect();
    let symbol_spans = if follow_renames {
        grab_model::universe::symbol_history::history(symbol, &renames)
    } else {
        vec![SymbolSpan::all_of(symbol)]
    };
    symbol_spans.into_iter().map(|symbol_span| symbol_span.ticker).collect()
}
