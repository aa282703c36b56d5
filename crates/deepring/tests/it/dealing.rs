//! Deals: legs go around the ring, their hosts can open what they were dealt, and a deal that is not the ring's is
//! refused.

use deepring::deal::{Copies, Deal, DealError, DealPlan};
use deepring::maintenance::{GrantError, grant};
use deepring::receipt::Require;
use deepring::seal::{PlannedDeal, RingPlan, SealError};
use deepring::{Host, PublicKey, SecretKey, Verdict, VerifiedRing};
use rayon::prelude::*;

use crate::dealt_ring::{deal_out, dealt, dealt_bytes, hosts, legs, planned, whole_chain};
use crate::forge::{RawRing, derive, sign};
use crate::small_query::{decision, items, salt};
use crate::small_ring::{
    HOST_A_SEED, OWNER_SEED, Places, STRANGER_SEED, host_a, host_b, host_c, host_d, intact, owner,
    places, plan, plan_with_shared, refused, seal, small_ring, stranger, u32_at,
};

fn keys<const N: usize>(hosts: [SecretKey<Host>; N]) -> Vec<PublicKey<Host>> {
    hosts.iter().map(SecretKey::public).collect()
}

/// Blocks that a host opens.
fn opened_by(ring: &VerifiedRing, host: &SecretKey<Host>) -> Vec<u32> {
    let opens = |i: &u32| {
        let mut out = vec![0; ring.headers()[*i as usize].plain_len as usize];
        ring.open_block(*i, host.into(), &mut out).is_ok()
    };
    (0..u32::try_from(ring.headers().len()).unwrap()).filter(opens).collect()
}

#[test]
fn each_leg_goes_to_its_host_and_to_those_that_follow_around_the_ring() {
    let of = |copies| {
        let ring = dealt(copies, false);
        let deal = ring.outline().deal().unwrap().clone();
        assert_eq!((deal.copies(), deal.revision, deal.dealt_at), (copies, 1, 1_700_000_100));
        assert_eq!((deal.ring_id, deal.ring_digest), (ring.ring_id(), ring.digest()));
        deal
    };
    let [a, b, c] = [host_a(), host_b(), host_c()];
    let two = of(Copies::Two);
    let hosts: Vec<_> = two.legs.iter().map(|leg| leg.hosts.clone()).collect();
    let (ab, bc) = (keys([a.clone(), b.clone()]), keys([b.clone(), c.clone()]));
    assert_eq!(hosts, [ab.clone(), bc, keys([c.clone(), a.clone()])]);
    assert_eq!(two.genesis, ab, "the copies of leg 1, where nobody else is named");
    let three = of(Copies::Three);
    assert_eq!(three.legs[1].hosts, keys([b.clone(), c, a]));
    assert_eq!(three.leg_of(2), Some((1, &three.legs[1])));
    assert_eq!((three.leg_of(0), three.leg_of(4)), (None, None));
    assert_eq!(three.legs[1].place_of(&b.public()), Some(0));
    assert_eq!(three.legs[1].place_of(&host_d().public()), None);
}

#[test]
fn a_host_of_two_legs_is_passed_over_where_it_holds_the_leg_already() {
    let [a, b, c] = [host_a(), host_b(), host_c()].map(|host| host.public());
    let ring = intact(&small_ring());
    let deal = |hosts: [PublicKey<Host>; 3]| {
        let legs = (1..).zip(hosts).map(|(block, host)| (block..block + 1, host)).collect();
        let planned = PlannedDeal { legs, ..planned(Copies::Two, false) };
        deal_out(&ring, &owner(), &planned).unwrap().0
    };
    let hosts: Vec<_> = deal([a, a, b]).legs.into_iter().map(|leg| leg.hosts).collect();
    assert_eq!(hosts, [[a, b], [a, b], [b, a]]);
    let hosts: Vec<_> = deal([a, b, a]).legs.into_iter().map(|leg| leg.hosts).collect();
    assert_eq!(hosts, [[a, b], [b, a], [a, b]]);
    assert_eq!(deal([c, b, a]).genesis, [c, b]);
}

