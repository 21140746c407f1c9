//! What a folder of exported files says of itself: which of them grab has made, and out of what.
//!
//! A CSV cannot say it. So a file beside them does, and nothing that is not in it, or was changed since, is ever replaced.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::ExportError;
use crate::store::write_whole;

/// Its name.
pub const FILE_NAME: &str = "grab-export.json";

/// The version of its fields.
const FORMAT_VERSION: u32 = 1;

/// The files that grab has made in a folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportIndex {
    format_version: u32,
    /// By name; none of those that are being made, or were when a process died.
    files: BTreeMap<String, Option<ExportedFile>>,
    #[serde(skip)]
    folder: PathBuf,
    /// What was known of the files that are being made.
    #[serde(skip)]
    before: BTreeMap<String, Option<ExportedFile>>,
}

/// What has become of a file under a former name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormerFile {
    /// grab has made no file of this name.
    None,
    /// It is removed and forgotten.
    Gone,
    /// It is not the file any more that grab made there, and stays.
    Changed,
}

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its size.
    pub bytes: u64,
    /// The XXH3-64 of all of it, as 16 hexadecimal digits.
    pub xxh3: String,
    /// What it holds and what was applied: as in the report.
    pub content: serde_json::Value,
}

impl ExportIndex {
    /// What a folder says of itself; nothing was made in one that says nothing.
    ///
    /// # Errors
    /// If it cannot be read, or is not ours.
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

    /// Holds a name of a file that is to be made against what is there.
    ///
    /// # Errors
    /// If something is there that grab has not made, or that was changed since.
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

    /// Says on stable storage which files are to be made: if the process dies, the next one knows that they are ours.
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

    /// A file is made.
    pub fn add(&mut self, name: String, record: ExportedFile) {
        self.files.insert(name, Some(record));
    }

    /// Removes the file that held a symbol under its former name, now that another one holds it, if grab has made it and
    /// nobody has changed it since. It is forgotten with the next [`ExportIndex::finish`]: dying in between leaves a row without
    /// a file, which the next export forgets.
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

    /// Says on stable storage what was made. Of a file that was to be made and was not, what was known before holds on.
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

/// The size and the XXH3-64 of a file.
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
