//! Rings of six blocks that were really sealed, and decisions that they came to.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::plans::{block, tensor};
use deepring::deal::{Copies, DealPlan};
use deepring::files::Replacement;
use deepring::maintenance::{deal_in, grant};
use deepring::outline::AuthenticOutline;
use deepring::receipt::{
    Chain, Checked, ComputedWith, Item, LegResult, QueryStart, Receipt, Salt, Validation,
    batch_digest,
};
use deepring::replication::{Evidence, LegCopy, LegOutcome};
use deepring::seal::{PlannedDeal, Predecessor, RingPlan, RingSealer};
use deepring::{
    Check, Decision, Digest, Host, Owner, PartKind, PublicKey, RingId, SecretKey, Trust,
    UnverifiedRing, VerifiedRing,
};
use tempfile::TempDir;

/// The legs of every ring here: one host each, and with two copies the host of the next.
pub const LEGS: [std::ops::Range<u32>; 4] = [1..3, 3..4, 4..6, 6..7];

/// The key of an owner, by number.
pub fn owner_key(n: u8) -> SecretKey<Owner> {
    SecretKey::from_halves(&[n + 1; 32], &[n + 101; 32]).unwrap()
}

/// The key of a host, by number.
pub fn host_key(n: u8) -> SecretKey<Host> {
    SecretKey::from_halves(&[n + 11; 32], &[n + 111; 32]).unwrap()
}

/// The public key of a host, by number.
pub fn host(n: u8) -> PublicKey<Host> {
    host_key(n).public()
}

/// A ring in a file of its own.
#[derive(Debug)]
pub struct Sealed {
    dir: TempDir,
    owner: SecretKey<Owner>,
    file: &'static str,
}

/// The hosts of each leg: its own, and with two copies that of the next leg.
fn hosts_of(leg: usize, copies: usize) -> Vec<PublicKey<Host>> {
    (0..copies).map(|k| host(((leg + k) % 4) as u8)).collect()
}

/// The deal of every ring here; none in one copy.
fn planned(copies: usize) -> Option<PlannedDeal> {
    let legs = LEGS.iter().cloned().zip((0..4).map(host)).collect();
    let copies = match copies {
        2 => Copies::Two,
        3 => Copies::Three,
        _ => return None,
    };
    let plan = DealPlan { copies, eager: false, genesis: Vec::new(), dealt_at: 0 };
    Some(PlannedDeal { legs, plan })
}

impl Sealed {
    /// The first version of a new ring, dealt in this many copies; 1 is for a ring that is not dealt.
    pub fn new(owner: u8, copies: usize) -> Self {
        Self::version(owner, copies, 1, None)
    }

    /// The version after this one.
    pub fn next(&self, copies: usize) -> Self {
        let outline = self.outline();
        let previous = Some((outline.ring_id(), outline.ring_digest()));
        let mut next = Self::seal(&self.owner, copies, outline.model_version() + 1, previous);
        next.owner = self.owner.clone();
        next
    }

    /// A version by an owner, after another one if there is one.
    pub fn version(
        owner: u8,
        copies: usize,
        model_version: u64,
        previous: Option<(RingId, Digest)>,
    ) -> Self {
        Self::seal(&owner_key(owner), copies, model_version, previous)
    }

