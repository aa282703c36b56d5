//! CIFAR-10's binary format: a label byte, then 1,024 red, green and blue bytes each.

use std::path::Path;

use deepring_infer::inputs::Preprocess;

use super::{Samples, SamplesError, Split, read_file, scaled};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;

pub(super) fn read(
    folder: &Path,
    split: Split,
    recipe: Option<&Preprocess>,
) -> Result<Option<Samples>, SamplesError> {
    let train: Vec<_> = (1..=5).map(|n| folder.join(format!("data_batch_{n}.bin"))).collect();
    let train: Vec<_> = train.into_iter().filter(|p| p.is_file()).collect();
    let test = folder.join("test_batch.bin");
    let test: Vec<_> = test.is_file().then_some(test).into_iter().collect();
    let (first, second) = match split {
        Split::Test => (test, train),
        Split::Train => (train, test),
    };
    let files = if first.is_empty() { second } else { first };
    if files.is_empty() {
        return Ok(None);
    }
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for path in files {
        let content = read_file(&path)?;
        if content.is_empty() || content.len() % RECORD != 0 {
            return Err(SamplesError::Malformed { path, reason: "no whole number of images" });
        }
        for record in content.chunks(RECORD) {
            let Some((label, pixels)) = record.split_first() else { continue };
            labels.push(usize::from(*label));
            let planes = pixels.chunks(PLANE).enumerate();
            values.extend(
                planes.flat_map(|(c, plane)| plane.iter().map(move |p| scaled(*p, c, recipe))),
            );
        }
    }
    Ok(Samples::new(vec![3, SIDE as u64, SIDE as u64], values, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_a_cut_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8, value: u8| [&[label][..], &[value; 3 * PLANE]].concat();
        std::fs::write(folder.path().join("test_batch.bin"), record(3, 255)).unwrap();
        let test = read(folder.path(), Split::Test, None).unwrap().unwrap();
        assert_eq!((test.labels(), test.values(0..1)[0]), (&[3][..], 1.0));
        // The only part there is stands in for the other.
        assert_eq!(read(folder.path(), Split::Train, None).unwrap().unwrap(), test);
        std::fs::write(
            folder.path().join("data_batch_2.bin"),
            [record(1, 0), record(2, 0)].concat(),
        )
        .unwrap();
        assert_eq!(read(folder.path(), Split::Train, None).unwrap().unwrap().labels(), [1, 2]);
        let recipe: Preprocess = "scale=1/255,mean=0:0.5:0,std=1:0.5:1".parse().unwrap();
        let scaled = read(folder.path(), Split::Test, Some(&recipe)).unwrap().unwrap();
        assert_eq!((scaled.values(0..1)[0], scaled.values(0..1)[PLANE]), (1.0, 1.0));
        std::fs::write(folder.path().join("test_batch.bin"), &record(3, 255)[..100]).unwrap();
        assert!(read(folder.path(), Split::Test, None).is_err());
    }
}
