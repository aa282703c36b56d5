//! All attacks of the family `Ring` on one sealed network, each judged by a reader who saw both of its versions.
//!
//! This is the attacker who knows how DeepRing works, may write everywhere, and lacks the owner's key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deepring::{
    AuthenticRing, Check, Host, Owner, SecretKey, TensorValue, Trust, TrustStore, UnverifiedRing,
    Verdict,
};
use deepring_infer::{Blocks, Seal, Session, SessionOptions};
use deepring_ledger::{Entry, Event, Ledger};

use super::attacks::{FlipOptions, ResealForm};
use super::trial::{Bout, Pace, Raced, Writer};
use super::{
    Claim, Judged, RingTrial, SwapForm, judge_claim, judge_ledger, judge_ring, ledger_fork,
    output_swap, receipt_replay, ring_flip, ring_relabel, ring_reseal, ring_rollback, ring_splice,
};
use crate::catalogue::Kind;
use crate::network::Network;
use crate::samples::Samples;

/// What came of one attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Besieged {
    /// The attack.
    pub kind: Kind,
    /// Whether it was noticed.
    pub detected: bool,
    /// Whether the block that was touched, and no other, is named; `None` where no one block was.
    pub located: Option<bool>,
    /// What was done and what was seen, in a sentence.
    pub what: String,
    /// The counts, of a race in live memory.
    pub raced: Option<Raced>,
}

/// Any of the errors that the attacks have; there is nothing to be done about one but to tell it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Under these checks every race is run.
const RACED: [Check; 3] = [Check::Run, Check::Auto, Check::Compute];
/// The blind writer's pace: short enough to fall between two looks now and then.
const PACE: Pace =
    Pace { there: Duration::from_micros(30), away: Duration::from_micros(150), writes: 200 };
/// A synchronised race is long enough to see how rare an unnoticed use is, and ends soon where each is refused.
const BOUT: Bout = Bout { queries: 200, refusals: 25 };

/// Makes every attack of the family on the network's ring, in a temporary folder with keys of its own.
///
/// # Errors
/// If the network cannot be sealed, or an attack cannot be made at all, in words.
pub fn siege(network: &Network, samples: &Samples, check: Check) -> Result<Vec<Besieged>, String> {
    laid(network, samples, check).map_err(|e| e.to_string())
}

fn laid(network: &Network, samples: &Samples, check: Check) -> Result<Vec<Besieged>, Failure> {
    let town = Town::built(network)?;
    let mut out = files(&town, network)?;
    out.extend(decisions(&town, samples)?);
    out.push(fork(&town)?);
    out.extend(memory(network, samples, check)?.into_iter().map(Besieged::of));
    Ok(out)
}

