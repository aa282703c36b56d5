//! Whom a reader trusts, rollback, and the store that remembers.

use std::path::Path;
use std::sync::Arc;

use deepring::seal::RingPlan;
use deepring::trust::{KeySuccession, KnownLedger, LastVersion, TrustError};
use deepring::{
    Digest, Owner, PublicKey, RingId, SecretKey, Trust, TrustStore, UnverifiedRing, Verdict,
    VerifiedRing,
};

use crate::child;
use crate::forge::{signed_by_weak_owner, weak_owner};
use crate::small_ring::{
    intact, next_version, owner, places, plan, seal, small_ring, stranger, two_versions, verify,
    verify_under,
};

/// A store at `path` that trusts a ring's owner and has seen the ring.
fn store_that_saw(path: &Path, ring: &VerifiedRing) -> TrustStore {
    let mut store = TrustStore::open(path).unwrap();
    store.add_owner(&ring.owner()).unwrap();
    store.remember(ring).unwrap();
    store
}

fn stranger_ring(plan: &deepring::seal::RingPlan) -> Vec<u8> {
    seal(plan, &stranger())
}

fn verdict_under(bytes: &[u8], trust: &Trust<'_>) -> Verdict {
    verify_under(bytes, trust).map_or_else(|report| report.verdict, |_| Verdict::Intact)
}

#[test]
fn a_ring_of_an_owner_who_is_not_trusted_is_untrusted() {
    let report = verify(&stranger_ring(&plan())).unwrap_err();
    assert_eq!(report.verdict, Verdict::Untrusted);
    assert_eq!(places(&report), [(None, "closure", None)]);
    assert!(report.findings[0].reason.contains(&stranger().public().to_string()));
}

#[test]
fn a_key_under_which_one_signature_fits_every_message_is_refused_even_where_it_is_trusted() {
    let forged = signed_by_weak_owner(&small_ring());
    let trust = Trust::owner(deepring::PublicKey::from_bytes(weak_owner()));
    let report = verify_under(&forged, &trust).unwrap_err();
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(places(&report), [(None, "closure", None)]);
}

#[test]
fn without_a_key_or_a_store_nobody_is_trusted() {
    assert_eq!(verdict_under(&small_ring(), &Trust::default()), Verdict::Untrusted);
}

#[test]
fn an_empty_store_trusts_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = TrustStore::open(&dir.path().join("none.json")).unwrap();
    assert_eq!(verdict_under(&small_ring(), &Trust::store(&store)), Verdict::Untrusted);
}

#[test]
fn a_store_trusts_the_owners_it_remembers_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    store_that_saw(&path, &intact(&small_ring()));
    let store = TrustStore::open(&path).unwrap();
    assert!(store.trusts(&owner().public()) && !store.trusts(&stranger().public()));
    assert_eq!(verdict_under(&small_ring(), &Trust::store(&store)), Verdict::Intact);
    let other = stranger_ring(&plan());
    assert_eq!(verdict_under(&other, &Trust::store(&store)), Verdict::Untrusted);
    // A pinned key decides alone, whatever the store trusts.
    let pinned = Trust::owner(stranger().public()).and_store(&store);
    assert_eq!(verdict_under(&other, &pinned), Verdict::Intact);
    assert_eq!(verdict_under(&small_ring(), &pinned), Verdict::Untrusted);
}

#[test]
fn an_older_version_than_the_newest_seen_is_stale() {
    let (first, second) = two_versions();
    let dir = tempfile::tempdir().unwrap();
    let store = store_that_saw(&dir.path().join("trust.json"), &intact(&second));
    for trust in [Trust::store(&store), Trust::owner(owner().public()).and_store(&store)] {
        let report = verify_under(&first, &trust).unwrap_err();
        assert_eq!(report.verdict, Verdict::Stale);
        assert_eq!(places(&report), [(None, "closure", None)]);
        assert_eq!(verdict_under(&second, &trust), Verdict::Intact);
        let third = seal(&next_version(&intact(&second)), &owner());
        assert_eq!(verdict_under(&third, &trust), Verdict::Intact);
        assert_eq!(verdict_under(&first, &trust.any_version()), Verdict::Intact);
    }
    assert_eq!(verdict_under(&first, &Trust::owner(owner().public())), Verdict::Intact);
}

