//! Outlines: they tell what the ring does, one ring has one, and one that its owner did not sign is refused.

use deepring::deal::Copies;
use deepring::outline::{Outline, OutlineError};
use deepring::receipt::Require;
use deepring::{Trust, TrustStore, Verdict};
use rayon::prelude::*;

use crate::dealt_ring::{dealt, whole_chain};
use crate::forge::{RawRing, derive, sign};
use crate::forge_outline::unsigned_outline;
use crate::small_query::{items, salt};
use crate::small_ring::{
    OWNER_SEED, STRANGER_SEED, host_a, intact, owner, small_ring, stranger, u32_at,
};

fn verified(bytes: &[u8]) -> Result<(), OutlineError> {
    Outline::decode(bytes)?.verify_consistent().map(|_| ())
}

#[test]
fn every_flipped_bit_of_an_outline_is_refused() {
    let outline = dealt(Copies::Two, false).outline().as_outline().encode();
    verified(&outline).unwrap();
    (0..outline.len() * 8).into_par_iter().for_each(|bit| {
        let mut flipped = outline.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(verified(&flipped).is_err(), "bit {bit}");
    });
    assert!((0..outline.len()).all(|len| Outline::decode(&outline[..len]).is_err()));
    assert!(Outline::decode(&[outline.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn an_outline_tells_what_the_ring_does_and_decisions_verify_against_it_alone() {
    let ring = dealt(Copies::Three, false);
    let bytes = ring.outline().as_outline().encode();
    let outline = Outline::decode(&bytes).unwrap();
    assert_eq!(outline.claimed(), ring.owned());
    let outline = outline.verify(&Trust::owner(owner().public())).unwrap();
    assert_eq!(&outline, ring.outline());
    assert_eq!((outline.inputs(), outline.outputs()), (ring.inputs(), ring.outputs()));
    assert_eq!((outline.ring_digest(), outline.revision()), (ring.digest(), 1));
    assert_eq!(outline.layers().len(), ring.layers().len());
    for (block, header) in outline.blocks().iter().zip(ring.headers()) {
        assert_eq!((&block.name, block.content_digest), (&header.name, header.content_digest));
        assert_eq!(block.hosts, header.hosts().collect::<Vec<_>>());
        assert_eq!(block.parts.len(), header.parts.len());
    }
    let decision = deepring::Decision::close(
        whole_chain(&ring),
        items(&[1, 2]),
        salt(),
        ring.outline(),
        &host_a(),
    );
    decision.unwrap().verify(&outline, Require::AsDealt).unwrap();
}

#[test]
fn an_outline_of_who_is_not_trusted_or_of_an_older_version_is_refused() {
    let (first, second) = crate::small_ring::two_versions();
    let outline = |ring: &[u8]| intact(ring).outline().as_outline().clone();
    let verdict = |outline: Outline, trust: &Trust<'_>| match outline.verify(trust) {
        Err(OutlineError::Refused(f)) => deepring::Report::of_findings(vec![f]).verdict,
        other => panic!("{other:?}"),
    };
    let strange = Trust::owner(stranger().public());
    assert_eq!(verdict(outline(&first), &strange), Verdict::Untrusted);
    let dir = tempfile::tempdir().unwrap();
    let mut store = TrustStore::open(&dir.path().join("trust.json")).unwrap();
    store.add_owner(&owner().public()).unwrap();
    store.remember(&intact(&second)).unwrap();
    assert_eq!(verdict(outline(&first), &Trust::store(&store)), Verdict::Stale);
    outline(&second).verify(&Trust::store(&store)).unwrap();
}

/// An outline of the small ring that the owner signed, after an edit of its bytes.
pub(crate) fn signed_outline(ring: &[u8], edit: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut raw = RawRing::of(ring);
    let mut statement = raw.statement_head.clone();
    statement[24..28].copy_from_slice(&u32::try_from(raw.headers.len()).unwrap().to_le_bytes());
    statement.extend(raw.body_digests.concat());
    raw.revision = intact(ring).revision();
    let mut outline = unsigned_outline(&raw, &statement).unwrap();
    edit(&mut outline);
    let digest = derive("deepring v1 outline digest", &outline);
    outline.extend(sign(&OWNER_SEED, "deepring v1 sign outline", &digest));
    outline
}

#[test]
fn an_outline_that_the_owner_signed_and_that_makes_no_ring_is_refused() {
    let ring = small_ring();
    let honest = intact(&ring).outline().as_outline().encode();
    assert_eq!(signed_outline(&ring, |_| ()), honest);
    let at = |name: &[u8]| honest.windows(name.len()).position(|w| w == name).unwrap();
    // Behind a name: content digest 32, count of hosts 4, their places 2 each, count of parts 4, parts.
    let parts = |name: &[u8], hosts: usize| at(name) + name.len() + 32 + 4 + 2 * hosts + 4;
    let (genesis, conv1, tail) =
        (parts(b"\x07\0genesis", 2), parts(b"\x05\0conv1", 1), parts(b"\x04\0tail", 1));
    assert_eq!(
        (honest[genesis], honest[conv1..conv1 + 3].to_vec(), honest[tail]),
        (0, vec![2, 2, 1], 1)
    );
    let refused = |edit: &dyn Fn(&mut Vec<u8>)| match verified(&signed_outline(&ring, edit)) {
        Err(OutlineError::Refused(finding)) => finding.reason,
        other => panic!("{other:?}"),
    };
    let reason = refused(&|o| o[genesis] = 1);
    assert!(reason.contains("not Genesis"), "{reason}");
    let reason = refused(&|o| o[conv1] = 0);
    assert!(reason.contains("two blocks with a manifest"), "{reason}");
    let reason = refused(&|o| o[conv1 + 2] = 2);
    assert!(reason.contains("stands behind one that does not"), "{reason}");
    // Of weights, with blocks that compute.
    let reason = refused(&|o| o[10] = 1);
    assert!(reason.contains("ring of weights"), "{reason}");
    // The same where somebody else signs.
    let mut strange = honest.clone();
    let unsigned = strange.len() - 64;
    let digest = derive("deepring v1 outline digest", &honest[..unsigned]);
    let signature = sign(&STRANGER_SEED, "deepring v1 sign outline", &digest);
    strange[unsigned..].copy_from_slice(&signature);
    assert!(verified(&strange).is_err());
}

#[test]
fn an_outlines_hosts_stand_in_the_order_of_their_first_use() {
    let ring = small_ring();
    let honest = intact(&ring).outline().as_outline().encode();
    let a = host_a().public();
    let hosts = honest.windows(64).position(|w| w == a.as_bytes()).unwrap();
    assert_eq!(u32_at(&honest, hosts - 4), 2);
    let decodes = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut outline = honest.clone();
        edit(&mut outline);
        Outline::decode(&outline).is_ok()
    };
    assert!(decodes(&|_| ()));
    let genesis = honest.windows(9).position(|w| w == b"\x07\0genesis").unwrap() + 9 + 32 + 4;
    assert_eq!(honest[genesis..genesis + 4], [0, 0, 1, 0]);
    assert!(!decodes(&|o| o[genesis..genesis + 4].copy_from_slice(&[1, 0, 0, 0])), "out of order");
    assert!(!decodes(&|o| o[genesis + 2] = 2), "no such host");
    assert!(!decodes(&|o| o.copy_within(hosts..hosts + 64, hosts + 64)), "one host twice");
    assert!(
        !decodes(&|o| {
            o.splice(hosts..hosts, [7; 64]);
            o[hosts - 4] = 3;
        }),
        "a host that nobody names"
    );
}
