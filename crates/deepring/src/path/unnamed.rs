//! Files that a path leads to and that no name denotes.

use std::io;
use std::path::Path;

/// Refuses a link of the system that leads elsewhere than its text says, where `leads_to` is that
/// text's path.
///
/// Those of /proc (a process's root and working directory, an open descriptor) lead to the very
/// file, which can lie in another process's mount namespace, or under a name that is deleted or
/// covered. A check that follows the text looks at another file than the one that is opened: at
/// none, where a key lies.
pub(super) fn spare_misleading(folder: &Path, link: &Path, leads_to: &Path) -> io::Result<()> {
    match is_of_the_system(folder) && !is_one_file(link, leads_to)? {
        true => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "leads to a file that no name leads to",
        )),
        false => Ok(()),
    }
}

/// Refuses a working directory that its name no longer leads to.
pub(super) fn spare_covered(working: &Path) -> io::Result<()> {
    match is_one_file(Path::new("."), working)? {
        true => Ok(()),
        false => {
            let reason = "the working folder is not the one that its name leads to";
            Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
        }
    }
}

#[cfg(target_os = "linux")]
fn is_of_the_system(folder: &Path) -> bool {
    use rustix::fs::{PROC_SUPER_MAGIC, statfs};
    statfs(folder).map_or(true, |about| about.f_type == PROC_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_of_the_system(_: &Path) -> bool {
    false
}

/// Returns whether two paths lead to one file by one mount, or both to none.
#[cfg(target_os = "linux")]
fn is_one_file(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(number(one)? == number(other)?)
}

#[cfg(not(target_os = "linux"))]
fn is_one_file(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Identifies a file. Each mount namespace has mounts of its own, of the same devices.
#[cfg(target_os = "linux")]
#[derive(PartialEq, Eq)]
struct Number {
    /// Where the system reports it: from Linux 5.8 on.
    mount: Option<u64>,
    device: (u32, u32),
    file: u64,
}

#[cfg(target_os = "linux")]
fn number(path: &Path) -> io::Result<Option<Number>> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, major, minor, stat, statx};
    use rustix::io::Errno;
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID) {
        Ok(about) => {
            let told = StatxFlags::from_bits_retain(about.stx_mask).contains(StatxFlags::MNT_ID);
            let mount = told.then_some(about.stx_mnt_id);
            let device = (about.stx_dev_major, about.stx_dev_minor);
            Ok(Some(Number { mount, device, file: about.stx_ino }))
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::NOSYS) => {
            let about = stat(path)?;
            let device = (major(about.st_dev), minor(about.st_dev));
            Ok(Some(Number { mount: None, device, file: about.st_ino }))
        }
        Err(e) => Err(e.into()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd as _;

    use crate::path::resolved;

    #[test]
    fn what_no_name_leads_to_has_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (path, sub) = (dir.join("file"), dir.join("sub"));
        std::fs::create_dir(&sub).unwrap();
        let [file, folder] =
            [std::fs::File::create(&path).unwrap(), std::fs::File::open(&sub).unwrap()];
        let [file_way, folder_way] = [&file, &folder]
            .map(|f| std::path::PathBuf::from(format!("/proc/self/fd/{}", f.as_raw_fd())));
        assert_eq!(resolved(&file_way).unwrap(), path);
        assert_eq!(resolved(&folder_way.join("x")).unwrap(), sub.join("x"));
        // What lies at the text is another file.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(dir.join("file (deleted)"), "").unwrap();
        std::fs::rename(&sub, dir.join("moved")).unwrap();
        assert!(resolved(&file_way).is_err());
        assert_eq!(resolved(&folder_way.join("x")).unwrap(), dir.join("moved/x"));
        std::fs::remove_dir(dir.join("moved")).unwrap();
        assert!(resolved(&folder_way.join("x")).is_err());
        // The system's other links are as others are.
        let own = format!("/proc/{}/root{}", std::process::id(), dir.display());
        assert_eq!(resolved(std::path::Path::new(&own)).unwrap(), dir);
    }
}