    /// A version under this key, after another one if there is one.
    pub fn seal(
        owner: &SecretKey<Owner>,
        copies: usize,
        model_version: u64,
        previous: Option<(RingId, Digest)>,
    ) -> Self {
        let x = |n: u32| tensor(&format!("x{n}"), 1);
        let manifest = vec![(PartKind::Manifest, 1)];
        let mut blocks = vec![block("genesis", (x(7), x(1)), manifest, &hosts_of(0, copies))];
        for (leg, range) in LEGS.iter().enumerate() {
            for n in range.clone() {
                let parameter = PartKind::Parameter(tensor("w", 1));
                let parts = vec![(parameter, 4), (PartKind::Graph, 1)];
                let name = format!("layer{n}");
                blocks.push(block(&name, (x(n), x(n + 1)), parts, &hosts_of(leg, copies)));
            }
        }
        let deal = planned(copies);
        let plan = RingPlan {
            kind: deepring::RingKind::Network,
            model_version,
            previous: previous.map(|(ring_id, digest)| Predecessor {
                ring_id,
                digest,
                kind: deepring::RingKind::Network,
            }),
            sealed_at: 0,
            blocks,
            deal,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ring");
        let mut sealer = RingSealer::create(&path, &plan, owner).unwrap();
        sealer.seal_block(b"m").unwrap();
        for n in 1..7 {
            let mut plaintext = vec![0; 65];
            plaintext[0] = n;
            plaintext[64] = b'g';
            sealer.seal_block(&plaintext).unwrap();
        }
        sealer.finish().unwrap();
        Self { dir, owner: owner.clone(), file: "a.ring" }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(self.file)
    }

    /// The ring, with every byte verified.
    pub fn ring(&self) -> VerifiedRing {
        let ring = UnverifiedRing::open(&self.path()).unwrap();
        ring.verify(&Trust::owner(self.owner.public()), &|_| ()).unwrap()
    }

    /// The outline that its owner signed.
    pub fn outline(&self) -> AuthenticOutline {
        self.ring().outline().clone()
    }

    /// The same ring in its next revision, with this host granted everything.
    pub fn granted(&self, to: u8) -> AuthenticOutline {
        let path = self.dir.path().join("granted.ring");
        grant(&self.ring(), &self.owner, &host(to), None, &path).unwrap();
        let ring = UnverifiedRing::open(&path).unwrap();
        ring.authenticate(&Trust::owner(self.owner.public())).unwrap().outline().clone()
    }

    /// The outline of a newer revision, in which the ring is dealt anew.
    pub fn dealt(&self, copies: usize) -> AuthenticOutline {
        let path = self.dir.path().join("dealt.ring");
        let file = Replacement::of(&path).unwrap();
        deal_in(file, &self.ring(), &self.owner, &planned(copies).unwrap()).unwrap();
        let ring = UnverifiedRing::open(&path).unwrap();
        ring.authenticate(&Trust::owner(self.owner.public())).unwrap().outline().clone()
    }

    /// A query by the host of leg 1, over as many items, and no leg run yet.
    pub fn begin(&self, items: &[Item], nonce: Option<Digest>) -> (Chain, Salt) {
        self.begin_as(items, nonce, self.outline().deal().is_some())
    }

    fn begin_as(&self, items: &[Item], nonce: Option<Digest>, dealt: bool) -> (Chain, Salt) {
        let ring = self.ring();
        let key = host_key(0);
        let mut plaintext = vec![0; ring.genesis().plain_len as usize];
        let genesis = ring.open_block(0, (&key).into(), &mut plaintext).unwrap();
        let start = QueryStart::random(nonce, 1_700_000_000_000).unwrap();
        let inputs = batch_digest(&items.iter().map(|i| i.inputs).collect::<Vec<_>>());
        (Chain::begin(ring.outline(), &genesis, &key, inputs, &start, dealt), start.salt)
    }

    /// The result of an honest host of a leg, with these outputs.
    pub fn result(&self, leg: usize, outputs: Digest) -> LegResult {
        let outline = self.outline();
        let range = LEGS[leg].start as usize..LEGS[leg].end as usize;
        let blocks = &outline.blocks()[range];
        LegResult {
            blocks: blocks.iter().map(|b| b.content_digest).collect(),
            checked: Checked::uniform(Check::Run, blocks.iter().map(|b| b.parts.len())).unwrap(),
            computed_with: ComputedWith::new("engine 1", Digest::NONE, "processor", 1).unwrap(),
            outputs,
        }
    }

    /// A decision about these queries; each leg validated where the ring is dealt.
    pub fn decide(&self, queries: u8, nonce: Option<Digest>) -> Decision {
        let items: Vec<Item> = (0..queries)
            .map(|n| Item { inputs: Digest([n; 32]), outputs: Digest([n + 100; 32]) })
            .collect();
        let (mut chain, salt) = self.begin(&items, nonce);
        let outline = self.outline();
        for leg in 0..LEGS.len() {
            let outputs = match leg {
                3 => batch_digest(&items.iter().map(|i| i.outputs).collect::<Vec<_>>()),
                _ => Digest([leg as u8; 32]),
            };
            match outline.deal() {
                None => chain.extend(&host_key(leg as u8), self.result(leg, outputs)),
                Some(_) => {
                    let results = [outputs, outputs].map(|o| self.result(leg, o));
                    let (receipt, validations) = settled(&chain, &outline, leg as u8, results);
                    chain.extend_settled(receipt, validations);
                }
            }
        }
        Decision::close(chain, items, salt, &outline, &host_key(0)).unwrap()
    }

    /// A decision of a dealt ring of which every leg ran once, and nobody validated any.
    pub fn decide_unvalidated(&self, queries: u8) -> Decision {
        let items: Vec<Item> = (0..queries)
            .map(|n| Item { inputs: Digest([n; 32]), outputs: Digest([n + 100; 32]) })
            .collect();
        let (mut chain, salt) = self.begin_as(&items, None, false);
        for leg in 0..LEGS.len() {
            let outputs = match leg {
                3 => batch_digest(&items.iter().map(|i| i.outputs).collect::<Vec<_>>()),
                _ => Digest([leg as u8; 32]),
            };
            chain.extend(&host_key(leg as u8), self.result(leg, outputs));
        }
        Decision::close(chain, items, salt, &self.outline(), &host_key(0)).unwrap()
    }

    /// Two receipts by the host of leg 1 for one leg of one query, with different outputs.
    pub fn equivocation(&self) -> Evidence {
        let item = Item { inputs: Digest([1; 32]), outputs: Digest([2; 32]) };
        let (chain, _) = self.begin(&[item], None);
        let [first, second] = [3, 4].map(|n| {
            let mut chain = chain.clone();
            chain.extend(&host_key(0), self.result(0, Digest([n; 32])));
            Box::new(chain.legs()[0].receipt().clone())
        });
        Evidence::Equivocation { first, second }
    }

    /// A receipt by the host of leg 1, and the objection of the leg's other copy.
    pub fn contradiction(&self) -> Evidence {
        let item = Item { inputs: Digest([1; 32]), outputs: Digest([2; 32]) };
        let (chain, _) = self.begin(&[item], None);
        let outline = self.outline();
        let results = [3, 4].map(|n| self.result(0, Digest([n; 32])));
        let verified = chain.verify(&outline).unwrap();
        let copies = exchanged(&verified, 0, results);
        let named = copies.iter().flat_map(LegCopy::named).find_map(|named| match named.fault {
            deepring::replication::CopyFault::Disputed(evidence) => Some(evidence),
            _ => None,
        });
        named.unwrap()
    }
}

/// Runs both copies of a leg until neither has anything to say.
fn exchanged<'a>(
    chain: &deepring::receipt::VerifiedChain<'_, 'a>,
    leg: u8,
    results: [LegResult; 2],
) -> [LegCopy<'a>; 2] {
    let keys = [leg, (leg + 1) % 4];
    let mut copies = keys.map(|n| LegCopy::new(chain, host_key(n)).unwrap());
    let mut mail = VecDeque::new();
    for (place, result) in results.into_iter().enumerate() {
        let sent = copies[place].computed(result, [leg + 7 + place as u8; 32]);
        mail.extend(sent.into_iter().map(|out| (place, out)));
    }
    while let Some((from, out)) = mail.pop_front() {
        let to = 1 - from;
        if let Ok(sent) = copies[to].receive(&host(keys[from]), &out.bytes) {
            mail.extend(sent.into_iter().map(|out| (to, out)));
        }
    }
    copies
}

fn settled(
    chain: &Chain,
    outline: &AuthenticOutline,
    leg: u8,
    results: [LegResult; 2],
) -> (Receipt, Vec<Validation>) {
    let verified = chain.verify(outline).unwrap();
    let copies = exchanged(&verified, leg, results);
    match copies[0].outcome() {
        Some(LegOutcome::Settled(settled)) => (settled.receipt, settled.validations),
        other => panic!("{other:?}"),
    }
}
