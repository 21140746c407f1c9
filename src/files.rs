//! Files that `grab verify` writes for people and other programs: each is written beside its path, then renamed.

use std::{
    fs,
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
use grab_ops::Error as Failure;

use super::{args::VerifyArgs, output::say};

/// The paths of the files: resolved and checked before the work begins.
pub struct Files {
    report: Option<PathBuf>,
    csv: Option<PathBuf>,
    missing: Option<PathBuf>,
}

impl Files {
    /// The paths of the requested files.
    ///
    /// # Errors
    /// If a path cannot be a file, belongs to the data itself, or is given twice.
    pub fn of(args: &VerifyArgs, data_dir: &DataDir) -> Result<Self, Failure> {
        let place = |flag, path: &Option<PathBuf>| {
            path.as_deref().map(|path| place(flag, path, data_dir)).transpose()
        };
        let files = Self {
            report: place("--report", &args.report)?,
            csv: place("--csv", &args.csv)?,
            missing: place("--missing", &args.missing)?,
        };
        let [report, csv, missing] = [&files.report, &files.csv, &files.missing];
        if [(report, csv), (report, missing), (csv, missing)].iter().any(|(a, b)| a.is_some() && a == b) {
            let reason = "--report, --csv and --missing: two of them name the same file";
            return Err(Failure::Usage(reason.to_owned()));
        }
        Ok(files)
    }

    /// Writes the files, and says so.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, verified: &Verification, clock: Clock, quiet: bool) -> Result<(), Failure> {
        if let Some(path) = &self.report {
            let page = report::page(verified, &about(verified, clock)).map_err(std::io::Error::other)?;
            write(path, page.as_bytes(), quiet)?;
        }
        if let Some(path) = &self.csv {
            write(path, report::findings_csv(&verified.findings).as_bytes(), quiet)?;
        }
        let Some(path) = &self.missing else { return Ok(()) };
        if verified.findings.iter().any(|finding| finding.kind == FindingKind::ManifestCorrupt) {
            // An empty list would claim that nothing is missing.
            say(&format!(
                "{} is not written: without a manifest nobody knows what is missing",
                path.display()
            ));
            return Ok(());
        }
        write(path, report::missing_csv(verified).as_bytes(), quiet)
    }
}

/// The resolved path of a file that may be written: follows links, and refuses what is no file or part of the data.
///
/// # Errors
/// If the path is refused; `flag` is the flag that named it.
pub fn place(flag: &str, path: &Path, data_dir: &DataDir) -> Result<PathBuf, Failure> {
    let refused = |what: &str| Failure::Usage(format!("{flag}: {} {what}", path.display()));
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

fn write(path: &Path, bytes: &[u8], quiet: bool) -> Result<(), Failure> {
    write_whole(path, bytes)?;
    if !quiet {
        say(&format!("wrote {}, {}", path.display(), format::bytes(bytes.len() as u64)));
    }
    Ok(())
}

fn about(verified: &Verification, clock: Clock) -> ReportOrigin {
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
