//! Hosts of a dealt ring, a network between them and a clock, in one thread: everything follows from a seed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use deepring::deal::{Copies, DealPlan};
use deepring::maintenance::grant;
use deepring::receipt::{QueryStart, Require, Salt, batch_digest, tensors_digest};
use deepring::replication::{Dispute, FailedCopy};
use deepring::{
    AuthenticRing, Check, Digest, Host, PublicKey, SecretKey, TensorValue, Trust, UnverifiedRing,
};
use deepring_infer::block::Computed;
use deepring_infer::engine::Racing;
use deepring_infer::participant::{
    Action, Batch, Bounds, Closed, Participant, Patience, RandomBytes, Remembered, WhyFailed,
};
use deepring_infer::{RingHost, Rten};

use super::doubles::{Double, revealed};
use crate::graphs::{FLOAT, Net};
use crate::zoo::{Sealed, copies, host, tensor};

pub(super) const HOSTS: usize = 4;
/// How long a copy is waited for, in virtual milliseconds; a leg takes 20 to compute, unless something else is said.
pub(super) const PATIENCE: Patience = Patience { floor: 1_000, times: 10, query: 60_000 };
/// When every query must have ended.
pub(super) const LIMIT: u64 = 130_000;
const COMPUTES: u64 = 20;

/// The hosts' keys, derived once.
static KEYS: LazyLock<[PublicKey<Host>; HOSTS]> =
    LazyLock::new(|| [1, 2, 3, 4].map(|seed| host(seed).public()));

/// An engine for a host, as its index says.
pub(super) type Engines = dyn Fn(usize) -> Arc<Racing<Rten>>;

/// A dealt ring of four legs, and a host for each.
pub(super) struct Fixture {
    sealed: Sealed,
    pub(super) ring: Arc<AuthenticRing>,
    pub(super) engines: Vec<RingHost<Racing<Rten>>>,
}

pub(super) fn alike(_: usize) -> Arc<Racing<Rten>> {
    Arc::new(Racing::new(Rten::new(1.try_into().ok()), |_| ()))
}

/// Four small products, each a block and a leg.
fn network(folder: &std::path::Path) -> std::path::PathBuf {
    let mut net = Net::new(5);
    net.input("x", FLOAT, &["1", "6"]).output("y", FLOAT);
    for (from, to) in [("x", "a"), ("b", "c"), ("d", "e"), ("f", "y")] {
        net.dense(from, to, 6, 6);
    }
    for (from, to) in [("a", "b"), ("c", "d"), ("e", "f")] {
        net.node("Tanh", &[from], to);
    }
    net.save(folder)
}

impl Fixture {
    pub(super) fn new(of: Copies, eager: bool, engines: &Engines) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = DealPlan { eager, ..copies(of) };
        let legs = [(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)];
        let sealed = Sealed::dealt(&network(folder.path()), &legs, plan);
        let ring = Arc::new(sealed.ring());
        let blocks = |seed: u8| {
            let key = host(seed).public();
            let deal = ring.outline().deal().unwrap().clone();
            deal.legs.into_iter().filter(move |leg| leg.hosts.contains(&key)).map(|leg| leg.first)
        };
        let open = |index: usize| {
            let seed = u8::try_from(index + 1).unwrap();
            let (ring, key) = (Arc::clone(&ring), host(seed));
            let mut opened =
                RingHost::open(ring, engines(index), key, 0..0, Check::Run, &|_| ()).unwrap();
            blocks(seed).for_each(|block| opened.load_block(block).unwrap());
            opened
        };
        let engines = (0..HOSTS).map(open).collect();
        Self { sealed, ring, engines }
    }

    /// The same ring in a revision that grants this host every block.
    pub(super) fn granted(&self, to: &PublicKey<Host>) -> AuthenticRing {
        let trust = Trust::owner(self.sealed.owner.public());
        let read = |path: &std::path::Path| UnverifiedRing::open(path).unwrap();
        let verified = read(&self.sealed.path).verify(&trust, &|_| ()).unwrap();
        let path = self.sealed.path.with_extension("granted");
        grant(&verified, &self.sealed.owner, to, None, &path).unwrap();
        read(&path).authenticate(&trust).unwrap()
    }

    /// The right answer.
    pub(super) fn answer(&self) -> Batch {
        let mut batch = input();
        for block in 1..=4 {
            let host = self.engines.iter().find(|host| host.holds(block)).unwrap();
            batch = host.compute(&salt(), &batch, block..block + 1).unwrap().outputs;
        }
        batch
    }
}

