//! `deepring keygen`: key pairs in a folder.

use std::fs;
use std::path::Path;

use deepring::files::write_key_pair;
use deepring::keys::{Node, Role};
use deepring::{Host, Owner, SecretKey};

use crate::cli::Keygen;
use crate::error::{CliError, Exit};
use crate::output;

pub(crate) fn keygen(args: &Keygen) -> Result<(), CliError> {
    let dir = &args.out;
    fs::create_dir_all(dir)
        .map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", dir.display())))?;
    // All or none: a second run must not leave an owner without its host.
    let names: &[&str] = match args.node {
        true => &["node.key", "node.pub"],
        false => &["owner.key", "owner.pub", "host.key", "host.pub"],
    };
    for path in names.iter().map(|name| dir.join(name)) {
        if fs::symlink_metadata(&path).is_ok() {
            let message =
                format!("{}: exists already, and keys are never overwritten", path.display());
            return Err(CliError::new(Exit::Failed, message).hint("choose another folder"));
        }
    }
    match args.node {
        true => make::<Node>(dir)?,
        false => {
            // Both are made before either is written.
            let (owner, host) = (SecretKey::<Owner>::generate()?, SecretKey::<Host>::generate()?);
            keep(dir, &owner)?;
            keep(dir, &host)?;
        }
    }
    output::note(format_args!(
        "wrote {} to {}; keep the .key files secret",
        names.join(" "),
        dir.display()
    ));
    Ok(())
}

fn make<R: Role>(dir: &Path) -> Result<(), CliError> {
    keep(dir, &SecretKey::<R>::generate()?)
}

fn keep<R: Role>(dir: &Path, key: &SecretKey<R>) -> Result<(), CliError> {
    write_key_pair(dir, key)?;
    output::line(format_args!("{:<5} {}", R::NAME, key.public()))
}
