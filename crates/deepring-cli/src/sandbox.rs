//! `run --sandbox`: what this process will need, before it gives up everything else.
//!
//! For who fears the network, a picture or a shared library more than the neighbours: whoever takes the process over
//! through one of these keeps the files of this run and computes, and no more.

#[cfg(all(feature = "sandbox", target_os = "linux"))]
mod linux;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use deepring_onnx::network_files;

use crate::cli::{EngineName, RunArgs};
use crate::error::{CliError, Exit};
use crate::named;
use crate::output;
use crate::rings::default_store;

/// The rights that were given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sandbox {
    /// System calls that fail in this process, by any of its threads.
    pub(crate) denied: usize,
    /// The Landlock version that limits the files; what a newer one could limit besides is not limited.
    pub(crate) landlock: u32,
}

/// The rights that a run still needs.
#[derive(Debug, Default)]
struct Needs {
    /// Files and folders that it reads.
    read: Vec<PathBuf>,
    /// Folders in which it makes, changes and removes files.
    change: Vec<PathBuf>,
    /// True if it loads code that is not loaded yet.
    code: bool,
}

/// Gives up what a run does not need, for good. To be called while there is one thread.
pub(crate) fn enter(args: &RunArgs, trust: Option<&Path>) -> Result<Sandbox, CliError> {
    let needs = Needs::of(args, trust)?;
    restrict(&needs).map_err(|reason| {
        CliError::new(Exit::Failed, format!("no sandbox is to be had: {reason}"))
            .hint("without `--sandbox` the run is as well checked, and not confined")
    })
}

#[cfg(all(feature = "sandbox", target_os = "linux"))]
fn restrict(needs: &Needs) -> Result<Sandbox, String> {
    linux::only_thread()?;
    crate::inherited::close_inherited()?;
    linux::restrict(needs)
}

#[cfg(not(all(feature = "sandbox", target_os = "linux")))]
fn restrict(needs: &Needs) -> Result<Sandbox, String> {
    let Needs { .. } = needs;
    Err("it needs Linux, and a build with the feature `sandbox`".to_owned())
}

impl Needs {
    /// Makes the folders that are written to: they can be allowed only if they exist.
    fn of(args: &RunArgs, trust: Option<&Path>) -> Result<Self, CliError> {
        let mut needs = Self::default();
        match args.plain {
            true => needs.read.extend(network_files(&args.model)),
            false => needs.read.push(args.model.clone()),
        }
        needs.read.extend(args.owner.owner.clone());
        needs.read.extend(args.key.iter().cloned());
        needs.read.extend(args.labels.clone());
        needs.read.extend(args.ledger_key.clone());
        for input in &args.input {
            // `NAME=FILE` or a file with `=` in its name: which one it is, the network will say.
            needs.read.push(input.into());
            needs.read.extend(named::split(input).map(|(_, file)| file.into()));
        }
        // By these the number of threads is found.
        needs.read.extend(
            ["/proc/self/cgroup", "/proc/self/mountinfo", "/sys/fs/cgroup"].map(PathBuf::from),
        );
        if args.engine == EngineName::Ort {
            needs.code = true;
            let set = std::env::var_os("DEEPRING_ORT_LIBRARY").map(PathBuf::from);
            needs.read.extend(args.ort_library.clone().or(set).map(|library| folder_of(&library)));
            // Libraries that the library needs, and what it asks about the processor.
            needs.read.extend(
                ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/sys/devices"]
                    .map(PathBuf::from),
            );
            needs.read.extend(["/proc/cpuinfo", "/proc/self/maps"].map(PathBuf::from));
        }
        if let (Some(store), false) = (trust.map(PathBuf::from).or_else(default_store), args.plain)
        {
            // Where it leads: there it is written, and its lock lies there.
            let folder = folder_of(&output::resolved_for(&store)?);
            // A store that cannot be written is said, and is not fatal.
            let mut made = fs::DirBuilder::new();
            made.recursive(true);
            // As the store itself would make it: its user's alone.
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
            let _ = made.create(&folder);
            needs.change.push(folder);
        }
        needs.change.extend(args.receipt.as_deref().map(folder_of));
        // A ledger is not made on the way: where there is none, the run will say so.
        needs.change.extend(args.ledger.iter().filter(|folder| folder.is_dir()).cloned());
        for folder in args.output_dir.iter().chain(&args.save_inputs) {
            let made = fs::create_dir_all(folder).and_then(|()| sync(&folder_of(folder)));
            made.map_err(|e| CliError::new(Exit::Failed, format!("{}: {e}", folder.display())))?;
            needs.change.push(folder.clone());
        }
        Ok(needs)
    }
}

/// The folder's new names are on disk: the ledger, once confined, cannot see to that.
#[allow(clippy::disallowed_methods, reason = "a folder, which is not read")]
fn sync(folder: &Path) -> std::io::Result<()> {
    // A folder that may not be read cannot be synced, confined or not.
    File::open(folder).map_or(Ok(()), |folder| folder.sync_all())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_run_whose_sandbox_cannot_be_had_ends_with_1() {
        let words = ["deepring", "run", "net.onnx", "--plain", "--input", "x.npy", "--sandbox"];
        let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not a run")
        };
        assert!(args.process.sandbox);
        // A test has a thread of its own beside the main one, which would stay as it is. Elsewhere than on Linux
        // there is nothing to be had at all.
        let refused = enter(&args, None).unwrap_err();
        assert_eq!(refused.exit, Exit::Failed);
    }
}
