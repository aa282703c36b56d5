//! Paths of files in a ring of weights: such that writing them anywhere stays inside one folder, and no two are one file.

use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// Most bytes of a path.
const MAX_PATH: usize = 1024;
/// Most bytes between two `/`: what file systems take.
const MAX_COMPONENT: usize = 255;

/// Why text is no path of a file in a ring of weights.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{}` is no path of a file in a ring of weights: {reason}", crate::in_line::InLine(path))]
pub struct FilePathError {
    /// The text.
    pub path: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// A path of a file in a ring of weights: relative, with `/`, and normal as it stands.
///
/// It has no component that leads elsewhere (`..`, `.`, an empty one), that a system reads as something else (`\`, `:`), or that
/// it cuts (a `.` or a space at the end), and nothing that moves a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

impl FilePath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`FilePathError`] with the rule that it breaks.
    pub fn new(path: &str) -> Result<Self, FilePathError> {
        match refuse(path) {
            None => Ok(Self(path.to_owned())),
            Some(reason) => Err(FilePathError { path: path.to_owned(), reason }),
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With ASCII letters of one case, and what orders a folder directly before what lies in it.
    fn folded(&self) -> String {
        self.0.to_ascii_lowercase().replace('/', "\0")
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

fn refuse(path: &str) -> Option<&'static str> {
    if path.len() > MAX_PATH {
        return Some("it is longer than 1024 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if path.contains(['\\', ':']) {
        return Some("it has a backslash or a colon");
    }
    path.split('/').find_map(|component| {
        if component.is_empty() {
            Some("it begins or ends with `/`, has two in a row, or is empty")
        } else if component.len() > MAX_COMPONENT {
            Some("a name in it is longer than 255 bytes")
        } else if component.ends_with(['.', ' ']) {
            Some("a name in it ends with a dot or a space")
        } else {
            None
        }
    })
}

/// Checks that paths strictly ascend, and that none is, but for the case of ASCII letters, another or one of its folders. The
/// error is one that is not so.
pub(super) fn verify_unique<'a>(
    paths: impl Iterator<Item = &'a FilePath> + Clone,
) -> Result<(), &'a FilePath> {
    let behind = paths.clone().skip(1);
    if let Some((_, path)) = paths.clone().zip(behind).find(|(a, b)| a >= b) {
        return Err(path);
    }
    let mut folded: Vec<(String, &FilePath)> = paths.map(|path| (path.folded(), path)).collect();
    folded.sort();
    // Whatever begins with a path and a separator stands directly behind it: no other character is as small.
    let clash = folded.windows(2).find_map(|pair| match pair {
        [(a, _), (b, path)] => {
            let rest = b.strip_prefix(a.as_str())?;
            (rest.is_empty() || rest.starts_with('\0')).then_some(*path)
        }
        _ => None,
    });
    clash.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_folder_and_means_the_same_everywhere() {
        let long = "d/".repeat(511) + "ab";
        let name = "n".repeat(255);
        for fine in [
            "a",
            "a/b",
            "model-00001-of-00002.safetensors",
            ".hidden",
            "a..b",
            "a b",
            "ä/日本",
            &long,
            &name,
        ] {
            assert_eq!(FilePath::new(fine).unwrap().as_str(), fine);
        }
        let (too_long, long_name) = (long.clone() + "c", name.clone() + "n");
        for refused in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a\\b",
            "C:a", "a\0b", "a\nb", "a\u{7f}", "a\u{85}b", "a.", "a ", "a./b", "...", &too_long,
            &long_name,
        ] {
            assert!(FilePath::new(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn paths_are_in_order_and_none_is_another_or_its_folder() {
        let verify = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|p| FilePath::new(p).unwrap()).collect();
            verify_unique(paths.iter()).map_err(|p| p.as_str().to_owned())
        };
        verify(&["a"]).unwrap();
        verify(&["A/x", "a/y", "ab", "b/c/d", "b/c0"]).unwrap();
        // Folding is of ASCII alone.
        verify(&["ä", "Ä"]).unwrap_err();
        verify(&["Ä", "ä"]).unwrap();
        for (paths, named) in [
            (&["a", "a"][..], "a"),
            (&["b", "a"], "a"),
            (&["A", "a"], "a"),
            (&["a", "a/b"], "a/b"),
            (&["A/b", "a"], "A/b"),
            (&["a", "a!", "a/b"], "a/b"),
            (&["A/b/c", "B", "a/B"], "A/b/c"),
        ] {
            assert_eq!(verify(paths), Err(named.to_owned()), "{paths:?}");
        }
    }
}