#[test]
fn taking_any_version_is_not_taking_any_owner() {
    let (first, _) = two_versions();
    let stranger = Trust::owner(stranger().public()).any_version();
    assert_eq!(verdict_under(&first, &stranger), Verdict::Untrusted);
}

#[test]
fn another_ring_of_the_version_seen_is_stale() {
    let (first, second) = two_versions();
    let other = seal(&next_version(&intact(&first)), &owner());
    let dir = tempfile::tempdir().unwrap();
    let store = store_that_saw(&dir.path().join("trust.json"), &intact(&second));
    let report = verify_under(&other, &Trust::store(&store)).unwrap_err();
    assert_eq!(report.verdict, Verdict::Stale);
    assert_eq!(places(&report), [(None, "closure", None)]);
}

#[test]
fn an_old_ring_that_is_damaged_as_well_is_tampering_and_both_are_told() {
    let (mut first, second) = two_versions();
    let dir = tempfile::tempdir().unwrap();
    let store = store_that_saw(&dir.path().join("trust.json"), &intact(&second));
    *first.last_mut().unwrap() ^= 1;
    let report = verify_under(&first, &Trust::store(&store)).unwrap_err();
    assert_eq!(report.verdict, Verdict::Tampered);
    assert_eq!(places(&report), [(Some(3), "body", Some("graph")), (None, "closure", None)]);
}

#[test]
fn an_owner_trusted_for_one_ring_cannot_take_over_the_ring_of_another() {
    let first = intact(&small_ring());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let mut store = store_that_saw(&path, &first);
    let own = stranger_ring(&plan());
    let pinned = Trust::owner(stranger().public());
    store.add_owner(&stranger().public()).unwrap();
    store.remember(&verify_under(&own, &pinned).unwrap()).unwrap();

    let taken_over = stranger_ring(&next_version(&first));
    let report = verify_under(&taken_over, &Trust::store(&store)).unwrap_err();
    assert_eq!(report.verdict, Verdict::Untrusted, "{report}");
    assert_eq!(verdict_under(&own, &Trust::store(&store)), Verdict::Intact);
}

#[test]
fn remembering_never_goes_back() {
    let (first, second) = two_versions();
    let (first, second) = (intact(&first), intact(&second));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let mut store = store_that_saw(&path, &second);
    store.remember(&first).unwrap();
    let newest = Some((2, second.digest()));
    assert_eq!(store.newest(&second.owned()), newest);
    assert_eq!(TrustStore::open(&path).unwrap().newest(&second.owned()), newest);
}

#[test]
fn a_store_opened_before_another_one_wrote_keeps_what_that_one_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let (one, two) = (intact(&small_ring()), intact(&small_ring()));
    let mut early = TrustStore::open(&path).unwrap();
    store_that_saw(&path, &one);
    early.remember(&two).unwrap();
    let store = TrustStore::open(&path).unwrap();
    assert!(store.newest(&one.owned()).is_some() && store.newest(&two.owned()).is_some());
}

#[test]
fn threads_that_remember_different_rings_lose_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/trust.json");
    let rings: Vec<VerifiedRing> = (0..12).map(|_| intact(&small_ring())).collect();
    std::thread::scope(|s| {
        for ring in &rings {
            s.spawn(|| TrustStore::open(&path).unwrap().remember(ring).unwrap());
        }
    });
    let store = TrustStore::open(&path).unwrap();
    assert!(rings.iter().all(|r| store.newest(&r.owned()) == Some((1, r.digest()))));
}

