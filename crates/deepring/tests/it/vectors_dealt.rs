//! Vectors of dealt rings and of deals: made of `vectors/intact.ring`, and with the same bytes each time.

use std::sync::OnceLock;

use deepring::deal::Copies;
use deepring::{Host, PublicKey, VerifiedRing};

use crate::dealing::{
    EAGER, GENESIS, REVISION, RING_DIGEST, RING_ID, drop_last_leg, forged, sign_deal,
};
use crate::dealt_ring::hosts;
use crate::forge::{RawRing, derive, sign};
use crate::forge_outline::recipients_of;
use crate::small_ring::{OWNER_SEED, Places, STRANGER_SEED, host_d, intact, owner, stranger};
use crate::vectors::{Expected, folder};
use crate::vectors_records::{Made, place, tampered};

/// The ring that is dealt here.
pub(crate) fn plain() -> &'static [u8] {
    static PLAIN: OnceLock<Vec<u8>> = OnceLock::new();
    PLAIN.get_or_init(|| std::fs::read(folder().join("intact.ring")).unwrap())
}

pub(crate) fn two() -> &'static VerifiedRing {
    static TWO: OnceLock<VerifiedRing> = OnceLock::new();
    TWO.get_or_init(|| intact(&dealt(Copies::Two, false, None)))
}

pub(crate) fn three() -> &'static VerifiedRing {
    static THREE: OnceLock<VerifiedRing> = OnceLock::new();
    THREE.get_or_init(|| intact(&dealt(Copies::Three, true, None)))
}

/// The ring with a deal that names host A alone for Genesis.
pub(crate) fn two_of_host_a() -> VerifiedRing {
    intact(&dealt(Copies::Two, false, Some(hosts()[0].public())))
}

fn keys_of(copies: Copies, leg: usize) -> Vec<PublicKey<Host>> {
    (0..copies.count()).map(|k| hosts()[(leg + k) % 3].public()).collect()
}

fn listed(hosts: &[PublicKey<Host>]) -> Vec<u8> {
    let mut out = u32::try_from(hosts.len()).unwrap().to_le_bytes().to_vec();
    hosts.iter().for_each(|host| out.extend(host.as_bytes()));
    out
}

/// A deal of the plain ring: leg k of block k to host k and those that follow around the ring.
pub(crate) fn deal(copies: Copies, eager: bool, genesis: Option<PublicKey<Host>>) -> Vec<u8> {
    let ring = intact(plain());
    let mut out = b"RINGDEAL\x01\0".to_vec();
    out.extend(ring.ring_id().0);
    out.extend(ring.digest().0);
    out.extend(1u32.to_le_bytes());
    out.extend(1_700_000_100u64.to_le_bytes());
    out.push(u8::from(eager));
    out.extend(listed(&genesis.map_or_else(|| keys_of(copies, 0), |host| vec![host])));
    out.extend(3u32.to_le_bytes());
    for leg in 0..3u32 {
        out.extend((leg + 1).to_le_bytes());
        out.extend((leg + 2).to_le_bytes());
        out.extend(listed(&keys_of(copies, leg as usize)));
    }
    out.extend(owner().public().as_bytes());
    out.extend([0; 64]);
    sign_deal(&mut out, &OWNER_SEED);
    out
}

/// The plain ring in revision 1, granted and dealt. Whoever is granted a block here has a wrapped key of zeros, so that
/// the bytes are the same each time: it opens nothing, and no reader without its key sees that.
fn dealt(copies: Copies, eager: bool, genesis: Option<PublicKey<Host>>) -> Vec<u8> {
    let mut raw = RawRing::of(plain());
    raw.revision = 1;
    for block in 0..4 {
        let header = raw.headers[block].clone();
        let at = recipients_of(&header);
        let mut recipients = header[at.clone()].to_vec();
        for host in keys_of(copies, block.saturating_sub(1)) {
            if !recipients.windows(64).any(|key| key == host.as_bytes()) {
                recipients.extend([&[1], host.as_bytes().as_slice(), &[0; 80]].concat());
            }
        }
        let n = u32::try_from((recipients.len() - 4) / 145).unwrap();
        recipients[..4].copy_from_slice(&n.to_le_bytes());
        raw.splice_header(block, at, &recipients, &OWNER_SEED);
    }
    let deal = deal(copies, eager, genesis);
    let at = recipients_of(&raw.headers[0]).end;
    let field = [&u32::try_from(deal.len()).unwrap().to_le_bytes(), deal.as_slice()].concat();
    raw.splice_header(0, at..at + 4, &field, &OWNER_SEED);
    raw.close(&OWNER_SEED)
}

