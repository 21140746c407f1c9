//! Specs: read from a file, checked, and turned into a request.

use std::path::{Path, PathBuf};

use grab_core::{
    clock::Clock,
    manifest::{SpecText, Subscription},
};
use grab_model::{
    ApiKey, Symbol, Window,
    plan::{self, Spec, SpecUniverse},
};

use crate::{
    DownloadRequest, Error, Observer,
    input_files::{read_spec_bytes, read_tickers, wrong},
    past_windows,
};

/// A spec with its file.
#[derive(Debug)]
pub struct SpecFile {
    path: PathBuf,
    spec: Spec,
    text: String,
}

impl SpecFile {
    /// Reads a spec once: the saved text is the one that was used.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a spec.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = read_spec_bytes(path)?;
        let spec = Spec::read(&bytes).map_err(|error| wrong(path, error))?;
        Ok(Self { path: path.to_owned(), spec, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The spec.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Refuses invalid values, also those that a request does not use: later runs will.
    ///
    /// # Errors
    /// With the first of them.
    pub fn check(&self) -> Result<(), Error> {
        first_problem(&self.spec, &self.text).map_or(Ok(()), |why| Err(wrong(&self.path, why)))
    }

    /// The spec to save in the manifest. A key does not belong in a spec, but a user may have put it into a comment.
    #[must_use]
    pub fn to_save(&self, key: Option<&ApiKey>) -> SpecText {
        let mut saved = SpecText { path: self.path.display().to_string(), text: self.text.clone() };
        if let Some(key) = key {
            key.scrub_text(&mut saved.path);
            key.scrub_text(&mut saved.text);
        }
        saved
    }

    /// The request of the spec, up to the last finished session.
    ///
    /// # Errors
    /// If its symbols or windows are not valid, or all windows begin after that session.
    pub fn request(&self, clock: Clock, observer: &dyn Observer) -> Result<DownloadRequest, Error> {
        let subscription = self.subscription();
        let symbols = if subscription.is_some() { Vec::new() } else { self.symbols()? };
        let windows = past_windows(self.windows()?, clock, observer)?;
        Ok(match subscription {
            Some(subscription) => DownloadRequest::List(subscription),
            None => DownloadRequest::Windows { symbols, windows },
        })
    }

    /// The subscription. None if the spec names symbols.
    #[must_use]
    pub fn subscription(&self) -> Option<Subscription> {
        subscription_of(&self.spec.universe, self.spec.windows.join(","))
    }

    /// The named symbols.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn symbols(&self) -> Result<Vec<Symbol>, Error> {
        let SpecUniverse { tickers, tickers_file, .. } = &self.spec.universe;
        if let Some(file) = tickers_file {
            return read_tickers(&beside(&self.path, file));
        }
        let list = tickers.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(",");
        let invalid = |error| wrong(&self.path, format_args!("universe.tickers: {error}"));
        plan::read_tickers_list(&list).map_err(invalid)
    }

    /// The windows as they are written.
    ///
    /// # Errors
    /// If they are not valid.
    pub fn windows(&self) -> Result<Vec<Window>, Error> {
        let invalid = |error| wrong(&self.path, format_args!("windows: {error}"));
        plan::read_windows(&self.spec.windows.join(",")).map_err(invalid)
    }
}

/// The subscription to a list of symbols. None if none is named.
#[must_use]
pub fn subscription_of(universe: &SpecUniverse, windows: String) -> Option<Subscription> {
    let SpecUniverse { list, types, exchanges, as_of, .. } = universe;
    Some(Subscription {
        list: list.as_ref()?.as_str().to_owned(),
        types: types.clone().unwrap_or_default(),
        exchanges: exchanges.clone().unwrap_or_default(),
        as_of: *as_of,
        windows,
        planned_at_ms: None,
    })
}

/// The path of a file that a spec names.
pub(crate) fn beside(spec: &Path, file: &Path) -> PathBuf {
    spec.parent().unwrap_or(Path::new("")).join(file)
}

/// The first invalid value of a spec, in words.
pub(crate) fn first_problem(spec: &Spec, text: &str) -> Option<String> {
    let problem = plan::problems(spec, text.trim_start_matches('\u{feff}')).into_iter().next()?;
    let line = problem.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    Some(format!("{line}{}", problem.reason))
}