#[test]
fn processes_that_remember_different_rings_lose_none() {
    let dir = tempfile::tempdir().unwrap();
    let rings: Vec<Vec<u8>> = (0..6).map(|_| small_ring()).collect();
    let children: Vec<_> = rings
        .iter()
        .enumerate()
        .map(|(i, ring)| {
            let file = dir.path().join(format!("{i}.ring"));
            std::fs::write(&file, ring).unwrap();
            child::command("trust::child_remembers_a_ring", &file).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = TrustStore::open(&dir.path().join("trust.json")).unwrap();
    assert!(rings.iter().all(|r| store.newest(&intact(r).owned()).is_some()));
}

#[test]
#[ignore = "the other process of processes_that_remember_different_rings_lose_none"]
fn child_remembers_a_ring() {
    let file = child::path();
    let ring = intact(&std::fs::read(&file).unwrap());
    store_that_saw(&file.with_file_name("trust.json"), &ring);
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let ring = intact(&small_ring());
    store_that_saw(&path, &ring);
    let whole = std::fs::read_to_string(&path).unwrap();
    let digest = ring.digest().to_hex();
    let replaced = |from: &str, to: &str| {
        assert!(whole.contains(from));
        whole.replace(from, to).into_bytes()
    };
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|n| whole[..n].into()).collect();
    damaged.extend([
        replaced("\"format\": 5", "\"format\": 6"),
        replaced("\"format\": 5", "\"format\": 5, \"more\": 0"),
        replaced("\"ledger_paths\": {}", "\"ledger_paths\": { \"/l\": \"unknown\" }"),
        replaced("\"paths\": {}", "\"paths\": { \"/r\": { \"owner\": \"me\", \"ring\": \"00\" } }"),
        replaced("\"model_version\": 1", "\"model_version\": -1"),
        replaced(&digest, &digest.to_uppercase()),
        replaced(&digest, &digest[1..]),
        replaced(&ring.ring_id().to_string(), "00"),
        replaced("drowner1", "drhost1"),
        [whole.as_bytes(), b"}"].concat(),
        vec![0xff; 40],
        b"[]".to_vec(),
    ]);
    let mut early = TrustStore::open(&dir.path().join("none.json")).unwrap();
    for bytes in damaged {
        std::fs::write(&path, &bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let err = TrustStore::open(&path).err().unwrap_or_else(|| panic!("accepted: {text}"));
        assert!(matches!(err, TrustError::Damaged { .. }), "{err}: {text}");
    }
    // A store that was opened in time does not overwrite what became of the file.
    early.remember(&ring).unwrap();
    std::fs::write(dir.path().join("none.json"), "{").unwrap();
    let err = early.remember(&intact(&small_ring())).unwrap_err();
    assert!(matches!(err, TrustError::Damaged { .. }));
    assert_eq!(std::fs::read(dir.path().join("none.json")).unwrap(), b"{");
}

#[test]
fn a_store_that_cannot_be_read_is_an_error_and_not_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let err = TrustStore::open(dir.path()).unwrap_err();
    assert!(matches!(err, TrustError::Io { .. }));
}

#[test]
fn a_ring_id_claimed_by_another_owner_does_not_lock_its_owner_out() {
    let (first, _) = two_versions();
    let ring = intact(&first);
    let plan = RingPlan { model_version: u64::MAX, ..next_version(&ring) };
    let squatted = seal(&plan, &stranger());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let mut store = TrustStore::open(&path).unwrap();
    let theirs = Trust::owner(stranger().public());
    let squatted = UnverifiedRing::read(Arc::new(squatted)).unwrap().authenticate(&theirs).unwrap();
    store.remember(&squatted).unwrap();
    store.add_owner(&owner().public()).unwrap();
    let pinned = Trust::owner(owner().public()).and_store(&store);
    assert_eq!(verdict_under(&first, &pinned), Verdict::Intact);
    store.remember(&ring).unwrap();
    assert_eq!(store.newest(&ring.owned()), Some((1, ring.digest())));
    assert_eq!(verdict_under(&first, &Trust::store(&store)), Verdict::Intact);
}

/// A ledger, whose key the reader gave or not, says that one key of a ring's owner was given up for another.
fn says(
    store: &mut TrustStore,
    pinned: bool,
    ring: &RingId,
    (from, to): (PublicKey<Owner>, PublicKey<Owner>),
    last: Option<(u64, Digest)>,
) {
    let key = "example.org/log+1+k".to_owned();
    let ledger = KnownLedger { key, size: 1, checkpoint: String::new(), pinned };
    let last = last.map(|(model_version, digest)| LastVersion { model_version, digest, deal: 0 });
    let said = [(*ring, vec![KeySuccession { from, to, last }])];
    assert_eq!(store.remember_rotations(&ledger, &said).unwrap(), []);
}

#[test]
fn a_version_under_a_later_key_counts_for_the_keys_before_it_and_for_nobody_elses() {
    let (first, _) = two_versions();
    let first_seen = intact(&first);
    let (old, new) = (owner().public(), stranger().public());
    let at = |model_version: u64| RingPlan { model_version, ..next_version(&first_seen) };
    let under_new = seal(&at(2), &stranger());
    let [stolen, equal] = [seal(&at(3), &owner()), seal(&at(2), &owner())];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let mut store = store_that_saw(&path, &first_seen);
    let seen = UnverifiedRing::read(Arc::new(under_new.clone())).unwrap();
    let seen = seen.authenticate(&Trust::owner(new)).unwrap();
    store.remember(&seen).unwrap();
    let verdict = |store: &TrustStore, bytes: &[u8], owner| {
        verdict_under(bytes, &Trust::owner(owner).and_store(store))
    };
    // Nobody says that they are one owner; or of another ring, or the other way round.
    let (id, other) = (first_seen.ring_id(), intact(&small_ring()).ring_id());
    assert_eq!(verdict(&store, &first, old), Verdict::Intact);
    says(&mut store, false, &other, (old, new), None);
    assert_eq!(verdict(&store, &first, old), Verdict::Intact);

    says(&mut store, false, &id, (old, new), None);
    let store = TrustStore::open(&path).unwrap();
    assert_eq!(store.newest(&first_seen.owned()), Some((2, seen.digest())));
    assert_eq!(store.rotations().count(), 2);
    assert_eq!(verdict(&store, &first, old), Verdict::Stale);
    assert_eq!(verdict_under(&first, &Trust::store(&store)), Verdict::Stale);
    assert_eq!(verdict(&store, &under_new, new), Verdict::Intact);
    for of_old in [&stolen, &equal] {
        assert_eq!(verdict(&store, of_old, old), Verdict::Untrusted);
    }
    let looking_back = Trust::owner(old).and_store(&store).any_version();
    assert_eq!(verdict_under(&first, &looking_back), Verdict::Intact);
    for of_old in [&stolen, &equal] {
        assert_eq!(verdict_under(of_old, &looking_back), Verdict::Untrusted);
    }
}

/// Whoever has a key that was given up cannot lock its owner out with it.
#[test]
fn a_version_under_an_earlier_key_does_not_count_for_the_later_ones() {
    let (first, _) = two_versions();
    let ring = intact(&first);
    let at = |model_version: u64| RingPlan { model_version, ..next_version(&ring) };
    let stolen = seal(&at(u64::MAX), &owner());
    let under_new = seal(&at(2), &stranger());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    let mut store = store_that_saw(&path, &intact(&stolen));
    let keys = (owner().public(), stranger().public());
    says(&mut store, false, &ring.ring_id(), keys, None);
    let trust = Trust::owner(stranger().public()).and_store(&store);
    assert_eq!(verdict_under(&under_new, &trust), Verdict::Intact);
}

/// The newest version by a key that was given up is that which the ledger records, for whoever gave the ledger's key himself:
/// the thief's own, though it was seen, neither counts nor passes.
#[test]
fn of_a_key_that_was_given_up_the_ledgers_newest_version_counts_and_not_the_thiefs() {
    let (first, _) = two_versions();
    let ring = intact(&first);
    let (id, keys) = (ring.ring_id(), (owner().public(), stranger().public()));
    let plan = |model_version: u64| RingPlan { model_version, ..next_version(&ring) };
    let [stolen, second, other] =
        [u64::MAX, 2, 2].map(|model_version| seal(&plan(model_version), &owner()));
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| store_that_saw(&dir.path().join(name), &intact(&stolen));
    let trust = Trust::owner(owner().public());
    let verdict = |store: &TrustStore, bytes: &[u8]| verdict_under(bytes, &trust.and_store(store));

    let mut store = open("first");
    assert_eq!(verdict(&store, &first), Verdict::Stale);
    let last = Some((1, ring.digest()));
    // Whoever can write a folder makes a ledger in it: that nobody vouches for it takes nothing back.
    says(&mut store, false, &id, keys, last);
    assert_eq!(verdict(&store, &first), Verdict::Stale);
    says(&mut store, true, &id, keys, last);
    let store = TrustStore::open(&dir.path().join("first")).unwrap();
    assert_eq!(store.newest(&ring.owned()), last);
    assert_eq!(verdict(&store, &first), Verdict::Intact);
    for refused in [&stolen, &second] {
        assert_eq!(verdict(&store, refused), Verdict::Untrusted);
    }

    // Nor is anybody rolled back to what came before the ledger's newest.
    let mut store = open("second");
    says(&mut store, true, &id, keys, Some((2, intact(&second).digest())));
    assert_eq!(verdict(&store, &first), Verdict::Stale);
    assert_eq!(verdict(&store, &second), Verdict::Intact);
    assert_eq!(verdict(&store, &other), Verdict::Stale);
    // Who looks back sees the owner's old ones, and none that only the thief can have made.
    let looking_back = trust.and_store(&store).any_version();
    assert_eq!(verdict_under(&first, &looking_back), Verdict::Intact);
    assert_eq!(verdict_under(&stolen, &looking_back), Verdict::Untrusted);

    let mut store = open("none");
    says(&mut store, true, &id, keys, None);
    assert_eq!(verdict(&store, &first), Verdict::Untrusted);
    // With the ledger goes what it said.
    assert!(store.forget_ledger("example.org/log+1+k").unwrap());
    assert_eq!(verdict(&store, &stolen), Verdict::Intact);
    assert_eq!(verdict(&store, &first), Verdict::Stale);
}

/// The reader's word about keys holds for all rings, whichever he had seen, and through keys of which none was seen.
#[test]
fn what_a_reader_says_of_keys_holds_before_anything_was_seen_and_through_chains() {
    let (first, _) = two_versions();
    let ring = intact(&first);
    let between = SecretKey::<Owner>::from_halves(&[0x77; 32], &[0x78; 32]).unwrap();
    let (old, new) = (owner().public(), stranger().public());
    let at = |model_version: u64| RingPlan { model_version, ..next_version(&ring) };
    let (stolen, third) = (seal(&at(9), &owner()), seal(&at(3), &stranger()));
    let of_between = seal(&at(2), &between);
    let third = UnverifiedRing::read(Arc::new(third)).unwrap();
    let third = third.authenticate(&Trust::owner(new)).unwrap();
    for order in [[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0], [0, 2, 1], [1, 2, 0]] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = TrustStore::open(&dir.path().join("trust.json")).unwrap();
        for step in order {
            match step {
                0 => drop(store.add_successor(&old, &between.public()).unwrap()),
                1 => drop(store.add_successor(&between.public(), &new).unwrap()),
                _ => store.remember(&third).unwrap(),
            }
        }
        store.remove_owner(&old).unwrap();
        let verdict =
            |bytes: &[u8], owner| verdict_under(bytes, &Trust::owner(owner).and_store(&store));
        assert_eq!(verdict(&first, old), Verdict::Stale, "{order:?}");
        assert_eq!(verdict(&stolen, old), Verdict::Untrusted, "{order:?}");
        assert_eq!(verdict(&of_between, between.public()), Verdict::Stale, "{order:?}");
    }
}