/// One of the [races](Kind::races) alone, under each check that looks at memory; nothing, where memory cannot be written.
///
/// # Errors
/// If the network cannot be sealed or asked, in words.
pub fn race(network: &Network, samples: &Samples, kind: Kind) -> Result<Vec<Raced>, String> {
    let under = |check: &Check| raced(network, samples, kind, *check).map_err(|e| e.to_string());
    Ok(RACED.iter().map(under).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

impl Besieged {
    fn of(raced: Raced) -> Self {
        let kind = match raced.writer {
            Writer::Blind => Kind::LiveMemoryBlind,
            Writer::Synchronised => Kind::LiveMemorySync,
            Writer::SynchronisedTail => Kind::LiveTailSync,
        };
        let (what, detected) = (raced.sentence(), raced.wrong == 0);
        Self { kind, detected, located: None, what, raced: Some(raced) }
    }
}

/// Two versions of one ring in a folder, and a store that has seen both.
struct Town {
    folder: tempfile::TempDir,
    owner: SecretKey<Owner>,
    host: SecretKey<Host>,
    store: TrustStore,
}

impl Town {
    fn built(network: &Network) -> Result<Self, Failure> {
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

    fn judge(&self, attacked: &Path) -> Result<Judged, Failure> {
        Ok(judge_ring(attacked, &self.trust())?)
    }
}

fn besieged(kind: Kind, block: Option<u32>, did: &str, judged: &Judged) -> Besieged {
    let saw = judged.findings.first().map_or("nothing seen".to_owned(), ToString::to_string);
    Besieged {
        kind,
        detected: judged.verdict != Verdict::Intact,
        located: block.map(|block| judged.blocks() == [block]),
        what: format!("{did}: {saw}"),
        raced: None,
    }
}

fn files(town: &Town, network: &Network) -> Result<Vec<Besieged>, Failure> {
    let (old, new, out) =
        (town.path("old.ring"), town.path("new.ring"), town.path("attacked.ring"));
    let block = town.ring()?.layers().iter().find(|h| !h.parts.is_empty()).map(|h| h.index);
    let mut done = Vec::new();

    let options = FlipOptions { block, flips: 1, ..FlipOptions::default() };
    ring_flip(&new, &out, &options)?;
    done.push(besieged(Kind::RingFlip, block, "one stored bit flipped", &town.judge(&out)?));

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
        done.push(besieged(Kind::RingReseal, None, did, &town.judge(&out)?));
    }

    ring_splice(&new, &old, &out, block, 0)?;
    let did = "an authentic block of the older version put in";
    done.push(besieged(Kind::RingSplice, block, did, &town.judge(&out)?));

    ring_rollback(&old, &out)?;
    let did = "the older version presented";
    done.push(besieged(Kind::RingRollback, None, did, &town.judge(&out)?));

    ring_relabel(&new, &out, None, 0)?;
    let did = "the sealed labels and recipe edited";
    done.push(besieged(Kind::RingRelabel, Some(0), did, &town.judge(&out)?));
    Ok(done)
}

fn decisions(town: &Town, samples: &Samples) -> Result<Vec<Besieged>, Failure> {
    let ring = town.ring()?;
    let session =
        Session::open(town.ring()?, std::slice::from_ref(&town.host), SessionOptions::default())?;
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
    let mut done = vec![besieged(Kind::ReceiptReplay, None, did, &judge_claim(&replay, &ring))];
    let forms = [
        (SwapForm::Beside, "another answer beside an honest receipt"),
        (SwapForm::Inside, "another answer's digest in the receipt"),
    ];
    for (form, did) in forms {
        let swapped = output_swap(&first, second.outputs.clone(), form);
        done.push(besieged(Kind::OutputSwap, None, did, &judge_claim(&swapped, &ring)));
    }
    Ok(done)
}

fn fork(town: &Town) -> Result<Besieged, Failure> {
    let entry = |n: u8| Entry {
        at: u64::from(n),
        event: Event::Decisions { ring_digest: [0; 32], decision_id: [n; 32], count: 1 },
    };
    let original = town.path("ledger");
    let mut ledger = Ledger::open_or_create(&original)?;
    ledger.append(&[entry(1), entry(2)])?;
    drop(ledger);
    let fork = ledger_fork(&original, &town.path("fork"), [&[entry(3)], &[entry(4)]])?;
    let ([first, _], [_, kept]) = (&fork.folders, &fork.checkpoints);
    let judged = judge_ledger(first, kept)?;
    let did = "one branch shown to a reader who kept a checkpoint of the other";
    Ok(besieged(Kind::LedgerFork, None, did, &judged))
}

/// The races are run under every check that looks at memory: what each does not see is the point.
fn memory(network: &Network, samples: &Samples, own: Check) -> Result<Vec<Raced>, Failure> {
    let mut checks = RACED.to_vec();
    if !checks.contains(&own) {
        checks.push(own);
    }
    let mut done = Vec::new();
    for kind in Kind::races() {
        for check in &checks {
            done.extend(raced(network, samples, *kind, *check)?);
        }
    }
    Ok(done)
}

/// One race: the signs of the first layer's weights are flipped, or what the first block computed is negated.
fn raced(
    network: &Network,
    samples: &Samples,
    kind: Kind,
    check: Check,
) -> Result<Option<Raced>, Failure> {
    let mut trial = RingTrial::seal(network, check)?;
    if kind == Kind::LiveTailSync {
        return Ok(trial.race_tail(samples, BOUT)?);
    }
    let Some(weight) = network.layers().first().map(|l| l.weight.clone()) else {
        return Ok(None);
    };
    let tampered = signs_flipped(network, &weight)?;
    Ok(match kind {
        Kind::LiveMemorySync => trial.race_synchronised(&tampered, samples, BOUT)?,
        _ => trial.race_blind(&tampered, samples, PACE)?,
    })
}

/// The same network with the highest bit of each element of a tensor flipped: of a float, its sign.
fn signs_flipped(network: &Network, tensor: &str) -> Result<Network, Failure> {
    let mut tampered = network.clone();
    let of = network.tensor(tensor)?;
    let mut bytes = of.bytes().to_vec();
    for element in bytes.chunks_mut(of.dtype().size().max(1)) {
        if let Some(highest) = element.last_mut() {
            *highest ^= 0x80;
        }
    }
    tampered.set_bytes(tensor, bytes)?;
    Ok(tampered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Part;

    #[test]
    fn every_attack_but_a_race_is_noticed_and_the_block_named() {
        let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zoo");
        let network = Network::read(&zoo.join("fashion-lenet5.onnx")).unwrap();
        let samples = Samples::open(&zoo.join("fashion-sample"), Part::Test, None).unwrap();
        let out = siege(&network, &samples.choose(4, 1), Check::Auto).unwrap();
        for one in out.iter().filter(|o| o.raced.is_none()) {
            assert!(one.detected, "{one:?}");
            assert_ne!(one.located, Some(false), "{one:?}");
        }
        let located = out.iter().filter(|o| o.located == Some(true)).map(|o| o.kind);
        let named: Vec<Kind> = located.collect();
        assert_eq!(named, [Kind::RingFlip, Kind::RingSplice, Kind::RingRelabel]);
        let races: Vec<&Raced> = out.iter().filter_map(|o| o.raced.as_ref()).collect();
        assert_eq!(races.len(), RACED.len() * Kind::races().len());
        // Put back before the next look, tampering is not seen by a check of bytes; by one of products it is.
        let compute = races.iter().filter(|r| r.check == Check::Compute);
        assert!(compute.clone().all(|r| r.wrong == 0 && r.refused > 0), "{out:?}");
        let sync = races.iter().filter(|r| r.writer != Writer::Blind);
        let mut run = sync.filter(|r| r.check == Check::Run);
        assert!(run.all(|r| r.wrong == r.queries && r.queries > 0), "{out:?}");
    }
}
