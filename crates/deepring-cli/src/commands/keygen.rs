//! `deepring keygen`: key pairs in a folder.

use std::fs;
use std::path::Path;

use deepring::files::{write_encrypted_key_pair, write_key_pair};
use deepring::keys::{Node, Passphrase, Role};
use deepring::{Host, Owner, SecretKey};

use crate::cli::Keygen;
use crate::error::{CliError, Exit};
use crate::output;
use crate::own_names;
use crate::passphrase::{from_descriptor, prompted_twice};

pub(crate) fn keygen(args: &Keygen, trust: Option<&Path>) -> Result<(), CliError> {
    let dir = &args.out;
    // All or none: a second run must not leave an owner without its host.
    let names: &[&str] = match args.node {
        true => &["node.key", "node.pub"],
        false => &["owner.key", "owner.pub", "host.key", "host.pub"],
    };
    own_names::spare(dir, names, [], trust)?;
    fs::create_dir_all(dir)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", dir.display())))?;
    for path in names.iter().map(|name| dir.join(name)) {
        if fs::symlink_metadata(&path).is_ok() {
            let message =
                format!("{}: exists already, and keys are never overwritten", path.display());
            return Err(CliError::new(Exit::Failed, message).hint("choose another folder"));
        }
    }
    let passphrase = match (args.passphrase_fd, args.passphrase) {
        (Some(descriptor), _) => Some(from_descriptor(descriptor)?),
        (None, true) => Some(prompted_twice("passphrase of the new key files", "--passphrase-fd")?),
        (None, false) => None,
    };
    let passphrase = passphrase.as_ref();
    match args.node {
        true => keep(dir, &SecretKey::<Node>::generate()?, passphrase)?,
        false => {
            // Both are made before either is written.
            let (owner, host) = (SecretKey::<Owner>::generate()?, SecretKey::<Host>::generate()?);
            keep(dir, &owner, passphrase)?;
            keep(dir, &host, passphrase)?;
        }
    }
    output::note(format_args!(
        "wrote {} to {}; keep the .key files secret{}",
        names.join(" "),
        dir.display(),
        if passphrase.is_some() {
            ", and the passphrase in mind: nothing brings it back"
        } else {
            ""
        }
    ));
    Ok(())
}

fn keep<R: Role>(
    dir: &Path,
    key: &SecretKey<R>,
    passphrase: Option<&Passphrase>,
) -> Result<(), CliError> {
    match passphrase {
        Some(passphrase) => write_encrypted_key_pair(dir, key, passphrase)?,
        None => write_key_pair(dir, key)?,
    }
    output::line(format_args!("{:<5} {}", R::NAME, key.public()))
}
