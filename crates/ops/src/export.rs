//! Files for other programs, derived from the store, which stays as it is: `grab export`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    export::{self, ExportError, ExportOptions, ExportedSymbol},
    manifest::ManifestReader,
    store::{
        export_writer::ExportFormat,
        reference::{self, ReferenceTable},
    },
};
use grab_model::{
    Rename, Symbol, Window, new_york,
    universe::{Universe, symbol_history},
};
use jiff::civil::Date;

use crate::{Error, Notice, Observer};

/// How many unknown symbols an error names.
const NAMED: usize = 20;

/// An export of bars.
pub struct Export {
    /// The directory of bars and manifest.
    pub data_dir: DataDir,
    /// The target folder.
    pub out: PathBuf,
    /// The symbols; None for all that have bars.
    pub symbols: Option<BTreeSet<Symbol>>,
    /// The windows; None for all days.
    pub windows: Option<Vec<Window>>,
    /// Whether to adjust for splits.
    pub adjusts_for_splits: bool,
    /// The last day whose splits are applied; None for today.
    pub as_of: Option<Date>,
    /// Whether to join the bars of a security that had other tickers.
    pub follow_renames: bool,
    /// The form of the files.
    pub format: ExportFormat,
    /// The clock.
    pub clock: Clock,
}

/// What an export wrote.
#[derive(Debug)]
pub struct ExportReport {
    /// The target folder.
    pub out: PathBuf,
    /// The form of the files.
    pub format: ExportFormat,
    /// For what the bars are adjusted.
    pub adjustment: ExportAdjustment,
    /// Bars in all files.
    pub bars: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The files.
    pub files: Vec<ExportedSymbol>,
}

/// For what exported bars are adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportAdjustment {
    /// Nothing.
    None,
    /// For splits, by the server.
    Server,
    /// For known splits.
    Splits {
        /// The last day whose splits are applied.
        as_of: Date,
        /// When the splits were fetched, UTC ms.
        fetched_ms: i64,
    },
}

impl Export {
    /// Writes the files.
    ///
    /// # Errors
    /// If requested data do not exist, a file is in the way, or a file is not what was stored.
    pub fn run(self, observer: &Arc<dyn Observer>) -> Result<ExportReport, Error> {
        if self.as_of.is_some() && !self.adjusts_for_splits {
            return Err(Error::Usage("--as-of is about splits: add --adjusted splits".to_owned()));
        }
        let out = resolve_folder(&self.out, &self.data_dir)?;
        let reader = ManifestReader::snapshot(&self.data_dir)?;
        let options = self.options(&reader, out, &**observer)?;
        let adjustment = match (options.is_adjusted, &options.splits) {
            (true, _) => ExportAdjustment::Server,
            (false, Some(table)) => {
                ExportAdjustment::Splits { as_of: options.as_of, fetched_ms: table.fetched_ms }
            }
            (false, None) => ExportAdjustment::None,
        };
        let mut files = Vec::new();
        export::run(&options, &reader, |exported| files.push(exported))?;
        Ok(ExportReport {
            out: options.out,
            format: options.format,
            adjustment,
            bars: files.iter().map(|file| file.bars).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        })
    }

    /// The options by the request and by what the directory has.
    fn options(
        self,
        reader: &ManifestReader,
        out: PathBuf,
        observer: &dyn Observer,
    ) -> Result<ExportOptions, Error> {
        let is_adjusted = reader.kind()?.is_some_and(|kind| kind.adjusted);
        self.refuse_adjusted(is_adjusted)?;
        let renames = self.renames(observer)?;
        let splits = if self.adjusts_for_splits {
            let splits = reference::read_splits(&self.data_dir).map_err(ExportError::from)?;
            Some(splits.ok_or_else(|| missing("--adjusted splits", "splits", "grab universe sync"))?)
        } else {
            None
        };
        let universe =
            if splits.is_some() { listings(&self.data_dir, renames.as_ref(), observer)? } else { None };
        let sources = |symbol: &Symbol| export::sources(symbol, renames.as_ref(), self.follow_renames);
        let symbols = symbols(self.symbols, reader, sources)?;
        let today = new_york::date_of(self.clock.now_ms()).unwrap_or(Date::MAX);
        Ok(ExportOptions {
            data_dir: self.data_dir,
            out,
            symbols,
            windows: self.windows.map(symbol_history::joined),
            is_adjusted,
            splits,
            as_of: self.as_of.unwrap_or(today),
            renames,
            universe,
            follow_renames: self.follow_renames,
            format: self.format,
        })
    }

