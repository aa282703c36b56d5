//! Attacks on ring files: each is refused with its exit code, and the block that was touched is named.

use std::path::PathBuf;

use deepring::{
    AuthenticRing, Host, Owner, RingError, SecretKey, Trust, TrustStore, UnverifiedRing, Verdict,
};
use deepring_attack::Network;
use deepring_attack::ring::{
    FlipOptions, ResealForm, ring_flip, ring_relabel, ring_reseal, ring_rollback, ring_splice,
    verify_ring,
};
use deepring_infer::Seal;
use deepring_infer::sealing::Blocks;

use super::{NETWORKS, network, zoo};

/// Two versions of one ring in a folder, and a store that has seen both.
pub(super) struct Rings {
    folder: tempfile::TempDir,
    pub(super) owner: SecretKey<Owner>,
    pub(super) host: SecretKey<Host>,
    store: TrustStore,
    clean: Network,
}

impl Rings {
    pub(super) fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (owner, host) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let mut store = TrustStore::open(&folder.path().join("trust.json")).unwrap();
        let labels = std::fs::read_to_string(zoo().join("labels.txt")).unwrap();
        let labels: Vec<String> = labels.lines().map(str::to_owned).collect();
        let clean = network(name);
        let mut previous: Option<AuthenticRing> = None;
        for file in ["v1.ring", "v2.ring"] {
            let path = folder.path().join(file);
            let model = folder.path().join("model.onnx");
            clean.write(&model).unwrap();
            let seal = Seal::new(&model, &owner).host(Blocks::All, host.public());
            let mut seal = seal.labels(labels.clone());
            if let Some(previous) = &previous {
                seal = seal.upgrade_of(previous);
            }
            seal.write(&path, &|_| ()).unwrap();
            let ring = UnverifiedRing::open(&path).unwrap();
            let ring = ring.authenticate(&Trust::owner(owner.public())).unwrap();
            store.remember(&ring).unwrap();
            previous = Some(ring);
        }
        Self { folder, owner, host, store, clean }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(super) fn trust(&self) -> Trust<'_> {
        Trust::owner(self.owner.public()).and_store(&self.store)
    }

    pub(super) fn ring(&self) -> AuthenticRing {
        let ring = UnverifiedRing::open(&self.path("v2.ring")).unwrap();
        ring.authenticate(&self.trust()).unwrap()
    }

    /// What a reader who saw both versions says of `attacked.ring`.
    fn verify(&self) -> deepring_attack::ring::Verification {
        verify_ring(&self.path("attacked.ring"), &self.trust()).unwrap()
    }
}

#[test]
fn the_ring_itself_is_intact() {
    for name in NETWORKS {
        let rings = Rings::of(name);
        let verified = verify_ring(&rings.path("v2.ring"), &rings.trust()).unwrap();
        assert_eq!(
            (verified.verdict, verified.exit, verified.findings.len()),
            (Verdict::Intact, 0, 0)
        );
    }
}

#[test]
fn flipped_bits_are_refused_in_their_block_and_tensor() {
    for name in NETWORKS {
        let rings = Rings::of(name);
        let ring = rings.ring();
        for header in ring.layers() {
            for tensor in header.parts.iter().filter_map(|p| p.parameter_name()) {
                let options = FlipOptions {
                    block: Some(header.index),
                    tensor: Some(tensor.to_owned()),
                    flips: 3,
                    seed: 7,
                };
                let out = rings.path("attacked.ring");
                let done = ring_flip(&rings.path("v2.ring"), &out, &options).unwrap();
                assert_eq!(done.changed.len(), 3);
                let verified = rings.verify();
                assert_eq!((verified.exit, verified.blocks()), (3, vec![header.index]));
                for finding in &verified.findings {
                    assert_eq!(finding.tensor.as_deref(), Some(tensor));
                    let [start, end] = finding.bytes.unwrap();
                    assert!(done.changed.iter().any(|c| start <= c.bytes[0] && c.bytes[1] <= end));
                }
                for c in &done.changed {
                    let within = |f: &deepring::Finding| {
                        f.bytes.is_some_and(|[s, e]| s <= c.bytes[0] && c.bytes[1] <= e)
                    };
                    assert!(verified.findings.iter().any(within), "{c:?} is not named");
                }
            }
        }
    }
}

#[test]
fn a_flip_is_seeded_and_nothing_else_changes() {
    let rings = Rings::of(NETWORKS[0]);
    let (from, out) = (rings.path("v2.ring"), rings.path("attacked.ring"));
    let flip = |seed| {
        let options = FlipOptions { flips: 20, seed, ..FlipOptions::default() };
        let done = ring_flip(&from, &out, &options).unwrap();
        (done, std::fs::read(&out).unwrap())
    };
    let ((first, bytes), (again, same), (_, other)) = (flip(1), flip(1), flip(2));
    assert!(first == again && bytes == same && bytes != other);
    let clean = std::fs::read(&from).unwrap();
    let differing: u32 = clean.iter().zip(&bytes).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(differing, 20);
    let nowhere = FlipOptions { block: Some(99), ..FlipOptions::default() };
    assert!(ring_flip(&from, &out, &nowhere).is_err());
}

