//! Messages between hosts of a dealt ring.
//!
//! ```text
//! kind 1 | contents
//!   1 parcel:   parcel
//!   2 leg:      message of a leg's copies
//!   3 holds:    query 32 | chain head 32
//!   4 wants:    query 32 | receipt digest 32
//!   5 outputs:  query 32 | receipt digest 32 | sealed tensors
//!   6 report:   query 32 | first block 4 | end 1 | why: string | rejected: list of number 4
//!               | failed: list of (host key 64 | fault 1 | evidence: bytes, empty for none)
//!   7 settled:  chain, up to the leg that is settled
//!   8 decided:  receipt file without salt
//!   9 asks:     query 32 | chain head 32
//! ```

use deepring::codec::{DecodeError, Reader, Writer};
use deepring::receipt::{Chain, Parcel, SealedTensors};
use deepring::replication::{CopyFault, Evidence, FailedCopy, Message};
use deepring::{Decision, Digest, PublicKey};

/// Most queries of a batch that one report rejects; more are not of one batch.
const MAX_REJECTED: usize = 1 << 20;
/// Most copies that a report names: those of a leg.
const MAX_FAILED: usize = 3;

/// One message between two hosts, decoded; nothing of it is verified.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum HostMessage {
    /// Chain and tensors that enter a leg, or return to Genesis.
    Parcel(Box<Parcel>),
    /// A message of one copy of a leg to another: bytes of a [`Message`].
    Leg { query: Digest, head: Digest, bytes: Vec<u8> },
    /// The sender verified the chain of this head and holds its tensors.
    Holds { query: Digest, head: Digest },
    /// The sender asks for the outputs that this receipt names.
    Wants { query: Digest, receipt: Digest },
    /// These outputs, sealed for who asked.
    Outputs { query: Digest, receipt: Digest, tensors: SealedTensors },
    /// How a leg ended for the sender.
    Report(LegReport),
    /// A leg is settled: the chain up to it.
    Settled(Box<Chain>),
    /// The query is closed.
    Decided(Box<Decision>),
    /// The sender waits for the receiver in the leg behind this head.
    Asks { query: Digest, head: Digest },
}

/// How a leg ended for one of its copies.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LegReport {
    pub(super) query: Digest,
    pub(super) first_block: u32,
    pub(super) end: LegEnd,
    pub(super) failed: Vec<FailedCopy>,
}

/// An end of a leg, other than that it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LegEnd {
    /// It is settled, and some of its copies failed.
    Settled,
    /// Nothing is decided, and nothing more can come.
    Disputed,
    /// The sender cannot compute it, in words for people.
    CannotCompute(String),
    /// These queries of the batch have inputs that cannot be answered; the first one's fault in words.
    Rejected { queries: Vec<u32>, why: String },
}

impl HostMessage {
    /// The query that it is about.
    pub(super) fn query(&self) -> Digest {
        match self {
            Self::Parcel(parcel) => parcel.chain().opening().query,
            Self::Settled(chain) => chain.opening().query,
            Self::Decided(decision) => decision.chain().opening().query,
            Self::Report(report) => report.query,
            Self::Leg { query, .. }
            | Self::Holds { query, .. }
            | Self::Asks { query, .. }
            | Self::Wants { query, .. }
            | Self::Outputs { query, .. } => *query,
        }
    }

    /// The message's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Parcel(parcel) => {
                w.u8(1).raw(&parcel.encode());
            }
            Self::Leg { bytes, .. } => {
                w.u8(2).raw(bytes);
            }
            Self::Holds { query, head } => {
                w.u8(3).raw(&query.0).raw(&head.0);
            }
            Self::Wants { query, receipt } => {
                w.u8(4).raw(&query.0).raw(&receipt.0);
            }
            Self::Outputs { query, receipt, tensors } => {
                w.u8(5).raw(&query.0).raw(&receipt.0).raw(&tensors.to_bytes());
            }
            Self::Report(report) => {
                w.u8(6);
                report.encode(&mut w);
            }
            Self::Settled(chain) => {
                w.u8(7).raw(&chain.to_bytes());
            }
            Self::Decided(decision) => {
                w.u8(8).raw(&decision.encode());
            }
            Self::Asks { query, head } => {
                w.u8(9).raw(&query.0).raw(&head.0);
            }
        }
        w.finish()
    }

    /// Decodes a message strictly.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not what [`encode`](Self::encode) writes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = r.u8("message kind")?;
        let rest = bytes.get(1..).unwrap_or_default();
        let two = |r: &mut Reader<'_>| {
            Ok::<_, DecodeError>((Digest(r.array("query")?), Digest(r.array("record")?)))
        };
        match kind {
            1 => Ok(Self::Parcel(Box::new(Parcel::decode(rest)?))),
            2 => {
                let Message { query, head, .. } = Message::decode(rest)?;
                Ok(Self::Leg { query, head, bytes: rest.to_vec() })
            }
            3 => {
                let (query, head) = two(&mut r)?;
                r.finish().map(|()| Self::Holds { query, head })
            }
            4 => {
                let (query, receipt) = two(&mut r)?;
                r.finish().map(|()| Self::Wants { query, receipt })
            }
            5 => {
                let (query, receipt) = two(&mut r)?;
                let tensors = SealedTensors::from_bytes(rest.get(64..).unwrap_or_default())?;
                Ok(Self::Outputs { query, receipt, tensors })
            }
            6 => {
                let report = LegReport::decode(&mut r)?;
                r.finish().map(|()| Self::Report(report))
            }
            7 => Ok(Self::Settled(Box::new(Chain::from_bytes(rest)?))),
            8 => match Decision::decode(rest)? {
                open if open.salt().is_some() => {
                    Err(DecodeError::Contradiction { field: "salt", with: "message kind" })
                }
                decision => Ok(Self::Decided(Box::new(decision))),
            },
            9 => {
                let (query, head) = two(&mut r)?;
                r.finish().map(|()| Self::Asks { query, head })
            }
            found => {
                let found = u64::from(found);
                Err(DecodeError::BadValue { field: "message kind", found })
            }
        }
    }
}