    /// Bars that the server has adjusted cannot be adjusted again, nor joined.
    fn refuse_adjusted(&self, is_adjusted: bool) -> Result<(), Error> {
        let holds = "this data directory holds bars that the server has adjusted already";
        if is_adjusted && self.adjusts_for_splits {
            return Err(Error::Usage(format!("--adjusted splits: {holds}, each as of its own fetch")));
        }
        if is_adjusted && self.follow_renames {
            return Err(Error::Usage(format!("--follow-renames: {holds}, each symbol by its own splits")));
        }
        Ok(())
    }

    /// The known renames. If they are not needed and cannot be read, a notice is enough.
    fn renames(&self, observer: &dyn Observer) -> Result<Option<ReferenceTable<Rename>>, Error> {
        let renames = reference::read_renames(&self.data_dir).map_err(ExportError::from);
        if self.follow_renames {
            let none = || missing("--follow-renames", "renames", "grab universe sync --renames");
            return renames?.ok_or_else(none).map(Some);
        }
        Ok(renames.unwrap_or_else(|error| {
            observer.notice(&Notice::TableDamaged(error.to_string()));
            None
        }))
    }
}

impl ExportReport {
    /// The day on which the splits were fetched, if it is before the last day whose splits are to be applied.
    #[must_use]
    pub fn old_splits(&self) -> Option<Date> {
        match self.adjustment {
            ExportAdjustment::Splits { as_of, fetched_ms } => {
                new_york::date_of(fetched_ms).filter(|fetched| *fetched < as_of)
            }
            ExportAdjustment::None | ExportAdjustment::Server => None,
        }
    }
}

/// The companies by lists and events, which decide whose a split is. Without a damaged list, by events alone.
fn listings(
    data_dir: &DataDir,
    renames: Option<&ReferenceTable<Rename>>,
    observer: &dyn Observer,
) -> Result<Option<Universe>, Error> {
    let listings = reference::read_listings(data_dir).map_err(ExportError::from);
    match listings {
        Err(error) if error.is_damage() => {
            observer.notice(&Notice::ListingsDamaged(error.to_string()));
            let renames: Vec<_> = renames.into_iter().flat_map(ReferenceTable::current).collect();
            Ok(Some(Universe::with_renames(Vec::new(), &renames)))
        }
        listings => Ok(listings?),
    }
}

fn missing(flag: &str, table: &str, command: &str) -> Error {
    Error::Usage(format!("{flag}: no {table} are known here yet: `{command}` fetches them"))
}

/// The symbols, in order: all with bars, or the named ones, each of which must have been requested once.
fn symbols(
    named: Option<BTreeSet<Symbol>>,
    reader: &ManifestReader,
    sources: impl Fn(&Symbol) -> Vec<Symbol>,
) -> Result<Vec<Symbol>, Error> {
    let known: BTreeSet<_> = reader.symbols()?.into_iter().collect();
    let Some(named) = named else {
        let mut stored = Vec::new();
        for symbol in known {
            if !reader.partitions(&symbol)?.is_empty() {
                stored.push(symbol);
            }
        }
        return Ok(stored);
    };
    let is_known = |symbol: &Symbol| sources(symbol).iter().any(|source| known.contains(source));
    let unknown: Vec<_> = named.iter().filter(|symbol| !is_known(symbol)).map(Symbol::as_str).collect();
    if unknown.is_empty() {
        return Ok(named.into_iter().collect());
    }
    let more = unknown.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown: Vec<_> = unknown.into_iter().take(NAMED).collect();
    Err(Error::Usage(format!(
        "neither stored nor requested: {}{more}; `grab start` with --tickers and --windows fetches them",
        shown.join(", ")
    )))
}

/// The resolved path of the target folder, which need not exist yet; refused within the data directory.
fn resolve_folder(out: &Path, data_dir: &DataDir) -> Result<PathBuf, Error> {
    let refused = |what: &str| Error::Usage(format!("--out: {} {what}", out.display()));
    let begun = if out.is_absolute() { out.to_owned() } else { Path::new(".").join(out) };
    let there = begun.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok());
    let there = there.ok_or_else(|| refused("is nowhere"))?;
    let rest = begun.strip_prefix(there).unwrap_or(Path::new(""));
    if rest.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(refused("leads through a folder that is not there"));
    }
    let real = fs::canonicalize(there).map_err(|_| refused("is a link that leads nowhere"))?;
    if !real.is_dir() {
        return Err(refused("is, or is below, something that is no folder"));
    }
    let real = if rest.as_os_str().is_empty() { real } else { real.join(rest) };
    let data_dir = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.path().to_owned());
    if real.starts_with(&data_dir) {
        return Err(refused("is within the data directory: choose another place"));
    }
    Ok(real)
}
