//! What a ledger refuses, of rings that were sealed and authenticated.

use deepring::seal::{BlockPlan, RingPlan, RingSealer};
use deepring::{
    AuthenticRing, DType, Dim, Host, Owner, PartKind, SecretKey, TensorSpec, Trust, UnverifiedRing,
};
use deepring_ledger::{AdmitError, Entry, Event, Ledger, LedgerError, Refusal, Revoked};
use tempfile::TempDir;

struct Fixture {
    dir: TempDir,
    owner: SecretKey<Owner>,
    host: SecretKey<Host>,
    ledger: Ledger,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_or_create(dir.path().join("ledger")).unwrap();
        let (owner, host) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        Self { dir, owner, host, ledger }
    }

    /// A ring of one layer with this weight; a version of `previous` where that is given.
    fn ring(&self, weight: u8, previous: Option<&AuthenticRing>) -> AuthenticRing {
        let tensor = |name: &str| {
            let dims = Some(vec![Dim::Fixed(1)]);
            TensorSpec { name: name.into(), dtype: DType::F32, dims }
        };
        let block = |name: &str, inputs, outputs, parts| BlockPlan {
            name: name.into(),
            inputs: vec![inputs],
            outputs: vec![outputs],
            parts,
            shared: vec![],
            hosts: vec![self.host.public()],
        };
        let layer = vec![(PartKind::Parameter(tensor("w")), 4), (PartKind::Graph, 1)];
        let plan = RingPlan {
            kind: deepring::RingKind::Network,
            deal: None,
            model_version: previous.map_or(1, |ring| ring.model_version() + 1),
            previous: previous.map(|ring| (ring.ring_id(), ring.digest())),
            sealed_at: 0,
            blocks: vec![
                block("genesis", tensor("y"), tensor("x"), vec![(PartKind::Manifest, 1)]),
                block("layer", tensor("x"), tensor("y"), layer),
            ],
        };
        let path = self.dir.path().join(format!("{weight}.ring"));
        let mut sealer = RingSealer::create(&path, &plan, &self.owner).unwrap();
        sealer.seal_block(b"m").unwrap();
        let mut plaintext = vec![0; 65];
        plaintext[0] = weight;
        plaintext[64] = b'g';
        sealer.seal_block(&plaintext).unwrap();
        sealer.finish().unwrap();
        let ring = UnverifiedRing::open(&path).unwrap();
        ring.authenticate(&Trust::owner(self.owner.public())).unwrap()
    }

    fn refusal(&self, ring: &AuthenticRing) -> Refusal {
        match self.ledger.admit(ring, [self.host.public()]) {
            Err(AdmitError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    fn append(&mut self, event: Event) -> u64 {
        self.ledger.append(&[Entry::now(event)]).unwrap()[0]
    }
}

#[test]
fn a_ring_is_registered_once_for_each_version_and_admitted() {
    let mut bench = Fixture::new();
    let first = bench.ring(1, None);
    assert!(bench.ledger.admit(&first, []).unwrap().quarantined.is_empty());
    assert_eq!(bench.ledger.register(&first).unwrap(), Some(0));
    assert_eq!(bench.ledger.register(&first).unwrap(), None);
    let second = bench.ring(2, Some(&first));
    assert_eq!(bench.ledger.register(&second).unwrap(), Some(1));
    assert!(matches!(bench.ledger.entry(1).unwrap().event, Event::RingUpgraded { .. }));
    assert!(bench.ledger.admit(&second, [bench.host.public()]).is_ok());
}

#[test]
fn an_older_version_and_another_ring_of_the_same_version_are_refused() {
    let mut bench = Fixture::new();
    let first = bench.ring(1, None);
    let (second, twin) = (bench.ring(2, Some(&first)), bench.ring(3, Some(&first)));
    bench.ledger.register(&second).unwrap();
    assert_eq!(bench.refusal(&first), Refusal::Older { version: 1, known: 2 });
    assert_eq!(bench.refusal(&twin), Refusal::Twin { version: 2 });
    assert_eq!(bench.ledger.upgraded_before(&first.owned(), 1, 1).unwrap(), Some((0, 2)));
    assert_eq!(bench.ledger.upgraded_before(&first.owned(), 1, 0).unwrap(), None);
    assert_eq!(bench.ledger.upgraded_before(&first.owned(), 2, 9).unwrap(), None);
}

/// Ids are public: a newer version of somebody else's under this ring's id takes nothing away from its owner.
#[test]
fn what_another_owner_registered_under_the_same_id_says_nothing() {
    let mut bench = Fixture::new();
    let ring = bench.ring(1, None);
    bench.append(Event::RingRegistered {
        ring_id: ring.ring_id().0,
        ring_digest: [9; 32],
        model_version: 7,
        owner: [9; 64],
        closure_signature: [0; 64],
    });
    assert!(bench.ledger.admit(&ring, []).is_ok());
    assert_eq!(bench.ledger.upgraded_before(&ring.owned(), 1, 9).unwrap(), None);
    assert_eq!(bench.ledger.register(&ring).unwrap(), Some(1));
}

#[test]
fn a_revoked_ring_owner_or_host_is_refused_and_the_entry_is_named() {
    let (ring_id, reason) = (|ring: &AuthenticRing| ring.ring_id().0, || "lost".to_owned());
    for what in ["ring", "owner", "host"] {
        let mut bench = Fixture::new();
        let ring = bench.ring(1, None);
        bench.ledger.register(&ring).unwrap();
        let (id, ring_digest) = (ring_id(&ring), ring.digest().0);
        let (owner, host) = (bench.owner.public(), bench.host.public());
        let (event, revoked) = match what {
            "ring" => {
                (Event::RingRevoked { ring_id: id, ring_digest, reason: reason() }, Revoked::Ring)
            }
            "owner" => {
                (Event::KeyRevoked { key: *owner.as_bytes(), reason: reason() }, Revoked::Owner)
            }
            _ => {
                (Event::KeyRevoked { key: *host.as_bytes(), reason: reason() }, Revoked::Host(host))
            }
        };
        let entry = bench.append(event);
        let Refusal::Revoked(found) = bench.refusal(&ring) else { panic!("{what}") };
        assert_eq!((found.what, found.entry), (revoked, entry));
        // Without that host, and only then, a revoked host is nobody's concern.
        assert_eq!(bench.ledger.admit(&ring, []).is_ok(), what == "host");
    }
}

#[test]
fn blocks_with_an_alarm_and_no_repair_since_are_named_to_whoever_is_admitted() {
    let mut bench = Fixture::new();
    let ring = bench.ring(1, None);
    let finding = deepring::Finding::tampered(deepring::Section::Body, "changed");
    let findings = [finding.clone().in_block(1, Some("layer")), finding];
    let indices = bench.ledger.record_findings(ring.ring_id(), ring.digest(), &findings).unwrap();
    assert_eq!(indices, [0, 1]);
    let quarantined = bench.ledger.admit(&ring, []).unwrap().quarantined;
    assert_eq!(Vec::from_iter(quarantined), [1]);
    bench.ledger.record_repair(&ring, vec![1], "copy.ring".into()).unwrap();
    assert!(bench.ledger.admit(&ring, []).unwrap().quarantined.is_empty());
}

/// A ledger that was rolled back is no ledger that says nothing.
#[test]
fn a_ledger_that_was_put_back_admits_nothing() {
    let mut bench = Fixture::new();
    let ring = bench.ring(1, None);
    bench.ledger.register(&ring).unwrap();
    let dir = bench.dir.path().join("ledger");
    let (database, kept) = (dir.join("ledger.redb"), bench.dir.path().join("kept"));
    drop(bench.ledger);
    std::fs::copy(&database, &kept).unwrap();
    let mut ledger = Ledger::open(&dir).unwrap();
    let key = *ring.owner().as_bytes();
    ledger.append(&[Entry::now(Event::KeyRevoked { key, reason: "lost".into() })]).unwrap();
    drop(ledger);
    std::fs::copy(&kept, &database).unwrap();
    let opened = Ledger::open_read(&dir, None).map_err(AdmitError::from);
    let asked = opened.and_then(|ledger| ledger.admit(&ring, []));
    assert!(matches!(asked, Err(AdmitError::Ledger(LedgerError::RolledBack { .. }))), "{asked:?}");
}
