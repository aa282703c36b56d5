//! Runs the copies of one leg in one process: messages are delivered in an order that a seed gives, and one copy may
//! be a liar. Nothing is left out: every record is signed and verified.

use std::sync::LazyLock;

use deepring::receipt::{Agreement, LegResult, VerifiedChain};
use deepring::replication::{FailedCopy, LegCopy, LegOutcome, Outgoing};
use deepring::{Host, PublicKey, SecretKey};

use crate::dealt_ring::hosts;

/// The kinds of messages, by the byte behind query and head.
pub(crate) const COMMIT: u8 = 1;
pub(crate) const REVEAL: u8 = 2;
pub(crate) const RECORD: u8 = 3;
pub(crate) const ACTIVATE: u8 = 4;

pub(crate) fn kind(bytes: &[u8]) -> u8 {
    bytes[64]
}

/// The same of bytes that may be no message.
fn kind_of(bytes: &[u8]) -> Option<u8> {
    bytes.get(64).copied()
}

/// The hosts' keys, derived once.
static KEYS: LazyLock<[SecretKey<Host>; 3]> = LazyLock::new(hosts);

/// Repeatable numbers (xorshift64*).
#[derive(Debug)]
pub(crate) struct Xorshift(u64);

impl Xorshift {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % n
    }
}

type Says = Box<dyn Fn(usize, usize, &[u8]) -> bool + Sync>;
type Echoes = Box<dyn Fn(&[u8]) -> Vec<Vec<u8>> + Sync>;
/// A copy's outcome, and the copies that it names.
type End = (Option<LegOutcome>, Vec<FailedCopy>);
/// From which place to which, and what.
type Sent = (usize, usize, Vec<u8>);

/// A copy that does not play by the rules: honest machines under its key, each with a result of its own, and a choice
/// of what they say.
pub(crate) struct Liar {
    /// The results that its machines are given.
    pub(crate) results: Vec<LegResult>,
    /// Decides if it says what a machine would, given the machine, which of the other copies it is for, and the message.
    pub(crate) says: Says,
    /// The messages that it sends back, given a message.
    pub(crate) echoes: Echoes,
    /// How often it sends each of its messages.
    pub(crate) times: usize,
    /// The messages that it sends to each other copy at the start.
    pub(crate) first: Vec<Vec<u8>>,
    /// How elements compare that it shows; `None` if it shows none.
    pub(crate) shows: Option<Agreement>,
    /// The agreement that its machines claim with the elements that others show.
    pub(crate) claims: Agreement,
}

impl Liar {
    /// One that says all that honest machines with these results would.
    pub(crate) fn with(results: Vec<LegResult>) -> Self {
        let far = Agreement::Differs { largest: 8.0, bound: 0.5 };
        Self {
            results,
            says: Box::new(|_, _, _| true),
            echoes: Box::new(|_| Vec::new()),
            times: 1,
            first: Vec::new(),
            shows: Some(far),
            claims: far,
        }
    }

    pub(crate) fn saying(
        self,
        says: impl Fn(usize, usize, &[u8]) -> bool + Sync + 'static,
    ) -> Self {
        Self { says: Box::new(says), ..self }
    }
}

/// How a leg went.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    /// Of each copy what it came to and whom it names; `None` of the liar, and of one that did not compute.
    pub(crate) ends: Vec<Option<End>>,
    /// All messages in the order in which they were delivered.
    pub(crate) delivered: Vec<Sent>,
}

#[derive(Debug)]
enum Event {
    Computes(usize),
    Comes(usize, usize, Vec<u8>),
}

struct Copy<'a> {
    machines: Vec<LegCopy<'a>>,
    computes: bool,
}

pub(crate) struct Driver<'a> {
    hosts: Vec<PublicKey<Host>>,
    copies: Vec<Copy<'a>>,
    honest: LegResult,
    liar: Option<(usize, &'a Liar)>,
    events: Vec<Event>,
    numbers: Xorshift,
    delivered: Vec<Sent>,
}

impl<'a> Driver<'a> {
    /// The copies of the leg that follows a chain: all of them honest but for the one at the liar's place.
    pub(crate) fn new(
        chain: &VerifiedChain<'_, 'a>,
        honest: LegResult,
        liar: Option<(usize, &'a Liar)>,
        seed: u64,
    ) -> Self {
        let leg = chain.next_leg().unwrap();
        let key =
            |host: &PublicKey<Host>| KEYS.iter().find(|key| key.public() == *host).unwrap().clone();
        let machines = |place: usize| match liar {
            Some((liar, lie)) if liar == place => lie.results.len(),
            _ => 1,
        };
        let copies = leg.hosts.iter().enumerate().map(|(place, host)| Copy {
            machines: (0..machines(place))
                .map(|_| LegCopy::new(chain, key(host)).unwrap())
                .collect(),
            computes: false,
        });
        Self {
            hosts: leg.hosts.clone(),
            copies: copies.collect(),
            honest,
            liar,
            events: Vec::new(),
            numbers: Xorshift::new(seed),
            delivered: Vec::new(),
        }
    }

    fn lie_of(&self, place: usize) -> Option<&'a Liar> {
        self.liar.filter(|(liar, _)| *liar == place).map(|(_, lie)| lie)
    }

