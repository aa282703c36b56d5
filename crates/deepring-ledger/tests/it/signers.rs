//! Entries by an owner's signer that signs wrongly, or not at all: none is made, and nothing is recorded.

use std::sync::Arc;

use deepring::keys::{AuthorKey, OwnerMessage, OwnerSigner, SignerError, SigningOwner};
use deepring::{Owner, PublicKey, SecretKey};
use deepring_ledger::entry::EntryError;
use deepring_ledger::{Event, LedgerError};

use crate::authority::{Fixture, by_owner};
use crate::rings::{Sealed, owner_key};

/// Shows one owner's key and signs with another's; without that one it is gone.
#[derive(Debug)]
struct Liar {
    shows: PublicKey<Owner>,
    signs: Option<SecretKey<Owner>>,
}

impl OwnerSigner for Liar {
    fn public(&self) -> PublicKey<Owner> {
        self.shows
    }

    fn sign(&self, message: &OwnerMessage<'_>) -> Result<[u8; 64], SignerError> {
        match &self.signs {
            Some(key) => OwnerSigner::sign(key, message),
            None => Err(SignerError::Gone { reason: "pulled out".into() }),
        }
    }
}

/// Owner 0's signer, which signs as this owner.
fn owner_0(signs_as: Option<u8>) -> SigningOwner {
    let liar = Liar { shows: owner_key(0).public(), signs: signs_as.map(owner_key) };
    SigningOwner::new(Arc::new(liar))
}

#[test]
fn an_entry_that_its_owner_did_not_sign_is_not_made() {
    let mut f = Fixture::new(1);
    let event = f.revoke_ring(None);
    let label = "deepring v1 sign entry";
    let wrong = SignerError::WrongSignature { label };
    let gone = SignerError::Gone { reason: "pulled out".into() };
    let before = f.ledger.checkpoint().clone();
    for (signer, error) in [(owner_0(Some(7)), wrong), (owner_0(None), gone)] {
        let author = AuthorKey::from(signer);
        assert_eq!(crate::sample::sign(1, &event, &author), Err(EntryError::Signer(error.clone())));
        match f.ledger.record(&event, &author) {
            Err(LedgerError::Entry(EntryError::Signer(e))) => assert_eq!(e, error),
            other => panic!("{other:?}"),
        }
        assert_eq!(*f.ledger.checkpoint(), before, "nothing is recorded");
    }
    // A signer that does what it should is an author like the key itself.
    let entry = crate::sample::sign(1, &event, &owner_0(Some(0)).into()).unwrap();
    assert_eq!(entry, crate::sample::sign(1, &event, &by_owner(0)).unwrap());
    f.allowed(&event, &owner_0(Some(0)).into());
}

#[test]
fn a_registration_that_its_owner_did_not_sign_is_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = crate::sample::ledger_at(dir.path()).unwrap();
    let outline = Sealed::new(0, 1).outline();
    for signs_as in [Some(7), None] {
        let refused = ledger.register(&outline, &owner_0(signs_as).into());
        assert!(matches!(refused, Err(LedgerError::Entry(EntryError::Signer(_)))), "{refused:?}");
        assert_eq!(ledger.checkpoint().size(), 0);
    }
    ledger.register(&outline, &owner_0(Some(0)).into()).unwrap();
}

#[test]
fn a_key_takes_over_only_if_it_signs_that_it_does() {
    let old = owner_key(3).public();
    let label = "deepring v1 sign key rotation";
    let refused = Event::rotation(&old, owner_0(Some(7))).unwrap_err();
    assert_eq!(refused, SignerError::WrongSignature { label });
    assert!(matches!(Event::rotation(&old, owner_0(None)), Err(SignerError::Gone { .. })));
    let rotation = Event::rotation(&old, owner_0(Some(0))).unwrap();
    assert_eq!(rotation, Event::rotation(&old, owner_key(0)).unwrap());
}
