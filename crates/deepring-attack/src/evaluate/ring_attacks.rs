//! All attacks of the family `Ring` on one sealed network, each put before a reader who saw both of its versions.
//!
//! This is the attacker who knows how DeepRing works, may write everywhere, and lacks the owner's key.

use std::path::{Path, PathBuf};

use deepring::keys::AuthorKey;
use deepring::{
    AuthenticRing, Check, Digest, Host, Owner, SecretKey, TensorValue, Trust, TrustStore,
    UnverifiedRing, Verdict,
};
use deepring_infer::sealing::Blocks;
use deepring_infer::{Seal, Session, SessionOptions};
use deepring_ledger::{Entry, Event, Ledger};

use crate::catalogue::{EntryPoint, Kind};
use crate::network::Network;
use crate::ring::{
    Claim, FlipOptions, LiveRing, RACED_CHECKS, ResealForm, SwapForm, ToctouResult, Verification,
    ledger_fork, output_swap, receipt_replay, ring_flip, ring_relabel, ring_reseal, ring_rollback,
    ring_splice, verify_claim, verify_ledger, verify_ring,
};
use crate::samples::Samples;

/// The outcome of one attack.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackOutcome {
    /// The attack.
    pub kind: Kind,
    /// True if it was noticed.
    pub detected: bool,
    /// True if the block that was touched, and no other, is named; `None` where no one block was.
    pub located: Option<bool>,
    /// The attack and what was seen of it, in a sentence.
    pub what: String,
    /// The counts, of a race in live memory.
    pub raced: Option<ToctouResult>,
}

/// Any of the errors that the attacks have; there is nothing to be done about one but to tell it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes every attack of the family on the network's ring, in a temporary folder with keys of its own.
///
/// # Errors
/// If the network cannot be sealed, or an attack cannot be made at all, in words.
pub fn run_ring_attacks(
    network: &Network,
    samples: &Samples,
    check: Check,
) -> Result<Vec<AttackOutcome>, String> {
    run_all(network, samples, check).map_err(|e| e.to_string())
}

fn run_all(
    network: &Network,
    samples: &Samples,
    check: Check,
) -> Result<Vec<AttackOutcome>, Failure> {
    let fixture = RingFixture::create(network)?;
    let mut out = files(&fixture, network)?;
    out.extend(decisions(&fixture, samples)?);
    out.push(fork(&fixture)?);
    out.extend(memory(network, samples, check)?);
    Ok(out)
}

impl AttackOutcome {
    fn of(kind: Kind, raced: ToctouResult) -> Self {
        let (what, detected) = (raced.sentence(), raced.wrong == 0);
        Self { kind, detected, located: None, what, raced: Some(raced) }
    }
}

/// Two versions of one ring in a folder, and a store that has seen both.
struct RingFixture {
    folder: tempfile::TempDir,
    owner: SecretKey<Owner>,
    host: SecretKey<Host>,
    store: TrustStore,
}

impl RingFixture {
    fn create(network: &Network) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let (owner, host) = (SecretKey::generate()?, SecretKey::generate()?);
        let mut store = TrustStore::open(&folder.path().join("trust.json"))?;
        let model = folder.path().join("model.onnx");
        network.write(&model)?;
        let mut previous: Option<AuthenticRing> = None;
        for file in ["old.ring", "new.ring"] {
            let path = folder.path().join(file);
            let mut seal = Seal::new(&model, &owner).host(Blocks::All, host.public());
            if let Some(previous) = &previous {
                seal = seal.upgrade_of(previous);
            }
            seal.write(&path, &|_| ())?;
            let ring = UnverifiedRing::open(&path)?.authenticate(&Trust::owner(owner.public()))?;
            store.remember(&ring)?;
            previous = Some(ring);
        }
        Ok(Self { folder, owner, host, store })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn trust(&self) -> Trust<'_> {
        Trust::owner(self.owner.public()).and_store(&self.store)
    }

    fn ring(&self) -> Result<AuthenticRing, Failure> {
        Ok(UnverifiedRing::open(&self.path("new.ring"))?.authenticate(&self.trust())?)
    }

    fn verify(&self, attacked: &Path) -> Result<Verification, Failure> {
        Ok(verify_ring(attacked, &self.trust())?)
    }
}

fn outcome(kind: Kind, block: Option<u32>, did: &str, verified: &Verification) -> AttackOutcome {
    let saw = verified.findings.first().map_or("nothing seen".to_owned(), ToString::to_string);
    AttackOutcome {
        kind,
        detected: verified.verdict != Verdict::Intact,
        located: block.map(|block| verified.blocks() == [block]),
        what: format!("{did}: {saw}"),
        raced: None,
    }
}

fn files(fixture: &RingFixture, network: &Network) -> Result<Vec<AttackOutcome>, Failure> {
    let (old, new, out) =
        (fixture.path("old.ring"), fixture.path("new.ring"), fixture.path("attacked.ring"));
    let block = fixture.ring()?.layers().iter().find(|h| !h.parts.is_empty()).map(|h| h.index);
    let mut done = Vec::new();

    let options = FlipOptions { block, flips: 1, ..FlipOptions::default() };
    ring_flip(&new, &out, &options)?;
    done.push(outcome(Kind::RingFlip, block, "one stored bit flipped", &fixture.verify(&out)?));

    let mut tampered = network.clone();
    if let Some(weight) = network.layers().first().map(|l| l.weight.clone()) {
        let bytes = network.tensor(&weight)?.bytes().iter().map(|b| b ^ 0x80).collect();
        tampered.set_bytes(&weight, bytes)?;
    }
    let forms = [
        (ResealForm::OwnSignature, "sealed anew under another signature"),
        (ResealForm::OwnersSignature, "sealed anew under the owner's old signature"),
    ];
    for (form, did) in forms {
        ring_reseal(&new, &tampered, &out, form)?;
        done.push(outcome(Kind::RingReseal, None, did, &fixture.verify(&out)?));
    }

    ring_splice(&new, &old, &out, block, 0)?;
    let did = "an authentic block of the older version put in";
    done.push(outcome(Kind::RingSplice, block, did, &fixture.verify(&out)?));

    ring_rollback(&old, &out)?;
    let did = "the older version presented";
    done.push(outcome(Kind::RingRollback, None, did, &fixture.verify(&out)?));

    ring_relabel(&new, &out, None, 0)?;
    let did = "the sealed labels and recipe edited";
    done.push(outcome(Kind::RingRelabel, Some(0), did, &fixture.verify(&out)?));
    Ok(done)
}