#[test]
fn every_host_opens_what_it_was_dealt_and_what_it_had_and_nothing_else() {
    let ring = dealt(Copies::Two, false);
    let opened: Vec<_> = hosts().iter().map(|host| opened_by(&ring, host)).collect();
    // Host B was sealed blocks 2 and 3, and is dealt block 1, too.
    assert_eq!(opened, [vec![0, 1, 3], vec![0, 1, 2, 3], vec![2, 3]]);
    assert_eq!(opened_by(&ring, &host_d()), [0; 0]);
    let all = dealt(Copies::Three, false);
    assert_eq!(opened_by(&all, &host_c()), [0, 1, 2, 3]);
    let shared = intact(&seal(&plan_with_shared(), &owner()));
    let (_, bytes) = deal_out(&shared, &owner(), &planned(Copies::Two, false)).unwrap();
    let shared = intact(&bytes);
    assert_eq!(opened_by(&shared, &host_c()), [2, 3, 4, 5], "with what its blocks share");
    assert_eq!(opened_by(&shared, &host_a()), [0, 1, 3, 4, 5]);
}

#[test]
fn a_deal_changes_no_body_and_not_the_ring_digest_and_can_be_dealt_anew() {
    let plain = small_ring();
    let ring = intact(&plain);
    let (deal, bytes) = deal_out(&ring, &owner(), &planned(Copies::Two, false)).unwrap();
    let dealt = intact(&bytes);
    assert_eq!((dealt.digest(), dealt.revision()), (ring.digest(), 1));
    let bodies = |bytes: &[u8]| bytes[Places::of(bytes).bodies[0].start..].to_vec();
    assert_eq!(bodies(&plain), bodies(&bytes));
    assert_eq!(ring.outline().deal(), None);
    let (again, bytes) = deal_out(&dealt, &owner(), &planned(Copies::Three, true)).unwrap();
    let outline = intact(&bytes).outline().clone();
    assert_eq!((again.revision, outline.deal()), (2, Some(&again)));
    assert_ne!(again.digest(), deal.digest());
    // Whom a grant lets in, no deal lets out.
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("granted.ring");
    grant(&dealt, &owner(), &host_d().public(), Some(&[2]), &target).unwrap();
    let granted = intact(&std::fs::read(&target).unwrap());
    assert_eq!((granted.revision(), granted.outline().deal()), (2, Some(&deal)));
    assert_eq!(opened_by(&granted, &host_d()), [0, 2]);
}

#[test]
fn receipts_from_before_a_deal_verify_after_it_where_nothing_is_required() {
    let ring = intact(&small_ring());
    let before = decision(&ring);
    let (_, bytes) = deal_out(&ring, &owner(), &planned(Copies::Two, false)).unwrap();
    let dealt = intact(&bytes);
    before.verify(ring.outline(), Require::AsDealt).unwrap();
    before.verify(dealt.outline(), Require::None).unwrap();
    before.verify(dealt.outline(), Require::AsDealt).unwrap_err();
}

