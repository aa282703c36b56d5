//! `--input [NAME=]FILE`: files to tensors, tensors to queries.

use std::path::Path;

use deepring::{TensorSpec, TensorValue};
use deepring_infer::{Preprocess, read_npy, read_picture};

use crate::error::{CliError, Exit};

/// Reads all inputs and groups them into queries.
///
/// A network with one input takes any number of files, one a query. With several inputs, files are given
/// by name (or all in the declared order); a name given k times makes k queries.
pub(crate) fn read_queries(
    given: &[String],
    declared: &[TensorSpec],
    recipe: Option<&Preprocess>,
) -> Result<Vec<Vec<TensorValue>>, CliError> {
    let mut files: Vec<Vec<&str>> = vec![Vec::new(); declared.len()];
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
                .map(|(spec, file)| read_one(Path::new(file), spec, recipe))
                .collect()
        })
        .collect()
}

/// `NAME=FILE`, where NAME is an input of the network; else the whole text is a file, whose name may
/// hold `=`.
fn split_name<'a>(
    item: &'a str,
    declared: &[TensorSpec],
) -> Result<(Option<usize>, &'a str), CliError> {
    let place = declared
        .iter()
        .position(|s| item.strip_prefix(s.name.as_str()).is_some_and(|rest| rest.starts_with('=')));
    if let Some(place) = place {
        let skip = declared.get(place).map_or(0, |s| s.name.len() + 1);
        return Ok((Some(place), item.get(skip..).unwrap_or_default()));
    }
    if let Some((name, _)) = item.split_once('=')
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
    recipe: Option<&Preprocess>,
) -> Result<TensorValue, CliError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
        return Ok(read_npy(path, &spec.name)?);
    }
    if !path.exists() {
        return Err(CliError::new(Exit::Failed, format!("{}: no such file", path.display())));
    }
    let recipe = recipe.ok_or_else(|| {
        CliError::new(Exit::Failed, format!("{}: no recipe for pictures", path.display()))
            .hint("seal the ring with `--preprocess`, or give a .npy file")
    })?;
    Ok(read_picture(path, &spec.name, recipe)?)
}

fn list(declared: &[TensorSpec]) -> String {
    declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
