//! One walk of a path, and the answers to later questions about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::path::{PathWalk, Place};

/// The place that a path led to when it was walked, and the names on the way.
///
/// Links can be changed while a command runs. A second walk of a path may reach another file than
/// the one that was looked at, locked or checked; so a path is walked once, and everything kept,
/// read, bound and written after that is where this walk led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedPath {
    given: PathBuf,
    entry: PathBuf,
    place: PathBuf,
    names: Vec<PathBuf>,
    through_a_descriptor: bool,
}

impl ResolvedPath {
    /// Walks a path, whether or not anything is there.
    ///
    /// # Errors
    /// As [`resolved`](crate::files::resolved).
    pub fn of(path: &Path) -> io::Result<Self> {
        let walk = PathWalk::of(path)?;
        let mut names = vec![walk.given];
        for name in walk.names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let PathWalk { entry, place, through_a_descriptor, .. } = walk;
        Ok(Self { given: path.into(), entry, place, names, through_a_descriptor })
    }

    /// The path as it was given, for display.
    #[must_use]
    pub fn given(&self) -> &Path {
        &self.given
    }

    /// Its last name in the folder that it lies in: a link's own place, where the path is one.
    #[must_use]
    pub fn entry(&self) -> &Path {
        &self.entry
    }

    /// Where it leads.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Where it leads, for comparison with other ways there.
    ///
    /// # Errors
    /// Where the folder cannot be examined.
    pub fn to_compare(&self) -> io::Result<Place> {
        Place::at(&self.place)
    }

    /// Returns whether it leads through a link that the system makes for an open descriptor, as
    /// `/dev/stdout` does.
    #[must_use]
    pub fn is_a_descriptors_name(&self) -> bool {
        self.through_a_descriptor
    }

    /// All its names: as it was given, made absolute; up to each link on the way with the rest as
    /// it is written; and where it leads.
    pub(crate) fn names(&self) -> &[PathBuf] {
        &self.names
    }
}
