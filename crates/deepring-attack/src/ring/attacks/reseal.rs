//! `ring-reseal`: a tampered network, sealed with all that needs no key of the owner.

use std::path::Path;

use deepring::seal::{BlockPlan, Predecessor, RingPlan, RingSealer};
use deepring::{AuthenticRing, DType, Owner, PartKind, SecretKey, TensorSpec};
use deepring_infer::Seal;
use deepring_infer::sealing::Blocks;
use serde::Serialize;

use super::{RingAttackError, RingTampered, read, whole, write};
use crate::network::Network;
use crate::ring::file::RingFile;

/// In whose name the attacker's ring is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResealForm {
    /// Signed by the attacker, under the ring's id and as its next version: consistent in itself.
    OwnSignature,
    /// Under the owner's name, version and signature, which then is about other digests.
    OwnersSignature,
}

/// Seals a tampered network for the hosts of a ring, in its place. Every host that had a block can open the new one.
///
/// # Errors
/// [`RingAttackError`] where the ring cannot be read, the tampered network not be sealed, or the result not be written.
pub fn ring_reseal(
    ring: &Path,
    tampered: &Network,
    out: &Path,
    form: ResealForm,
) -> Result<RingTampered, RingAttackError> {
    let victim = read(ring)?;
    let folder = tempfile::tempdir()?;
    let (model, target) = (folder.path().join("tampered.onnx"), folder.path().join("new.ring"));
    tampered.write(&model)?;
    let attacker = SecretKey::<Owner>::generate()?;
    let before = stand_in(&victim, &attacker, &folder.path().join("before.ring"))?;
    let mut seal = Seal::new(&model, &attacker).upgrade_of(&before);
    // A host of any block is given all: the attacker wants to be run.
    let mut hosts: Vec<_> = victim.headers().iter().flat_map(deepring::Header::hosts).collect();
    hosts.sort_by_key(|h| *h.as_bytes());
    hosts.dedup();
    for host in hosts {
        seal = seal.host(Blocks::All, host);
    }
    seal.write(&target, &|_| ())?;
    let theirs = RingFile::read(&target)?;
    let (file, what) = match form {
        ResealForm::OwnSignature => {
            (theirs, "the tampered network sealed under the ring's id with the attacker's key")
        }
        ResealForm::OwnersSignature => (
            theirs.in_the_name_of(&RingFile::read(ring)?)?,
            "the tampered network sealed under the owner's name with the owner's old signature",
        ),
    };
    write(out, file.bytes())?;
    let changed = vec![whole(file.bytes().len())];
    Ok(RingTampered { what: what.to_owned(), changed })
}

/// A ring of the attacker's that has the victim's id and version, so that the next one can follow it.
fn stand_in(
    victim: &AuthenticRing,
    attacker: &SecretKey<Owner>,
    path: &Path,
) -> Result<AuthenticRing, RingAttackError> {
    let tensor = |name: &str| TensorSpec {
        name: name.to_owned(),
        dtype: DType::F32,
        dims: Some(Vec::new()),
    };
    let block = |name: &str, from, to, part| BlockPlan {
        name: name.to_owned(),
        inputs: vec![tensor(from)],
        outputs: vec![tensor(to)],
        parts: vec![(part, 1)],
        shared: Vec::new(),
        hosts: Vec::new(),
    };
    let plan = RingPlan {
        kind: deepring::RingKind::Network,
        model_version: victim.model_version(),
        previous: Some(Predecessor::from(victim)),
        sealed_at: victim.sealed_at(),
        blocks: vec![
            block("genesis", "y", "x", PartKind::Manifest),
            block("layer", "x", "y", PartKind::Graph),
        ],
        deal: None,
    };
    let mut sealer = RingSealer::create(path, &plan, attacker)?;
    sealer.seal_block(&[0])?;
    sealer.seal_block(&[0])?;
    sealer.finish()?;
    read(path)
}
