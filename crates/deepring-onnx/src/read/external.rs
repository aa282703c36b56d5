//! Files beside the model that hold elements, and the walls around them.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::error::ImportError;
use super::source::ParamSource;
use super::wire::SharedFile;
use crate::proto::TensorProto;

/// Files of external data that a model has named so far.
pub(crate) struct ExternalFiles {
    folder: PathBuf,
    open: HashMap<String, Arc<SharedFile>>,
}

impl ExternalFiles {
    pub(crate) fn beside(model: &Path) -> Self {
        let folder = match model.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self { folder, open: HashMap::new() }
    }

    /// The elements of `tensor`, which must be `expected` bytes.
    pub(crate) fn source(
        &mut self,
        name: &str,
        tensor: &TensorProto,
        expected: u64,
    ) -> Result<ParamSource, ImportError> {
        let field = |key: &'static str| {
            let entry = tensor.external_data.iter().find(|e| e.key.as_deref() == Some(key));
            entry.and_then(|e| e.value.as_deref())
        };
        let number = |key: &'static str| match field(key) {
            None => Ok(None),
            Some(text) => text
                .trim()
                .parse::<u64>()
                .map(Some)
                .map_err(|_| ImportError::ExternalKey { name: name.to_owned(), key }),
        };
        let location = field("location")
            .ok_or(ImportError::ExternalKey { name: name.to_owned(), key: "location" })?;
        let file = self.file(name, location)?;
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(expected);
        if offset.checked_add(length).is_none_or(|end| end > file.len()) {
            return Err(ImportError::ExternalRange {
                name: name.to_owned(),
                location: location.to_owned(),
                offset,
                length,
                file: file.len(),
            });
        }
        Ok(ParamSource::file(file, offset, length))
    }

    /// The files that were read from.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.open.keys().map(|location| self.folder.join(location))
    }

    fn file(&mut self, name: &str, location: &str) -> Result<Arc<SharedFile>, ImportError> {
        if let Some(file) = self.open.get(location) {
            return Ok(Arc::clone(file));
        }
        let refused =
            || ImportError::ExternalPath { name: name.to_owned(), location: location.to_owned() };
        let relative = Path::new(location);
        let plain = |c| matches!(c, Component::Normal(_) | Component::CurDir);
        if location.is_empty() || location.contains('\0') || !relative.components().all(plain) {
            return Err(refused());
        }
        // A model from elsewhere must not have us seal, and so hand out, a file it has no right
        // to: links are resolved before the folder is compared.
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ImportError::Io { path, source }
        };
        let joined = self.folder.join(relative);
        let folder = self.folder.canonicalize().map_err(io(&self.folder))?;
        let path = joined.canonicalize().map_err(io(&joined))?;
        if !path.starts_with(&folder) || !path.is_file() {
            return Err(refused());
        }
        let file = Arc::new(SharedFile::open(&path)?);
        self.open.insert(location.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}