/// The ring whose closure carries an outline signature of somebody else.
fn outline_signed_by_other(ring: &[u8]) -> Vec<u8> {
    let mut out = ring.to_vec();
    let end = Places::of(ring).closure.end;
    let count = Places::of(ring).headers.len();
    let unsigned = derive("deepring v1 outline digest", b"another");
    out[end - 128..end - 64].copy_from_slice(&sign(
        &STRANGER_SEED,
        "deepring v1 sign outline",
        &unsigned,
    ));
    let statement = 24 + 134 + 32 * count;
    let digest = derive("deepring v1 ring digest", &out[24..statement]);
    let message = [digest.as_slice(), &out[statement..end - 64]].concat();
    let signature = sign(&OWNER_SEED, "deepring v1 sign closure", &message);
    out[end - 64..end].copy_from_slice(&signature);
    out
}

fn rings(made: &mut Made) {
    let two = dealt(Copies::Two, false, None);
    let three = dealt(Copies::Three, true, None);
    made.add(("dealt_two", "ring"), "nothing; two copies", two.clone(), Expected::intact());
    made.add(("dealt_three", "ring"), "nothing; three copies, eager", three, Expected::intact());
    let of_a = dealt(Copies::Two, false, Some(hosts()[0].public()));
    let defect = "nothing; host A alone is dealt Genesis";
    made.add(("dealt_to_host_a", "ring"), defect, of_a, Expected::intact());
    let d = host_d().public();
    let last_host = |deal: &[u8]| deal.len() - 128 - 64;
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let forgeries: [(&str, &str, Edit<'_>, [u8; 32]); 9] = [
        ("signed_by_other", "another owner signed the deal", &|_| (), STRANGER_SEED),
        (
            "of_other_owner",
            "the deal names another owner, who signed it",
            &|deal| {
                let at = deal.len() - 128;
                deal[at..at + 64].copy_from_slice(stranger().public().as_bytes());
            },
            STRANGER_SEED,
        ),
        ("of_other_ring", "a deal of another ring id", &|d| d[RING_ID] ^= 1, OWNER_SEED),
        ("of_other_digest", "a deal of another version", &|d| d[RING_DIGEST] ^= 1, OWNER_SEED),
        (
            "of_later_revision",
            "a deal of revision 2 in revision 1",
            &|d| d[REVISION] = 2,
            OWNER_SEED,
        ),
        ("too_short", "the deal ends with block 2 of 3", &drop_last_leg, OWNER_SEED),
        (
            "names_who_cannot_open",
            "the deal names a host for block 3 that is not granted it",
            &|deal| {
                let at = last_host(deal);
                deal[at..at + 64].copy_from_slice(d.as_bytes());
            },
            OWNER_SEED,
        ),
        (
            "names_who_cannot_open_genesis",
            "the deal names a host for Genesis that is not granted it",
            &|deal| deal[GENESIS + 4..GENESIS + 68].copy_from_slice(d.as_bytes()),
            OWNER_SEED,
        ),
        ("does_not_decode", "a deal of version 2", &|deal| deal[8] = 2, OWNER_SEED),
    ];
    for (name, defect, edit, seed) in forgeries {
        let bytes = forged(&two, edit, &seed);
        let found = place("tampered", Some(0), "header");
        made.add((&format!("deal_{name}"), "ring"), defect, bytes, found);
    }
    let mut raw = RawRing::of(plain());
    let at = recipients_of(&raw.headers[1]).end;
    let deal = deal(Copies::Two, false, None);
    let field = [&u32::try_from(deal.len()).unwrap().to_le_bytes(), deal.as_slice()].concat();
    raw.splice_header(1, at..at + 4, &field, &OWNER_SEED);
    let found = place("tampered", Some(1), "header");
    let bytes = raw.close(&OWNER_SEED);
    made.add(("deal_in_block_1", "ring"), "a deal, and not in Genesis", bytes, found);
    let defect = "another owner signed another outline; the closure is signed";
    let bytes = outline_signed_by_other(&two);
    let found = place("tampered", None, "closure");
    made.add(("outline_signed_by_other", "ring"), defect, bytes, found);
}

fn deals(made: &mut Made) {
    let honest = deal(Copies::Two, false, None);
    let eager = deal(Copies::Three, true, None);
    made.add(("two", "deal"), "nothing; two copies", honest.clone(), Expected::intact());
    made.add(("three", "deal"), "nothing; three copies, eager", eager.clone(), Expected::intact());
    let bytes = deal(Copies::Three, false, None);
    made.add(("three_lazy", "deal"), "nothing; three copies", bytes, Expected::intact());
    let legs = GENESIS + 4 + 128;
    let host = |deal: &[u8], at: usize| deal[at..at + 64].to_vec();
    type Edit<'a> = &'a dyn Fn(&mut Vec<u8>);
    let edits: [(&str, &str, Edit<'_>); 22] = [
        ("magic_changed", "one bit of the magic", &|d| d[0] ^= 1),
        ("version_2", "format version 2", &|d| d[8] = 2),
        ("eager_flag_2", "eager is 2", &|d| d[EAGER] = 2),
        ("eager_of_two", "eager, and two copies", &|d| d[EAGER] = 1),
        ("no_host_of_genesis", "no host for Genesis", &|d| {
            d.drain(GENESIS + 4..legs);
            d[GENESIS] = 0;
        }),
        ("host_of_genesis_twice", "one host twice for Genesis", &|d| {
            let one = host(d, GENESIS + 4);
            d[GENESIS + 68..GENESIS + 132].copy_from_slice(&one);
        }),
        ("host_of_leg_twice", "one host twice in a leg", &|d| {
            let one = host(d, legs + 16);
            d[legs + 80..legs + 144].copy_from_slice(&one);
        }),
        ("one_signer_in_leg", "two hosts of a leg sign with the same key", &|d| {
            d.copy_within(legs + 16..legs + 48, legs + 80);
        }),
        ("one_signer_of_genesis", "two hosts of Genesis sign with the same key", &|d| {
            d.copy_within(GENESIS + 4..GENESIS + 36, GENESIS + 68);
        }),
        ("no_leg", "no leg", &|d| {
            let end = d.len() - 128;
            d.drain(legs + 4..end);
            d[legs] = 0;
        }),
        ("begins_with_block_2", "the first leg begins with block 2", &|d| d[legs + 4] = 2),
        ("begins_with_genesis", "the first leg begins with block 0", &|d| d[legs + 4] = 0),
        ("leg_ends_before_next", "the first leg ends before block 1", &|d| d[legs + 8] = 1),
        ("leg_of_no_block", "the first leg has no block, the second begins with block 1", &|d| {
            d[legs + 8] = 1;
            d[legs + 4 + 140] = 1;
        }),
        (
            "gap_between_legs",
            "the first leg ends with block 2, which the second begins with",
            &|d| {
                d[legs + 8] = 3;
            },
        ),
        ("end_beyond_blocks", "the last leg ends behind block 65536", &|d| {
            let at = d.len() - 128 - 140 + 4;
            d[at..at + 4].copy_from_slice(&65_537u32.to_le_bytes());
        }),
        ("one_copy_in_one_leg", "one host in the first leg", &|d| {
            d.drain(legs + 80..legs + 144);
            d[legs + 12] = 1;
        }),
        ("one_copy", "one host in each leg", &|d| {
            for leg in (0..3).rev() {
                let at = legs + 4 + 140 * leg;
                d.drain(at + 76..at + 140);
                d[at + 8] = 1;
            }
        }),
        ("three_copies_in_one_leg", "three hosts in the last leg, two in others", &|d| {
            let end = d.len() - 128;
            d.splice(end..end, [7; 64]);
            d[end - 132] = 3;
        }),
        ("legs_oversized", "2^32-1 legs", &|d| d[legs..legs + 4].fill(0xff)),
        ("trailing_byte", "a byte follows the end", &|d| d.push(0)),
        ("cut", "the last byte is missing", &|d| _ = d.pop()),
    ];
    for (name, defect, edit) in edits {
        let mut bytes = honest.clone();
        edit(&mut bytes);
        if bytes.len() == honest.len() {
            sign_deal(&mut bytes, &OWNER_SEED);
        }
        made.add((name, "deal"), defect, bytes, tampered());
    }
    let mut bytes = eager;
    bytes[EAGER] = 2;
    sign_deal(&mut bytes, &OWNER_SEED);
    made.add(("eager_flag_2_of_three", "deal"), "eager is 2, of three copies", bytes, tampered());
}

pub(crate) fn add(made: &mut Made) {
    rings(made);
    deals(made);
}