/// A host that is granted every block, and has no leg.
pub(super) fn arbiter() -> SecretKey<Host> {
    host(9)
}

pub(super) fn input() -> Batch {
    let numbers = [0.5, -0.25, 1.0, 0.125, -1.5, 0.75];
    vec![vec![tensor("x", &[1, 6], &numbers)]]
}

pub(super) fn salt() -> Salt {
    Salt::from_bytes([7; 32]).unwrap()
}

pub(super) fn start(query: u8) -> QueryStart {
    QueryStart { query: Digest([query; 32]), salt: salt(), nonce: None, opened_at: 0 }
}

/// The delays, losses and doublings of messages in the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wires {
    pub(super) delay: (u64, u64),
    /// Of a thousand.
    pub(super) lost: u32,
    pub(super) doubled: u32,
}

pub(super) const STEADY: Wires = Wires { delay: (1, 2), lost: 0, doubled: 0 };
pub(super) const ROUGH: Wires = Wires { delay: (1, 60), lost: 60, doubled: 100 };

#[derive(Debug)]
enum Event {
    Comes { from: usize, to: usize, bytes: Arc<[u8]> },
    Done { at: usize, life: u32, machine: usize, action: Box<Action> },
    Wake { at: usize, life: u32, machine: usize },
    Restarts { at: usize },
}

/// One host: an honest one has one machine.
struct Place<'r> {
    machines: Vec<Participant<'r>>,
    remembered: Vec<Vec<Remembered>>,
    woken: Vec<Option<u64>>,
    up: bool,
    /// Which of its lives it is in.
    life: u32,
    sent: usize,
    double: Double,
}

pub(super) struct World<'r> {
    fixture: &'r Fixture,
    places: Vec<Place<'r>>,
    wires: Wires,
    random: fastrand::Rng,
    seed: u64,
    pub(super) now: u64,
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
    /// Hosts that hear nobody and are heard by nobody from one time to another.
    pub(super) cut_off: Option<(usize, u64, u64)>,
    /// How long each host computes a leg.
    pub(super) takes: [u64; HOSTS],
    /// Hosts are told whom their transport has no connection with.
    pub(super) tells_cut_off: bool,
    /// A host dies once it has sent so many messages, and is started anew so much later.
    pub(super) dies: Option<(usize, usize, Option<u64>)>,
    pub(super) wire: Vec<(u64, usize, usize, Arc<[u8]>)>,
    pub(super) closed: Vec<(usize, Closed)>,
    /// When the query was answered first.
    pub(super) answered_at: Option<u64>,
    pub(super) failed: Vec<(usize, WhyFailed, Vec<FailedCopy>)>,
    pub(super) named: Vec<(usize, FailedCopy)>,
    pub(super) signed: Vec<(usize, Remembered)>,
    pub(super) computed: Vec<(usize, u32)>,
    /// Disputes that hosts handed out, each for [`arbiter`].
    pub(super) disputes: Vec<(usize, Dispute)>,
}

fn source(seed: u64) -> RandomBytes {
    let mut numbers = fastrand::Rng::with_seed(seed);
    Box::new(move |out| {
        numbers.fill(out);
        Ok(())
    })
}

impl<'r> World<'r> {
    pub(super) fn new(fixture: &'r Fixture, wires: Wires, seed: u64) -> Self {
        let mut world = Self {
            fixture,
            places: Vec::new(),
            wires,
            random: fastrand::Rng::with_seed(seed),
            seed,
            now: 0,
            events: BTreeMap::new(),
            next: 0,
            cut_off: None,
            takes: [COMPUTES; HOSTS],
            tells_cut_off: false,
            dies: None,
            wire: Vec::new(),
            closed: Vec::new(),
            answered_at: None,
            failed: Vec::new(),
            named: Vec::new(),
            signed: Vec::new(),
            computed: Vec::new(),
            disputes: Vec::new(),
        };
        for at in 0..HOSTS {
            world.places.push(world.place(at, Double::honest()));
        }
        world
    }

