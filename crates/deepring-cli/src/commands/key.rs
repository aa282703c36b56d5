//! `deepring key passphrase`: a secret key file under another passphrase, its first one, or none.

use deepring::files::Rewriting;

use crate::cli::{KeyCommand, KeyPassphrase};
use crate::error::CliError;
use crate::output;
use crate::passphrase::{from_descriptor, prompted, prompted_twice};

pub(crate) fn key(args: &KeyCommand) -> Result<(), CliError> {
    match args {
        KeyCommand::Passphrase(args) => passphrase(args),
    }
}

fn passphrase(args: &KeyPassphrase) -> Result<(), CliError> {
    let (old_fd, new_fd) = (args.passphrase.passphrase_fd, args.new_passphrase_fd);
    if old_fd.is_some() && old_fd == new_fd {
        return Err(CliError::usage("one descriptor gives one passphrase")
            .hint("`--passphrase-fd 3 --new-passphrase-fd 4` takes two"));
    }
    let rewriting = Rewriting::begin(&args.file)?;
    let shown = args.file.display();
    let old = match (rewriting.is_encrypted(), old_fd) {
        (false, None) if args.remove => {
            return Err(CliError::usage(format!("{shown}: this secret key has no passphrase")));
        }
        (false, None) => None,
        // Where there is none to open, the library refuses: who gives one believes the key protected.
        (_, Some(descriptor)) => Some(from_descriptor(descriptor)?),
        (true, None) => Some(prompted(&format!("passphrase of {shown}"), "--passphrase-fd")?),
    };
    let new = match (args.remove, new_fd) {
        (true, _) => None,
        (false, Some(descriptor)) => Some(from_descriptor(descriptor)?),
        (false, None) => {
            Some(prompted_twice(&format!("new passphrase of {shown}"), "--new-passphrase-fd")?)
        }
    };
    if new.is_some() && new == old {
        return Err(CliError::usage("the new passphrase is the old one").hint(
            "each descriptor gives its first line: a file of two lines is no two passphrases",
        ));
    }
    rewriting.write(old.as_ref(), new.as_ref())?;
    output::note(match new {
        Some(_) => format!("{shown} is encrypted with the new passphrase"),
        None => format!("{shown} has no passphrase any more: whoever reads it can act with it"),
    });
    if old.is_none() {
        output::note("what the file was before may still be read off the disk, or out of a backup");
    }
    Ok(())
}