    /// Runs until nothing is under way and nobody waits.
    pub(crate) fn run(mut self) -> Run {
        if let Some((liar, lie)) = self.liar {
            for to in (0..self.hosts.len()).filter(|to| *to != liar) {
                self.events.extend(lie.first.iter().map(|b| Event::Comes(liar, to, b.clone())));
            }
        }
        loop {
            self.activated();
            if self.events.is_empty() {
                match self.given_up() {
                    true => continue,
                    false => break,
                }
            }
            let next = self.numbers.below(self.events.len());
            match self.events.swap_remove(next) {
                Event::Computes(place) => self.compute(place),
                Event::Comes(from, to, bytes) => self.deliver(from, to, bytes),
            }
        }
        let ends = (0..self.hosts.len()).map(|place| {
            let copy = &self.copies[place].machines[0];
            let counts = self.lie_of(place).is_none() && copy.has_computed();
            counts.then(|| (copy.outcome(), copy.named()))
        });
        Run { ends: ends.collect(), delivered: self.delivered }
    }

    /// Lets each copy compute once it is active; a liar needs no call.
    fn activated(&mut self) {
        for place in 0..self.hosts.len() {
            let lies = self.lie_of(place).is_some();
            let copy = &mut self.copies[place];
            if !copy.computes && (lies || copy.machines[0].is_active()) {
                copy.computes = true;
                self.events.push(Event::Computes(place));
            }
        }
    }

    fn compute(&mut self, place: usize) {
        for machine in 0..self.copies[place].machines.len() {
            let result = match self.lie_of(place) {
                Some(lie) => lie.results[machine].clone(),
                None => self.honest.clone(),
            };
            let nonce = [u8::try_from(16 * place + machine + 1).unwrap(); 32];
            let out = self.copies[place].machines[machine].computed(result, nonce);
            self.send(place, machine, out);
        }
        self.compare(place);
    }

    fn deliver(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.delivered.push((from, to, bytes.clone()));
        for machine in 0..self.copies[to].machines.len() {
            let received = self.copies[to].machines[machine].receive(&self.hosts[from], &bytes);
            // What is not looked at changes nothing.
            self.send(to, machine, received.unwrap_or_default());
        }
        if let Some(lie) = self.lie_of(to) {
            let echoes = (lie.echoes)(&bytes).into_iter();
            self.events.extend(echoes.map(|bytes| Event::Comes(to, from, bytes)));
        }
        self.compare(to);
    }

    /// Compares elements, where a machine wants outputs and the other copy shows them.
    fn compare(&mut self, place: usize) {
        for machine in 0..self.copies[place].machines.len() {
            while let Some((host, _)) = self.copies[place].machines[machine].wants_outputs() {
                let other = self.hosts.iter().position(|h| *h == host).unwrap();
                let near = Agreement::Near { largest: 0.25, bound: 0.5 };
                let agreement = match (self.lie_of(place), self.lie_of(other)) {
                    (Some(lie), _) => Some(lie.claims),
                    (None, Some(lie)) => lie.shows,
                    (None, None) => Some(near),
                };
                let Some(agreement) = agreement else { break };
                let out = self.copies[place].machines[machine].compared(&host, agreement);
                self.send(place, machine, out);
            }
        }
    }

    /// The patience of one honest copy with one that it waits for is over; false if nobody waits.
    fn given_up(&mut self) -> bool {
        let mut waits = Vec::new();
        for place in (0..self.hosts.len()).filter(|place| self.lie_of(*place).is_none()) {
            waits.extend(self.copies[place].machines[0].waits_for().map(|host| (place, host)));
        }
        if waits.is_empty() {
            return false;
        }
        let next = self.numbers.below(waits.len());
        let (place, host) = waits.swap_remove(next);
        let out = self.copies[place].machines[0].absent(&host);
        self.send(place, 0, out);
        true
    }

    fn send(&mut self, from: usize, machine: usize, out: Vec<Outgoing>) {
        for Outgoing { to, bytes } in out {
            let to = self.hosts.iter().position(|h| *h == to).unwrap();
            if self.lie_of(from).is_none() && [REVEAL, RECORD].contains(&kind(&bytes)) {
                let committed =
                    |(by, at, m): &Sent| (*by, *at, kind_of(m)) == (to, from, Some(COMMIT));
                assert!(self.delivered.iter().any(committed), "told to who has not committed");
            }
            let other = if to > from { to - 1 } else { to };
            if self.lie_of(from).is_none_or(|lie| (lie.says)(machine, other, &bytes)) {
                let times = self.lie_of(from).map_or(1, |lie| lie.times);
                self.events.extend((0..times).map(|_| Event::Comes(from, to, bytes.clone())));
            }
        }
    }
}
