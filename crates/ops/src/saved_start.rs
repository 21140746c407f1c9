//! What a data directory has saved of its start: a spec, and settings. Later jobs in the directory use them.

use std::path::PathBuf;

use grab_core::{
    data_dir::DataDir,
    manifest::{SavedSetting, SavedSpec, SpecText},
};
use grab_model::plan::{Spec, SpecThresholds};

use crate::{Error, spec_file::first_problem};

/// What a data directory has saved of its start.
#[derive(Debug, Default)]
pub struct SavedStart {
    /// The spec with the path from which it was read, if it can still be used.
    pub spec: Option<(PathBuf, Spec)>,
    /// The settings.
    pub settings: Vec<SavedSetting>,
    /// The manifest, which has them.
    pub manifest: PathBuf,
    /// Why the settings cannot be read.
    pub settings_fault: Option<Error>,
    /// Why the spec cannot be used, in words.
    pub spec_fault: Option<String>,
}

impl SavedStart {
    /// Reads what is saved. What cannot be read is not used.
    #[must_use]
    pub fn read(data_dir: &DataDir) -> Self {
        // If the manifest cannot be opened, the job reports that when it needs it.
        let Ok(reader) = data_dir.open_read() else { return Self::default() };
        let mut saved = Self { manifest: data_dir.manifest(), ..Self::default() };
        match reader.saved_settings() {
            Ok(settings) => saved.settings = settings,
            Err(error) => saved.settings_fault = Some(error.into()),
        }
        let spec = match reader.spec() {
            Ok(spec) => spec.map(|spec| read(&spec).map_err(|why| format!("{}: {why}", spec.spec.path))),
            Err(error) => Some(Err(Error::from(error).chain())),
        };
        match spec {
            Some(Ok(spec)) => saved.spec = Some(spec),
            Some(Err(why)) => saved.spec_fault = Some(why),
            None => {}
        }
        saved
    }

    /// The thresholds of the spec.
    #[must_use]
    pub fn thresholds(&self) -> SpecThresholds {
        self.spec.as_ref().map(|(_, spec)| spec.verify.clone()).unwrap_or_default()
    }
}

fn read(saved: &SavedSpec) -> Result<(PathBuf, Spec), String> {
    let SpecText { path, text } = &saved.spec;
    let spec = Spec::read(text.as_bytes()).map_err(|error| error.to_string())?;
    match first_problem(&spec, text) {
        Some(why) => Err(why),
        // The directory holds one kind of bars already.
        None => Ok((PathBuf::from(path), Spec { adjusted: None, ..spec })),
    }
}