fn decisions(fixture: &RingFixture, samples: &Samples) -> Result<Vec<AttackOutcome>, Failure> {
    let ring = fixture.ring()?;
    let session = Session::open(
        fixture.ring()?,
        std::slice::from_ref(&fixture.host),
        SessionOptions::default(),
    )?;
    let name = ring.inputs().first().map(|s| s.name.clone()).unwrap_or_default();
    let ask = |at: usize| -> Result<Claim, Failure> {
        let inputs: Vec<TensorValue> = vec![samples.batch(&name, at..at + 1, 1)?];
        let outcome = session.run(inputs.clone())?;
        let outputs = outcome.outputs.into_iter().next().unwrap_or_default();
        Ok(Claim::honest(&outcome.decision, inputs, outputs))
    };
    let (first, second) = (ask(0)?, ask(samples.len() - 1)?);
    let replay = receipt_replay(&first, second.inputs.clone());
    let did = "an old receipt shown for another question";
    let mut done = vec![outcome(Kind::ReceiptReplay, None, did, &verify_claim(&replay, &ring))];
    let forms = [
        (SwapForm::Beside, "another answer beside an honest receipt"),
        (SwapForm::Inside, "another answer's digest in the receipt"),
    ];
    for (form, did) in forms {
        let swapped = output_swap(&first, second.outputs.clone(), form);
        done.push(outcome(Kind::OutputSwap, None, did, &verify_claim(&swapped, &ring)));
    }
    Ok(done)
}

fn fork(fixture: &RingFixture) -> Result<AttackOutcome, Failure> {
    let ring = fixture.ring()?;
    let host = AuthorKey::from(fixture.host.clone());
    let original = fixture.path("ledger");
    let mut ledger = Ledger::open_or_create(&original)?;
    let binding = ledger.state()?.binding(&host.public());
    let (ring_digest, dealt) = (ring.digest(), ring.outline().deal_number());
    let entry = |n: u8| {
        let decision_id = Digest([n; 32]);
        let event = Event::Decisions { ring_digest, decision_id, count: 1, dealt };
        Entry::sign(binding, u64::from(n), &event, &host)
    };
    ledger.register(ring.outline(), &fixture.owner.clone().into())?;
    ledger.append(&[entry(1)?, entry(2)?])?;
    drop(ledger);
    let fork = ledger_fork(&original, &fixture.path("fork"), [&[entry(3)?], &[entry(4)?]])?;
    let ([first, _], [_, kept]) = (&fork.folders, &fork.checkpoints);
    let verified = verify_ledger(first, kept)?;
    let did = "one branch shown to a reader who kept a checkpoint of the other";
    Ok(outcome(Kind::LedgerFork, None, did, &verified))
}

/// The races are run under every check that looks at memory: what each does not see is the point.
fn memory(network: &Network, samples: &Samples, own: Check) -> Result<Vec<AttackOutcome>, Failure> {
    let mut checks = RACED_CHECKS.to_vec();
    if !checks.contains(&own) {
        checks.push(own);
    }
    let ring = LiveRing { network, samples };
    let mut done = Vec::new();
    for kind in Kind::races() {
        let EntryPoint::Memory(begin) = kind.entry() else { continue };
        for check in &checks {
            done.extend(begin(&ring, *check)?.map(|raced| AttackOutcome::of(kind, raced)));
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::ToctouWriter;
    use crate::samples::Split;

    #[test]
    fn every_attack_but_a_race_is_noticed_and_the_block_named() {
        let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
        let network = Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap();
        let samples = Samples::open(&zoo.join("fashion-sample"), Split::Test, None).unwrap();
        let out = run_ring_attacks(&network, &samples.choose(4, 1), Check::Auto).unwrap();
        for one in out.iter().filter(|o| o.raced.is_none()) {
            assert!(one.detected, "{one:?}");
            assert_ne!(one.located, Some(false), "{one:?}");
        }
        let located = out.iter().filter(|o| o.located == Some(true)).map(|o| o.kind);
        let named: Vec<Kind> = located.collect();
        assert_eq!(named, [Kind::RingFlip, Kind::RingSplice, Kind::RingRelabel]);
        let races: Vec<&ToctouResult> = out.iter().filter_map(|o| o.raced.as_ref()).collect();
        assert_eq!(races.len(), RACED_CHECKS.len() * Kind::races().count());
        // Put back before the next look, tampering is not seen by a check of bytes; by one of products it is.
        let compute = races.iter().filter(|r| r.check == Check::Compute);
        assert!(compute.clone().all(|r| r.wrong == 0 && r.refused > 0), "{out:?}");
        let sync = races.iter().filter(|r| r.writer != ToctouWriter::Blind);
        let mut run = sync.filter(|r| r.check == Check::Run);
        assert!(run.all(|r| r.wrong == r.queries && r.queries > 0), "{out:?}");
    }
}
