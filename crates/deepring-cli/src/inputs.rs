//! `--input [NAME=]FILE`: files to tensors, tensors to queries.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use deepring::{TensorSpec, TensorValue};
use deepring_infer::inputs::{Preprocess, read_npy, read_picture};

use crate::error::{CliError, Exit};
use crate::named::{split, strip_prefix};

/// How pictures become inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pictures<'a> {
    /// By this recipe.
    By(&'a Preprocess),
    /// Not at all: there is no recipe.
    NoRecipe,
    /// Not here: the recipe, if any, is sealed in Genesis, which only hosts open.
    Sealed,
}

/// Reads all inputs and groups them into queries.
///
/// A network with one input takes any number of files, one a query. With several inputs, files are given
/// by name (or all in the declared order); a name given k times makes k queries.
pub(crate) fn read_queries(
    given: &[OsString],
    declared: &[TensorSpec],
    pictures: Pictures<'_>,
) -> Result<Vec<Vec<TensorValue>>, CliError> {
    let mut files: Vec<Vec<&OsStr>> = vec![Vec::new(); declared.len()];
    let mut unnamed = Vec::new();
    for item in given {
        match split_name(item, declared)? {
            (Some(place), file) => {
                if let Some(list) = files.get_mut(place) {
                    list.push(file);
                }
            }
            (None, file) => unnamed.push(file),
        }
    }
    if !unnamed.is_empty() {
        let named = files.iter().any(|f| !f.is_empty());
        if named || unnamed.len() % declared.len().max(1) != 0 {
            return Err(CliError::usage(format!(
                "the network has {} inputs; say which file is for which",
                declared.len()
            ))
            .hint(format!("write `--input NAME=FILE`; the inputs are {}", list(declared))));
        }
        for query in unnamed.chunks(declared.len().max(1)) {
            files.iter_mut().zip(query).for_each(|(list, file)| list.push(file));
        }
    }
    let queries = files.iter().map(Vec::len).max().unwrap_or(0);
    if let Some((spec, _)) = declared.iter().zip(&files).find(|(_, f)| f.len() != queries) {
        return Err(CliError::usage(format!("input `{}` is not given for each query", spec.name))
            .hint(format!("the inputs are {}", list(declared))));
    }
    (0..queries)
        .map(|q| {
            let pairs = declared.iter().zip(&files);
            pairs
                .filter_map(|(spec, files)| Some((spec, *files.get(q)?)))
                .map(|(spec, file)| read_one(Path::new(file), spec, pictures))
                .collect()
        })
        .collect()
}

/// `NAME=FILE`, where NAME is an input of the network; else the whole text is a file, whose name may
/// hold `=`.
fn split_name<'a>(
    item: &'a OsStr,
    declared: &[TensorSpec],
) -> Result<(Option<usize>, &'a OsStr), CliError> {
    let file = |spec: &TensorSpec| strip_prefix(strip_prefix(item, &spec.name)?, "=");
    let named = declared.iter().enumerate().find_map(|(place, spec)| Some((place, file(spec)?)));
    if let Some((place, file)) = named {
        return Ok((Some(place), file));
    }
    if let Some((name, _)) = split(item)
        && !Path::new(item).exists()
    {
        return Err(CliError::new(Exit::Failed, format!("the network has no input `{name}`"))
            .hint(format!("the inputs are {}", list(declared))));
    }
    Ok((None, item))
}

fn read_one(
    path: &Path,
    spec: &TensorSpec,
    pictures: Pictures<'_>,
) -> Result<TensorValue, CliError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
        return Ok(read_npy(path, &spec.name)?);
    }
    if !path.exists() {
        return Err(CliError::new(Exit::Failed, format!("{}: no such file", path.display())));
    }
    let failed = |what| CliError::new(Exit::Failed, format!("{}: {what}", path.display()));
    match pictures {
        Pictures::By(recipe) => Ok(read_picture(path, &spec.name, recipe)?),
        Pictures::NoRecipe => Err(failed("no recipe for pictures")
            .hint("seal the ring with `--preprocess`, or give a .npy file")),
        Pictures::Sealed => Err(failed(
            "only a .npy file can be compared: how a picture becomes an input is sealed, and only the ring's hosts can read it",
        )
        .hint("have the host write the tensors that were asked with `run --save-inputs DIR`, and give DIR/NAME.npy")),
    }
}

fn list(declared: &[TensorSpec]) -> String {
    declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
