//! Files about a verification, for people and other programs: each is written beside its path, then renamed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use grab_core::{
    clock::Clock,
    data_dir::DataDir,
    manifest::{FILE_NAME, PLAN_NAME, StoreKind},
    store::write_whole,
    verify::{
        FindingKind, Verification,
        report::{self, ReportOrigin},
    },
};
use grab_model::format;

use crate::{Error, Notice, Observer};

/// The files to write. Their paths are resolved and checked before the work begins.
#[derive(Clone, Debug, Default)]
pub struct VerifyFiles {
    report: Option<PathBuf>,
    csv: Option<PathBuf>,
    missing: Option<PathBuf>,
}

impl VerifyFiles {
    /// Resolves the paths of the page, of the findings as CSV and of the list of missing windows.
    ///
    /// # Errors
    /// If a path cannot be a file, belongs to the data itself, or is named twice.
    pub fn resolve(
        report: Option<&Path>,
        csv: Option<&Path>,
        missing: Option<&Path>,
        data_dir: &DataDir,
    ) -> Result<Self, Error> {
        let resolved = |flag, path: Option<&Path>| {
            path.map(|path| resolve_output_file(flag, path, data_dir)).transpose()
        };
        let files = Self {
            report: resolved("--report", report)?,
            csv: resolved("--csv", csv)?,
            missing: resolved("--missing", missing)?,
        };
        let [report, csv, missing] = [&files.report, &files.csv, &files.missing];
        if [(report, csv), (report, missing), (csv, missing)].iter().any(|(a, b)| a.is_some() && a == b) {
            let reason = "--report, --csv and --missing: two of them name the same file";
            return Err(Error::Usage(reason.to_owned()));
        }
        Ok(files)
    }

    /// Writes the files.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, verified: &Verification, clock: Clock, observer: &dyn Observer) -> Result<(), Error> {
        if let Some(path) = &self.report {
            let page = report::page(verified, &origin(verified, clock)).map_err(io::Error::other)?;
            write(path, page.as_bytes(), observer)?;
        }
        if let Some(path) = &self.csv {
            write(path, report::findings_csv(&verified.findings).as_bytes(), observer)?;
        }
        let Some(path) = &self.missing else { return Ok(()) };
        if verified.findings.iter().any(|finding| finding.kind == FindingKind::ManifestCorrupt) {
            // An empty list would claim that nothing is missing.
            observer.notice(&Notice::MissingUnknown(path.clone()));
            return Ok(());
        }
        write(path, report::missing_csv(verified).as_bytes(), observer)
    }
}

/// The resolved path of a file that may be written: follows links, and refuses what is no file or part of the data.
///
/// # Errors
/// If the path is refused; `flag` is the flag that named it.
pub fn resolve_output_file(flag: &str, path: &Path, data_dir: &DataDir) -> Result<PathBuf, Error> {
    let refused = |what: &str| Error::Usage(format!("{flag}: {} {what}", path.display()));
    let real = match fs::canonicalize(path) {
        Ok(real) if !real.is_file() => return Err(refused("is there, and is no file")),
        Ok(real) => real,
        Err(_) if path.is_symlink() => return Err(refused("is a link that leads nowhere")),
        Err(_) => {
            let name = path.file_name().ok_or_else(|| refused("is no name of a file"))?;
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            // The folder must exist: a missing one may be a typing error.
            let folder = fs::canonicalize(folder).map_err(|_| refused("is in a folder that is not there"))?;
            folder.join(name)
        }
    };
    let data_dir = DataDir::new(fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.path().to_owned()));
    let inside = real.strip_prefix(&data_dir).unwrap_or(Path::new(""));
    let is_manifest =
        inside.to_str().is_some_and(|name| name.starts_with(FILE_NAME) || name.starts_with(PLAN_NAME));
    if is_manifest || real.starts_with(data_dir.bars_folder()) || inside.starts_with("reference") {
        return Err(refused("belongs to the data: choose another place"));
    }
    Ok(real)
}

fn write(path: &Path, bytes: &[u8], observer: &dyn Observer) -> Result<(), Error> {
    write_whole(path, bytes)?;
    observer.notice(&Notice::FileWritten { path: path.to_owned(), bytes: bytes.len() as u64 });
    Ok(())
}

fn origin(verified: &Verification, clock: Clock) -> ReportOrigin {
    ReportOrigin {
        made: format::instant(clock.now_ms() / 1000 * 1000),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // If the manifest cannot be read, its kind is not known; that is a finding.
        holds: verified.kind.map(holds).unwrap_or_default(),
    }
}

fn holds(kind: StoreKind) -> String {
    let bars = if kind.adjusted { "split-adjusted bars" } else { "bars as traded" };
    if kind.sandbox { format!("{bars}, made up by a sandbox") } else { bars.to_owned() }
}