impl LegReport {
    fn encode(&self, w: &mut Writer) {
        let none = (String::new(), Vec::new());
        let (code, (why, rejected)) = match &self.end {
            LegEnd::Settled => (1, none),
            LegEnd::Disputed => (2, none),
            LegEnd::CannotCompute(why) => (3, (why.clone(), Vec::new())),
            LegEnd::Rejected { queries, why } => (4, (why.clone(), queries.clone())),
        };
        w.raw(&self.query.0).u32(self.first_block).u8(code).string(&why);
        w.count(rejected.len());
        rejected.iter().for_each(|number| _ = w.u32(*number));
        let failed: Vec<_> =
            self.failed.iter().filter_map(|f| Some((f, code_of(&f.fault)?))).collect();
        w.count(failed.len());
        for (copy, (code, evidence)) in failed {
            w.raw(copy.host.as_bytes()).u8(code);
            w.bytes(&evidence.map(Evidence::to_bytes).unwrap_or_default());
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let query = Digest(r.array("query")?);
        let first_block = r.u32("first block")?;
        let code = r.u8("end of a leg")?;
        let why = r.string("why")?;
        let n = r.count("rejected queries", MAX_REJECTED, 4)?;
        let queries = (0..n).map(|_| r.u32("query number")).collect::<Result<Vec<_>, _>>()?;
        let bad = || DecodeError::Contradiction { field: "rejected queries", with: "end of a leg" };
        let end = match (code, why.is_empty(), queries.is_empty()) {
            (1, true, true) => LegEnd::Settled,
            (2, true, true) => LegEnd::Disputed,
            (3, _, true) => LegEnd::CannotCompute(why),
            (4, _, false) if queries.is_sorted_by(|a, b| a < b) => {
                LegEnd::Rejected { queries, why }
            }
            (1..=4, ..) => return Err(bad()),
            (found, ..) => {
                let found = u64::from(found);
                return Err(DecodeError::BadValue { field: "end of a leg", found });
            }
        };
        let n = r.count("failed copies", MAX_FAILED, 69)?;
        let mut failed = Vec::with_capacity(n);
        for _ in 0..n {
            let host = PublicKey::from_bytes(r.array("host key")?);
            let code = r.u8("fault")?;
            let limit = r.left();
            let evidence = match r.bytes("evidence", limit)? {
                [] => None,
                bytes => Some(Evidence::from_bytes(bytes)?),
            };
            let fault = match (code, evidence) {
                (1, None) => CopyFault::Absent,
                (2, None) => CopyFault::BrokeCommitment,
                (3, Some(evidence)) => CopyFault::Disputed(evidence),
                (4, Some(evidence)) => CopyFault::Outvoted(evidence),
                (5, Some(evidence)) => CopyFault::Equivocated(evidence),
                (found, _) => {
                    let found = u64::from(found);
                    return Err(DecodeError::BadValue { field: "fault", found });
                }
            };
            failed.push(FailedCopy { host, fault });
        }
        Ok(Self { query, first_block, end, failed })
    }
}

/// A fault's number, and what shows it; `None` for a fault that the message has no number for.
fn code_of(fault: &CopyFault) -> Option<(u8, Option<&Evidence>)> {
    match fault {
        CopyFault::Absent => Some((1, None)),
        CopyFault::BrokeCommitment => Some((2, None)),
        CopyFault::Disputed(evidence) => Some((3, Some(evidence))),
        CopyFault::Outvoted(evidence) => Some((4, Some(evidence))),
        CopyFault::Equivocated(evidence) => Some((5, Some(evidence))),
        _ => None,
    }
}

/// The evidence that shows a fault; `None` for a fault that only its witness knows.
pub(super) fn evidence_of(fault: &CopyFault) -> Option<&Evidence> {
    code_of(fault).and_then(|(_, evidence)| evidence)
}
