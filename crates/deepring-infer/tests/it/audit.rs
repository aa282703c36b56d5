//! Copies of dealt blocks in live memory, compared while nothing runs.

use std::sync::Arc;

use deepring::audit::{AuditError, Challenge};
use deepring::deal::Copies;
use deepring::{AuthenticRing, Check};
use deepring_infer::audit::{BlockAudit, compare_copies};
use deepring_infer::{RingHost, Rten, RunError};

use crate::live_memory::flip;
use crate::zoo::{Sealed, copies, host, network};

/// LeNet's five blocks in four legs.
const LEGS: [(u32, u32, u8); 4] = [(1, 1, 1), (2, 2, 2), (3, 4, 3), (5, 5, 4)];

/// A host with blocks 3 and 4 open.
fn open(ring: &Arc<AuthenticRing>, seed: u8) -> RingHost<Rten> {
    let engine = Arc::new(Rten::new(1.try_into().ok()));
    RingHost::open(Arc::clone(ring), engine, host(seed), 3..5, Check::Load, &|_| ()).unwrap()
}

fn flip_in(host: &RingHost<Rten>, block: u32) {
    flip(host.loaded_block(block).unwrap().bytes(), 5, 0x40);
}

fn audited(hosts: &[&RingHost<Rten>]) -> Vec<BlockAudit> {
    compare_copies(hosts, &[3, 4]).unwrap()
}

#[test]
fn equal_copies_agree_and_one_that_was_changed_in_memory_stands_alone() {
    let sealed = Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(Copies::Three));
    let ring = Arc::new(sealed.ring());
    let [a, b, c] = [3, 4, 1].map(|seed| open(&ring, seed));
    let all = [&a, &b, &c];
    assert!(audited(&all).iter().all(BlockAudit::agrees));

    flip_in(&b, 4);
    let [three, four] = <[_; 2]>::try_from(audited(&all)).unwrap();
    assert!(three.agrees());
    assert!(four.is_compared() && !four.agrees());
    assert_eq!(four.groups, [vec![a.public(), c.public()], vec![b.public()]]);

    // Two that were changed in the same way are equal to each other, and the third is not.
    flip_in(&a, 4);
    let four = audited(&all).remove(1);
    assert_eq!(four.groups, [vec![a.public(), b.public()], vec![c.public()]]);
}

#[test]
fn a_block_of_one_host_is_compared_with_nothing() {
    let sealed = Sealed::dealt(&network("fashion-lenet5"), &LEGS, copies(Copies::Two));
    let ring = Arc::new(sealed.ring());
    let alone = open(&ring, 3);
    for audit in audited(&[&alone]) {
        assert!(!audit.is_compared() && !audit.agrees());
    }
    let unasked = alone.audit(&Challenge::with_nonce([1; 32], &[]), &alone.public());
    assert!(matches!(unasked, Err(RunError::Audit(AuditError::NotAsked { .. }))), "{unasked:?}");
    let not_its_own = alone.audit(&Challenge::with_nonce([1; 32], &[2]), &alone.public());
    assert!(matches!(not_its_own, Err(RunError::NotLoaded { block: 2 })), "{not_its_own:?}");
}
