use super::*;

fn keys<const N: usize>() -> [PublicKey<Owner>; N] {
    [(); N].map(|()| crate::keys::SecretKey::<Owner>::generate().unwrap().public())
}

fn ledger(key: &str, pinned: bool) -> KnownLedger {
    KnownLedger { key: key.into(), size: 1, checkpoint: String::new(), pinned }
}

fn given(from: PublicKey<Owner>, to: PublicKey<Owner>) -> KeySuccession {
    KeySuccession { from, to, last: None }
}

const RING: RingId = RingId([7; 16]);

fn store(dir: &tempfile::TempDir) -> TrustStore {
    TrustStore::open(&dir.path().canonicalize().unwrap().join("trust.json")).unwrap()
}

fn hear_of(store: &mut TrustStore, of: &str, said: &[KeySuccession]) -> Vec<Contradiction> {
    store.remember_rotations(&ledger(of, false), &[(RING, said.to_vec())]).unwrap()
}

#[test]
fn a_ledgers_word_goes_with_it_and_takes_no_other_ones_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir);
    let [old, new, thief] = keys();
    assert_eq!(hear_of(&mut store, "evil+1+k", &[given(old, thief)]), []);
    let found = hear_of(&mut store, "good+2+k", &[given(old, new)]);
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.key, found.said, found.known), (old, new, thief));
    assert_eq!(found.by, Speaker::Ledger("evil+1+k".into()));
    assert!(
        found.to_string().contains("by ledger good")
            && found.to_string().contains("by ledger evil")
    );
    assert_eq!(store.contradicts("good+2+k", &RING, &[given(old, new)]).as_ref(), Some(found));
    assert_eq!(store.ledger("good+2+k"), None);
    // About another ring, it may.
    let other = store.remember_rotations(
        &ledger("good+2+k", false),
        &[(RingId([8; 16]), vec![given(old, new)])],
    );
    assert_eq!(other.unwrap(), []);

    store.forget_ledger("evil+1+k").unwrap();
    assert_eq!(hear_of(&mut store, "good+2+k", &[given(old, new)]), []);
    assert_eq!(store.speakers_of(&RING), ["good+2+k"]);
    // The same by more steps; and its own word can grow.
    let [between, more] = keys();
    let longer = [given(old, between), given(between, new), given(new, more)];
    assert_eq!(hear_of(&mut store, "third+3+k", &longer), []);
    assert_eq!(hear_of(&mut store, "good+2+k", &[given(old, new), given(new, more)]), []);
    let back = hear_of(&mut store, "back+4+k", &[given(more, old)]);
    assert_eq!((back[0].key, back[0].said, back[0].known), (more, old, more));
}

#[test]
fn the_readers_word_stands_above_and_is_taken_back_by_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(&dir);
    let [old, new, thief, last] = keys();
    hear_of(&mut store, "evil+1+k", &[given(old, thief)]);
    assert!(store.add_successor(&old, &new).unwrap());
    assert!(!store.add_successor(&old, &new).unwrap());
    assert!(store.trusts(&new) && store.speakers_of(&RING).is_empty());
    let found = hear_of(&mut store, "evil+1+k", &[given(old, thief)]);
    assert_eq!((found[0].known, &found[0].by), (new, &Speaker::Reader));

    let before = store.rotations().collect::<Vec<_>>();
    for (from, to) in [(old, thief), (new, old), (old, old)] {
        let refused = store.add_successor(&from, &to);
        assert!(matches!(refused, Err(TrustError::OtherSuccessor(_))), "{refused:?}");
    }
    assert_eq!((store.rotations().collect::<Vec<_>>(), store.trusts(&thief)), (before, false));
    // What follows already needs no word of its own.
    assert!(store.add_successor(&new, &last).unwrap());
    assert!(!store.add_successor(&old, &last).unwrap());

    assert_eq!(store.remove_successor(&old).unwrap(), Some(new));
    assert_eq!(store.remove_successor(&old).unwrap(), None);
    assert!(store.add_successor(&old, &thief).unwrap());
}

#[test]
fn of_two_who_speak_at_once_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (store(&dir), store(&dir));
    let [old, new, thief] = keys();
    one.add_successor(&old, &new).unwrap();
    assert!(matches!(two.add_successor(&old, &thief), Err(TrustError::OtherSuccessor(_))));
    let [old, new, thief] = keys();
    assert_eq!(hear_of(&mut one, "one+1+k", &[given(old, new)]), []);
    assert_eq!(hear_of(&mut two, "two+2+k", &[given(old, thief)]).len(), 1);
}
