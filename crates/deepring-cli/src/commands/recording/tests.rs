//! Evidence of the copies of a leg against each other goes on the ledger, by whoever may say it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests may fail loudly"
)]

use deepring::deal::{Copies, DealPlan};
use deepring::seal::PlannedDeal;
use deepring::{Check, DType, TensorValue, Trust, UnverifiedRing};
use deepring_infer::{CutPolicy, Rten, RunError, Seal, Session, SessionOptions, tamper};
use deepring_ledger::Event;

use super::*;

/// LeNet's five blocks, dealt to four hosts, on a ledger.
struct Dealt {
    folder: tempfile::TempDir,
    hosts: Vec<SecretKey<Host>>,
    ring: AuthenticRing,
    owner: PublicKey<Owner>,
}

fn read(folder: &Path, owner: PublicKey<Owner>) -> AuthenticRing {
    let ring = UnverifiedRing::open(&folder.join("net.ring")).unwrap();
    ring.authenticate(&Trust::owner(owner)).unwrap()
}

impl Dealt {
    fn new(copies: Copies) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owner = SecretKey::<Owner>::generate().unwrap();
        let hosts: Vec<_> = (0..4).map(|_| SecretKey::<Host>::generate().unwrap()).collect();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo/fashion-lenet5.onnx");
        let legs = [1..2, 2..3, 3..5, 5..6].into_iter().zip(hosts.iter().map(SecretKey::public));
        let plan = DealPlan { copies, eager: false, genesis: Vec::new(), dealt_at: 1 };
        let path = folder.path().join("net.ring");
        Seal::new(&model, &owner)
            .cut(CutPolicy::Op)
            .deal(PlannedDeal { legs: legs.collect(), plan })
            .write(&path, &|_| ())
            .unwrap();
        let ring = read(folder.path(), owner.public());
        let mut recorder = Recorder::begin(&folder.path().join("ledger"), &hosts).unwrap();
        assert_eq!(recorder.register(&ring, &owner).unwrap(), Some(0));
        Self { folder, hosts, ring, owner: owner.public() }
    }

    fn recorder(&self, hosts: &[SecretKey<Host>]) -> Recorder {
        Recorder::begin(&self.folder.path().join("ledger"), hosts).unwrap()
    }

    /// The copies that fail in a query whose copies are all here, the memory of the third host's leg being changed under no check.
    fn disputed(&self) -> Vec<FailedCopy> {
        let threads = std::num::NonZeroUsize::new(1);
        let options = SessionOptions { check: Check::Load, threads, ..SessionOptions::default() };
        let ring = read(self.folder.path(), self.owner);
        let session = Session::open_on(Rten::new(threads), ring, &self.hosts, options, &|_| ());
        let session = session.unwrap();
        let header = &self.ring.headers()[3];
        let weight = header.parts.iter().find(|p| p.label() == "fc1.weight").unwrap();
        let live = session.live_bytes(3).unwrap();
        for at in (0..weight.len as usize).step_by(4 * 97) {
            let at = weight.offset as usize + at + 3;
            assert!(tamper(live, at, &[live[at] ^ 0x20]));
        }
        let data = (0..784_u32).flat_map(|i| ((i % 9) as f32 / 9.0).to_le_bytes()).collect();
        let x = TensorValue::new("image", DType::F32, vec![1, 1, 28, 28], data).unwrap();
        match session.run_batch(vec![vec![x]]) {
            Ok(outcome) => outcome.named,
            Err(RunError::Disputed { named, .. }) => named,
            Err(e) => panic!("{e}"),
        }
    }

    fn alarms(&self, recorder: &Recorder) -> Vec<(PublicKey<Host>, PublicKey<Host>)> {
        let entries = recorder.vouched.ledger.iter(1..u64::MAX).map(|row| row.unwrap().1);
        let entries = entries.filter_map(|entry| match (entry.author(), entry.event()) {
            (deepring::keys::Author::Host(author), Event::Alarm { accused, evidence, .. }) => {
                assert!(evidence.is_some());
                Some((*author, *accused))
            }
            _ => None,
        });
        entries.collect()
    }

    fn quarantined(&self, recorder: &Recorder) -> Vec<(PublicKey<Host>, u32, Cause)> {
        let all = recorder.state().unwrap().quarantined(&self.ring.digest());
        all.map(|q| (q.host, q.block, q.cause)).collect()
    }
}

