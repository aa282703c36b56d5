//! An owner's signer may be a token, and is not believed: what it signs wrongly, or not at all, is never written.

use std::path::Path;
use std::sync::Arc;

use deepring::deal::Copies;
use deepring::files::Replacement;
use deepring::keys::{OwnerMessage, OwnerOpening, OwnerSigner, SignerError, SigningOwner};
use deepring::maintenance::{GrantError, Granter, deal_in, grant_in};
use deepring::seal::{RingPlan, RingSealer, SealError};
use deepring::{Owner, PublicKey, SecretKey, Trust, UnverifiedRing, VerifiedRing};

use crate::dealing::dealt_plan;
use crate::dealt_ring::planned;
use crate::small_ring::{OWNER_SEED, host_c, owner, plaintext, plan, small_ring, stranger};

const LABELS: [&str; 4] = [
    "deepring v1 sign deal",
    "deepring v1 sign header",
    "deepring v1 sign outline",
    "deepring v1 sign closure",
];

/// The way in which a token fails for messages under one label; the rest it signs as it should.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Gone,
    Declines,
    /// Signs with another key than the one that it shows.
    OtherKey,
    /// One bit of its signature is another one.
    OneBit,
    /// Signs something else.
    OtherMessage,
    Zeros,
}

const FAULTS: [Fault; 6] = [
    Fault::Gone,
    Fault::Declines,
    Fault::OtherKey,
    Fault::OneBit,
    Fault::OtherMessage,
    Fault::Zeros,
];

#[derive(Debug)]
struct Token {
    fault: Fault,
    label: &'static str,
}

impl OwnerSigner for Token {
    fn public(&self) -> PublicKey<Owner> {
        owner().public()
    }

    fn sign(&self, message: &OwnerMessage<'_>) -> Result<[u8; 64], SignerError> {
        assert!(LABELS.contains(&message.label()), "{}", message.label());
        let ed25519 = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked;
        let sign = |seed: &[u8; 32], bytes: &[u8]| -> [u8; 64] {
            ed25519(seed).unwrap().sign(bytes).as_ref().try_into().unwrap()
        };
        let seed = &OWNER_SEED;
        let mut right = sign(seed, &message.to_bytes());
        if message.label() != self.label {
            return Ok(right);
        }
        match self.fault {
            Fault::None => Ok(right),
            Fault::Gone => Err(SignerError::Gone { reason: "pulled out".into() }),
            Fault::Declines => Err(SignerError::Declined { reason: "locked".into() }),
            Fault::OtherKey => Ok(sign(&[0x55; 32], &message.to_bytes())),
            Fault::OneBit => {
                right[20] ^= 4;
                Ok(right)
            }
            Fault::OtherMessage => Ok(sign(seed, b"something else")),
            Fault::Zeros => Ok([0; 64]),
        }
    }
}

fn token(fault: Fault, label: &'static str) -> SigningOwner {
    SigningOwner::new(Arc::new(Token { fault, label }))
}

#[track_caller]
fn assert_named(error: &SignerError, fault: Fault, label: &'static str) {
    let named = match fault {
        Fault::Gone => matches!(error, SignerError::Gone { .. }),
        Fault::Declines => matches!(error, SignerError::Declined { .. }),
        _ => *error == SignerError::WrongSignature { label },
    };
    assert!(named, "{fault:?} under {label}: {error}");
}

/// Seals a dealt ring, so that all four labels are signed.
fn seal(target: &Path, plan: &RingPlan, owner: SigningOwner) -> Result<(), SealError> {
    let mut sealer = RingSealer::create(target, plan, owner)?;
    while let Some(block) = sealer.next_block() {
        let plaintext = plaintext(&sealer, block);
        sealer.seal_block(&plaintext)?;
    }
    sealer.finish().map(drop)
}

fn open(path: &Path) -> VerifiedRing {
    let trust = Trust::owner(owner().public());
    UnverifiedRing::open(path).unwrap().verify(&trust, &|_| ()).unwrap()
}

#[test]
fn a_token_that_signs_wrongly_seals_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    let plan = dealt_plan(planned(Copies::Two, false));
    for label in LABELS {
        for fault in FAULTS {
            match seal(&target, &plan, token(fault, label)) {
                Err(SealError::Signer(e)) => assert_named(&e, fault, label),
                other => panic!("{fault:?} under {label}: {other:?}"),
            }
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written");
        }
    }
    seal(&target, &plan, token(Fault::None, LABELS[0])).unwrap();
    assert!(open(&target).outline().deal().is_some());
}

#[test]
fn a_token_that_signs_wrongly_grants_and_deals_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    let before = small_ring();
    std::fs::write(&target, &before).unwrap();
    let ring = open(&target);
    let whole = owner();
    let granter = |fault, label| Granter::new(token(fault, label), OwnerOpening::from(&whole));
    let into = || Replacement::of(&target).unwrap();
    for label in LABELS {
        for fault in FAULTS {
            let dealt = deal_in(into(), &ring, granter(fault, label), &planned(Copies::Two, false));
            match dealt {
                Err(GrantError::Signer(e)) => assert_named(&e, fault, label),
                other => panic!("{fault:?} under {label}: {other:?}"),
            }
            if label == LABELS[0] {
                // A grant signs no deal.
                continue;
            }
            let host = host_c().public();
            match grant_in(into(), &ring, granter(fault, label), &host, None) {
                Err(GrantError::Signer(e)) => assert_named(&e, fault, label),
                other => panic!("{fault:?} under {label}: {other:?}"),
            }
        }
    }
    assert_eq!(std::fs::read(&target).unwrap(), before, "nothing was written");
    let granted =
        grant_in(into(), &ring, granter(Fault::None, LABELS[0]), &host_c().public(), None);
    assert_eq!(granted.unwrap(), 4);
    let again = open(&target);
    deal_in(into(), &again, granter(Fault::None, LABELS[0]), &planned(Copies::Two, false)).unwrap();
    assert_eq!(open(&target).revision(), 2);
}

#[test]
fn a_grant_needs_the_opening_half_of_the_very_owner_whose_signing_half_signs() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("a.ring"), dir.path().join("b.ring"));
    std::fs::write(&source, small_ring()).unwrap();
    let ring = open(&source);
    let host = host_c().public();
    let other: SecretKey<Owner> = stranger();
    for opening in [OwnerOpening::from(&other), OwnerOpening::new(&[9; 32])] {
        let granter = Granter::new(SigningOwner::from(&owner()), opening);
        let refused = grant_in(Replacement::of(&target).unwrap(), &ring, granter, &host, None);
        assert!(matches!(refused, Err(GrantError::NoBlockKey { index: 0 })));
    }
    // Whoever opens for the owner, and signs as somebody else, is not the owner.
    let mine = owner();
    let granter = Granter::new(SigningOwner::from(&other), OwnerOpening::from(&mine));
    let refused = grant_in(Replacement::of(&target).unwrap(), &ring, granter, &host, None);
    assert!(matches!(refused, Err(GrantError::NotTheOwner)));
    assert!(!target.exists());
}

#[test]
fn a_plain_key_is_a_signer_like_any_other() {
    let signer: Arc<dyn OwnerSigner> = Arc::new(owner());
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.ring");
    seal(&target, &plan(), signer.into()).unwrap();
    assert_eq!(open(&target).owner(), owner().public());
}
