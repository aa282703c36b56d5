//! Disputes: what two copies signed against each other goes to an arbiter with the very tensors that both name, and with no
//! others.

use deepring::deal::Copies;
use deepring::receipt::{ParcelError, Salt, SealedTensors, TensorValue};
use deepring::replication::{Dispute, DisputeError, EvidenceError};
use deepring::{Digest, VerifiedRing};

use crate::dealt_ring::{conclude, dealt, opened, right};
use crate::evidence::{all, contradiction, perjury};
use crate::small_query::{batch_of, salt, start, tensor};
use crate::small_ring::{host_c, host_d};

type Batch = Vec<Vec<TensorValue>>;

fn batch(name: &str, values: &[u8]) -> Batch {
    values.iter().map(|n| vec![tensor(name, *n)]).collect()
}

fn random() -> impl FnMut(&mut [u8]) -> Result<(), deepring::keys::NoRandomness> {
    let mut n = 0;
    move |out: &mut [u8]| {
        n += 1;
        out.fill(n);
        Ok(())
    }
}

/// The parts of the dispute of leg 1; the tests change one thing each.
struct Parts {
    ring: VerifiedRing,
    evidence: deepring::replication::Evidence,
    query: u8,
    salt: Salt,
    inputs: Batch,
    outputs: Vec<(Digest, Batch)>,
}

/// Host B says 66, 67, host A says 1, 2; both of what entered leg 1.
fn parts() -> Parts {
    let ring = dealt(Copies::Two, false);
    let evidence = contradiction(&ring);
    let both = [batch("x1", &[66, 67]), batch("x1", &[1, 2])];
    let digests = [batch_of("x1", &[66, 67]), batch_of("x1", &[1, 2])];
    let outputs = digests.into_iter().zip(both).collect();
    Parts { ring, evidence, query: 1, salt: salt(), inputs: batch("x0", &[1, 2]), outputs }
}

impl Parts {
    fn seal(&self) -> Dispute {
        let chain = opened(&self.ring, &start(self.query));
        self.seal_on(chain)
    }

    fn seal_on(&self, chain: deepring::receipt::Chain) -> Dispute {
        let outputs: Vec<_> = self.outputs.iter().map(|(d, b)| (*d, b.as_slice())).collect();
        let entered = (chain, &self.salt, self.inputs.as_slice());
        let arbiter = host_d().public();
        Dispute::seal(self.evidence.clone(), entered, &outputs, &arbiter, &mut random()).unwrap()
    }

    fn refused(&self) -> DisputeError {
        self.seal().open(self.ring.outline(), &host_d()).unwrap_err()
    }
}

/// A dispute of each kind of evidence, for the fuzzer's seeds.
pub(crate) fn disputes() -> Vec<Dispute> {
    let of = |(ring, evidence)| Parts { ring, evidence, ..parts() }.seal();
    all().into_iter().map(of).collect()
}

#[test]
fn an_arbiter_is_shown_what_both_sides_signed_and_the_tensors_that_both_name() {
    let parts = parts();
    let dispute = parts.seal();
    let bytes = dispute.encode();
    let again = Dispute::decode(&bytes).unwrap();
    assert_eq!(again, dispute);
    assert_eq!(again.recipients().collect::<Vec<_>>(), [host_d().public()]);
    let opened = again.open(parts.ring.outline(), &host_d()).unwrap();
    assert_eq!(opened.blocks(), 1..2);
    assert_eq!(opened.inputs(), parts.inputs);
    assert_eq!(opened.salt(), &salt());
    let claims = opened.claims();
    let claimed: Vec<_> = claims.iter().map(|claim| (claim.host, claim.outputs)).collect();
    assert_eq!(claims.len(), 2);
    assert_eq!(claimed.iter().map(|(host, _)| *host).collect::<Vec<_>>(), parts.evidence.names());
    for (digest, outputs) in &parts.outputs {
        assert!(claimed.iter().any(|(_, claimed)| claimed == digest));
        assert_eq!(opened.outputs(*digest), Some(outputs.as_slice()));
    }
    assert_eq!(opened.outputs(batch_of("x1", &[3, 4])), None);
}