    /// Puts a double into a host's place.
    pub(super) fn with(mut self, at: usize, double: Double) -> Self {
        self.places[at] = self.place(at, double);
        self
    }

    fn place(&self, at: usize, double: Double) -> Place<'r> {
        let count = double.results.len();
        let machine = |n: usize| self.machine(at, n, 0, Vec::new());
        Place {
            machines: (0..count).map(machine).collect(),
            remembered: vec![Vec::new(); count],
            woken: vec![None; count],
            up: true,
            life: 0,
            sent: 0,
            double,
        }
    }

    fn machine(&self, at: usize, n: usize, life: u32, signed: Vec<Remembered>) -> Participant<'r> {
        let seed =
            self.seed ^ ((at as u64 + 1) << 32 | (n as u64 + 1) << 48 | u64::from(life) << 56);
        let key = host(u8::try_from(at + 1).unwrap());
        let bounds = (PATIENCE, Bounds::default());
        let part = Participant::new(&self.fixture.ring, key, bounds, signed, source(seed));
        part.unwrap().with_arbiter(Some(arbiter().public()))
    }

    pub(super) fn key(at: usize) -> PublicKey<Host> {
        KEYS[at]
    }

    fn index(host: &PublicKey<Host>) -> usize {
        (0..HOSTS).find(|at| Self::key(*at) == *host).unwrap()
    }

    fn at(&mut self, time: u64, event: Event) {
        self.events.insert((time, self.next), event);
        self.next += 1;
    }

    pub(super) fn open(&mut self, at: usize, query: u8) {
        let start = start(query);
        let chain = self.fixture.engines[at].begin(&input(), &start, true).unwrap();
        for machine in 0..self.places[at].machines.len() {
            let opened = self.places[at].machines[machine].open(
                self.now,
                chain.clone(),
                start.salt,
                input(),
            );
            self.act(at, machine, opened.unwrap());
        }
    }

    /// Runs until nothing is under way, or for too long.
    pub(super) fn run(mut self) -> Self {
        while let Some(((time, _), event)) = self.events.pop_first() {
            if time > LIMIT {
                break;
            }
            self.now = self.now.max(time);
            self.happens(event);
        }
        self
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Comes { from, to, bytes } => self.deliver(from, to, &bytes),
            Event::Done { at, life, machine, action } => {
                if self.places[at].up && self.places[at].life == life {
                    let actions = self.done(at, machine, *action);
                    self.act(at, machine, actions);
                }
            }
            Event::Wake { at, life, machine } => {
                if self.places[at].up && self.places[at].life == life {
                    self.places[at].woken[machine] = None;
                    let actions = self.places[at].machines[machine].tick(self.now);
                    self.act(at, machine, actions);
                }
            }
            Event::Restarts { at } => {
                let life = self.places[at].life + 1;
                let kept = self.places[at].remembered.clone();
                let machines =
                    kept.into_iter().enumerate().map(|(n, kept)| self.machine(at, n, life, kept));
                let machines = machines.collect();
                let place = &mut self.places[at];
                (place.machines, place.up, place.life) = (machines, true, life);
                place.woken.iter_mut().for_each(|woken| *woken = None);
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, bytes: &Arc<[u8]>) {
        if !self.places[to].up || self.is_cut_off(from, to) {
            return;
        }
        for machine in 0..self.places[to].machines.len() {
            let received =
                self.places[to].machines[machine].receive(self.now, &Self::key(from), bytes);
            self.act(to, machine, received.unwrap_or_default());
        }
        let echoes = (self.places[to].double.echoes)(bytes);
        echoes.into_iter().for_each(|bytes| self.send(to, from, bytes.into()));
    }

    fn is_cut_off(&self, from: usize, to: usize) -> bool {
        let now = self.now;
        self.cut_off.is_some_and(|(who, since, until)| {
            (who == from || who == to) && (since..until).contains(&now)
        })
    }

    /// Gives a machine the result of what its driver did for it.
    fn done(&mut self, at: usize, machine: usize, action: Action) -> Vec<Action> {
        let engine = &self.fixture.engines[at];
        let place = &mut self.places[at];
        match action {
            Action::Compute { work, salt, batch, blocks } => {
                self.computed.push((at, blocks.start));
                let mut computed = engine.compute(&salt, &batch, blocks);
                if let Ok(computed) = &mut computed {
                    (place.double.results[machine])(computed);
                    computed.digests =
                        computed.outputs.iter().map(|t| tensors_digest(&salt, t)).collect();
                    computed.result.outputs = batch_digest(&computed.digests);
                }
                place.machines[machine].computed(self.now, work, computed)
            }
            Action::Compare { work, inputs, blocks, own, theirs, seed } => {
                let found = engine.compare(&inputs, &blocks, &own, &theirs, seed);
                place.machines[machine].compared(self.now, work, found)
            }
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self, at: usize, machine: usize, actions: Vec<Action>) {
        for action in actions {
            if !self.places[at].up {
                return;
            }
            let life = self.places[at].life;
            match action {
                Action::Send { to, bytes } => {
                    let to = Self::index(&to);
                    let says = &self.places[at].double.says;
                    if says(machine, to, &bytes) {
                        let bytes =
                            (self.places[at].double.alters)(&bytes).map_or(bytes, Arc::from);
                        (0..self.places[at].double.times)
                            .for_each(|_| self.send(at, to, Arc::clone(&bytes)));
                    }
                }
                Action::Compute { .. } | Action::Compare { .. } => {
                    let event = Event::Done { at, life, machine, action: Box::new(action) };
                    self.at(self.now + self.takes[at], event);
                }
                Action::Remember(receipt) => {
                    self.places[at].remembered[machine].push(receipt);
                    self.signed.push((at, receipt));
                }
                Action::Named { failed, .. } => self.named.push((at, failed)),
                Action::Disputed { dispute, .. } => self.disputes.push((at, *dispute)),
                Action::Closed(closed) => {
                    self.answered_at.get_or_insert(self.now);
                    self.closed.push((at, *closed));
                }
                Action::Failed { why, named, .. } => self.failed.push((at, why, named)),
            }
        }
        if self.tells_cut_off {
            let lost = |to: &usize| *to != at && (!self.places[*to].up || self.is_cut_off(at, *to));
            let lost: Vec<_> = (0..HOSTS).filter(lost).map(Self::key).collect();
            self.places[at].machines[machine].set_cut_off(self.now, &lost);
        }
        let life = self.places[at].life;
        if let Some(wake) = self.places[at].machines[machine].wake_at()
            && self.places[at].woken[machine].is_none_or(|woken| wake < woken)
        {
            let wake = wake.max(self.now + 1);
            self.places[at].woken[machine] = Some(wake);
            self.at(wake, Event::Wake { at, life, machine });
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: Arc<[u8]>) {
        if !self.places[from].up {
            return;
        }
        self.wire.push((self.now, from, to, Arc::clone(&bytes)));
        if !self.is_cut_off(from, to) && self.random.u32(0..1000) >= self.wires.lost {
            let copies = 1 + u32::from(self.random.u32(0..1000) < self.wires.doubled);
            for _ in 0..copies {
                let (least, most) = self.wires.delay;
                let delay = self.random.u64(least..=most);
                self.at(self.now + delay, Event::Comes { from, to, bytes: Arc::clone(&bytes) });
            }
        }
        self.places[from].sent += 1;
        if let Some((who, after, anew)) = self.dies
            && who == from
            && self.places[from].life == 0
            && self.places[from].sent >= after
        {
            self.places[from].up = false;
            if let Some(later) = anew {
                self.at(self.now + later, Event::Restarts { at: from });
            }
        }
    }

    /// No decision that was closed anywhere is wrong, nobody signed twice for one leg and chain, and nobody honest is proven to be at
    /// fault.
    pub(super) fn verify(&self, what: &str, faulty: Option<usize>) {
        let answer = self.fixture.answer();
        let outline = self.fixture.ring.outline();
        for (at, closed) in &self.closed {
            closed
                .decision
                .verify(outline, Require::AsDealt)
                .unwrap_or_else(|e| panic!("{what}: {e}"));
            if Some(*at) != faulty {
                assert!(same(&closed.outputs, &answer), "{what}: a wrong answer");
            }
        }
        let of_honest = |at: &usize| Some(*at) != faulty;
        let all = self.named.iter().filter(|(at, _)| of_honest(at)).map(|(_, named)| named);
        let all = all.chain(self.closed.iter().flat_map(|(_, closed)| &closed.named));
        for named in all.chain(self.failed.iter().flat_map(|(_, _, named)| named)) {
            let evidence = match &named.fault {
                deepring::replication::CopyFault::Disputed(evidence)
                | deepring::replication::CopyFault::Outvoted(evidence)
                | deepring::replication::CopyFault::Equivocated(evidence) => evidence,
                _ => continue,
            };
            evidence.verify(outline).unwrap_or_else(|e| panic!("{what}: {e}"));
            if evidence.is_proof() {
                let liar = faulty.map(Self::key);
                assert_eq!(evidence.names(), liar.into_iter().collect::<Vec<_>>(), "{what}");
            }
        }
        let mut legs: Vec<_> = self
            .signed
            .iter()
            .filter(|(at, _)| of_honest(at))
            .map(|(at, r)| (*at, r.query, r.first_block, r.head))
            .collect();
        let signed = legs.len();
        legs.sort_unstable();
        legs.dedup();
        assert_eq!(legs.len(), signed, "{what}: two receipts for one leg and chain");
    }

    /// The hosts that somebody honest names.
    pub(super) fn blamed(&self, faulty: Option<usize>) -> Vec<usize> {
        let by_honest = self.named.iter().filter(|(at, _)| Some(*at) != faulty);
        let told = self.closed.iter().filter(|(at, _)| Some(*at) != faulty);
        let failed = self.failed.iter().filter(|(at, ..)| Some(*at) != faulty);
        let mut all: Vec<usize> = by_honest
            .map(|(_, named)| Self::index(&named.host))
            .chain(told.flat_map(|(_, c)| &c.named).map(|named| Self::index(&named.host)))
            .chain(failed.flat_map(|(_, _, n)| n).map(|named| Self::index(&named.host)))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a double showed two receipts for one leg, on one chain. Its machines draw nonces of their own: two reveals may well hold
    /// the same receipt.
    pub(super) fn showed_two(&self, double: usize) -> bool {
        let by_it = self.wire.iter().filter(|(_, from, ..)| *from == double);
        let mut shown = BTreeMap::<&[u8], &[u8]>::new();
        by_it
            .filter_map(|(.., bytes)| revealed(bytes))
            .any(|(head, receipt)| *shown.entry(head).or_insert(receipt) != receipt)
    }

    /// Whether somebody honest closed the query.
    pub(super) fn is_answered(&self, faulty: Option<usize>) -> bool {
        self.closed.iter().any(|(at, _)| Some(*at) != faulty)
    }

    /// Whether nothing is left of it anywhere that is up.
    pub(super) fn is_forgotten(&self) -> bool {
        self.places.iter().filter(|p| p.up).all(|p| p.machines.iter().all(|m| m.live() == 0))
    }
}

/// Whether two batches are the same but for the rounding of unlike engines.
fn same(one: &Batch, other: &Batch) -> bool {
    let numbers = |t: &TensorValue| crate::zoo::floats(t);
    one.len() == other.len()
        && one.iter().zip(other).all(|(a, b)| {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    let (a, b) = (numbers(a), numbers(b));
                    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4)
                })
        })
}

/// Changes one element of a result by a lot.
pub(super) fn in_one_element(computed: &mut Computed) {
    in_one_byte(computed, 3, 0x41);
}

/// Changes the last bit of one element.
pub(super) fn in_last_bits(computed: &mut Computed) {
    in_one_byte(computed, 4, 1);
}

fn in_one_byte(computed: &mut Computed, at: usize, bits: u8) {
    let outputs = computed.outputs[0].remove(0);
    let mut data = outputs.data().to_vec();
    data[at] ^= bits;
    let (name, dims) = (outputs.name().to_owned(), outputs.dims().to_vec());
    let changed = TensorValue::new(name, outputs.dtype(), dims, data).unwrap();
    computed.outputs[0].insert(0, changed);
}
