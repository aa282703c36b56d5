use std::io::Write as _;

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Both ways of writing, whatever this system has.
fn both(target: &Path) -> impl Iterator<Item = Replacement> {
    let ways: [fn(&Path) -> io::Result<Replacement>; 2] =
        [Replacement::of, |target| Replacement::named(target, 0o600, There::at(target)?)];
    ways.into_iter().map(|way| way(target).unwrap())
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    for (old, way) in [(None, 0), (None, 1), (Some(&b"before"[..]), 0), (Some(b"before"), 1)] {
        let _ = fs::remove_file(&target);
        old.iter().for_each(|old| fs::write(&target, old).unwrap());
        for mut new in both(&target).skip(way).take(1) {
            new.write_all(b"after").unwrap();
            assert_eq!(fs::read(new.path()).unwrap(), b"after");
            assert_eq!(fs::read(&target).ok().as_deref(), old);
            new.commit().unwrap();
            assert_eq!(fs::read(&target).unwrap(), b"after");
            assert_eq!(names(folder.path()), ["file"]);
        }
    }
    for new in both(&target) {
        drop(new);
        assert_eq!(names(folder.path()), ["file"]);
    }
}

#[test]
fn a_name_that_is_taken_is_not_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    for mut new in both(&target) {
        new.write_all(b"mine").unwrap();
        fs::write(&target, b"theirs").unwrap();
        assert_eq!(new.commit_new().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        assert_eq!(names(folder.path()), ["file"]);
        fs::remove_file(&target).unwrap();
    }
    for new in both(&target) {
        new.commit_new().unwrap();
        fs::remove_file(&target).unwrap();
    }
}

/// The file that was looked at before the work was that one, or there was none.
#[test]
fn what_was_put_there_meanwhile_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    for old in [None, Some("before")] {
        for way in 0..2 {
            let _ = fs::remove_file(&target);
            old.iter().for_each(|old| fs::write(&target, old).unwrap());
            let new = both(&target).nth(way).unwrap();
            // By another name, since the system may give a number again.
            fs::write(folder.path().join("other"), "key").unwrap();
            fs::rename(folder.path().join("other"), &target).unwrap();
            assert_eq!(new.commit().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&target).unwrap(), b"key");
            assert_eq!(names(folder.path()), ["file"]);
        }
    }
}

/// `/dev/stdout` and its like are links: a rename would put the file in their place.
#[cfg(target_os = "linux")]
#[test]
fn the_names_of_descriptors_are_refused_though_a_file_is_behind_them() {
    use std::os::fd::AsRawFd as _;
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("file")).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(format!("/proc/self/fd/{}", file.as_raw_fd()), &link).unwrap();
    for target in [link, format!("/dev/fd/{}", file.as_raw_fd()).into()] {
        let refused = Replacement::of(&target).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{}", target.display());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_not_committed_has_no_name_that_could_stay() {
    // Memory is a file system that has files without a name.
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
    let mut new = Replacement::of(&folder.path().join("file")).unwrap();
    new.write_all(b"secret").unwrap();
    assert_eq!(names(folder.path()), [""; 0]);
    std::mem::forget(new);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn the_longest_name_is_written_and_a_longer_one_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let longest = "é".repeat(127);
    for new in both(&folder.path().join(&longest)) {
        new.commit().unwrap();
        assert_eq!(names(folder.path()), std::slice::from_ref(&longest));
    }
    let longer = folder.path().join("n".repeat(256));
    assert_eq!(Replacement::of(&longer).unwrap_err().kind(), io::ErrorKind::InvalidFilename);
}

#[cfg(unix)]
#[test]
fn permissions_are_the_targets_or_those_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    replace_private_file(&target, b"").unwrap();
    assert_eq!(mode_of(&target), Some(0o600));
    replace_file(&target, b"").unwrap();
    assert_eq!(mode_of(&target), Some(0o600));
    let new = folder.path().join("new");
    Replacement::private_unless_there(&new).unwrap().commit().unwrap();
    assert_eq!(mode_of(&new), Some(0o600));
}

/// File systems give the inode number of a deleted file to the next one.
#[cfg(target_os = "linux")]
#[test]
fn a_file_in_the_place_and_with_the_number_of_one_that_is_gone_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    std::fs::write(&target, "old").unwrap();
    let begun = Replacement::of(&target).unwrap();
    std::fs::remove_file(&target).unwrap();
    std::fs::write(&target, "another").unwrap();
    let refused = begun.commit().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&target).unwrap(), b"another");
}
