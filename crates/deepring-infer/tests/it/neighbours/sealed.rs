//! What is sealed for neighbours: vectors of each block's own, in the block after it, or nothing.

use deepring::opening::OpenError;
use deepring::{Check, OpeningKey, Owner, PartKind, SecretKey};
use deepring_infer::sealing::Blocks;
use deepring_infer::{CutPolicy, Seal};

use super::{Parties, Sent};
use crate::graphs::{FLOAT, Net};
use crate::zoo::{Sealed, answer, host, images, network};

#[test]
fn a_ring_without_checks_runs_and_its_hosts_show_nothing() {
    let hosts = [("1,3,5", 1), ("2,4", 2)];
    let (with, without) = (Parties::of(&hosts, true), Parties::of(&hosts, false));
    let checks = |p: &Parties| -> Vec<u32> {
        let parts = p.shared.layers().iter().flat_map(|h| &h.parts);
        parts
            .filter_map(|p| if let PartKind::Check(of) = p.kind { Some(of) } else { None })
            .collect()
    };
    assert_eq!(checks(&with), [5, 1, 2, 3, 4]);
    assert!(checks(&without).is_empty());
    let first = without.host(1, &[1], Check::Compute);
    let batch = vec![vec![images(0, 1)]];
    let chain = first.begin(&batch, 1).unwrap();
    assert!(Sent::honest(&first, &chain, &batch, 1..2).witness.is_empty());
    let input = images(0, 2);
    let answers =
        [&with, &without].map(|p| answer(&p.ring.session_of(&[1, 2], Check::Compute, 1), &input));
    assert_eq!(answers[0], answers[1]);
    // Nothing is shown either where nobody checks.
    let first = with.host(1, &[1], Check::Run);
    let chain = first.begin(&batch, 1).unwrap();
    assert!(Sent::honest(&first, &chain, &batch, 1..2).witness.is_empty());
}

/// The bytes of the check that a block carries.
fn check_in(ring: &Sealed, block: u32) -> Vec<u8> {
    let authentic = ring.ring();
    let header = &authentic.headers()[block as usize];
    let mut plain = vec![0; header.plain_len as usize];
    authentic.open_block(block, OpeningKey::Owner(&ring.owner), &mut plain).unwrap();
    let part = header.parts.iter().find(|p| matches!(p.kind, PartKind::Check(_))).unwrap();
    plain[part.offset as usize..part.end() as usize].to_vec()
}

#[test]
fn each_sealing_draws_its_own_vectors_and_none_is_a_parameter() {
    let path = network("fashion-lenet5");
    let rings = [(); 2].map(|()| Sealed::new(&path, CutPolicy::Op));
    for block in 1..=5 {
        let [a, b] = [&rings[0], &rings[1]].map(|r| check_in(r, block));
        assert_eq!(a.len(), b.len());
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        assert!(same < a.len(), "block {block}");
        // Behind the names, all numbers differ but where a sum of squares has the same power of two.
        let differ = a[same..].iter().zip(&b[same..]).filter(|(a, b)| a != b).count();
        assert!(differ * 2 > a.len() - same, "block {block}: {differ} of {}", a.len() - same);
    }
}

#[test]
fn the_host_of_a_block_cannot_open_the_check_of_it() {
    let ring =
        Sealed::for_hosts(&network("fashion-lenet5"), CutPolicy::Op, &[("1,3-5", 1), ("2", 2)]);
    let authentic = ring.ring();
    let carrier = &authentic.headers()[3];
    assert!(carrier.parts.iter().any(|p| p.kind == PartKind::Check(2)));
    let mut plain = vec![0; carrier.plain_len as usize];
    let refused = authentic.open_block(3, OpeningKey::Host(&host(2)), &mut plain).unwrap_err();
    assert!(matches!(refused, OpenError::NotForThisKey { index: 3, .. }));
    assert!(plain.iter().all(|b| *b == 0));
}

/// A mask of -10^10 that is added as a bias leaves no room for a neighbour's sums. It was called too short once.
#[test]
fn a_parameter_that_no_neighbour_can_check_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(45);
    net.input("x", FLOAT, &["1", "8"]).output("y", FLOAT);
    let (v, w) = (net.param("v", &[8, 6]), net.param("w", &[6, 4]));
    let b = net.floats("b", &[4], &[-1e10; 4]);
    net.node("MatMul", &["x", &v], "h");
    net.node("Gemm", &["h", &w, &b], "y");
    let path = net.save(folder.path());
    let owner = SecretKey::<Owner>::generate().unwrap();
    let sealed = |checks: bool, ring: &str| {
        let seal = Seal::new(&path, &owner).cut(CutPolicy::Op).neighbour_checks(checks);
        let seal = seal.host(Blocks::All, host(1).public());
        seal.write(&folder.path().join(ring), &|_| ())
    };
    let refused = sealed(true, "with").unwrap_err().to_string();
    assert!(refused.contains("too large for neighbours"), "{refused}");
    assert!(!folder.path().join("with").exists());
    sealed(false, "without").unwrap();
}