#[test]
fn legs_that_leave_a_block_out_or_hosts_too_few_make_no_deal() {
    let ring = intact(&small_ring());
    let [a, b, c] = [host_a(), host_b(), host_c()].map(|host| host.public());
    let deal = |legs: Vec<(std::ops::Range<u32>, PublicKey<Host>)>, copies, eager| {
        let planned = PlannedDeal { legs, ..planned(copies, eager) };
        match deal_out(&ring, &owner(), &planned) {
            Err(GrantError::Deal(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let two = |legs| deal(legs, Copies::Two, false);
    assert_eq!(two(vec![]), DealError::Legs { legs: 0 });
    let gap = |leg, found, expected| DealError::Gap { leg, found, expected };
    assert_eq!(two(vec![(2..4, a), (1..2, b)]), gap(1, 2..4, 1));
    assert_eq!(two(vec![(0..2, a), (2..4, b)]), gap(1, 0..2, 1));
    assert_eq!(two(vec![(1..2, a), (3..4, b)]), gap(2, 3..4, 2));
    assert_eq!(two(vec![(1..3, a), (2..4, b)]), gap(2, 2..4, 3));
    assert_eq!(two(vec![(1..2, a), (2..2, b), (2..4, c)]), gap(2, 2..2, 2));
    assert_eq!(two(vec![(1..2, a), (2..3, b)]), DealError::End { found: 2, last: 3 });
    assert_eq!(two(vec![(1..2, a), (2..5, b)]), DealError::End { found: 4, last: 3 });
    let few = |leg, found, copies| DealError::TooFewHosts { leg, found, copies };
    assert_eq!(two(vec![(1..4, a)]), few(1, 1, 2));
    assert_eq!(two(vec![(1..2, a), (2..4, a)]), few(1, 1, 2));
    assert_eq!(deal(vec![(1..2, a), (2..4, b)], Copies::Three, false), few(1, 2, 3));
    assert_eq!(deal(legs(), Copies::Two, true), DealError::EagerTwo);
    let said = two(vec![(1..2, a), (3..4, b)]).to_string();
    assert_eq!(said, "leg 2 is of blocks 3-3, where block 2 is due");
}

#[test]
fn who_is_not_the_owner_deals_nothing_and_an_unusable_key_is_refused() {
    let ring = intact(&small_ring());
    let refused = deal_out(&ring, &stranger(), &planned(Copies::Two, false)).unwrap_err();
    assert!(matches!(refused, GrantError::NotTheOwner));
    let mut planned = planned(Copies::Two, false);
    planned.legs[2].1 = PublicKey::from_bytes([0; 64]);
    let refused = deal_out(&ring, &owner(), &planned).unwrap_err();
    assert!(matches!(refused, GrantError::Seal(SealError::UnusableRecipient { block: 2 })));
}

#[test]
fn genesis_goes_to_the_hosts_that_are_named_for_it_each_once() {
    let ring = intact(&small_ring());
    let [c, d] = [host_c(), host_d()].map(|host| host.public());
    let mut planned = planned(Copies::Two, false);
    planned.plan.genesis = vec![d, c, d];
    let (deal, bytes) = deal_out(&ring, &owner(), &planned).unwrap();
    assert_eq!(deal.genesis, [d, c]);
    let ring = intact(&bytes);
    assert_eq!(opened_by(&ring, &host_d()), [0]);
    // More than a header holds.
    let many = |n: u64| {
        let mut key = [9; 64];
        key[..8].copy_from_slice(&n.to_le_bytes());
        PublicKey::from_bytes(key)
    };
    planned.plan.genesis = (0..1024).map(many).collect();
    let refused = deal_out(&ring, &owner(), &planned).unwrap_err();
    assert!(matches!(refused, GrantError::Deal(DealError::TooLarge { bytes }) if bytes > 65_535));
}

/// The small ring's plan, dealt: every block names all three hosts.
pub(crate) fn dealt_plan(planned: PlannedDeal) -> RingPlan {
    let mut plan = plan();
    plan.blocks.iter_mut().for_each(|block| block.hosts = keys(hosts()));
    plan.deal = Some(planned);
    plan
}

#[test]
fn a_ring_is_sealed_with_its_deal() {
    let ring = intact(&seal(&dealt_plan(planned(Copies::Three, true)), &owner()));
    let deal = ring.outline().deal().unwrap();
    assert_eq!((deal.revision, ring.revision(), deal.eager), (0, 0, true));
    assert_eq!(deal.ring_digest, ring.digest());
    let decision = deepring::Decision::close(
        whole_chain(&ring),
        items(&[1, 2]),
        salt(),
        ring.outline(),
        &host_c(),
    );
    decision.unwrap().verify(ring.outline(), Require::AsDealt).unwrap();
}

#[test]
fn sealing_grants_what_the_deal_names_and_refuses_legs_that_leave_blocks_out() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    for (block, host) in [(0, 0), (1, 1), (3, 2)] {
        let mut plan = dealt_plan(planned(Copies::Two, false));
        plan.blocks[block].hosts.remove(host);
        let mut sealer = deepring::seal::RingSealer::create(&target, &plan, owner()).unwrap();
        while let Some(block) = sealer.next_block() {
            let plaintext = crate::small_ring::plaintext(&sealer, block);
            sealer.seal_block(&plaintext).unwrap();
        }
        sealer.finish().unwrap();
        let trust = deepring::Trust::owner(owner().public());
        let ring = deepring::UnverifiedRing::open(&target).unwrap().authenticate(&trust).unwrap();
        let deal = ring.outline().deal().unwrap();
        for leg in &deal.legs {
            for block in &ring.headers()[leg.first as usize..leg.end as usize] {
                assert!(
                    leg.hosts.iter().all(|host| block.hosts().any(|h| h == *host)),
                    "{block:?}"
                );
            }
        }
        std::fs::remove_file(&target).unwrap();
    }
    let mut plan = dealt_plan(planned(Copies::Two, false));
    plan.deal.as_mut().unwrap().legs.pop();
    let refused = deepring::seal::RingSealer::create(&target, &plan, owner()).unwrap_err();
    assert!(matches!(refused, SealError::Deal(DealError::End { found: 2, last: 3 })));
}

/// Where the deal begins in Genesis' header, after its length: behind 4 bytes of count and the recipients.
fn deal_in_header(raw: &RawRing) -> std::ops::Range<usize> {
    let header = &raw.headers[0];
    let at = header.windows(8).position(|w| w == b"RINGDEAL").unwrap();
    at..at + u32_at(header, at - 4) as usize
}

/// A dealt ring, whose deal is edited and signed anew; so are header and closure.
pub(crate) fn forged(of: &[u8], edit: impl Fn(&mut Vec<u8>), deal_seed: &[u8; 32]) -> Vec<u8> {
    let mut raw = RawRing::of(of);
    let range = deal_in_header(&raw);
    let mut deal = raw.headers[0][range.clone()].to_vec();
    edit(&mut deal);
    sign_deal(&mut deal, deal_seed);
    let len = u32::try_from(deal.len()).unwrap().to_le_bytes();
    raw.splice_header(
        0,
        range.start - 4..range.end,
        &[&len, deal.as_slice()].concat(),
        &OWNER_SEED,
    );
    raw.close(&OWNER_SEED)
}

pub(crate) fn sign_deal(deal: &mut [u8], seed: &[u8; 32]) {
    let unsigned = deal.len() - 64;
    let digest = derive("deepring v1 deal digest", &deal[..unsigned]);
    deal[unsigned..].copy_from_slice(&sign(seed, "deepring v1 sign deal", &digest));
}

// Offsets in a deal: magic 8, version 2; ring id 16; ring digest 32; revision 4; dealt at 8; eager 1; Genesis.
pub(crate) const RING_ID: usize = 10;
pub(crate) const RING_DIGEST: usize = 26;
pub(crate) const REVISION: usize = 58;
pub(crate) const EAGER: usize = 70;
pub(crate) const GENESIS: usize = 71;

#[test]
fn a_deal_of_another_ring_or_owner_or_of_a_later_revision_is_refused() {
    let bytes = dealt_bytes(Copies::Two, false);
    intact(&forged(&bytes, |_| (), &OWNER_SEED));
    let first_host = GENESIS + 4;
    let d = host_d().public();
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let edits: [(Edit<'_>, [u8; 32], &str); 7] = [
        (&|deal| deal[RING_ID] ^= 1, OWNER_SEED, "about another ring"),
        (&|deal| deal[RING_DIGEST] ^= 1, OWNER_SEED, "about another ring"),
        (&|deal| deal[REVISION] = 2, OWNER_SEED, "a later revision"),
        (&|_| (), STRANGER_SEED, "not signed by the ring's owner"),
        (
            &|deal| {
                let at = deal.len() - 128;
                deal[at..at + 64].copy_from_slice(stranger().public().as_bytes());
            },
            STRANGER_SEED,
            "not signed by the ring's owner",
        ),
        (
            &|deal| deal[first_host..first_host + 64].copy_from_slice(d.as_bytes()),
            OWNER_SEED,
            "a host for a block that it cannot open",
        ),
        (
            &|deal| {
                let at = deal.len() - 128 - 64;
                deal[at..at + 64].copy_from_slice(d.as_bytes());
            },
            OWNER_SEED,
            "a host for a block that it cannot open",
        ),
    ];
    for (edit, seed, reason) in edits {
        let report = refused(&forged(&bytes, edit, &seed));
        assert_eq!(report.verdict, Verdict::Tampered, "{reason}");
        assert_eq!(places(&report), [(Some(0), "header", None)], "{reason}: {report}");
        assert!(report.findings[0].reason.contains(reason), "{reason}: {report}");
    }
    // An older deal stays, where a later revision let in more hosts; a ring of another number of blocks does not fit.
    let shorter = refused(&forged(&bytes, drop_last_leg, &OWNER_SEED));
    assert!(shorter.findings[0].reason.contains("the last block that computes"), "{shorter}");
}

/// A leg of two hosts is 8 + 4 + 128 bytes; the count of legs stands behind Genesis' two hosts.
pub(crate) fn drop_last_leg(deal: &mut Vec<u8>) {
    let end = deal.len() - 128;
    deal.drain(end - 140..end);
    deal[GENESIS + 4 + 128] = 2;
}

#[test]
fn a_deal_that_breaks_a_rule_of_the_format_does_not_decode() {
    let ring = dealt(Copies::Two, false);
    let honest = ring.outline().deal().unwrap().encode();
    assert_eq!(Deal::decode(&honest).unwrap().encode(), honest);
    let legs = GENESIS + 4 + 128;
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let host = |deal: &[u8], at: usize| deal[at..at + 64].to_vec();
    let edits: [(&str, Edit<'_>); 11] = [
        ("magic", &|d| d[0] ^= 1),
        ("version", &|d| d[8] = 2),
        ("a flag of 2", &|d| d[EAGER] = 2),
        ("eager, and two copies", &|d| d[EAGER] = 1),
        ("no host for Genesis", &|d| {
            d.drain(GENESIS + 4..legs);
            d[GENESIS] = 0;
        }),
        ("one host twice for Genesis", &|d| {
            let one = host(d, GENESIS + 4);
            d[GENESIS + 68..GENESIS + 132].copy_from_slice(&one);
        }),
        ("one host twice in a leg", &|d| {
            let one = host(d, legs + 16);
            d[legs + 80..legs + 144].copy_from_slice(&one);
        }),
        ("no leg", &|d| {
            let end = d.len() - 128;
            d.drain(legs + 4..end);
            d[legs] = 0;
        }),
        ("a leg that begins at block 2", &|d| d[legs + 4] = 2),
        ("a leg of no block", &|d| d[legs + 8] = 1),
        ("one copy in one leg", &|d| {
            d.drain(legs + 80..legs + 144);
            d[legs + 12] = 1;
        }),
    ];
    for (what, edit) in edits {
        let mut deal = honest.clone();
        edit(&mut deal);
        assert!(Deal::decode(&deal).is_err(), "{what}");
    }
    assert!((0..honest.len()).all(|len| Deal::decode(&honest[..len]).is_err()));
    assert!(Deal::decode(&[honest.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn every_flipped_bit_of_the_front_of_a_dealt_ring_is_refused() {
    let ring = dealt_bytes(Copies::Two, false);
    let genesis = Places::of(&ring).headers[0].clone();
    (0..genesis.end * 8).into_par_iter().for_each(|bit| {
        let mut flipped = ring.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refused(&flipped).verdict, Verdict::Tampered, "bit {bit}");
    });
}

#[test]
fn outline_and_deal_of_seven_blocks_and_four_hosts_are_small() {
    let mut plan = plan();
    let conv = plan.blocks[1].clone();
    let names = ["conv1", "conv2", "fc1", "fc2", "fc3"];
    let legs: Vec<PublicKey<Host>> = keys([host_a(), host_b(), host_c(), host_d()]);
    // A network of LeNet's size: five linear operators, an input and an output stage.
    plan.blocks.truncate(1);
    for (i, name) in ["flatten"].iter().chain(&names).chain(&["softmax"]).enumerate() {
        let mut block = conv.clone();
        (block.name, block.hosts) = ((*name).into(), vec![legs[i * 4 / 7]]);
        block.inputs[0].name = if i == 0 { "x0".into() } else { format!("t{i}") };
        block.outputs[0].name = if i == 6 { "y".into() } else { format!("t{}", i + 1) };
        plan.blocks.push(block);
    }
    let ring = intact(&seal(&plan, &owner()));
    let dealt_legs = [1..3, 3..5, 5..7, 7..8].into_iter().zip(legs).collect();
    let plan = DealPlan { copies: Copies::Two, eager: false, genesis: vec![], dealt_at: 1 };
    let (deal, bytes) = deal_out(&ring, &owner(), &PlannedDeal { legs: dealt_legs, plan }).unwrap();
    let outline = intact(&bytes).outline().as_outline().encode();
    println!("deal {} bytes, outline {} bytes", deal.encode().len(), outline.len());
    assert!(outline.len() < 2048, "{}", outline.len());
}

#[test]
fn two_keys_of_one_signer_are_not_two_hosts() {
    // The same Ed25519 half under another X25519 half: whoever holds it would validate himself.
    let twin = SecretKey::<Host>::from_halves(&HOST_A_SEED, &[0x77; 32]).unwrap().public();
    assert!(twin.signs_as(&host_a().public()) && twin != host_a().public());
    let ring = intact(&small_ring());
    let mut legs = planned(Copies::Two, false);
    legs.legs[1].1 = twin;
    let refused = deal_out(&ring, &owner(), &legs).unwrap_err();
    assert!(refused.to_string().contains("sign with the same key"), "{refused}");
    let mut genesis = planned(Copies::Two, false);
    genesis.plan.genesis = vec![host_b().public(), twin];
    let refused = deal_out(&ring, &owner(), &genesis).unwrap_err();
    assert!(refused.to_string().contains("sign with the same key"), "{refused}");
}
