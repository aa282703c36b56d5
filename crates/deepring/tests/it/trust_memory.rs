//! Records that the trust store keeps whatever comes after: versions by owner and ring, bindings of paths, ledgers; and its lock.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deepring::deal::Copies;
use deepring::seal::RingPlan;
use deepring::trust::{KnownLedger, TrustError};
use deepring::{
    AuthenticRing, Owner, RingError, SecretKey, Trust, TrustStore, UnverifiedRing, Verdict,
};

use crate::dealt_ring::{deal_out, planned};
use crate::small_ring::{
    intact, next_version, owner, plan, seal, small_ring, stranger, two_versions,
};

/// A folder with an empty store.
struct Memory {
    dir: tempfile::TempDir,
    store: TrustStore,
}

impl Memory {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = TrustStore::open(&dir.path().join("trust.json")).unwrap();
        Self { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// A file with these bytes.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// The store as the next process reads it.
    fn reread(&self) -> TrustStore {
        TrustStore::open(&self.path("trust.json")).unwrap()
    }
}

fn ring_of(bytes: &[u8], owner: &SecretKey<Owner>) -> AuthenticRing {
    let trust = Trust::owner(owner.public());
    UnverifiedRing::read(Arc::new(bytes.to_vec())).unwrap().authenticate(&trust).unwrap()
}

fn verdict_at(path: &Path, trust: &Trust<'_>) -> Verdict {
    match UnverifiedRing::open(path).unwrap().authenticate(&trust.at(path)) {
        Ok(_) => Verdict::Intact,
        Err(RingError::Refused(report)) => report.verdict,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn another_owners_ring_of_the_same_id_does_not_erase_what_was_seen() {
    let (first, second) = two_versions();
    let ring = intact(&first);
    let mut memory = Memory::new();
    memory.store.add_owner(&owner().public()).unwrap();
    memory.store.remember(&intact(&second)).unwrap();
    // The other owner seals under the same id, and the reader looks at that ring with the other's key.
    let claimed = RingPlan { model_version: u64::MAX, ..next_version(&ring) };
    let claimed = seal(&claimed, &stranger());
    memory.store.remember(&ring_of(&claimed, &stranger())).unwrap();

    let store = memory.reread();
    let path = memory.file("first.ring", &first);
    for trust in [Trust::owner(owner().public()).and_store(&store), Trust::store(&store)] {
        assert_eq!(verdict_at(&path, &trust), Verdict::Stale);
    }
}

#[test]
fn to_remember_or_bind_a_ring_is_not_to_trust_its_owner() {
    let mut memory = Memory::new();
    let path = memory.file("a.ring", &small_ring());
    let ring = ring_of(&fs::read(&path).unwrap(), &owner());
    memory.store.remember(&ring).unwrap();
    memory.store.bind(&path, &ring).unwrap();
    let store = memory.reread();
    assert!(!store.trusts(&owner().public()));
    assert_eq!(store.owners().count(), 0);
    assert_eq!(verdict_at(&path, &Trust::store(&store)), Verdict::Untrusted);
}

/// An attacker who puts the file from before the deal back would have one host decide alone.
#[test]
fn a_ring_from_before_its_deal_is_stale_where_the_deal_was_seen() {
    let mut memory = Memory::new();
    let bytes = small_ring();
    let dealt = deal_out(&intact(&bytes), &owner(), &planned(Copies::Two, false)).unwrap().1;
    let (undealt, dealt) = (memory.file("undealt.ring", &bytes), memory.file("dealt.ring", &dealt));
    let open = |path: &Path| UnverifiedRing::open(path).unwrap();
    let pinned = Trust::owner(owner().public());
    let verdict = |store: &TrustStore, path: &Path| verdict_at(path, &pinned.and_store(store));
    assert_eq!(verdict(&memory.store, &undealt), Verdict::Intact);
    memory.store.remember(&open(&undealt).authenticate(&pinned).unwrap()).unwrap();
    assert_eq!(verdict(&memory.store, &dealt), Verdict::Intact);
    memory.store.remember(&open(&dealt).authenticate(&pinned).unwrap()).unwrap();
    assert_eq!(verdict(&memory.store, &undealt), Verdict::Stale);
    // It is remembered for good, also after the earlier one was looked at by whoever looks back.
    let looking_back = pinned.and_store(&memory.store).any_version();
    let ring = open(&undealt).authenticate(&looking_back).unwrap();
    memory.store.remember(&ring).unwrap();
    assert_eq!(verdict(&memory.store, &undealt), Verdict::Stale);
    assert_eq!(verdict(&memory.store, &dealt), Verdict::Intact);
    // So it is where its path was bound before the deal.
    let mut bound = Memory::new();
    let (at, before) = (bound.file("net.ring", &fs::read(&undealt).unwrap()), &undealt);
    bound.store.bind(&at, &open(before).authenticate(&pinned).unwrap()).unwrap();
    bound.store.bind(&at, &open(&dealt).authenticate(&pinned).unwrap()).unwrap();
    assert_eq!(verdict(&bound.store, &at), Verdict::Stale);
    // A verifier of outlines is told the same.
    let outline = ring.outline().as_outline().clone();
    assert!(outline.clone().verify(&pinned.and_store(&memory.store)).is_err());
    assert!(outline.verify(&pinned).is_ok());
}

#[test]
fn a_removed_owner_is_trusted_no_more_and_the_versions_of_his_rings_are_still_known() {
    let (first, second) = two_versions();
    let mut memory = Memory::new();
    let path = memory.file("a.ring", &second);
    assert!(memory.store.add_owner(&owner().public()).unwrap());
    assert!(!memory.store.add_owner(&owner().public()).unwrap());
    memory.store.bind(&path, &intact(&second)).unwrap();
    assert!(memory.store.remove_owner(&owner().public()).unwrap());
    assert!(!memory.store.remove_owner(&owner().public()).unwrap());

    let mut store = memory.reread();
    assert_eq!(verdict_at(&path, &Trust::store(&store)), Verdict::Untrusted);
    assert_eq!(store.bindings_at(&path).unwrap(), [intact(&second).owned()]);
    store.add_owner(&owner().public()).unwrap();
    fs::write(&path, &first).unwrap();
    assert_eq!(verdict_at(&path, &Trust::store(&store)), Verdict::Stale);
}

#[test]
fn at_a_bound_path_every_other_ring_is_untrusted_and_the_next_version_is_not() {
    let (first, second) = two_versions();
    let mut memory = Memory::new();
    let path = memory.file("model.ring", &first);
    memory.store.bind(&path, &intact(&first)).unwrap();
    for owner in [owner(), stranger()] {
        memory.store.add_owner(&owner.public()).unwrap();
    }
    let store = memory.reread();
    let both = |owner: &SecretKey<Owner>| {
        [Trust::store(&store), Trust::owner(owner.public()).and_store(&store)]
    };
    for (bytes, signer) in [(seal(&plan(), &stranger()), stranger()), (small_ring(), owner())] {
        fs::write(&path, &bytes).unwrap();
        for trust in both(&signer) {
            assert_eq!(verdict_at(&path, &trust), Verdict::Untrusted);
            let elsewhere = memory.file("elsewhere.ring", &bytes);
            assert_eq!(verdict_at(&elsewhere, &trust), Verdict::Intact);
        }
    }
    fs::write(&path, &second).unwrap();
    both(&owner()).iter().for_each(|t| assert_eq!(verdict_at(&path, t), Verdict::Intact));
}

#[test]
fn a_refusal_at_a_bound_path_names_both_owners_and_both_rings() {
    let (bound, other) = (small_ring(), seal(&plan(), &stranger()));
    let mut memory = Memory::new();
    let path = memory.file("model.ring", &other);
    memory.store.bind(&path, &intact(&bound)).unwrap();
    let trust = Trust::owner(stranger().public()).and_store(&memory.store).at(&path);
    let err = UnverifiedRing::open(&path).unwrap().authenticate(&trust).unwrap_err();
    let RingError::Refused(report) = err else { panic!("{err}") };
    let [finding] = report.findings.as_slice() else { panic!("{report}") };
    assert!(finding.is_against_binding());
    let other = ring_of(&other, &stranger());
    for name in [intact(&bound).owned(), other.owned()] {
        assert!(finding.reason.contains(&name.owner.to_string()), "{finding}");
        assert!(finding.reason.contains(&name.ring.to_string()), "{finding}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_a_bound_rings_place_and_another_way_to_it_are_bound_too() {
    let bound = small_ring();
    let mut memory = Memory::new();
    let path = memory.file("model.ring", &bound);
    memory.store.bind(&path, &intact(&bound)).unwrap();
    memory.store.add_owner(&stranger().public()).unwrap();
    let trust = Trust::store(&memory.store);

    let other = seal(&plan(), &stranger());
    let foreign = memory.file("foreign.ring", &other);
    let way = memory.path("way.ring");
    std::os::unix::fs::symlink(&path, &way).unwrap();
    fs::write(&path, &other).unwrap();
    assert_eq!(verdict_at(&way, &trust), Verdict::Untrusted, "the same file by another way");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&foreign, &path).unwrap();
    assert_eq!(verdict_at(&path, &trust), Verdict::Untrusted, "a link in the file's place");
    assert_eq!(verdict_at(&foreign, &trust), Verdict::Intact);
}

#[test]
fn a_path_is_bound_anew_only_after_it_was_unbound() {
    let mut memory = Memory::new();
    let path = memory.file("model.ring", &small_ring());
    let (one, two) = (intact(&small_ring()), intact(&small_ring()));
    memory.store.bind(&path, &one).unwrap();
    memory.store.bind(&path, &one).unwrap();
    let err = memory.store.bind(&path, &two).unwrap_err();
    let TrustError::BoundToAnother { bound, found, .. } = err else { panic!("{err}") };
    assert_eq!((*bound, *found), (one.owned(), two.owned()));
    assert_eq!(memory.reread().bindings_at(&path).unwrap(), [one.owned()]);
    assert_eq!(memory.reread().newest(&two.owned()), None, "nothing of it was remembered");

    assert_eq!(memory.store.unbind(&path).unwrap(), Some(one.owned()));
    assert_eq!(memory.store.unbind(&path).unwrap(), None);
    memory.store.bind(&path, &two).unwrap();
    assert_eq!(memory.reread().bindings_at(&path).unwrap(), [two.owned()]);
    assert!(memory.reread().newest(&one.owned()).is_some(), "versions seen stay");
}

#[test]
fn a_store_of_format_1_is_refused_by_name_and_left_as_it_is() {
    let memory = Memory::new();
    let old = r#"{ "format": 1, "owners": [], "rings": {}, "ledgers": {} }"#;
    let path = memory.file("old.json", old.as_bytes());
    assert!(matches!(TrustStore::open(&path), Err(TrustError::OldFormat { path: p }) if p == path));
    assert_eq!(fs::read_to_string(&path).unwrap(), old);
}

fn ledger(key: &str, size: u64) -> KnownLedger {
    KnownLedger { key: key.into(), size, checkpoint: format!("{key} of {size}"), pinned: false }
}

#[test]
fn no_store_is_made_in_the_place_of_a_ledgers_file_or_of_another_stores_lock() {
    let memory = Memory::new();
    memory.file("ledger.redb", b"redb\x1a\x0a\xa9\x0d\x0a");
    let before = std::fs::read_dir(memory.path("")).unwrap().count();
    // The lock of the last would be the ledger's.
    for name in ["checkpoint", "writer.lock", "log.key", "log.pub", "writer"] {
        let mut store = TrustStore::open(&memory.path(name)).unwrap();
        let e = store.add_owner(&owner().public()).unwrap_err();
        assert!(e.to_string().contains("a file of a ledger"), "{name}: {e}");
        assert_eq!(std::fs::read_dir(memory.path("")).unwrap().count(), before, "{name}");
    }
    TrustStore::open(&memory.path("mine")).unwrap().add_owner(&owner().public()).unwrap();
    std::fs::remove_file(memory.path("mine.lock")).unwrap();
    let mut store = TrustStore::open(&memory.path("mine.lock")).unwrap();
    assert!(store.add_owner(&owner().public()).is_err());
    assert!(!memory.path("mine.lock").exists());
}

#[test]
fn a_checkpoint_only_grows_and_a_path_stays_its_ledgers() {
    let ring = intact(&small_ring());
    let mut memory = Memory::new();
    let dir = memory.path("ledger");
    let (one, two) = (ledger("one+1+k", 5), ledger("two+2+k", 9));
    memory.store.remember(&ring).unwrap();
    memory.store.remember_ledger(&one, Some(&dir), Some(&ring.owned())).unwrap();
    memory.store.remember_ledger(&ledger("one+1+k", 3), Some(&dir), None).unwrap();
    memory.store.remember_ledger(&two, Some(&dir), None).unwrap();

    let store = memory.reread();
    assert_eq!(store.ledger("one+1+k"), Some(one.clone()));
    assert_eq!(store.ledger("two+2+k"), Some(two));
    assert_eq!(store.ledgers_at(&dir).unwrap(), ["one+1+k"]);
    assert_eq!(store.ledgers_of(&ring.owned()), ["one+1+k"]);
    assert_eq!(store.ledgers_named("one"), ["one+1+k"]);
    assert!(store.ledgers_named("on").is_empty());

    assert!(memory.store.forget_ledger("one+1+k").unwrap());
    assert!(!memory.store.forget_ledger("one+1+k").unwrap());
    let store = memory.reread();
    assert!(
        store.ledgers_at(&dir).unwrap().is_empty() && store.ledgers_of(&ring.owned()).is_empty()
    );
    assert_eq!(store.newest(&ring.owned()), Some((1, ring.digest())));
}

#[test]
fn a_ledger_stays_a_rings_when_the_ring_is_upgraded() {
    let (first, second) = two_versions();
    let mut memory = Memory::new();
    let name = intact(&first).owned();
    memory.store.remember(&intact(&first)).unwrap();
    memory.store.remember_ledger(&ledger("one+1+k", 5), None, Some(&name)).unwrap();
    memory.store.remember(&intact(&second)).unwrap();
    assert_eq!(memory.reread().ledgers_of(&name), ["one+1+k"]);
}

#[test]
fn a_lock_that_another_holds_is_not_waited_for_for_ever() {
    let memory = Memory::new();
    let held = File::create(memory.path("trust.json.lock")).unwrap();
    held.lock().unwrap();
    let mut store = memory.reread().wait(Duration::ZERO);
    let err = store.add_owner(&owner().public()).unwrap_err();
    assert!(
        matches!(&err, TrustError::Busy { lock, .. } if *lock == memory.path("trust.json.lock"))
    );
    assert!(err.to_string().contains("trust.json.lock"), "{err}");
    assert!(!memory.path("trust.json").exists());
    drop(held);
    store.add_owner(&owner().public()).unwrap();
}

#[cfg(unix)]
#[test]
fn store_and_lock_are_their_users_alone_also_where_they_were_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut memory = Memory::new();
    let dir = memory.path("");
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    let (lock, file) = (memory.path("trust.json.lock"), memory.path("trust.json"));
    memory.store.add_owner(&owner().public()).unwrap();
    assert_eq!((mode("trust.json.lock"), mode("trust.json")), (0o600, 0o600));
    for path in [&lock, &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    memory.store.add_owner(&stranger().public()).unwrap();
    assert_eq!((mode("trust.json.lock"), mode("trust.json")), (0o600, 0o600));

    let deep = memory.path("deep/er/trust.json");
    TrustStore::open(&deep).unwrap().add_owner(&owner().public()).unwrap();
    assert_eq!((mode("deep"), mode("deep/er")), (0o700, 0o700));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_store_or_lock_is_refused_and_not_waited_for() {
    for name in ["trust.json", "trust.json.lock"] {
        let mut memory = Memory::new();
        let made = std::process::Command::new("mkfifo").arg(memory.path(name)).status();
        if !made.is_ok_and(|s| s.success()) {
            crate::skip::skip("system", "no mkfifo here");
            return;
        }
        let err = memory.store.add_owner(&owner().public()).unwrap_err();
        assert!(matches!(&err, TrustError::Io { path, .. } if *path == memory.path(name)), "{err}");
    }
}

/// The name of a descriptor leads nowhere that a path could name; so does a link in a circle.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_or_a_deleted_file_by_a_descriptors_name_is_no_absent_store() {
    use std::os::fd::AsRawFd as _;
    let memory = Memory::new();
    let (reader, _writer) = std::io::pipe().unwrap();
    let deleted = File::create(memory.path("deleted")).unwrap();
    fs::remove_file(memory.path("deleted")).unwrap();
    std::os::unix::fs::symlink("circle", memory.path("circle")).unwrap();
    for path in [
        format!("/proc/self/fd/{}", reader.as_raw_fd()).into(),
        format!("/dev/fd/{}", deleted.as_raw_fd()).into(),
        memory.path("circle"),
    ] {
        let refused = TrustStore::open(&path);
        assert!(matches!(refused, Err(TrustError::Io { .. })), "{}", path.display());
    }
}

/// Whoever can write a folder on the way, above the store or around a link to it, can put another store there.
#[cfg(unix)]
#[test]
fn a_way_to_the_store_that_others_can_change_is_refused_wherever_it_is_loose() {
    use std::os::unix::fs::PermissionsExt as _;
    let memory = Memory::new();
    for folder in ["above/mine", "hops"] {
        fs::create_dir_all(memory.path(folder)).unwrap();
    }
    std::os::unix::fs::symlink("hops/hop", memory.path("link")).unwrap();
    std::os::unix::fs::symlink("../above/mine/trust.json", memory.path("hops/hop")).unwrap();
    let (store, link) = (memory.path("above/mine/trust.json"), memory.path("link"));
    TrustStore::open(&store).unwrap().add_owner(&owner().public()).unwrap();
    assert!(TrustStore::open(&link).unwrap().trusts(&owner().public()));
    for (folder, ways) in [("above", vec![&store, &link]), ("hops", vec![&link])] {
        let set = |mode| fs::set_permissions(memory.path(folder), fs::Permissions::from_mode(mode));
        set(0o775).unwrap();
        for way in ways {
            let refused = TrustStore::open(way).map(drop).unwrap_err();
            let TrustError::LooseFolder { folder: found, .. } = &refused else {
                panic!("{refused}")
            };
            assert!(found.ends_with(folder), "{}", found.display());
        }
        // As /tmp is.
        set(0o1777).unwrap();
        TrustStore::open(&link).unwrap();
        set(0o755).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_store_that_its_group_or_others_can_write_is_neither_read_nor_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut memory = Memory::new();
    memory.store.add_owner(&owner().public()).unwrap();
    let path = memory.path("trust.json");
    let before = fs::read(&path).unwrap();
    for mode in [0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let opened = TrustStore::open(&path).map(drop);
        let changed = memory.store.add_owner(&stranger().public()).map(drop);
        for refused in [opened, changed] {
            assert!(matches!(refused, Err(TrustError::Loose { mode: m, .. }) if m == mode));
        }
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// In a folder like /tmp, anybody can make the lock first, and hold it.
#[cfg(unix)]
#[test]
fn a_lock_of_another_user_or_with_another_name_is_refused_at_once() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let mut memory = Memory::new();
    let lock = memory.path("trust.json.lock");
    let theirs = memory.path("theirs");
    fs::write(&theirs, "theirs").unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(&theirs, &lock).unwrap();
    assert!(matches!(memory.store.add_owner(&owner().public()), Err(TrustError::Io { .. })));
    assert_eq!(fs::metadata(&theirs).unwrap().permissions().mode() & 0o777, 0o644);
    fs::remove_file(&lock).unwrap();
    let held = File::create(&lock).unwrap();
    held.lock().unwrap();
    if chown(&lock, Some(12_345), None).is_err() {
        crate::skip::skip("system", "only root gives files away");
        return;
    }
    let started = std::time::Instant::now();
    assert!(matches!(memory.store.add_owner(&owner().public()), Err(TrustError::Io { .. })));
    assert!(started.elapsed() < Duration::from_secs(5), "it was waited for");
}

#[cfg(unix)]
#[test]
fn a_link_in_the_locks_place_is_not_followed() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut memory = Memory::new();
    let theirs = memory.path("theirs");
    fs::write(&theirs, "theirs").unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o644)).unwrap();
    for target in ["theirs", "none"] {
        std::os::unix::fs::symlink(target, memory.path("trust.json.lock")).unwrap();
        let err = memory.store.add_owner(&owner().public()).unwrap_err();
        assert!(matches!(err, TrustError::Io { .. }), "{err}");
        fs::remove_file(memory.path("trust.json.lock")).unwrap();
    }
    assert_eq!(fs::metadata(&theirs).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(!memory.path("none").exists());
}
