//! Makes `vectors/` anew. Block keys, encapsulations and query ids are random, so every file changes.

use std::fmt::Write as _;

use deepring::maintenance::grant;
use deepring::{
    Owner, PartKind, PublicKey, SecretKey, Trust, TrustStore, UnverifiedRing, VerifiedRing,
};
use serde_json::Value;

use crate::forge::{Field, RawReceipts, RawRing, signed_by_weak_owner, weak_owner};
use crate::opening::{
    COMMITMENT, CONTENT_DIGEST, HOST_WRAP, signed_edit, wrapped_for_another_block,
};
use crate::rearranged::{dropped, duplicated, swapped};
use crate::receipts_coverage::{decided, derived_at_loading, layer_by_layer, of_a_batch};
use crate::sharing::{SHARING, body_digest_without_shared, signed_sharing};
use crate::signed_nonsense::CASES;
use crate::small_query::{decision, decision_of};
use crate::small_ring::{
    HOST_A_SEED, HOST_B_SEED, HOST_C_SEED, Places, STRANGER_SEED, f32_spec, host_a, host_b, host_c,
    intact, next_version, owner, plan, plan_with_shared, seal, splice, stranger,
};
use crate::vectors::{Expected, Index, Vector, folder, index, verify_vector};

/// The vectors so far; each is written as it is added.
struct Folder {
    vectors: Vec<Vector>,
}

impl Folder {
    /// A ring under the owner's key, with the place that its defect must be found at.
    fn ring(&mut self, name: &str, defect: &str, bytes: &[u8], place: Place) -> &mut Vector {
        self.add(name, "ring", defect, bytes, place)
    }

    /// A receipt that is held against `intact.ring`.
    fn receipt(&mut self, name: &str, defect: &str, bytes: &[u8], place: Place) -> &mut Vector {
        let vector = self.add(name, "receipt", defect, bytes, place);
        vector.ring = Some("intact.ring".into());
        vector
    }

    fn add(
        &mut self,
        name: &str,
        kind: &str,
        defect: &str,
        bytes: &[u8],
        place: Place,
    ) -> &mut Vector {
        let file = format!("{name}.{kind}");
        std::fs::write(folder().join(&file), bytes).unwrap();
        self.vectors.push(Vector {
            file,
            kind: kind.into(),
            defect: defect.into(),
            owner: Some(owner().public().to_string()),
            ring: None,
            store: None,
            open_with: None,
            expected: place.expected(),
        });
        self.vectors.last_mut().unwrap()
    }
}