#[test]
fn who_is_outvoted_is_quarantined_and_who_is_only_contradicted_is_not() {
    for (copies, proven) in [(Copies::Two, false), (Copies::Three, true)] {
        let dealt = Dealt::new(copies);
        let named = dealt.disputed();
        let mut recorder = dealt.recorder(&dealt.hosts);
        recorder.evidence(dealt.ring.ring_id(), &named);
        let third = dealt.hosts[2].public();
        let alarms = dealt.alarms(&recorder);
        assert!(alarms.iter().all(|(author, accused)| author != accused), "{alarms:?}");
        let accused: Vec<_> = alarms.iter().map(|(_, accused)| *accused).collect();
        assert!(accused.contains(&third));
        assert_eq!(accused.len(), if proven { 1 } else { 2 });
        let quarantined = dealt.quarantined(&recorder);
        match proven {
            true => {
                let of = |block| (third, block, Cause::Evidence);
                assert_eq!(quarantined, [of(3), of(4)]);
            }
            false => assert_eq!(quarantined, []),
        }
    }
}

/// Where nobody else's key is at hand, each accuses the other: about itself a host would admit it.
#[test]
fn two_that_contradict_each_other_accuse_each_other() {
    let dealt = Dealt::new(Copies::Two);
    let named = dealt.disputed();
    let both = &dealt.hosts[2..4];
    let mut recorder = dealt.recorder(both);
    recorder.evidence(dealt.ring.ring_id(), &named);
    let [a, b] = [both[0].public(), both[1].public()];
    let alarms = dealt.alarms(&recorder);
    assert_eq!(alarms.len(), 2, "{alarms:?}");
    assert!(alarms.contains(&(a, b)) && alarms.contains(&(b, a)), "{alarms:?}");
    assert_eq!(dealt.quarantined(&recorder), []);
    // One of the two alone accuses the other, and not itself.
    let mut recorder = {
        drop(recorder);
        dealt.recorder(&both[..1])
    };
    recorder.evidence(dealt.ring.ring_id(), &named);
    assert_eq!(dealt.alarms(&recorder)[2..], [(a, b)]);
    // Who has no block of the ring says nothing.
    let stranger = SecretKey::<Host>::generate().unwrap();
    drop(recorder);
    let mut recorder = dealt.recorder(&[stranger]);
    recorder.evidence(dealt.ring.ring_id(), &named);
    assert_eq!(dealt.alarms(&recorder).len(), 3);
}

#[test]
fn an_entry_and_an_error_say_of_records_what_they_are() {
    let named = Dealt::new(Copies::Two).disputed();
    let contradiction = named.iter().find_map(|failed| match &failed.fault {
        CopyFault::Disputed(Evidence::Contradiction { receipt, objection }) => {
            Some((receipt.clone(), objection.clone()))
        }
        _ => None,
    });
    let (receipt, record) = contradiction.unwrap();
    let twice = Evidence::Equivocation { first: receipt.clone(), second: receipt.clone() };
    let perjury = Evidence::Perjury { about: receipt.clone(), receipt, record };
    for (evidence, entry, error) in [
        (twice, "it signed two receipts for one leg", "signed two receipts"),
        (
            perjury,
            "it signed a receipt, and of another copy's a record that names other outputs of its own",
            "signed that it computed two things",
        ),
    ] {
        assert_eq!(evidence.reason(), entry);
        let host = evidence.names()[0];
        let named = vec![FailedCopy { host, fault: CopyFault::Equivocated(evidence) }];
        let said = RunError::Disputed { block: 3, name: "fc1".into(), named }.to_string();
        assert!(said.ends_with(error), "{said}");
    }
}
