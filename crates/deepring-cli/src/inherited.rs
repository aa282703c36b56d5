//! The descriptors that this process was started with, beside those of its input and outputs.

use std::io;
use std::sync::OnceLock;

/// `None` where the system did not list them.
static INHERITED: OnceLock<Option<Vec<u32>>> = OnceLock::new();

/// Notes which descriptors this process was started with. To be called before it opens anything: a number that was given for a
/// descriptor that is not there would be that of a file of its own, and that file's first line the passphrase.
pub(crate) fn note_inherited() {
    INHERITED.get_or_init(|| listed().ok());
}

fn listed() -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for name in std::fs::read_dir("/dev/fd")? {
        numbers.extend(name?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    // The listing's own is closed by now.
    numbers.retain(|n| *n > 2 && std::fs::symlink_metadata(format!("/dev/fd/{n}")).is_ok());
    Ok(numbers)
}

/// Returns whether this process was started with this descriptor.
pub(crate) fn is_inherited(descriptor: u32) -> bool {
    INHERITED.get().and_then(Option::as_ref).is_some_and(|known| known.contains(&descriptor))
}

/// Closes them, for good: whoever takes the process over would have whatever they lead to. To be called once.
#[cfg(all(feature = "sandbox", target_os = "linux"))]
pub(crate) fn close_inherited() -> Result<(), String> {
    let known = INHERITED.get().and_then(Option::as_ref);
    let known = known.ok_or("the descriptors that it was started with are not listed")?;
    for number in known {
        let number = i32::try_from(*number).map_err(|e| e.to_string())?;
        // No value of this process owns it: it opened none of them.
        nix::unistd::close(number).map_err(|e| format!("descriptor {number}: {e}"))?;
    }
    Ok(())
}
