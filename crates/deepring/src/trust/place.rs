//! The names under which a path is remembered.

use std::fmt::Write as _;
use std::path::Path;

use crate::resolved_path::ResolvedPath;

/// The names of a path, as text. Whether anything is there makes no difference: a path that was
/// known and is gone keeps its names.
///
/// All are needed. By the last alone, a link put in a file's place, or changed on the way to it,
/// would lead to a name that nothing is bound to; by the first alone, another way to the same file
/// would; without those between, another way to such a link.
pub(super) fn names_of(way: &ResolvedPath) -> Vec<String> {
    way.names().iter().map(|name| name_of(name)).collect()
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

    fn names_at(path: &Path) -> std::io::Result<Vec<String>> {
        ResolvedPath::of(path).map(|way| names_of(&way))
    }

    #[test]
    fn a_link_has_its_own_name_and_that_of_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", dir.join("link")).unwrap();
        let text = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        assert_eq!(names_at(&dir.join("link")).unwrap(), [text("link"), text("file")]);
        assert_eq!(names_at(&dir.join("./file")).unwrap(), [text("file")]);
        assert_eq!(names_at(&dir.join("none")).unwrap(), [text("none")]);
    }

    #[test]
    fn what_is_gone_keeps_its_names_by_every_way_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("real/sub")).unwrap();
        std::os::unix::fs::symlink("real", dir.join("way")).unwrap();
        let text = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        for way in ["real/sub/../gone", "way/gone", "none/../real/gone"] {
            assert_eq!(names_at(&dir.join(way)).unwrap(), [text(way), text("real/gone")], "{way}");
        }
        let way = "way/sub/../gone";
        let names = [text(way), text("way/gone"), text("real/gone")];
        assert_eq!(names_at(&dir.join(way)).unwrap(), names);
        std::os::unix::fs::symlink("elsewhere", dir.join("real/gone")).unwrap();
        let names = [text("way/gone"), text("real/gone"), text("real/elsewhere")];
        assert_eq!(names_at(&dir.join("way/gone")).unwrap(), names);
    }

    #[test]
    fn paths_that_are_no_text_keep_names_of_their_own() {
        let [one, two] = [b"/a/\xff", b"/a/\xfe"].map(|b| name_of(Path::new(OsStr::from_bytes(b))));
        assert_eq!(one, "bytes:2f612fff");
        assert_ne!(one, two);
    }
}
