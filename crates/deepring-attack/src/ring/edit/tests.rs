use std::path::Path;

use deepring::{Host, Owner, SecretKey, Trust, UnverifiedRing};
use deepring_infer::Seal;
use deepring_infer::sealing::Blocks;

use super::*;

fn lenet() -> Network {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
    Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap()
}

/// A ring of the network, and the file that it lies in.
fn sealed(network: &Network) -> (tempfile::TempDir, AuthenticRing, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = (folder.path().join("n.onnx"), folder.path().join("n.ring"));
    let owner = SecretKey::<Owner>::generate().unwrap();
    network.write(&model).unwrap();
    let host = SecretKey::<Host>::generate().unwrap();
    let seal = Seal::new(&model, &owner).host(Blocks::All, host.public());
    seal.write(&path, &|_| ()).unwrap();
    let ring = UnverifiedRing::open(&path).unwrap();
    let ring = ring.authenticate(&Trust::owner(owner.public())).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (folder, ring, bytes)
}

fn changed(network: &Network, tensor: &str, at: &[usize]) -> Network {
    let mut out = network.clone();
    let mut values = network.floats(tensor).unwrap();
    at.iter().for_each(|at| values[*at] = -values[*at] - 1.0);
    out.set_floats(tensor, &values).unwrap();
    out
}

#[test]
fn an_edit_goes_from_the_first_byte_that_differs_to_the_last() {
    let clean = lenet();
    let (_folder, ring, _) = sealed(&clean);
    let header = ring.headers().iter().find(|h| h.parts.iter().any(|p| p.len > 8)).unwrap();
    let part = header.parts.iter().find(|p| p.len > 8).unwrap();
    let before = vec![7u8; 9];
    let mut after = before.clone();
    assert_eq!(RingEdit::of_part(3, part, &before, &after), None);
    (after[2], after[5]) = (1, 2);
    let edit = RingEdit::of_part(3, part, &before, &after).unwrap();
    assert_eq!((edit.block, edit.part.as_str()), (3, part.label()));
    assert_eq!(edit.at, part.offset as usize + 2);
    assert_eq!((edit.before, edit.after), (vec![7; 4], vec![1, 7, 7, 2]));
    (after[0], after[8]) = (0, 0);
    let edit = RingEdit::of_part(3, part, &before, &after).unwrap();
    assert_eq!((edit.at, edit.before.len()), (part.offset as usize, 9));
}

#[test]
fn every_tensor_that_differs_has_its_edit_in_the_order_of_the_blocks() {
    let clean = lenet();
    let (_folder, ring, file) = sealed(&clean);
    let attacked = changed(&changed(&clean, "fc2.bias", &[3]), "conv1.weight", &[0, 10]);
    let edits = RingEdit::between(&ring, &clean, &attacked).unwrap();
    let touched: Vec<String> = edits.iter().map(|e| e.touched().part).collect();
    assert_eq!(touched, ["conv1.weight", "fc2.bias"]);
    assert!(
        edits[0].block < edits[1].block && edits.iter().all(|e| e.before.len() == e.after.len())
    );
    assert_eq!(RingEdit::between(&ring, &clean, &clean).unwrap(), []);
    // In the file as many bits flip as in the network, and flip back.
    let mut tampered = file.clone();
    let distance =
        |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum() };
    edits.iter().for_each(|e| e.flip_stored(&ring, &mut tampered).unwrap());
    let bits = crate::Differences::between(&clean, &attacked).bits();
    assert_eq!(u64::from(distance(&file, &tampered)), bits);
    edits.iter().for_each(|e| e.flip_stored(&ring, &mut tampered).unwrap());
    assert_eq!(tampered, file);
    // A file that was cut off has not the place.
    let nowhere = edits[0].flip_stored(&ring, &mut tampered[..100]);
    assert!(
        matches!(nowhere, Err(RingFileError::NoPlace { block, .. }) if block == edits[0].block)
    );
    let beyond = RingEdit { at: usize::MAX >> 1, ..edits[0].clone() };
    assert!(matches!(beyond.flip_stored(&ring, &mut tampered), Err(RingFileError::NoPlace { .. })));
}

#[test]
fn a_tensor_that_the_ring_has_not_or_has_of_another_size_is_refused() {
    let clean = lenet();
    let (_folder, ring, _) = sealed(&clean);
    let with = |edit: &dyn Fn(&mut deepring_onnx::proto::TensorProto)| {
        let mut network = clean.clone();
        let tensor = network.graph_mut().initializer.iter_mut();
        edit(tensor.into_iter().find(|t| t.name.as_deref() == Some("fc2.bias")).unwrap());
        network
    };
    let unfit =
        |exported: &Network, attacked: &Network| match RingEdit::between(&ring, exported, attacked)
        {
            Err(RingAttackError::Unfit { reason }) => reason,
            other => panic!("{other:?}"),
        };
    let grown = with(&|t| t.raw_data.as_mut().unwrap().extend([0; 4]));
    assert_eq!(unfit(&clean, &grown), "a tensor has another size there");
    let other = with(&|t| t.raw_data.as_mut().unwrap().fill(0));
    assert_eq!(unfit(&grown, &other), "a tensor has another size there");
    let renamed = |network: &Network| {
        let mut network = network.clone();
        let tensors = &mut network.graph_mut().initializer;
        tensors.iter_mut().find(|t| t.name.as_deref() == Some("fc2.bias")).unwrap().name =
            Some("elsewhere".to_owned());
        network
    };
    assert_eq!(unfit(&renamed(&clean), &renamed(&other)), "the ring has no such tensor");
}

#[test]
fn live_bytes_are_replaced_only_where_they_are_what_they_should_be() {
    // A slice of this process that nothing else reads.
    let live = vec![1u8, 2, 3, 4];
    let other = replace_live(&live, 1, &[2, 9], &[5, 5]).unwrap_err();
    assert_eq!(other.to_string(), "the bytes are not where they should be");
    assert!(replace_live(&live, 3, &[4, 5], &[0, 0]).is_err());
    assert!(replace_live(&live, usize::MAX, &[4], &[0]).is_err());
    let unequal = replace_live(&live, 1, &[2], &[5, 5]).unwrap_err();
    assert_eq!(unequal.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(live, [1, 2, 3, 4]);
}
