//! Cosignatures of a committee on the checkpoints of one log, and split views.
//!
//! After each docket that made leaves, every validator signs its checkpoint's body, which all of them
//! have alike, as a C2SP witness does, and sends that to the others. A checkpoint that a quorum
//! cosigned is *certified*: it verifies offline with the validators' keys and any tool for signed
//! notes, and knows nothing of the engine. With at most f of 3f + 1 validators faulty there is one
//! certified checkpoint of each size.
//!
//! A validator's cosignature of another root at a size that this one holds is a **split view**: one of the
//! two signed what the agreement did not decide. Both notes are kept, as evidence that anybody can
//! verify: [`SplitView`].
//!
//! Bounded: what is not by a member is dropped before it is verified further; of each member only a few
//! checkpoints ahead of this ledger are held; old checkpoints are forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use deepring::codec::{DecodeError, Reader, Writer};
use deepring::keys::Node;
use deepring::{PublicKey, SecretKey};
use deepring_ledger::log::{CheckpointBody, CheckpointError};
use deepring_ledger::witness::{
    CosignError, CosignatureError, CosignedCheckpoint, QuorumError, WitnessKey,
};
use deepring_ledger::{Checkpoint, ValidatorSet};
use thiserror::Error;

/// Checkpoints of this ledger that cosignatures are still taken of.
const HELD: usize = 64;
/// Cosignatures of one member that are held until this ledger has their size.
const AHEAD: usize = 8;
/// Split views that are told of one member.
const MAX_SPLIT_VIEWS: usize = 16;
const VERSION: u8 = 1;
/// Most bytes of an encoded statement.
pub(crate) const MAX_STATEMENT_BYTES: usize = 2048;

/// A body, and one cosignature line of it, as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) body: CheckpointBody,
    pub(crate) line: String,
}

/// Why bytes are not a cosignature by who sent them.
#[derive(Debug, Error)]
pub(crate) enum StatementError {
    /// They are no statement.
    #[error("not a statement of a checkpoint: {0}")]
    Malformed(#[from] DecodeError),
    /// The text is not a checkpoint's.
    #[error(transparent)]
    Body(#[from] CheckpointError),
    /// The checkpoint is another log's.
    #[error("a checkpoint of another log")]
    OtherLog,
    /// The line is not the sender's cosignature of the body.
    #[error(transparent)]
    Cosignature(#[from] CosignatureError),
}

/// Two checkpoints of one size that contradict each other, and who cosigned the other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitView {
    /// The validator that cosigned another root.
    pub by: PublicKey<Node>,
    /// The size.
    pub size: u64,
    /// This ledger's checkpoint: a signed note.
    pub mine: String,
    /// The other one, with that validator's cosignature: a note.
    pub theirs: String,
}

/// The result of a statement, or of an own checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// One more of too few, or nothing new.
    Noted,
    /// A quorum has cosigned this.
    Certified(Box<CosignedCheckpoint>),
    /// See [`SplitView`].
    SplitView(Box<SplitView>),
}

impl Statement {
    /// `version 1 | body: string | line: string`
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).string(&self.body.to_string()).string(&self.line);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let mut r = Reader::new(bytes);
        if bytes.len() > MAX_STATEMENT_BYTES {
            let (found, limit) = (bytes.len() as u64, MAX_STATEMENT_BYTES as u64);
            return Err(DecodeError::TooLong { field: "statement", found, limit }.into());
        }
        match r.u8("statement version")? {
            VERSION => {}
            found => {
                let found = found.into();
                return Err(DecodeError::BadValue { field: "statement version", found }.into());
            }
        }
        let (body, line) = (r.string("body")?, r.string("line")?);
        r.finish()?;
        Ok(Self { body: CheckpointBody::parse(&body)?, line })
    }
}

#[derive(Debug)]
struct Member {
    node: PublicKey<Node>,
    key: WitnessKey,
    ahead: VecDeque<Statement>,
    split_views: BTreeSet<u64>,
}

#[derive(Debug)]
struct Own {
    checkpoint: Checkpoint,
    /// By the member's place.
    lines: BTreeMap<usize, String>,
    certified: bool,
}

/// A committee's cosignatures.
#[derive(Debug)]
pub(crate) struct Cosigning {
    node: SecretKey<Node>,
    members: Vec<Member>,
    quorum: usize,
    own: BTreeMap<u64, Own>,
    newest: Option<Statement>,
}

impl Cosigning {
    pub(crate) fn new(node: SecretKey<Node>, set: &ValidatorSet) -> Result<Self, QuorumError> {
        let keys = set.cosigners()?;
        let members = set.nodes.iter().zip(keys).map(|(node, key)| Member {
            node: *node,
            key,
            ahead: VecDeque::new(),
            split_views: BTreeSet::new(),
        });
        let (members, quorum) = (members.collect(), set.quorum());
        Ok(Self { node, members, quorum, own: BTreeMap::new(), newest: None })
    }

