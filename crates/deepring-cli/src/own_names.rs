//! Files that a command names itself, in a folder that its user chose: they spare what the command reads, and the trust store.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::output;
use crate::rings::store_files;

/// Refuses the files of these names in `folder` where one of them leads to a file that the command reads, or to where the trust
/// store or its lock belongs, there or not. What lies there and is kept by another command, whoever writes it spares. To be
/// called before anything is made. `store` is the `--trust` option.
pub(crate) fn spare<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = impl AsRef<Path>>,
    read: impl IntoIterator<Item = &'a Path>,
    store: Option<&Path>,
) -> Result<(), CliError> {
    let mut kept = store_files(store);
    kept.extend(read.into_iter().map(Path::to_owned));
    let mut files = names.into_iter().map(|name| folder.join(name));
    files.try_for_each(|file| output::keep(&file, kept.iter().map(PathBuf::as_path)))
}

/// The last names of these files and of the trust store's, where they lead: for a command that does not know yet all the names
/// that it will give.
pub(crate) fn taken<'a>(
    read: impl IntoIterator<Item = &'a Path>,
    store: Option<&Path>,
) -> Result<Vec<OsString>, CliError> {
    let mut kept = store_files(store);
    kept.extend(read.into_iter().map(Path::to_owned));
    let places =
        kept.iter().map(|file| output::resolved_for(file)).collect::<Result<Vec<_>, _>>()?;
    Ok(places.iter().filter_map(|place| place.file_name()).map(OsString::from).collect())
}
