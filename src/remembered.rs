//! What a data directory has saved of its start: a spec, or settings of `start` by flag or variable. Later commands in
//! the directory use them.

use std::path::{Path, PathBuf};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestReader, SavedSetting, SavedSpec, SpecText},
};
use grab_model::{
    excerpt,
    plan::{self, Spec},
};
use grab_ops::{Error as Failure, read_spec_bytes};

use super::{output::say, settings::Sources};

/// How much of a path or of a fault in its spec is shown, in characters.
const SHOWN: usize = 300;

/// A spec that a `start` names.
pub struct SpecFile<'a> {
    path: &'a Path,
    spec: Spec,
    text: String,
}

impl<'a> SpecFile<'a> {
    /// Reads a spec once: the saved text is the one that was used.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a spec.
    pub fn read(path: &'a Path) -> Result<Self, Failure> {
        let bytes = read_spec_bytes(path)?;
        let wrong = |error| Failure::Config(format!("{}: {error}", path.display()));
        let spec = Spec::read(&bytes).map_err(wrong)?;
        Ok(Self { path, spec, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// The path and the spec.
    #[must_use]
    pub fn named(&self) -> (&'a Path, &Spec) {
        (self.path, &self.spec)
    }

    /// Refuses invalid values, also those that this `start` does not use: later runs will.
    ///
    /// # Errors
    /// With the first of them.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |why| Failure::Config(format!("{}: {why}", self.path.display()));
        problem(&self.spec, &self.text).map_or(Ok(()), |why| Err(wrong(why)))
    }

    /// The spec to save in the manifest. A key does not belong in a spec, but a user may have put it into a comment.
    #[must_use]
    pub fn to_keep(&self, sources: &Sources<'_>) -> SpecText {
        let mut kept = SpecText { path: self.path.display().to_string(), text: self.text.clone() };
        if let Ok(Some(key)) = sources.key() {
            key.scrub_text(&mut kept.path);
            key.scrub_text(&mut kept.text);
        }
        kept
    }
}

/// The first invalid value of a spec, in words.
fn problem(spec: &Spec, text: &str) -> Option<String> {
    let problem = plan::problems(spec, text.trim_start_matches('\u{feff}')).into_iter().next()?;
    let line = problem.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    Some(format!("{line}{}", problem.reason))
}

/// What a data directory has saved of its start: the settings of `start`, and the spec if it can still be read.
#[derive(Default)]
pub struct Remembered {
    spec: Option<(PathBuf, Spec)>,
    told: Vec<SavedSetting>,
    place: PathBuf,
}

impl Remembered {
    /// Reads what is saved. What cannot be read is reported and ignored.
    #[must_use]
    pub fn of(data_dir: &DataDir) -> Self {
        // If the manifest cannot be opened, the command reports that when it needs it.
        let Ok(reader) = ManifestReader::open(data_dir) else { return Self::default() };
        let told =
            reader.saved_settings().map_err(|error| say(&format!("note: {}", Failure::from(error).chain())));
        let spec = match reader.spec() {
            Ok(kept) => {
                kept.map(|kept| Self::read(&kept).map_err(|why| format!("{}: {why}", kept.spec.path)))
            }
            Err(error) => Some(Err(Failure::from(error).chain())),
        };
        let spec = spec.and_then(|spec| spec.map_err(|why| say(&unusable(&why))).ok());
        Self { spec, told: told.unwrap_or_default(), place: data_dir.manifest() }
    }

    fn read(kept: &SavedSpec) -> Result<(PathBuf, Spec), String> {
        let SpecText { path, text } = &kept.spec;
        let spec = Spec::read(text.as_bytes()).map_err(|error| error.to_string())?;
        match problem(&spec, text) {
            Some(why) => Err(why),
            // The directory holds one kind of bars already.
            None => Ok((PathBuf::from(path), Spec { adjusted: None, ..spec })),
        }
    }

    /// The sources with the saved settings: the spec's pace below them, at the level of a spec.
    #[must_use]
    pub fn over<'a>(&self, sources: &Sources<'a>) -> Sources<'a> {
        let sources = match &self.spec {
            Some((path, spec)) => sources.clone().with_spec(path, spec),
            None => sources.clone(),
        };
        sources.with_told(&self.place, &self.told)
    }

    /// The sources for another `start`: with the saved settings, but without a spec that it does not name.
    #[must_use]
    pub fn told_over<'a>(&self, sources: &Sources<'a>) -> Sources<'a> {
        sources.clone().with_told(&self.place, &self.told)
    }

    /// The thresholds of the saved spec.
    #[must_use]
    pub fn verify(&self) -> plan::SpecThresholds {
        self.spec.as_ref().map(|(_, spec)| spec.verify.clone()).unwrap_or_default()
    }
}

fn unusable(why: &str) -> String {
    let why = excerpt(why, SHOWN);
    format!("note: the spec that is kept here is not used: `grab start` with --spec replaces it ({why})")
}