#[test]
fn every_kind_of_evidence_can_be_ruled_on() {
    for (ring, evidence) in all() {
        let claims = evidence.claims().len();
        assert!(claims >= 2);
        let outputs = Vec::new();
        let parts = Parts { ring, evidence, outputs, ..parts() };
        let opened = parts.seal().open(parts.ring.outline(), &host_d()).unwrap();
        assert_eq!(opened.claims().len(), claims);
    }
}

#[test]
fn a_dispute_is_for_its_arbiter_alone() {
    let parts = parts();
    let refused = parts.seal().open(parts.ring.outline(), &host_c()).unwrap_err();
    assert_eq!(refused, DisputeError::Parcel(ParcelError::NotForThisHost));
}

#[test]
fn records_of_another_ring_are_ruled_on_by_nobody() {
    let parts = parts();
    let other = dealt(Copies::Three, false);
    let refused = parts.seal().open(other.outline(), &host_d()).unwrap_err();
    assert!(matches!(refused, DisputeError::Evidence(EvidenceError::OtherRing)), "{refused}");
}

/// The writer of the file chooses none of what both sides signed.
#[test]
fn tensors_that_the_records_do_not_name_are_refused() {
    let other = Parts { inputs: batch("x0", &[1, 3]), ..parts() };
    assert!(matches!(other.refused(), DisputeError::Parcel(ParcelError::Refused(_))));
    let other = Parts { salt: Salt::from_bytes([9; 32]).unwrap(), ..parts() };
    assert!(matches!(other.refused(), DisputeError::Parcel(ParcelError::Refused(_))));
    let other = Parts { query: 2, ..parts() };
    assert_eq!(other.refused(), DisputeError::OtherLeg);
    // The chain of the leg behind it.
    let parts = parts();
    let mut chain = opened(&parts.ring, &start(1));
    let settled = conclude(&parts.ring, &chain, |_| right(&parts.ring, 1));
    chain.extend_settled(settled.receipt, settled.validations);
    let behind = Parts { inputs: batch("x1", &[1, 2]), ..parts };
    let refused = behind.seal_on(chain).open(behind.ring.outline(), &host_d()).unwrap_err();
    assert_eq!(refused, DisputeError::OtherLeg);
}

#[test]
fn outputs_that_nobody_signed_or_that_are_others_than_their_digest_says_are_refused() {
    let unsigned = (batch_of("x1", &[5, 6]), batch("x1", &[5, 6]));
    let other = Parts { outputs: vec![unsigned], ..parts() };
    assert_eq!(other.refused(), DisputeError::OtherResult);
    let mislabelled = (batch_of("x1", &[66, 67]), batch("x1", &[66, 68]));
    let other = Parts { outputs: vec![mislabelled], ..parts() };
    assert_eq!(other.refused(), DisputeError::Parcel(ParcelError::OtherTensors));
    // The same outputs, sealed under another salt.
    let parts = parts();
    let elsewhere = Salt::from_bytes([9; 32]).unwrap();
    let (digest, outputs) = &parts.outputs[0];
    let arbiter = [host_d().public()];
    let sealed = SealedTensors::seal(*digest, &elsewhere, outputs, &arbiter, &mut random());
    assert!(sealed.unwrap().open(*digest, *digest, &host_d()).is_err());
}

#[test]
fn every_flipped_bit_of_a_dispute_is_refused() {
    let parts = Parts { evidence: perjury(&dealt(Copies::Two, false)), ..parts() };
    let bytes = parts.seal().encode();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let opened = Dispute::decode(&bytes).map(|d| d.open(parts.ring.outline(), &host_d()));
        assert!(!matches!(opened, Ok(Ok(_))), "byte {at}");
    }
    for cut in 0..bytes.len() {
        assert!(Dispute::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}
