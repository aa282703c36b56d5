//! The place that a path leads to, whether or not anything is there.

mod unnamed;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Most links that are followed, as many as the systems follow.
const MAX_LINKS: usize = 40;

/// The absolute path that `path` leads to: `.` and `..` resolved and links followed as far as
/// anything exists, including a link to a file that does not exist yet; the rest as it is written.
/// Two spellings of a place give one path, whether or not it exists; `canonicalize` does that only
/// for what exists.
///
/// # Errors
/// Where there is no working directory, where a name on the way cannot be examined, and beyond 40
/// links: nobody can say then where the path leads. On Linux also where a link of /proc leads to a
/// file that its text does not lead to, as in another process's mount namespace, and where the
/// working directory is not the one that its name leads to.
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    Ok(PathWalk::of(path)?.place)
}

/// A step of a path, in the order in which they are walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// A folder in which a name was looked up: a user who can write it decides where the path
    /// leads.
    Folder(PathBuf),
    /// A link that was followed: so does its owner.
    Link(PathBuf),
}

/// A path followed from its beginning to its end, and all its steps.
#[derive(Debug, Default)]
pub(crate) struct PathWalk {
    /// The path's last name in the folder that it lies in, before that is followed.
    pub(crate) entry: PathBuf,
    /// Where it leads.
    pub(crate) place: PathBuf,
    /// The path as it was given, made absolute.
    pub(crate) given: PathBuf,
    /// The names by which it reaches its place: up to each link on the way with the rest as it is
    /// written, and the place itself last. A change of one of the links leads the names before it
    /// elsewhere, not those behind it.
    pub(crate) names: Vec<PathBuf>,
    pub(crate) steps: Vec<PathStep>,
    pub(crate) through_a_descriptor: bool,
}

impl PathWalk {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        // `absolute` keeps `..`, which behind a link means another folder than before it.
        let absolute = std::path::absolute(path)?;
        if path.is_relative() {
            unnamed::spare_covered(&std::env::current_dir()?)?;
        }
        let (mut walk, mut names) = (Self::default(), Names::default());
        (walk.entry, walk.place) = follow(&absolute, |step| {
            names.take(&step);
            walk.take(&step);
        })?;
        walk.names.extend(names.known.into_iter().map(|name| name.path));
        walk.names.push(walk.place.clone());
        walk.given = absolute;
        Ok(walk)
    }

    fn take(&mut self, step: &Walked<'_>) {
        let step = match step {
            Walked::Folder(folder) => PathStep::Folder(folder.to_path_buf()),
            Walked::Link(link) => {
                self.through_a_descriptor |= link.starts_with("/proc")
                    && link.parent().is_some_and(|folder| folder.ends_with("fd"));
                PathStep::Link(link.to_path_buf())
            }
            Walked::Plain(_) | Walked::LinkEnds | Walked::Up => return,
        };
        self.steps.push(step);
    }
}

/// Spellings of a walk's current position, by the links that it followed.
#[derive(Default)]
struct Names {
    known: Vec<Name>,
    /// The spellings known before each link that is being followed, its own name included.
    outside: Vec<Vec<Name>>,
}

struct Name {
    path: PathBuf,
    /// Number of its last components that are no links: `..` removes one of them, and never a link.
    plain: usize,
}

impl Names {
    fn take(&mut self, step: &Walked<'_>) {
        match step {
            Walked::Folder(_) => {}
            Walked::Plain(name) => self.known.iter_mut().for_each(|known| {
                known.path.push(name);
                known.plain += 1;
            }),
            Walked::Link(link) => {
                let name = link.file_name().unwrap_or_default();
                let mut outside = std::mem::take(&mut self.known);
                for known in &mut outside {
                    known.path.push(name);
                    known.plain = 0;
                }
                outside.push(Name { path: link.to_path_buf(), plain: 0 });
                self.outside.push(outside);
            }
            Walked::LinkEnds => self.known.extend(self.outside.pop().into_iter().flatten()),
            Walked::Up => self.known.iter_mut().for_each(|known| {
                match known.plain.checked_sub(1) {
                    Some(plain) => {
                        known.path.pop();
                        known.plain = plain;
                    }
                    // Behind a link, `..` is the folder above the link's target; the text keeps it.
                    None => known.path.push(".."),
                }
            }),
        }
    }
}

