//! The tensors of a run as files in a folder, each under a name that its own becomes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use deepring::TensorValue;
use deepring_infer::inputs::write_npy;

use crate::error::{CliError, Exit};

/// Most bytes of a tensor's name in a file's. What file systems take (255 bytes at the least) leaves room for the query's
/// number, for what keeps names apart, and for `.npy`.
const LONGEST: usize = 200;
/// Bytes of a longer name that are kept, before a digest of all of it.
const KEPT: usize = 160;

/// Writes the tensors of each query as NAME.npy (of several queries, as NUMBER-NAME.npy) into a folder.
pub(in crate::commands) fn write<'t>(
    dir: &Path,
    queries: impl Iterator<Item = (usize, &'t Vec<TensorValue>)>,
    asked: usize,
    taken: &mut HashSet<PathBuf>,
) -> Result<(), CliError> {
    let folder = dir.canonicalize().map_err(|e| failed(dir, &e))?;
    for (query, tensors) in queries {
        for tensor in tensors {
            let name = untaken_name(&folder, tensor.name(), query, asked, taken);
            write_npy(&dir.join(name), tensor)?;
        }
    }
    Ok(())
}

/// The name of a query's tensor in a folder, apart from those that differ only in what a file name cannot hold.
pub(super) fn untaken_name(
    folder: &Path,
    tensor: &str,
    query: usize,
    asked: usize,
    taken: &mut HashSet<PathBuf>,
) -> String {
    let name = file_name(tensor);
    let mut name = if asked > 1 { format!("{query}-{name}") } else { name };
    while !taken.insert(folder.join(&name)) {
        name.push('_');
    }
    name + ".npy"
}

fn failed(dir: &Path, e: &std::io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("{}: {e}", dir.display()))
}

/// A tensor's name as a file name: it comes from the network's file, so it must not choose the folder, and it may be longer
/// than a file's name can be. A name that is too long keeps its beginning, and has a digest for the rest: the same each time,
/// and another for another name.
fn file_name(name: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ' ' | ':');
    let mut file: String = name.chars().map(|c| if safe(c) { c } else { '_' }).collect();
    if file.starts_with('.') || file.is_empty() {
        file.insert(0, '_');
    }
    if file.len() > LONGEST {
        let digest = blake3::hash(name.as_bytes()).to_hex();
        file.truncate(file.floor_char_boundary(KEPT));
        file = format!("{file}-{}", digest.get(..16).unwrap_or_default());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_name_cannot_leave_the_folder() {
        assert_eq!(file_name("../../etc/passwd"), "_.._.._etc_passwd");
        assert_eq!(file_name("/fc/Gemm_output_0"), "_fc_Gemm_output_0");
        assert_eq!(file_name(""), "_");
        assert_eq!(file_name("logits"), "logits");
    }

    #[test]
    fn a_long_name_is_shortened_and_stays_apart_from_others() {
        let whole = "n".repeat(LONGEST);
        assert_eq!(file_name(&whole), whole);
        let [one, two] = ["1", "2"].map(|end| file_name(&("block.".repeat(50) + end)));
        assert_ne!(one, two);
        assert_eq!(one, file_name(&("block.".repeat(50) + "1")));
        assert_eq!(one.len(), KEPT + 17);
        assert!(one.starts_with("block.block."));
        // What was left out of it is counted in bytes, and cut between letters.
        assert!(file_name(&"é".repeat(3000)).len() <= LONGEST);
        assert!(file_name(&"層".repeat(3000)).len() <= LONGEST);
    }
}
