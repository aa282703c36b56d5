//! Where a path leads, whether or not anything is there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many links as the systems follow.
const MAX_LINKS: usize = 40;

/// The absolute path that `path` leads to: `.` and `..` resolved and links followed as far as there is something, also a
/// link to what is not there yet; the rest as it is written. Two spellings of a place have one, absent or not, which
/// `canonicalize` gives for what exists alone.
///
/// # Errors
/// Where there is no working directory, where a name on the way cannot be looked at, and beyond 40 links: nobody can say
/// then where the path leads.
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    walk(path, drop)
}

/// What a path leads through, in the order in which it is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A folder in which a name was looked up: whoever can write it decides where the path leads.
    Folder(PathBuf),
    /// A link that was followed: so does whoever it belongs to.
    Link(PathBuf),
}

/// [`resolved`], and all that the path leads through.
pub(crate) fn resolved_through(path: &Path) -> io::Result<(PathBuf, Vec<Step>)> {
    let mut steps: Vec<Step> = Vec::new();
    let place = walk(path, |step| {
        if !steps.contains(&step) {
            steps.push(step);
        }
    })?;
    Ok((place, steps))
}

fn walk(path: &Path, mut step: impl FnMut(Step)) -> io::Result<PathBuf> {
    // `absolute` keeps `..`, which means another folder behind a link than before it.
    let absolute = std::path::absolute(path)?;
    let mut left: VecDeque<OsString> = VecDeque::new();
    push(&mut left, &absolute);
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => {
                step(Step::Folder(at.clone()));
                let next = at.join(name);
                match std::fs::symlink_metadata(&next) {
                    Ok(about) if about.is_symlink() => {
                        links += 1;
                        if links > MAX_LINKS {
                            let reason = "leads through too many links";
                            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
                        }
                        push(&mut left, &std::fs::read_link(&next)?);
                        step(Step::Link(next));
                    }
                    Ok(_) => at = next,
                    Err(e) if is_absence(&e) => at = next,
                    Err(e) => return Err(e),
                }
            }
            Some(Component::ParentDir) => {
                at.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(root) => at.push(root),
        }
    }
    Ok(at)
}

/// Whether this says that nothing is there, rather than that it cannot be looked at.
pub(crate) fn is_absence(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn push(left: &mut VecDeque<OsString>, path: &Path) {
    path.components().rev().for_each(|part| left.push_front(part.as_os_str().to_owned()));
}

/// Where a file lies or would lie: a name in a folder. Two paths to one place are equal, through links and through
/// folders that are mounted twice. (A hard link is another place: what replaces a file there leaves this one as it is.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    folder: Folder,
    name: OsString,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Folder {
    /// Device and number.
    #[cfg(unix)]
    There(u64, u64),
    /// One that is not there, or whose system gives none a number.
    At(PathBuf),
}

impl Place {
    /// The place that a path leads to.
    ///
    /// # Errors
    /// As [`resolved`].
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = resolved(path)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        Ok(Self { folder: Folder::of(folder_of(&path))?, name })
    }
}

impl Folder {
    fn of(path: PathBuf) -> io::Result<Self> {
        #[cfg(unix)]
        match std::fs::metadata(&path) {
            Ok(about) => {
                use std::os::unix::fs::MetadataExt as _;
                return Ok(Self::There(about.dev(), about.ino()));
            }
            Err(e) if is_absence(&e) => {}
            Err(e) => return Err(e),
        }
        Ok(Self::At(path))
    }
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_way_to_a_place_is_one_also_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("real/sub")).unwrap();
        symlink("real", dir.join("link")).unwrap();
        symlink("real/sub", dir.join("deep")).unwrap();
        symlink("real/none", dir.join("dangling")).unwrap();
        symlink(dir.join("dangling"), dir.join("twice")).unwrap();
        let none = dir.join("real/none");
        for way in [
            "real/none",
            "real/sub/../none",
            "link/none",
            "link/sub/../none",
            "deep/../none",
            "deep/../../link/./none",
            "absent/../real/none",
            "dangling",
            "twice",
        ] {
            assert_eq!(resolved(&dir.join(way)).unwrap(), none, "{way}");
            assert_eq!(Place::of(&dir.join(way)).unwrap(), Place::of(&none).unwrap(), "{way}");
        }
        assert_eq!(resolved(&dir.join("link/none/more/../x")).unwrap(), dir.join("real/none/x"));
        for way in ["real/sub", "deep", "link/sub", "deep/../sub"] {
            let path = dir.join(way);
            assert_eq!(resolved(&path).unwrap(), path.canonicalize().unwrap(), "{way}");
        }
        assert_eq!(resolved(Path::new("/../..")).unwrap(), Path::new("/"));
        assert_ne!(Place::of(&dir.join("real/x")).unwrap(), Place::of(&dir.join("x")).unwrap());
    }

    #[test]
    fn links_in_a_circle_and_names_that_cannot_be_looked_at_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        for way in ["a/x".to_owned(), "n".repeat(256), "d/".repeat(2100)] {
            assert!(resolved(&dir.path().join(&way)).is_err(), "{way}");
            assert!(Place::of(&dir.path().join(way)).is_err());
        }
    }

    #[test]
    fn links_and_their_folders_are_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("others")).unwrap();
        std::fs::create_dir_all(dir.join("mine")).unwrap();
        symlink("others/hop", dir.join("link")).unwrap();
        symlink("../mine", dir.join("others/hop")).unwrap();
        let (place, steps) = resolved_through(&dir.join("link/store")).unwrap();
        assert_eq!(place, dir.join("mine/store"));
        for folder in [Path::new("/"), &dir, &dir.join("others"), &dir.join("mine")] {
            assert!(steps.contains(&Step::Folder(folder.into())), "{}", folder.display());
        }
        for link in ["link", "others/hop"] {
            assert!(steps.contains(&Step::Link(dir.join(link))), "{link}");
        }
    }
}