/// The steps of a walk, in order.
enum Walked<'a> {
    /// A folder in which a name is looked up.
    Folder(&'a Path),
    /// A name that is no link, or of which nothing is there.
    Plain(&'a OsStr),
    /// A link, which is followed.
    Link(&'a Path),
    /// All of a link's own path was followed.
    LinkEnds,
    /// The folder above.
    Up,
}

/// The rest of a walk.
enum Left {
    Part(OsString),
    LinkEnds,
}

/// The last name of an absolute path in the folder that it lies in, and where the path leads.
fn follow(absolute: &Path, mut step: impl FnMut(Walked<'_>)) -> io::Result<(PathBuf, PathBuf)> {
    let mut left: VecDeque<Left> = VecDeque::new();
    push(&mut left, absolute);
    let (mut at, mut entry) = (PathBuf::new(), None);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        let Left::Part(part) = part else {
            step(Walked::LinkEnds);
            continue;
        };
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => {
                step(Walked::Folder(&at));
                let next = at.join(name);
                // The rest of a link that is being followed ends with [`Left::LinkEnds`].
                if left.is_empty() {
                    entry = Some(next.clone());
                }
                match std::fs::symlink_metadata(&next) {
                    Ok(about) if about.is_symlink() => {
                        links += 1;
                        if links > MAX_LINKS {
                            let reason = "leads through too many links";
                            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
                        }
                        left.push_front(Left::LinkEnds);
                        let leads_to = std::fs::read_link(&next)?;
                        unnamed::spare_misleading(&at, &next, &at.join(&leads_to))?;
                        push(&mut left, &leads_to);
                        step(Walked::Link(&next));
                        continue;
                    }
                    Ok(_) => {}
                    Err(e) if is_absence(&e) => {}
                    Err(e) => return Err(e),
                }
                step(Walked::Plain(name));
                at = next;
            }
            Some(Component::ParentDir) => {
                step(Walked::Up);
                at.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(root) => at.push(root),
        }
    }
    Ok((entry.unwrap_or_else(|| at.clone()), at))
}

/// Returns whether the error says that nothing is there, rather than that it cannot be examined.
pub(crate) fn is_absence(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn push(left: &mut VecDeque<Left>, path: &Path) {
    let parts = path.components().rev().map(|part| Left::Part(part.as_os_str().to_owned()));
    parts.for_each(|part| left.push_front(part));
}

/// The place where a file lies or would lie: a name in a folder. Two paths to one place are equal, through
/// links and through folders that are mounted twice. (A hard link is another place: what replaces a
/// file there leaves this one as it is.)
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
    /// An absent one, or one to which its system assigns no number.
    At(PathBuf),
}

impl Place {
    /// The place that a path leads to.
    ///
    /// # Errors
    /// As [`resolved`].
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::at(&resolved(path)?)
    }

    /// The place at a path that was walked already.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_owned();
        Ok(Self { folder: Folder::of(folder_of(path))?, name })
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
    fn each_link_on_the_way_gives_a_place_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("real/inner/sub")).unwrap();
        symlink("real", dir.join("outer")).unwrap();
        symlink("inner", dir.join("real/mid")).unwrap();
        symlink("hop", dir.join("first")).unwrap();
        symlink(dir.join("real"), dir.join("hop")).unwrap();
        let names = |way: &str| {
            let names = PathWalk::of(&dir.join(way)).unwrap().names;
            let names = names.iter().map(|n| n.strip_prefix(&dir).unwrap().to_str().unwrap());
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names("real/x"), ["real/x"]);
        assert_eq!(names("outer/x"), ["outer/x", "real/x"]);
        assert_eq!(names("outer/mid/x"), ["outer/mid/x", "real/mid/x", "real/inner/x"]);
        assert_eq!(names("first/x"), ["hop/x", "first/x", "real/x"]);
        // Up again: to the folder that a link led to, and out of it.
        let up = ["outer/mid/x", "real/mid/x", "real/inner/x"];
        assert_eq!(names("outer/mid/sub/../x"), up);
        assert_eq!(names("outer/mid/../x"), ["outer/mid/../x", "real/mid/../x", "real/x"]);
        assert_eq!(names("outer/inner/../x"), ["outer/x", "real/x"]);
        assert_eq!(names("outer/none/../x"), ["outer/x", "real/x"]);
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
        let PathWalk { place, steps, .. } = PathWalk::of(&dir.join("link/store")).unwrap();
        assert_eq!(place, dir.join("mine/store"));
        for folder in [Path::new("/"), &dir, &dir.join("others"), &dir.join("mine")] {
            assert!(steps.contains(&PathStep::Folder(folder.into())), "{}", folder.display());
        }
        for link in ["link", "others/hop"] {
            assert!(steps.contains(&PathStep::Link(dir.join(link))), "{link}");
        }
    }
}
