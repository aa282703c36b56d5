//! Passphrases: asked for on the terminal, or read from a descriptor; never from arguments or the environment, which other
//! processes can read.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

use deepring::files::InLine;
use deepring::keys::{MAX_PASSPHRASE, Passphrase};
use zeroize::Zeroizing;

use crate::error::{CliError, Exit};
use crate::inherited::is_inherited;
use crate::terminal::hidden_line;

/// A passphrase, typed on the terminal without being shown. `fd_option` is what to use where there is no terminal.
pub(crate) fn prompted(prompt: &str, fd_option: &str) -> Result<Passphrase, CliError> {
    let typed = hidden_line(&format!("{}: ", InLine(prompt)));
    let text = typed.map_err(|e| not_asked(&e, prompt, fd_option))?;
    Passphrase::new(text).map_err(CliError::usage)
}

/// A new passphrase, typed twice.
pub(crate) fn prompted_twice(prompt: &str, fd_option: &str) -> Result<Passphrase, CliError> {
    let first = prompted(prompt, fd_option)?;
    match prompted("again", fd_option)? == first {
        true => Ok(first),
        false => Err(CliError::usage("the two passphrases are not the same")
            .hint("nothing was written; try again")),
    }
}

fn not_asked(e: &io::Error, prompt: &str, fd_option: &str) -> CliError {
    match e.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => {
            CliError::new(Exit::Failed, format!("{prompt}: not given"))
        }
        _ => CliError::usage(format!("{prompt}: there is no terminal to ask"))
            .hint(format!("have a descriptor give it, as `{fd_option} 3 3< FILE` does")),
    }
}

/// The first line that a descriptor gives; one that this process was started with.
pub(crate) fn from_descriptor(descriptor: u32) -> Result<Passphrase, CliError> {
    let opened = match descriptor {
        0 => standard_input(),
        n if is_inherited(n) => open(n),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "this command was not started with it")),
    };
    if opened.as_ref().is_ok_and(File::is_terminal) {
        let message =
            format!("descriptor {descriptor} is a terminal, which would show what is typed");
        return Err(CliError::usage(message)
            .hint("leave the option out: the terminal is asked then, and shows nothing"));
    }
    let text = opened.and_then(first_line).map_err(|e| {
        CliError::usage(format!("descriptor {descriptor} gives no passphrase: {e}"))
            .hint("a shell opens one with `3< FILE`, or `3<<< TEXT`")
    })?;
    Passphrase::new(text)
        .map_err(|e| CliError::usage(format!("the passphrase from descriptor {descriptor}: {e}")))
}

/// Descriptor 0, without the buffer of the standard library's own, which keeps what was read.
fn standard_input() -> io::Result<File> {
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?;
    Ok(own.into())
}

/// A descriptor that this process was started with, by its name: the system opens what it leads to once more.
#[allow(
    clippy::disallowed_methods,
    reason = "a pipe is what is expected here, and its end is awaited"
)]
fn open(descriptor: u32) -> io::Result<File> {
    if !is_for_reading(descriptor) {
        let reason = "it was not opened for reading";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    File::open(format!("/dev/fd/{descriptor}"))
}

/// Whether a descriptor can be read itself. By its name on Linux, one of a log that is only appended to would give the file's
/// first line.
#[cfg(target_os = "linux")]
fn is_for_reading(descriptor: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let link = std::fs::symlink_metadata(format!("/proc/self/fd/{descriptor}"));
    link.is_ok_and(|link| link.mode() & 0o400 != 0)
}

/// Elsewhere the name is the descriptor, and is not opened for more than that.
#[cfg(not(target_os = "linux"))]
fn is_for_reading(_: u32) -> bool {
    true
}

fn first_line(from: impl Read) -> io::Result<Zeroizing<String>> {
    // As large as it gets: a buffer that grows leaves its earlier copies behind, unwiped.
    let most = MAX_PASSPHRASE + 2;
    let mut line = Zeroizing::new(Vec::with_capacity(most + 64));
    // Byte by byte: who gives it need not close the pipe behind the line, and a buffer would keep a copy.
    let (mut from, mut byte) = (from.take(most as u64), Zeroizing::new([0]));
    loop {
        match from.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8 text");
    let text = std::str::from_utf8(&line).map_err(not_text)?;
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    out.push_str(text);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_as_it_is() {
        for (given, line) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\nmore\n", "secret"),
            (" two words \n", " two words "),
            ("\nsecond", ""),
            ("", ""),
            ("ümläut\n", "ümläut"),
        ] {
            assert_eq!(*first_line(given.as_bytes()).unwrap(), line, "{given:?}");
        }
        assert!(first_line(&b"\xff\xfe\n"[..]).is_err());
        // Cut, it is still too long to be taken for one.
        let long = first_line(&*vec![b'x'; 1 << 20]).unwrap();
        assert!(Passphrase::new(long).is_err());
    }
}
