//! The kind of bars that a directory holds: as traded or adjusted, the service's or the sandbox's.

use grab_core::{
    data_dir::DataDir,
    manifest::{ManifestError, ManifestWriter, StoreKind},
    store::scan::{self, FoundPartition},
};

use crate::{Error, SANDBOX};

/// Declares the kind of bars of a directory. If its manifest knows no bar, the files decide too: a file of a process
/// that crashed before recording it has a kind as well.
///
/// # Errors
/// If it holds another kind, or its manifest cannot be written.
pub fn declare_kind(
    writer: &mut ManifestWriter,
    requested: StoreKind,
    data_dir: &DataDir,
) -> Result<(), Error> {
    if writer.kind()?.is_some_and(|stored| stored != requested)
        && let Some(stored) = kind_on_disk(data_dir)?.filter(|stored| *stored != requested)
    {
        return Err(ManifestError::OtherKind { stored, requested }.into());
    }
    Ok(writer.declare_kind(requested)?)
}

/// The kind of bars by a partition's metadata.
#[must_use]
pub fn kind_of(found: &FoundPartition) -> StoreKind {
    StoreKind { adjusted: found.adjusted, sandbox: found.source == SANDBOX }
}

/// The kind of bars of a directory without a manifest, by its first good file. None if it has no bars.
///
/// # Errors
/// If a folder cannot be listed.
pub fn kind_on_disk(data_dir: &DataDir) -> Result<Option<StoreKind>, Error> {
    for symbol in scan::symbols(data_dir)? {
        for month in scan::months(data_dir, &symbol)? {
            // A file that cannot be read says nothing.
            if let Ok(Some(found)) = scan::examine(data_dir, &symbol, month) {
                return Ok(Some(kind_of(&found)));
            }
        }
    }
    Ok(None)
}
