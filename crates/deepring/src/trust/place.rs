//! Under which names a path is remembered.

use std::fmt::Write as _;
use std::path::Path;

/// The names of a path: as it was given, made absolute, and where it leads once links are followed.
///
/// Both are needed. By the second alone, a link put in a file's place would lead to a name that nothing is bound to;
/// by the first alone, another way to the same file would.
pub(super) fn names_of(path: &Path) -> Vec<String> {
    let given = std::path::absolute(path).ok();
    let real = path.canonicalize().ok();
    let mut names: Vec<String> = given.iter().chain(&real).map(|p| name_of(p)).collect();
    names.dedup();
    names
}

/// A path as text, no two alike. An absolute path never begins with `bytes:`.
fn name_of(path: &Path) -> String {
    path.to_str().map_or_else(
        || {
            let mut name = String::from("bytes:");
            for byte in path.as_os_str().as_encoded_bytes() {
                // Writing to a string does not fail.
                let _ = write!(name, "{byte:02x}");
            }
            name
        },
        str::to_owned,
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_link_has_its_own_name_and_that_of_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", dir.join("link")).unwrap();
        let text = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        assert_eq!(names_of(&dir.join("link")), [text("link"), text("file")]);
        assert_eq!(names_of(&dir.join("./file")), [text("file")]);
        assert_eq!(names_of(&dir.join("none")), [text("none")]);
    }

    #[test]
    fn paths_that_are_no_text_keep_names_of_their_own() {
        let [one, two] = [b"/a/\xff", b"/a/\xfe"].map(|b| name_of(Path::new(OsStr::from_bytes(b))));
        assert_eq!(one, "bytes:2f612fff");
        assert_ne!(one, two);
    }
}
