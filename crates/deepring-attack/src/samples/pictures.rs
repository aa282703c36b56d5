//! Pictures whose names end in their label: `imagenet_07_609.jpg`.

use std::path::{Path, PathBuf};

use deepring_infer::inputs::{Preprocess, read_picture};

use super::{Samples, SamplesError, Split};

pub(super) fn read(
    folder: &Path,
    _: Split,
    recipe: Option<&Preprocess>,
) -> Result<Option<Samples>, SamplesError> {
    let io = |source| SamplesError::Io { path: folder.into(), source };
    let entries = std::fs::read_dir(folder).map_err(io)?;
    let paths: Vec<PathBuf> =
        entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(io)?;
    let mut found: Vec<(PathBuf, usize)> =
        paths.into_iter().filter_map(|p| label_of(&p).map(|l| (p, l))).collect();
    if found.is_empty() {
        return Ok(None);
    }
    // The order of a folder is the file system's choice.
    found.sort();
    let recipe = recipe.ok_or_else(|| SamplesError::NoRecipe { path: folder.into() })?;
    let (mut dims, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (path, label) in found {
        let tensor = read_picture(&path, "picture", recipe)?;
        let shape: Vec<u64> = tensor.dims().iter().skip(1).copied().collect();
        if !dims.is_empty() && dims != shape {
            let reason = "another size than the pictures before; the recipe must resize or crop";
            return Err(SamplesError::Malformed { path, reason });
        }
        dims = shape;
        values.extend(tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        labels.push(label);
    }
    Ok(Samples::new(dims, values, labels))
}

fn label_of(path: &Path) -> Option<usize> {
    let kind = path.extension()?.to_str()?.to_ascii_lowercase();
    if !matches!(kind.as_str(), "jpg" | "jpeg" | "png" | "bmp") {
        return None;
    }
    let label: usize = path.file_stem()?.to_str()?.rsplit_once('_')?.1.parse().ok()?;
    (label < 1 << 20).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_ends_the_name() {
        let of = |name: &str| label_of(Path::new(name));
        assert_eq!(of("a/imagenet_07_609.jpg"), Some(609));
        assert_eq!(of("x_3.PNG"), Some(3));
        assert_eq!(of("609.jpg"), None);
        assert_eq!(of("a_b.jpg"), None);
        assert_eq!(of("a_3.txt"), None);
        assert_eq!(of("a_99999999999.png"), None);
    }
}