#[test]
fn a_tampered_network_cannot_be_sealed_in_the_owners_name() {
    for name in NETWORKS {
        let rings = Rings::of(name);
        let mut tampered = rings.clean.clone();
        let layer = &rings.clean.layers()[0].weight;
        let values: Vec<f32> = rings.clean.floats(layer).unwrap().iter().map(|v| -v).collect();
        tampered.set_floats(layer, &values).unwrap();
        let out = rings.path("attacked.ring");
        let id = rings.ring().ring_id();

        ring_reseal(&rings.path("v2.ring"), &tampered, &out, ResealForm::OwnSignature).unwrap();
        // Consistent in itself, and of the ring's id and a newer version: only the key speaks against it.
        let claimed = UnverifiedRing::open(&out).unwrap();
        let attacker = claimed.claimed_owner();
        let theirs = claimed.verify(&Trust::owner(attacker), &|_| ()).unwrap();
        assert_eq!((theirs.ring_id(), theirs.model_version()), (id, 3));
        assert_eq!(theirs.layers()[0].hosts().next(), Some(rings.host.public()));
        let verified = rings.verify();
        assert_eq!((verified.verdict, verified.exit), (Verdict::Untrusted, 4));
        assert!(verified.findings[0].to_string().starts_with("closure"), "{:?}", verified.findings);
        let by_store = verify_ring(&out, &Trust::store(&rings.store)).unwrap();
        assert_eq!(by_store.exit, 4);

        let form = ResealForm::OwnersSignature;
        ring_reseal(&rings.path("v2.ring"), &tampered, &out, form).unwrap();
        // It names the owner, and has his signature.
        let claimed = UnverifiedRing::open(&out).unwrap();
        assert_eq!(claimed.claimed_owner(), rings.owner.public());
        let verified = rings.verify();
        assert_eq!((verified.verdict, verified.exit), (Verdict::Tampered, 3));
        assert_eq!(verified.findings[0].part.name(), "closure");
    }
}

#[test]
fn an_old_block_in_the_new_ring_is_stale_and_named() {
    for name in NETWORKS {
        let rings = Rings::of(name);
        for block in 0..=rings.ring().layers().len() as u32 {
            let out = rings.path("attacked.ring");
            let (new, old) = (rings.path("v2.ring"), rings.path("v1.ring"));
            let done = ring_splice(&new, &old, &out, Some(block), 0).unwrap();
            assert!(done.changed.iter().all(|c| c.block == Some(block) && c.bits > 0));
            let verified = rings.verify();
            assert_eq!(verified.blocks(), [block], "{:?}", verified.findings);
            assert_eq!(
                (verified.verdict, verified.exit),
                (Verdict::Stale, 5),
                "{:?}",
                verified.findings
            );
            assert!(verified.findings[0].reason.contains("version 1"), "{:?}", verified.findings);
        }
    }
}

#[test]
fn an_old_ring_is_stale_for_who_saw_the_new_one_only() {
    for name in NETWORKS {
        let rings = Rings::of(name);
        ring_rollback(&rings.path("v1.ring"), &rings.path("attacked.ring")).unwrap();
        let verified = rings.verify();
        assert_eq!((verified.verdict, verified.exit), (Verdict::Stale, 5));
        // First contact: who never saw the newer version cannot know.
        let path = rings.path("attacked.ring");
        let first = verify_ring(&path, &Trust::owner(rings.owner.public())).unwrap();
        assert_eq!(first.verdict, Verdict::Intact);
    }
}

#[test]
fn edited_labels_are_refused_in_genesis() {
    let rings = Rings::of(NETWORKS[0]);
    let manifest = rings.ring().open_manifest((&rings.host).into()).unwrap();
    let (from, out) = (rings.path("v2.ring"), rings.path("attacked.ring"));
    for known in [Some(&manifest), None] {
        let done = ring_relabel(&from, &out, known, 5).unwrap();
        assert!(done.changed.iter().all(|c| c.block == Some(0)));
        let verified = rings.verify();
        assert_eq!((verified.exit, verified.blocks()), (3, vec![0]));
        assert_eq!(verified.findings[0].tensor.as_deref(), Some("manifest"));
    }
    let foreign = deepring::Manifest { labels: Vec::new(), ..manifest };
    assert!(ring_relabel(&from, &out, Some(&foreign), 5).is_err());
}

#[test]
fn what_is_no_ring_is_not_attacked() {
    let rings = Rings::of(NETWORKS[0]);
    let out = rings.path("attacked.ring");
    let model = rings.path("model.onnx");
    let attempt = ring_flip(&model, &out, &FlipOptions::default());
    assert!(matches!(
        attempt,
        Err(deepring_attack::ring::RingAttackError::Ring(RingError::Refused(_)))
    ));
    assert!(!out.exists());
}