    /// Goes over to another set. What its members say of checkpoints of before is not asked after: each certificate is
    /// one set's, and the next checkpoint that is shown is cosigned by this one, even if the set before did so.
    /// Where the set is the same, nothing changes.
    pub(crate) fn seat(&mut self, set: &ValidatorSet) -> Result<(), QuorumError> {
        if !self.members.iter().map(|member| &member.node).eq(&set.nodes) {
            *self = Self::new(self.node.clone(), set)?;
        }
        Ok(())
    }

    /// This validator's newest statement: what others are to hear, again and again, as messages get
    /// lost. A validator that is no member says nothing.
    pub(crate) fn newest(&self) -> Option<&Statement> {
        self.newest.as_ref()
    }

    /// The ledger's newest checkpoint, which is on stable storage. What it came to, with what others
    /// said before.
    pub(crate) fn grown(
        &mut self,
        checkpoint: &Checkpoint,
        now: u64,
    ) -> Result<Vec<Heard>, CosignError> {
        let size = checkpoint.size();
        if self.own.contains_key(&size) || checkpoint.size() == 0 {
            return Ok(Vec::new());
        }
        let own = Own { checkpoint: checkpoint.clone(), lines: BTreeMap::new(), certified: false };
        self.own.insert(size, own);
        while self.own.len() > HELD {
            self.own.pop_first();
        }
        let mut heard = Vec::new();
        let me = self.node.public();
        if let Some(at) = self.members.iter().position(|member| member.node == me) {
            let line = checkpoint.body().cosign(&self.node, now)?;
            let statement = Statement { body: checkpoint.body().clone(), line };
            self.newest = Some(statement.clone());
            heard.push(self.count(at, statement));
        }
        for at in 0..self.members.len() {
            let Some(member) = self.members.get_mut(at) else { continue };
            let (due, ahead) = member.ahead.drain(..).partition(|s| s.body.size() <= size);
            member.ahead = ahead;
            let due: VecDeque<Statement> = due;
            heard.extend(due.into_iter().map(|statement| self.count(at, statement)));
        }
        Ok(heard)
    }

    /// Takes in a member's statement. A member speaks for itself alone.
    pub(crate) fn receive(
        &mut self,
        from: &PublicKey<Node>,
        bytes: &[u8],
    ) -> Result<Heard, StatementError> {
        let statement = Statement::decode(bytes)?;
        let origin = self.own.values().next().map(|own| own.checkpoint.origin());
        if origin.is_some_and(|origin| origin != statement.body.origin()) {
            return Err(StatementError::OtherLog);
        }
        let at = self.members.iter().position(|member| member.node == *from);
        let at = at.ok_or(CosignatureError::Unknown)?;
        let member = self.members.get_mut(at).ok_or(CosignatureError::Unknown)?;
        statement.body.cosignature(&statement.line, std::slice::from_ref(&member.key))?;
        let newest = self.own.last_key_value().map_or(0, |(size, _)| *size);
        if statement.body.size() > newest {
            if !member.ahead.contains(&statement) {
                member.ahead.push_back(statement);
            }
            while member.ahead.len() > AHEAD {
                member.ahead.pop_front();
            }
            return Ok(Heard::Noted);
        }
        Ok(self.count(at, statement))
    }

    /// Counts a verified statement about a size that this ledger has.
    fn count(&mut self, at: usize, statement: Statement) -> Heard {
        let size = statement.body.size();
        let (Some(own), Some(member)) = (self.own.get_mut(&size), self.members.get_mut(at)) else {
            return Heard::Noted;
        };
        if *own.checkpoint.body() != statement.body {
            // Each is told once; a member cannot fill the store of evidence.
            if member.split_views.len() >= MAX_SPLIT_VIEWS || !member.split_views.insert(size) {
                return Heard::Noted;
            }
            let theirs = format!("{}\n{}", statement.body, statement.line);
            let mine = own.checkpoint.as_str().to_owned();
            return Heard::SplitView(Box::new(SplitView { by: member.node, size, mine, theirs }));
        }
        own.lines.entry(at).or_insert(statement.line);
        if own.certified || own.lines.len() < self.quorum {
            return Heard::Noted;
        }
        let lines: String = own.lines.values().map(String::as_str).collect();
        let keys: Vec<WitnessKey> = self.members.iter().map(|m| m.key.clone()).collect();
        // Each line was verified over this body.
        match own.checkpoint.cosigned(&lines, &keys) {
            Ok(cosigned) => {
                own.certified = true;
                Heard::Certified(Box::new(cosigned))
            }
            Err(_) => Heard::Noted,
        }
    }
}

#[cfg(test)]
mod tests;
