//! Hosts that do not play by the rules: honest machines under one key, with results, and a choice of what they say.

use deepring::Digest;
use deepring::receipt::{ComputedWith, Parcel};
use deepring_infer::block::Computed;

use super::world::{in_one_element, salt};
use crate::zoo::tensor;

/// The first byte of a message between hosts.
pub(super) const PARCEL: u8 = 1;
pub(super) const LEG: u8 = 2;
/// Kinds of messages of a leg, by the byte behind kind, query and head.
const COMMIT: u8 = 1;
const REVEAL: u8 = 2;
const RECORD: u8 = 3;

/// The head of the chain that a reveal is about and the receipt in it, behind its nonce of 32 bytes, if it is one.
pub(super) fn revealed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let parts = (bytes.get(33..65)?, bytes.get(98..)?);
    (said(bytes) == Some(REVEAL)).then_some(parts)
}

/// Which message of a leg it is, if it is one.
fn said(bytes: &[u8]) -> Option<u8> {
    bytes.get(65).copied().filter(|_| bytes[0] == LEG)
}

type Says = Box<dyn Fn(usize, usize, &[u8]) -> bool>;
type Alters = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;
type Echoes = Box<dyn Fn(&[u8]) -> Vec<Vec<u8>>>;

pub(super) struct Double {
    /// One for each machine: what becomes of its results.
    pub(super) results: Vec<fn(&mut Computed)>,
    /// Whether it says what a machine would: given the machine, the host that it is for, the message.
    pub(super) says: Says,
    /// The bytes that it says in a message's place.
    pub(super) alters: Alters,
    /// The messages that it sends back for one.
    pub(super) echoes: Echoes,
    /// How often it says everything.
    pub(super) times: usize,
}

fn right(_: &mut Computed) {}

/// Lies in the second leg alone, so that what enters each leg is the same for all machines of a double.
fn in_one_leg(computed: &mut Computed) {
    if computed.outputs[0][0].name() == "d" {
        in_one_element(computed);
    }
}

impl Double {
    pub(super) fn honest() -> Self {
        Self::with(vec![right])
    }

    pub(super) fn with(results: Vec<fn(&mut Computed)>) -> Self {
        Self {
            results,
            says: Box::new(|_, _, _| true),
            alters: Box::new(|_| None),
            echoes: Box::new(|_| Vec::new()),
            times: 1,
        }
    }

    fn saying(self, says: impl Fn(usize, usize, &[u8]) -> bool + 'static) -> Self {
        Self { says: Box::new(says), ..self }
    }
}

/// The end that a double comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It is named by evidence or by what it broke.
    Named,
    /// The same, wherever it showed two receipts of one leg to others.
    NamedIfShown,
    /// It is named, if only as absent.
    Missed,
    /// Nothing has to be noticed.
    Unnoticed,
}

/// Signs two receipts in the second leg, and shows hosts on both sides of the third one of them.
pub(super) fn two_receipts_in_one_leg() -> Double {
    Double::with(vec![right, in_one_leg])
        .saying(|machine, to, bytes| bytes[0] != LEG || machine == usize::from(to >= 2))
}

/// Objects to the other's outputs with others of its own, and states another engine there than in its receipt: what it signed
/// contradicts itself, and proves nothing.
pub(super) fn objects_under_another_engine() -> Double {
    let other = |computed: &mut Computed| {
        in_one_element(computed);
        let states = ComputedWith::new("another engine", Digest::NONE, "processor", 1);
        computed.result.computed_with = states.unwrap();
    };
    Double::with(vec![right, other]).saying(|machine, _, bytes| match said(bytes) {
        Some(RECORD) => machine == 1,
        _ => machine == 0,
    })
}

pub(super) type Lie = (&'static str, Wanted, fn() -> Double);

pub(super) const LIES: &[Lie] = &[
    ("lies in one element", Wanted::Named, || Double::with(vec![in_one_element])),
    ("lies about every result", Wanted::Named, || {
        Double::with(vec![|computed| {
            let name = computed.outputs[0][0].name().to_owned();
            computed.outputs = vec![vec![tensor(&name, &[1, 6], &[0.5; 6])]];
        }])
    }),
    ("commits and does not reveal", Wanted::Missed, || {
        Double::honest().saying(|_, _, bytes| said(bytes) != Some(REVEAL))
    }),
    ("says nothing about its legs", Wanted::Missed, || {
        Double::honest().saying(|_, _, bytes| bytes[0] != LEG)
    }),
    ("says nothing at all", Wanted::Missed, || Double::honest().saying(|_, _, _| false)),
    ("repeats the other's commitment and reveal", Wanted::Named, || {
        let silent = Double::honest().saying(|_, _, bytes| bytes[0] != LEG);
        let echoes = |bytes: &[u8]| match said(bytes) {
            Some(COMMIT | REVEAL) => vec![bytes.to_vec()],
            _ => Vec::new(),
        };
        Double { echoes: Box::new(echoes), ..silent }
    }),
    ("says everything three times", Wanted::Unnoticed, || Double { times: 3, ..Double::honest() }),
    ("sends back whatever it is sent", Wanted::Unnoticed, || {
        let echoes = |bytes: &[u8]| if bytes[0] == LEG { Vec::new() } else { vec![bytes.to_vec()] };
        Double { echoes: Box::new(echoes), ..Double::honest() }
    }),
    // A machine that lied in one leg is given nothing that enters the next where the other machine stands behind the right outputs;
    // it then has nothing to show.
    ("signs two receipts", Wanted::NamedIfShown, || {
        Double::with(vec![right, in_one_element])
            .saying(|machine, to, bytes| bytes[0] != LEG || machine == usize::from(to >= 2))
    }),
    ("reveals something else than it committed to", Wanted::Named, || {
        Double::with(vec![right, in_one_element]).saying(|machine, _, bytes| match said(bytes) {
            Some(COMMIT) => machine == 1,
            _ => machine == 0,
        })
    }),
    ("withholds what it is to pass on", Wanted::Unnoticed, || {
        Double::honest().saying(|_, _, bytes| {
            bytes[0] != PARCEL || Parcel::decode(&bytes[1..]).unwrap().chain().legs().is_empty()
        })
    }),
    ("passes on other tensors", Wanted::Unnoticed, || {
        let alters = |bytes: &[u8]| {
            let parcel = Parcel::decode(bytes.get(1..).filter(|_| bytes[0] == PARCEL)?).ok()?;
            let to: Vec<_> = parcel.recipients().collect();
            let chain = parcel.chain().clone();
            let name = ["x", "b", "d", "f", "y"][chain.legs().len()];
            let other = vec![vec![tensor(name, &[1, 6], &[0.25; 6])]];
            let sealed = Parcel::seal(chain, &salt(), &other, &to).ok()?;
            Some([vec![PARCEL], sealed.encode()].concat())
        };
        let alters = move |bytes: &[u8]| {
            let opens = bytes[0] == PARCEL
                && Parcel::decode(&bytes[1..]).is_ok_and(|p| p.chain().legs().is_empty());
            if opens { None } else { alters(bytes) }
        };
        Double { alters: Box::new(alters), ..Double::honest() }
    }),
    ("objects falsely", Wanted::Named, || {
        Double::with(vec![right, in_one_element]).saying(|machine, _, bytes| match said(bytes) {
            Some(RECORD) => machine == 1,
            _ => machine == 0,
        })
    }),
    ("sends noise in the place of everything", Wanted::Missed, || {
        let alters = |bytes: &[u8]| Some(bytes.iter().map(|b| b ^ 0x55).collect());
        Double { alters: Box::new(alters), ..Double::honest() }
    }),
];
