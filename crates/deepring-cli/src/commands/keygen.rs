//! `deepring keygen`: two key pairs in a folder.

use std::fs;

use deepring::files::write_key_pair;
use deepring::{Host, Owner, SecretKey};

use crate::cli::Keygen;
use crate::error::{CliError, Exit};
use crate::output;

pub(crate) fn keygen(args: &Keygen) -> Result<(), CliError> {
    let dir = &args.out;
    fs::create_dir_all(dir)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", dir.display())))?;
    // All four or none: a second run must not leave an owner without its host.
    for name in ["owner.key", "owner.pub", "host.key", "host.pub"] {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            let message =
                format!("{}: exists already, and keys are never overwritten", path.display());
            return Err(CliError::new(Exit::Failed, message).hint("choose another folder"));
        }
    }
    let owner = SecretKey::<Owner>::generate()?;
    let host = SecretKey::<Host>::generate()?;
    write_key_pair(dir, &owner)?;
    write_key_pair(dir, &host)?;
    output::line(format_args!("owner {}", owner.public()))?;
    output::line(format_args!("host  {}", host.public()))?;
    output::note(format_args!(
        "wrote owner.key owner.pub host.key host.pub to {}; keep the .key files secret",
        dir.display()
    ));
    Ok(())
}
