//! The files that a run, or a query, will write: that it can, and that it writes over none that it reads or keeps.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use deepring::TensorSpec;
use deepring::files::{Place, ResolvedPath, ledger_files, spare_kept};
use deepring_onnx::network_files;

use super::tensors::untaken_name;
use crate::begun::Begun;
use crate::cli::RunArgs;
use crate::error::{CliError, Exit};
use crate::named;
use crate::output;
use crate::rings;

/// Refuses to make a folder where a ring is bound. To be called before any is made.
pub(in crate::commands) fn spare_bound_folders<'a>(
    folders: impl IntoIterator<Item = &'a PathBuf>,
    trust: Option<&Path>,
) -> Result<(), CliError> {
    let folders: Vec<ResolvedPath> =
        folders.into_iter().map(|dir| output::resolved_path(dir)).collect::<Result<_, _>>()?;
    if folders.is_empty() { Ok(()) } else { rings::spare_all_bound(&folders, trust) }
}

/// Makes the folders that tensors go to, and refuses those that could not be written to.
pub(in crate::commands) fn make_folders<'a>(
    folders: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), CliError> {
    for dir in folders {
        fs::create_dir_all(dir).map_err(|e| failed(dir, &e))?;
        output::writable(&dir.join(".npy"))?;
    }
    Ok(())
}

/// Makes the folders that tensors go to, and refuses what could not be written or must not be. To be called before
/// anything is decided, and so recorded. Gives the receipt's file, begun.
pub(super) fn before_anything(
    args: &RunArgs,
    trust: Option<&Path>,
) -> Result<Option<Begun>, CliError> {
    make_folders(args.output_dir.iter().chain(&args.save_inputs))?;
    let begin = |receipt: &PathBuf| {
        Begun::at(receipt, read(args, trust).iter().map(PathBuf::as_path), trust)
    };
    args.receipt.as_ref().map(begin).transpose()
}

/// The same for the files of the tensors, whose names the network gives.
pub(super) fn before_it_computes(
    args: &RunArgs,
    trust: Option<&Path>,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    queries: usize,
) -> Result<(), CliError> {
    let mut read = read(args, trust);
    read.extend(args.receipt.clone());
    let folders = [(args.output_dir.as_deref(), outputs), (args.save_inputs.as_deref(), inputs)];
    spare_tensor_files(&folders, queries, read, trust)
}

/// Refuses to write the tensors of these folders over what is read or kept.
pub(in crate::commands) fn spare_tensor_files(
    folders: &[(Option<&Path>, &[TensorSpec])],
    queries: usize,
    read: Vec<PathBuf>,
    trust: Option<&Path>,
) -> Result<(), CliError> {
    let read = read.iter().map(|path| output::place_of(path));
    let read: HashSet<Place> = read.collect::<Result<_, _>>()?;
    let (mut taken, mut files) = (HashSet::new(), Vec::new());
    for (dir, specs) in folders {
        let Some(dir) = dir else { continue };
        let folder = dir.canonicalize().map_err(|e| failed(dir, &e))?;
        for query in 0..queries {
            for spec in *specs {
                let name = untaken_name(&folder, &spec.name, query, queries, &mut taken);
                let (file, place) = (dir.join(&name), folder.join(&name));
                if read.contains(&output::place_of(&place)?) {
                    output::keep(&file, [place.as_path()])?;
                }
                spare_kept(&place).map_err(|e| failed(&file, &e))?;
                files.push(file);
            }
        }
    }
    let files: Vec<ResolvedPath> =
        files.iter().map(|file| output::resolved_path(file)).collect::<Result<_, _>>()?;
    rings::spare_all_bound(&files, trust)
}

/// Every file that a run reads, or keeps what it learns in.
fn read(args: &RunArgs, trust: Option<&Path>) -> Vec<PathBuf> {
    let mut files = match args.plain {
        true => network_files(&args.model),
        false => vec![args.model.clone()],
    };
    files.extend(args.key.iter().cloned());
    let one = [&args.owner.owner, &args.labels, &args.ledger_key, &args.ort_library];
    files.extend(one.into_iter().flatten().cloned());
    files.extend(input_files(&args.input));
    files.extend(
        args.ledger.iter().flat_map(|dir| ledger_files::LASTING.map(|name| dir.join(name))),
    );
    files.extend(rings::store_files(trust));
    files
}

/// Every file that these inputs can mean: whether a name stands before it, the network will say.
pub(in crate::commands) fn input_files(inputs: &[OsString]) -> impl Iterator<Item = PathBuf> {
    inputs.iter().flat_map(|input| {
        [Some(input.into()), named::split(input).map(|(_, file)| file.into())].into_iter().flatten()
    })
}

fn failed(path: &Path, e: &std::io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {e}", path.display()))
}
