//! What a data directory remembers of how it was started, a spec or what `start` was told by flag or variable: the commands
//! that go on in it go by that.

use std::path::{Path, PathBuf};

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestReader, SavedSetting, SavedSpec, SpecText},
};
use grab_model::{
    excerpt,
    plan::{self, Spec},
};
use grab_ops::Error as Failure;

use super::{output::say, settings::Sources, start::read_spec_bytes};

/// How much of a path or of what is wrong with its spec is shown, in characters.
const SHOWN: usize = 300;

/// A spec that a `start` names.
pub struct SpecFile<'a> {
    path: &'a Path,
    spec: Spec,
    text: String,
}

impl<'a> SpecFile<'a> {
    /// Reads a spec, once: what is kept is what was gone by.
    ///
    /// # Errors
    /// If the file cannot be read, or is none.
    pub fn read(path: &'a Path) -> Result<Self, Failure> {
        let bytes = read_spec_bytes(path)?;
        let wrong = |error| Failure::Config(format!("{}: {error}", path.display()));
        let spec = Spec::read(&bytes).map_err(wrong)?;
        Ok(Self { path, spec, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// Where it is, and what it says.
    #[must_use]
    pub fn named(&self) -> (&'a Path, &Spec) {
        (self.path, &self.spec)
    }

    /// Refuses values that make no sense, also those that this `start` does not use: what runs later will.
    ///
    /// # Errors
    /// With the first of them.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |why| Failure::Config(format!("{}: {why}", self.path.display()));
        problem(&self.spec, &self.text).map_or(Ok(()), |why| Err(wrong(why)))
    }

    /// What the manifest is to keep. A key has no place in a spec, but somebody may have put his into a comment.
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

/// The first value of a spec that makes no sense, in words.
fn problem(spec: &Spec, text: &str) -> Option<String> {
    let problem = plan::problems(spec, text.trim_start_matches('\u{feff}')).into_iter().next()?;
    let line = problem.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    Some(format!("{line}{}", problem.reason))
}

/// What a data directory remembers of how it was started: what `start` was told, and the spec, if that can still be read.
#[derive(Default)]
pub struct Remembered {
    spec: Option<(PathBuf, Spec)>,
    told: Vec<SavedSetting>,
    place: PathBuf,
}

impl Remembered {
    /// Looks it up. What cannot be read is said, and not used: nothing fails because of it.
    #[must_use]
    pub fn of(data_dir: &DataDir) -> Self {
        // Who cannot open the manifest finds out, and says why, when it is needed.
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
            // The directory holds bars of one kind: that is decided.
            None => Ok((PathBuf::from(path), Spec { adjusted: None, ..spec })),
        }
    }

    /// The same settings, with the pace of the spec where that of a spec belongs, and above it what `start` was told.
    #[must_use]
    pub fn over<'a>(&self, sources: &Sources<'a>) -> Sources<'a> {
        let sources = match &self.spec {
            Some((path, spec)) => sources.clone().with_spec(path, spec),
            None => sources.clone(),
        };
        sources.with_told(&self.place, &self.told)
    }

    /// The same for another `start`: it goes by what was told before, and not by a spec that it does not name.
    #[must_use]
    pub fn told_over<'a>(&self, sources: &Sources<'a>) -> Sources<'a> {
        sources.clone().with_told(&self.place, &self.told)
    }

    /// What it takes for good enough.
    #[must_use]
    pub fn verify(&self) -> plan::SpecThresholds {
        self.spec.as_ref().map(|(_, spec)| spec.verify.clone()).unwrap_or_default()
    }
}

fn unusable(why: &str) -> String {
    let why = excerpt(why, SHOWN);
    format!("note: the spec that is kept here is not used: `grab start` with --spec replaces it ({why})")
}
