//! The index of a folder of exported files: which of its files grab has made, and from what.
//!
//! A CSV cannot say that itself. So an index file beside them does, and no file is replaced that is not in it or was
//! changed since.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::ExportError;
use crate::store::write_whole;

/// The name of the index file.
pub const FILE_NAME: &str = "grab-export.json";

/// The version of its format.
const FORMAT_VERSION: u32 = 1;

/// The files that grab has made in a folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportIndex {
    format_version: u32,
    /// By name; None for files that are being made, or were when a process crashed.
    files: BTreeMap<String, Option<ExportedFile>>,
    #[serde(skip)]
    folder: PathBuf,
    /// The former entries of the files that are being made.
    #[serde(skip)]
    before: BTreeMap<String, Option<ExportedFile>>,
}

/// What happened to a file under its former name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormerFile {
    /// grab has made no file of this name.
    None,
    /// It was removed, and its entry too.
    Gone,
    /// It is no longer the file that grab made, and stays.
    Changed,
}

/// An exported file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its size in bytes.
    pub bytes: u64,
    /// The XXH3-64 of the whole file, as 16 hexadecimal digits.
    pub xxh3: String,
    /// Its content and the applied splits: as in the report.
    pub content: serde_json::Value,
}

impl ExportIndex {
    /// Reads the index of a folder; empty if the folder has no index.
    ///
    /// # Errors
    /// If it cannot be read, or grab has not written it.
    pub fn read(folder: &Path) -> Result<Self, ExportError> {
        let path = folder.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (files, before) = (BTreeMap::new(), BTreeMap::new());
                return Ok(Self { format_version: FORMAT_VERSION, files, folder: folder.to_owned(), before });
            }
            Err(source) => return Err(ExportError::Out { path, source }),
        };
        let made = serde_json::from_slice::<Self>(&text).ok();
        let made = made.filter(|made| made.format_version == FORMAT_VERSION);
        let made = made.ok_or(ExportError::Foreign { path, what: "is not what grab writes there" })?;
        Ok(Self { folder: folder.to_owned(), ..made })
    }

    /// Checks that a file of this name may be written.
    ///
    /// # Errors
    /// If there is a file that grab has not made, or that was changed since.
    pub fn check(&self, name: &str) -> Result<(), ExportError> {
        let path = self.folder.join(name);
        let foreign = |what| Err(ExportError::Foreign { path: path.clone(), what });
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ExportError::Out { path, source }),
            Ok(metadata) if !metadata.is_file() => return foreign("is there, and is no file"),
            Ok(_) => {}
        }
        let Some(made) = self.files.get(name) else {
            return foreign("is there, and grab export has not made it");
        };
        let Some(record) = made else { return Ok(()) };
        match digest(&path) {
            Ok(found) if found == (record.bytes, record.xxh3.clone()) => Ok(()),
            Ok(_) => foreign("was changed since grab export made it"),
            Err(source) => Err(ExportError::Out { path, source }),
        }
    }

    /// Records on stable storage which files are to be made: after a crash, the next process knows that they are grab's.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn begin(&mut self, names: impl Iterator<Item = String>) -> Result<(), ExportError> {
        for name in names {
            if let Some(before) = self.files.insert(name.clone(), None) {
                self.before.insert(name, before);
            }
        }
        self.write()
    }

    /// Adds a finished file.
    pub fn add(&mut self, name: String, record: ExportedFile) {
        self.files.insert(name, Some(record));
    }

    /// Removes a symbol's file under its former name, now that there is one under the new name, if grab has made it and
    /// it is unchanged. Its entry goes with the next [`ExportIndex::finish`]: a crash in between leaves an entry
    /// without a file, which the next export removes.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn remove_former(&mut self, name: &str) -> Result<FormerFile, ExportError> {
        let Some(made) = self.files.get(name) else { return Ok(FormerFile::None) };
        let path = self.folder.join(name);
        let failed = |source| ExportError::Out { path: path.clone(), source };
        let is_there = match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Ok(FormerFile::Changed),
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        if is_there {
            if let Some(record) = made
                && digest(&path).map_err(failed)? != (record.bytes, record.xxh3.clone())
            {
                return Ok(FormerFile::Changed);
            }
            fs::remove_file(&path).map_err(failed)?;
        }
        self.files.remove(name);
        self.before.remove(name);
        Ok(FormerFile::Gone)
    }

    /// Records on stable storage what was made. A file that was to be made and was not keeps its former entry.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn finish(mut self) -> Result<(), ExportError> {
        let unmade: Vec<_> =
            self.files.iter().filter(|(_, made)| made.is_none()).map(|(name, _)| name.clone()).collect();
        for name in unmade {
            match self.before.remove(&name) {
                Some(before) => self.files.insert(name, before),
                None => self.files.remove(&name),
            };
        }
        self.write()
    }

    fn write(&self) -> Result<(), ExportError> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        let path = self.folder.join(FILE_NAME);
        let text = text.map_err(|source| ExportError::Out { path: path.clone(), source })?;
        Ok(write_whole(&path, &text)?)
    }
}

/// Returns the size and the XXH3-64 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hashing) = (fs::File::open(path)?, HashingRead(Xxh3::new()));
    let bytes = io::copy(&mut file, &mut hashing)?;
    Ok((bytes, format!("{:016x}", hashing.0.digest())))
}

struct HashingRead(Xxh3);

impl io::Write for HashingRead {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