/// Where a defect must be found.
enum Place {
    Nowhere,
    Tampered(Option<u32>, &'static str),
    Tensor(u32, &'static str),
    Stale(Option<u32>, &'static str),
    Untrusted(Option<&'static str>),
}

use Place::{Nowhere, Stale, Tampered, Tensor, Untrusted};

impl Place {
    fn expected(self) -> Expected {
        let (verdict, block, part, tensor) = match self {
            Nowhere => return Expected::intact(),
            Tampered(block, part) => ("tampered", block, Some(part), None),
            Tensor(block, tensor) => ("tampered", Some(block), Some("body"), Some(tensor)),
            Stale(block, part) => ("stale", block, Some(part), None),
            Untrusted(part) => ("untrusted", None, part, None),
        };
        Expected {
            verdict: verdict.into(),
            block,
            part: part.map(Into::into),
            tensor: tensor.map(Into::into),
        }
    }
}

/// The JSON of a store that trusts the owners of these rings and has seen them.
fn store_of(rings: &[(&[u8], Trust<'_>)]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let mut store = TrustStore::open(&path).unwrap();
    for (ring, trust) in rings {
        let ring = UnverifiedRing::read(std::sync::Arc::new(ring.to_vec())).unwrap();
        let ring = ring.authenticate(trust).unwrap();
        store.add_owner(&ring.owner()).unwrap();
        store.remember(&ring).unwrap();
    }
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn flipped(ring: &[u8], at: usize) -> Vec<u8> {
    let mut out = ring.to_vec();
    out[at] ^= 1;
    out
}

fn overwritten(ring: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = ring.to_vec();
    out[at..at + bytes.len()].copy_from_slice(bytes);
    out
}

fn keys() {
    let folder = folder().join("keys");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, public: String, secret: &str| {
        let text = format!("# DeepRing TEST key. It is public: never use it.\n{secret}\n");
        std::fs::write(folder.join(format!("{name}.key")), text).unwrap();
        std::fs::write(folder.join(format!("{name}.pub")), public + "\n").unwrap();
    };
    for (name, key) in [("owner", owner()), ("owner-stranger", stranger())] {
        write(name, key.public().to_string(), &key.to_secret_text());
    }
    for (name, key) in [("host-a", host_a()), ("host-b", host_b()), ("host-c", host_c())] {
        write(name, key.public().to_string(), &key.to_secret_text());
    }
}

fn granted(ring: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("granted.ring");
    let new: SecretKey<deepring::Host> = host_c();
    grant(&intact(ring), &owner(), &new.public(), Some(&[1]), &target).unwrap();
    std::fs::read(target).unwrap()
}

fn intact_rings(f: &mut Folder, ring: &[u8], second: &[u8]) {
    let all = "nothing; ";
    f.ring("intact", "nothing", ring, Nowhere);
    for key in ["owner", "host-a", "host-b"] {
        let defect = format!("{all}opened with {key}");
        f.ring("intact", &defect, ring, Nowhere).open_with = Some(format!("keys/{key}.key"));
    }
    let v = f.ring("intact", "the key is a recipient of no block", ring, Untrusted(None));
    v.open_with = Some("keys/host-c.key".into());
    let v =
        f.ring("intact_granted", "nothing; block 1 was granted to host C", &granted(ring), Nowhere);
    v.open_with = Some("keys/host-c.key".into());
    let v = f.ring("intact_version_2", "nothing; it names its predecessor", second, Nowhere);
    v.store = Some(store_of(&[(ring, Trust::owner(owner().public()))]));

    let with_shared = seal(&plan_with_shared(), &owner());
    let defect = "nothing; blocks share parameters";
    for key in ["owner", "host-a", "host-b"] {
        let v = f.ring("intact_with_shared", defect, &with_shared, Nowhere);
        v.open_with = Some(format!("keys/{key}.key"));
    }
    let gamma = Places::of(&with_shared).bodies[5].start;
    let damaged = flipped(&with_shared, gamma);
    let defect = "one bit of what blocks 2 and 3 share";
    f.ring("shared_bit_flipped", defect, &damaged, Tensor(5, "gamma"));
    for (name, defect, edit) in SHARING {
        f.ring(name, defect, &signed_sharing(edit), Tampered(Some(1), "header"));
    }
    let defect = "the body digest of block 1 leaves out what it shares";
    let digest = body_digest_without_shared();
    f.ring("body_digest_without_shared", defect, &digest, Tampered(Some(1), "header"));

    let mut large = plan();
    let weight = PartKind::Parameter(f32_spec("conv1.weight", &[16_385]));
    large.blocks[1].parts = vec![(weight, 65_540), (PartKind::Graph, 5)];
    let bytes = seal(&large, &owner());
    let v = f.ring("intact_two_chunks", "nothing; a tensor of 65540 bytes", &bytes, Nowhere);
    v.open_with = Some("keys/host-a.key".into());
}

fn outlines(f: &mut Folder, ring: &[u8]) {
    let file = || Tampered(None, "file");
    let closure = || Tampered(None, "closure");
    f.ring("empty", "no byte at all", b"", file());
    f.ring("foreign", "a text", &b"This is not a ring.\n".repeat(20), file());
    f.ring("magic_changed", "one bit of the magic", &flipped(ring, 0), file());
    f.ring("format_version_1", "format version 1", &overwritten(ring, 8, &[1]), file());
    f.ring("format_version_2", "format version 2", &overwritten(ring, 8, &[2]), file());
    f.ring("format_version_3", "format version 3", &overwritten(ring, 8, &[3]), file());
    f.ring("format_version_5", "format version 5", &overwritten(ring, 8, &[5]), file());
    f.ring("suite_2", "suite 2", &overwritten(ring, 10, &[2]), file());
    f.ring(
        "preamble_count_wrong",
        "the preamble counts 5 blocks",
        &overwritten(ring, 12, &[5]),
        file(),
    );
    f.ring(
        "preamble_file_length_wrong",
        "the preamble states another length",
        &flipped(ring, 17),
        file(),
    );
    f.ring(
        "closure_count_wrong",
        "the closure counts 5 blocks",
        &overwritten(ring, 48, &[5]),
        closure(),
    );
    f.ring("closure_bit_flipped", "one bit of the model version", &flipped(ring, 40), closure());
    let row = 24 + 138 + 32 * 4;
    let huge = overwritten(ring, row, &[0xff; 4]);
    f.ring("closure_header_length_oversized", "a header of 4 GiB", &huge, closure());
    let huge = overwritten(ring, row + 4, &[0xff; 8]);
    f.ring("closure_body_length_oversized", "a body of 2^64-1 bytes", &huge, closure());
    f.ring("closure_cut", "ends within the closure", &ring[..300], closure());
    let signed_by_other = RawRing::of(ring).close(&STRANGER_SEED);
    let defect = "names the owner, but another owner signed it";
    f.ring("closure_signed_by_other_owner", defect, &signed_by_other, closure());
    let defect = "the trusted owner key is of small order";
    let v = f.ring("closure_signed_by_weak_key", defect, &signed_by_weak_owner(ring), closure());
    v.owner = Some(PublicKey::<Owner>::from_bytes(weak_owner()).to_string());
    let cut = &ring[..ring.len() - 30];
    f.ring("truncated", "the last 30 bytes are missing, of 25 in body 3", cut, Tensor(2, "graph"));
    let padded = [ring, &[0; 9]].concat();
    f.ring("padded", "9 bytes follow the end", &padded, file());
}

fn blocks(f: &mut Folder, ring: &[u8], second: &[u8]) {
    let at = Places::of(ring);
    let header = |i| Tampered(Some(i), "header");
    let middle = |i: usize| at.headers[i].start + 100;
    f.ring("header_bit_flipped", "one bit of header 2", &flipped(ring, middle(2)), header(2));
    f.ring(
        "genesis_header_bit_flipped",
        "one bit of header 0",
        &flipped(ring, middle(0)),
        header(0),
    );
    let signature = at.headers[1].end - 1;
    f.ring(
        "header_signature_bit_flipped",
        "the last byte of header 1",
        &flipped(ring, signature),
        header(1),
    );
    f.ring(
        "header_swapped",
        "blocks 1 and 2 in each other's place",
        &swapped(ring, true),
        header(1),
    );
    f.ring(
        "block_duplicated",
        "block 1 in the place of block 2, too",
        &duplicated(ring.to_vec()),
        header(2),
    );
    let defect = "header and body 2 cut out; all that follows the header is shifted";
    f.ring("block_dropped", defect, &dropped(ring.to_vec()), Tensor(0, "manifest"));
    let body = Places::of(ring).bodies[1].clone();
    f.ring(
        "body_bit_flipped",
        "one bit of conv1.weight",
        &flipped(ring, body.start),
        Tensor(1, "conv1.weight"),
    );
    f.ring(
        "body_tag_bit_flipped",
        "one bit of the tag of conv1.bias",
        &flipped(ring, body.start + 64 + 31),
        Tensor(1, "conv1.bias"),
    );
    let manifest = at.bodies[0].start + 5;
    f.ring(
        "manifest_bit_flipped",
        "one bit of Genesis' body",
        &flipped(ring, manifest),
        Tensor(0, "manifest"),
    );
    f.ring(
        "body_swapped",
        "bodies 1 and 2 in each other's place",
        &swapped(ring, false),
        Tensor(1, "conv1.weight"),
    );

    let mixed = |from: &[u8], header_too: bool| {
        let mut out = second.to_vec();
        let range = Places::of(&out).block(1);
        range.iter().skip(usize::from(!header_too)).for_each(|r| splice(&mut out, from, r));
        out
    };
    let stale = || Stale(Some(1), "header");
    f.ring(
        "block_of_older_version",
        "block 1 of version 1 in version 2",
        &mixed(ring, true),
        stale(),
    );
    let defect = "body 1 of version 1 in version 2";
    f.ring("body_of_older_version", defect, &mixed(ring, false), Tensor(1, "conv1.weight"));
    let again = seal(&next_version(&intact(ring)), &owner());
    let defect = "block 1 of another sealing of version 2";
    f.ring("block_of_other_sealing", defect, &mixed(&again, true), stale());
    let other = seal(&plan(), &owner());
    f.ring(
        "block_of_other_ring",
        "block 1 of another ring of the owner",
        &mixed(&other, true),
        header(1),
    );
}

fn signed(f: &mut Folder, ring: &[u8]) {
    const CHOSEN: &[(&str, &str)] = &[
        ("link_wrong_but_signed", "block 2 links to no body before it"),
        ("last_link_not_to_genesis_but_signed", "block 3 links to itself and not to Genesis"),
        ("header_index_wrong_but_signed", "header 1 says that it is block 2"),
        ("header_body_digest_wrong_but_signed", "header 1 names another body"),
        ("chunk_digest_wrong_but_signed", "a chunk digest that the body digest does not cover"),
        ("body_length_wrong_but_signed", "body 1 is a byte longer than its parts"),
        ("header_signed_by_other_owner", "another owner signed header 1"),
        ("header_with_trailing_byte", "a byte between fields and signature of header 1"),
        ("block_name_not_utf8", "the name of block 1 is not UTF-8"),
        ("inputs_count_oversized", "header 1 has 2^32-1 inputs"),
        ("element_type_unknown", "element type 8"),
        ("rank_too_high", "a tensor of rank 33"),
        ("reads_tensor_that_nothing_gives", "block 1 reads a tensor that nothing gives"),
        ("part_overlaps", "the second part begins within the first"),
        ("part_after_gap", "64 unused bytes between two parts"),
        ("parameter_shape_wrong", "a parameter longer than its shape"),
        ("part_kind_of_older_versions", "a part of kind 3, which older versions had"),
        ("parameter_after_graph", "a parameter after the graph"),
        ("two_graphs", "block 1 carries two graphs"),
        ("deal_in_layer_block", "header 1 carries a deal"),
        ("recipient_role_unknown", "a recipient of role 2"),
        ("last_block_dropped_but_signed", "a closure of 3 blocks over headers of 4"),
    ];
    for (name, defect) in CHOSEN {
        let case = CASES.iter().find(|c| c.name == *name).expect("a case of that name");
        let mut raw = RawRing::of(ring);
        (case.edit)(&mut raw);
        let bytes = raw.close(&crate::small_ring::OWNER_SEED);
        f.ring(name, defect, &bytes, Tampered(Some(case.block), case.part));
    }
    let opened = [
        ("content_digest_wrong_but_signed", CONTENT_DIGEST, "body", "another content digest"),
        ("key_commitment_wrong_but_signed", COMMITMENT, "header", "another key commitment"),
        ("wrapped_key_wrong_but_signed", HOST_WRAP, "header", "host A's wrapped key is damaged"),
    ];
    for (name, at, part, defect) in opened {
        let v = f.ring(name, defect, &signed_edit(ring, at), Tampered(Some(1), part));
        v.open_with = Some("keys/host-a.key".into());
    }
    let (name, defect) = ("wrapped_key_of_other_block", "block 1 has the wrapped key of block 2");
    let v = f.ring(name, defect, &wrapped_for_another_block(), Tampered(Some(1), "header"));
    v.open_with = Some("keys/host-b.key".into());
}

fn trusted(f: &mut Folder, ring: &[u8], second: &[u8]) {
    let owners = || Trust::owner(owner().public());
    let saw_second = store_of(&[(second, owners())]);
    let v = f.ring("ring_rolled_back", "version 1, where 2 was seen", ring, Stale(None, "closure"));
    v.store = Some(saw_second.clone());
    let again = seal(&next_version(&intact(ring)), &owner());
    let defect = "another version 2 than the one that was seen";
    let v = f.ring("version_2_sealed_again", defect, &again, Stale(None, "closure"));
    v.store = Some(saw_second.clone());
    let strange = seal(&plan(), &stranger());
    let defect = "an owner who is not trusted";
    f.ring("ring_of_other_owner", defect, &strange, Untrusted(Some("closure")));
    let taken = seal(&next_version(&intact(ring)), &stranger());
    let defect = "version 2 of another owner's ring, by an owner whom the store trusts as well";
    let v = f.ring("ring_taken_over", defect, &taken, Untrusted(Some("closure")));
    v.owner = None;
    let strangers = Trust::owner(stranger().public());
    v.store = Some(store_of(&[(ring, owners()), (&strange, strangers)]));
    let defect = "nothing; the store alone trusts the owner";
    let v = f.ring("intact_version_2", defect, second, Nowhere);
    v.owner = None;
    v.store = Some(saw_second.clone());
    let defect = "version 1, where 2 was seen, and another owner's ring of the same id";
    let v = f.ring("ring_rolled_back", defect, ring, Stale(None, "closure"));
    v.store = Some(with_rings_of(saw_second.clone(), &taken));
    let defect = "nothing; the owner is not among those that the store trusts, but given";
    let v = f.ring("intact_version_2", defect, second, Nowhere);
    v.store = Some(without_owners(saw_second.clone()));
    let defect = "the store has seen the ring, and trusts no owner";
    let v = f.ring("intact_version_2", defect, second, Untrusted(Some("closure")));
    v.owner = None;
    v.store = Some(without_owners(saw_second));
}

/// The same store, which has also seen a ring of the other owner.
fn with_rings_of(mut store: Value, ring: &[u8]) -> Value {
    let other = store_of(&[(ring, Trust::owner(stranger().public()))]);
    for (owner, rings) in other["rings"].as_object().unwrap() {
        store["rings"][owner] = rings.clone();
    }
    store
}

/// The same store, which trusts nobody.
fn without_owners(mut store: Value) -> Value {
    store["owners"] = Value::Array(Vec::new());
    store
}

fn receipts(f: &mut Folder, ring: &[u8], second: &[u8]) {
    let about = intact(ring);
    let honest = decision(&about).encode();
    let raw = || RawReceipts::of(&honest);
    let other = RawReceipts::of(&decision_of(&about, 2).encode());
    let close = |raw: RawReceipts| raw.signed_by(&HOST_A_SEED);
    let edited = |edit: &dyn Fn(&mut RawReceipts)| {
        let mut raw = raw();
        edit(&mut raw);
        close(raw)
    };
    let file = |b| Tampered(b, "file");
    let closure = || Tampered(None, "closure");

    f.receipt("intact", "nothing; two hosts, two queries", &honest, Nowhere);
    f.receipt("receipt_magic_changed", "one bit of the magic", &flipped(&honest, 0), file(None));
    f.receipt(
        "receipt_truncated",
        "the last byte is missing",
        &honest[..honest.len() - 1],
        file(None),
    );
    let padded = [honest.as_slice(), &[0]].concat();
    f.receipt("receipt_padded", "a byte follows the end", &padded, file(None));
    f.receipt(
        "opening_bit_flipped",
        "one bit of the inputs",
        &flipped(&honest, 10 + 216),
        file(Some(0)),
    );
    let bytes = edited(&|r| {
        r.opening[256..320].copy_from_slice(host_c().public().as_bytes());
        r.sign_opening(&HOST_C_SEED);
    });
    f.receipt(
        "opening_by_no_host",
        "opened by a key that is no host of Genesis in this revision",
        &bytes,
        Stale(Some(0), "file"),
    );
    let bytes = edited(&|r| r.receipts[1] = other.receipts[1].clone());
    f.receipt("receipt_replayed", "host B's receipt of another query", &bytes, file(Some(2)));
    let bytes = edited(&|r| r.receipts.reverse());
    f.receipt("receipts_reordered", "host B's receipt before host A's", &bytes, file(Some(1)));
    let bytes = edited(&|r| _ = r.receipts.pop());
    f.receipt("receipt_dropped", "host B's receipt is missing", &bytes, closure());
    let bytes = edited(&|r| r.receipts.push(r.receipts[1].clone()));
    f.receipt("receipt_repeated", "host B's receipt twice", &bytes, file(None));
    let bytes = edited(&|r| {
        r.edit_receipt(1, Field::Host, host_c().public().as_bytes());
        r.sign_receipt(1, &HOST_C_SEED);
    });
    f.receipt(
        "receipt_by_no_host",
        "signed by a key that is no host of block 2 in this revision",
        &bytes,
        Stale(Some(2), "body"),
    );
    let bytes = edited(&|r| {
        r.edit_receipt(1, Field::Block(1), &[0; 32]);
        r.sign_receipt(1, &HOST_B_SEED);
    });
    f.receipt(
        "receipt_of_other_content",
        "other content of block 3 ran",
        &bytes,
        Tampered(Some(3), "body"),
    );
    let bytes = edited(&|r| {
        r.edit_receipt(1, Field::Inputs, &[0; 32]);
        r.sign_receipt(1, &HOST_B_SEED);
    });
    f.receipt("receipt_inputs_changed", "host B ran on something else", &bytes, file(Some(2)));
    let bytes = edited(&|r| {
        let (one, two) = (r.items[0], r.items[1]);
        r.items[0][32..].copy_from_slice(&two[32..]);
        r.items[1][32..].copy_from_slice(&one[32..]);
    });
    f.receipt("outputs_swapped", "the outputs of the two queries swapped", &bytes, closure());
    let mut by_other = raw();
    by_other.closed_by = *host_b().public().as_bytes();
    let bytes = by_other.signed_by(&HOST_B_SEED);
    f.receipt("closed_by_other_host", "host B closed it, host A opened it", &bytes, closure());
    let bytes = decision(&intact(second)).encode();
    f.receipt(
        "receipt_of_other_version",
        "about version 2, held against version 1",
        &bytes,
        Stale(None, "file"),
    );
    let bytes = decision(&intact(&seal(&plan(), &owner()))).encode();
    f.receipt("receipt_of_other_ring", "about another ring", &bytes, file(None));
    claims(f, &about, &honest);
}

/// Receipts by what they claim of checks.
fn claims(f: &mut Folder, ring: &VerifiedRing, honest: &[u8]) {
    let (a, b) = layer_by_layer();
    let bytes = decided(ring, a, b).encode();
    let defect = "nothing; parts checked by rows, product and bytes, and a spot check";
    f.receipt("intact_layer_by_layer", defect, &bytes, Nowhere);
    let (a, b) = of_a_batch();
    let bytes = decided(ring, a, b).encode();
    let defect = "nothing; parts checked by either and both, and graphs recomputed";
    f.receipt("intact_of_a_batch", defect, &bytes, Nowhere);
    let (a, b) = derived_at_loading();
    let bytes = decided(ring, a, b).encode();
    let defect = "nothing; an engine computed from what it derived at loading";
    f.receipt("intact_derived", defect, &bytes, Nowhere);

    let (file, body) = (|b| Tampered(b, "file"), |b| Tampered(Some(b), "body"));
    for version in [1, 2, 3] {
        let name = format!("receipt_version_{version}");
        let defect = format!("format version {version}");
        f.receipt(&name, &defect, &overwritten(honest, 8, &[version]), file(None));
    }
    let mut raw = RawReceipts::of(honest);
    raw.sign_receipt_as("v3", 1, &HOST_B_SEED);
    let defect = "host B signed under the labels of version 3";
    f.receipt("receipt_signed_as_version_3", defect, &raw.signed_by(&HOST_A_SEED), file(Some(2)));

    // Code, share and rotation, then the codes of the parts of blocks 2 and 3, in host B's receipt.
    type Claim<'a> = (&'a str, &'a str, (u8, u32, u16), &'a [&'a [u8]], Place);
    let cases: [Claim<'_>; 24] = [
        ("check_unknown", "check 6", (6, 0, 0), &[&[4, 4, 4], &[4]], file(None)),
        ("share_without_spot", "run with a share", (3, 1, 0), &[&[4, 4, 4], &[4]], file(None)),
        ("spot_without_share", "spot with share 0", (2, 0, 0), &[&[4, 4, 4], &[4]], file(None)),
        ("spot_always", "spot with share 1", (2, 1_000_000, 0), &[&[4, 4, 4], &[4]], file(None)),
        ("spot_in_part", "spot in half a block", (2, 1, 0), &[&[4, 1, 4], &[4]], file(None)),
        ("coverage_unknown", "coverage 9", (1, 0, 0), &[&[4, 9, 4], &[4]], file(None)),
        (
            "coverage_weaker_than_check",
            "run, and a tensor only opened",
            (3, 0, 0),
            &[&[4, 1, 4], &[4]],
            file(None),
        ),
        (
            "product_under_run",
            "run, and a tensor by its product",
            (3, 0, 16),
            &[&[3, 4, 4], &[4]],
            file(None),
        ),
        (
            "product_without_rotation",
            "a product, and rotation 0",
            (5, 0, 0),
            &[&[3, 4, 4], &[4]],
            file(None),
        ),
        (
            "rotation_without_product",
            "rotation 16, and no product",
            (5, 0, 16),
            &[&[4, 4, 4], &[4]],
            file(None),
        ),
        (
            "either_without_rotation",
            "either, and rotation 0",
            (4, 0, 0),
            &[&[5, 4, 4], &[4]],
            file(None),
        ),
        (
            "both_with_rotation",
            "both, and rotation 16",
            (5, 0, 16),
            &[&[6, 4, 4], &[4]],
            file(None),
        ),
        ("coverage_of_one_block", "block 3 left out", (3, 0, 0), &[&[4, 4, 4]], file(Some(2))),
        ("coverage_of_two_parts", "a part left out", (3, 0, 0), &[&[4, 4], &[4]], body(2)),
        ("graph_by_product", "a product of the graph", (5, 0, 16), &[&[3, 4, 4], &[3]], body(3)),
        ("graph_by_either", "either of the graph", (4, 0, 16), &[&[4, 4, 5], &[4]], body(2)),
        ("graph_by_both", "both of the graph", (5, 0, 0), &[&[4, 4, 4], &[6]], body(3)),
        ("graph_by_rows", "rows of the graph", (5, 0, 0), &[&[4, 4, 2], &[4]], body(2)),
        ("rows_under_run", "run, and a tensor by rows", (3, 0, 0), &[&[4, 2, 4], &[4]], file(None)),
        ("tensor_recomputed", "a tensor recomputed", (5, 0, 0), &[&[7, 4, 4], &[4]], body(2)),
        (
            "derived_under_run",
            "run, and a tensor derived at loading",
            (3, 0, 0),
            &[&[4, 8, 4], &[4]],
            file(None),
        ),
        (
            "derived_under_compute",
            "compute, and a graph derived at loading",
            (5, 0, 0),
            &[&[4, 4, 8], &[7]],
            file(None),
        ),
        (
            "derived_under_spot",
            "a spot check, and a block derived at loading",
            (2, 1, 0),
            &[&[8, 8, 8], &[4]],
            file(None),
        ),
        (
            "derived_with_rotation",
            "derived at loading, and rotation 16",
            (1, 0, 16),
            &[&[8, 8, 8], &[8]],
            file(None),
        ),
    ];
    for (name, defect, check, coverage, place) in cases {
        let mut raw = RawReceipts::of(honest);
        raw.claim(1, check, coverage);
        raw.sign_receipt(1, &HOST_B_SEED);
        f.receipt(&format!("receipt_{name}"), defect, &raw.signed_by(&HOST_A_SEED), place);
    }
}

/// The head of the table in README.md.
const TABLE: &str = "| file | defect | verdict | block | part | tensor |\n";

fn readme(vectors: &[Vector]) -> String {
    let old = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let (above, _) = old.split_once(TABLE).expect("what is above the table stays as it is");
    let mut out = format!("{above}{TABLE}|---|---|---|---|---|---|\n");
    let text = |o: &Option<String>| o.clone().unwrap_or_default();
    for v in vectors {
        let e = &v.expected;
        let block = e.block.map(|b| b.to_string()).unwrap_or_default();
        let (part, tensor) = (text(&e.part), text(&e.tensor));
        writeln!(
            out,
            "| `{}` | {} | {} | {block} | {part} | {tensor} |",
            v.file, v.defect, e.verdict
        )
        .unwrap();
    }
    out
}

fn remove_old(kinds: &[&str]) {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| kinds.iter().any(|kind| e == *kind)) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// All rings anew; returns them, and versions 1 and 2 of the intact one.
fn new_rings() -> (Folder, [Vec<u8>; 2]) {
    remove_old(&["ring"]);
    keys();
    let first = seal(&plan(), &owner());
    let second = seal(&next_version(&intact(&first)), &owner());
    let mut f = Folder { vectors: Vec::new() };
    intact_rings(&mut f, &first, &second);
    outlines(&mut f, &first);
    blocks(&mut f, &first, &second);
    signed(&mut f, &first);
    trusted(&mut f, &first, &second);
    (f, [first, second])
}

/// The rings as they are.
fn old_rings() -> (Folder, [Vec<u8>; 2]) {
    let vectors = index().vectors.into_iter().filter(|v| v.kind == "ring").collect();
    let read = |name| std::fs::read(folder().join(name)).unwrap();
    (Folder { vectors }, ["intact.ring", "intact_version_2.ring"].map(read))
}

#[test]
#[ignore = "replaces the files of vectors/; run it by name when the format changes"]
fn vectors_generate() {
    std::fs::create_dir_all(folder()).unwrap();
    let receipts_only = std::env::var_os("VECTORS").is_some_and(|v| v == "receipts");
    let (mut f, [first, second]) = if receipts_only { old_rings() } else { new_rings() };
    remove_old(&["receipt"]);
    receipts(&mut f, &first, &second);
    for vector in &f.vectors {
        assert_eq!(verify_vector(vector), vector.expected, "{}: {}", vector.file, vector.defect);
    }
    std::fs::write(folder().join("README.md"), readme(&f.vectors)).unwrap();
    let index = Index { format: 1, vectors: f.vectors };
    let mut json = serde_json::to_string_pretty(&index).unwrap();
    json.push('\n');
    std::fs::write(folder().join("index.json"), json).unwrap();
}
