//! Where a path leads, whether or not anything is there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the systems follow.
const MAX_LINKS: usize = 40;

/// The absolute path that `path` leads to: `.` and `..` resolved and links followed as far as there is something, also a
/// link to what is not there yet; the rest as it is written. Two spellings of a place have one, absent or not, which
/// `canonicalize` gives for what exists alone.
///
/// A path through more links than a system follows, or where there is no working directory, stays as it is.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    // `absolute` keeps `..`, which means another folder behind a link than before it.
    let Ok(absolute) = std::path::absolute(path) else { return path.into() };
    let mut left: VecDeque<OsString> = VecDeque::new();
    push(&mut left, &absolute);
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                match std::fs::read_link(&next) {
                    Ok(to) => {
                        links += 1;
                        if links > MAX_LINKS {
                            return absolute;
                        }
                        push(&mut left, &to);
                    }
                    // No link, or nothing that can be looked at.
                    Err(_) => at = next,
                }
            }
            Some(Component::ParentDir) => {
                at.pop();
            }
            Some(Component::CurDir) | None => {}
            Some(root) => at.push(root),
        }
    }
    at
}

fn push(left: &mut VecDeque<OsString>, path: &Path) {
    path.components().rev().for_each(|part| left.push_front(part.as_os_str().to_owned()));
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
            assert_eq!(resolved(&dir.join(way)), none, "{way}");
        }
        assert_eq!(resolved(&dir.join("link/none/more/../x")), dir.join("real/none/x"));
        for way in ["real/sub", "deep", "link/sub", "deep/../sub"] {
            let path = dir.join(way);
            assert_eq!(resolved(&path), path.canonicalize().unwrap(), "{way}");
        }
        assert_eq!(resolved(Path::new("/../..")), Path::new("/"));
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert_eq!(resolved(&dir.path().join("a/x")), dir.path().join("a/x"));
    }
}
